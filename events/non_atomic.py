"""Views with no transaction around them, whatever ATOMIC_REQUESTS says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])


class _EveryAlias:
    """The aliases on which a view wants no transaction around it: all there are.

    With one, a POST would answer with receipts instead of positions, nothing could be pruned or
    deleted, nothing would be sequenced before it is shown, a request that waits would hold it
    open, and a database that does not answer would break the whole page.
    """

    def __contains__(self, alias: object) -> bool:
        return True


def non_atomic(view: View) -> View:
    """Not `transaction.non_atomic_requests`: that is for one alias, which has to be known when
    the view is defined."""
    view._non_atomic_requests = _EveryAlias()  # type: ignore[attr-defined]
    return view
