"""Events to many browsers at once, against what a project would write or install instead.

    python -m benchmarks.fanout [--quick] [--clients 500,2000] [--json FILE] [--svg FILE]

Contenders take turns in one run, each on a server process of its own: ours over WebSocket on
daphne and on uvicorn; the usual Channels idiom, every consumer in a group, with the in-memory
layer; a bare loop over the sockets' `send`, which is the ceiling; ours over Server-Sent Events and
django-eventstream. A burst is emitted all together, and ours may put many entries in a frame.
Paced is one event at a time, one in a frame for everybody, the next when every client has it.

Clients and server share the machine, so the server's processor time is the fairer figure. What
the database does is in the time of ours and of django-eventstream, and not in that figure; the
other rivals store nothing. All clients check that every event came.
"""

from __future__ import annotations

import argparse
import re
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import harness
from benchmarks.fanout import picture, scenes
from benchmarks.fanout.arena import Arena
from benchmarks.fanout.crowd import hall
from benchmarks.fanout.server import EVENTSTREAM, OUR_SSE, OURS, PLAIN, Contender, migrate

WEBSOCKETS = [
    Contender("daphne", "ours on daphne", "ours", "daphne", OURS),
    Contender("uvicorn", "ours on uvicorn", "ours", "uvicorn", OURS),
    Contender("group-daphne", "group_send on daphne", "groups", "daphne", PLAIN),
    Contender("group-uvicorn", "group_send on uvicorn", "groups", "uvicorn", PLAIN),
    Contender("bare", "bare loop on uvicorn", "bare", "uvicorn", PLAIN),
]
REDIS_GROUP = Contender("group-redis", "group_send over Redis", "groups", "uvicorn", PLAIN)
SSE = Contender("sse", "ours, SSE on uvicorn", "ours", "uvicorn", OUR_SSE)
RIVAL_SSE = Contender(
    "eventstream",
    "django-eventstream",
    "eventstream",
    "uvicorn",
    EVENTSTREAM,
    {"FANOUT_URLS": "benchmarks.rivals.eventstream"},
)


def options() -> argparse.Namespace:
    made = harness.parser("Events to many browsers at once, against the usual ways.")
    made.add_argument("--svg", metavar="FILE", help="draw the results here")
    made.add_argument("--clients", metavar="N,M", help="how many, at first and at last (500,2000)")
    made.add_argument(
        "--redis", default="redis://127.0.0.1:6379/0", metavar="URL", help="%(default)s"
    )
    return made.parse_args()


def plan(chosen: argparse.Namespace) -> scenes.Plan:
    quick = scenes.Plan(clients=[100, 400], burst=40, paced=5, rounds=3, steady=20, returning=100)
    full = scenes.Plan(clients=[500, 2000], burst=40, paced=5, rounds=3, steady=100, returning=1000)
    made = quick if chosen.quick else full
    if chosen.clients:
        made.clients = [int(number) for number in re.findall(r"\d+", chosen.clients)]
    return made


@contextmanager
def databases(chosen: argparse.Namespace, report: harness.Report) -> Iterator[tuple[str, str]]:
    """Addresses of a database on the server, if there is one, and of an SQLite file."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=chosen.sqlite))
        file = f"sqlite:///{folder}/events.sqlite3"
        main = file
        if chosen.only != "sqlite":
            try:
                made = stack.enter_context(harness.postgres(chosen.postgres))
                main = urlsplit(chosen.postgres)._replace(path=f"/{made['NAME']}").geturl()
            except harness.Unavailable as error:
                report.skip("PostgreSQL, all is on SQLite", str(error))
        for address in {main, file}:
            migrate(address)
        yield main, file


def redis_answers(url: str) -> bool:
    import redis

    try:
        return bool(redis.Redis.from_url(url, socket_connect_timeout=2).ping())
    except redis.RedisError:
        return False


def run(chosen: argparse.Namespace) -> None:
    report = harness.Report(chosen)
    planned = plan(chosen)
    panels = picture.Panels()
    with ExitStack() as stack:
        main, file = stack.enter_context(databases(chosen, report))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = chosen.redis if redis_answers(chosen.redis) else ""
        if not redis:
            report.skip("Redis", f"{chosen.redis} does not answer")
        arena = Arena(report, stack.enter_context(hall()), folder, stack)
        for contender in WEBSOCKETS:
            arena.admit(contender, {"FANOUT_DATABASE": main})
        if redis:
            arena.admit(REDIS_GROUP, {"FANOUT_DATABASE": main, **scenes.over(redis)})
        # Both on SQLite: the rival keeps a connection for each of its clients, which PostgreSQL
        # allows a hundred of.
        arena.admit(SSE, {"FANOUT_DATABASE": file})
        if find_spec("django_eventstream"):
            arena.admit(RIVAL_SSE, {"FANOUT_DATABASE": file})
        else:
            report.skip("django-eventstream", "pip install -r benchmarks/requirements.txt")
        scenes.fan_out(arena, planned, panels)
        if redis:
            scenes.two_processes(arena, planned, main, redis)
        if main.startswith("postgres"):
            scenes.two_processes(arena, planned, main)
            scenes.two_processes(arena, planned, main, cut=True)
        scenes.replay(arena, planned, main)
    report.finish()
    if chosen.svg:
        Path(chosen.svg).write_text(picture.draw(panels))


def main() -> None:
    chosen = options()
    # A terminated run cleans up like an interrupted one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        run(chosen)
    except KeyboardInterrupt:
        sys.exit("interrupted; the scratch databases are gone")


if __name__ == "__main__":
    main()
