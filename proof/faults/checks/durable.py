"""Invariants of durable streams: whoever produces, reads or serves them is cut off or killed."""

from ..record import KEPT


def every_token_is_kept_once(history):
    """In order, also where a request was sent again because its answer was lost."""
    yield from spoiled(history, lambda reader: reader == KEPT)


def every_reader_is_sent_every_token_once(history):
    """In order, across all of its connections."""
    yield from spoiled(history, lambda reader: reader != KEPT)


def a_durable_stream_closes_once(history):
    """And every reader is told."""
    for one in history.followed:
        if one.ends != 1:
            yield f"{one.reader}: {one.stream} was closed {one.ends} times"


def every_durable_stream_was_followed(history):
    """Or the others would judge nothing."""
    names = {one.stream for one in history.produced}
    readers = {(one.stream, one.reader) for one in history.followed}
    for reader in {reader for _, reader in readers} | {KEPT}:
        for name in sorted(names):
            if (name, reader) not in readers:
                yield f"{name} was not read to its end by {reader}"


def spoiled(history, wanted):
    tokens = {one.stream: one.tokens for one in history.produced}
    for one in history.followed:
        expected = [*range(tokens.get(one.stream, 0))]
        if wanted(one.reader) and one.tokens != expected:
            both = zip([*one.tokens, None], [*expected, None], strict=False)
            at = next((n for n, (a, b) in enumerate(both) if a != b), None)
            yield f"{one.reader}: {one.stream} has {len(one.tokens)} tokens, wrong from {at}"


INVARIANTS = (
    every_token_is_kept_once,
    every_reader_is_sent_every_token_once,
    a_durable_stream_closes_once,
    every_durable_stream_was_followed,
)
