"""What an attack on model tracking has found."""

# ruff: noqa: DJ008

import threading

import pytest
from django.apps.registry import Apps
from django.db import connections, models, transaction

from events.tracking import track, untrack

from .support.databases import DATABASES

# A registry of their own: no other test should find these, and cascades do.
registry = Apps(["tests"])


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


MODELS = [Owner, Thing]


@pytest.fixture(scope="module", autouse=True)
def tables(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        aliases = set(DATABASES) & set(connections.settings)
        for alias in aliases:
            with connections[alias].schema_editor() as editor:
                for model in MODELS:
                    editor.create_model(model)
        yield
        for alias in aliases:
            with connections[alias].schema_editor() as editor:
                for model in reversed(MODELS):
                    editor.delete_model(model)


def on(alias):
    return pytest.param(
        alias, marks=pytest.mark.django_db(transaction=True, databases={"default", alias})
    )


@pytest.fixture(params=[on(alias) for alias in DATABASES])
def alias(request):
    return request.param


@pytest.fixture
def log(alias, make_log):
    """A log that things and their owners are told to."""
    log = make_log(alias)
    track(Thing, ["status"], log=log.name)
    track(Owner, ["name"], log=log.name)
    yield log
    for model in (Thing, Owner):
        untrack(model)
        model.objects.using(alias).all().delete()


@pytest.fixture
def things(alias, log):
    return Thing.objects.using(alias)


def told(log):
    """Kinds, with what is new where something has changed."""
    return [(entry.kind, entry.payload.get("new")) for entry in log.read().entries]


CREATED, DELETED = ("thing.created", None), ("thing.deleted", None)


def test_a_model_that_remembers_what_it_was(things, log):
    """B64: reading a row to tell of it reads nothing else, one column after the other, for ever."""
    thing = things.create()
    thing.status = "a"
    thing.save()
    things.update(status="b")
    things.all().delete()
    assert told(log) == [CREATED, ("thing.status", "a"), ("thing.status", "b"), DELETED]


def test_what_the_caller_does_not_want_to_read(log, alias):
    """B64: defer() and only() are about what the caller reads, not about what is told."""
    owners = Owner.objects.using(alias)
    owners.create()
    owners.defer("name").update(name="a")
    owners.only("pk").update(name="b")
    owners.defer("name").filter(name="b").delete()
    assert told(log) == [
        ("owner.created", None), ("owner.name", "a"), ("owner.name", "b"), ("owner.deleted", None),
    ]  # fmt: skip


def test_distinct(things, log):
    """B64: which PostgreSQL does not lock."""
    things.create()
    things.distinct().update(status="a")
    things.distinct().delete()
    assert told(log) == [CREATED, ("thing.status", "a"), DELETED]


def test_who_refers_to_a_row_does_not_wait_for_it(things, log, alias):
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
