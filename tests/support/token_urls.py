"""The example site's addresses, with what docs/how-to/tokens.md adds to them."""

from django.urls import path  # noqa: F401 # the blocks need it

from tests.support.pages import DOCS, marked
from tests.support.site_urls import urlpatterns  # noqa: F401 # and add to it

for block in marked(DOCS / "how-to/tokens.md", "tokens: urls"):
    exec(block.text)
