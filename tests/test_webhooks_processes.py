"""Webhooks that are delivered by real processes, which are killed."""

import json
import os
import time
from collections import Counter

import pytest

from events import webhooks
from events.handlers.models import Shard
from events.webhooks.models import Delivery

from .support.databases import skip_unless
from .support.receivers import allow_local, receiver
from .support.runners import runners
from .support.servers import wait_until

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

# More than a few are for a machine of one's own: KILLS=20.
KILLS = int(os.environ.get("KILLS", "3"))
EACH, PARALLEL = 40, 3


@pytest.fixture(autouse=True)
def local(settings):
    allow_local(settings)


@pytest.fixture
def other(tmp_path):
    with receiver(tmp_path) as found:
        yield found


def test_killed_again_and_again_nothing_is_lost_and_order_is_kept(make_log, other):
    """Twice only what was under way, one event for each line, when the worker was killed."""
    skip_unless("postgres")
    log = make_log("postgres", name="default")
    url = other.url("/slow/0.02")
    webhooks.add(url, parallel=PARALLEL)
    total = KILLS * EACH + EACH
    log.append_many({"kind": "n", "stream": f"s{n % 7}"} for n in range(total))
    with runners("postgres") as run:
        for number in range(KILLS):
            worker = run.start()
            wanted = (number + 1) * EACH
            wait_until(lambda wanted=wanted: len(other.notes(url)) >= wanted, worker, seconds=60)
            worker.kill()
            worker.wait()
        run.start()
        wait_until(lambda: len({*other.positions(url)}) == total, seconds=60)
        wait_until(
            lambda: {shard.cursor for shard in Shard.objects.using("postgres").all()} == {total}
        )
    seen = Counter(other.positions(url))
    assert set(seen) == set(range(1, total + 1))
    assert sum(seen.values()) - total <= KILLS * PARALLEL
    assert max(seen.values()) <= 1 + KILLS
    entries = [json.loads(note["body"])["data"] for note in other.notes(url)]
    for stream in {entry["stream"] for entry in entries}:
        seqs = [entry["seq"] for entry in entries if entry["stream"] == stream]
        assert seqs == sorted(seqs), stream


def test_two_workers_share_the_endpoints_and_slow_ones_keep_nobody(make_log, other):
    """Each event arrives once; ten that hang take nothing from the others."""
    skip_unless("postgres")
    log = make_log("postgres", name="default")
    for _ in range(10):
        webhooks.add(other.url("/hang"))
    urls = [other.url() for _ in range(10)]
    for url in urls:
        webhooks.add(url)
    log.append_many({"kind": "n", "stream": f"s{n % 3}"} for n in range(20))
    with runners("postgres") as run:
        workers = [run.start(), run.start()]
        began = time.monotonic()
        wait_until(lambda: all(len(other.notes(url)) >= 20 for url in urls), seconds=60)
        assert time.monotonic() - began < 20
        good = Delivery.objects.using("postgres").filter(status=200)
        wait_until(lambda: good.count() >= 200)
        for worker in workers:
            worker.kill()
    for url in urls:
        assert other.positions(url) == list(range(1, 21))
