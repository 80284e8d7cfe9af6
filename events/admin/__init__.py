"""The admin: where a project's people browse its logs. Django's autodiscovery imports it; nothing
outside this package does, so that the app works without `django.contrib.admin`."""

from .events.admin import EventAdmin
from .overview.admin import LogAdmin
from .streams.admin import StreamAdmin

__all__ = ["EventAdmin", "LogAdmin", "StreamAdmin"]
