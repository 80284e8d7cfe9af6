"""What acts on events here: `manage.py run_handlers` calls it, once for each entry.

Kill that process whenever you like, and start two of them: each job is in the journal once.
"""

from events import emit
from events.handlers import handler
from events.types import Entry
from eventsite.jobs import PREFIX

ENDS = ["stream.completed", "stream.failed", "stream.stopped"]


@handler(ENDS, name="journal", since="earliest")
def note_the_end(entry: Entry) -> None:
    """Write a line about a job that has ended, in the transaction that moves the handler's cursor."""
    if entry.stream.startswith(PREFIX) and entry.stream.count(":") == 1:  # not one of its attempts
        outcome = entry.kind.removeprefix("stream.")
        line = {"job": entry.stream, "outcome": outcome, "events": entry.seq}
        emit("journal.line", line, stream="journal")
