"""What can go wrong, as HTTP says it. Every error has the shape that DRF gives its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError, ValidationError

from .. import exceptions
from ..cursors import BadParameter
from ..limits import RETRY_AFTER, TooMany
from ..types import Gap


class Conflict(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


class TooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The request body is too large."
    default_code = "too_large"


class Busy(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The log is busy. Try again."
    default_code = "busy"
    wait = 1  # DRF turns it into Retry-After


class Unavailable(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The log cannot be had. Try again; with a key, nothing is stored twice."
    default_code = "unavailable"
    wait = 1


class Unknown(APIException):
    """Without a time to try again at, as below."""

    status_code = status.HTTP_504_GATEWAY_TIMEOUT
    default_detail = "The log did not answer: it may be stored. With a key, to try again is safe."
    default_code = "unknown"


class Unconfirmed(APIException):
    """Without a time to try again at: without a key, that would store it twice."""

    status_code = status.HTTP_504_GATEWAY_TIMEOUT
    default_detail = "Stored, but not confirmed: it may be lost. With a key, to try again is safe."
    default_code = "not_confirmed"


class TooManyOpen(APIException):
    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_code = "too_many"
    wait = RETRY_AFTER


class Gone(APIException):
    """`on_gap=error`: entries after the cursor are gone, and the gap says which."""

    status_code = status.HTTP_410_GONE
    default_code = "gone"

    def __init__(self, gap: Gap, headers: dict[str, str]) -> None:
        super().__init__(str(exceptions.CursorExpired(gap)))
        self.detail = {"detail": self.detail, "gap": gap.to_dict()}
        self.headers = headers


@contextmanager
def as_http() -> Iterator[None]:
    """Turn what the log raises into what DRF answers."""
    try:
        yield
    except exceptions.InvalidEvent as error:
        raise ValidationError(field_error(error)) from error
    except BadParameter as error:
        raise ValidationError({error.name: [error.rule]}) from error
    except exceptions.KeyConflict as error:
        # Its text names the other event's stream, which this user may not be allowed to read.
        raise Conflict("The key was used before, for another event.") from error
    except (exceptions.StreamClosed, exceptions.InvalidTransition) as error:
        raise Conflict(str(error)) from error
    except exceptions.LogUnavailable as error:
        # Its text names the server.
        raise (Unknown if error.may_be_stored else Unavailable) from error
    except exceptions.NotConfirmed as error:
        raise Unconfirmed from error
    except exceptions.LogBusy as error:
        raise Busy from error
    except TooMany as error:
        raise TooManyOpen(str(error)) from error
    except RequestDataTooBig as error:
        raise TooLarge from error
    except SuspiciousOperation as error:
        # Such as too many fields in a query string. Django's own answer would be a page of HTML.
        raise ParseError(str(error)) from error


def field_error(error: exceptions.InvalidEvent) -> dict[str, list[str]]:
    """`payload.items[3].price: …` under `payload`, the field that the client knows."""
    field = error.place.split(".", 1)[0].split("[", 1)[0]
    rest = error.place[len(field) :].lstrip(".")
    return {field: [f"{rest}: {error.rule}" if rest else error.rule]}
