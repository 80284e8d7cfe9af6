"""What a mutant is, and the places that many of them are about."""

from dataclasses import dataclass

DATABASE = "events/backends/database/"
HISTORY = "proof/test_history.py::"
WRITERS = HISTORY + "test_many_writers_and_readers[postgres]"
PRUNING = HISTORY + "test_pruning_beside_writers[postgres]"
TIMELINE = "tests/test_terms.py::"


@dataclass(frozen=True)
class Mutant:
    """`changes` are (file, exact old text, new text); `caught_by` is a test that must fail."""

    name: str
    changes: tuple[tuple[str, str, str], ...]
    caught_by: str


def mutant(name, caught_by, *changes):
    return Mutant(name, changes, caught_by)
