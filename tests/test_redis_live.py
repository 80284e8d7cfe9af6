"""The transports over a log on Redis: what they promise over one in a database, word for word."""

import json

import pytest

from . import test_live
from .support.sites import PAIRS, scratch_site
from .test_live import at, name, other  # noqa: F401


@pytest.fixture(scope="module", params=PAIRS)
def server(request, tmp_path_factory, redis_server):
    """A site whose log is on Redis, its address, and the cookies of somebody who may read it."""
    database, runs = request.param
    options = {"url": redis_server.url, "prefix": f"{runs}:"}
    events = json.dumps({"BACKEND": "redis", "OPTIONS": options})
    with scratch_site(database, tmp_path_factory.mktemp("site"), SITE_EVENTS=events) as site:
        cookies = {"sessionid": site.sign_in()}
        with site.serve(runs) as (_, address):
            yield site, address, cookies


class TestServerSentEvents(test_live.TestServerSentEvents):
    # It changes a stream's row.
    test_a_stream_that_ends = None


class TestWebSocket(test_live.TestWebSocket):
    test_the_end_of_a_stream = None
