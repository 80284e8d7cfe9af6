"""The user of a long connection, looked up again while it lasts.

Django keeps permissions on the user object, and a session may have ended since: asking again
means loading both again. Connections of one user share an answer for a short while.
"""

import random
import time
from collections.abc import Callable, Hashable
from types import SimpleNamespace
from typing import Any

from django.contrib.auth import SESSION_KEY, get_user, get_user_model
from django.contrib.auth.models import AnonymousUser

# Seconds after which a connection asks again, and for which an answer is shared. Together they
# stay well below the minute that is promised.
RECHECK = 30.0
SHARED = 10.0
# Seconds for which the last answer holds while the database gives none, and until the next try.
GRACE = 60.0
RETRY_AFTER = 5.0
MAX_ANSWERS = 10_000

_answers: dict[Hashable, tuple[float, Any]] = {}


def next_check() -> float:
    """Seconds until a connection asks again, so that a thousand do not ask together."""
    return RECHECK * random.uniform(0.75, 1)  # nosec B311 # no secret


def shared(key: Hashable, load: Callable[[], Any], fresh: bool) -> Any:
    """The user that `load` finds, or (unless `fresh`) found a moment ago for another connection."""
    now = time.monotonic()
    known = _answers.get(key)
    if not fresh and known is not None and now - known[0] < SHARED:
        return known[1]
    if len(_answers) >= MAX_ANSWERS:
        _answers.clear()
    user = load()
    _answers[key] = now, user
    return user


def current(user: Any, session: Any, *, fresh: bool = False, standing: object = None) -> Any:
    """A user as the database knows it now: nobody, if the account or the session has ended, or the
    password is not of that `standing` any more.

    What opens a connection asks with `fresh`; only what goes on shares an answer. Only users of
    the project's own model can be looked up; any other principal stays as it is.
    """
    model = get_user_model()
    if not isinstance(user, model) or user.pk is None:
        return user
    key = getattr(session, "session_key", None)
    if key and str(session.get(SESSION_KEY)) == str(user.pk):
        # Not type(): Channels' session is an object that stands for another.
        store = session.__class__
        found = shared((key, user.pk), lambda: signed_in(store(key)), fresh)
    else:
        found = shared(user.pk, lambda: reloaded(user.pk), fresh)
    return AnonymousUser() if standing is not None and hash_of(found) != standing else found


def signed_in(session: Any) -> Any:
    """The user of a session, as Django's middleware finds it."""
    request: Any = SimpleNamespace(session=session)
    return get_user(request)


def hash_of(user: Any) -> object:
    """What changes with the password; None for a user who has none."""
    return getattr(user, "get_session_auth_hash", lambda: None)()


def reloaded(pk: Any) -> Any:
    """A user whom something other than a session has signed in, such as a token."""
    found = get_user_model()._default_manager.filter(pk=pk).first()
    return found if found is not None and found.is_active else AnonymousUser()
