"""Settings of every contender; what differs comes from the environment."""

import os
from importlib.util import find_spec
from pathlib import Path

from eventsite.databases import database

SECRET_KEY = "benchmark"
ALLOWED_HOSTS = ["127.0.0.1"]
LOGGING_CONFIG = None
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "channels",
    "rest_framework",
    "events",
    *(["django_eventstream"] if find_spec("django_eventstream") else []),
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = os.environ.get("FANOUT_URLS", "events.urls")
DATABASES = {
    "default": database(os.environ.get("FANOUT_DATABASE", "sqlite://:memory:"), Path.cwd())
}

# Pub/sub, and not channels_redis.core: with redis-py 8 that one's sockets all close after five
# seconds of silence, because it waits as long for a message as its client does for an answer.
if redis := os.environ.get("FANOUT_REDIS"):
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [redis], "prefix": os.environ["FANOUT_PREFIX"]},
        },
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

# A log for each server: they share a database, and one must not hear of another's events.
LOG = os.environ.get("FANOUT_LOG", "default")
UNLIMITED = {"MAX_CONNECTIONS": None, "MAX_SUBSCRIPTIONS": None}
EVENTS = {
    "default": UNLIMITED,
    LOG: {
        **UNLIMITED,
        "POLICY": "benchmarks.rival.Anybody",
        "POLL_INTERVAL": float(os.environ.get("FANOUT_POLL", "0.25")),
    },
}

EVENTSTREAM_STORAGE_CLASS = "django_eventstream.storage.DjangoModelStorage"
