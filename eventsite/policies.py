"""Who may do what with the log that anybody may watch."""

from typing import Any


class ReadOnly:
    """Everybody may read all of it, and nobody writes over HTTP."""

    def can_read(self, user: Any, stream: str | None) -> bool:
        return True

    def can_emit(self, user: Any, stream: str | None) -> bool:
        return False
