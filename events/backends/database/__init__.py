"""A log in the project's own database."""

from .backend import DatabaseBackend

__all__ = ["DatabaseBackend"]
