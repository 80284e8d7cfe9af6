"""Settings of the processes of a run, from the environment: one database, one log, one layer."""

import json
import os
from pathlib import Path

from eventsite.databases import database

DATABASES = {"default": database(os.environ["DATABASE_URL"], Path.cwd())}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "events"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "for-tests-only"
USE_TZ = True

LOG = os.environ.get("HISTORY_LOG", "default")
# One user follows with as many clients as a run has.
UNLIMITED = {"MAX_CONNECTIONS": None, "MAX_SUBSCRIPTIONS": None}
# Beside the log of the run, one with large entries, and one with many, where a read looks at many.
EVENTS = {
    "default": UNLIMITED,
    "bulk": UNLIMITED,
    "tokens": {**UNLIMITED, "LONG_POLL": 1, "HEARTBEAT_INTERVAL": 1},
    "long": {**UNLIMITED, "MAX_PAGE_SIZE": 5_000},
}
EVENTS[LOG] = {**UNLIMITED, "MAX_PAGE_SIZE": 500, **json.loads(os.environ.get("SITE_EVENTS", "{}"))}

CHANNEL_LAYERS = {}
if url := os.environ.get("REDIS_URL"):
    CHANNEL_LAYERS["default"] = {
        "BACKEND": os.environ.get("FAULTS_LAYER")
        or "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [url]},
    }
