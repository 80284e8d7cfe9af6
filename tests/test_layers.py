"""The direction of imports: downward, with no way round."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "events"


def test_modules_and_packages_import_in_one_direction():
    """Of the app's modules and packages, taken as wholes, none needs one that needs it."""
    needs = {}
    for path in ROOT.rglob("*.py"):
        place = path.relative_to(ROOT).with_suffix("").parts
        if "migrations" not in place:
            needs.setdefault(place[0], set()).update(imported(path, place[:-1]) - {place[0]})
    order = list(TopologicalSorter(needs).static_order())
    assert order.index("backends") < order.index("live") < order.index("api")


def imported(path, package):
    """The modules and packages of the app that a file imports, but for its types alone."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) + 1 - node.level]
            places = [node.module] if node.module else [one.name for one in node.names]
            found |= {[*above, *place.split(".")][0] for place in places}
    return found
