"""The example site with durable streams that anybody may write, in a log of their own."""

import json
import os

from eventsite.settings import *  # noqa: F403

ROOT_URLCONF = "tests.support.durable_urls"
EVENTS["open"] = {  # noqa: F405
    "POLICY": "tests.support.durable_urls.Open",
    "LONG_POLL": 2,
    **json.loads(os.environ.get("SITE_EVENTS", "{}")),
}
