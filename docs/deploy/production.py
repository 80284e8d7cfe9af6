"""mysite/production.py: the settings of the deployment, from its environment.

What settings.py says stays, where it is not about the machine: a policy, ATOMIC_REQUESTS, other
databases, other logs.
"""

import os

from . import settings
from .settings import *  # noqa: F403
from .settings import BASE_DIR, DATABASES, INSTALLED_APPS

DEBUG = False
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = os.environ["ALLOWED_HOSTS"].split(",")
CSRF_TRUSTED_ORIGINS = os.environ["CSRF_TRUSTED_ORIGINS"].split(",")

# As an app, daphne only replaces `runserver`. Behind uvicorn it need not even be installed.
INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "daphne"]

# psycopg reads PGHOST, PGUSER and PGPASSWORD by itself. Under ASGI every request has a thread of its
# own, and would open a connection of its own: a hundred at once are more than PostgreSQL accepts.
# Each process has such a pool. While PostgreSQL is away, its pauses between attempts double: for no
# more than ten seconds, so that it is not late when PostgreSQL is back.
DATABASES["default"] |= {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": os.environ["PGDATABASE"],
    "OPTIONS": {"pool": {"min_size": 2, "max_size": 10, "reconnect_timeout": 10}},
    "CONN_HEALTH_CHECKS": True,
    "CONN_MAX_AGE": 0,  # a pool refuses another value
}

# Hints travel through Redis: a log says "I have grown" there, and never what with. Without it, they
# travel by PostgreSQL's NOTIFY.
if redis_url := os.environ.get("REDIS_URL"):
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [redis_url]},
        }
    }

# Bounds for a log that settings.py gives none.
EVENTS = getattr(settings, "EVENTS", {})
EVENTS["default"] = {"TTL": "30d", "MAX_ENTRIES": 10_000_000} | EVENTS.get("default", {})

STATIC_ROOT = BASE_DIR / "staticfiles"

# nginx ends TLS, says so in a header, and sets that header whatever the client has sent.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
