"""What the protocol keeps beside a stream's events.

Both tables are written only by who holds the log's head, in the transaction of the append: what a
writer is told is committed together with what it wrote. Only `deadline` is moved without the lock.

Where a stream begins and whether it is closed, its own row in the log says: it begins with
`stream.opened` and is closed when it has ended. A closed one is read as far as `final`.
"""

from typing import ClassVar

from django.db import models

from ..fields import ExactCharField

MAX_TYPE = 255
MAX_PRODUCER = 255
MAX_SEQ = 255


class Durable(models.Model):
    """A stream that was made by a PUT, or by `create()`."""

    log = ExactCharField(max_length=64)
    name = ExactCharField(max_length=128)
    content_type = ExactCharField(max_length=MAX_TYPE)
    # What the PUT said, as JSON: another PUT is the same if it says the same.
    asked = models.TextField()
    # Seconds without a read or a write after which it is gone, or the moment when it is.
    ttl = models.BigIntegerField(null=True)
    expires = ExactCharField(max_length=64, default="")
    # What comes of either, in microseconds since 1970.
    deadline = models.BigIntegerField(null=True, db_index=True)
    # The position of `stream.opened`: another stream of this name, later, has another.
    born = models.BigIntegerField()
    # Its last position when it was closed; and who closed it, as JSON.
    final = models.BigIntegerField(null=True)
    closed_by = models.TextField(default="")
    # The greatest Stream-Seq so far.
    last_seq = ExactCharField(max_length=MAX_SEQ, default="")
    # Of a fork: the stream that it goes on from, and the position up to which that is its own past.
    source = models.ForeignKey(
        "self", models.DO_NOTHING, null=True, db_constraint=False, related_name="forks"
    )
    forked_at = models.BigIntegerField(null=True)
    # Deleted, and kept because there are forks.
    deleted = models.BooleanField(default=False)

    class Meta:
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["log", "name"], name="events_durable_name")
        ]

    def __str__(self) -> str:
        return str(self.name)


class Producer(models.Model):
    """A writer that numbers its requests, and may send each of them again."""

    durable = models.ForeignKey(Durable, models.DO_NOTHING, db_constraint=False)
    producer = ExactCharField(max_length=MAX_PRODUCER)
    epoch = models.BigIntegerField()
    seq = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["durable", "producer"], name="events_durable_producer_id"
            )
        ]

    def __str__(self) -> str:
        return str(self.producer)
