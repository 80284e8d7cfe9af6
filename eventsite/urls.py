"""Addresses of the example site."""

from django.contrib import admin
from django.urls import include, path

from eventsite.views import home

urlpatterns = [
    path("", home, name="home"),
    path("api/events/", include("events.urls")),
    path("admin/", admin.site.urls),
]
