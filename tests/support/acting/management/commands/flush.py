"""`flush` as the tests have it after each that commits: it empties what was written to.

Django's truncates every table and makes the permissions anew, which took nine tenths of the time of
the tests of backends. Here that is done only where somebody changed the permissions.
"""

from django.core.management.commands import flush
from django.db import connections, transaction

# What migrations fill, and tests leave alone.
FILLED = ("auth_permission", "django_content_type")
# Bytes from which PostgreSQL's TRUNCATE is the faster one; it also ends what DELETE leaves behind.
LARGE = 1_000_000

filled = {}


class Command(flush.Command):
    def handle(self, **options):
        alias = options["database"]
        connection = connections[alias]
        names = connection.introspection.django_table_names(only_existing=True, include_views=False)
        with connection.constraint_checks_disabled(), transaction.atomic(using=alias):
            with connection.cursor() as cursor:
                quoted = [connection.ops.quote_name(one) for one in names if one not in FILLED]
                found = empty(connection, cursor, quoted)
        if filled.get(alias) != found:
            super().handle(**options)
            with connection.cursor() as cursor:
                filled[alias] = standing(cursor)


def empty(connection, cursor, names):
    """Empty those of the tables that have rows, and tell how those stand that have to have some."""
    postgres = connection.vendor == "postgresql"
    if postgres:
        # As TRUNCATE does, and DELETE elsewhere: wait for writers that the test has left behind.
        cursor.execute(f"LOCK TABLE {', '.join(names)} IN EXCLUSIVE MODE")
        cursor.execute(f"SELECT {', '.join(f'EXISTS (SELECT FROM {name})' for name in names)}")
        names = [name for name, rows in zip(names, cursor.fetchone(), strict=True) if rows]
    for name in names:
        if postgres and is_large(cursor, name):
            cursor.execute(f"TRUNCATE {name} CASCADE")
        else:
            cursor.execute(f"DELETE FROM {name}")
    return standing(cursor)


def is_large(cursor, name):
    cursor.execute("SELECT pg_relation_size(%s) > %s", [name, LARGE])
    return cursor.fetchone()[0]


def standing(cursor):
    counts = ", ".join(f"(SELECT COUNT(*) FROM {n}), (SELECT MAX(id) FROM {n})" for n in FILLED)
    cursor.execute(f"SELECT {counts}")
    return cursor.fetchone()
