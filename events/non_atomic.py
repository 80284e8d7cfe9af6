"""Views with no transaction around them, whatever ATOMIC_REQUESTS says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import connections, transaction

View = TypeVar("View", bound=Callable[..., Any])


def non_atomic(view: View) -> View:
    """Not on one alias: a transaction on any would let a POST answer with receipts instead of
    positions, let nothing be pruned or deleted, be held open by a request that waits, and break
    the whole page where its database does not answer."""
    for alias in connections:
        transaction.non_atomic_requests(using=alias)(view)
    return view


@contextmanager
def own_transactions_only() -> Iterator[None]:
    """Django REST framework has the transaction of a failed request rolled back. A view of ours has
    none, so what is open is somebody else's: a test's."""
    open_ones = [one for one in connections.all(initialized_only=True) if one.in_atomic_block]
    sound = [one for one in open_ones if not one.get_rollback()]
    yield
    for connection in sound:
        connection.set_rollback(False)
