"""The admin's pages in the look of django-unfold, where that is installed."""

from importlib.util import find_spec

import httpx
import pytest

from .servers import Site
from .test_admin_browser import STAFF

if find_spec("unfold") is None:
    pytest.skip("django-unfold is not installed", allow_module_level=True)

PAGES = {
    "/admin/": ["/admin/events/event/"],
    "/admin/events/event/": ['id="result_list"', "data-events-live", "Older", "Prune"],
    "/admin/events/event/?before=50": ["Newer"],
    "/admin/events/event/?q=%23999": ["There is no event at position 999"],
    "/admin/events/event/?kind=none.such&time=hour": ["Nothing here"],
    "/admin/events/event/at/1/": ["first.kind", "events-json", "Raw JSON"],
    "/admin/events/event/prune/?max_entries=1": ["This would remove"],
}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('unfold')}/db.sqlite3"
    site = Site(url, DJANGO_SETTINGS_MODULE="tests.unfold_settings")
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
