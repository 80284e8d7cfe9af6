"""A statement that PostgreSQL plans once for a connection, and not at every use.

Planning an append takes twice as long as carrying it out. Django's way of binding values makes
every statement a new text, so nothing is ever prepared by itself; here it is said in SQL.

A connection that lives for one request never earns the PREPARE back, so the first few uses are
plain. Behind a pooler the next statement may meet a session that was never told: then the
plain statement runs, and goes on to run on this connection. The name has a digest of the text,
so what somebody else has left behind under that name in a shared session is the same statement.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from weakref import WeakKeyDictionary

from django.db import DatabaseError
from django.db.backends.utils import CursorWrapper

from .transactions import codes

PLAIN_USES = 5
NEVER = -1

# The name is unknown; or a migration has changed the type of a column that is selected.
FORGOTTEN = {"26000", "0A000"}
NAME_TAKEN = "42P05"


class Prepared:
    """SQL with `%(name)s` for its values, and their types."""

    def __init__(self, sql: str, types: Mapping[str, str]) -> None:
        self.sql = sql
        self.name = f"events_{sha256(sql.encode()).hexdigest()[:16]}"
        numbered = {name: f"${number}" for number, name in enumerate(types, 1)}
        self.prepare = f"PREPARE {self.name} ({', '.join(types.values())}) AS {sql % numbered}"
        self.execute = f"EXECUTE {self.name} ({', '.join(f'%({name})s' for name in types)})"

    def run(self, cursor: CursorWrapper, values: Mapping[str, Any]) -> None:
        if self._is_prepared(cursor):
            try:
                cursor.execute(self.execute, values)
                return
            except DatabaseError as error:
                if FORGOTTEN.isdisjoint(codes(error)):
                    raise
                _uses[cursor.db.connection][self.name] = NEVER
        cursor.execute(self.sql, values)

    def _is_prepared(self, cursor: CursorWrapper) -> bool:
        # EXECUTE is no query, and takes no values from the protocol; and in a transaction an
        # unknown name would break more than this statement.
        if cursor.db.settings_dict["OPTIONS"].get("server_side_binding") or in_transaction(cursor):
            return False
        uses = _uses.setdefault(cursor.db.connection, {})
        count = uses.get(self.name, 0)
        if count == NEVER:
            return False
        if count == PLAIN_USES and not self._prepare(cursor):
            uses[self.name] = NEVER
            return False
        uses[self.name] = count + 1
        return count >= PLAIN_USES

    def _prepare(self, cursor: CursorWrapper) -> bool:
        try:
            cursor.execute(self.prepare)
        except DatabaseError as error:
            return NAME_TAKEN in codes(error)
        return True


def in_transaction(cursor: CursorWrapper) -> bool:
    return cursor.db.in_atomic_block or not cursor.db.get_autocommit()


# How often each connection to the server has run each statement.
_uses: WeakKeyDictionary[Any, dict[str, int]] = WeakKeyDictionary()
