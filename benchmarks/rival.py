"""What a project would do without the app: a table with the same columns, through the ORM.

Two of them, with the very columns and indexes of `events.Event`, timestamps as integers
included. `Rival` keeps its payload in a JSONField, which is what most would write; `Plain`
keeps it as text and calls `json.dumps` itself, which is faster on PostgreSQL. Positions come
from a counter in the process: neither has to be right with two writers, as the log is.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from typing import Any

from django.db import models

# Forked writers must not meet: each process counts from a number of its own.
POSITIONS = itertools.count(1)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _count_from(os.getpid() << 32))
LOG = 1


class Anybody:
    """A policy that asks nothing, since the rival's view does not ask either."""

    def can_read(self, user: Any, stream: str | None) -> bool:
        return True

    can_emit = can_read


class Columns(models.Model):
    log_id = models.BigIntegerField()
    position = models.BigIntegerField()
    kind = models.CharField(max_length=100)
    stream = models.CharField(max_length=128, blank=True, default="")
    seq = models.BigIntegerField(default=0)
    timestamp = models.BigIntegerField()
    key = models.CharField(max_length=128, null=True, blank=True)

    class Meta:
        abstract = True
        constraints = [
            models.UniqueConstraint(fields=["log_id", "position"], name="%(class)s_position"),
            models.UniqueConstraint(fields=["log_id", "key"], name="%(class)s_key"),
        ]
        indexes = [
            models.Index(fields=["log_id", "stream", "position"], name="%(class)s_stream"),
        ]


class Rival(Columns):
    payload = models.JSONField()

    class Meta(Columns.Meta):
        app_label = "benchmarks"

    def __str__(self) -> str:
        return f"{self.position} {self.kind}"


class Plain(Columns):
    payload = models.TextField()

    class Meta(Columns.Meta):
        app_label = "benchmarks"

    def __str__(self) -> str:
        return f"{self.position} {self.kind}"


class Host(models.Model):
    """A row of the host's own, which is written in the same transaction."""

    name = models.CharField(max_length=100)
    amount = models.IntegerField()

    class Meta:
        app_label = "benchmarks"

    def __str__(self) -> str:
        return self.name


def _count_from(start: int) -> None:
    global POSITIONS
    POSITIONS = itertools.count(start)


def values(kind: str, payload: dict[str, Any], stream: str = "") -> dict[str, Any]:
    """The columns of a new row of `Rival`."""
    position = next(POSITIONS)
    return {
        "log_id": LOG,
        "position": position,
        "kind": kind,
        "stream": stream,
        "seq": position if stream else 0,
        "timestamp": time.time_ns() // 1000,
        "payload": payload,
    }


def plain_values(kind: str, payload: dict[str, Any], stream: str = "") -> dict[str, Any]:
    """The columns of a new row of `Plain`."""
    return {**values(kind, payload, stream), "payload": json.dumps(payload)}
