"""The databases that tests run on, as far as they answer on this machine."""

import pytest
from django.conf import settings
from django.db import connections

DATABASES = ("default", "postgres", "mariadb")


def skip_unless(alias):
    if alias not in connections.settings:
        pytest.skip(settings.SKIPPED[alias])
