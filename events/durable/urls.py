"""Mount at the root with `path("v1/stream/", include("events.durable.urls"))`; a third argument,
`{"log": "tokens"}`, picks a log other than `default`."""

from django.urls import path

from .views import DurableView

app_name = "durable"

urlpatterns = [path("<path:path>", DurableView.as_view(), name="stream")]
