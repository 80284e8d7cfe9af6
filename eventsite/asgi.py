"""The ASGI application: `daphne eventsite.asgi:application`, or any other ASGI server."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eventsite.settings")

# First: it loads the apps, which the next imports need.
django_application = get_asgi_application()

from django.urls import path  # noqa: E402

from events import routing  # noqa: E402
from eventsite.consumers import KindCounter  # noqa: E402

application = routing.application(django_application, [path("ws/counts/", KindCounter.as_asgi())])
