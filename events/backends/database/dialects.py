"""Where the databases differ: how a transaction begins, and a few phrases of SQL."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from ...types import Row, new_epoch
from . import terms
from .rows import ROW_COLUMNS, STATE_COLUMNS, chunks, marks

STREAM_COLUMNS = f"log_id, name, {STATE_COLUMNS}"
# Of those, what changes in a stream that is there.
CHANGING = (
    "seq", "last_position", "last_event_at", "status", "opened_at", "closed_at", "idle_timeout",
)  # fmt: skip
EVENT_COLUMNS = f"log_id, {ROW_COLUMNS}"

# Seconds after which the database ends the transaction of a process that stopped between two
# statements. Less than the lock timeout, so that those who wait for the lock go on, not fail.
STALLED_AFTER = 2


LOG_COLUMNS = "id, head, floor, removed, latest, epoch, terms, timeline"


class Dialect:
    """What standard enough databases share."""

    for_update = " FOR UPDATE"
    greatest = "GREATEST"
    # The bytes of a payload.
    size = "LENGTH(payload)"
    # The column as it is compared with a prefix.
    prefixed_stream = "stream"
    ignore, or_nothing = "", "ON CONFLICT (name) DO NOTHING"
    busy_hint = "Is a process stopped in the middle of an append?"
    # Does it wait for a lock as long as we say? SQLite, as long as the options of the database do.
    has_lock_timeout = True
    # Microseconds since 1970, by the database's own clock.
    clock: str
    # Does an emit inside a transaction wait in the outbox until the commit?
    uses_outbox = True
    # Can a batch of the outbox be sequenced by one statement, without leaving the server?
    sequences_at_once = False
    # Is the index entered at a bound that a subquery or another row tells? MariaDB walks there from
    # the log's first entry, a tenth of a second for each million.
    seeks_by_subquery = True
    takes_ahead = False
    # Does a statement gain from being planned once for a connection?
    prepares = False
    # Rows that pruning deletes at a time, at the most, and its pause, in times of what these took.
    delete_most, delete_pause = 10_000, 1

    def begin(self, cursor: CursorWrapper, lock_timeout: float) -> None:
        raise NotImplementedError

    def after(self, cursor: CursorWrapper) -> None:
        """Undo what `begin` set for longer than the transaction."""

    def joined(self, *columns: str) -> str:
        """These columns as one text, with a space between each two."""
        return f"CONCAT_WS(' ', {', '.join(columns)})"

    def join(self, cursor: CursorWrapper) -> None:
        """Before we write within the caller's transaction: see to it that there is one."""

    def insert_log(self, cursor: CursorWrapper, name: str) -> None:
        """Make a log's row, if there is none."""
        cursor.execute(
            f"INSERT {self.ignore}INTO events_log (name, epoch, head, floor, removed, latest) "
            f"VALUES (%s, %s, 0, 0, 0, 0) {self.or_nothing}",  # nosec B608 # our own words
            [name, new_epoch()],
        )

    def timeline(self, connection: BaseDatabaseWrapper) -> str:
        """The SQL for what tells that another server has taken over, or null."""
        return "NULL"

    def lock_log(
        self, cursor: CursorWrapper, name: str, nowait: bool, taking: int, now: int
    ) -> tuple[Any, ...] | None:
        """Lock a log's row, and look at it; and at the server's timeline. Of one that `takes_ahead`,
        the head is already moved by the positions that are known to be taken, and need not be
        written again."""
        cursor.execute(
            f"SELECT {LOG_COLUMNS}, {self.timeline(cursor.db)} FROM events_log WHERE name = %s"  # nosec B608 # our own words
            + self.for_update
            + (" NOWAIT" if nowait else ""),
            [name],
        )
        found: tuple[Any, ...] | None = cursor.fetchone()
        return found

    def insert_events(self, cursor: CursorWrapper, log_id: int, rows: Sequence[Row]) -> None:
        insert(
            cursor,
            f"INSERT INTO events_event ({EVENT_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",  # nosec B608 # our own columns
            [(log_id, *row) for row in rows],
        )

    def save_streams(self, cursor: CursorWrapper, rows: Sequence[tuple[Any, ...]]) -> None:
        insert(
            cursor,
            f"INSERT INTO events_stream ({STREAM_COLUMNS}) "
            f"VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) {self.on_conflict}",  # nosec B608 # our own columns
            rows,
        )

    def delete(self, cursor: CursorWrapper, table: str, ids: Sequence[int]) -> int:
        """Delete rows by their primary keys; how many were there."""
        deleted = 0
        for some in chunks(ids):
            cursor.execute(f"DELETE FROM {table} WHERE id IN ({marks(some)})", some)  # nosec B608 # our table; %s, %s, …
            deleted += cursor.rowcount
        return deleted

    on_conflict = "ON CONFLICT (log_id, name) DO UPDATE SET " + ", ".join(  # nosec B608 # our own columns
        f"{column} = excluded.{column}" for column in CHANGING
    )


def insert(cursor: CursorWrapper, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """For a single row, executemany() takes a third longer."""
    if len(rows) == 1:
        cursor.execute(sql, rows[0])
    else:
        cursor.executemany(sql, rows)


def array(values: Iterable[str | int | None]) -> str:
    """A PostgreSQL array as text. The driver's own way quotes every `"` by a Python callback,
    and JSON is full of them: for a thousand payloads that took longer than their insert."""
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: str | int | None) -> str:
    if isinstance(value, str):
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}"'
    return "NULL" if value is None else str(value)


class PostgreSQL(Dialect):
    sequences_at_once = True
    prepares = True
    size = "OCTET_LENGTH(payload)"
    clock = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint"

    def timeline(self, connection: BaseDatabaseWrapper) -> str:
        return terms.TIMELINE if terms.tells_timeline(connection) else terms.UNKNOWN

    def begin(self, cursor: CursorWrapper, lock_timeout: float) -> None:
        terms.tells_timeline(cursor.db)
        # One round trip; every setting ends with the transaction. `synchronous_commit` is
        # only ever raised: an entry that was answered for must survive a crash.
        cursor.execute(
            "BEGIN ISOLATION LEVEL READ COMMITTED; "
            f"SET LOCAL lock_timeout = {max(1, int(lock_timeout * 1000))}; "
            f"SET LOCAL idle_in_transaction_session_timeout = {STALLED_AFTER * 1000}; "
            "SELECT set_config('synchronous_commit', 'on', true) "
            "WHERE current_setting('synchronous_commit') = 'off'"
        )

    def save_streams(self, cursor: CursorWrapper, rows: Sequence[tuple[Any, ...]]) -> None:
        # Not executemany(), which psycopg sends as a pipeline: after one, PostgreSQL does not
        # apply idle_in_transaction_session_timeout until the next statement.
        cursor.execute(
            f"INSERT INTO events_stream ({STREAM_COLUMNS}) SELECT * FROM unnest("
            "%s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], "
            "%s::text[], %s::bigint[], %s::bigint[], %s::float8[]) "
            f"{self.on_conflict}",  # nosec B608 # our own columns
            tuple(list(column) for column in zip(*rows, strict=True)),
        )

    def insert_events(self, cursor: CursorWrapper, log_id: int, rows: Sequence[Row]) -> None:
        cursor.execute(
            f"INSERT INTO events_event ({EVENT_COLUMNS}) SELECT %s, * FROM unnest("
            "%s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], "
            "%s::text[], %s::text[])",  # nosec B608 # our own columns
            (log_id, *(array(column) for column in zip(*rows, strict=True))),
        )


class MariaDB(Dialect):
    clock = "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)"
    seeks_by_subquery = False
    ignore, or_nothing = "IGNORE ", ""
    on_conflict = "ON DUPLICATE KEY UPDATE " + ", ".join(
        f"{column} = VALUES({column})" for column in CHANGING
    )

    def begin(self, cursor: CursorWrapper, lock_timeout: float) -> None:
        connection: Any = cursor.db
        # These two hold for the session, so what they were is kept, and `after` puts it back.
        cursor.execute(
            "SET @events_lock_wait = @@innodb_lock_wait_timeout, "
            f"SESSION innodb_lock_wait_timeout = {max(1, round(lock_timeout))}"
            + (
                ", @events_idle = @@idle_transaction_timeout, "
                f"SESSION idle_transaction_timeout = {STALLED_AFTER}"
                if connection.mysql_is_mariadb
                else ""
            )
        )
        if connection.isolation_level != "read committed":
            cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        cursor.execute("START TRANSACTION")

    def delete(self, cursor: CursorWrapper, table: str, ids: Sequence[int]) -> int:
        # Not `id IN (…)`: in a small table the optimizer prefers to read all of it, and a DELETE
        # that does waits for the rows of other people's open transactions.
        deleted = 0
        for some in chunks(ids):
            rows = " UNION ALL ".join(["SELECT %s AS id"] * len(some))
            cursor.execute(
                f"DELETE doomed FROM ({rows}) AS ids STRAIGHT_JOIN {table} AS doomed "
                "FORCE INDEX (PRIMARY) ON doomed.id = ids.id",
                some,
            )
            deleted += cursor.rowcount
        return deleted

    def after(self, cursor: CursorWrapper) -> None:
        connection: Any = cursor.db
        cursor.execute(
            "SET SESSION innodb_lock_wait_timeout = @events_lock_wait"
            + (
                ", SESSION idle_transaction_timeout = @events_idle"
                if connection.mysql_is_mariadb
                else ""
            )
        )


class SQLite(Dialect):
    for_update = ""
    greatest = "MAX"
    # The plus keeps an index out: SQLite prefers one on streams to that on positions, and would sort
    # the whole past of a prefix to find its newest entries.
    prefixed_stream = "+stream"
    size = "LENGTH(CAST(payload AS BLOB))"
    clock = "SELECT CAST(strftime('%s', 'now') AS INTEGER) * 1000000"
    has_lock_timeout = False
    busy_hint = (
        "SQLite lets one connection write at a time; raise OPTIONS['timeout'] of the database, "
        "or shorten the transactions that write to it."
    )
    takes_ahead = True
    # There is one writer anyway: whoever writes in a transaction holds the lock already.
    uses_outbox = False
    delete_most, delete_pause = 20, 4

    def joined(self, *columns: str) -> str:
        return " || ' ' || ".join(columns)

    def lock_log(
        self, cursor: CursorWrapper, name: str, nowait: bool, taking: int, now: int
    ) -> tuple[Any, ...] | None:
        """In the caller's transaction an UPDATE has to come first, to take the only lock: a SELECT
        would read a snapshot that may be of no use for writing. Not UPDATE … RETURNING, which takes
        longer than both."""
        if taking or cursor.db.in_atomic_block or not cursor.db.get_autocommit():
            cursor.execute(
                "UPDATE events_log SET head = head + %s, latest = MAX(latest, %s) WHERE name = %s",
                (taking, now if taking else 0, name),
            )
        # It knows no NOWAIT, and who has begun to write has the lock.
        return super().lock_log(cursor, name, False, taking, now)

    def begin(self, cursor: CursorWrapper, lock_timeout: float) -> None:
        cursor.execute("BEGIN IMMEDIATE")

    def join(self, cursor: CursorWrapper) -> None:
        # With autocommit off, one begins at the first write: a savepoint before that would be a
        # transaction by itself, and committed with its release.
        if not cursor.db.get_autocommit() and not cursor.db.connection.in_transaction:
            cursor.execute("BEGIN IMMEDIATE")


def dialect_of(connection: BaseDatabaseWrapper) -> Dialect:
    try:
        return DIALECTS[connection.vendor]
    except KeyError:
        raise NotImplementedError(
            f"The events app keeps its log in PostgreSQL, MariaDB, MySQL or SQLite, "
            f"not in {connection.display_name}."
        ) from None


DIALECTS = {"postgresql": PostgreSQL(), "mysql": MariaDB(), "sqlite": SQLite()}
