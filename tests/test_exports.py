"""The public names. Who removes or adds one changes the contract."""

import inspect

import events
import events.exceptions
import events.testing
import events.tracking


def defined_in(module):
    """The public classes and functions that a module makes itself."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }


def test_the_names_of_the_app():
    """The door is a list of names, each of which is there."""
    assert sorted(events.__all__) == [
        "Entry",
        "EventLog",
        "Gap",
        "LogInfo",
        "Page",
        "aemit",
        "aemit_many",
        "context",
        "emit",
        "emit_many",
        "logs",
    ]
    assert all(hasattr(events, name) for name in events.__all__)


def test_the_exceptions():
    """All that can go wrong, and each derived from EventsError."""
    names = defined_in(events.exceptions)
    assert names == {
        "CursorExpired",
        "EventsError",
        "InvalidEvent",
        "InvalidTransition",
        "KeyConflict",
        "LogBusy",
        "LogDoesNotExist",
        "LogUnavailable",
        "NotConfirmed",
        "StreamClosed",
    }
    assert all(
        issubclass(getattr(events.exceptions, n), events.exceptions.EventsError) for n in names
    )


def test_the_exceptions_stand_in_the_tree():
    """The module's docstring shows them all."""
    assert all(name in events.exceptions.__doc__ for name in defined_in(events.exceptions))


def test_the_names_for_tests():
    """What a project's own tests may rely on."""
    assert defined_in(events.testing) == {
        "Captured",
        "ManualClock",
        "capture_events",
        "memory_log",
        "run_handlers",
    }


def test_the_names_of_tracking():
    """Two: the rest is how."""
    assert events.tracking.__all__ == ["track", "untrack"]
    assert list(inspect.signature(events.tracking.track).parameters) == [
        "model", "fields", "stream", "name", "log",
    ]  # fmt: skip


def test_every_verb_has_a_twin():
    """An `a` in front, and the same parameters."""
    for verb in ("append", "append_many", "read", "info", "prune", "clear", "renew_epoch"):
        twin = getattr(events.EventLog, f"a{verb}")
        assert inspect.iscoroutinefunction(twin)
        assert (
            inspect.signature(twin).parameters.keys()
            == inspect.signature(getattr(events.EventLog, verb)).parameters.keys()
        )
    for verb in ("emit", "emit_many"):
        assert (
            inspect.signature(getattr(events, verb)).parameters.keys()
            == inspect.signature(getattr(events, f"a{verb}")).parameters.keys()
        )
