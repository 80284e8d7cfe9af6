"""What the simulator plays: agent runs, batches and orders, invented one step at a time.

Pure of any clock or database, so that a seed always gives the same events. A step is a list: what it
holds happened together, and is emitted together. A step in the life of a stream is alone in its list,
and has a `verb` in place of a kind.
"""

import random
from collections.abc import Iterator
from typing import Any

Event = dict[str, Any]
Step = list[Event]

AT_ONCE = 5  # stories in progress side by side, so that streams interleave

QUESTIONS = (
    "Which invoices are overdue?",
    "Summarise yesterday's incidents.",
    "Why is the nightly import slow?",
    "Draft a reply to the last three tickets.",
)
TOOLS = ("search", "read_file", "query_database", "send_mail", "run_tests")
ARTICLES = ("café crème", "notebook A5", "desk lamp", "USB-C cable")
BATCHES = ("import.customers", "export.orders", "resize.images", "reindex.search")


def steps(rng: random.Random, lives: bool = False) -> Iterator[Step]:
    """Yield steps for ever, from a few stories that take turns at random.

    With `lives`, agent runs are opened and ended. No stream can be that twice, as those of a seed
    that is played again would have to.
    """
    playing = [beginning(rng, lives) for _ in range(AT_ONCE)]
    while True:
        at = rng.randrange(AT_ONCE)
        if step := next(playing[at], None):
            yield step
        else:
            playing[at] = beginning(rng, lives)


def beginning(rng: random.Random, lives: bool) -> Iterator[Step]:
    # Not run-1, run-2: a simulator that is started again must not go on with its old streams.
    name = f"{rng.getrandbits(32):08x}"
    run = agent_run(rng, f"run-{name}")
    return rng.choices(
        (
            with_life(f"run-{name}", run) if lives else run,
            batch(rng, f"batch-{name}"),
            order(rng, f"order-{name}"),
        ),
        weights=(5, 2, 3),
    )[0]


def with_life(stream: str, story: Iterator[Step]) -> Iterator[Step]:
    yield [{"stream": stream, "verb": "open"}]
    yield from story
    yield [{"stream": stream, "verb": "complete"}]


def agent_run(rng: random.Random, stream: str) -> Iterator[Step]:
    """A conversation of a few turns, in which an agent uses tools, several at once at times."""
    for turn in range(1, rng.randint(2, 4) + 1):
        yield [event(stream, "turn.started", turn=turn, question=rng.choice(QUESTIONS))]
        for _ in range(rng.randint(0, 3)):
            tools = rng.sample(TOOLS, rng.choice((1, 1, 1, 2, 3)))
            yield [event(stream, "tool.invoked", turn=turn, tool=tool) for tool in tools]
            for tool in tools:
                kind = "tool.failed" if rng.random() < 0.1 else "tool.completed"
                yield [event(stream, kind, turn=turn, tool=tool, ms=rng.randint(5, 3000))]
        yield [event(stream, "turn.completed", turn=turn, tokens=rng.randint(50, 2000))]


def batch(rng: random.Random, stream: str) -> Iterator[Step]:
    """A batch that reports how far it has come, in bursts, and fails now and then."""
    total = rng.randint(3, 12) * 100
    yield [event(stream, "batch.started", name=rng.choice(BATCHES), total=total)]
    done = 0
    while done < total:
        if rng.random() < 0.05:
            yield [event(stream, "batch.failed", done=done, error="the connection was reset")]
            return
        burst = range(done + 100, min(done + rng.choice((1, 1, 2, 6)) * 100, total) + 1, 100)
        yield [event(stream, "batch.progress", done=at, total=total) for at in burst]
        done = burst[-1]
    yield [event(stream, "batch.completed", total=total)]


def order(rng: random.Random, stream: str) -> Iterator[Step]:
    """An order that is paid at the first, second or no attempt, and packed item by item."""
    items = [{"article": rng.choice(ARTICLES), "pieces": rng.randint(1, 3)} for _ in range(3)]
    total = rng.randint(500, 20_000) / 100
    yield [event(stream, "order.placed", items=items, total=total, currency="EUR")]
    for attempt in (1, 2):
        if rng.random() < 0.75:
            yield [event(stream, "payment.accepted", attempt=attempt, total=total)]
            yield [event(stream, "order.packed", **item) for item in items]
            yield [event(stream, "order.shipped", parcels=rng.randint(1, 2))]
            return
        yield [event(stream, "payment.declined", attempt=attempt, reason="insufficient funds")]
    yield [event(stream, "order.cancelled", attempts=2)]


def event(stream: str, kind: str, **payload: Any) -> Event:
    return {"kind": kind, "payload": payload, "stream": stream}
