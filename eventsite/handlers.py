"""What acts on events here: `manage.py run_handlers` calls it, once for each entry.

Kill that process whenever you like, and start two of them: each job is in the journal once.
"""

import time
from collections.abc import Iterator

from events import emit, logs
from events.durable.handle import DurableHandle
from events.handlers import handler
from events.types import Entry
from eventsite import chat
from eventsite.jobs import PREFIX

ENDS = ["stream.completed", "stream.failed", "stream.stopped"]


@handler(ENDS, name="journal", since="earliest")
def note_the_end(entry: Entry) -> None:
    """Write a line about a job that has ended, in the transaction that moves the handler's cursor."""
    if entry.stream.startswith(PREFIX) and entry.stream.count(":") == 1:  # not one of its attempts
        outcome = entry.kind.removeprefix("stream.")
        line = {"job": entry.stream, "outcome": outcome, "events": entry.seq}
        emit("journal.line", line, stream="journal")


@handler("chat.asked", name="chat", since="earliest", atomic=False)
def answer(entry: Entry) -> None:
    """Say what the model says, from the token on that no worker before has said; then keep the
    whole as one event. Not atomic: readers are to see each token at once."""
    stream = logs[chat.LOG].durable(entry.stream)
    said = list(tokens_of(stream))
    for token in list(chat.model(entry.payload["question"]))[len(said) :]:
        time.sleep(0.05)  # a model thinks
        stream.append({"token": token})
        said.append(token)
    stream.close()
    key = f"answer-{entry.stream}"
    emit("chat.answered", {"text": "".join(said)}, stream=entry.stream, key=key)


def tokens_of(stream: DurableHandle) -> Iterator[str]:
    offset, up_to_date = "-1", False
    while not up_to_date:
        messages, offset, up_to_date, _ = stream.read(offset)
        yield from (message["token"] for message in messages)
