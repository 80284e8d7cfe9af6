"""Mount with `path("api/events/", include("events.urls"))`."""

from importlib.util import find_spec

from django.urls import path

from .api import actions, authentication, sse, views

app_name = "events"

urlpatterns = [
    path("", views.EventsView.as_view(), name="events"),
    path("head/", views.HeadView.as_view(), name="head"),
    path("streams/", views.StreamsView.as_view(), name="streams"),
    path("streams/<str:name>/", views.StreamView.as_view(), name="stream"),
    path("ticket/", authentication.TicketView.as_view(), name="ticket"),
    path("live/", sse.LiveView.as_view(), name="live"),
    path("streams/<str:name>/live/", sse.StreamLiveView.as_view(), name="stream-live"),
    path("streams/<str:name>/events/", views.StreamEventsView.as_view(), name="stream-events"),
    path(
        "streams/<str:name>/<str:action>/", actions.StreamActionView.as_view(), name="stream-action"
    ),
]

# Last, so that it describes all of the above.
if find_spec("drf_spectacular") is not None:
    from .api.spectacular import SchemaView

    urlpatterns.append(path("schema/", SchemaView.as_view(patterns=urlpatterns), name="schema"))
