"""Mount with `path("api/webhooks/", include("events.webhooks.urls"))`: users' own endpoints."""

from django.urls import path

from . import api

app_name = "events_webhooks"

urlpatterns = [
    path("", api.EndpointsView.as_view(), name="endpoints"),
    path("<str:uid>/", api.EndpointView.as_view(), name="endpoint"),
    path("<str:uid>/secret/", api.SecretView.as_view(), name="secret"),
    path("<str:uid>/deliveries/", api.DeliveriesView.as_view(), name="deliveries"),
]
