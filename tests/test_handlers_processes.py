"""Handlers in real processes, which are killed, frozen and told to end."""

import random
import signal
import time
from contextlib import ExitStack

import pytest
from django.db import OperationalError

from events.handlers.models import Held, Shard, Subscription

from .support.acting.models import Effect
from .support.databases import DATABASES, skip_unless
from .support.redis_server import running_redis
from .support.runners import runners
from .support.servers import wait_until

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

SEVERAL = [alias for alias in DATABASES if alias != "default"]


@pytest.fixture(params=DATABASES)
def alias(request):
    skip_unless(request.param)
    return request.param


@pytest.fixture
def log(make_log, alias):
    return make_log(alias, name="default")


def effects(alias, **wanted):
    return Effect.objects.using(alias).filter(**wanted).order_by("pk")


def assert_once_and_in_order(alias, log, count):
    """Each entry is handled once; a stream's in its order."""
    rows = list(effects(alias).values_list("position", "stream", "seq"))
    assert sorted(position for position, _, _ in rows) == list(range(1, count + 1))
    for stream in {stream for _, stream, _ in rows}:
        seqs = [seq for _, name, seq in rows if name == stream]
        assert seqs == sorted(seqs), stream


def emit_some(log, count, streams=7, **payload):
    log.append_many(
        {"kind": "n", "stream": f"s{n % streams}", "payload": payload} for n in range(count)
    )


def caught_up(alias, count):
    return lambda: effects(alias).count() >= count


@pytest.mark.parametrize("batch", [1, 20])
def test_killed_again_and_again_each_entry_is_handled_once(alias, log, batch):
    emit_some(log, 400, sleep=0.004)
    shards = 1 if alias == "default" else 4
    with runners(alias, {"name": "h", "batch": batch, "shards": shards}) as run:
        alive = [run.start() for _ in range(1 if alias == "default" else 3)]
        chance = random.Random(7)
        for _ in range(5):
            done = effects(alias).count()
            wait_until(lambda done=done: effects(alias).count() >= min(400, done + 30))
            victim = alive.pop(chance.randrange(len(alive)))
            victim.kill()
            victim.wait()
            alive.append(run.start())
        wait_until(caught_up(alias, 400))
    assert_once_and_in_order(alias, log, 400)
    assert {shard.cursor for shard in Shard.objects.using(alias).all()} == {400}


@pytest.mark.parametrize("alias", SEVERAL, indirect=True)
@pytest.mark.parametrize("atomic", [True, False])
def test_another_takes_over_within_five_seconds(alias, log, atomic):
    emit_some(log, 1, sleep=60)
    with runners(alias, {"name": "h", "atomic": atomic}) as run:
        first = run.start()
        key = "lease_until__isnull"
        if atomic:
            wait_until(lambda: Shard.objects.using(alias).exists())
            wait_until(lambda: not free(alias))
        else:
            wait_until(lambda: Shard.objects.using(alias).filter(**{key: False}).exists())
        run.start()
        time.sleep(1)  # the second is there, and finds nothing to do
        first.kill()
        began = time.monotonic()
        wait_until(lambda: taken_by(alias, first, atomic), seconds=10)
        assert time.monotonic() - began < 5


def free(alias):
    from django.db import transaction

    with transaction.atomic(using=alias):
        rows = Shard.objects.using(alias).select_for_update(skip_locked=True)
        return bool(list(rows))


def taken_by(alias, first, atomic):
    if atomic:
        # The lock of the one that died is gone, and the other has it.
        return not free(alias)
    return effects(alias).exclude(process=first.pid).exists()


@pytest.mark.parametrize("alias", SEVERAL, indirect=True)
def test_one_that_slept_through_its_lease_moves_nothing(alias, log):
    """What another has done meanwhile is not done again after it."""
    emit_some(log, 1, sleep=1.5)
    emit_some(log, 3)
    with runners(alias, {"name": "h", "atomic": False}) as run:
        first = run.start()
        wait_until(caught_up(alias, 1))
        first.send_signal(signal.SIGSTOP)
        second = run.start()
        wait_until(lambda: Shard.objects.using(alias).get().cursor == 4)
        first.send_signal(signal.SIGCONT)
        emit_some(log, 1)
        wait_until(caught_up(alias, 6))
        for process in (first, second):
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
    assert sorted(effects(alias).values_list("position", flat=True)) == [1, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("alias", SEVERAL, indirect=True)
def test_shards_change_under_load(alias, log):
    """1 → 4 → 2, while processes with the old number still run."""
    options = {"name": "h", "retry": [0.2] * 50}

    def acting(shards):
        import json

        return json.dumps([{**options, "shards": shards}])

    emit_some(log, 100, sleep=0.002)
    total = 100
    with runners(alias, {**options, "shards": 1}) as run:
        old = [run.start() for _ in range(2)]
        wait_until(caught_up(alias, 30))
        for shards in (4, 2):
            new = [run.start(ACTING=acting(shards)) for _ in range(2)]
            for _ in range(10):
                emit_some(log, 20, sleep=0.002)
                total += 20
                time.sleep(0.05)
            wait_until(
                lambda shards=shards: (
                    list(Shard.objects.using(alias).values_list("of", flat=True))
                    == [shards] * shards
                )
            )
            old += new
        wait_until(caught_up(alias, total))
    assert_once_and_in_order(alias, log, total)


def test_once_does_what_is_due_and_tells(alias, log):
    emit_some(log, 10)
    with runners(alias, {"name": "h"}, {"name": "g", "shards": 3}) as run:
        done = run.manage("run_handlers", "--once")
        assert done.returncode == 0, done.stderr
        assert effects(alias).count() == 20
        log.append("n", {"fail": True}, stream="s1")
        log.append("n", stream="s1")
        log.append("n", stream="s2")
        assert run.manage("run_handlers", "h", "--once").returncode == 1
        assert effects(alias, handler="h").count() == 11
        assert Held.objects.using(alias).count() == 2
        assert run.manage("handlers", "h", "--drop", "11").returncode == 0
        assert run.manage("run_handlers", "h", "--once").returncode == 0
        assert effects(alias, handler="h").count() == 12


def test_what_a_transaction_emitted_is_handled_by_once(alias, log):
    """Also what a process left in the outbox."""
    from django.db import transaction

    with transaction.atomic(using=alias):
        log.append("n")
    with runners(alias, {"name": "h"}, {"name": "g", "kind": "emitted"}) as run:
        log.append("n", {"emit": True})
        assert run.manage("run_handlers", "--once").returncode == 0
        assert effects(alias, handler="h").count() == 2
        assert effects(alias, handler="g").count() == 1


def test_sigterm_finishes_the_entry_at_hand(alias, log):
    emit_some(log, 2, sleep=1.5)
    with runners(alias, {"name": "h"}) as run:
        process = run.start()
        wait_until(lambda: Subscription.objects.using(alias).exists())
        time.sleep(0.7)  # it sleeps in the first one
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert effects(alias).count() == 1
    assert Shard.objects.using(alias).get().cursor == 1


def paused(alias):
    """On SQLite a handler at work may keep others from writing for longer than they wait."""
    try:
        return Subscription.objects.using(alias).update(state="paused")
    except OperationalError:
        return False


def test_pause_takes_effect_within_two_seconds(alias, log):
    emit_some(log, 2000, sleep=0.02)
    with runners(alias, {"name": "h"}) as run:
        run.start()
        wait_until(caught_up(alias, 5))
        wait_until(lambda: paused(alias))
        time.sleep(2)  # as long as it may take
        count = effects(alias).count()
        time.sleep(0.5)  # in which it would handle twenty
        assert effects(alias).count() == count


@pytest.mark.parametrize("carrier", ["PostgreSQL", "Redis"])
@pytest.mark.parametrize("alias", SEVERAL[:1], indirect=True)
def test_a_hint_from_another_process_is_heard(alias, log, tmp_path, carrier):
    """Where something carries hints between processes, nobody waits for the next poll."""
    slow = {"SITE_EVENTS": '{"POLL_INTERVAL": 60}'}
    with ExitStack() as stack:
        if carrier == "Redis":
            slow["REDIS_URL"] = stack.enter_context(running_redis(tmp_path)).url
        run = stack.enter_context(runners(alias, {"name": "h"}, **slow))
        run.start()
        wait_until(lambda: Shard.objects.using(alias).exists())
        emit = ("emit_event", "n", "-v0")
        # The first one may come before the worker listens.
        wait_until(lambda: run.manage(*emit).returncode or effects(alias).exists())
        count = effects(alias).count()
        began = time.monotonic()
        assert run.manage(*emit).returncode == 0
        wait_until(lambda: effects(alias).count() > count)
        assert time.monotonic() - began < 10
