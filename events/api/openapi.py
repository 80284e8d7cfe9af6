"""The description of the API: plain data, in `openapi.yaml`."""

from functools import cache
from pathlib import Path
from typing import Any

Schema = dict[str, Any]


@cache
def description() -> Schema:
    # Whatever asks for it has PyYAML, as drf-spectacular does; the app can do without.
    import yaml

    text = (Path(__file__).parent / "openapi.yaml").read_text("utf-8")
    found: Schema = yaml.safe_load(text)
    return found


def operation_of(view: type, method: str) -> Schema | None:
    """The operation of a view, or of the one it is derived from."""
    by_view = {path["x-view"]: path for path in description()["paths"].values()}
    paths = (by_view.get(f"{base.__module__}.{base.__qualname__}", {}) for base in view.__mro__)
    return next((path[method.lower()] for path in paths if method.lower() in path), None)
