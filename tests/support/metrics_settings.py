"""The example site with a log in memory beside it, and an address for Prometheus."""

from .site_settings import *  # noqa: F403

EVENTS["ticks"] = {"BACKEND": "memory"}  # noqa: F405
ROOT_URLCONF = "tests.support.metrics_urls"
