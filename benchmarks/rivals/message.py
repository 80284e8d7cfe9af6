"""The event that every contender sends: about 200 bytes, flat, with a number to find it by."""

from __future__ import annotations

from typing import Any

KIND = "turn.completed"
STREAM = "run-42"


def mark(number: int) -> str:
    """Sixteen characters that stand in the bytes of an event, however it is framed."""
    return f"@fanout@{number:07}@"


def payload(number: int) -> dict[str, Any]:
    return {
        "mark": mark(number),
        "turn": number,
        "text": "The quick brown fox jumps over the lazy dog, and then goes home to have a rest.",
        "model": "a-model-of-some-sort",
        "tokens": 1234,
        "finished": True,
    }


def entry(number: int) -> dict[str, Any]:
    """What a project without a log would send: the same members as an entry of ours."""
    return {
        "position": number,
        "kind": KIND,
        "stream": STREAM,
        "seq": number,
        "timestamp": "2026-11-20T10:00:00.123456Z",
        "payload": payload(number),
    }
