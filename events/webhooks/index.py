"""Which lines want a new entry, without asking each of thousands."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ..cursors import Query
from ..handlers.newest import Known
from ..types import Row
from .line import Line


class Index:
    """Lines by the streams that they want, or by the kinds; and those that want prefixes, or all."""

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self.by_stream: dict[tuple[str, str], list[Line]] = {}
        self.by_kind: dict[tuple[str, str], list[Line]] = {}
        self.others: dict[str, list[Line]] = {}
        for line in lines:
            log, query = line.log.name, line.query
            streams = query.streams if query.stream is None else (query.stream,)
            if streams and not query.starts:
                for name in streams:
                    self.by_stream.setdefault((log, name), []).append(line)
            elif query.exact and not query.prefixes:
                for kind in query.exact:
                    self.by_kind.setdefault((log, kind), []).append(line)
            else:
                self.others.setdefault(log, []).append(line)

    @staticmethod
    def everything(log: str, since: int, epoch: str) -> Query:
        return Query(since=since, epoch=epoch)

    def wanting(self, log: str, rows: Iterable[Row] | None) -> Iterator[Line]:
        """None: these rows are not known, so all of the log's lines look for themselves."""
        if rows is None:
            for by in (self.by_stream, self.by_kind):
                for (name, _), lines in by.items():
                    if name == log:
                        yield from lines
            yield from self.others.get(log, ())
            return
        for row in rows:
            places: tuple[Iterable[Line], ...] = (
                self.by_stream.get((log, row.stream), ()),
                self.by_kind.get((log, row.kind), ()),
                self.others.get(log, ()),
            )
            for place in places:
                for line in place:
                    if row.position > line.place.cursor and wants(line, row):
                        yield line

    @staticmethod
    def is_wanted(line: Line, known: Known) -> bool:
        """Is there something for it after its cursor? If not, it remembers that."""
        rows = known.after(replace(line.query, since=line.passed, epoch=line.place.epoch))
        if rows is None or any(line.is_mine(row) for row in rows):
            return True
        line.pass_over(known.end)
        return False


def wants(line: Line, row: Row) -> bool:
    return line.query.wants(row) and line.is_mine(row)
