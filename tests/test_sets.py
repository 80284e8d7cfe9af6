"""Sets of streams: whom they are shown to, and whom an event of one of them wakes."""

import asyncio
import json
from contextlib import AsyncExitStack, aclosing
from functools import partial

import pytest

from events.live import access
from events.live.broker import broker_for
from events.live.tail import follow
from events.policy import may_read

from .support import virtual
from .support.connections import SOMEBODY, Socket, next_batch, pass_real_time, reading, until
from .support.http_client import API

QUICK = {"BACKEND": "memory", "TTL": None, "POLL_INTERVAL": 0.05}


class NoSecrets:
    """Hides streams by name. It is told of nothing that is no name."""

    def can_read(self, user, stream):
        assert stream is None or "*" not in stream
        return stream is not None and not stream.startswith("secret")

    can_emit = can_read


class ByTeam(NoSecrets):
    """Grants the prefixes that cannot hold a secret; TEAMS changes while somebody reads."""

    teams = ("red:", "blue:")

    def can_read(self, user, stream):
        return super().can_read(user, stream) and stream.startswith(ByTeam.teams)

    def can_read_prefix(self, user, prefix):
        return prefix.startswith(ByTeam.teams)


class Everything:
    def can_read(self, user, stream):
        return True

    can_emit = can_read


@pytest.fixture(autouse=True)
def steady(monkeypatch):
    monkeypatch.setattr(ByTeam, "teams", ("red:", "blue:"))
    access._answers.clear()
    yield
    access._answers.clear()


# What asks for `secret`, or for more than a deny-list shows.
AROUND = [
    ["secret"],
    ["secret*"],
    ["s*"],
    ["secret-1*"],
    ["public", "secret"],
    ["secret", "secret"],
    ["public", "s*"],
    ["public*"],
    ["S*", "public"],
]


@pytest.mark.parametrize("streams", AROUND)
@pytest.mark.django_db(transaction=True)
class TestADenyList:
    """No set and no prefix reads around a policy that hides streams by name."""

    @pytest.mark.parametrize("path", ["", "live/"])
    @pytest.mark.parametrize("params", [{}, {"format": "ndjson"}, {"wait": 1}, {"kind": "n"}])
    def test_over_http(self, make_log, client, streams, path, params):
        """As a single stream that may not be read: it does not exist."""
        log = make_log(**QUICK, POLICY=f"{__name__}.NoSecrets")
        log.append("n", stream="secret")
        if path == "live/" and params.get("format"):
            return
        answer = client.get(API + path, {"log": log.name, "stream": streams, **params})
        assert answer.status_code == 404

    def test_over_a_websocket(self, make_log, streams):
        """In a frame and in the address."""
        log = make_log(**QUICK, POLICY=f"{__name__}.NoSecrets")
        log.append("n", stream="secret")
        query = "&".join(["since=0", f"log={log.name}", *(f"stream={one}" for one in streams)])

        async def story():
            asks = Socket(user=SOMEBODY)
            asks.say(type="subscribe", id="a", log=log.name, stream=streams, since=0)
            await until(asks.frames)
            comes = Socket(user=SOMEBODY, query=query.encode())
            await comes.task
            asks.task.cancel()
            return asks.frames(), comes.frames(), comes.code

        *told, code = virtual.run(story())
        assert [[frame.get("code") for frame in frames] for frames in told] == [["forbidden"]] * 2
        assert code == 4403


@pytest.mark.parametrize(
    ("streams", "allowed"),
    [
        (["red:1"], True),
        (["red:1", "blue:2"], True),
        (["red:*"], True),
        (["red:*", "red:1", "blue:x*"], True),
        (["green:1", "red:*"], False),
        (["red:1", "green:*"], False),
        (["red*"], False),
        ([], False),
    ],
)
def test_a_policy_that_grants_prefixes(streams, allowed):
    """Each name is asked for itself, each prefix as one, and one that is refused refuses all."""
    assert may_read(ByTeam(), None, streams) is allowed


def test_who_may_read_everything_may_read_each_prefix():
    """Where the policy has no word of its own about prefixes."""
    assert may_read(Everything(), None, ["a*", "b"])


class TestWhoLosesIt:
    """A prefix that is granted no longer is asked for again like any stream."""

    def test_over_a_websocket(self, make_log):
        log = make_log(**QUICK, POLICY=f"{__name__}.ByTeam")

        async def story():
            loop = asyncio.get_running_loop()
            socket = Socket(user=SOMEBODY)
            await socket.live(log=log.name, stream=["red:*", "blue:1"])
            await loop.pass_time(40)
            await pass_real_time()
            assert not socket.frames("error")
            ByTeam.teams = ("blue:",)
            for _ in range(60):
                await loop.pass_time(1)
                await pass_real_time()
            await until(lambda: socket.code)
            assert (socket.frames("error")[0]["code"], socket.code) == ("forbidden", 4403)

        virtual.run(story())

    def test_over_server_sent_events(self, make_log):
        log = make_log(**QUICK, POLICY=f"{__name__}.ByTeam")

        async def story():
            loop = asyncio.get_running_loop()
            reader = await reading(log, stream="red:*")
            ByTeam.teams = ("blue:",)
            for _ in range(60):
                await loop.pass_time(1)
                await pass_real_time()
            await until(reader.task.done)
            assert 'data: {"reason":"forbidden","reconnect":false}' in reader.take()

        virtual.run(story())


@pytest.mark.django_db(transaction=True)
class TestOverHTTP:
    def test_a_set(self, log, get, client):
        """A page of names and prefixes, whose `next` goes on with them; nobody is missing."""
        for stream in ("red:1", "red:2", "blue", "green", ""):
            log.append("n", stream=stream)
        page = get(stream=["red:*", "green", "nobody"], limit=2).json()
        assert [entry["stream"] for entry in page["results"]] == ["red:1", "red:2"]
        page = client.get(page["next"]).json()
        assert [entry["stream"] for entry in page["results"]] == ["green"]
        assert (page["cursor"], page["next"]) == (5, None)

    def test_ndjson(self, log, get):
        for stream in ("a1", "b", "a2"):
            log.append("n", stream=stream)
        answer = get(stream="a*", format="ndjson")
        lines = b"".join(answer.streaming_content).splitlines()
        assert [json.loads(line)["stream"] for line in lines] == ["a1", "a2"]

    def test_one_name_is_one_stream(self, log, get):
        """Also when it is repeated; an empty name is the whole log."""
        log.append("n", stream="a")
        log.append("n")
        for stream, count in [(["a", "a"], 1), (["", ""], 2), ("", 2)]:
            assert len(get(stream=stream).json()["results"]) == count
        assert get("live/", stream=["nobody", "nobody"]).status_code == 404

    @pytest.mark.parametrize(
        "stream", ["*", "a*b", ["a", ""], ["a", "no stream"], [f"s{n}" for n in range(33)]]
    )
    def test_what_is_no_set(self, get, stream):
        """The error names the parameter."""
        answer = get(stream=stream)
        assert (answer.status_code, list(answer.json())) == (400, ["stream"])

    @pytest.fixture
    def log(self, make_log):
        return make_log(**QUICK)


class TestFollowing:
    async def test_only_what_is_wanted_wakes(self, make_log):
        """A set is woken by its own events, once each; and nobody else is by these."""
        log = make_log(**QUICK)
        woken = []
        wanted = {"set": ["a", "b*"], "names": ["a", "c"], "prefix": "b*", "one": "a", "all": None}
        async with AsyncExitStack() as stack:
            for name, stream in wanted.items():
                wake = partial(woken.append, name)
                await stack.enter_async_context(follow(log.backend, log.query(stream=stream), wake))
            broker = broker_for(log.backend)
            await broker.look()
            for stream, expected in [
                ("a", ["all", "names", "one", "set"]),
                ("b", ["all", "prefix", "set"]),
                ("b:1", ["all", "prefix", "set"]),
                ("c", ["all", "names"]),
                ("d", ["all"]),
                ("", ["all"]),
                ("B", ["all"]),
            ]:
                woken.clear()
                await asyncio.to_thread(log.append, "n", stream=stream)
                await broker.look()
                assert sorted(woken) == expected, stream
        assert not broker.window.topics
        assert not broker.window.prefixes

    @pytest.mark.parametrize("stream", [["a", "b"], ["a", "b*"], None])
    async def test_each_is_given_in_order(self, make_log, stream):
        """From the log and from the window, which holds no more than ten."""
        log = make_log(**QUICK, WINDOW=10)
        names = ["a", "b", "c", "", "b", "a"] * 10
        log.append_many([{"kind": "n", "stream": name} for name in names[:30]])
        wanted = [n for n, name in enumerate(names, 1) if stream is None or name in ("a", "b")]
        found = []
        async with asyncio.timeout(10), aclosing(log.tail(stream=stream)) as entries:
            async for entry in entries:
                found.append(entry.position)
                if len(found) == len(wanted):
                    break
                if len(found) > 5 and log.info().head < len(names):
                    await asyncio.to_thread(log.append, "n", stream=names[log.info().head])
        assert found == wanted

    async def test_what_was_deleted_is_not_given_from_the_window(self, make_log):
        """And its end is not the set's."""
        log = make_log(**QUICK)
        async with follow(log.backend, log.query("latest", stream=["a", "b*"])) as tail:
            while not (await anext(tail)).live:
                pass
            log.stream("a").open()
            log.append("n", stream="b1")
            log.stream("a").delete()
            log.append("n", stream="b2")
            log.stream("b2").open()
            log.stream("b2").complete()
            await tail.broker.look()
            batch = await next_batch(tail, 5)
            assert [entry.row.stream for entry in batch.entries] == ["b1", "b2", "b2", "b2"]
            assert await next_batch(tail, 0.1) is None
            assert not tail.ended
