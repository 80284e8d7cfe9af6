"""What a POST may carry."""

from typing import Any

from rest_framework.exceptions import ValidationError

from ..conf import LogSettings
from ..context import current
from ..exceptions import InvalidEvent
from ..validation import ITEM_FIELDS, Item, shown_path, valid_item
from .errors import field_error

MAX_ITEMS = 1000


def read_items(data: object, settings: LogSettings) -> list[Item]:
    """One event or a list of them, checked; a list gets its errors item by item."""
    if not isinstance(data, list):
        return [read_item(data, settings)]
    if not 1 <= len(data) <= MAX_ITEMS:
        raise ValidationError({"non_field_errors": [f"Send 1 to {MAX_ITEMS} events."]})
    items: list[Item] = []
    errors: list[Any] = []
    for one in data:
        try:
            items.append(read_item(one, settings))
            errors.append({})
        except ValidationError as error:
            errors.append(error.detail)
    if any(errors):
        raise ValidationError(errors)
    return items


def read_item(data: object, settings: LogSettings) -> Item:
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
        return valid_item(settings, current(), *map(data.get, ITEM_FIELDS))
    except InvalidEvent as error:
        raise ValidationError(field_error(error)) from None
