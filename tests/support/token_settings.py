"""The example site, with what docs/how-to/tokens.md adds to its settings."""

import os

from tests.support.pages import DOCS, marked
from tests.support.site_settings import *  # noqa: F403

PAGE = DOCS / "how-to/tokens.md"
ROOT_URLCONF = "tests.support.token_urls"
REST_FRAMEWORK = globals().get("REST_FRAMEWORK", {})
for mark in os.environ["TOKENS"].split(","):
    for block in marked(PAGE, mark):
        exec(block.text.replace("https://app.example.com", os.environ["APP"]))
