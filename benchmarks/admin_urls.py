"""The addresses of `admin.py`."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/events/", include("events.urls")),
]
