"""The direction of imports: downward, module by module, with no way round."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# From the bottom. What a folder is named for is all that is in it.
LAYERS = {
    "core": "conf context cursors encoding exceptions fields hints hooks internals lifecycle non_atomic "
    "policy prepared threads types validation visible wire",
    "backends": "models backends",
    "live": "live",
    "log": "coalesce base_log writer streams log status __init__",
    "transports": "limits parameters tickets origin api websocket",
    "apps": "admin apps checks contrib durable handlers management metrics middleware routing testing tracking urls webhooks",
}
RANK = {name: rank for rank, names in enumerate(LAYERS.values()) for name in names.split()}

# Three ways to the same events. What they share stands beside them, in `parameters`, `origin` and `api`.
TRANSPORTS = {
    "HTTP": "api.actions api.export api.items api.pagination api.views api.waiting",
    "SSE": "api.eventsource api.sse",
    "WebSocket": "websocket",
}

# Of the admin, one for each page.
ROOMS = "overview events streams"

# Who may know our tables.
TABLES = ("models", "backends.database")


def test_imports_point_downward(imports):
    """A module imports from its own layer and from those below."""
    up = {
        (module, needed)
        for module, needs in imports.items()
        for needed in needs
        if rank(needed) > rank(module)
    }
    assert not up


def test_the_picture_for_contributors_has_every_module():
    """In the box of its layer, from the top."""
    [_, *boxes] = (ROOT / "CONTRIBUTING.md").read_text().split("┌─ ")
    assert len(boxes) == len(LAYERS)
    for box, (layer, names) in zip(reversed(boxes), LAYERS.items(), strict=True):
        drawn = set(re.findall(r"\w+", box.partition("└")[0]))
        assert {*names.split(), layer} - {"__init__"} <= drawn


def test_no_module_needs_itself(imports):
    """There is no circle among modules, in functions and for types neither."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_no_transport_imports_another(imports):
    for own, names in TRANSPORTS.items():
        others = " ".join(other for name, other in TRANSPORTS.items() if name != own)
        for module in imports:
            if within(module, names):
                assert not [needed for needed in imports[module] if within(needed, others)]
    assert not [
        one for one in imports if within(one, "websocket") and needs_any(imports, one, "api")
    ]


def test_no_room_of_the_admin_imports_its_neighbour(imports):
    """Each page has a room of its own, above what they share."""
    rooms = {one.split(".")[1] for one in imports if within(one, "admin") and one != "admin"}
    assert rooms == {*ROOMS.split(), "shared"}
    for room in rooms:
        others = " ".join(f"admin.{other}" for other in rooms - {room, "shared"})
        own = [one for one in imports if within(one, f"admin.{room}")]
        assert not [one for one in own if needs_any(imports, one, others)]


def test_what_joins_other_projects_is_needed_by_nobody(imports):
    """Each is an app of its own, and what they share knows none of them."""
    for own in ("contrib.celery", "contrib.django_tasks"):
        assert not [one for one in imports if not within(one, own) and needs_any(imports, one, own)]
    assert not [one for one in imports if not within(one, "contrib") and needs_any(imports, one, "contrib")]  # fmt: skip


def test_the_tables_are_known_to_the_backends_alone(imports):
    """A ModelAdmin needs its models; what it counts, it asks the backend."""
    knowing = {name: [one for one in imports if needs_any(imports, one, name)] for name in TABLES}
    assert not [one for one in knowing["backends.database"] if not within(one, "backends")]
    assert not [one for one in knowing["models"] if not within(one, "backends admin")]


def test_what_needs_drf_spectacular_is_needed_by_the_addresses_alone(imports):
    assert {one for one in imports if needs_any(imports, one, "api.spectacular")} == {"urls"}
    assert not imports["api.openapi"]


@pytest.fixture(scope="module")
def imports():
    """What each module of the app imports of it, by names without `events.`."""
    modules = {}
    for path in (ROOT / "events").rglob("*.py"):
        place = path.relative_to(ROOT / "events").with_suffix("").parts
        if "migrations" not in place:
            modules[".".join(place).removesuffix(".__init__")] = path
    return {module: imported(module, path, modules) for module, path in modules.items()}


def imported(module, path, modules):
    found = set()
    package = ["events", *module.split(".")] if module != "__init__" else ["events", ""]
    if path.name != "__init__.py" or module == "__init__":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not [one for one in node.names if one.name.split(".")[0] == "events"]
        if isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            whole = [*above, *(node.module or "").split(".")]
            for name in node.names:
                place = [part for part in (*whole, name.name) if part]
                if place[0] == "events":
                    names = [".".join(place[1:]), ".".join(place[1:-1]) or "__init__"]
                    found.add(next(one for one in names if one in modules))
    return found - {module}


def rank(module):
    return RANK[module.split(".")[0]]


def within(module, names):
    return any(module == name or module.startswith(f"{name}.") for name in names.split())


def needs_any(imports, module, names):
    return any(within(needed, names) for needed in imports[module])
