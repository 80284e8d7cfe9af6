"""The tables. Other code reads them freely; only the log itself writes them.

There are no database foreign keys among them (`db_constraint=False`): a checked foreign key
makes every append lock a row that somebody else's transaction may hold.
"""

from django.db import models
from django.db.models.functions import Cast

from .fields import ExactCharField, InstantField, PayloadField
from .types import Status, new_epoch


class Log(models.Model):
    """The head of one log: the row whose lock hands out positions."""

    name = ExactCharField(max_length=64, unique=True)
    epoch = models.CharField(max_length=32, default=new_epoch)
    head = models.BigIntegerField(default=0)
    floor = models.BigIntegerField(default=0)
    # Positions above the floor whose entries went with their stream: what `count` subtracts.
    removed = models.BigIntegerField(default=0)
    # The newest entry's time, so that time never runs backwards along positions.
    latest = models.BigIntegerField(default=0)
    # The epochs so far, each with its first position, and the timeline of the server that wrote last:
    # see `events.backends.database.terms`. Null in rows from before 0006.
    terms = models.TextField(null=True)
    timeline = models.CharField(max_length=8, null=True)

    def __str__(self) -> str:
        return str(self.name)


class EventQuerySet(models.QuerySet["Event"]):
    def with_json(self) -> "EventQuerySet":
        """Add `json`, the payload as the database's own JSON: `.filter(json__user__id=7)`."""
        return self.annotate(json=Cast("payload", models.JSONField()))


class Event(models.Model):
    """An entry of the ledger. Never changed, only deleted by retention or with its stream."""

    log = models.ForeignKey(Log, models.DO_NOTHING, db_constraint=False, db_index=False)
    position = models.BigIntegerField()
    kind = ExactCharField(max_length=100)
    stream = ExactCharField(max_length=128, blank=True, default="")
    # 0 in no stream. Not null on purpose: an append to a closed stream fails on it.
    seq = models.BigIntegerField(default=0)
    timestamp = InstantField()
    payload = PayloadField()
    key = ExactCharField(max_length=128, null=True, blank=True, db_column="idempotency_key")
    context = PayloadField(null=True, blank=True)

    objects = EventQuerySet.as_manager()

    class Meta:
        default_permissions = ("add", "delete", "view")
        constraints = [
            models.UniqueConstraint(fields=["log", "position"], name="events_event_position"),
            models.UniqueConstraint(fields=["log", "key"], name="events_event_key"),
        ]
        # None on time, which rises with positions: a moment is found by halving over these.
        indexes = [models.Index(fields=["log", "stream", "position"], name="events_event_stream")]

    def __str__(self) -> str:
        return f"{self.position} {self.kind}"


class Outbox(models.Model):
    """An event of a transaction, waiting for its position.

    It names its log by name, and its key is not unique: with either constraint, an emit
    would wait for somebody else's open transaction.
    """

    log = ExactCharField(max_length=64)
    kind = ExactCharField(max_length=100)
    stream = ExactCharField(max_length=128, default="")
    payload = PayloadField()
    key = ExactCharField(max_length=128, null=True, db_column="idempotency_key")
    # Of a stream that is opened by it.
    idle_timeout = models.FloatField(null=True)
    context = PayloadField(null=True)
    # So that a monitor sees for how long nobody has sequenced; null in rows from before 0005.
    emitted_at = InstantField(null=True)
    # Why this row could not become an entry; such rows are set aside for a person to look at.
    refused = models.CharField(max_length=500, default="")

    class Meta:
        default_permissions = ("view",)
        verbose_name_plural = "outbox"
        indexes = [
            models.Index(fields=["log", "refused", "id"], name="events_outbox_pending"),
            models.Index(fields=["log", "key"], name="events_outbox_key"),
        ]

    def __str__(self) -> str:
        return f"{self.log}: {self.kind}"


class Stream(models.Model):
    """A named thread through a log. `status` is null until the stream is opened."""

    log = models.ForeignKey(Log, models.DO_NOTHING, db_constraint=False, db_index=False)
    name = ExactCharField(max_length=128)
    status = models.CharField(
        max_length=10, choices=[(s.value, s.value) for s in Status], null=True
    )
    seq = models.BigIntegerField(default=0)
    first_position = models.BigIntegerField()
    last_position = models.BigIntegerField()
    last_event_at = InstantField()
    opened_at = InstantField(null=True, blank=True)
    closed_at = InstantField(null=True, blank=True)
    # Seconds of silence after which it fails; null for never.
    idle_timeout = models.FloatField(null=True, blank=True)

    class Meta:
        default_permissions = ("view", "change", "delete")
        constraints = [models.UniqueConstraint(fields=["log", "name"], name="events_stream_name")]
        indexes = [
            models.Index(fields=["log", "last_position"], name="events_stream_recent"),
            models.Index(fields=["log", "status", "last_position"], name="events_stream_status"),
        ]

    def __str__(self) -> str:
        return str(self.name)


class Deletion(models.Model):
    """A deleted stream whose events are still being removed.

    Made in the step that removes the stream and kept until the last batch is gone, so that
    a process killed in between leaves a note of what is still to do.
    """

    log = models.ForeignKey(Log, models.DO_NOTHING, db_constraint=False, db_index=False)
    stream = ExactCharField(max_length=128)
    below = models.BigIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.stream} below {self.below}"
