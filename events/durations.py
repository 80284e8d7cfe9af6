"""How long is `7d`."""

from __future__ import annotations

import re
from datetime import timedelta

SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_duration(text: str) -> timedelta:
    """`90` (seconds), `30s`, `15m`, `12h` or `7d` as a timedelta."""
    match = re.fullmatch(r"([0-9]{1,12})([smhd]?)", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write 90, 30s, 15m, 12h or 7d")
    number, unit = match.groups()
    try:
        return timedelta(seconds=int(number) * SECONDS[unit])
    except OverflowError:
        raise ValueError(f"{text!r} is too long a duration") from None
