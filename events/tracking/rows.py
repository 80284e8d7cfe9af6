"""What is told of a row, in JSON."""

import datetime
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Field, Model

from ..validation import MAX_INTEGER

AnyField: TypeAlias = "Field[Any, Any]"
Event = dict[str, Any]


@dataclass(frozen=True)
class Tracking:
    """What is told of a model, and where."""

    model: type[Model]
    fields: tuple[AnyField, ...]
    name: str
    stream: Callable[[Any], str]
    log: str

    def created(self, row: Model) -> Event:
        values = {field.name: plain(getattr(row, field.attname)) for field in self.fields}
        return self._event(row, "created", values)

    def changed(self, old: Model, new: Model, fields: Iterable[AnyField]) -> Iterator[Event]:
        for field in fields:
            before, after = (json_text(getattr(row, field.attname)) for row in (old, new))
            if before != after:
                values = {"old": json.loads(before), "new": json.loads(after)}
                yield self._event(new, field.name, values)

    def deleted(self, row: Model) -> Event:
        return self._event(row, "deleted", {})

    def _event(self, row: Model, kind: str, values: dict[str, Any]) -> Event:
        return {
            "kind": f"{self.name}.{kind}",
            "payload": {"pk": plain(row.pk), **values},
            "stream": self.stream(row),
        }


class _Encoder(DjangoJSONEncoder):
    """Keeps the microseconds, and whatever else a field makes of its column."""

    def default(self, o: Any) -> Any:
        if isinstance(o, (datetime.datetime, datetime.time)):
            return o.isoformat().replace("+00:00", "Z")
        try:
            return super().default(o)
        except (TypeError, ValueError):
            return str(o)


def json_text(value: object) -> str:
    return json.dumps(_within_json(value), cls=_Encoder, sort_keys=True)


def plain(value: object) -> Any:
    """As JSON has it. What a JavaScript reader cannot hold becomes a string."""
    return json.loads(json_text(value))


def _within_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _within_json(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_within_json(member) for member in value]
    if isinstance(value, float) and value - value != 0:  # NaN and infinities
        return str(value)
    if isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
        return str(value)
    return value
