"""Settings of the processes of a run: one database and one log, both from the environment."""

import os
from pathlib import Path

from eventsite.databases import database

DATABASES = {"default": database(os.environ["DATABASE_URL"], Path.cwd())}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "events"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "for-tests-only"
USE_TZ = True

LOG = os.environ.get("HISTORY_LOG", "default")
EVENTS = {LOG: {"MAX_PAGE_SIZE": 500}}
