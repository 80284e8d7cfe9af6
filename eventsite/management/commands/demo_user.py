"""`manage.py demo_user`: a login to look around with."""

import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Makes the superuser `demo`, or gives it a new password, and prints the login."

    def handle(self, *args: Any, **options: Any) -> None:
        # New each time, so that no password is ever written down, in a file or in the documentation.
        password = secrets.token_urlsafe(9)
        user, _ = get_user_model().objects.get_or_create(username="demo")
        user.is_active = user.is_staff = user.is_superuser = True
        user.set_password(password)
        user.save()
        self.stdout.write(f"demo / {password}")
