"""What is kept about webhooks.

An `Endpoint` is also a handler, called `webhook-<uid>`: where it stands, what is held of it, whether
it is paused, is with the handlers. Here is where to send what, and how the other side does:

    well          failures = 0; its lines send what comes, one event each at a time
    silent        it does not answer, or answers that it cannot: nothing is sent before
                  `next_attempt_at`, and then one event, the probe. The cursor does not move
    switched off  active = False, with a `reason`: it answered 410, or nothing well for five days

An event that a well endpoint refuses (4xx) is held by itself, as any handler's.

A `Delivery` is one attempt.
"""

import secrets
import time
from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from ..conf import DEFAULT_LOG
from ..cursors import make_query
from ..fields import ExactCharField, InstantField
from ..log import logs
from . import conf, signing
from .addresses import valid_url

MAX_URL, MAX_TEXT, MAX_ANSWER = 1000, 500, 1024
MAX_PARALLEL = 16
# Each kind is looked at for each read, and each secret signs each message.
MAX_KINDS, MAX_SECRETS = 100, 5


def new_uid() -> str:
    return secrets.token_hex(6)


class Endpoint(models.Model):
    # What its handler is called by. Not the id: that is another in each database.
    uid = models.CharField(max_length=12, unique=True, default=new_uid, editable=False)
    url = ExactCharField(max_length=MAX_URL)
    description = models.CharField(max_length=200, blank=True, default="")
    # Kinds and prefixes (`order.*`), streams and prefixes (`red:*`); an empty list is all.
    kinds = models.JSONField(default=list, blank=True)
    streams = models.JSONField(default=list, blank=True)
    log = ExactCharField(max_length=64, default=DEFAULT_LOG)
    active = models.BooleanField(default=True)
    # Gets only what the log's policy lets this user read.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, db_constraint=False
    )
    # Requests at a time, each about other streams: the handler's shards.
    parallel = models.PositiveSmallIntegerField(default=1)
    # The newest first: [secret, until when in epoch seconds or null].
    keys = models.JSONField(default=list, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = InstantField(null=True, editable=False)
    last_success_at = InstantField(null=True, editable=False)
    # Attempts in a row of which none went well, since when, and when the next may be.
    failures = models.PositiveIntegerField(default=0, editable=False)
    failing_since = InstantField(null=True, editable=False)
    next_attempt_at = InstantField(null=True, editable=False)
    # New events in a row that it refused; and the one for which it answered 500.
    refused = models.PositiveIntegerField(default=0, editable=False)
    suspect = models.BigIntegerField(null=True, editable=False)
    # Why it is switched off; and what was wrong last.
    reason = ExactCharField(max_length=MAX_TEXT, blank=True, default="", editable=False)
    last_error = ExactCharField(max_length=MAX_TEXT, blank=True, default="", editable=False)

    def __str__(self) -> str:
        return str(self.url)

    def clean(self) -> None:
        errors = {}
        if self.log not in logs or not logs[self.log].backend.in_database:
            errors["log"] = "must be a log in a database"
        try:
            valid_url(self.url)
        except ValueError as error:
            errors["url"] = str(error)
        for field, options in (("kinds", {"kind": self.kinds}), ("streams", {"stream": self.streams or None})):  # fmt: skip
            try:
                if not isinstance(getattr(self, field), list):
                    raise ValueError("must be a list")
                if len(getattr(self, field)) > MAX_KINDS:
                    raise ValueError(f"must be at most {MAX_KINDS}")
                values = {"kind": None, "stream": None, **options}
                make_query("latest", 1, epoch=None, page_size=1, max_page_size=1, **values)
            except ValueError as error:
                errors[field] = str(error)
        if not 1 <= self.parallel <= MAX_PARALLEL:
            errors["parallel"] = f"must be from 1 to {MAX_PARALLEL}"
        if errors:
            raise ValidationError(errors)

    @property
    def handler_name(self) -> str:
        return f"webhook-{self.uid}"

    @property
    def secrets(self) -> list[str]:
        """Those that sign now, the newest first."""
        now = time.time()
        return [secret for secret, until in self.keys if until is None or until > now]

    @property
    def secret(self) -> str:
        return self.secrets[0]

    def rotate(self, secret: str | None = None, overlap: timedelta | None = None) -> str:
        """A new secret. Those before go on signing beside it until the `overlap` is over."""
        secret = secret or signing.new_secret()
        signing.key_of(secret)
        left = conf.seconds("OVERLAP") if overlap is None else overlap.total_seconds()
        end, now = time.time() + left, time.time()
        before = [[one, min(end, until or end)] for one, until in self.keys]
        valid = [[one, until] for one, until in before if until > now]
        self.keys = [[secret, None], *valid[: MAX_SECRETS - 1]]
        if self.pk is not None:
            self.save(update_fields=["keys"])
        return secret

    def switch_on(self) -> None:
        """Go on where it was, with its past forgiven."""
        self.active, self.reason, self.last_error = True, "", ""
        self.failures = self.refused = 0
        self.failing_since = self.next_attempt_at = self.suspect = None
        self.save(update_fields=[*RECOVERED, "active", "reason", "last_error"])


# What a success resets.
RECOVERED: dict[str, Any] = {
    "failures": 0,
    "refused": 0,
    "failing_since": None,
    "next_attempt_at": None,
    "suspect": None,
}


class Delivery(models.Model):
    """One attempt. Without a `position` it was a test."""

    endpoint = models.ForeignKey(Endpoint, models.CASCADE, db_constraint=False)
    position = models.BigIntegerField(null=True)
    kind = ExactCharField(max_length=100)
    # What the other side knows it by: the same for every attempt.
    webhook_id = ExactCharField(max_length=64)
    attempt = models.PositiveIntegerField(default=1)
    # None if there was no answer; `error` says why.
    status = models.PositiveSmallIntegerField(null=True)
    milliseconds = models.PositiveIntegerField(default=0)
    # Its first KiB.
    answer = ExactCharField(max_length=MAX_ANSWER, blank=True, default="")
    error = ExactCharField(max_length=MAX_TEXT, blank=True, default="")
    at = InstantField()

    class Meta:
        default_permissions = ("view",)
        verbose_name_plural = "deliveries"
        indexes: ClassVar = [
            models.Index(fields=["endpoint", "at"], name="events_webhooks_recent"),
            models.Index(fields=["at"], name="events_webhooks_when"),
        ]

    def __str__(self) -> str:
        return f"{self.webhook_id} ({self.attempt})"

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300
