"""Model tracking: an event for each real transition, whoever makes it, on every database."""

# ruff: noqa: DJ008

import datetime
import threading
import uuid
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.apps.registry import Apps
from django.core import serializers
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, connections, models, transaction
from django.db.models import Case, Count, F, Q, Subquery, Value, When
from django.db.models.functions import Concat, Now
from django.test.utils import CaptureQueriesContext

from events import logs
from events.exceptions import InvalidEvent, StreamClosed
from events.streams import stream_name
from events.tracking import snake_case, statements, track, untrack
from events.tracking.rows import plain

from .support.databases import DATABASES, skip_unless

# A registry of their own: no other test should find these, and cascades do.
registry = Apps(["tests"])


class Project(models.Model):
    name = models.CharField(max_length=20)

    class Meta:
        app_label, apps = "tests", registry


class Task(models.Model):
    status = models.CharField(max_length=40, default="new")
    rank = models.IntegerField(default=0)
    note = models.CharField(max_length=100, default="")
    due = models.DateTimeField(null=True)
    cost = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    data = models.JSONField(default=dict)
    project = models.ForeignKey(Project, models.CASCADE, null=True, related_name="tasks")
    sponsor = models.ForeignKey(Project, models.SET_NULL, null=True, related_name="+")
    fallback = models.ForeignKey(
        Project, models.SET_DEFAULT, null=True, default=None, related_name="+"
    )

    class Meta:
        app_label, apps = "tests", registry

    @property
    def kind_of_property(self):
        return 1


class Hidden(models.QuerySet):
    def update(self, **values):
        """Without super(), as some do."""
        query = self.query.chain(models.sql.UpdateQuery)
        query.add_update_values(values)
        return query.get_compiler(self.db).execute_sql("row count")


class Owner(models.Model):
    name = models.CharField(max_length=20, default="new")

    class Meta:
        app_label, apps = "tests", registry


class Thing(models.Model):
    status = models.CharField(max_length=20, default="new")
    note = models.CharField(max_length=20, default="")
    rank = models.IntegerField(default=0)
    owner = models.ForeignKey(Owner, models.CASCADE, null=True)

    class Meta:
        app_label, apps = "tests", registry

    def __init__(self, *arguments, **values):
        """Keeps what it was, as many models do."""
        super().__init__(*arguments, **values)
        self.was = (self.status, self.note, self.rank)


class ForeignManager(models.Manager):
    def get_queryset(self):
        return Hidden(self.model, using=self._db).exclude(status="hidden")


class ProxyTask(Task):
    others = ForeignManager()

    class Meta:
        app_label, apps = "tests", registry
        proxy = True


class Epic(Task):
    goal = models.CharField(max_length=20, default="")

    class Meta:
        app_label, apps = "tests", registry


class AgentRun(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    status = models.CharField(max_length=20, unique=True)

    class Meta:
        app_label, apps = "tests", registry


MODELS = [Project, Task, Epic, AgentRun, Owner, Thing]


@pytest.fixture(scope="module", autouse=True)
def tables(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        for alias in set(DATABASES) & set(connections.settings):
            with connections[alias].schema_editor() as editor:
                for model in MODELS:
                    editor.create_model(model)
        yield
        for alias in set(DATABASES) & set(connections.settings):
            with connections[alias].schema_editor() as editor:
                for model in reversed(MODELS):
                    editor.delete_model(model)


def on(alias):
    """A test with this database and no other: emptying all three takes longer than the test."""
    return pytest.param(
        alias, marks=pytest.mark.django_db(transaction=True, databases={"default", alias})
    )


@pytest.fixture(params=[on(alias) for alias in DATABASES])
def alias(request):
    skip_unless(request.param)
    yield request.param
    for model in MODELS:
        untrack(model)
    for model in reversed(MODELS):
        model._base_manager.using(request.param).all()._raw_delete(request.param)


@pytest.fixture
def log(alias, make_log):
    return make_log(alias)


@pytest.fixture(autouse=True)
def afterwards():
    yield
    for model in MODELS:
        untrack(model)


@pytest.fixture
def tracked(log):
    """Track a model's status, unless told otherwise: `tracked(Task, ["status"])`."""

    def tracked(model=Task, fields=("status",), **options):
        track(model, fields, log=log.name, **options)

    return tracked


@pytest.fixture
def tasks(alias, tracked):
    """The tracked tasks of this database."""
    tracked()
    return Task.objects.using(alias)


def story(log, since=0):
    """What the log tells, as (kind, payload), with `pk` left out."""
    return [
        (entry.kind, {key: value for key, value in entry.payload.items() if key != "pk"})
        for entry in log.read(since).entries
    ]


def news(log):
    """A function that tells what is new since it was last asked."""
    since = [log.info().head]

    def new():
        found = story(log, since[0])
        since[0] = log.info().head
        return found

    return new


def change(old, new, kind="task.status"):
    return (kind, {"old": old, "new": new})


CREATED = ("task.created", {"status": "new"})
DELETED = ("task.deleted", {})


class TestSaving:
    def test_a_whole_life(self, tasks, log):
        """B64: created, changed, deleted; each with its primary key."""
        task = tasks.create()
        pk = task.pk
        task.status = "done"
        task.save()
        task.delete()
        assert story(log) == [CREATED, change("new", "done"), DELETED]
        assert [entry.payload["pk"] for entry in log.read().entries] == [pk] * 3

    def test_nothing_changed(self, tasks, log):
        """B64"""
        task = tasks.create()
        task.save()
        task.rank = 5
        task.save()
        task.save(update_fields=["status", "rank"])
        tasks.update(status="new")
        tasks.bulk_update([task], ["status"])
        assert story(log) == [CREATED]

    def test_get_and_update_or_create(self, tasks, log):
        tasks.get_or_create(rank=1)
        tasks.get_or_create(rank=1, defaults={"status": "other"})
        tasks.update_or_create(rank=1, defaults={"status": "done"})
        tasks.update_or_create(rank=2, defaults={"status": "done"})
        assert story(log) == [CREATED, change("new", "done"), ("task.created", {"status": "done"})]

    def test_a_given_primary_key(self, tasks, alias, log):
        """save() of what is not there creates it, and of what is there changes it."""
        Task(pk=5).save(using=alias)
        Task(pk=5, status="done").save(using=alias)
        assert story(log) == [CREATED, change("new", "done")]

    def test_the_old_value_is_the_databases(self, tasks, log):
        """Not the one that this instance was loaded with."""
        task = tasks.create()
        tasks.filter(pk=task.pk).update(status="meanwhile")
        task.status = "done"
        task.save()
        task.save()
        assert story(log)[1:] == [change("new", "meanwhile"), change("meanwhile", "done")]

    def test_expressions(self, alias, tracked, log):
        """F() and functions: the event has what came out."""
        tracked(fields=["rank", "status"])
        task = Task.objects.using(alias).create()
        task.rank = F("rank") + 3
        task.status = Concat(F("status"), Value("er"))
        task.save()
        assert story(log)[1:] == [change(0, 3, "task.rank"), change("new", "newer")]

    def test_update_fields(self, tasks, log):
        """A column that is not written has not changed, whatever the instance says."""
        task = tasks.create()
        task.status = "done"
        task.save(update_fields=["rank"])
        assert story(log) == [CREATED]
        task.save(update_fields=["status"])
        assert story(log) == [CREATED, change("new", "done")]

    def test_deferred(self, tasks, log):
        pk = tasks.create().pk
        task = tasks.only("rank").get(pk=pk)
        task.rank = 2
        task.save()
        task = tasks.defer("status").get(pk=pk)
        task.status = "done"
        task.save()
        assert story(log) == [CREATED, change("new", "done")]

    def test_a_receiver_that_saves_again(self, tasks, log):
        """Each transition once, in the order in which they happened."""

        def go_on(sender, instance, **kwargs):
            if instance.status == "running":
                instance.status = "done"
                instance.save()

        task = tasks.create()
        models.signals.post_save.connect(go_on, Task)
        try:
            task.status = "running"
            task.save()
        finally:
            models.signals.post_save.disconnect(go_on, Task)
        assert story(log)[1:] == [change("new", "running"), change("running", "done")]

    def test_fixtures(self, tasks, alias, log):
        """loaddata tells nothing, be the row new or not; what its receivers save is told."""
        text = serializers.serialize("python", [Task(pk=5), Task(pk=5, status="done")])
        for values in text:
            row = Task(pk=values["pk"], status=values["fields"]["status"])
            models.Model.save_base(row, using=alias, raw=True)
        assert tasks.get().status == "done"
        assert story(log) == []

    async def test_asynchronously(self, alias, tracked, log):
        tracked()
        tasks = Task.objects.using(alias)
        task = await tasks.acreate()
        task.status = "a"
        await task.asave()
        await tasks.aupdate(status="b")
        task.status = "c"
        await tasks.abulk_update([task], ["status"])
        await task.adelete()
        found = await sync_to_async(story)(log)
        assert found == [CREATED, change("new", "a"), change("a", "b"), change("b", "c"), DELETED]
        await sync_to_async(connections.close_all)()


class TestManyRows:
    def test_bulk_create(self, tasks, log):
        found = tasks.bulk_create([Task(rank=n) for n in range(5)], batch_size=2)
        assert story(log) == [CREATED] * 5
        assert [entry.payload["pk"] for entry in log.read().entries] == [row.pk for row in found]

    def test_bulk_create_with_keys(self, alias, tracked, log):
        """Known beforehand, and a UUID in the payload is a string."""
        tracked(AgentRun)
        runs = [AgentRun(status="a"), AgentRun(status="b")]
        AgentRun.objects.using(alias).bulk_create(runs)
        assert {(e.kind, e.payload["pk"], e.payload["status"]) for e in log.read().entries} == {
            ("agent_run.created", str(run.pk), run.status) for run in runs
        }

    def test_bulk_create_with_conflicts(self, tasks, log):
        """Not seen, as the docstring says."""
        tasks.bulk_create([Task(pk=1)], ignore_conflicts=True)
        tasks.bulk_create([Task(pk=1)], ignore_conflicts=True)
        assert tasks.count() == 1
        assert story(log) == []

    def test_bulk_update(self, tasks, log):
        """Those that change."""
        rows = tasks.bulk_create([Task(), Task(), Task()])
        rows[0].status, rows[2].status = "a", "c"
        new = news(log)
        assert tasks.bulk_update(rows, ["status"], batch_size=2) == 3
        assert new() == [change("new", "a"), change("new", "c")]

    def test_update_many(self, tasks, log, monkeypatch):
        """Thousands at once, in portions, and each is told of once."""
        monkeypatch.setattr(statements, "STATEMENT", 1500)
        tasks.bulk_create([Task(rank=n) for n in range(3200)])
        since = log.info().head
        assert tasks.filter(rank__gte=100).update(status="done", note="x") == 3100
        assert log.info().head - since == 3100
        page = log.read(since, limit=1000)
        assert {entry.kind for entry in page.entries} == {"task.status"}
        assert tasks.filter(status="done", note="x").count() == 3100
        assert tasks.filter(rank__lt=200).delete()[0] == 200
        assert log.info().head - since == 3300

    def test_update_by_what_it_changes(self, tasks, log):
        """The rows are those that matched before."""
        tasks.bulk_create([Task(), Task(status="done")])
        new = news(log)
        assert tasks.filter(status="new").update(status="done") == 1
        assert tasks.filter(status="new").update(status="done") == 0
        assert new() == [change("new", "done")]

    def test_expressions(self, tasks, log):
        tasks.bulk_create([Task(rank=n) for n in range(3)])
        new = news(log)
        tasks.update(status=Case(When(rank=1, then=Value("one")), default=F("status")))
        assert new() == [change("new", "one")]

    def test_all_sorts_of_querysets(self, tasks, alias, log):
        """Joins, annotations, groups, order, distinct, subqueries and values()."""
        project = Project.objects.using(alias).create(name="p")
        tasks.create(project=project)
        tasks.create(rank=1)
        new = news(log)
        grouped = tasks.annotate(n=Count("project__name")).filter(n=1)
        for number, rows in enumerate(
            [
                tasks.filter(project__name="p"),
                tasks.filter(project__name="p").distinct(),
                grouped,
                tasks.filter(rank=0).order_by("-project__name"),
                tasks.annotate(again=F("rank")).filter(again=0).order_by("-again"),
                tasks.filter(pk__in=Subquery(tasks.filter(rank=0).values("pk"))),
                tasks.filter(rank=0).select_related("project"),
                tasks.filter(rank=0).only("rank"),
                tasks.filter(rank=0).values("rank"),
                tasks.filter(rank=0).select_for_update(),
                tasks.filter(Q(rank=0) & Q(project__name="p")),
                project.tasks.all(),
                ProxyTask.others.using(alias).filter(rank=0),
                tasks.filter(rank=0) | tasks.filter(project__name="p"),
            ]
        ):
            assert rows.update(status=f"s{number}") == 1, number
            assert [(kind, values["new"]) for kind, values in new()] == [
                ("task.status", f"s{number}")
            ], number

    def test_what_cannot_be_updated(self, tasks):
        """Django's own errors."""
        tasks.create()
        with pytest.raises(TypeError, match="slice"):
            tasks.all()[:1].update(status="x")
        with pytest.raises(TypeError, match="limit"):
            tasks.all()[:1].delete()

    def test_none(self, tasks, log):
        assert tasks.none().update(status="x") == 0
        assert tasks.none().delete() == (0, {})
        assert tasks.bulk_create([]) == []
        assert story(log) == []


class TestDeleting:
    def test_a_queryset(self, tasks, log):
        tasks.bulk_create([Task(), Task()])
        new = news(log)
        assert tasks.all().delete()[0] == 2
        assert new() == [DELETED, DELETED]

    def test_fast_and_raw(self, tasks, alias, log):
        """Without an instance in sight."""
        tasks.bulk_create([Task(), Task()])
        new = news(log)
        tasks.filter(status="new")._raw_delete(alias)
        assert new() == [DELETED, DELETED]

    def test_cascades(self, alias, tracked, log):
        """CASCADE deletes, and SET_NULL and SET_DEFAULT change."""
        tracked(fields=["sponsor", "fallback"])
        projects = [Project.objects.using(alias).create(name=n) for n in "abc"]
        tasks = Task.objects.using(alias)
        tasks.create(project=projects[0])
        tasks.create(sponsor=projects[1])
        tasks.create(fallback=projects[2])
        pks = [project.pk for project in projects]
        new = news(log)
        for project in projects:
            project.delete()
        assert new() == [
            DELETED,
            change(pks[1], None, "task.sponsor"),
            change(pks[2], None, "task.fallback"),
        ]

    def test_what_is_gone(self, tasks, log):
        """B64: whoever comes second has deleted nothing."""
        task = tasks.create()
        again = tasks.get()
        task.delete()
        assert again.delete()[0] == 0
        assert story(log) == [CREATED, DELETED]


class TestTransactions:
    def test_rolled_back(self, tasks, alias, log):
        """The event exists if and only if the save does."""
        with pytest.raises(ZeroDivisionError):
            with transaction.atomic(using=alias):
                tasks.create()
                1 / 0  # noqa: B018
        assert (tasks.count(), story(log)) == (0, [])
        with transaction.atomic(using=alias):
            task = tasks.create()
            with pytest.raises(ZeroDivisionError):
                with transaction.atomic(using=alias):
                    task.delete()
                    1 / 0  # noqa: B018
        assert (tasks.count(), story(log)) == (1, [CREATED])

    @pytest.mark.parametrize("write", ["create", "save", "update", "delete"])
    def test_an_event_that_fails(self, tasks, log, write, monkeypatch):
        """Also in autocommit, where Django would have no transaction: nothing has happened."""
        task = tasks.create()

        def fail(items):
            raise RuntimeError("the power is gone")

        monkeypatch.setattr(log, "append_many", fail)
        task.status = "done"
        with pytest.raises(RuntimeError):
            {
                "create": lambda: tasks.create(),
                "save": lambda: task.save(),
                "update": lambda: tasks.update(status="done"),
                "delete": lambda: task.delete(),
            }[write]()
        assert [row.status for row in tasks.all()] == ["new"]
        monkeypatch.undo()
        assert story(log) == [CREATED]

    def test_a_save_that_fails(self, alias, tracked, log):
        tracked(AgentRun)
        runs = AgentRun.objects.using(alias)
        runs.create(status="a")
        with pytest.raises(IntegrityError):
            runs.create(status="a")
        assert runs.get_or_create(status="a")[1] is False
        assert len(story(log)) == 1

    def test_a_stream_that_has_ended(self, alias, tracked, log):
        """It takes no more events, so the row stays as it is."""
        tracked(stream="task-{pk}")
        task = Task.objects.using(alias).create(pk=7)
        log.stream("task-7").open()
        log.stream("task-7").complete()
        task.status = "done"
        with pytest.raises(StreamClosed):
            task.save()
        assert Task.objects.using(alias).get().status == "new"

    def test_a_log_elsewhere(self, alias, make_log):
        """After the commit, and not at all without one."""
        log = make_log(BACKEND="memory", TTL=None)
        track(Task, ["status"], log=log.name)
        tasks = Task.objects.using(alias)
        with pytest.raises(ZeroDivisionError):
            with transaction.atomic(using=alias):
                tasks.create()
                1 / 0  # noqa: B018
        with transaction.atomic(using=alias):
            tasks.create()
            assert story(log) == []
        assert story(log) == [CREATED]


def in_threads(*works):
    """All at once; their answers."""
    start, answers = threading.Barrier(len(works)), []

    def run(work):
        try:
            start.wait()
            answers.append(work())
        except Exception as error:
            answers.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    return answers


class TestConcurrency:
    def test_two_savers(self, tasks, alias, log):
        """Old and new make one chain: each starts where the other ended."""
        pk = tasks.create().pk

        def save(letter):
            for n in range(15):
                task = tasks.get(pk=pk)
                task.status = f"{letter}{n}"
                task.save()

        new = news(log)
        in_threads(lambda: save("a"), lambda: save("b"), lambda: save("c"))
        told = [values for _, values in new()]
        assert len(told) == 45
        # By the chain and not by position: commits may be sequenced in another order.
        following = {values["old"]: values["new"] for values in told}
        status = "new"
        for _ in told:
            status = following[status]
        assert status == tasks.get().status

    def test_two_that_update(self, tasks, alias, log):
        """B64: the same transition happens once, for whoever was first."""
        tasks.bulk_create([Task(rank=n) for n in range(20)])
        new = news(log)
        counts = in_threads(*[lambda: tasks.filter(status="new").update(status="done")] * 4)
        assert sum(counts) == 20
        assert new() == [change("new", "done")] * 20

    def test_two_that_delete(self, tasks, alias, log):
        """B64"""
        tasks.bulk_create([Task() for n in range(20)])
        new = news(log)
        in_threads(*[lambda: tasks.all().delete()] * 4)
        assert new() == [DELETED] * 20

    def test_a_row_that_comes_to_match(self, tasks, alias, log, monkeypatch):
        """In between the look and the UPDATE: it is as if it had come afterwards."""
        if not connections[alias].features.has_select_for_update:
            pytest.skip("There is one writer.")
        tasks.create()
        real = statements._write_to

        def late(*arguments):
            monkeypatch.undo()
            in_threads(lambda: tasks.create(rank=9).pk)
            return real(*arguments)

        monkeypatch.setattr(statements, "_write_to", late)
        assert tasks.update(status="done") == 1
        assert story(log) == [CREATED, CREATED, change("new", "done")]
        assert tasks.get(rank=9).status == "new"


class TestFamilies:
    def test_proxies(self, tasks, alias, log):
        """Their rows are the model's."""
        proxies = ProxyTask.objects.using(alias)
        task = proxies.create()
        task.status = "done"
        task.save()
        proxies.update(status="hidden")
        assert ProxyTask.others.using(alias).update(status="x") == 0
        task.delete()
        assert story(log) == [CREATED, change("new", "done"), change("done", "hidden"), DELETED]

    def test_children(self, tasks, alias, log):
        """They have a row in the model's table."""
        epics = Epic.objects.using(alias)
        epic = epics.create(goal="g")
        epic.status = "a"
        epic.save()
        epics.filter(goal="g").update(status="b", goal="h")
        tasks.update(status="c")
        epic.goal = "i"
        epic.save(update_fields=["goal"])
        epics.all().delete()
        assert story(log) == [
            CREATED, change("new", "a"), change("a", "b"), change("b", "c"), DELETED,
        ]  # fmt: skip

    def test_a_child_of_its_own(self, tasks, alias, tracked, log):
        """Beside its parent; each is told of what is in its table."""
        tracked(Epic, ["goal"])
        epic = Epic.objects.using(alias).create(goal="g")
        epic.goal, epic.status = "h", "done"
        epic.save()
        tasks.filter(pk=epic.pk).delete()
        assert story(log) == [
            CREATED, ("epic.created", {"goal": "g"}),
            change("new", "done"), change("g", "h", "epic.goal"),
            ("epic.deleted", {}), DELETED,
        ]  # fmt: skip


class TestValues:
    def test_what_json_does_not_have(self, alias, tracked, log):
        """Dates, decimals, foreign keys by their value, and changes inside JSON."""
        tracked(fields=["due", "cost", "project_id", "data"])
        project = Project.objects.using(alias).create(name="p")
        due = datetime.datetime(2026, 11, 20, 10, 0, 0, 123456, tzinfo=datetime.UTC)
        task = Task.objects.using(alias).create(due=due, cost="1.5", project=project)
        task.data = {"n": 1}
        task.save()
        task.data = {"n": True}
        task.due += datetime.timedelta(microseconds=1)
        task.save()
        assert story(log) == [
            (
                "task.created",
                {
                    "due": "2026-11-20T10:00:00.123456Z", "cost": "1.50",
                    "project": project.pk, "data": {},
                },
            ),
            change({}, {"n": 1}, "task.data"),
            change("2026-11-20T10:00:00.123456Z", "2026-11-20T10:00:00.123457Z", "task.due"),
            change({"n": 1}, {"n": True}, "task.data"),
        ]  # fmt: skip

    def test_the_databases_own(self, alias, tracked, log):
        tracked(fields=["due"])
        Task.objects.using(alias).create(due=Now())
        assert story(log)[0][1]["due"].startswith("20")

    def test_plain(self):
        found = [2**53, 2**53 - 1, float("inf"), Decimal("1.10"), datetime.time(1, 2, 3, 4), uuid.UUID(int=1)]  # fmt: skip
        assert plain(found) == [
            "9007199254740992", 2**53 - 1, "inf", "1.10", "01:02:03.000004",
            "00000000-0000-0000-0000-000000000001",
        ]  # fmt: skip
        assert plain({"a": (1, {2: range(3)})}) == {"a": [1, {"2": "range(0, 3)"}]}

    def test_too_large(self, alias, make_log):
        """What the log refuses is not saved either."""
        log = make_log(alias, MAX_PAYLOAD_BYTES=60)
        track(Task, ["note"], log=log.name)
        with pytest.raises(InvalidEvent):
            Task.objects.using(alias).create(note="x" * 100)
        assert Task.objects.using(alias).count() == 0


class TestStreams:
    @pytest.mark.parametrize(
        ("stream", "name"),
        [
            ("", ""), ("task-{pk}", "task-7"), ("project-{rank}", "project-3"), ("all", "all"),
            (lambda task: f"{task.status}:{task.rank}", "new:3"),
        ],
    )  # fmt: skip
    def test_names(self, alias, tracked, log, stream, name):
        tracked(stream=stream)
        Task.objects.using(alias).create(pk=7, rank=3).delete()
        assert [entry.stream for entry in log.read().entries] == [name, name]

    def test_of_any_text(self, alias, tracked, log):
        """A value that can be no name is refused with the row, unless `stream_name` makes one."""
        tracked(stream="{note}:tasks")
        with pytest.raises(InvalidEvent, match="red team:tasks"):
            Task.objects.using(alias).create(note="red team")
        assert not Task.objects.using(alias).exists()
        untrack(Task)
        tracked(stream=lambda task: stream_name(task.note, "tasks"))
        Task.objects.using(alias).create(note="red team")
        assert log.read().entries[0].stream == "red.20team:tasks"

    def test_of_a_changed_row(self, alias, tracked, log):
        """As it is afterwards, with all of its columns."""
        tracked(stream="rank-{rank}")
        tasks = Task.objects.using(alias)
        tasks.create()
        tasks.update(rank=4, status="done")
        assert [entry.stream for entry in log.read().entries] == ["rank-0", "rank-4"]


class TestQueries:
    """Counted on all three, so that they do not grow unnoticed."""

    @pytest.fixture
    def count(self, alias):
        def count(work):
            with CaptureQueriesContext(connections[alias]) as queries:
                work()
            return [
                sql["sql"] for sql in queries
                if "tests_" in sql["sql"] and "SAVEPOINT" not in sql["sql"]
            ]  # fmt: skip

        return count

    def test_of_a_save(self, tasks, log, count):
        """Those on the model's own table."""
        task = tasks.create()
        assert len(count(lambda: task.save())) == 3
        assert len(count(lambda: task.save(update_fields=["rank"]))) == 1
        assert len(count(lambda: tasks.create())) == 2
        assert len(count(lambda: tasks.update(rank=1))) == 1
        assert len(count(lambda: tasks.update(status="done"))) == 3

    def test_of_others(self, tasks, alias, log, count):
        """None, and no fast delete is lost."""
        projects = Project.objects.using(alias)
        assert len(count(lambda: projects.create(name="p"))) == 1
        assert len(count(lambda: projects.update(name="q"))) == 1


class TestDeclaring:
    @pytest.mark.parametrize(
        ("model", "fields", "options", "message"),
        [
            (Task, ["nothing"], {}, "no such field"),
            (Task, "status", {}, "must be a list"),
            (Task, ["id"], {}, "a key"),
            (Task, ["epic"], {}, "not a column"),
            (Task, ["kind_of_property"], {}, "no such field"),
            (Epic, ["status"], {}, "track Task"),
            (ProxyTask, ["status"], {}, "no table of its own"),
            (Task, ["status"], {"stream": "task-{nothing}"}, "no column 'nothing'"),
            (Task, ["status"], {"stream": "task-{}"}, "no column"),
            (Task, ["status"], {"stream": "the task-{pk}"}, "A-Z a-z 0-9"),
            (Task, ["status"], {"stream": "-{pk}"}, "start with a letter"),
            (Task, ["status"], {"stream": 5}, "callable"),
            (Task, ["status"], {"log": "nowhere"}, "no log 'nowhere'"),
            (Task, ["status"], {"name": "A task"}, "dotted lower snake case"),
            (Task, ["status"], {"name": "stream"}, "reserved"),
        ],
    )
    def test_what_is_wrong_is_said_at_once(self, model, fields, options, message):
        with pytest.raises((ImproperlyConfigured, InvalidEvent), match=message):
            track(model, fields, **options)
        track(Task, ["status"])

    def test_fields_that_are_named_like_events(self):
        class Soft(models.Model):
            deleted = models.BooleanField()

            class Meta:
                app_label, apps = "tests", Apps(["tests"])

        with pytest.raises(ImproperlyConfigured, match="named like"):
            track(Soft, ["deleted"])

    def test_twice(self):
        track(Task, ["status"])
        with pytest.raises(ImproperlyConfigured, match="all of its fields in one call"):
            track(Task, ["rank"])
        untrack(Task)
        track(Task, ["rank"])

    def test_untracked(self, tasks, log):
        untrack(Task)
        tasks.create()
        assert story(log) == []

    def test_no_fields(self, alias, tracked, log):
        """Created and deleted only."""
        tracked(fields=[])
        task = Task.objects.using(alias).create()
        task.status = "done"
        task.save()
        assert story(log) == [("task.created", {})]

    def test_a_name(self, alias, tracked, log):
        tracked(name="work.item")
        Task.objects.using(alias).create()
        assert story(log) == [("work.item.created", {"status": "new"})]

    @pytest.mark.parametrize(
        ("name", "snake"),
        [
            ("AgentRun", "agent_run"),
            ("Task", "task"),
            ("HTTPLog", "http_log"),
            ("V2Task", "v2_task"),
        ],
    )
    def test_snake_case(self, name, snake):
        assert snake_case(name) == snake

    def test_installed_once(self, tasks):
        """However many models are tracked, and again after untrack."""
        execute = models.sql.compiler.SQLUpdateCompiler.execute_sql
        untrack(Task)
        track(Task, ["status"])
        assert models.sql.compiler.SQLUpdateCompiler.execute_sql is execute
        assert not hasattr(execute.__wrapped__, "__wrapped__")
        assert logs["default"].name == "default"


class TestRowsReadToTellOfThem:
    CREATED, DELETED = ("thing.created", None), ("thing.deleted", None)

    @pytest.fixture
    def log(self, log):
        """A log that things and their owners are tracked in."""
        track(Thing, ["status"], log=log.name)
        track(Owner, ["name"], log=log.name)
        return log

    @pytest.fixture
    def things(self, alias, log):
        return Thing.objects.using(alias)

    def news(self, log):
        """Kinds, with what is new where something has changed."""
        return [(entry.kind, entry.payload.get("new")) for entry in log.read().entries]

    def test_a_model_that_remembers_what_it_was(self, things, log):
        """B64: reading a row to tell of it reads nothing else, one column after the other, for ever."""
        thing = things.create()
        thing.status = "a"
        thing.save()
        things.update(status="b")
        things.all().delete()
        assert self.news(log) == [
            self.CREATED,
            ("thing.status", "a"),
            ("thing.status", "b"),
            self.DELETED,
        ]

    def test_what_the_caller_does_not_want_to_read(self, log, alias):
        """B64: defer() and only() are about what the caller reads, not about what is told."""
        owners = Owner.objects.using(alias)
        owners.create()
        owners.defer("name").update(name="a")
        owners.only("pk").update(name="b")
        owners.defer("name").filter(name="b").delete()
        assert self.news(log) == [
            ("owner.created", None), ("owner.name", "a"), ("owner.name", "b"), ("owner.deleted", None),
        ]  # fmt: skip

    def test_distinct(self, things, log):
        """B64: which PostgreSQL does not lock."""
        things.create()
        things.distinct().update(status="a")
        things.distinct().delete()
        assert self.news(log) == [self.CREATED, ("thing.status", "a"), self.DELETED]

    def test_who_refers_to_a_row_does_not_wait_for_it(self, things, log, alias):
        """An UPDATE lets others refer to its row, and two who did so would have met in a deadlock."""
        if not connections[alias].features.has_select_for_no_key_update:
            pytest.skip("An UPDATE itself locks as much as that.")
        owner = Owner.objects.using(alias).create()

        def refer():
            things.create(owner=owner)
            connections.close_all()

        other = threading.Thread(target=refer)
        with transaction.atomic(using=alias):
            Owner.objects.using(alias).update(name="a")
            other.start()
            other.join(5)
            assert not other.is_alive()
