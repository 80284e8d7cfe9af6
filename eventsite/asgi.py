"""The ASGI application: `daphne eventsite.asgi:application`, or any other ASGI server."""

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eventsite.settings")

application = ProtocolTypeRouter({"http": get_asgi_application()})
