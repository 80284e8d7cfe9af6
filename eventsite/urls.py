"""Addresses of the example site."""

from django.contrib import admin
from django.urls import path

from eventsite.views import home

urlpatterns = [
    path("", home, name="home"),
    path("admin/", admin.site.urls),
]
