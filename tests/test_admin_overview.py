"""The overview: where each log stands, what to worry about, and the charts."""

import re
import time

import pytest
from django.db import OperationalError
from django.urls import reverse

from events import logs
from events.admin.shared.charts import nice
from events.admin.shared.kinds import look
from events.admin.shared.words import bounded, duration, rate
from events.backends.database import DatabaseBackend, counting
from events.models import Deletion, Log, Outbox, Stream
from events.types import from_micros

from .support.admin import INLINE, cheap, fill, person
from .support.databases import DATABASES

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

MINUTE = 60_000_000


class Hidden:
    """A policy that hides a stream, and so everything as a whole."""

    def can_read(self, user, stream):
        return stream == "run-1"

    can_emit = can_read


@pytest.fixture(params=DATABASES)
def log(request, make_log):
    return make_log(request.param)


@pytest.fixture
def clerk(db):
    return person("view_event")


def page(client):
    return client.get(reverse("admin:events_log_changelist"))


def part(client, log):
    """The section of a log, as text without tags, and its HTML."""
    response = page(client)
    assert response.status_code == 200
    html = response.content.decode()
    found = re.search(rf'<section[^>]*id="log-{log.name}".*?</section>', html, re.DOTALL)
    assert found, "the log has no section"
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", found[0]))


def facts(client, log):
    [section] = [one for one in page(client).context["sections"] if one.name == log.name]
    return dict(section.facts)


def warnings(client, log):
    [section] = [one for one in page(client).context["sections"] if one.name == log.name]
    return " ".join(section.warnings)


def test_it_says_where_a_log_stands(clerk, log):
    """Head, floor, what is there, the oldest and the newest entry, and how fast it grows."""
    log.append_many([("n", {})] * 1200)
    log.prune(max_entries=900)
    found = facts(clerk, log)
    assert (found["Head"], found["Floor"], found["Entries"]) == ("1,200", "300", "900")
    assert found["Oldest entry"].startswith("301: ")
    assert found["Newest entry"].startswith("1,200: ")
    assert found["Rate"] == "15 events/s in the last minute, 0.25 in the last hour"
    assert found["Retention"] == "everything is kept"
    assert found["Pruning now"] == "would remove nothing"
    assert found["Outbox"] == "empty"


def test_a_log_that_was_never_used_has_no_row_and_gets_none(clerk, log):
    """To look at it changes nothing."""
    assert facts(clerk, log)["Head"] == "0"
    assert not Log.objects.using(log.settings.options["using"]).filter(name=log.name).exists()


def test_it_has_every_log(clerk, make_log):
    """Also those outside of the database, by what they know of themselves."""
    memory, disabled = make_log(BACKEND="memory"), make_log(BACKEND="disabled")
    memory.append("n")
    disabled.append("n")
    assert facts(clerk, memory)["Entries"] == "1"
    assert facts(clerk, disabled)["Entries"] == "0"
    assert facts(clerk, memory)["Charts"] == "this backend does not count what came when"
    assert [one.name for one in page(clerk).context["sections"]] == list(logs)


def test_it_links_to_the_pages_of_a_log(clerk, make_log):
    """Events and streams, of that log."""
    log = make_log()
    html = page(clerk).content.decode()
    for model in ("event", "stream"):
        address = reverse(f"admin:events_{model}_changelist") + f"?log={log.name}"
        assert f'href="{address}"' in html
        assert clerk.get(address).status_code == 200


def test_what_pruning_would_remove(clerk, log, settings):
    """By the log's own settings, and the same number as a dry run answers."""
    log.append_many([("n", {})] * 500)
    settings.EVENTS = {
        **settings.EVENTS,
        log.name: {**settings.EVENTS[log.name], "MAX_ENTRIES": 120},
    }
    assert logs[log.name].prune(dry_run=True) == 380
    assert facts(clerk, log)["Pruning now"] == "would remove 380 entries"
    assert "380 entries more than MAX_ENTRIES" in warnings(clerk, log)


def test_what_has_expired(clerk, make_log):
    """B17: it is not counted any more, pruning would remove it, and somebody should."""
    log = make_log(TTL=3600)
    fill(log, 300, start=round(time.time() * 1e6) - 2 * 3600 * 1_000_000, step=1)
    log.append("n")
    found = facts(clerk, log)
    assert (found["Entries"], found["Floor"]) == ("1", "300")
    assert found["Pruning now"] == "would remove 300 entries"
    assert found["Retention"] == "for 1 h"
    assert "300 entries have expired" in warnings(clerk, log)
    log.prune()
    assert facts(clerk, log)["Pruning now"] == "would remove nothing"
    assert warnings(clerk, log) == ""


def test_a_little_that_has_expired_is_no_reason_to_warn(clerk, make_log):
    """Whoever prunes every hour always has a little of it."""
    log = make_log(TTL=3600)
    fill(log, 50, start=round(time.time() * 1e6) - 3700 * 1_000_000, step=1)
    assert "would remove 50" in facts(clerk, log)["Pruning now"]
    assert warnings(clerk, log) == ""


def test_a_pruning_that_was_cut_short(clerk, log):
    """What it has left below the floor is still to be removed."""
    log.append_many([("n", {})] * 150)
    Log.objects.using(log.settings.options["using"]).filter(name=log.name).update(floor=140)
    assert facts(clerk, log)["Pruning now"] == "would remove 140 entries"
    assert log.prune(dry_run=True) == 140


def test_after_a_stream_was_deleted_it_is_about(clerk, make_log):
    """Positions have holes then, so arithmetic is not exact, and says so."""
    log = make_log(MAX_ENTRIES=10)
    log.append_many([{"kind": "n", "stream": "a"}] * 20 + [{"kind": "n", "stream": "b"}] * 20)
    log.stream("a").delete()
    assert facts(clerk, log)["Pruning now"] == "would remove about 11 entries"


def test_the_outbox_that_is_not_drained(clerk, log):
    """Looking at it does not drain it; how many rows there are is counted up to a bound."""
    using = log.settings.options["using"]
    Outbox.objects.using(using).bulk_create(
        [Outbox(log=log.name, kind="n", payload={}) for _ in range(3)]
    )
    assert "3 committed events wait" in warnings(clerk, log)
    assert facts(clerk, log)["Outbox"] == "3 pending, 0 set aside"
    Outbox.objects.using(using).bulk_create(
        [Outbox(log=log.name, kind="n", payload={}) for _ in range(1200)]
    )
    assert facts(clerk, log)["Outbox"] == "1,000+ pending, 0 set aside"


def test_rows_set_aside_are_listed_with_their_reason(clerk, log):
    """The newest ten; and a hostile reason is text."""
    using = log.settings.options["using"]
    Outbox.objects.using(using).bulk_create(
        [
            Outbox(log=log.name, kind="n", payload={}, refused=f"no. {n} <script>alert(1)</script>")
            for n in range(12)
        ]
    )
    html = page(clerk).content.decode()
    assert "<script>alert" not in html
    text = part(clerk, log)
    assert "no. 11 &lt;script&gt;" in text
    assert "no. 2 " in text
    assert "no. 1 " not in text
    assert "12 events were set aside" in warnings(clerk, log)


def test_open_streams_and_those_that_nobody_reconciles(clerk, log):
    """By status, bounded; and a stream long past its idle timeout is a reason to worry."""
    for name in ("a", "b"):
        log.stream(name).open()
    log.stream("c").open()
    log.stream("c").wait()
    assert facts(clerk, log)["Open streams"] == "2 running, 1 waiting"
    assert warnings(clerk, log) == ""
    rows = Stream.objects.using(log.settings.options["using"]).filter(log__name=log.name)
    rows.filter(name="a").update(last_event_at=from_micros(round(time.time() * 1e6) - 400_000_000))
    assert "1 running stream is past its idle timeout" in warnings(clerk, log)
    log.reconcile()
    assert warnings(clerk, log) == ""
    assert facts(clerk, log)["Open streams"] == "1 running, 1 waiting"


def test_deletions_under_way(clerk, log):
    """Those that somebody died over."""
    log.append("n")
    using = log.settings.options["using"]
    Deletion.objects.using(using).create(
        log=Log.objects.using(using).get(name=log.name), stream="a", below=9
    )
    assert facts(clerk, log)["Deletions under way"] == "1"


def number_in(text):
    return int(text.replace(",", ""))


def test_the_charts_show_what_there_was(clerk, log):
    """Every event of the last hour is in a bar of the one, and of the last day of the other; all are
    counted, and a kind has one colour."""
    now = round(time.time() * 1e6)
    fill(log, 100, kinds=("old",), start=now - 90 * MINUTE, step=1)
    fill(log, 120, kinds=("a.b", "c.d"), start=now - 30 * MINUTE, step=10_000_000)
    [section] = [one for one in page(clerk).context["sections"] if one.name == log.name]
    hour, day = section.charts
    assert sum(number_in(total) for _when, total, _kinds in hour.table) == 120
    assert sum(number_in(total) for _when, total, _kinds in day.table) == 220
    assert (len(hour.groups), len(day.groups)) == (60, 48)
    assert {key.name: key.total for key in hour.legend} == {"a.b": "60", "c.d": "60"}
    assert {key.name: key.total for key in day.legend} == {"a.b": "60", "c.d": "60", "old": "100"}
    assert {key.css for key in day.legend} == {look(kind) for kind in ("a.b", "c.d", "old")}
    html = page(clerk).content.decode()
    assert 'role="img"' in html
    assert "≈" not in part(clerk, log)


def test_the_same_events_are_as_many_in_the_last_day(clerk, log):
    """As in the last hour, and after each reload: 7,635 of them are counted, not sampled."""
    now = round(time.time() * 1e6)
    fill(log, 7_635, kinds=("a", "b", "a", "c"), start=now - 50 * MINUTE, step=380_000)
    [section] = [one for one in page(clerk).context["sections"] if one.name == log.name]
    hour, day = section.charts
    assert [(key.name, key.total) for key in hour.legend] == [
        ("a", "3,817"),
        ("b", "1,909"),
        ("c", "1,909"),
    ]
    assert hour.legend == day.legend
    again = page(clerk).context["sections"]
    [section] = [one for one in again if one.name == log.name]
    assert section.charts[1].legend == day.legend


def test_an_estimate_is_marked(clerk, log, monkeypatch):
    """With "≈", where there are too many to count; how many there are in a bar is exact."""
    monkeypatch.setattr(counting, "EXACT", 500)
    now = round(time.time() * 1e6)
    fill(log, 5_000, kinds=("a", "b"), start=now - 600 * MINUTE, step=60_000_000 // 10)
    [section] = [one for one in page(clerk).context["sections"] if one.name == log.name]
    day = section.charts[1]
    assert day.estimated
    assert all(key.total.startswith("≈ ") for key in day.legend)
    assert sum(number_in(total) for _when, total, _kinds in day.table) == 5_000
    assert "What stands after ≈ is estimated" in page(clerk).content.decode()


def test_a_page_is_a_few_cheap_queries(make_log):
    """On a log of some size, with trouble of every sort, and another beside it."""
    log, other = make_log("default", TTL=3600, MAX_ENTRIES=9000), make_log("default")
    check_costs(log, other)


def test_a_page_is_a_few_cheap_queries_on_postgresql(make_log):
    """The same, where sessions are in one database and the logs in another."""
    log, other = make_log("postgres", TTL=3600, MAX_ENTRIES=9000), make_log("postgres")
    check_costs(log, other)


def check_costs(log, other):
    clerk = person("view_event")
    using = log.settings.options["using"]
    now = round(time.time() * 1e6)
    fill(log, 20_000, kinds=("a", "b"), start=now - 180 * MINUTE, step=9 * MINUTE // 1000)
    log.stream("a").open()
    other.append("n")
    for refused in ("", "why"):
        Outbox.objects.using(using).create(log=log.name, kind="n", payload={}, refused=refused)
    page(clerk)
    # A log takes four, and two more if its outbox is not empty, and two if something is set aside.
    with cheap("default", using, most=20):
        assert page(clerk).status_code == 200


def test_who_may_see_it(make_log):
    """Whoever has the permission, or is let in by a policy; each sees the logs that the policy
    lets them see as a whole. B65, B67."""
    open_to_all, hidden = make_log(), make_log(POLICY="tests.test_admin_overview.Hidden")
    open_to_all.append("n")
    hidden.append("n", stream="secret")
    assert page(person()).status_code == 403
    assert page(person("view_event", name="guest", staff=False)).status_code == 302
    shown = [one.name for one in page(person("view_event")).context["sections"]]
    assert open_to_all.name in shown
    assert hidden.name not in shown
    assert hidden.name not in page(person("view_event")).content.decode()


def test_nothing_can_be_changed(clerk, log):
    """No row of a log can be added, changed or deleted here, not even by a superuser."""
    log.append("n")
    clerk.user.is_superuser = True
    clerk.user.save()
    pk = 1
    assert clerk.get(reverse("admin:events_log_add")).status_code == 403
    assert clerk.post(reverse("admin:events_log_delete", args=[pk])).status_code in (302, 403)
    address = reverse("admin:events_log_changelist")
    assert clerk.post(reverse("admin:events_log_change", args=[pk]), {"head": 0}).url == address
    assert clerk.get(reverse("admin:events_log_history", args=[pk])).url == address
    assert facts(clerk, log)["Head"] == "1"


def test_a_database_that_is_away_hides_no_other(clerk, make_log, monkeypatch):
    """Its section says so."""
    good, bad = make_log(), make_log("postgres")
    real = DatabaseBackend.figures

    def figures(self):
        if self.alias == "postgres":
            raise OperationalError("could not connect <b>")
        return real(self)

    monkeypatch.setattr(DatabaseBackend, "figures", figures)
    assert "could not connect &lt;b&gt;" in part(clerk, bad)
    assert facts(clerk, good)["Head"] == "0"


def test_no_inline_script_or_style(clerk, log):
    """As a strict Content-Security-Policy has it."""
    log.append("n")
    html = page(clerk).content.decode()
    assert not re.search(INLINE, html)


def test_numbers_in_german(clerk, log, settings):
    """Coordinates are no prose: a comma in them would break the picture."""
    settings.LANGUAGE_CODE = "de"
    settings.USE_THOUSAND_SEPARATOR = True
    log.append_many([("n", {})] * 1500)
    html = page(clerk).content.decode()
    assert "Übersicht" in html
    assert "1.500 Ereignisse; höchstens 1.500 in einem Balken." in html
    for attribute in re.findall(r'\s(?:x|y|x1|x2|y1|y2|width|height)="([^"]*)"', html):
        assert re.fullmatch(r"-?[0-9.]+(%|rem)?", attribute), attribute


# The parts that need no database


@pytest.mark.parametrize(
    ("most", "top"), [(0, 2), (1, 2), (3, 4), (5, 6), (7, 10), (11, 20), (950, 1000)]
)
def test_a_scale_ends_at_a_round_number(most, top):
    """Half of which is one as well."""
    assert nice(most) == top


def test_words():
    """Numbers as people read them."""
    assert duration(0) == "0 s"
    assert duration(3.21) == "3.2 s"
    assert duration(192) == "3 min 12 s"
    assert duration(3600) == "1 h"
    assert duration(90_000) == "1 d 1 h"
    assert bounded(1000) == "1,000"
    assert bounded(1001) == "1,000+"
    assert (rate(0), rate(0.0003), rate(2.5), rate(41.7)) == ("0", "<0.01", "2.50", "42")
