"""The list of streams, the page of each, and what may be done to one."""

import re

import pytest
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.db import connections
from django.urls import reverse

from events.admin.shared.kinds import look
from events.admin.shared.words import status_name
from events.backends.database import counting
from events.models import Log, Stream
from events.types import Status, from_micros

from .support.admin import INLINE, cheap, fill, person
from .support.databases import DATABASES

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

ALL = ("view_event", "view_stream", "change_stream", "delete_stream")


class OnlyRuns:
    """A policy that hides all but `run-…`."""

    def can_read(self, user, stream):
        return stream is not None and stream.startswith("run-")

    can_emit = can_read


@pytest.fixture(params=DATABASES)
def log(request, make_log):
    return make_log(request.param)


@pytest.fixture
def clerk(db):
    return person("view_event")


@pytest.fixture
def boss(db):
    return person(*ALL)


def listing(client, log, query=""):
    return client.get(reverse("admin:events_stream_changelist") + f"?log={log.name}{query}")


def shown(response):
    assert response.status_code == 200
    return [row.name for row in response.context["cl"].result_list]


def row(log, name):
    rows = Stream.objects.using(log.settings.options["using"])
    return rows.get(log__name=log.name, name=name)


def url(log, name, page="timeline"):
    address = reverse(f"admin:events_stream_{page}", args=[row(log, name).pk])
    return f"{address}?log={log.name}"


def act(client, log, action, *names, **data):
    return client.post(
        reverse("admin:events_stream_changelist") + f"?log={log.name}",
        {"action": action, "_selected_action": [row(log, name).pk for name in names], **data},
        follow=True,
    )


def said(response):
    return [str(message) for message in response.context["messages"]]


def dots(picture):
    return [mark for group in picture.groups for mark in group.marks if not mark.width]


def history(log):
    return [
        (entry.object_repr, entry.action_flag, entry.user.username, entry.get_change_message())
        for entry in LogEntry.objects.order_by("pk")
    ]


# The list


def test_streams_by_their_last_activity(clerk, log):
    """Newest first, with their status, length and events, and a link to the page of each."""
    log.stream("old").open()
    log.stream("new").open()
    log.stream("plain").emit("n")
    log.stream("old").complete()
    response = listing(clerk, log)
    assert shown(response) == ["old", "plain", "new"]
    html = response.content.decode()
    assert '<span class="events-badge events-badge-completed">completed</span>' in html
    assert '<span class="events-badge events-badge-none">not opened</span>' in html
    assert f'href="{url(log, "old", "change")}"' in html
    assert clerk.get(url(log, "old", "change")).context["stream"].name == "old"


def test_the_list_is_walked_by_its_links(clerk, log):
    """Every stream is on one page."""
    log.append_many([{"kind": "n", "stream": f"s{n}"} for n in range(120)])
    page, found = listing(clerk, log), []
    while True:
        found += shown(page)
        older = re.search(r'href="([^"]*)" rel="next"', page.content.decode())
        if not older:
            break
        address = reverse("admin:events_stream_changelist") + older[1].replace("&amp;", "&")
        page = clerk.get(address)
    assert found == [f"s{n}" for n in range(119, -1, -1)]


def test_streams_of_a_status(clerk, log):
    """Also those that were never opened; an unknown one is no filter."""
    for status, name in (("open", "a"), ("complete", "b"), ("fail", "c")):
        getattr(log.stream(name), status)()
    log.stream("d").emit("n")
    assert shown(listing(clerk, log, "&status=running")) == ["a"]
    assert shown(listing(clerk, log, "&status=completed")) == ["b"]
    assert shown(listing(clerk, log, "&status=none")) == ["d"]
    assert shown(listing(clerk, log, "&status=nonsense")) == ["d", "c", "b", "a"]
    html = listing(clerk, log).content.decode()
    assert all(f"status={status.value}" in html for status in Status)


def test_search_by_name_and_by_its_beginning(clerk, log):
    """Case counts, as in names; what can be no name finds nothing."""
    log.append_many(
        [{"kind": "n", "stream": name} for name in ("run-1", "run-12", "Run-1", "job-1", "run-2")]
    )
    assert shown(listing(clerk, log, "&q=run-1")) == ["run-12", "run-1"]
    assert shown(listing(clerk, log, "&q=run-12")) == ["run-12"]
    assert shown(listing(clerk, log, "&q=Run")) == ["Run-1"]
    assert shown(listing(clerk, log, "&q=stream:job-1")) == ["job-1"]
    assert shown(listing(clerk, log, "&stream=run-1")) == ["run-1"]
    for nothing in ("nope", "%25", "run_1", "%00", "a' OR 1=1", "ü" * 300):
        assert shown(listing(clerk, log, f"&q={nothing}")) == []


def test_a_search_looks_at_so_many_names(clerk, log, monkeypatch):
    """And says so if there are more."""
    monkeypatch.setattr("events.admin.streams.admin.BOUND", 3)
    log.append_many([{"kind": "n", "stream": f"s{n}"} for n in (5, 1, 4, 2, 3)])
    response = listing(clerk, log, "&q=s")
    assert shown(response) == ["s3", "s2", "s1"]
    assert "More than 3 names begin so" in response.content.decode()
    assert "names begin so" not in listing(clerk, log, "&q=s1").content.decode()


@pytest.mark.parametrize("alias", ["default", "postgres"])
def test_every_page_is_a_dozen_cheap_queries(make_log, alias):
    """With and without filters, and the page of a long, a middling and a short stream."""
    log, clerk = make_log(alias), person("view_event")
    fill(log, 20_000, streams=["long"] * 6 + ["middling"] + ["rest"] * 13)
    some_streams(log)
    addresses = [
        reverse("admin:events_stream_changelist") + f"?log={log.name}{query}"
        for query in ("", "&status=running", "&status=none", "&q=lo", "&q=zzz", "&before=9000")
    ]
    addresses += [url(log, name) for name in ("long", "middling", "short")]
    addresses += [url(log, "long") + "&before=500", url(log, "short", "change")]
    for address in addresses:
        with cheap("default", alias):
            assert clerk.get(address).status_code == 200, address


def some_streams(log):
    """Rows for the streams of `fill`, and one more that was opened."""
    using = log.settings.options["using"]
    for name in ("long", "middling"):
        Stream.objects.using(using).create(
            log=Log.objects.using(using).get(name=log.name),
            name=name,
            seq=6000 if name == "long" else 1000,
            first_position=1,
            last_position=20_000 if name == "long" else 19_987,
            last_event_at=from_micros(20_000_000_000),
        )
    log.stream("short").open()


# The page of a stream


def test_the_page_says_how_a_stream_stands(clerk, log):
    """Status, times, events, timeout; the stock address of a row shows the same."""
    run = log.stream("run-1")
    run.open(idle_timeout=90)
    run.emit("turn.started", {"question": "why?"})
    for page in ("timeline", "change"):
        response = clerk.get(url(log, "run-1", page))
        html = response.content.decode()
        facts = dict(response.context["facts"])
        assert "events-badge-running" in html
        assert (facts["Events"], facts["Idle timeout"], facts["Closed"]) == ("2", "1 min 30 s", "–")
        assert "Deadline" in facts
        assert "turn.started" in html
        assert "why?" in html


def test_the_picture_has_a_lane_for_each_kind(clerk, log):
    """Nine of them at most: the rarest share one."""
    log.append_many([(f"kind{n}.x", {}) for n in range(12) for _ in range(12 - n)])
    log.append_many(
        [{"kind": f"kind{n}.x", "stream": "s"} for n in range(12) for _ in range(20 - n)]
    )
    picture = clerk.get(url(log, "s")).context["picture"]
    lanes = [label.text for label in picture.labels if " · " in label.text]
    assert lanes[:2] == ["kind0.x · 20", "kind1.x · 19"]
    assert len(lanes) == 9
    assert lanes[-1] == "other kinds · 42"
    found = dots(picture)
    assert len(found) == row(log, "s").seq
    assert {dot.css for dot in found} == {
        *(look(f"kind{n}.x") for n in range(8)),
        "events-other",
    }


def test_the_picture_shows_the_phases_of_a_life(clerk, log):
    """Running and waiting in turns, and the end."""
    run = log.stream("run-1")
    for step in (run.open, run.wait, run.resume, run.complete):
        step()
    picture = clerk.get(url(log, "run-1")).context["picture"]
    band = [group.title.split(":")[0] for group in picture.groups if group.marks[0].width]
    assert band == ["running", "waiting", "running", "completed"]
    assert [key.name for key in picture.legend] == ["running", "waiting", "completed"]


def test_a_longer_stream_is_drawn_in_bars(clerk, log):
    """Counted exactly, as long as all of its rows are read."""
    log.append_many([{"kind": "ab"[n % 2], "stream": "s"} for n in range(900)])
    picture = clerk.get(url(log, "s")).context["picture"]
    assert not dots(picture)
    assert not picture.estimated
    assert {key.name: key.total for key in picture.legend} == {"a": "450", "b": "450"}


def test_a_very_long_stream_is_sampled(clerk, log, monkeypatch):
    """No more than so many rows are read, the number of events is exact all the same, and the
    page says that its kinds are estimated."""
    monkeypatch.setattr(counting, "EXACT", 2_000)
    now = log.backend.now()
    fill(log, 6000, streams=["s", "other"], kinds=("a", "a", "b", "b"), start=now - 6_000_000_000)
    using = log.settings.options["using"]
    stream = Stream.objects.using(using).create(
        log=Log.objects.using(using).get(name=log.name),
        name="s",
        seq=3000,
        first_position=2,
        last_position=6000,
        last_event_at=from_micros(now),
    )
    response = clerk.get(url(log, "s"))
    picture = response.context["picture"]
    assert picture.estimated
    assert "What stands after ≈ is estimated" in response.content.decode()
    totals = [int(key.total.removeprefix("≈ ").replace(",", "")) for key in picture.legend]
    assert sum(totals) == stream.seq
    assert all(1200 < total < 1800 for total in totals)


def test_the_newest_events_and_the_ones_before(clerk, log):
    """A hundred a page, with a link to each, and on to the older ones."""
    log.append_many([{"kind": "n", "stream": "s", "payload": {"n": n}} for n in range(150)])
    response = clerk.get(url(log, "s"))
    assert [event.seq for event in response.context["events"]] == list(range(150, 50, -1))
    older = re.search(r'href="([^"]*)" rel="next"', response.content.decode())
    address = url(log, "s").split("?")[0] + older[1].replace("&amp;", "&")
    response = clerk.get(address)
    assert [event.seq for event in response.context["events"]] == list(range(50, 0, -1))
    event = response.context["events"][0].pk
    address = reverse("admin:events_event_change", args=[event]) + f"?log={log.name}"
    assert f'href="{address}"' in response.content.decode()


def test_what_was_pruned_is_not_shown(clerk, log):
    """B17: neither in the picture nor below it; with nothing left the page still stands."""
    log.append_many([{"kind": "n", "stream": "s"} for n in range(10)])
    log.prune(max_entries=3)
    response = clerk.get(url(log, "s"))
    assert len(dots(response.context["picture"])) == 3
    assert len(response.context["events"]) == 3
    log.clear()
    assert clerk.get(url(log, "s")).context["picture"] is None


def test_hostile_content_is_text(clerk, log):
    """In payloads and reasons: markup, escapes and direction marks."""
    evil = "</script><img src=x onerror=alert(1)>\x1b[31m\u202etxt"
    run = log.stream("run-1")
    run.open()
    run.emit("n", {evil: evil})
    run.fail(evil)
    html = clerk.get(url(log, "run-1")).content.decode()
    assert "<img src=x" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert not re.search(INLINE, html)


def test_a_stream_that_is_not_there(boss, log):
    """Django's own answer, whatever the address; to all pages of a stream."""
    log.append("n")
    for pk in ("999999999", "abc", "0", "9" * 30, "-1", "1;2", "٣", "_5F"):
        for page in ("timeline", "change", "stop", "fail", "delete", "history"):
            address = reverse(f"admin:events_stream_{page}", args=[pk]) + f"?log={log.name}"
            response = boss.get(address)
            assert response.status_code == 302, (pk, page)
            assert response.url == reverse("admin:index")


def test_a_stream_is_found_without_the_name_of_its_log(clerk, make_log):
    """Django's own history links to a row by its key alone."""
    make_log(name="default")
    log = make_log()
    log.stream("run-1").emit("n")
    address = reverse("admin:events_stream_change", args=[row(log, "run-1").pk])
    assert clerk.get(address).context["stream"].name == "run-1"
    assert clerk.get(address + "?log=default").status_code == 302


# Stop, fail and delete


@pytest.mark.parametrize(("verb", "status"), [("stop", "stopped"), ("fail", "failed")])
def test_end_one_from_its_page(boss, log, verb, status):
    """The button leads to a page that asks for the reason, which goes into the log and into the
    history."""
    run = log.stream("run-1")
    run.open()
    address = url(log, "run-1", verb)
    assert f'href="{address}"' in boss.get(url(log, "run-1")).content.decode()
    html = boss.get(address).content.decode()
    assert 'name="reason"' in html
    assert run.status == "running"
    response = boss.post(address, {"post": "yes", "reason": "it <b>hangs</b>\0"}, follow=True)
    assert response.redirect_chain == [(url(log, "run-1"), 302)]
    assert said(response) == [f"1 stream {status}."]
    assert run.status == status
    assert run.read().entries[-1].payload == {"reason": "it <b>hangs</b>"}
    [(name, flag, user, message)] = history(log)
    assert (name, flag, user) == ("run-1", CHANGE, "somebody")
    assert "it <b>hangs</b>" in message
    html = boss.get(url(log, "run-1", "history")).content.decode()
    assert "it &lt;b&gt;hangs&lt;/b&gt;" in html
    html = boss.get(url(log, "run-1")).content.decode()
    assert address not in html


def test_delete_one_from_its_page(boss, log):
    """In Django's two steps; the log says so, and so does the history."""
    log.append_many([{"kind": "n", "stream": "run-1"}] * 3)
    address = url(log, "run-1", "delete")
    html = boss.get(address).content.decode()
    assert "Are you sure" in html
    assert "run-1: 3 events" in html
    assert log.stream("run-1").info().seq == 3
    response = boss.post(address, {"post": "yes"}, follow=True)
    assert said(response) == ["1 stream deleted."]
    assert log.stream("run-1").info() is None
    assert [entry.kind for entry in log.read().entries] == ["stream.deleted"]
    assert history(log) == [("run-1", DELETION, "somebody", "")]


def test_stop_those_selected(boss, log):
    """One that has ended refuses, which is a message and stops none of the others."""
    for name in ("a", "b", "c"):
        log.stream(name).open()
    log.stream("b").complete()
    log.stream("c").stop()
    response = act(boss, log, "stop_selected", "a", "b", "c")
    assert log.stream("a").status == "stopped"
    assert log.stream("b").status == "completed"
    assert log.stream("a").read().entries[-1].payload == {
        "reason": "stopped in the admin by somebody"
    }
    text = " ".join(said(response))
    assert "1 stream stopped." in text
    assert "Not possible: the stream 'b' cannot stop: it has completed" in text
    assert "The stream c is there already" in text
    assert [entry[0] for entry in history(log)] == ["a"]


def test_fail_those_selected(boss, log):
    """A page asks whether that is meant; the reason says where it was done, and by whom."""
    for name in ("a", "b"):
        log.stream(name).open()
    page = act(boss, log, "fail_selected", "a", "b")
    html = page.content.decode()
    assert log.stream("a").status == "running"
    selected = re.findall(r'name="_selected_action" value="(\d+)"', html)
    assert len(selected) == 2
    assert 'name="reason"' not in html
    response = act(boss, log, "fail_selected", "a", "b", post="yes")
    assert said(response) == ["2 streams failed."]
    assert log.stream("b").read().entries[-1].payload == {
        "reason": "failed in the admin by somebody"
    }
    assert len(history(log)) == 2


def test_delete_those_selected(boss, log):
    """In Django's two steps, also streams without a life."""
    log.stream("a").emit("n")
    log.stream("b").open()
    html = act(boss, log, "delete_selected", "a", "b").content.decode()
    assert "a: 1 event" in html
    assert log.stream("a").info()
    response = act(boss, log, "delete_selected", "a", "b", post="yes")
    assert said(response) == ["2 streams deleted."]
    assert log.stream("a").info() is None
    assert log.stream("b").info() is None
    assert [entry[:2] for entry in history(log)] == [("b", DELETION), ("a", DELETION)]


def test_actions_reach_no_further_than_the_list(boss, make_log):
    """A row of another log, or one that the filter leaves out, is not touched; nor do more
    than a page's worth follow from a forged select_across."""
    log, other = make_log(), make_log()
    log.stream("a").open()
    other.stream("b").open()
    address = reverse("admin:events_stream_changelist") + f"?log={log.name}"
    boss.post(address, {"action": "stop_selected", "_selected_action": [row(other, "b").pk]})
    assert other.stream("b").status == "running"
    boss.post(
        address + "&status=waiting",
        {"action": "stop_selected", "_selected_action": [row(log, "a").pk], "select_across": "1"},
    )
    assert log.stream("a").status == "running"


# Who may what


def test_a_viewer_changes_nothing(clerk, log):
    """No buttons, no actions, and no way around."""
    log.stream("run-1").open()
    html = clerk.get(url(log, "run-1")).content.decode()
    for page in ("stop", "fail", "delete"):
        assert url(log, "run-1", page) not in html
        assert clerk.get(url(log, "run-1", page)).status_code == 403
        assert clerk.post(url(log, "run-1", page), {"post": "yes"}).status_code == 403
    assert "_selected_action" not in listing(clerk, log).content.decode()
    for action in ("stop_selected", "fail_selected", "delete_selected"):
        act(clerk, log, action, "run-1", post="yes")
    assert clerk.post(url(log, "run-1", "change"), {"status": "failed"}).status_code == 403
    assert clerk.get(reverse("admin:events_stream_add")).status_code == 403
    assert log.stream("run-1").status == "running"
    assert history(log) == []


def test_who_may_stop_may_not_delete(log):
    """Each has its own permission."""
    log.stream("run-1").open()
    client = person("view_event", "change_stream")
    assert client.post(url(log, "run-1", "delete"), {"post": "yes"}).status_code == 403
    act(client, log, "delete_selected", "run-1", post="yes")
    assert log.stream("run-1").status == "running"
    client.post(url(log, "run-1", "stop"))
    assert log.stream("run-1").status == "stopped"


def test_nobody_edits_a_stream(boss, log):
    """Nor adds one."""
    log.stream("run-1").open()
    assert boss.get(reverse("admin:events_stream_add")).status_code == 403
    assert boss.post(url(log, "run-1", "change"), {"name": "x"}).status_code == 403
    assert row(log, "run-1").name == "run-1"


def test_a_policy_hides_what_it_hides(make_log):
    """B65, B67: whoever may not read everything finds what they name, if they may read that; a
    forbidden stream looks like a missing one, and nothing can be done to it."""
    log = make_log(POLICY="tests.test_admin_streams.OnlyRuns")
    boss = person(*ALL)
    for name in ("run-1", "secret"):
        log.stream(name).open()
    assert shown(listing(boss, log)) == []
    assert shown(listing(boss, log, "&q=run-1")) == ["run-1"]
    assert shown(listing(boss, log, "&stream=run-1")) == ["run-1"]
    assert shown(listing(boss, log, "&q=run")) == []
    assert shown(listing(boss, log, "&q=secret")) == []
    assert boss.get(url(log, "run-1")).status_code == 200
    for page in ("timeline", "change", "stop", "fail", "delete", "history"):
        for response in (boss.get(url(log, "secret", page)), boss.post(url(log, "secret", page))):
            assert response.url == reverse("admin:index")
    act(boss, log, "stop_selected", "secret")
    assert log.stream("secret").status == "running"
    assert shown(listing(boss, log, "&q=secret&status=running")) == []


def test_who_may_not_view_is_turned_away(log):
    """Anonymous people and others without the permission."""
    log.stream("run-1").open()
    assert listing(person(), log).status_code == 403
    assert person(staff=False, name="guest").get(url(log, "run-1")).status_code == 302
    assert person().get(url(log, "run-1")).status_code == 403


def test_a_host_with_atomic_requests(boss, make_log):
    """The steps are not part of a request's transaction: every emit would wait for its end."""
    log = make_log()
    for name in ("a", "b", "c", "d"):
        log.stream(name).open()
    connections["default"].settings_dict["ATOMIC_REQUESTS"] = True
    try:
        boss.post(url(log, "a", "stop"))
        boss.post(url(log, "b", "delete"), {"post": "yes"})
        act(boss, log, "delete_selected", "c", post="yes")
        act(boss, log, "fail_selected", "d", post="yes")
    finally:
        connections["default"].settings_dict["ATOMIC_REQUESTS"] = False
    assert log.stream("a").status == "stopped"
    assert log.stream("d").status == "failed"
    assert log.stream("b").info() is log.stream("c").info() is None


# The parts that need no database


def test_every_name_of_a_status_is_a_word():
    """Whatever the language."""
    assert len({status_name(status) for status in (*Status, None)}) == 6
