"""PostgreSQL servers that are lost and replaced by what lags behind them, and what readers are told.

FAILOVERS=20 does it so often, WRITERS=32 with so many.
"""

import json
from contextlib import ExitStack
from functools import partial

import pytest
from django.core.management import call_command
from django.db import DatabaseError

from .support.failovers import FAILOVERS, ByEventStream, ByRest, History, InPython
from .support.postgres_server import Cluster, Pair, binaries, connected
from .support.servers import Site, wait_until

if binaries() is None:
    pytest.skip("PostgreSQL's server is not installed", allow_module_level=True)


@pytest.fixture
def pair(django_db_blocker):
    """Not by a mark: Django knows nothing of databases that come later."""
    with django_db_blocker.unblock(), Cluster() as primary, Cluster(of=primary) as standby:
        yield Pair(primary, standby)


@pytest.fixture
def site(pair, tmp_path):
    """The example site on SQLite, with a log `away` on the two servers."""
    site = Site(f"sqlite:///{tmp_path}/db.sqlite3", SITE_AWAY=json.dumps(pair.database))
    site.manage("migrate", "--run-syncdb", "-v0")
    site.manage("migrate", "--database", "away", "-v0")
    return site


def test_a_standby_that_lags_is_promoted(pair, site, make_log):
    """B13, B15: by an epoch gap who saw what was taken back is told, and nobody else; and nobody sees
    two events at one position of one epoch."""
    with ExitStack() as stack:
        stack.enter_context(connected("away", pair.database))
        _, address = stack.enter_context(site.serve("uvicorn"))
        here = {"address": address, "session": site.sign_in()}
        readers = [InPython, *[partial(kind, **here) for kind in (ByRest, ByEventStream)] * 2]
        log = make_log("away", name="away")
        history = History(log, DatabaseError)
        with history.running(*readers):
            for _ in range(FAILOVERS):
                history.written()
                pair.lag()
                history.written()
                pair.fail_over()
                history.written()
                pair.repair()
        assert history.check(nothing_lost=False) > 400 * FAILOVERS
        told = [len(reader.gaps) for reader in history.readers]
        assert sum(told) >= FAILOVERS, told


def migrated(database):
    """The name of an alias for a database that has our tables by now."""
    call_command("migrate", "events", database=database, verbosity=0)
    return database


def test_a_restore_to_a_point_in_time(django_db_blocker, make_log):
    """B13: as after a failover."""
    archive = "mkdir -p ../archive && cp %p ../archive/%f"
    options = {"archive_mode": "on", "archive_command": archive}
    with ExitStack() as stack:
        stack.enter_context(django_db_blocker.unblock())
        before = stack.enter_context(Cluster(**options))
        with connected("before", before.database):
            log = make_log(migrated("before"), name="away")
            log.append("n", {"n": 1})
            after = stack.enter_context(Cluster(of=before))
            log.append("n", {"n": 2})
            before.ask("SELECT pg_create_restore_point('here')")
            log.append_many([("n", {"n": n}) for n in (3, 4)])
            epoch = log.info().epoch
            [[last]] = before.ask("SELECT pg_walfile_name(pg_switch_wal())")
            done = "SELECT 1 FROM pg_stat_archiver WHERE last_archived_wal >= %s"
            wait_until(lambda: before.ask(done, [last]))
        before.stop_at_once()
        after.restore("here", before.folder / "archive")
        with connected("after", after.database):
            log = make_log("after", name="away")
            assert log.read(2, epoch=epoch).gap is None
            assert log.read(3, epoch=epoch).gap.reason == "epoch"
            assert log.append("n", {"n": 5}).position == 3
            assert log.read(4, epoch=epoch).gap.reason == "epoch"
            assert log.read(3, epoch=epoch).gap.reason == "epoch"
            page = log.read(2, epoch=epoch)
            assert (page.gap, [entry.payload["n"] for entry in page.entries]) == (None, [5])


def test_what_a_standby_says(pair, make_log):
    """It is read, and begins no term; and a process that has only known it as a standby finds out that
    it was promoted."""
    primary, standby = pair.primary.database, pair.standby.database
    with connected("primary", primary), connected("standby", standby):
        log = make_log(migrated("primary"), name="away")
        log.append_many([("n", {})] * 2)
        pair.wait()
        epoch = log.info().epoch
        pair.lag()
        log.append("n")
        lagging = make_log("standby", name="away")
        assert [entry.position for entry in lagging.read(1, epoch=epoch).entries] == [2]
        assert lagging.read(3, epoch=epoch).gap.reason == "ahead"
        with pytest.raises(DatabaseError, match="read-only"):
            lagging.append("n")
        pair.fail_over()
        assert lagging.append("n").position == 3
        assert lagging.read(3, epoch=epoch).gap.reason == "epoch"
        assert lagging.read(2, epoch=epoch).gap is None


def test_a_user_who_may_not_ask(django_db_blocker, make_log):
    """Where a service refuses the functions, all goes on as if there were but one server."""
    with django_db_blocker.unblock(), Cluster() as server:
        with connected("refused", server.database):
            migrated("refused")
        server.do("REVOKE EXECUTE ON FUNCTION pg_walfile_name(pg_lsn) FROM PUBLIC")
        server.do("CREATE ROLE somebody LOGIN")
        server.do("GRANT ALL ON ALL TABLES IN SCHEMA public TO somebody")
        server.do("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO somebody")
        with connected("refused", {**server.database, "USER": "somebody"}):
            log = make_log("refused")
            assert [log.append("n").position for _ in range(8)] == [*range(1, 9)]
            assert log.append_many([("n", {})] * 2)[-1].position == 10
            assert log.stream("s").open().position == 11
            assert log.read(99).gap.reason == "ahead"
