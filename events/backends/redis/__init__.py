from ...exceptions import LogUnavailable, NotConfirmed
from .backend import RedisBackend

__all__ = ["LogUnavailable", "NotConfirmed", "RedisBackend"]
