"""Every page of the admin with django-unfold installed, whose templates take the place of Django's."""

import json
from importlib.util import find_spec

import httpx
import pytest

from .support.servers import Site
from .test_admin_browser import STAFF

if find_spec("unfold") is None:
    pytest.skip("django-unfold is not installed", allow_module_level=True)

PAGES = {
    "/admin/": ["/admin/events/event/"],
    "/admin/events/event/": ['id="result_list"', "data-events-live", "Older", "Prune"],
    "/admin/events/event/?before=50": ["Newer"],
    "/admin/events/event/?q=%23999": ["There is no event at position 999"],
    "/admin/events/event/?kind=none.such&time=hour": ["Nothing here"],
    "/admin/events/event/1/change/": ["first.kind", "events-payload", "Raw JSON"],
    "/admin/events/event/prune/?max_entries=1": ["This would remove"],
}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('unfold')}/db.sqlite3"
    site = Site(url, DJANGO_SETTINGS_MODULE="tests.support.unfold_settings")
    site.manage("migrate", "-v0")
    site.manage("emit_event", "first.kind", "--stream", "run-1")
    site.manage("simulate", "--rate", "2000", "--count", "150", "-v0")
    cookie = site.manage("shell", "-v0", "-c", STAFF).split()[-1]
    with site.serve("daphne") as (_, address):
        cookies = {"sessionid": cookie}
        with httpx.Client(base_url=address, cookies=cookies, follow_redirects=True) as client:
            yield client


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_shown(client, page):
    """With what it is for on it."""
    response = client.get(page)
    assert response.status_code == 200
    for part in PAGES[page]:
        assert part in response.text, part


# In a process of its own: which apps are installed is settled once for all.
EVERY_PAGE = """
import json
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from events import logs
from events.models import Event, Log, Outbox, Stream
log = logs["default"]
run = log.stream("run-1")
run.open()
run.emit("turn.started", {"question": "why?"})
log.append_many([("many.of_them", {})] * 150)
Outbox.objects.create(log="default", kind="order.paid", payload={}, refused="for a reason")
event, stream = Event.objects.get(kind="turn.started").pk, Stream.objects.get().pk
client = Client()
client.force_login(User.objects.create_superuser("all", "", "all"))
wanted = {
    "index": ("", "Events"),
    "overview": (reverse("admin:events_log_changelist"), "for a reason"),
    "events": (reverse("admin:events_event_changelist"), "many.of_them"),
    "older events": (reverse("admin:events_event_changelist") + "?before=10", "turn.started"),
    "filtered events": (reverse("admin:events_event_changelist") + "?kind=turn.*", "why?"),
    "event": (reverse("admin:events_event_change", args=[event]), "why?"),
    "prune": (reverse("admin:events_event_prune"), "default"),
    "streams": (reverse("admin:events_stream_changelist"), "run-1"),
    "filtered streams": (reverse("admin:events_stream_changelist") + "?status=running", "run-1"),
    "searched streams": (reverse("admin:events_stream_changelist") + "?q=run", "run-1"),
    **{
        name: (reverse(f"admin:events_stream_{name}", args=[stream]), "run-1")
        for name in ("timeline", "change", "stop", "fail", "delete", "history")
    },
}
found = {}
for name, (address, text) in wanted.items():
    answer = client.get(address or reverse("admin:index"))
    found[name] = [answer.status_code, text in answer.content.decode()]
listing = client.get(reverse("admin:events_stream_changelist")).content.decode()
found["actions"] = [200, all(f"{name}_selected" in listing for name in ("stop", "fail", "delete"))]
selected = {"action": "fail_selected", "_selected_action": [stream]}
answer = client.post(reverse("admin:events_stream_changelist"), selected)
found["asked whether to fail"] = [answer.status_code, 'name="post"' in answer.content.decode()]
client.post(reverse("admin:events_stream_changelist"), {**selected, "post": "yes"})
found["failed"] = [200, run.status == "failed"]
print(json.dumps(found))
"""


def test_every_page_stands_with_another_look(tmp_path):
    """It answers, and has its rows; actions work as well."""
    site = Site(
        f"sqlite:///{tmp_path}/db.sqlite3", DJANGO_SETTINGS_MODULE="tests.support.unfold_settings"
    )
    site.manage("migrate", "-v0")
    found = json.loads(site.manage("shell", "-v0", "-c", EVERY_PAGE).splitlines()[-1])
    assert len(found) > 15
    assert {name: answer for name, answer in found.items() if answer != [200, True]} == {}
