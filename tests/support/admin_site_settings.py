"""The example site's settings, under a strict Content-Security-Policy."""

from tests.support.site_settings import *  # noqa: F403

MIDDLEWARE = ["tests.support.csp.strict_policy", *MIDDLEWARE]  # noqa: F405
