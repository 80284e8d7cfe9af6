"""Hints through the channel layer: soon, few, and at no cost to who emits."""

import asyncio
import subprocess
import sys
import time

import pytest
from asgiref.sync import sync_to_async
from channels.layers import InMemoryChannelLayer, channel_layers, get_channel_layer

from events import emit
from events.live import notifier
from events.live.group import group_name, listen, member

from .support.redis_server import running_redis
from .support.servers import ROOT
from .support.sites import scratch_site

CORE = "channels_redis.core.RedisChannelLayer"
PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"


@pytest.fixture
def log(make_log):
    return make_log(BACKEND="memory", TTL=None)


@pytest.fixture
async def joined(log, settings):
    """A channel that is in the log's group, as a project's own consumer has."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(group_name(log.name), channel)

    async def receive(seconds=5):
        async with asyncio.timeout(seconds):
            return await layer.receive(channel)

    yield receive
    await layer.group_discard(group_name(log.name), channel)


async def emit_here(log):
    log.append("n")


async def emit_in_thread(log):
    await asyncio.to_thread(log.append, "n")


async def emit_as_a_view(log):
    await sync_to_async(log.append)("n")


async def aemit_here(log):
    await log.aappend("n")


@pytest.mark.parametrize("way", [emit_here, emit_in_thread, emit_as_a_view, aemit_here])
async def test_a_hint_after_an_append(log, joined, way):
    """B31: from wherever it is emitted, to the loop of whoever waits."""
    waiting = asyncio.ensure_future(joined())
    await asyncio.sleep(0)
    began = time.monotonic()
    await way(log)
    assert await waiting == {"type": "events.appended", "log": log.name, "head": 1}
    assert time.monotonic() - began < 1


async def test_a_burst_shares_hints(log, joined):
    """B35: the last one says how far it went."""
    waiting = asyncio.ensure_future(joined())
    await asyncio.to_thread(lambda: [log.append("n") for _ in range(2000)])
    heads = [(await waiting)["head"]]
    while heads[-1] < 2000:
        heads.append((await joined())["head"])
    assert len(heads) < 200
    assert heads == sorted(heads)


async def test_nobody_there_costs_nothing(log, settings, monkeypatch):
    """B33, B40"""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    monkeypatch.setattr(InMemoryChannelLayer, "group_send", None)
    fresh = notifier.Notifier()
    monkeypatch.setattr(notifier, "_notifier", fresh)
    log.append("n")
    assert fresh.thread is None


class Broken:
    """A layer with which nothing works."""

    def __init__(self, **config):
        pass

    async def group_send(self, group, message):
        raise OSError("down")


class Hanging(Broken):
    async def group_send(self, group, message):
        await asyncio.sleep(60)


@pytest.mark.parametrize("layer", ["Broken", "Hanging", "Nothing", None])
def test_whatever_the_layer_does(log, settings, monkeypatch, layer, caplog):
    """B33: an emit neither fails nor waits."""
    if layer:
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": f"tests.test_notifier.{layer}"}}
    else:
        settings.CHANNEL_LAYERS = {}
    fresh = notifier.Notifier()
    monkeypatch.setattr(notifier, "_notifier", fresh)
    monkeypatch.setattr(notifier, "PAUSE", 0.01)
    monkeypatch.setattr(notifier, "FLUSH_TIMEOUT", 0.3)
    began = time.monotonic()
    for _ in range(100):
        log.append("n")
    assert time.monotonic() - began < 0.5
    began = time.monotonic()
    fresh.flush()
    assert time.monotonic() - began < 1
    if layer == "Broken":
        time.sleep(0.1)
        assert len([one for one in caplog.records if "hints" in one.message]) == 1
    # The thread goes on with what it has until it is told of a layer that works.
    settings.CHANNEL_LAYERS = {}


@pytest.mark.django_db(transaction=True)
async def test_after_the_commit_and_not_before(make_log, settings):
    """B26: a hint from a transaction comes when there is something to read."""
    from django.db import connections, transaction

    log = make_log()
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    layer = get_channel_layer()
    await layer.group_add(group_name(log.name), "specific.inmemory!x")
    waiting = asyncio.ensure_future(layer.receive("specific.inmemory!x"))
    await asyncio.sleep(0)

    def work():
        try:
            with transaction.atomic():
                emit("n", log=log.name)
                time.sleep(0.1)
                assert not waiting.done()
        finally:
            connections.close_all()

    await asyncio.to_thread(work)
    async with asyncio.timeout(5):
        assert (await waiting)["head"] == 1


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.mark.parametrize("backend", [CORE, PUBSUB])
async def test_through_redis(log, settings, redis, backend, monkeypatch):
    """B36: the broker of another process hears of it; both of channels_redis's layers do."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend, "CONFIG": {"hosts": [redis.url]}}}
    heard = asyncio.Event()
    listener = asyncio.ensure_future(listen(log.backend, heard.set))
    async with asyncio.timeout(5):
        await heard.wait()
    await asyncio.sleep(0.1)
    heard.clear()
    monkeypatch.setattr(notifier, "_notifier", notifier.Notifier())
    await asyncio.to_thread(log.append, "n")
    async with asyncio.timeout(5):
        await heard.wait()
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)
    channel_layers.backends.clear()


async def test_two_projects_on_one_redis(log, settings, redis, monkeypatch):
    """The server processes of one do not wake those of the other; a group of the log's name that a
    project's own consumers join, they share."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": PUBSUB, "CONFIG": {"hosts": [redis.url]}}}
    hints, heard = [], asyncio.Event()

    def hear():
        hints.append(1)
        heard.set()

    async def append_and_receive():
        monkeypatch.setattr(notifier, "_notifier", notifier.Notifier())
        await asyncio.to_thread(log.append, "n")
        async with asyncio.timeout(5):
            return await layer.receive(own)

    listener = asyncio.ensure_future(listen(log.backend, hear))
    async with asyncio.timeout(5):
        await heard.wait()
    layer = get_channel_layer()
    async with member(layer, group_name(log.name)) as own:
        ours = settings.SECRET_KEY
        settings.SECRET_KEY = "of another project"
        assert (await append_and_receive())["head"] == 1
        assert len(hints) == 1  # the one of joining
        settings.SECRET_KEY = ours
        heard.clear()
        assert (await append_and_receive())["head"] == 2
        async with asyncio.timeout(5):
            await heard.wait()
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)
    channel_layers.backends.clear()


EMIT = "from events import emit; emit('n')"
EMIT_IN_A_CHILD = """
import {library}
from events import emit
process = {library}.get_context("fork").Process(target=emit, args=("n",))
process.start()
process.join()
"""


@pytest.mark.parametrize(
    ("code", "host"),
    [
        (EMIT, "127.0.0.1"),
        (EMIT, "localhost"),
        (EMIT_IN_A_CHILD.format(library="multiprocessing"), "127.0.0.1"),
        (EMIT_IN_A_CHILD.format(library="billiard"), "127.0.0.1"),
    ],
    ids=["", "localhost", "multiprocessing", "billiard"],
)
def test_before_the_process_ends(redis, tmp_path, code, host):
    """B36: who emits and is done has told everybody; also a child, which ends without the usual
    farewell; such are Celery's workers."""
    if "billiard" in code:
        pytest.importorskip("billiard", reason="billiard (Celery) is not installed")
    url = redis.url.replace("127.0.0.1", host)
    pubsub = redis.client.pubsub()
    pubsub.psubscribe("*")
    pubsub.get_message(timeout=5)
    with scratch_site("sqlite", tmp_path, REDIS_URL=url) as site:
        subprocess.run(
            [sys.executable, "manage.py", "shell", "-v0", "-c", code],
            cwd=ROOT,
            env=site.environment,
            check=True,
            timeout=30,
        )
    message = pubsub.get_message(timeout=5)
    pubsub.close()
    assert message is not None
    assert b"events.appended" in message["data"]


def test_an_end_without_a_layer_is_not_late(tmp_path):
    """B33: a command does not hang at its end because Redis is down."""
    with scratch_site("sqlite", tmp_path, REDIS_URL="redis://127.0.0.1:1/0") as site:
        began = time.monotonic()
        site.manage("check")
        without = time.monotonic() - began
        began = time.monotonic()
        site.manage("emit_event", "n")
        assert time.monotonic() - began < without + 3
