"""The example site's settings, for processes that act on events."""

from tests.support.site_settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "events.handlers", "tests.support.acting"]  # noqa: F405
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
