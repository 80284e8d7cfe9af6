"""What is asked before a stream is ended or deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ...models import Stream
from ..shared.words import number


def asking(verb: str, some: Sequence[Stream]) -> dict[str, Any]:
    titles = {
        "stop": ngettext("Stop a stream", "Stop streams", len(some)),
        "fail": ngettext("Fail a stream", "Fail streams", len(some)),
    }
    return {"title": titles[verb], "verb": verb, "streams": some}


def doomed(some: Iterable[Stream]) -> dict[str, Any]:
    """What Django's pages say before they delete."""
    lines, opts = list(lines_of(some)), Stream._meta
    plural = opts.verbose_name if len(lines) == 1 else opts.verbose_name_plural
    return {
        "title": _("Are you sure?"),
        "subtitle": None,
        "object_name": opts.verbose_name,
        "objects_name": plural,
        "deletable_objects": [lines],
        "deleted_objects": lines,
        "model_count": {plural: len(lines)}.items(),
        "perms_lacking": [],
        "protected": [],
        # All of them: no more than a page of streams can be chosen.
        "delete_confirmation_max_display": None,
        "is_popup": False,
        "to_field": None,
        "preserved_filters": "",
    }


def lines_of(some: Iterable[Stream]) -> Iterator[str]:
    for stream in some:
        events = ngettext("%(number)s event", "%(number)s events", stream.seq)
        yield f"{stream.name}: {events % {'number': number(stream.seq)}}"
