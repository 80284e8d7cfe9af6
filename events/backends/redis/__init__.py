from .backend import RedisBackend
from .errors import LogUnavailable, NotConfirmed

__all__ = ["LogUnavailable", "NotConfirmed", "RedisBackend"]
