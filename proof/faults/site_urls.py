"""The test site's addresses. Permissions are asked for again every few seconds, where the app
takes half a minute, so that a run need not wait for that."""

from events.live import access
from tests.support.site_urls import urlpatterns

access.RECHECK = 3.0
access.SHARED = 1.0

__all__ = ["urlpatterns"]
