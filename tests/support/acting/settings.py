"""The example site's settings, for processes that act on events."""

from tests.support.site_settings import *  # noqa: F403

# Without the example site's own handlers.
INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "eventsite"]  # noqa: F405
INSTALLED_APPS += ["tests.support.acting"]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}

# Receivers of webhooks are on this machine.
WEBHOOKS_ALLOWED_NETWORKS = ["127.0.0.1/32"]
WEBHOOKS_ALLOW_HTTP = True
WEBHOOKS_PORTS = None
