"""The site's addresses, and what Prometheus asks for."""

from django.http import HttpResponse
from django.urls import path
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from events.metrics import register

from .site_urls import urlpatterns as site

register()


def metrics(request):
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)


urlpatterns = [path("metrics/", metrics), *site]
