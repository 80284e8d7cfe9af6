"""Model fields that mean the same on every database."""

import json
from datetime import datetime
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.functional import cached_property
from django.utils.timezone import get_default_timezone, is_naive, make_aware

from .types import from_micros, to_micros
from .wire import dumps


def exact_collation(connection: BaseDatabaseWrapper) -> str | None:
    """The collation under which texts are equal only if they are the same, byte for byte.

    MySQL and MariaDB fold case and accents by default, and their plain `_bin` collations
    still ignore trailing spaces. On PostgreSQL "C" also lets an index serve a prefix.
    """
    if connection.vendor == "mysql":
        return "utf8mb4_nopad_bin" if connection.mysql_is_mariadb else "utf8mb4_0900_bin"  # type: ignore[attr-defined]
    return "C" if connection.vendor == "postgresql" else None


class _Exact(models.Field):  # type: ignore[type-arg]
    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, str | None]:
        parameters = super().db_parameters(connection)
        parameters["collation"] = exact_collation(connection)
        return parameters


class ExactCharField(_Exact, models.CharField):  # type: ignore[type-arg]
    """A text that is compared exactly, whatever the database does by default."""


class PayloadField(_Exact, models.TextField):  # type: ignore[type-arg]
    """A JSON object, kept as the compact text that was validated.

    Not a JSONField: `jsonb` reorders keys, rewrites numbers, and costs a parse on the way in
    and another on the way out. The attribute is the dict; see `EventQuerySet.with_json` for
    look-ups inside it.
    """

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else json.loads(value)

    def get_prep_value(self, value: Any) -> Any:
        return dumps(value) if isinstance(value, dict) else value

    def to_python(self, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value

    def value_to_string(self, obj: models.Model) -> str:
        return dumps(self.value_from_object(obj))


class InstantField(models.BigIntegerField):  # type: ignore[type-arg]
    """An aware datetime, kept as microseconds since 1970.

    Not a DateTimeField: with USE_TZ=False that one stores local time, which runs backwards
    once a year, and a parsed datetime costs more than all the rest of an entry. Comparisons
    (`__lt`, `__range`) take datetimes; there is no `__date`.
    """

    def from_db_value(self, value: int | None, expression: Any, connection: Any) -> Any:
        return None if value is None else from_micros(value)

    @cached_property
    def validators(self) -> list[Any]:
        """Without the ones of an integer, which cannot be compared with a datetime."""
        return list(self.default_validators)

    def get_prep_value(self, value: Any) -> Any:
        if not isinstance(value, datetime):
            return super().get_prep_value(value)
        if is_naive(value):
            # As a DateTimeField has it; with USE_TZ=False every datetime is naive.
            value = make_aware(value, get_default_timezone())
        return to_micros(value)

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str):
            value = int(value) if value.lstrip("-").isdigit() else datetime.fromisoformat(value)
        return from_micros(value) if isinstance(value, int) else value

    def value_from_object(self, obj: models.Model) -> Any:
        """What a fixture holds: the number, because JSON fixtures cut datetimes to milliseconds."""
        return self.get_prep_value(super().value_from_object(obj))
