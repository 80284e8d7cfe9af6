"""Live delivery from outside: real servers, another process that emits, and clients that come
and go."""

import asyncio
import json
import os
import uuid
from contextlib import AsyncExitStack

import httpx
import pytest

from .support.emitter import emitter
from .support.http_client import API
from .support.live_clients import event_stream, socket
from .support.sites import PAIRS, scratch_site

# Connections that are cut; CYCLES=1000 for the long version.
CYCLES = int(os.environ.get("CYCLES", "100"))


@pytest.fixture(scope="module", params=PAIRS)
def server(request, tmp_path_factory):
    """A site, its address, and the cookies of somebody who may read everything."""
    database, name = request.param
    with scratch_site(database, tmp_path_factory.mktemp("site")) as site:
        cookies = {"sessionid": site.sign_in()}
        with site.serve(name) as (_, address):
            yield site, address, cookies


@pytest.fixture(scope="module")
def other(server):
    """The process that emits."""
    with emitter(server[0]) as process:
        yield process


@pytest.fixture
def at(server):
    return server[1:]


@pytest.fixture
def name():
    return f"s-{uuid.uuid4().hex[:8]}"


async def head(at):
    address, cookies = at
    async with httpx.AsyncClient(base_url=address, cookies=cookies) as client:
        return (await client.get(API + "head/")).json()["head"]


async def held(at):
    async with httpx.AsyncClient(base_url=at[0]) as client:
        return (await client.get("/held/")).json()


class TestServerSentEvents:
    async def test_what_is_stored_and_then_what_comes(self, at, other):
        """B41, B42, B45: the headers, the client's own cursor, and frames in their form."""
        since = await head(at)
        stored = other.emit("turn.started", {"n": "é"}, stream="sse")
        async with event_stream(*at, since=since) as stream:
            assert stream.status == 200
            assert stream.headers["content-type"] == "text/event-stream"
            assert stream.headers["cache-control"] == "no-cache"
            assert stream.headers["x-accel-buffering"] == "no"
            assert await stream.block() == {"retry": "2000", "id": str(since)}
            frame = await stream.block()
            assert list(frame) == ["id", "event", "data"]
            assert (frame["id"], frame["event"]) == (str(stored), "turn.started")
            assert json.loads(frame["data"])["payload"] == {"n": "é"}
            position = other.emit()
            assert await stream.positions(1) == [position]

    async def test_it_is_what_rest_says(self, at, other):
        """B65: byte for byte."""
        position = other.emit("a.b", {"text": "€ \\ \n", "n": 1.50, "z": [], "a": {}})
        async with httpx.AsyncClient(base_url=at[0], cookies=at[1]) as client:
            page = (await client.get(API, params={"since": position - 1, "limit": 1})).text
        async with event_stream(*at, since=position - 1) as stream:
            await stream.block()
            data = (await stream.block())["data"]
        async with socket(*at, f"?since={position - 1}") as ws:
            await ws.frame()
            frame = await ws.connection.recv()
        assert f'"results":[{data}]' in page
        assert f'"events":[{data}]' in frame

    async def test_last_event_id_beats_since(self, at, other):
        """B43"""
        first, _, third = other.emit_many(3)
        headers = {"Last-Event-ID": str(third - 1)}
        async with event_stream(*at, since=first, headers=headers) as stream:
            assert await stream.positions(1) == [third]

    async def test_the_last(self, at, other, name):
        """They come first, behind the cursor before them; a Last-Event-ID beats it."""
        positions = other.emit_many(3, stream=name)
        async with event_stream(*at, last=2, stream=name) as stream:
            assert await stream.block() == {"retry": "2000", "id": str(positions[1] - 1)}
            assert await stream.positions(2) == positions[1:]
            position = other.emit(stream=name)
            assert await stream.positions(1) == [position]
        headers = {"Last-Event-ID": str(positions[0])}
        async with event_stream(*at, last=1, stream=name, headers=headers) as stream:
            assert await stream.positions(2) == positions[1:]
        async with event_stream(*at, last=1, since=0) as stream:
            assert stream.status == 400

    @pytest.mark.parametrize("id", ["", "x", "-1", "1.5", "9" * 30, "٣"])
    async def test_garbage_is_a_full_replay(self, at, other, id):
        """B44"""
        *_, until = other.emit_many(2)
        async with event_stream(*at) as stream:
            # Not always 1: another test may have deleted the stream of that.
            first = (await stream.entry())["position"]
        headers = {"Last-Event-ID": id.encode()}
        async with event_stream(*at, since=until, headers=headers) as stream:
            assert (await stream.entry())["position"] == first < until

    async def test_without_names(self, at, other):
        """B45: for a client that only listens to messages."""
        position = other.emit("a.b")
        async with event_stream(*at, since=position - 1, named="0") as stream:
            await stream.block()
            assert list(await stream.block()) == ["id", "data"]

    async def test_filters(self, at, other, name):
        """B31, B11"""
        since = await head(at)
        async with event_stream(*at, since=since, kind="wanted.*") as stream:
            await stream.block()
            other.emit("unwanted")
            position = other.emit("wanted.so")
            assert (await stream.entry())["position"] == position
        other.emit(stream=name)
        async with event_stream(*at, since=since, stream=name) as stream:
            assert (await stream.entry())["stream"] == name

    async def test_a_set_of_streams(self, at, other, name):
        """It waits for streams that do not exist, and does not end with one of its own."""
        since = await head(at)
        async with event_stream(*at, since=since, stream=[f"{name}:*", f"{name}-b"]) as stream:
            assert stream.status == 200
            await stream.block()
            other.emit(stream=name)
            first = other.do(f"log.stream('{name}:1').open()")["position"]
            other.do(f"log.stream('{name}:1').stop()")
            last = other.emit(stream=f"{name}-b")
            assert await stream.positions(3) == [first, first + 1, last]

    async def test_an_unknown_stream(self, at):
        """B50"""
        for path, params in (("live/", {"stream": "nobody"}), ("streams/nobody/live/", {})):
            async with event_stream(*at, path, **params) as stream:
                assert stream.status == 404

    async def test_a_stream_that_ends(self, at, other, name):
        """B48, B49: the rest, the bookmark, the end; who comes back is told not to."""
        other.emit(stream=name)
        async with event_stream(*at, f"streams/{name}/live/", kind="other") as stream:
            await stream.block()
            last = other.emit(stream=name)
            other.end_stream(name, "failed")
            rest = await stream.rest()
        assert rest[-1] == {"event": "end", "data": '{"reason":"failed","reconnect":false}'}
        assert stream.last_id is not None
        assert int(stream.last_id) >= last
        headers = {"Last-Event-ID": stream.last_id}
        async with event_stream(*at, f"streams/{name}/live/", headers=headers) as stream:
            assert stream.status == 204
        async with event_stream(*at, f"streams/{name}/live/") as stream:
            rest = await stream.rest()
        assert [block.get("event") for block in rest] == [None, "n", "n", "end"]

    async def test_one_that_is_deleted(self, at, other, name):
        """B61, B63"""
        other.emit(stream=name)
        async with event_stream(*at, f"streams/{name}/live/") as stream:
            await stream.positions(1)
            other.do(f"log.stream({name!r}).delete()")
            assert json.loads((await stream.rest())[-1]["data"])["reason"] == "deleted"

    async def test_a_gap_is_told(self, at):
        """B4, B12: with the place from which it goes on, for who comes back at once."""
        until = await head(at)
        async with event_stream(*at, since=until + 10) as stream:
            assert (await stream.block())["id"] == str(until + 10)
            gap = await stream.block()
            assert (gap["event"], gap["id"]) == ("gap", str(until))
            assert json.loads(gap["data"])["reason"] == "ahead"

    async def test_who_may_not_read(self, at):
        """B65, B67: as everywhere else."""
        async with event_stream(at[0], {}) as stream:
            assert stream.status in (401, 403)
            assert stream.headers["content-type"] == "application/json"

    async def test_head_is_only_headers(self, at):
        """B41: and ends."""
        async with httpx.AsyncClient(base_url=at[0], cookies=at[1], timeout=5) as client:
            answer = await client.head(API + "live/")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"

    async def test_joining_while_others_write(self, at, other):
        """B38: everything once, in order, whenever one comes."""
        since = await head(at)

        async def join(delay):
            await asyncio.sleep(delay)
            async with event_stream(*at, since=since) as stream:
                return await stream.positions(300)

        joins = [asyncio.ensure_future(join(n / 40)) for n in range(10)]
        for _ in range(30):
            await asyncio.to_thread(other.emit_many, 10)
        for found in await asyncio.gather(*joins):
            assert found == list(range(since + 1, since + 301))


class TestWebSocket:
    async def test_a_subscription(self, at, other):
        """B42, B31: where it begins, what is stored, that it is live, what comes."""
        since = await head(at)
        stored = other.emit("a", {"n": 1})
        async with socket(*at) as ws:
            frames = await ws.subscribe(since=since)
            subscribed, events, live = frames
            assert (subscribed["cursor"], subscribed["gap"]) == (since, None)
            assert subscribed["head"] >= since
            assert [entry["position"] for entry in events["events"]] == [stored]
            assert live == {"type": "live", "id": "a", "cursor": stored}
            position = other.emit("b")
            assert await ws.positions(1) == [position]

    async def test_several_on_one_socket(self, at, other, name):
        """B31: each with its own filter and cursor."""
        since = await head(at)
        async with socket(*at) as ws:
            await ws.subscribe("stream", since=since, stream=name)
            await ws.subscribe("kind", since=since, kind=["wanted.*", "also"])
            wanted, also, own = (
                other.emit("wanted.so"),
                other.emit("also", stream=name),
                other.emit("n", stream=name),
            )
            found = {"stream": [], "kind": []}
            while sum(map(len, found.values())) < 4:
                frame = await ws.frame()
                found[frame["id"]] += [entry["position"] for entry in frame["events"]]
            assert found == {"stream": [also, own], "kind": [wanted, also]}

    async def test_a_set_of_streams(self, at, other, name):
        """One subscription follows several, by a frame or by the address, and does not end."""
        since = await head(at)
        async with socket(*at) as ws, socket(*at, f"?since={since}&stream={name}:*") as other_ws:
            await ws.subscribe(since=since, stream=[f"{name}:*", f"{name}-b"])
            other.emit(stream=name)
            first = other.do(f"log.stream('{name}:1').open()")["position"]
            other.do(f"log.stream('{name}:1').stop()")
            last = other.emit(stream=f"{name}-b")
            assert await ws.positions(3) == [first, first + 1, last]
            assert await other_ws.positions(2, id="") == [first, first + 1]

    async def test_by_the_address(self, at, other, name):
        """B42: what the query string asks for has the id ''."""
        position = other.emit(stream=name)
        async with socket(*at, f"?since=0&stream={name}") as ws:
            assert (await ws.frame())["id"] == ""
            assert await ws.positions(1, "") == [position]

    async def test_the_last(self, at, other, name):
        """In a frame and in the address: the cursor is before them."""
        positions = other.emit_many(3, stream=name)
        async with socket(*at) as ws, socket(*at, f"?last=1&stream={name}*") as other_ws:
            await ws.send("subscribe", id="a", last=2, stream=name)
            assert (await ws.frame())["cursor"] == positions[1] - 1
            assert await ws.positions(2) == positions[1:]
            assert (await other_ws.frame())["cursor"] == positions[2] - 1
            assert await other_ws.positions(1, id="") == positions[2:]

    async def test_unsubscribing(self, at, other, name):
        """B32"""
        async with socket(*at) as ws:
            await ws.subscribe(since="latest", stream=name)
            await ws.send("unsubscribe", id="a")
            await ws.until("unsubscribed", id="a")
            other.emit(stream=name)
            await ws.send("ping")
            assert [frame["type"] for frame in await ws.until("pong")] == ["pong"]
            await ws.subscribe(since="latest")

    async def test_a_stream_that_does_not_exist_yet(self, at, other, name):
        """B62"""
        async with socket(*at) as ws:
            await ws.subscribe(stream=name)
            position = other.emit(stream=name)
            assert await ws.positions(1) == [position]

    async def test_the_end_of_a_stream(self, at, other, name):
        """B48, B61: once, after its last event; the socket goes on."""
        other.emit(stream=name)
        async with socket(*at) as ws:
            await ws.subscribe(stream=name)
            last = other.emit(stream=name)
            other.end_stream(name)
            frames = await ws.until("end", id="a")
            assert frames[-2]["events"][-1]["position"] == last
            assert (frames[-1]["reason"], frames[-1]["reconnect"]) == ("completed", False)
            await ws.subscribe(since="latest")

    async def test_gaps(self, at):
        """B4, B13"""
        until = await head(at)
        async with socket(*at) as ws:
            frames = await ws.subscribe(since=until + 9)
            assert (frames[0]["gap"]["reason"], frames[0]["cursor"]) == ("ahead", until)
            frames = await ws.subscribe("b", since=1, epoch="other")
            assert frames[0]["gap"]["reason"] == "epoch"

    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            ({"id": "a", "since": -1}, "bad_request"),
            ({"id": "a", "since": "x"}, "bad_request"),
            ({"id": "a", "since": 1.5}, "bad_request"),
            ({"id": "a", "since": True}, "bad_request"),
            ({"id": "a", "since": 2**63}, "bad_request"),
            ({"id": "a", "since": [1]}, "bad_request"),
            ({"id": "a", "last": 0}, "bad_request"),
            ({"id": "a", "last": 10_000}, "bad_request"),
            ({"id": "a", "last": True}, "bad_request"),
            ({"id": "a", "last": "1"}, "bad_request"),
            ({"id": "a", "last": 1, "since": 0}, "bad_request"),
            ({"id": "a", "kind": "Not A Kind"}, "bad_request"),
            ({"id": "a", "kind": [1]}, "bad_request"),
            ({"id": "a", "kind": 1}, "bad_request"),
            ({"id": "a", "kind": ["a"] * 101}, "bad_request"),
            ({"id": "a", "stream": "no stream"}, "bad_request"),
            ({"id": "a", "stream": 1}, "bad_request"),
            ({"id": "a", "stream": []}, "bad_request"),
            ({"id": "a", "stream": ["a", None]}, "bad_request"),
            ({"id": "a", "stream": [["a"]]}, "bad_request"),
            ({"id": "a", "stream": {"a": 1}}, "bad_request"),
            ({"id": "a", "stream": "*"}, "bad_request"),
            ({"id": "a", "stream": ["a", "b*c"]}, "bad_request"),
            ({"id": "a", "stream": [f"s{n}" for n in range(33)]}, "bad_request"),
            ({"id": "a", "epoch": 1}, "bad_request"),
            ({"id": "a", "log": "nothing"}, "not_found"),
            ({"id": "a", "log": 1}, "bad_request"),
            ({"id": 1}, "bad_request"),
            ({}, "bad_request"),
            ({"id": ["a"]}, "bad_request"),
        ],
    )
    async def test_what_cannot_be_subscribed(self, at, frame, code):
        """B6: an error frame, and the socket goes on."""
        async with socket(*at) as ws:
            await ws.send("subscribe", **frame)
            answer = await ws.frame()
            assert (answer["type"], answer["code"]) == ("error", code)
            assert answer["id"] == (frame.get("id") if isinstance(frame.get("id"), str) else None)
            await ws.send("ping")
            assert (await ws.frame())["type"] == "pong"

    async def test_an_id_twice(self, at):
        """An error frame; the first one goes on."""
        async with socket(*at) as ws:
            await ws.subscribe(since="latest")
            await ws.send("subscribe", id="a")
            assert (await ws.until("error"))[-1]["code"] == "bad_request"

    async def test_too_many_subscriptions(self, at):
        async with socket(*at) as ws:
            for n in range(129):
                await ws.send("subscribe", id=str(n), since="latest")
            assert (await ws.until("error"))[-1] == {
                "type": "error",
                "id": "128",
                "code": "too_many",
                "detail": "At most 128 subscriptions a socket.",
            }

    @pytest.mark.parametrize(
        "frame",
        [
            "x", "[]", "1", "{}", '{"type":1}', '{"type":"other"}', b"{}", "[" * 30_000,
            '{"type":"ack"}', '{"type":"ack","id":"a","position":"x"}', '{"type":"ack","id":1}',
            '{"type":"subscribe","since":' + "9" * 5000 + "}", '{"type":"ping","x":"' + "y" * 65_536 + '"}',
        ],
        ids=lambda frame: str(frame[:20]),
    )  # fmt: skip
    async def test_bad_frames(self, at, frame):
        """The connection ends with 4400: coming back would not help."""
        async with socket(*at) as ws:
            await ws.connection.send(frame)
            assert await ws.closed() == 4400

    async def test_hostile_ids(self, at, other):
        """B52: an id is the client's own string, whatever is in it."""
        for id in ('"},{"', "\u2028", "\ud800", "\x00", "é" * 100):
            async with socket(*at) as ws:
                await ws.send("subscribe", id=id, since="latest")
                await ws.until("live", id=id)
                other.emit()
                assert (await ws.until("events", id=id))[-1]["id"] == id

    async def test_a_flood(self, at):
        """4429: come back later, and ask for less."""
        async with socket(*at) as ws:
            for _ in range(2000):
                try:
                    await ws.send("ping")
                except Exception:
                    break
            assert await ws.closed() == 4429

    async def test_a_bad_address(self, at):
        async with socket(*at, "?since=x") as ws:
            assert (await ws.frame())["code"] == "bad_request"
            assert await ws.closed() == 4400

    async def test_who_is_not_signed_in(self, at):
        """B65"""
        async with socket(at[0], {}, "?since=0") as ws:
            assert await ws.closed() == 4401
        async with socket(at[0], {}) as ws:
            await ws.send("subscribe", id="a")
            assert await ws.closed() == 4401

    @pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
    async def test_another_sites_page(self, at, origin):
        """B68: refused before it is a socket."""
        with pytest.raises(Exception, match="403"):
            async with socket(*at, origin=origin):
                pass

    async def test_large_and_many(self, at, other):
        """B34: nothing lost where batches are cut, and no frame beyond its size."""
        since = await head(at)
        for _ in range(4):
            other.emit_many(40, 30_000)
        async with socket(*at) as ws:
            frames = [json.dumps(frame) for frame in await ws.subscribe(since=since)]
            assert max(map(len, frames)) <= 256 * 1024 + 1024
            found = [e["position"] for f in map(json.loads, frames) for e in f.get("events", [])]
            assert found == list(range(since + 1, since + 161))

    async def test_who_does_not_acknowledge(self, at, other):
        """B34: the server stops at a mebibyte; an acknowledgement lets it go on."""
        since = await head(at)
        other.emit_many(100, 30_000)
        async with socket(*at, acknowledges=False) as ws:
            await ws.send("subscribe", id="a", since=since)
            size, last = 0, None
            while True:
                try:
                    frame = await ws.frame(0.7)
                except TimeoutError:
                    break
                if frame["type"] == "events":
                    size += len(json.dumps(frame))
                    last = frame["events"][-1]["position"]
            assert 500_000 < size <= 2**20 + 1024
            await ws.send("ack", id="a", position=last)
            assert (await ws.frame())["events"][0]["position"] == last + 1

    async def test_joining_while_others_write(self, at, other):
        """B38: everything once, in order, whenever one comes."""
        since = await head(at)

        async def join(delay):
            await asyncio.sleep(delay)
            async with socket(*at, f"?since={since}") as ws:
                return await ws.positions(300, "")

        joins = [asyncio.ensure_future(join(n / 40)) for n in range(10)]
        for _ in range(30):
            await asyncio.to_thread(other.emit_many, 10)
        for found in await asyncio.gather(*joins):
            assert found == list(range(since + 1, since + 301))


async def settled(at, baseline):
    """Wait until the server holds no more than it did."""
    async with asyncio.timeout(20):
        while True:
            now = await held(at)
            if all(now[name] <= baseline[name] for name in ("followers", "topics", "streams")) and (
                now["tasks"] <= baseline["tasks"] + 3 and now["files"] <= baseline["files"] + 5
            ):
                return now
            await asyncio.sleep(0.1)


async def test_who_goes_away_leaves_nothing_behind(server, at, other, name):
    """B51, B32: connections that are cut leave no file, task or subscription."""
    other.emit(stream=name)
    async with event_stream(*at) as stream:
        await stream.block()

        async def listen():
            async with event_stream(*at, f"streams/{name}/live/") as stream:
                await stream.block()

        async def talk():
            async with socket(*at) as ws:
                await ws.subscribe(stream=name)
                ws.connection.transport.abort()

        async def ten():
            await asyncio.gather(*(job() for job in [listen, talk] * 5))

        # The first ones leave a thread and its connection to the database for the next.
        await ten()
        await settled(at, {**await held(at), "followers": 1, "topics": 1, "streams": 0})
        baseline = await held(at)
        for _ in range(CYCLES // 10):
            await ten()
        await settled(at, baseline)


async def test_those_who_wait_cost_no_threads(at):
    """B51: what Django holds for a request is given back, on Server-Sent Events as well."""
    async with AsyncExitStack() as stack:
        baseline = (await held(at))["threads"]
        for _ in range(40):
            stream = await stack.enter_async_context(event_stream(*at, since="latest"))
            await stream.block()
        assert (await held(at))["threads"] <= baseline + 10


async def test_one_that_does_not_read(server, at, other):
    """B34: fifty others notice nothing, and what the server keeps for it is bounded."""
    since = await head(at)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        stuck = await enter(socket(*at, acknowledges=False, max_queue=1))
        await stuck.send("subscribe", id="a", since=since)
        unread = await enter(event_stream(*at, since=since))
        await unread.block()
        reading = [await enter(socket(*at, f"?since={since}")) for _ in range(5)]
        waiting = [await enter(socket(*at)) for _ in range(45)]
        for ws in waiting:
            await ws.subscribe(kind="rare", since=since)

        async def megabytes(count):
            """As many go by, and all others read them."""
            first = await head(at)
            last = first + 50 * count
            readers = [asyncio.ensure_future(ws.positions(50 * count, "")) for ws in reading]
            for _ in range(count):
                await asyncio.to_thread(other.emit_many, 50, 20_000)
            for found in await asyncio.gather(*readers):
                assert found == list(range(first + 1, last + 1))
            return (await held(at))["kilobytes"]

        # What everybody shares, the window above all, is full after the first of them. What the
        # allocator keeps goes up and down by ten megabytes.
        before = await megabytes(30)
        assert await megabytes(60) - before < 30_000
        rare = other.emit("rare")
        for found in await asyncio.gather(*(ws.positions(1) for ws in waiting)):
            assert found == [rare]
