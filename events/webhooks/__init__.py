"""Events that leave the house: each endpoint is a handler, whose work is one signed POST an event.

    from events import webhooks

    endpoint = webhooks.add("https://example.com/hook", kinds=["order.*"])
    endpoint.secret                    # whsec_…, which the other side verifies with

An app of its own: `INSTALLED_APPS += ["events.handlers", "events.webhooks"]`, and the extra
`webhooks`. `manage.py run_handlers` delivers. Read on in `models` (what is kept), `verdicts` (what
an answer means), `line` (a step of the work) and `courier` (how one process follows thousands).
"""

from typing import Any


def add(url: str, **options: Any) -> Any:
    """A new endpoint, which gets what is emitted from now on: see `endpoints.add`."""
    # Models cannot be imported before the apps are ready, and this module is.
    from .endpoints import add

    return add(url, **options)


__all__ = ["add"]
