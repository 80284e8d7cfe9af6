"""What a project's own tests need, used as a project would."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import SimpleTestCase, TestCase, override_settings
from django.test.utils import CaptureQueriesContext

from events import aemit, emit, emit_many, logs
from events.backends.database import DatabaseBackend
from events.backends.memory import MemoryBackend
from events.models import Log
from events.testing import ManualClock, capture_events, memory_log


class Oops(Exception):
    pass


class EmitInATestCase:
    """In Django's TestCase what is emitted is readable at once. Mixed in once for each backend."""

    def test_outside_of_any_block(self):
        """An emit is an entry, not a receipt."""
        assert emit("n").position == 1
        assert logs["default"].read().entries[0].kind == "n"

    def test_inside_a_block(self):
        """B26: a receipt, as in production, and readable when the block has ended."""
        with transaction.atomic():
            assert emit("n").position is None
        assert logs["default"].info().head == 1
        assert [entry.position for entry in logs["default"].read().entries] == [1]

    def test_inside_two_blocks(self):
        """B26: however deep."""
        with transaction.atomic():
            emit("a")
            with transaction.atomic():
                emit("b")
            emit("c")
        assert [entry.kind for entry in logs["default"].read().entries] == ["a", "b", "c"]

    def test_a_block_that_is_rolled_back(self):
        """B29: nothing of it is there, and no position is burnt."""
        with self.assertRaises(Oops), transaction.atomic():
            emit("lost", key="k")
            raise Oops
        assert emit("kept", key="k").position == 1

    def test_an_inner_block_that_is_rolled_back(self):
        """B29: the ones before and after it stay."""
        with transaction.atomic():
            emit("before")
            with self.assertRaises(Oops), transaction.atomic():
                emit("lost")
                raise Oops
            emit("after")
        assert [entry.kind for entry in logs["default"].read().entries] == ["before", "after"]

    def test_on_commit_hooks_that_are_run(self):
        """captureOnCommitCallbacks(execute=True) doubles nothing."""
        with self.captureOnCommitCallbacks(execute=True), transaction.atomic():
            emit("n")
        assert logs["default"].info().head == 1
        with self.captureOnCommitCallbacks(execute=True):
            with transaction.atomic():
                emit("n")
            assert len(logs["default"].read(1).entries) == 1
        assert [entry.position for entry in logs["default"].read().entries] == [1, 2]

    def test_an_emit_from_an_on_commit_hook(self):
        """It is stored when the hook is run."""
        with self.captureOnCommitCallbacks(execute=True), transaction.atomic():
            transaction.on_commit(lambda: emit("after_commit"))
            emit("inside")
        kinds = [entry.kind for entry in logs["default"].read().entries]
        assert sorted(kinds) == ["after_commit", "inside"]

    async def test_in_an_async_test(self):
        """The twin uses the test's own connection, so that its transaction is seen."""
        entry = await aemit("n", {"a": 1}, stream="s")
        assert (entry.position, entry.seq) == (1, 1)
        assert (await logs["default"].aread()).entries == [entry]
        assert (await logs["default"].ainfo()).head == 1

    async def test_two_async_tests_do_not_meet(self):
        """What the other one stored is gone."""
        assert (await aemit("n")).position == 1

    def test_letting_go(self):
        """Retention does not take the test's transaction for the caller's."""
        emit_many(
            [
                ("n", {}),
                ("n", {}),
                (
                    "n",
                    {},
                ),
            ]
        )
        assert logs["default"].prune(max_entries=2) == 1
        assert logs["default"].clear() == 2
        assert emit("n").position == 4

    def test_captured(self):
        """What came before the block and after it is not collected."""
        emit("before")
        with capture_events() as events:
            emit("a", {"n": 1})
            with transaction.atomic():
                emit("b", {"n": 2})
            assert events.kinds == ["a", "b"]
            emit("c")
        emit("later")
        assert events.kinds == ["a", "b", "c"]
        assert events.payloads == [{"n": 1}, {"n": 2}, {}]
        assert [entry.position for entry in events] == [2, 3, 4]

    def test_rolled_back_work_is_not_captured(self):
        """B26: neither a block's nor a savepoint's."""
        with capture_events() as events:
            with self.assertRaises(Oops), transaction.atomic():
                emit("lost")
                raise Oops
            with transaction.atomic():
                emit("kept")
                with self.assertRaises(Oops), transaction.atomic():
                    emit("lost")
                    raise Oops
        assert events.kinds == ["kept"]

    async def test_captured_in_an_async_test(self):
        """Reading inside the block goes through a thread; at its end Django would not allow it."""
        await aemit("n", {"n": 1})
        page = await logs["default"].aread()
        assert [entry.payload for entry in page.entries] == [{"n": 1}]


class DatabaseTests(EmitInATestCase, TestCase):
    def test_it_is_the_database(self):
        """The other tests of this class are about the default backend."""
        emit("n")
        assert isinstance(logs["default"].backend, DatabaseBackend)
        assert Log.objects.get(name="default").head == 1


class MemoryTests(EmitInATestCase, TestCase):
    def setUp(self):
        context = memory_log()
        context.enable()
        self.addCleanup(context.disable)

    def test_it_is_memory(self):
        """B25: the same tests, another backend, and no query."""
        with CaptureQueriesContext(connection) as queries:
            emit("n")
            logs["default"].read()
        assert len(queries) == 0


class SetUpTestDataTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.entry = emit("prepared")

    def test_what_the_class_prepared(self):
        """It is readable in every test."""
        assert logs["default"].read().entries == [self.entry]
        assert emit("n").position == 2

    def test_what_the_class_prepared_is_there_for_the_next_test(self):
        """And what that emitted is not."""
        assert logs["default"].info().head == 1
        assert emit("n").position == 2


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize("alias", ["default", "postgres", "mariadb"])
class TestEveryDatabase:
    def test_a_block_inside_a_test(self, make_log, alias):
        """B26: also where events of a transaction wait in an outbox."""
        log = make_log(alias)
        with capture_events(log.name) as events:
            assert log.append("a").position == 1
            with transaction.atomic(using=alias):
                log.append("b")
                with pytest.raises(Oops), transaction.atomic(using=alias):
                    log.append("lost")
                    raise Oops
            assert log.append("c").position == 3
        assert events.kinds == ["a", "b", "c"]

    def test_hooks_that_are_run(self, make_log, alias, django_capture_on_commit_callbacks):
        """Nothing is stored twice."""
        log = make_log(alias)
        with django_capture_on_commit_callbacks(using=alias, execute=True):
            with transaction.atomic(using=alias):
                log.append_many([("a", {}), ("b", {})])
        assert [entry.position for entry in log.read().entries] == [1, 2]


class TestCapture:
    @pytest.fixture(autouse=True)
    def fresh(self):
        with memory_log(), memory_log("other"):
            yield

    def test_it_is_a_sequence(self):
        """Indexed, sliced, counted, and empty at first."""
        with capture_events() as events:
            assert not events
            assert (len(events), list(events), events.kinds, events.payloads) == (0, [], [], [])
            first, second = emit_many([("a", {}), ("b", {})])
            assert (events[0], events[-1], events[:1]) == (first, second, [first])
            assert second in events
            assert "Captured" in repr(events)
        assert events.entries == [first, second]

    def test_filters(self):
        """By log, stream and kind."""
        with (
            capture_events(stream="s") as of_s,
            capture_events(kind=["turn.*", "end_of_day"]) as of_kind,
            capture_events("other") as of_other,
        ):
            emit("turn.started", stream="s")
            emit("turn.done", stream="t")
            emit("end_of_day")
            emit("more", log="other")
        assert of_s.kinds == ["turn.started"]
        assert of_kind.kinds == ["turn.started", "turn.done", "end_of_day"]
        assert of_other.kinds == ["more"]

    def test_more_than_a_page(self):
        """Everything is collected, whatever the page size."""
        with memory_log(PAGE_SIZE=2, MAX_PAGE_SIZE=2):
            with capture_events(kind="rare") as events:
                emit_many([("common", {})] * 100)
                emit_many([("rare", {})] * 5)
            assert len(events) == 5

    def test_blocks_inside_blocks(self):
        """Each collects its own."""
        with capture_events() as outer:
            emit("a")
            with capture_events() as inner:
                emit("b")
            emit("c")
        assert (outer.kinds, inner.kinds) == (["a", "b", "c"], ["b"])

    def test_an_error_inside_the_block(self):
        """It comes out, and what was stored until then is there to be looked at."""
        with pytest.raises(Oops), capture_events() as events:
            emit("a")
            raise Oops
        emit("later")
        assert events.kinds == ["a"]

    def test_a_disabled_log(self, settings):
        """B23: there is nothing to collect."""
        settings.EVENTS = {"default": {"BACKEND": "disabled"}}
        with capture_events() as events:
            emit("n")
        assert events.kinds == []

    def test_an_unknown_log(self):
        """It is told before the block begins."""
        with pytest.raises(KeyError, match="no log 'nope'"), capture_events("nope"):
            pass


class CaptureErrorTests(TestCase):
    def test_an_error_that_breaks_the_transaction(self):
        """The test hears of the error itself, not of the look at the log that failed after it."""
        Log.objects.create(name="same")
        with self.assertRaises(IntegrityError), transaction.atomic(), capture_events():
            Log.objects.create(name="same")


@memory_log("default")
class DecoratedClassTests(SimpleTestCase):
    """A whole class without a database."""

    def test_the_log_is_in_memory(self):
        """B25: nothing asks for the database, which this class may not use."""
        assert isinstance(logs["default"].backend, MemoryBackend)
        assert emit("n").position == 1

    def test_each_test_has_a_fresh_log(self):
        """What the other test emitted is not here."""
        assert emit("n").position == 1

    @memory_log("audit", MAX_ENTRIES=1)
    def test_a_test_may_have_another_one_too(self):
        """Both are there."""
        emit_many([("n", {})] * 3, log="audit")
        assert (logs["audit"].info().count, emit("n").position) == (1, 1)


class DecoratedTests(SimpleTestCase):
    @memory_log()
    def test_a_decorated_method(self):
        """It has its own log."""
        assert emit("n").position == 1
        assert logs["default"].read(0).gap is None

    @memory_log()
    async def test_a_decorated_async_method(self):
        """An async one, too."""
        assert (await aemit("n")).position == 1

    def test_blocks(self):
        """As a context manager: each block has a fresh log, also with the same object again."""
        context = memory_log()
        for _ in range(2):
            with context:
                assert isinstance(logs["default"].backend, MemoryBackend)
                assert emit("n").position == 1
        assert isinstance(logs["default"].backend, DatabaseBackend)

    def test_settings(self):
        """They are those of the log; other logs keep theirs."""
        clock = ManualClock()
        with override_settings(EVENTS={"a": {"TTL": 7}, "b": {"TTL": 8}}):
            with memory_log("a", TTL=60, OPTIONS={"clock": clock}):
                logs["a"].append("n")
                clock.advance(61)
                assert logs["a"].read().entries == []
                assert logs["b"].settings.ttl == 8
            assert logs["a"].settings.ttl == 7

    def test_a_name_that_was_not_configured(self):
        """It is there as long as the block."""
        with memory_log("brand_new"):
            assert emit("n", log="brand_new").position == 1
        assert "brand_new" not in logs

    def test_whatever_events_was(self):
        """A setting that is no dictionary is no obstacle."""
        for value in (None, [], "database"):
            with override_settings(EVENTS=value), memory_log():
                assert emit("n").position == 1

    def test_an_error_ends_it_as_well(self):
        """The log before it is back."""
        with self.assertRaises(Oops), memory_log():
            raise Oops
        assert isinstance(logs["default"].backend, DatabaseBackend)


class TestManualClock:
    def test_it_stands_still(self):
        """Until it is told to move."""
        clock = ManualClock(100)
        assert (clock(), clock()) == (100, 100)
        clock.advance(0.5)
        assert clock() == 100.5
        clock.advance(-1)
        assert clock() == 99.5

    def test_it_drives_a_log(self):
        """B21: timestamps are what it says, and never run backwards."""
        clock = ManualClock(1_800_000_000)
        with memory_log(OPTIONS={"clock": clock}):
            first = emit("n")
            clock.advance(-60)
            second = emit("n")
            clock.advance(120.000001)
            third = emit("n")
        assert first.timestamp.isoformat() == "2027-01-15T08:00:00+00:00"
        assert second.timestamp == first.timestamp
        assert (third.timestamp - first.timestamp).total_seconds() == 60.000001
