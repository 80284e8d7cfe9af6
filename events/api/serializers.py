"""An entry for a host's own DRF views."""

from typing import Any

from rest_framework.serializers import BaseSerializer

from ..types import Entry


class EntrySerializer(BaseSerializer[Entry]):
    """The wire form of an entry, read-only."""

    def to_representation(self, instance: Entry) -> dict[str, Any]:
        return instance.to_dict()
