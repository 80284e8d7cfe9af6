"""What the views of Server-Sent Events answer, before and at the end of a response."""

import asyncio
from urllib.parse import urlencode

import pytest
from django.core.handlers.asgi import ASGIRequest

from events.api import sse
from events.api.eventsource import Connection

from .support.connections import Reader, request_of, until


def test_no_gzip(make_log, monkeypatch):
    """Django's GZipMiddleware makes a gzip member of every chunk, of which browsers, curl and httpx
    read the first one only: it is kept from this response."""
    from django.http import StreamingHttpResponse
    from django.middleware.gzip import GZipMiddleware

    log = make_log(BACKEND="memory")
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": f"log={log.name}".encode(),
    }
    scope["headers"] = [(b"accept-encoding", b"gzip")]
    scope["asgi"] = {"spec_version": "2.3"}
    monkeypatch.setattr(sse.LiveView, "must_read", lambda *args: None)
    monkeypatch.setattr(sse.LiveView, "authentication_classes", ())
    http = ASGIRequest(scope, None)
    response = GZipMiddleware(lambda request: sse.LiveView.as_view()(request))(http)
    assert isinstance(response, StreamingHttpResponse)
    assert response.headers.get("Content-Encoding") != "gzip"


class TestTheEndOfAStream:
    """Whoever comes back at it is sent away for good, if it was of this log that they had read it."""

    @pytest.fixture
    def ended(self, make_log):
        log = make_log(BACKEND="memory")
        log.append_many([("n", {})] * 3)
        with log.stream("run"):
            pass
        log.append_many([("n", {})] * 3)
        return log

    @pytest.fixture
    def status(self, ended, monkeypatch):
        monkeypatch.setattr(sse.StreamLiveView, "authentication_classes", ())
        monkeypatch.setattr(sse.StreamLiveView, "must_read", lambda *args: None)

        def status(headers=(), **params):
            query = urlencode({"log": ended.name, **params}).encode()
            scope = {"type": "http", "method": "GET", "path": "/", "query_string": query}
            http = ASGIRequest({**scope, "headers": headers}, None)
            return sse.StreamLiveView.as_view()(http, name="run").status_code

        return status

    def test_with_a_cursor_of_this_log(self, ended, status):
        """B49"""
        assert status(since=5) == 204
        assert status(since=8, epoch=ended.info().epoch) == 204
        assert status([(b"last-event-id", b"5")]) == 204

    def test_with_a_cursor_whose_events_are_pruned(self, ended, status):
        """B49: of this stream nothing is missing."""
        ended.prune(max_entries=1)
        assert status(since=5) == 204

    def test_with_a_cursor_of_another_epoch(self, ended, status):
        """B13: after a restore the stream may have come to another end, at any position."""
        epoch = ended.info().epoch
        ended.renew_epoch()
        assert status(since=8, epoch=epoch) == 200

    def test_with_a_cursor_beyond_the_head(self, status):
        """B4: it is of another log, and told so."""
        assert status(since=500) == 200
        assert status([(b"last-event-id", b"500")]) == 200


async def test_another_epoch_than_the_headers_have_said(make_log):
    """A server was promoted between the two: the reader is told, before anything else."""
    log = make_log(BACKEND="memory", POLICY="tests.support.connections.Anybody")
    await log.aappend("n")
    connection = Connection(request_of(), log, log.query(since=0), named=True)
    connection.epoch = "before"
    reader = Reader(connection)
    try:
        await until(lambda: "id: 1" in reader.text)
        epoch = (await log.ainfo()).epoch
        told = f'id: 0\n\nevent: epoch\ndata: {{"epoch":"{epoch}"}}\n\nid: 1\n'
        assert told in reader.text
    finally:
        reader.task.cancel()
        await asyncio.gather(reader.task, return_exceptions=True)
