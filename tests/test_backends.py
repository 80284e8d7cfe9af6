"""B25: one contract, every backend."""

import os

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from events.backends.disabled import DisabledBackend
from events.exceptions import InvalidEvent

from .contract import LogContract


@pytest.mark.django_db(transaction=True)
class TestMemory(LogContract):
    config = {"BACKEND": "memory", "TTL": None, "MAX_ENTRIES": None}

    def test_it_keeps_no_more_than_max_entries(self, new_log):
        """B19: it is bounded without a prune."""
        log = new_log(MAX_ENTRIES=3)
        self.fill(log, 5)
        assert self.positions(log.read()) == [3, 4, 5]
        assert log.read(0).gap.lost == 2

    def test_a_new_process_is_a_new_epoch(self, new_log, make_log):
        """B15: positions start anew, and readers are told."""
        from events.backends import memory

        log = new_log()
        self.fill(log, 3)
        epoch = log.info().epoch
        memory.forget(log.name)
        assert log.append("n").position == 1
        assert log.read(1, epoch=epoch).gap.reason == "epoch"

    def test_a_fork_is_another_process(self, make_log):
        """B15, B13: what two processes number alike must have two epochs."""
        log = make_log(BACKEND="memory")
        log.append("n")
        ours = log.info().epoch
        read, write = os.pipe()
        if (pid := os.fork()) == 0:
            try:
                os.write(write, f"{log.info().epoch} {log.info().head}".encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        epoch, head = os.read(read, 100).decode().split()
        assert epoch != ours
        assert head == "0"
        assert log.info().epoch == ours


@pytest.mark.django_db(transaction=True)
class TestSQLite(LogContract):
    pass


@pytest.mark.django_db(transaction=True, databases="__all__")
class TestPostgreSQL(LogContract):
    alias = "postgres"


@pytest.mark.django_db(transaction=True, databases="__all__")
class TestMariaDB(LogContract):
    alias = "mariadb"


class TestDisabled:
    """B23: an entry with a rising position, nothing kept, and no harm done."""

    @pytest.fixture
    def log(self, make_log):
        return make_log(BACKEND="disabled")

    def test_append_answers_and_keeps_nothing(self, log):
        """B23"""
        first = log.append("n", {"a": 1}, key="k")
        [second] = log.append_many([("m", {})])
        assert second.position == first.position + 1
        assert first.payload == {"a": 1}
        for where in ({"since": 0}, {"last": 5}, {"stream": ["a", "b*"]}):
            page = log.read(**where)
            assert (page.entries, page.gap) == ([], None)

    def test_an_invalid_event_is_still_refused(self, log):
        """B23, B25: turning the log on again must not bring errors."""
        with pytest.raises(InvalidEvent):
            log.append("Not A Kind")

    def test_letting_go_is_harmless(self, log):
        """B23"""
        log.append("n")
        assert (log.clear(), log.prune(max_entries=1), log.stream("s").delete()) == (0, 0, 0)
        assert log.info().count == 0

    @pytest.mark.parametrize("name", ["disabled", "off", " None ", "OFF"])
    def test_its_names(self, make_log, name):
        """B24"""
        assert isinstance(make_log(BACKEND=name).backend, DisabledBackend)


@pytest.mark.django_db(transaction=True)
def test_the_last_of_a_prefix_on_sqlite(make_log):
    """They are looked for by position: an index on streams would yield all the past of the prefix."""
    log = make_log()
    for _ in range(2):
        log.append_many([{"kind": "n", "stream": f"a{n}"} for n in range(1000)])
    connection = connections["default"]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        with CaptureQueriesContext(connection) as captured:
            log.read(last=5, stream="a1*")
        sql = next(one["sql"] for one in captured if "DESC" in one["sql"])
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        plan = str(cursor.fetchall())
        transaction.set_rollback(True)
    assert "(log_id=? AND position>?)" in plan
