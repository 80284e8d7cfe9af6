"""Leases of this process on shards that it works on without a lock, and the thread that renews them.

By the database's clock: those of two machines may differ.
"""

import logging
import os
import threading
import time

from django.db import connections

from ..internals import in_test_environment
from ..threads import own_connection
from . import locks
from .models import Shard

logger = logging.getLogger("events")


class Renewer:
    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.tokens: dict[tuple[str, int], int] = {}
        self.wanted = threading.Event()
        self.thread: threading.Thread | None = None

    def add(self, alias: str, shard: int, token: int) -> None:
        with self.guard:
            self.tokens[alias, shard] = token
            if self.thread is None:
                self.thread = threading.Thread(target=self._run, name="events-leases", daemon=True)
                self.thread.start()
        self.wanted.set()

    def remove(self, alias: str, shard: int) -> None:
        with self.guard:
            self.tokens.pop((alias, shard), None)
            if not self.tokens:
                self.wanted.clear()

    def _run(self) -> None:
        while True:
            if not self.wanted.is_set():
                connections.close_all()
            self.wanted.wait()
            time.sleep(locks.LEASE / 5)
            with self.guard:
                tokens = dict(self.tokens)
            for (alias, shard), token in tokens.items():
                try:
                    self._renew(alias, shard, token)
                except Exception:
                    logger.warning("A handler's lease could not be renewed.", exc_info=True)
                    connections[alias].close()

    def _renew(self, alias: str, shard: int, token: int) -> None:
        if alias not in {one.alias for one in connections.all(initialized_only=True)}:
            connections[alias] = own_connection(alias)
        rows = Shard.objects.using(alias).filter(pk=shard, token=token)
        rows.update(lease_until=locks.lease_end())


# By process: the thread of a parent is not there in the child of a fork.
_renewers: dict[int, Renewer] = {}


def claim(alias: str, shard: int) -> int:
    """With the shard locked: a lease for the time after. The token says whose it is."""
    token = locks.claim(alias, shard)
    # A test's transaction is its thread's alone.
    if not in_test_environment():
        _renewers.setdefault(os.getpid(), Renewer()).add(alias, shard, token)
    return token


def release(alias: str, shard: int, token: int) -> None:
    if renewer := _renewers.get(os.getpid()):
        renewer.remove(alias, shard)
    Shard.objects.using(alias).filter(pk=shard, token=token).update(lease_until=None)
