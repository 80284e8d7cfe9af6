"""A statement that PostgreSQL plans once for a connection, and not at every use.

Planning an append takes twice as long as carrying it out. Django's way of binding values makes
every statement a new text, so nothing is ever prepared by itself; here it is said in SQL.

A connection that lives for one request never earns the PREPARE back, so the first few uses are
plain. Behind a pooler the next statement may meet a session that was never told: then the
plain statement runs, and goes on to run on this connection. In a transaction, which such a session
breaks, the caller begins anew. The name has a digest of the text, so what somebody else has left
behind under that name in a shared session is the same statement.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from weakref import WeakKeyDictionary

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

PLAIN_USES = 5
NEVER = -1

# The name is unknown; or a migration has changed the type of a column that is selected.
FORGOTTEN = {"26000", "0A000"}
NAME_TAKEN = "42P05"


class Forgotten(Exception):
    """The session does not know a statement in a transaction, which is broken by that."""


class Prepared:
    """SQL with `%(name)s` for its values, and their types."""

    def __init__(self, sql: str, types: Mapping[str, str]) -> None:
        self.sql = sql
        self.name = f"events_{sha256(sql.encode()).hexdigest()[:16]}"
        numbered = {name: f"${number}" for number, name in enumerate(types, 1)}
        self.prepare = f"PREPARE {self.name} ({', '.join(types.values())}) AS {sql % numbered}"
        self.execute = f"EXECUTE {self.name} ({', '.join(f'%({name})s' for name in types)})"

    def run(self, cursor: CursorWrapper, values: Mapping[str, Any]) -> None:
        if self.is_ready(cursor.db):
            try:
                self.run_ready(cursor, values)
                return
            except Forgotten:
                pass
        cursor.execute(self.sql, values)

    def run_ready(self, cursor: CursorWrapper, values: Mapping[str, Any]) -> None:
        """For one that was ready, perhaps before a transaction began."""
        try:
            cursor.execute(self.execute, values)
        except DatabaseError as error:
            if FORGOTTEN.isdisjoint(codes(error)):
                raise
            _uses[cursor.db.connection][self.name] = NEVER
            raise Forgotten from error

    def is_ready(self, connection: BaseDatabaseWrapper) -> bool:
        """Never in a transaction: an unknown name would break more than this statement."""
        # EXECUTE is no query, and takes no values from the protocol.
        binds = connection.settings_dict["OPTIONS"].get("server_side_binding")
        if binds or in_transaction(connection):
            return False
        uses = _uses.setdefault(connection.connection, {})
        count = uses.get(self.name, 0)
        if count == NEVER:
            return False
        if count == PLAIN_USES and not self._prepare(connection):
            uses[self.name] = NEVER
            return False
        uses[self.name] = count + 1
        return count >= PLAIN_USES

    def _prepare(self, connection: BaseDatabaseWrapper) -> bool:
        try:
            with connection.cursor() as cursor:
                cursor.execute(self.prepare)
        except DatabaseError as error:
            return NAME_TAKEN in codes(error)
        return True


def in_transaction(connection: BaseDatabaseWrapper) -> bool:
    return connection.in_atomic_block or not connection.get_autocommit()


def codes(error: BaseException) -> set[Any]:
    """How the database itself numbers an error that Django has wrapped. PyMySQL has a sqlstate
    as well as a number, mysqlclient the number only, psycopg the sqlstate, psycopg2 a pgcode."""
    cause = error.__cause__
    if cause is None:
        return set()
    return {getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None), *cause.args[:1]}


# How often each connection to the server has run each statement.
_uses: WeakKeyDictionary[Any, dict[str, int]] = WeakKeyDictionary()
