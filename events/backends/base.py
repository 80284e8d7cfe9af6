"""What a backend is. The suite in `tests/contract.py` holds every backend to it."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypedDict, Unpack

from django.db import DEFAULT_DB_ALIAS
from django.db.models.expressions import Combinable
from django.db.transaction import TransactionManagementError

from ..conf import LogSettings, Problem
from ..cursors import Query, Rows, State
from ..exceptions import EventsError, LogBusy
from ..types import Entry, LogInfo, Row, Status, StreamInfo
from ..validation import Item
from .clock import to_plausible_micros
from .figures import Figures, Stretch

# Called with how many are done and how many there are.
Progress = Callable[[int, int], None]

# Rows in one delete. With 500, emits beside a prune took three times as long at the 99th
# percentile; with 100 they hardly notice (`python -m benchmarks.prune`).
DELETE_BATCH = 100

# Seconds that a caller waits for the log at the most, as while another server is promoted. A statement
# holds it for milliseconds; what holds it for longer is broken, and a caller should hear of that
# rather than hang.
LOCK_TIMEOUT = 5.0
# Seconds between two looks at what gets no position, as while Redis is full.
LOOK_AGAIN = 0.02


class Pruning(NamedTuple):
    """How entries are removed: so many rows in a delete, or only counted; and who hears of it."""

    batch_size: int = DELETE_BATCH
    dry_run: bool = False
    progress: Progress | None = None


class Asked(TypedDict, total=False):
    """Streams beside a last position, or of a status."""

    before: int | None
    after: int | None
    status: Status | None


# Seconds; three thousand years. A TTL of `timedelta.max` would not fit a database's integer.
FOREVER = 10**11


def check_adoptable(log: str, head: int, epoch: str, after: int, state: State) -> None:
    """Is this log the copy of another up to `after`, or does it hold nothing yet?"""
    if head and not state.goes_on(epoch, head):
        raise EventsError(f"the log {log!r} has entries of its own, up to position {head}")
    if head != (after if head else 0):
        raise EventsError(f"somebody else writes to the log {log!r}: its head is {head}")


class BaseBackend(ABC):
    """One log's store. Cheap to make and without state of its own: one is made for each log."""

    # Does it pay to put appends that arrive together into one call?
    coalesces = False

    # Are the entries in a database of Django's, `alias`?
    in_database = False

    # Is an append in a transaction of `alias` as durable as what else it writes? Then a handler of
    # the log keeps its cursor there.
    keeps_cursors = False

    # Does each append by itself tell all processes that the log has grown?
    hints_itself = False

    # The database whose transactions an append takes part in.
    alias = DEFAULT_DB_ALIAS

    def __init__(self, settings: LogSettings) -> None:
        self.name = settings.name
        self.settings = settings

    @property
    def carries_hints(self) -> bool:
        """Can the store itself tell other processes that a log has grown?"""
        return False

    def send_hints(self, logs: Iterable[str]) -> None:
        """Tell all processes of these logs of the store. For a thread of its own."""
        raise NotImplementedError

    def hints_arrive(self) -> bool:
        """Are hints that are sent heard as well? To be asked when somebody checks the site."""
        raise NotImplementedError

    def hear(self, heard: Callable[[], object]) -> Callable[[], None]:
        """Call `heard`, in some thread, at every hint of another process, and when some may have
        been missed. The answer stops that."""
        raise NotImplementedError

    def problems(self) -> list[Problem]:
        """What is wrong with the store itself. To be asked when somebody checks the site."""
        return []

    def now(self) -> int:
        """Microseconds since 1970, by the log's clock; an EventsError if that cannot be right."""
        return to_plausible_micros(self.settings.clock())

    def cutoff(self, ttl: float | None) -> int | None:
        """Entries from before this moment are expired; what is exactly `ttl` old stays."""
        if ttl is None or ttl > FOREVER:
            return None
        return self.now() - round(ttl * 1_000_000)

    def hidden_before(self) -> int | None:
        """The moment before which entries are not served. A wrong clock hides nothing."""
        try:
            return self.cutoff(self.settings.ttl)
        except EventsError:
            return None

    def refuse_in_transaction(self, verb: str) -> None:
        if self.in_transaction():
            raise TransactionManagementError(
                f"Cannot {verb} inside a transaction: every emit would wait for its end. "
                "Do it after the commit, with transaction.on_commit() if need be."
            )

    @abstractmethod
    def append(self, items: Sequence[Item]) -> list[Entry]:
        """Store all items or none, in order, and answer with their entries.

        Inside a transaction of the caller's they appear if and only if it commits, and the
        answer is receipts. Outside, they are durable and have positions when this returns.
        A backend that leaves `step` as it is has steps here as well, each one alone.
        """

    def step(self, item: Item) -> Entry | None:
        """Append the event of a step in a stream's life, and change the stream's status with it.

        None, and nothing is stored, if the stream is there already; InvalidTransition if that
        step does not lead on from where it is. In a transaction of the caller's as `append`.
        """
        return next(iter(self.append([item])), None)

    def sequence_inline(self) -> None:  # noqa: B027  (most have nothing to do for it)
        """Have a commit in this process return when its events have their positions: for a command
        that ends with its work."""

    @abstractmethod
    def fail_idle(self) -> list[str]:
        """Fail the running streams that have been silent for longer than their idle timeout.
        Whoever comes first does it, in the same step in which it makes sure."""

    @abstractmethod
    def in_transaction(self) -> bool:
        """Would an append now be part of a transaction of the caller's?"""

    def is_transient(self, error: BaseException) -> bool:
        """Does the database ask to try that transaction again?"""
        return False

    def is_locked(self, error: BaseException) -> bool:
        """Did somebody else hold a lock for too long?"""
        return False

    @abstractmethod
    def read(self, query: Query) -> Rows:
        """The entries after a cursor, or from the newest `last` on, from one consistent view: a prefix
        without holes."""

    def settled(self, query: Query) -> Rows:
        """Like `read`, but what was committed before and has no position yet is waited for rather
        than left out; LogBusy if nothing gets one within the lock's timeout."""
        allowed = self.settings.options.get("lock_timeout", LOCK_TIMEOUT)
        reached, deadline = -1, 0.0
        while True:
            found = self.read(query)
            # A page with something on it can be had at once; the next one waits.
            if not found.partial or found.rows or found.gap or found.cursor < found.state.head:
                return found
            if found.cursor > reached:
                reached, deadline = found.cursor, time.monotonic() + allowed
            elif time.monotonic() > deadline:
                raise LogBusy(
                    f"log {self.name!r}: what was committed before is still in the outbox, and "
                    f"could not be placed within {allowed:g} s"
                )
            else:
                time.sleep(LOOK_AGAIN)

    def pages(self, query: Query) -> Iterator[Rows]:
        """Page after page, as far as the head is by then."""
        while True:
            found = self.settled(query)
            yield found
            if found.caught_up:
                return
            query = query.after(found)

    def standing(self) -> Sequence[Combinable]:
        """The log's epoch and head, for a SELECT of `alias`; nothing where these cannot go back."""
        return ()

    @abstractmethod
    def info(self) -> LogInfo:
        """Where the log stands, at a cost that does not grow with it."""

    # What the admin asks. A backend may lack it, and then the admin says so.

    def figures(self) -> Figures | None:
        """How the log stands, at a cost that does not grow with it. Nothing is sequenced for it."""
        return None

    def stretches(self, edges: Sequence[int], stream: str | None = None) -> list[Stretch] | None:
        """What came between each two of these moments, of which kinds; in one stream, or in all.
        Asked at a cost that does not grow with the log, so of very many events it is estimated."""
        return None

    def position_at(self, micros: int) -> int:
        """The last position whose entry is from before that time; the floor, if there is none.
        What a read since a moment asks."""
        raise NotImplementedError

    def last_to_go(self, ttl: float | None, max_entries: int | None) -> int:
        """The position up to which `prune` would remove entries. Only a backend that is
        `in_database` needs it."""
        raise NotImplementedError

    @abstractmethod
    def find_streams(self, names: Sequence[str]) -> dict[str, StreamInfo]:
        """Those of the named streams to which an event was ever sent, as they stand."""

    def stream(self, name: str) -> StreamInfo | None:
        """One stream as it stands; None if no event was ever sent to it."""
        return self.find_streams([name]).get(name)

    @abstractmethod
    def streams(self, limit: int, **asked: Unpack[Asked]) -> list[StreamInfo]:
        """Streams by their last position, newest first: those `before` one, or, nearest first,
        those `after` one."""

    @abstractmethod
    def prune(self, ttl: float | None, max_entries: int | None, how: Pruning) -> int:
        """Remove what is older than `ttl` seconds, then the oldest beyond `max_entries`."""

    @abstractmethod
    def clear(self) -> int:
        """Remove every entry. Positions go on from where they were."""

    @abstractmethod
    def delete_stream(self, stream: str) -> int:
        """Remove a stream and its entries, and append `stream.deleted`; how many went."""

    # What `copy_log` asks of the log that it fills. A backend may lack it.

    def adopt(self, rows: Sequence[Row], after: int, upto: int, state: State) -> None:
        """Take over the entries that another log has from `after`, which has to be the head of this
        one, to `upto`, each at its position; and that log's identity. As a whole or not at all."""
        raise NotImplementedError

    def adopt_streams(self, streams: Sequence[StreamInfo]) -> None:
        """Take over how streams stand. Of those that run, the idle timeout is this log's."""
        raise NotImplementedError

    @abstractmethod
    def renew_epoch(self, reset_clock: bool = False) -> str:
        """Give the log a new identity, so that cursors from before are told so. With `reset_clock`,
        what is from the future gets the time of now."""
