"""Tells the handlers' app of the endpoints."""

from collections.abc import Iterator

from django.db.models.signals import post_delete

from ..handlers import registry
from ..handlers.spec import Spec
from . import endpoints
from .courier import driver, spec_of
from .models import Endpoint


def specs() -> Iterator[Spec]:
    return map(spec_of, endpoints.active())


def start() -> None:
    if endpoints.PREFIX not in registry.sources:
        registry.sources[endpoints.PREFIX] = specs
        registry.drivers.append(driver)
        post_delete.connect(endpoints.forget, sender=Endpoint)
