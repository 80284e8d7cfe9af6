"""The example site with durable streams that anybody may write, in a log of their own."""

from tests.support.site_settings import *  # noqa: F403

ROOT_URLCONF = "tests.support.durable_urls"
EVENTS["open"] = {"POLICY": "tests.support.durable_urls.Open", "LONG_POLL": 2}  # noqa: F405
