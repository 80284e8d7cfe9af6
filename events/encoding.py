"""Values that JSON does not have: what a log's ENCODER makes of them, and what is said without one."""

import json
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.functional import Promise

Encoder = type[json.JSONEncoder]

DJANGOS = "django.core.serializers.json.DjangoJSONEncoder"
# What that one knows; a datetime is a date.
DJANGO_KNOWS = (date, time, timedelta, Decimal, UUID, Promise)


def encoded(value: object, encoder: Encoder) -> Any:
    """The value as readers will get it, of JSON's types alone. Raises whatever the encoder does,
    and ValueError if what it gives is no JSON."""
    return json.loads(json.dumps(value, cls=encoder, ensure_ascii=False, allow_nan=False))


def not_json(value: object) -> str:
    """The rule that a value breaks, and the setting under which it would not."""
    rule = f"is a {type(value).__name__}, which JSON does not have"
    if isinstance(value, DJANGO_KNOWS):
        rule += f'; convert it, or set "ENCODER": "{DJANGOS}" for this log'
    return rule
