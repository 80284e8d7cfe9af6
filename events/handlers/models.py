"""Where handlers stand.

A `Subscription` is what people decide (paused or not, how many shards), and no worker ever keeps
it locked. A `Shard` is where the work stands. It is locked for the transaction that does the work:
that lock is the lease, and it dies with the process. All that the work relies on is in that row,
and read under its lock.

A `Held` row is a copy of an entry that the cursor has passed and that is not done: one that
`failed`, or one that waits behind such a one of its stream. Of a stream's rows only the first has a
`next_attempt_at`; when that is done, or dropped, the next one gets it. While a stream has a row
here, its later entries are put behind it.
"""

from typing import ClassVar

from django.db import models

from ..fields import ExactCharField, InstantField, PayloadField
from .spec import MAX_NAME

MAX_TEXT = 500


class State(models.TextChoices):
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


class Subscription(models.Model):
    """A handler, by its name."""

    name = ExactCharField(max_length=MAX_NAME, unique=True)
    log = ExactCharField(max_length=64)
    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    # Exact as names are: whatever MariaDB's default character set cannot hold, these can.
    reason = ExactCharField(max_length=MAX_TEXT, default="", blank=True)
    last_error = ExactCharField(max_length=MAX_TEXT, default="", blank=True)
    # As many as the code wants. Shards of another number are on their way to a common point.
    shards = models.PositiveIntegerField(default=1)
    # Rows up to here that cannot be read are passed over: somebody has been told of them.
    passed = models.BigIntegerField(db_default=0)

    class Meta:
        default_permissions = ("view", "change")

    def __str__(self) -> str:
        return str(self.name)


class Shard(models.Model):
    """The streams of one hash, and the position up to which their entries are done or held."""

    subscription = models.ForeignKey(Subscription, models.CASCADE, db_constraint=False)
    number = models.PositiveIntegerField()
    of = models.PositiveIntegerField()
    cursor = models.BigIntegerField()
    epoch = models.CharField(max_length=32)
    # Where it waits for the others, before their number changes.
    upto = models.BigIntegerField(null=True)
    # Might there be held entries? Never False while there are.
    holds = models.BooleanField(default=False)
    # Who works on it without a lock (`atomic=False`), and until when by the database's clock.
    token = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    # The entry over which the connection was lost, and how often in a row.
    lost_at = models.BigIntegerField(db_default=0)
    losses = models.PositiveIntegerField(db_default=0)

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["subscription", "number"], name="events_handlers_number"
            )
        ]

    def __str__(self) -> str:
        return f"{self.number} of {self.of}"


class Held(models.Model):
    """A copy, so that retention does not take it."""

    subscription = models.ForeignKey(Subscription, models.CASCADE, db_constraint=False)
    position = models.BigIntegerField()
    kind = ExactCharField(max_length=100)
    stream = ExactCharField(max_length=128, blank=True, default="")
    seq = models.BigIntegerField(default=0)
    timestamp = InstantField()
    payload = PayloadField()
    key = ExactCharField(max_length=128, null=True, db_column="idempotency_key")
    context = PayloadField(null=True)
    # The CRC-32 of the stream's name: its shard is the rest after division by their number.
    hash = models.BigIntegerField()
    failed = models.BooleanField(default=False)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = InstantField(null=True)
    parked = models.BooleanField(default=False)
    error = ExactCharField(max_length=MAX_TEXT, default="", blank=True)

    class Meta:
        default_permissions = ()
        verbose_name_plural = "held"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["subscription", "position"], name="events_handlers_position"
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["subscription", "next_attempt_at"], name="events_handlers_due"),
            models.Index(
                fields=["subscription", "stream", "position"], name="events_handlers_stream"
            ),
            models.Index(fields=["subscription", "failed"], name="events_handlers_failed"),
        ]

    def __str__(self) -> str:
        return f"{self.position} {self.kind}"


class Sample(models.Model):
    """How far behind a handler was in a minute since 1970, by the last process that looked."""

    subscription = models.ForeignKey(Subscription, models.CASCADE, db_constraint=False)
    minute = models.BigIntegerField()
    lag = models.BigIntegerField()
    at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["subscription", "minute"], name="events_handlers_minute"
            )
        ]

    def __str__(self) -> str:
        return f"{self.lag} at {self.at}"
