"""The events of a log."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from ..models import Event
from .keyset import Keyset, KeysetAdmin
from .scope import scope_of


@admin.register(Event)
class EventAdmin(KeysetAdmin):
    list_display = ("position", "kind", "stream", "seq")

    def keyset(self, request: HttpRequest) -> Keyset:
        scope = scope_of(request)
        return Keyset(scope.events(), "position", scope.info.floor, scope.info.head)
