"""The lines that a process may deliver on: where they stand, which want what is new, whose turn it is."""

import secrets
import time
from collections import deque
from collections.abc import Iterable, Sequence

from django.db.models import Min

from ..handlers import holding, locks, store, turn
from ..handlers.models import Held, Shard, State
from ..handlers.newest import Newest
from ..handlers.samples import Sampler
from ..handlers.spec import Spec
from ..log import logs
from ..types import to_micros
from . import conf, endpoints, pruning
from .index import Index
from .line import Line
from .models import Endpoint

# Steps in one transaction.
MOST = 200
# Beyond all positions.
ANYWHERE = 2**62


class Roster:
    def __init__(self, until: dict[str, int]) -> None:
        self.until = until
        # Says, in the shards' rows, that this process works on them.
        self.token = secrets.randbits(62)
        self.lines: dict[tuple[str, int], Line] = {}
        self.ready: tuple[deque[Line], deque[Line]] = (deque(), deque())
        self.newest: dict[str, Newest] = {}
        self.index = Index()
        self.due: dict[int, int] = {}
        # Is there something new in a log?
        self.hinted = True
        self.sampler = Sampler()

    def refresh(self, known: dict[str, Endpoint], specs: Sequence[Spec]) -> None:
        """Where these endpoints stand, and that we still work on ours."""
        self.renew()
        for log in {spec.log for spec in specs} - self.newest.keys():
            self.newest[log] = Newest(logs[log].backend)
            self.newest[log].look()
        lines: dict[tuple[str, int], Line] = {}
        lags: list[tuple[str, int, int]] = []
        for spec, found, shards in store.standing(specs):
            newest = self.newest[spec.log].known
            if shards and newest:
                lag = newest.state.head - min(shard.cursor for shard in shards)
                lags.append((found._state.db or "", found.pk, lag))
            if found.state == State.RUNNING and found.shards == spec.shards:
                if any(shard.holds for shard in shards):
                    holding.free_deleted(spec)
                for shard in turn.workable(found, shards):
                    line = self.line(known[spec.name], shard)
                    lines[line.key] = line
        for key, line in self.lines.items():
            line.closed = key not in lines
            if line.closed and line.busy:
                lines[key] = line
        self.lines = lines
        self.index = Index(lines.values())
        self.due = self.next_due()
        for line in lines.values():
            self.want(line)
        if not self.until:
            self.sampler.look(lags)
        pruning.prune_now_and_then()

    def line(self, endpoint: Endpoint, shard: Shard) -> Line:
        """The one that there is, with what is new about it; or a new one."""
        query = endpoints.query_of(endpoint)
        line = self.lines.get((endpoint._state.db or "", shard.pk))
        if line is None or line.of != shard.of or line.log.name != endpoint.log:
            return Line(endpoint, query, shard)
        line.endpoint, line.nothing_due = endpoint, False
        if line.query != query:
            line.query, line.span, line.nothing = query, ("", 0, 0), ("", 0, 0)
        if not line.busy:
            line.place = locks.Place(shard.cursor, shard.epoch, shard.upto, shard.holds)
        return line

    def next_due(self) -> dict[int, int]:
        """When the first held event of each is to be tried, in microseconds."""
        due: dict[int, int] = {}
        for alias, some in self.by_alias(self.lines.values()).items():
            holding_some = {line.subscription for line in some if line.place.holds}
            rows = Held.objects.using(alias).filter(
                subscription__in=holding_some, next_attempt_at__isnull=False
            )
            firsts = rows.values_list("subscription").annotate(Min("next_attempt_at"))
            due.update({subscription: to_micros(first) for subscription, first in firsts})
        return due

    def renew(self) -> None:
        for alias, some in self.by_alias(self.leased()).items():
            shards = Shard.objects.using(alias).filter(token=self.token)
            ours = shards.filter(pk__in=[line.id for line in some])
            ours.update(lease_until=locks.lease_end())

    def leased(self) -> list[Line]:
        return [line for line in self.lines.values() if line.leased]

    def look(self) -> None:
        """What is new in the logs, and who wants it."""
        for log, newest in self.newest.items():
            before = newest.known.end if newest.known else 0
            newest.look()
            self.hinted = self.hinted or newest.is_behind
            known = newest.known
            if known is not None and known.end > before:
                rows = known.after(self.index.everything(log, before, known.state.epoch))
                for line in self.index.wanting(log, rows):
                    self.enqueue(line)

    def want(self, line: Line) -> None:
        if not (line.busy or line.queued or line.closed) and self.is_wanted(line):
            self.enqueue(line)

    def enqueue(self, line: Line) -> None:
        if line.busy or line.queued or line.closed or line.not_before > time.monotonic():
            return
        if self.is_resting(line.endpoint, line):
            return
        line.queued = True
        self.ready[line.is_slow].append(line)

    @staticmethod
    def is_resting(endpoint: Endpoint, line: Line) -> bool:
        due = endpoint.next_attempt_at
        return due is not None and to_micros(due) > line.log.backend.now()

    def is_wanted(self, line: Line) -> bool:
        if line.is_due(self.due.get(line.subscription), line.log.backend.now()):
            return True
        known, place = self.newest[line.log.name].known, line.place
        end = min(place.upto or ANYWHERE, self.until.get(line.log.name, ANYWHERE))
        if known is None or place.cursor >= end:
            return False
        if place.epoch != known.state.epoch or place.cursor > known.state.head:
            return True
        return self.index.is_wanted(line, known)

    @property
    def free(self) -> int:
        return int(conf.get("CONCURRENCY")) - sum(line.busy for line in self.lines.values())

    def next_ones(self) -> list[Line]:
        """Lines that begin now. Those whose other side is slow, or silent, have half of the places
        at most."""
        most = int(conf.get("CONCURRENCY"))
        busy = [line for line in self.lines.values() if line.busy]
        free, slow = most - len(busy), sum(line.is_slow for line in busy)
        found: list[Line] = []
        quick, slowly = self.ready
        while quick and len(found) < min(free, MOST):
            found.append(quick.popleft())
        while slowly and len(found) < min(free, MOST) and slow < max(1, most // 2):
            found.append(slowly.popleft())
            slow += 1
        for line in found:
            line.queued = False
        # One that is busy has an answer that the database would not have.
        return [line for line in found if not (line.closed or line.busy)]

    def pass_by(self) -> None:
        """Move the cursors of idle lines past what they do not want: one statement for those that
        stand at one place."""
        groups: dict[tuple[str, str, int, int], list[Line]] = {}
        for line in self.lines.values():
            idle = not (line.busy or line.queued or line.closed) and line.place.upto is None
            known = self.newest[line.log.name].known
            # Another server may have taken over since, without what the line has been passed over.
            if not idle or known is None or known.state.epoch != line.place.epoch:
                continue
            if line.place.cursor < line.passed <= known.state.head:
                place = line.alias, line.place.epoch, line.place.cursor, line.passed
                groups.setdefault(place, []).append(line)
        for (alias, epoch, cursor, end), lines in groups.items():
            still = Shard.objects.using(alias).filter(
                locks.FREE, pk__in=[line.id for line in lines],
                cursor=cursor, epoch=epoch, upto=None,
            )  # fmt: skip
            if still.update(cursor=end) == len(lines):
                for line in lines:
                    line.place = line.place._replace(cursor=end)

    @staticmethod
    def by_alias(lines: Iterable[Line]) -> dict[str, list[Line]]:
        found: dict[str, list[Line]] = {}
        for line in lines:
            found.setdefault(line.alias, []).append(line)
        return found
