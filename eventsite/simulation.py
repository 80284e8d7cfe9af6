"""What the simulator plays: agent runs and jobs, invented one step at a time.

Pure of any clock or database, so that a seed always gives the same events. A step is a list: what it
holds happened together, and is emitted together.
"""

import random
from collections.abc import Iterator
from typing import Any

Event = dict[str, Any]
Step = list[Event]

AT_ONCE = 4  # runs and jobs in progress side by side, so that streams interleave

QUESTIONS = (
    "Which invoices are overdue?",
    "Summarise yesterday's incidents.",
    "Why is the nightly import slow?",
    "Draft a reply to the last three tickets.",
)
TOOLS = ("search", "read_file", "query_database", "send_mail", "run_tests")
JOBS = ("import.customers", "export.orders", "resize.images", "reindex.search")


def steps(rng: random.Random) -> Iterator[Step]:
    """Yield steps for ever, from a few runs and jobs that take turns at random."""
    playing = [beginning(rng) for _ in range(AT_ONCE)]
    while True:
        at = rng.randrange(AT_ONCE)
        if step := next(playing[at], None):
            yield step
        else:
            playing[at] = beginning(rng)


def beginning(rng: random.Random) -> Iterator[Step]:
    # Not run-1, run-2: a simulator that is started again must not go on with its old streams.
    name = f"{rng.getrandbits(32):08x}"
    return agent_run(rng, f"run-{name}") if rng.random() < 0.7 else job(rng, f"job-{name}")


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


def job(rng: random.Random, stream: str) -> Iterator[Step]:
    """A job that reports how far it has come, and fails now and then."""
    total = rng.randint(3, 12) * 100
    yield [event(stream, "job.started", name=rng.choice(JOBS), total=total)]
    for done in range(100, total + 1, 100):
        if rng.random() < 0.03:
            yield [event(stream, "job.failed", done=done, error="the connection was reset")]
            return
        yield [event(stream, "job.progress", done=done, total=total)]
    yield [event(stream, "job.completed", total=total)]


def event(stream: str, kind: str, **payload: Any) -> Event:
    return {"kind": kind, "payload": payload, "stream": stream}
