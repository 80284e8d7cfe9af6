"""django-eventstream, with its storage in the database, as its README sets it up."""

from asgiref.sync import sync_to_async
from django.core.asgi import get_asgi_application
from django.urls import include, path

from benchmarks.rivals.control import controlled
from benchmarks.rivals.message import KIND, payload

django = get_asgi_application()

import django_eventstream  # noqa: E402

CHANNEL = "events"

urlpatterns = [path("events/", include(django_eventstream.urls), {"channels": [CHANNEL]})]


def send(numbers: range) -> None:
    for number in numbers:
        django_eventstream.send_event(CHANNEL, KIND, payload(number))


application = controlled(django, sync_to_async(send))
