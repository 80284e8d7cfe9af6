"""JSON from strangers: bounded, and a clean 400 whatever it is."""

import json
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.utils.json import strict_constant

from .errors import TooLarge
from .renderers import EntryRenderer


class EventParser(JSONParser):
    """Keeps to the host's DATA_UPLOAD_MAX_MEMORY_SIZE, which DRF's own parser ignores."""

    renderer_class = EntryRenderer

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        data = read_bounded(stream, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        try:
            # RFC 8259 knows no other encoding than UTF-8, whatever the Content-Type says.
            return json.loads(data.decode(), parse_constant=strict_constant)
        except ValueError as error:
            raise ParseError(f"JSON parse error - {error}") from None
        except RecursionError:
            raise ParseError("JSON parse error - nested too deep") from None


def read_bounded(stream: IO[bytes], limit: int | None) -> bytes:
    if limit is None:
        return stream.read()
    data = stream.read(limit + 1)
    if len(data) > limit:
        raise TooLarge
    return data
