"""The example site's addresses, and durable streams of a log that is open to all."""

from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from events.durable.views import payloads
from eventsite.urls import urlpatterns as site


class Open:
    """Everybody may do everything."""

    def can_read(self, user, stream):
        return True

    def can_emit(self, user, stream):
        return True

    def can_delete(self, user, stream):
        return True


@csrf_exempt
def chat(request, name):
    """A front end sends its message here, and reads what is written to a stream."""
    return payloads(request, name, "open")


urlpatterns = [
    path("chat/<str:name>/", chat),
    path("v1/stream/", include("events.durable.urls"), {"log": "open"}),
    *site,
]
