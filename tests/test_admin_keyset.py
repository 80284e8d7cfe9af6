"""Pages by key, and who sees which part of a log."""

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from events.admin.shared.keyset import Keyset, page_of
from events.models import Event

from .support.databases import DATABASES

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


class OnlyRuns:
    """A policy that hides all but the streams whose name begins with `run-`."""

    asked = []

    def can_read(self, user, stream):
        self.asked.append(stream)
        return stream is not None and stream.startswith("run-")

    can_emit = can_read


@pytest.fixture(params=DATABASES)
def log(request, make_log):
    return make_log(request.param)


def staff(*permissions):
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return signed_in(user)


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def clerk(db):
    return staff("view_event")


def rows_of(log):
    using = log.settings.options["using"]
    return Event.objects.using(using).filter(log__name=log.name)


def keys(page):
    return [row.position for row in page.rows]


def shown(response):
    """The positions on a page of the list."""
    assert response.status_code == 200
    return [row.position for row in response.context["cl"].result_list]


def link(response, rel):
    found = re.search(rf'href="([^"]*)" rel="{rel}"', response.content.decode())
    return found and found[1].replace("&amp;", "&")


def listing(client, log, query="", model="event"):
    return client.get(reverse(f"admin:events_{model}_changelist") + f"?log={log.name}{query}")


def test_pages_downwards_and_up_again(log):
    """Each row is on one page, newest first, and the way back shows the same pages."""
    log.append_many([("n", {})] * 25)
    keyset = Keyset(rows_of(log), "position", 0, 25)
    first = page_of(keyset, 10, None, None)
    second = page_of(keyset, 10, first.older, None)
    third = page_of(keyset, 10, second.older, None)
    assert [keys(page) for page in (first, second, third)] == [
        list(range(25, 15, -1)),
        list(range(15, 5, -1)),
        list(range(5, 0, -1)),
    ]
    assert (first.newer, third.older) == (None, None)
    assert keys(page_of(keyset, 10, None, third.newer)) == keys(second)
    assert keys(page_of(keyset, 10, None, second.newer)) == keys(first)


def test_the_oldest_page_and_the_newest(log):
    """`after=0` is the last page; one that reaches the newest row is the first page, and full."""
    log.append_many([("n", {})] * 25)
    keyset = Keyset(rows_of(log), "position", 0, 25)
    oldest = page_of(keyset, 10, None, 0)
    assert keys(oldest) == list(range(10, 0, -1))
    assert oldest.older is None
    assert keys(page_of(keyset, 10, None, 20)) == list(range(25, 15, -1))


def test_around_a_key(log):
    """It stands below a few newer ones."""
    log.append_many([("n", {})] * 25)
    keyset = Keyset(rows_of(log), "position", 0, 25, around=12)
    assert keys(page_of(keyset, 10, None, None)) == list(range(17, 7, -1))


def test_a_span_bounds_what_a_page_looks_at(log):
    """A page that is not full by then says where it stopped, and the next goes on from there;
    in both directions every match is found once."""
    log.append_many([("rare" if n % 10 == 0 else "n", {}) for n in range(1, 101)])
    keyset = Keyset(rows_of(log).filter(kind="rare"), "position", 0, 100, span=25)
    found, before = [], None
    while True:
        page = page_of(keyset, 2, before, None)
        found += keys(page)
        before = page.older
        if before is None:
            break
    assert found == list(range(100, 0, -10))
    found, after = [], 0
    while after is not None:
        page = page_of(keyset, 2, None, after)
        if page.newer is not None:
            found = keys(page) + found
        after = page.newer
    assert found == list(range(80, 0, -10))
    empty = page_of(Keyset(rows_of(log).filter(kind="none"), "position", 0, 100, 25), 2, None, None)
    assert (empty.rows, empty.stopped, empty.older) == ([], 76, 76)


def test_the_list_is_walked_by_its_links(clerk, log):
    """From the newest to the oldest by Older, and back by Newer: all of it, once."""
    log.append_many([("n", {})] * 250)
    page = listing(clerk, log)
    found = shown(page)
    path = reverse("admin:events_event_changelist")
    while older := link(page, "next"):
        page = clerk.get(path + older)
        found += shown(page)
    assert found == list(range(250, 0, -1))
    seen = shown(page)
    while newer := link(page, "prev"):
        page = clerk.get(path + newer)
        seen = shown(page) + seen
    assert list(dict.fromkeys(seen)) == found
    assert shown(clerk.get(path + link(listing(clerk, log), "last"))) == list(range(50, 0, -1))


def test_nothing_is_counted_and_nothing_skipped(clerk, log):
    """No COUNT and no OFFSET in any query, and no more than a dozen of them."""
    log.append_many([("n", {})] * 250)
    alias = log.settings.options["using"]
    for query in ("", "&before=200", "&after=0", "&q=n", "&all=1", "&_facets=True", "&p=3"):
        listing(clerk, log)
        with CaptureQueriesContext(connections[alias]) as queries:
            assert listing(clerk, log, query).status_code == 200
        assert len(queries) <= 12
        for one in queries:
            assert not re.search(r"COUNT\(|OFFSET", one["sql"], re.IGNORECASE), one["sql"]


def test_what_is_not_served_is_not_listed(clerk, log):
    """B17: pruned and expired entries are gone here as everywhere."""
    log.append_many([("n", {})] * 5)
    log.prune(max_entries=2)
    assert shown(listing(clerk, log)) == [5, 4]


@pytest.mark.parametrize(
    "query",
    [
        "&before=abc", "&before=" + "9" * 40, "&after=-1", "&after=%00", "&before=٣", "&before=1&before=2",
        "&before=%ED%A0%80", "&q=%00", "&p=abc", "&o=1.2", "&nonsense=1", "&log=%ED%A0%80", "&before=",
        "&position__gt=2", "&log__name=x", "&_to_field=key", "&after=0&before=3", "&e=1", "&o=-99.x",
    ],
)  # fmt: skip
def test_a_hostile_query_is_no_error_of_ours(clerk, make_log, query):
    """It is ignored, or refused, and never a 500."""
    log = make_log()
    log.append_many([("n", {})] * 5)
    assert listing(clerk, log, query).status_code in (200, 302, 400)


def test_a_log_that_is_not_there_is_said_so(clerk, make_log):
    """And no other log is shown in its place; nor is one without rows."""
    make_log(name="default").append("n")
    response = clerk.get(reverse("admin:events_event_changelist") + "?log=nope")
    assert shown(response) == []
    assert "There is no log" in response.content.decode()
    memory = make_log(BACKEND="memory")
    memory.append("n")
    assert shown(listing(clerk, memory)) == []


def test_who_may_not_view_is_turned_away(log):
    """Anonymous people have to sign in, others are refused."""
    assert listing(Client(), log).status_code == 302
    assert listing(signed_in(User.objects.create_user("guest")), log).status_code == 302
    assert listing(staff(), log).status_code == 403


def test_a_policy_hides_what_it_hides(clerk, make_log):
    """B65, B67: whoever may not read the whole log sees nothing unasked, with the reason; a
    forbidden stream looks like one that is not there."""
    log = make_log(POLICY="tests.test_admin_keyset.OnlyRuns")
    log.append("n", stream="run-1")
    log.append("n", stream="secret")
    response = listing(clerk, log)
    assert shown(response) == []
    assert "Ask for a stream by its name" in response.content.decode()
    assert "secret" not in response.content.decode()


def test_the_policy_opens_the_door_too(make_log):
    """Staff without any permission get in where the policy lets them, and nowhere else; what is
    no stream's name it is not asked about."""
    log = make_log(POLICY="tests.test_admin_keyset.OnlyRuns")
    log.append("n", stream="run-1")
    client = staff()
    OnlyRuns.asked.clear()
    assert listing(client, log).status_code == 403
    assert listing(client, log, "&stream=secret").status_code == 403
    assert listing(client, log, "&stream=run-1").status_code == 200
    assert listing(client, log, "&q=stream:run-1").status_code == 200
    assert listing(client, log, "&stream=run-1%00").status_code == 403
    assert set(OnlyRuns.asked) == {None, "secret", "run-1"}
