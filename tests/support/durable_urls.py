"""The example site's addresses, and durable streams of a log that is open to all."""

from django.urls import include, path

from eventsite.urls import urlpatterns as site


class Open:
    """Everybody may do everything."""

    def can_read(self, user, stream):
        return True

    def can_emit(self, user, stream):
        return True

    def can_delete(self, user, stream):
        return True


urlpatterns = [path("v1/stream/", include("events.durable.urls"), {"log": "open"}), *site]
