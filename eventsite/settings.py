"""Settings of the example site. What differs between machines comes from the environment.

DEBUG, SECRET_KEY, ALLOWED_HOSTS, CSRF_TRUSTED_ORIGINS, DATABASE_URL, REDIS_URL, EVENTS_TTL,
EVENTS_MAX_ENTRIES, EVENTS_MAX_CONNECTIONS, EVENTS_MAX_SUBSCRIPTIONS, EVENTS_SHOWCASE and ACCESS_LOG.
A variable that is set but empty counts as not set.
"""

import os
from importlib.util import find_spec
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from eventsite.databases import database

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# Off unless asked for, so that a deployment that forgets it is safe. `make run` asks for it.
DEBUG = env.bool("DEBUG", default=False)

# Not through `env`: it takes a value that begins with $ for the name of another variable, and one in
# fifty of the keys that Django generates begins with $.
SECRET_KEY = os.environ.get("SECRET_KEY", "")
if not SECRET_KEY:
    if not DEBUG:
        raise ImproperlyConfigured("Set SECRET_KEY, or DEBUG=1 on a machine of your own.")
    SECRET_KEY = "django-insecure-for-debug-only-so-that-a-restart-signs-nobody-out"

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# drf-spectacular is optional for the app, and so it is here.
HAS_SPECTACULAR = find_spec("drf_spectacular") is not None

INSTALLED_APPS = [
    "daphne",  # first: it replaces `runserver` with one that speaks ASGI
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    *(["drf_spectacular"] if HAS_SPECTACULAR else []),
    "events",
    "events.durable",
    "events.handlers",
    "events.webhooks",
    "events.contrib.django_tasks",  # makes a stream of each job
    "django_tasks_db",  # the queue of jobs, in the database
    "eventsite",
]

# The journal's handler is one insert; SQLite's other writers can wait for that.
SILENCED_SYSTEM_CHECKS = ["events_handlers.W001"]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "eventsite.urls"
ASGI_APPLICATION = "eventsite.asgi.application"
WSGI_APPLICATION = "eventsite.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": database(env.str("DATABASE_URL", "") or "sqlite:///db.sqlite3", BASE_DIR),
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Redis's pub/sub, not channels_redis.core: that one keeps messages in lists, drops them beyond a
# capacity and forgets who is in a group after a day. What travels here is a hint that there is
# something to read, so a message nobody waits for may be lost, and a membership may not.
if REDIS_URL := env.str("REDIS_URL", ""):
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL]},
        },
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

EVENTS = {
    "default": {
        "TTL": env.str("EVENTS_TTL", default=None),  # 90 (seconds), 30s, 15m, 12h, 7d
        "MAX_ENTRIES": env.int("EVENTS_MAX_ENTRIES", default=None),
        "MAX_CONNECTIONS": env.int("EVENTS_MAX_CONNECTIONS", default=None) or 100,
        "MAX_SUBSCRIPTIONS": env.int("EVENTS_MAX_SUBSCRIPTIONS", default=None) or 1000,
    },
}

TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
EVENTS_TASKS = {"IDLE_TIMEOUT": 10}  # a killed worker is to be noticed while somebody looks

# What the chat's model says, token by token: it is not kept for long.
EVENTS["tokens"] = {"TTL": "1d"}

# A log that anybody may watch, for the page of who is not signed in. `make run` asks for it, and
# plays invented events into it; nothing else belongs there.
if env.bool("EVENTS_SHOWCASE", default=False):
    EVENTS["showcase"] = {"TTL": "15m", "POLICY": "eventsite.policies.ReadOnly"}

# Off: the server's lines about requests that went well, which would carry the login of `make run`
# out of the window.
if not env.bool("ACCESS_LOG", default=True):
    LOGGING = {
        "version": 1,
        "disable_existing_loggers": False,
        "loggers": {"django.channels.server": {"level": "WARNING"}},
    }

if HAS_SPECTACULAR:
    REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
    SPECTACULAR_SETTINGS = {"TITLE": "django-durable-events", "VERSION": "0.1.0"}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

# With DEBUG, the site serves these itself; elsewhere `collectstatic` gathers them for a web server.
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
