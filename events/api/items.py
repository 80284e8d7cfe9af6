"""What a POST may carry: JSON from strangers, bounded, with a clean 400 whatever it is."""

import json
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.parsers import JSONParser
from rest_framework.utils.json import strict_constant

from ..conf import LogSettings
from ..context import current
from ..exceptions import InvalidEvent
from ..validation import ITEM_FIELDS, Item, shown_path, valid_item
from .errors import TooLarge, field_error
from .renderers import EntryRenderer

MAX_ITEMS = 1000


class EventParser(JSONParser):
    """Keeps to the host's DATA_UPLOAD_MAX_MEMORY_SIZE, which DRF's own parser ignores."""

    renderer_class = EntryRenderer

    def parse(self, stream: IO[bytes], *args: Any, **kwargs: Any) -> Any:
        data = read_bounded(stream, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        try:
            # RFC 8259 knows no other encoding than UTF-8, whatever the Content-Type says.
            return json.loads(data.decode(), parse_constant=strict_constant)
        except ValueError as error:
            raise ParseError(f"JSON parse error - {error}") from None
        except RecursionError:
            raise ParseError("JSON parse error - nested too deep") from None


def read_bounded(stream: IO[bytes], limit: int | None) -> bytes:
    data = stream.read() if limit is None else stream.read(limit + 1)
    if limit is not None and len(data) > limit:
        raise TooLarge
    return data


def read_items(data: object, rules: LogSettings) -> list[Item]:
    """One event or a list of them, checked; a list gets its errors item by item."""
    if not isinstance(data, list):
        return [read_item(data, rules)]
    if not 1 <= len(data) <= MAX_ITEMS:
        raise ValidationError({"non_field_errors": [f"Send 1 to {MAX_ITEMS} events."]})
    items: list[Item] = []
    errors: list[Any] = []
    for one in data:
        try:
            items.append(read_item(one, rules))
            errors.append({})
        except ValidationError as error:
            errors.append(error.detail)
    if any(errors):
        raise ValidationError(errors)
    return items


def read_item(data: object, rules: LogSettings) -> Item:
    if not isinstance(data, dict):
        raise ValidationError({"non_field_errors": ["An event is a JSON object."]})
    if "kind" not in data:
        raise ValidationError({"kind": ["This field is required."]})
    unknown = [name for name in data if name not in ITEM_FIELDS]
    if unknown:
        raise ValidationError(
            {
                # Escaped, because a lone surrogate, which JSON allows in a name, cannot be sent.
                shown_path([name]).removeprefix("."): ["There is no such field."]
                for name in unknown[:10]
            }
        )
    try:
        return valid_item(rules, current(), *map(data.get, ITEM_FIELDS))
    except InvalidEvent as error:
        raise ValidationError(field_error(error)) from None
