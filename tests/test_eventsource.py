"""What the views of Server-Sent Events answer, before and at the end of a response."""

from urllib.parse import urlencode

import pytest
from django.core.handlers.asgi import ASGIRequest

from events.api import sse


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
