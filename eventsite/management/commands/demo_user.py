"""`manage.py demo_user`: a login to look around with."""

import secrets
from typing import Any

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management.base import BaseCommand
from django.db import transaction


class Command(BaseCommand):
    help = (
        "Makes the superuser `demo`, or gives it a new password, and prints the login. Who is "
        "signed in as `demo` stays so."
    )

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        # New each time, so that no password is ever written down, in a file or in the documentation.
        password = secrets.token_urlsafe(9)
        user, _ = get_user_model().objects.get_or_create(username="demo")
        known = user.get_session_auth_hash()
        user.is_active = user.is_staff = user.is_superuser = True
        user.set_password(password)
        user.save()
        keep_signed_in(user, known)
        self.stdout.write(f"demo / {password}")


def keep_signed_in(user: AbstractUser, known: str) -> None:
    """A page that is open goes on when the site is started anew: with a new password Django would
    take its session for one from before somebody broke in."""
    for session in Session.objects.all():
        data = session.get_decoded()
        if data.get(SESSION_KEY) == str(user.pk) and data.get(HASH_SESSION_KEY) == known:
            session.session_data = SessionStore().encode(
                {**data, HASH_SESSION_KEY: user.get_session_auth_hash()}
            )
            session.save()
