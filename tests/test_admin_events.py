"""Events in the admin: found, read, exported and pruned, and never changed."""

import csv
import html
import io
import json
import re
from urllib.parse import quote

import pytest
from asgiref.sync import sync_to_async
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connections
from django.test import AsyncClient, Client
from django.urls import reverse

import events
from events.admin.events import export
from events.admin.events.wanted import SPAN, Wanted
from events.admin.shared import payloads
from events.admin.shared.scope import Scope
from events.exceptions import CursorExpired
from events.models import Event, Stream
from events.testing import ManualClock

from .support.databases import DATABASES
from .support.http_client import API
from .test_admin_keyset import link, listing, rows_of, shown, signed_in, staff

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

ANSI, BIDI = "\x1b[31m", "\u202e"
HOSTILE = {
    "html": "</script><img src=x onerror=alert(1)>",
    "url": "javascript:alert(1)",
    "ansi": f"{ANSI}red",
    "csi": "\x9b31m",
    "bidi": f"{BIDI}gpj.exe",
    "cell": "=cmd|' /C calc'!A0",
    BIDI: 1,
}


@pytest.fixture(params=["default", "postgres"])
def log(request, make_log):
    return make_log(request.param)


@pytest.fixture(params=DATABASES)
def any_log(request, make_log):
    return make_log(request.param)


@pytest.fixture
def clerk(db):
    return staff("view_event")


def page_of(client, log, position):
    event = rows_of(log).get(position=position)
    path = reverse("admin:events_event_change", args=[event.pk])
    return client.get(f"{path}?log={log.name}")


def text(response):
    return response.content.decode()


def search(client, log, words, more=""):
    return listing(client, log, f"&q={quote(words)}{more}")


def download(client, log, format, query=""):
    path = reverse("admin:events_event_export")
    response = client.get(f"{path}?log={log.name}&format={format}{query}")
    return b"".join(response.streaming_content).decode()


# Read-only


def test_nothing_can_be_added_changed_or_deleted(log):
    """By a superuser neither: the addresses are there and answer 403."""
    client = signed_in(User.objects.create_superuser("root"))
    log.append("n", {"a": 1})
    pk = rows_of(log).get().pk
    for name, arguments in (("add", []), ("delete", [pk])):
        address = reverse(f"admin:events_event_{name}", args=arguments) + f"?log={log.name}"
        assert client.get(address).status_code == 403
        assert client.post(address, {"post": "yes"}).status_code == 403
    address = reverse("admin:events_event_change", args=[pk]) + f"?log={log.name}"
    assert client.post(address, {"kind": "other"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": [pk], "index": 0}
    client.post(reverse("admin:events_event_changelist") + f"?log={log.name}", action)
    assert log.read().entries[0].payload == {"a": 1}
    assert "_selected_action" not in text(listing(client, log))


def test_a_row_shows_what_happened(clerk, log):
    """Position, time, kind with a colour, stream, seq, and the start of the payload."""
    log.append("turn.started", {"n": "x" * 500}, stream="run-1")
    page = text(listing(clerk, log))
    assert re.search(
        r'class="events-kind events-tone-\d+ events-shade-\d">turn.<wbr>started<', page
    )
    assert re.search(r'<td class="field-number">1</td>', page)
    assert re.search(
        r'<code class="events-excerpt">{&quot;n&quot;:<wbr>&quot;xxx[x]+…</code>', page
    )
    assert re.search(r'<time datetime="[\d-]+T[\d:.]+Z" title="[^"]* ago">', page)


def test_a_kind_has_one_colour_on_every_page(clerk, make_log):
    """In the list, in the charts of the overview, and in the picture of a stream."""
    log = make_log(name="default")
    for number, kind in enumerate(("turn.started", "turn.done", "job.done"), 1):
        log.append_many([{"kind": kind, "stream": "run-1"}] * number)
    stream = Stream.objects.get(log__name=log.name)
    pages = {
        listing(clerk, log): 'class="events-kind ([^"]+)">{marked}<',
        clerk.get(
            reverse("admin:events_log_changelist")
        ): '<rect class="([^"]+)"[^>]*></svg> {kind} ',
        clerk.get(reverse("admin:events_stream_timeline", args=[stream.pk])): (
            '<title>No. \\d: {kind}, [^<]*</title><circle class="([^"]+)"'
        ),
    }
    looks = set()
    for kind in ("turn.started", "turn.done", "job.done"):
        marked = kind.replace(".", ".<wbr>")
        found = {
            re.search(pattern.format(kind=kind, marked=marked), text(page))[1]
            for page, pattern in pages.items()
        }
        assert len(found) == 1, kind
        looks |= found
    assert len(looks) > 1


# Search and filters


def test_search(clerk, log):
    """A stream, a key, a position, a kind: by the word alone, or with what it is."""
    log.append("turn.started", stream="run-1")
    log.append("turn.done", stream="run-2", key="pay me")
    log.append("job.failed", stream="run-2", key="abc")
    for words, positions in {
        "run-2": [3, 2],
        "stream:run-1": [1],
        "key:pay me": [2],
        "abc": [3],
        "pay me": [2],
        "kind:turn.*": [2, 1],
        "turn.*": [2, 1],
        "turn": [2, 1],
        "job.failed": [3],
        "stream:run-2 kind:turn.*": [2],
        "2": [3, 2, 1],
        "#2": [3, 2, 1],
        "key:nope": [],
        "stream:nope": [],
        "": [3, 2, 1],
    }.items():
        assert shown(search(clerk, log, words)) == positions, words


def test_a_position_is_jumped_to(clerk, log):
    """It stands near the top of the page, marked, and paging goes on from there."""
    log.append_many([("n", {})] * 500)
    page = search(clerk, log, "#250")
    positions = shown(page)
    assert positions[:6] == [255, 254, 253, 252, 251, 250]
    assert text(page).count('class="events-here"') == 1
    older = clerk.get(reverse("admin:events_event_changelist") + link(page, "next"))
    assert shown(older)[0] == positions[-1] - 1
    assert "There is no event at position 900" in text(search(clerk, log, "900"))


@pytest.mark.parametrize(
    "words", ["no such thing", "kind:No Kind", "stream:", "kind:*x", "stream:a stream:b", "\u202e<b>", "9" * 30]
)  # fmt: skip
def test_nonsense_is_said_to_be(clerk, make_log, words):
    """In a sentence, with the word in it as harmless text, and with no rows or all that are near."""
    log = make_log()
    log.append("n")
    response = search(clerk, log, words)
    assert response.context["cl"].notes
    assert "<b>" not in " ".join(response.context["cl"].notes) or "&lt;b&gt;" in text(response)


def test_filters(clerk, log):
    """Kind and prefix from what is there, the stream's status, the stream, and together."""
    log.stream("run-1").open()
    log.append("turn.done", stream="run-1")
    log.append("job.done", stream="other")
    log.stream("run-1").complete()
    page = listing(clerk, log)
    choices = {
        c["display"]
        for spec in page.context["cl"].filter_specs
        for c in spec.choices(page.context["cl"])
        if "display" in c
    }
    assert {"stream.*", "stream.opened", "turn.done", "job.done"} <= {str(c) for c in choices}
    for query, positions in {
        "&kind=turn.done": [2],
        "&kind=stream.*": [4, 1],
        "&status=completed": [4, 2, 1],
        "&status=failed": [],
        "&status=completed&kind=turn.*": [2],
        "&status=completed&stream=run-1": [4, 2, 1],
        "&status=running&stream=run-1": [],
        "&stream=other": [3],
        "&stream=nope": [],
        "&stream=run-1&q=kind:stream.*": [4, 1],
    }.items():
        assert shown(listing(clerk, log, query)) == positions, query


def test_the_log_is_chosen_like_a_filter(clerk, make_log):
    """Where there are several; clearing the filters stays in it, another log begins anew."""
    log, other = make_log(), make_log("postgres")
    log.append("n", stream="s")
    other.append("m")
    page = listing(clerk, log, "&stream=s&kind=n").context["cl"]
    logs = {c["display"]: c for c in page.filter_specs[0].choices(page)}
    assert logs[log.name]["selected"]
    assert logs[other.name]["query_string"] == f"?log={other.name}"
    assert page.clear_all_filters_qs == f"?log={log.name}"
    assert shown(listing(clerk, other)) == [1]


def test_time_is_a_range_of_positions(clerk, make_log):
    """The last hour, and from and to, in the page's time zone or in one that is named."""
    clock = ManualClock(1_700_000_000)
    log = make_log(OPTIONS={"clock": clock})
    for _ in range(5):
        log.append("n")
        clock.advance(1800)
    assert shown(listing(clerk, log, "&time=hour")) == [5, 4]
    assert shown(listing(clerk, log, "&time=day")) == [5, 4, 3, 2, 1]
    # 22:13:20, and every half an hour from then.
    assert shown(listing(clerk, log, "&from=2023-11-14T22:30")) == [5, 4, 3, 2]
    assert shown(listing(clerk, log, "&to=2023-11-14T22:43:20")) == [1]
    assert shown(listing(clerk, log, "&from=2023-11-14T22:43:20Z&to=2023-11-14T23:43:20Z")) == [
        3,
        2,
    ]
    assert shown(listing(clerk, log, "&from=2030-01-01")) == []
    assert shown(listing(clerk, log, "&to=1999-01-01")) == []


@pytest.mark.parametrize(
    "query",
    [
        "&from=abc", "&from=9999-12-31T23:59&to=0001-01-01", "&to=0001-01-01T00:00-14:00", "&time=eon",
        "&from=2023-13-45", "&status=dead", "&status=%00", "&kind=%00", "&kind=A", "&stream=%00",
        "&stream=" + "s" * 999, "&kind=" + "k" * 999, "&q=key:%00", "&q=" + "9" * 999, "&q=%F0%9F%98%80",
        "&q=key:" + "k" * 200, "&kind=a&kind=b", "&q=a&q=b", "&from=%ED%A0%80", "&q=%ED%A0%80", "&q=*",
        "&stream=a&q=stream:b", "&before=9223372036854775807", "&after=9223372036854775807",
        "&q=9223372036854775807&kind=n", "&kind=n&before=1", "&kind=n&after=99", "&status=running&before=0",
    ],
)  # fmt: skip
def test_a_hostile_query_is_answered(clerk, log, query):
    """With a page, and for an export with a file or a way back to the page."""
    log.append_many([("n", {})] * 5)
    assert listing(clerk, log, query).status_code == 200
    path = reverse("admin:events_event_export")
    assert clerk.get(f"{path}?log={log.name}{query}").status_code in (200, 302)


def test_a_rare_kind_costs_bounded_pages(clerk, log, monkeypatch):
    """B11: what a page has looked at is said, and a link looks further back, until it is found."""
    monkeypatch.setattr("events.admin.events.wanted.SPAN", 100)
    log.append("rare")
    log.append_many([("n", {})] * 250)
    response, pages = listing(clerk, log, "&kind=rare"), 1
    assert shown(response) == []
    assert "This page looked at 100 positions, down to 152" in text(response)
    while not shown(response):
        response = clerk.get(reverse("admin:events_event_changelist") + link(response, "next"))
        pages += 1
    assert (shown(response), pages, link(response, "next")) == ([1], 3, None)


def test_a_sparse_stream_is_looked_at_farther(log):
    """The span of a kind within a stream is of as many events, not positions."""
    log.append("n", stream="s")
    Stream.objects.using(log.settings.options["using"]).filter(log__name=log.name).update(
        last_position=10_000_000, seq=100
    )
    wanted = Wanted(Scope(log.name, User(is_superuser=True)), {"stream": "s", "kind": "n"})
    assert wanted.keyset.span == SPAN * 100_000


# The context


def test_who_and_why_are_searched_for(clerk, any_log):
    """As a text or a number, exactly, alone or with more; within the bound of a page."""
    for number, fields in enumerate(
        [
            {"actor": "7", "request": "a b"},
            {"actor": 7},
            {"actor": "77", "trace": 'x"actor":"7"'},
            {"actor": "Seven", "done": True},
            {"note": "actor", "request": "7"},
        ],
        1,
    ):
        with events.context(**fields):
            any_log.append("odd" if number % 2 else "even")
    any_log.append("odd")
    for words, positions in {
        "actor:7": [2, 1],
        "actor:77": [3],
        "actor:Seven": [4],
        "actor:seven": [],
        "actor:%": [],
        "actor:_even": [],
        "request:a b": [1],
        "request:7": [5],
        'trace:x"actor":"7"': [3],
        "actor:7 kind:even": [2],
        "kind:odd actor:7": [1],
        "actor:7 request:a b": [1],
    }.items():
        assert shown(search(clerk, any_log, words)) == positions, words
        lines = download(clerk, any_log, "ndjson", f"&q={quote(words)}").splitlines()
        assert [json.loads(line)["position"] for line in lines] == positions[::-1], words
    for words in ("actor:", "actor:\0", "actor:1 actor:2"):
        response = search(clerk, any_log, words)
        assert response.context["cl"].notes
        assert shown(response) == []


def test_a_rare_actor_costs_bounded_pages(clerk, log, monkeypatch):
    monkeypatch.setattr("events.admin.events.wanted.SPAN", 100)
    with events.context(actor=7):
        log.append("n")
    log.append_many([("n", {})] * 150)
    response = search(clerk, log, "actor:7")
    assert shown(response) == []
    assert "This page looked at 100 positions, down to 52" in text(response)
    assert shown(clerk.get(response.request["PATH_INFO"] + link(response, "next"))) == [1]


def test_the_page_of_an_event_says_who_and_why(clerk, log):
    """With links to all that the same one did; nothing of it is alive."""
    with events.context(actor=7, request=f"<b>{BIDI}", note="by hand"):
        log.append("n")
    log.append("n")
    page = text(page_of(clerk, log, 1))
    address = html.unescape(re.search(r'<a href="([^"]+)">7</a>', page)[1])
    assert shown(clerk.get(address)) == [1]
    assert "<span>by hand</span>" in page
    assert "&lt;b&gt;\\u202e" in page
    assert "events-pairs" in text(page_of(clerk, log, 2))
    assert "None" not in text(page_of(clerk, log, 2))


# The page of an event


def test_the_page_of_an_event(clerk, log):
    """What it is, its neighbours in the log and in the stream, and where else it can be had."""
    log.append("n", stream="run-1")
    log.append("m", {"deep": {"list": [1, None, True, "text"]}}, stream="run-1", key="k-1")
    log.append("n", stream="run-2")
    log.append("n", stream="run-1")
    response = page_of(clerk, log, 2)
    page = text(response)
    assert "k-1" in page
    links = re.findall(r'<a href="([^"]+)"[^>]* title="#(\d+)"', page)
    assert [position for _, position in links] == ["1", "3", "1", "4"]
    for address, position in links:
        found = clerk.get(html.unescape(address))
        assert found.context["original"].position == int(position)
    assert f"{API}?since=1&amp;limit=1&amp;log={log.name}" in page


def test_raw_json_is_the_apis(clerk, client, log):
    """Byte for byte what the API sends."""
    log.append("n", {"float": 1e2, "text": "é\u202e"}, stream="s")
    pk = rows_of(log).get().pk
    raw = clerk.get(reverse("admin:events_event_json", args=[pk]) + f"?log={log.name}")
    lines = client.get(API, {"log": log.name, "format": "ndjson"})
    assert raw.content + b"\n" == b"".join(lines.streaming_content)
    assert raw["X-Content-Type-Options"] == "nosniff"


def test_an_event_is_found_by_its_primary_key_alone(clerk, make_log):
    """Also one of another log in the same database; that is how Django links to it."""
    make_log(name="default").append("a")
    other = make_log()
    other.append("b")
    pk = rows_of(other).get().pk
    response = clerk.get(reverse("admin:events_event_change", args=[pk]))
    assert response.context["original"].kind == "b"


@pytest.mark.parametrize("pk", ["0", "abc", "9" * 40, "-1", "1%00", "%ED%A0%80", "1_0", "é"])
def test_what_is_no_event_is_told_as_django_does(clerk, make_log, pk):
    """A way back to the start, with a message."""
    make_log(name="default").append("n")
    response = clerk.get(f"/admin/events/event/{pk}/change/")
    assert response.status_code == 302
    assert clerk.get(f"/admin/events/event/{pk}/json/").status_code == 302


def test_a_long_payload_is_cut_and_its_whole_is_linked(clerk, log, monkeypatch):
    """And then there is no button that would copy a part of it."""
    monkeypatch.setattr("events.admin.events.page.MOST", 100)
    log.append("n", {"text": "y" * 99})
    log.append("n", {"text": "y"})
    long, short = (text(page_of(clerk, log, position)) for position in (1, 2))
    assert "y" * 99 not in long
    assert "the whole of it is the raw JSON" in long
    assert ("data-copy" in long, "data-copy" in short) == (False, True)
    assert '<pre class="events-payload">{\n  &quot;text&quot;: &quot;y&quot;\n}</pre>' in short


def test_what_is_copied_is_the_same_json():
    """With the invisible spelled out."""
    copied = payloads.pretty(HOSTILE)
    assert json.loads(copied) == HOSTILE
    assert not set(copied) & {BIDI, "\x1b", "\x9b"}


# Hostile payloads


def test_hostile_payloads_do_no_harm_in_pages(clerk, log):
    """They are text, nothing moves or hides, and nothing in them is a link."""
    log.append("n", HOSTILE, key=f"={BIDI}")
    for response in (listing(clerk, log), page_of(clerk, log, 1)):
        page = text(response)
        assert "<img" not in page.replace('<img src="/static/admin', "")
        assert 'href="javascript:' not in page
        assert not set(page) & {BIDI, "\x1b", "\x9b"}


def test_hostile_cells_do_no_harm_in_a_spreadsheet(clerk, log):
    """No cell begins as a formula does, and none has a control character."""
    for key in ("=cmd|' /C calc'!A0", "+1", "-1", "@x", "\tx", "\rx", "＝1", " =1", "plain"):
        log.append("n", HOSTILE, key=key)
    table = list(csv.reader(io.StringIO(download(clerk, log, "csv"), newline="")))
    assert table[0] == list(export.COLUMNS)
    for row in table[1:]:
        assert not any(re.match(r"\s*[=+\-@\t\r＝]", cell) for cell in row)
        assert json.loads(row[-1]) == HOSTILE
    assert table[1][5] == "'=cmd|' /C calc'!A0"
    assert table[-1][5] == "plain"
    assert not set(download(clerk, log, "csv")) & {BIDI, "\x1b", "\x9b"}


# Export


def test_ndjson_is_the_apis(clerk, client, log):
    """Line for line, across pages."""
    log.append_many([("n", HOSTILE)] * 3 + [("m", {"i": i}) for i in range(2500)])
    api = client.get(API, {"log": log.name, "format": "ndjson"})
    assert download(clerk, log, "ndjson") == b"".join(api.streaming_content).decode()


def test_an_export_is_of_the_filter(clerk, log, monkeypatch):
    """Whatever the list shows, on all its pages, oldest first."""
    monkeypatch.setattr("events.admin.events.wanted.SPAN", 100)
    log.append_many([("rare" if n % 100 == 0 else "n", {}) for n in range(1, 2001)])
    lines = download(clerk, log, "ndjson", "&kind=rare").splitlines()
    assert [json.loads(line)["position"] for line in lines] == list(range(100, 2001, 100))
    assert download(clerk, log, "ndjson", "&kind=none") == ""
    log.stream("run-1").open()
    log.append("n", stream="run-1")
    log.append("n", stream="run-2")
    lines = download(clerk, log, "ndjson", "&status=running").splitlines()
    assert [json.loads(line)["position"] for line in lines] == [2001, 2002]


def test_an_export_has_a_name(clerk, log):
    """With the log and the time in it; nonsense leads back to the list that says so."""
    log.append("n")
    path = reverse("admin:events_event_export") + f"?log={log.name}"
    name = clerk.get(path)["Content-Disposition"]
    assert re.fullmatch(rf'attachment; filename="events-{log.name}-\d+T\d+Z\.ndjson"', name)
    back = clerk.get(f"{path}&format=csv&status=dead")
    assert back.url == reverse("admin:events_event_changelist") + f"?log={log.name}&status=dead"


async def test_an_export_streams_over_asgi(make_log):
    """An asynchronous iterator, which Django does not gather in memory first."""

    def prepare():
        log = make_log()
        log.append_many([("n", {})] * 1500)
        return log, User.objects.create_superuser("root")

    log, user = await sync_to_async(prepare)()
    client = AsyncClient()
    await client.aforce_login(user)
    response = await client.get(reverse("admin:events_event_export"), {"log": log.name})
    assert response.is_async
    lines = b"".join([chunk async for chunk in response.streaming_content]).splitlines()
    assert len(lines) == 1500
    await sync_to_async(connections.close_all)()


def test_an_export_that_pruning_overtakes_breaks_off(clerk, log):
    """What ends properly must be whole."""
    log.append_many([("n", {})] * 3000)
    path = reverse("admin:events_event_export") + f"?log={log.name}"
    chunks = iter(clerk.get(path).streaming_content)
    next(chunks), next(chunks)
    log.prune(max_entries=100)
    with pytest.raises(CursorExpired):
        list(chunks)


def test_an_export_counts_among_its_users_connections(clerk, make_log):
    """As a download from the API does: with one too many, a user is asked to come back."""
    log = make_log(MAX_CONNECTIONS=1)
    log.append("n")
    path = reverse("admin:events_event_export") + f"?log={log.name}"
    first, second = clerk.get(path), clerk.get(path)
    assert (second.status_code, second["Retry-After"]) == (429, "15")
    first.close()
    assert clerk.get(path).status_code == 200


# Who sees what


def test_only_staff_who_may_view(log):
    """For every address of ours."""
    log.append("n", stream="run-1")
    pk = rows_of(log).get().pk
    addresses = [
        reverse("admin:events_event_changelist"),
        reverse("admin:events_event_change", args=[pk]),
        reverse("admin:events_event_json", args=[pk]),
        reverse("admin:events_event_export"),
        reverse("admin:events_event_prune"),
    ]
    for client, status in ((Client(), 302), (staff(), 403)):
        for address in addresses:
            response = client.get(f"{address}?log={log.name}")
            assert response.status_code == status, address
            assert status == 403 or "/login/" in response.url


def test_a_policy_hides_a_stream_everywhere(clerk, make_log):
    """B65, B67: list, search, page, raw JSON, export; and forbidden looks as missing does."""
    log = make_log(POLICY="tests.test_admin_keyset.OnlyRuns")
    log.append("open.kind", {"t": 1}, stream="run-1", key="mine")
    log.append("secret.kind", {"t": "treasure"}, stream="secret", key="theirs")
    log.append("no.stream", {"t": "treasure"})
    for query in ("", "&stream=secret", "&q=secret", "&q=theirs", "&q=key:theirs", "&q=%232", "&q=kind:secret.*"):  # fmt: skip
        response = listing(clerk, log, query)
        assert shown(response) == []
        assert "treasure" not in text(response)
        assert "secret.kind" not in text(response)
    for query in ("&stream=run-1", "&q=run-1", "&stream=run-1&q=key:mine"):
        assert shown(listing(clerk, log, query)) == [1]
    assert shown(listing(clerk, log, "&stream=run-1&q=key:theirs")) == []
    answers = {}
    for name, pk in (("hidden", rows_of(log).get(position=2).pk), ("missing", 999_999)):
        for view in ("change", "json"):
            address = reverse(f"admin:events_event_{view}", args=[pk]) + f"?log={log.name}"
            answers[name, view] = clerk.get(address).status_code
    assert set(answers.values()) == {302}
    assert page_of(clerk, log, 1).status_code == 200
    assert "secret" not in text(page_of(clerk, log, 1))
    assert download(clerk, log, "ndjson") == ""
    assert download(clerk, log, "ndjson", "&stream=secret") == ""
    assert json.loads(download(clerk, log, "ndjson", "&stream=run-1"))["position"] == 1
    secret = listing(clerk, log, "&stream=secret")
    missing = listing(clerk, log, "&stream=missing")
    same = [re.sub(r'csrf\w+" value="\w+"', "", text(one)) for one in (secret, missing)]
    assert same[0].replace("secret", "missing") == same[1]


# Pruning


@pytest.fixture
def pruner(db):
    return staff("view_event", "delete_event")


def prune(client, log, method="get", **bounds):
    path = reverse("admin:events_event_prune")
    data = {"older_than": "", "max_entries": "", **bounds}
    if method == "get":
        return client.get(path, {"log": log.name, **data})
    return client.post(f"{path}?log={log.name}", data)


def test_pruning_shows_what_would_go_and_then_removes_it(pruner, log):
    """And the admin's history says what went."""
    log.append_many([("n", {})] * 10)
    response = prune(pruner, log, max_entries=4)
    assert "remove <b>6</b> of 10 entries, up to position <b>6</b> (" in text(response)
    assert log.info().count == 10
    response = prune(pruner, log, "post", max_entries=4)
    assert response.status_code == 302
    assert log.info().count == 4
    message = LogEntry.objects.get().get_change_message()
    assert message.startswith("Pruned 6 entries, up to position 6 of 20")
    assert "6 entries were removed" in text(pruner.get(response.url))


def test_pruning_by_age(pruner, make_log):
    """Durations as the commands have them."""
    clock = ManualClock(1_700_000_000)
    log = make_log(OPTIONS={"clock": clock})
    log.append("n")
    clock.advance(86_400 * 8)
    log.append("n")
    assert "remove <b>1</b> of 2 entries" in text(prune(pruner, log, older_than="7d"))
    prune(pruner, log, "post", older_than="7d")
    assert [e.position for e in log.read().entries] == [2]


@pytest.mark.parametrize(
    "bounds",
    [
        {}, {"older_than": "0"}, {"older_than": "x"}, {"older_than": "9" * 12 + "d"}, {"max_entries": 0},
        {"max_entries": -1}, {"max_entries": "9" * 40}, {"max_entries": "a"}, {"older_than": "\0"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_removes_nothing(pruner, make_log, bounds):
    """Least of all everything by a zero."""
    log = make_log()
    log.append("n")
    assert prune(pruner, log, **bounds).status_code == 200
    assert prune(pruner, log, "post", **bounds).status_code == 200
    assert log.info().count == 1


def test_only_who_may_delete_prunes(clerk, log):
    """And is offered to."""
    log.append("n")
    assert prune(clerk, log).status_code == 403
    assert prune(clerk, log, "post", max_entries=1).status_code == 403
    assert "/prune/" not in text(listing(clerk, log))


def test_pruning_needs_the_token(pruner, log):
    """A page of somebody else's cannot have it done."""
    log.append_many([("n", {})] * 3)
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(username="clerk"))
    assert prune(client, log, "post", max_entries=1).status_code == 403
    assert log.info().count == 3


def test_pruning_where_every_request_is_a_transaction(pruner, make_log, monkeypatch):
    """The view is taken out of it: inside one, nothing could be pruned."""
    log = make_log()
    log.append_many([("n", {})] * 3)
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    prune(pruner, log, "post", max_entries=1)
    assert log.info().count == 1
    assert shown(listing(pruner, log)) == [3]
    assert Event.objects.filter(log__name=log.name).count() == 1
