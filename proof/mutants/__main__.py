"""Break a copy of the tree in every way of the table, and see whether it is noticed.

python -m proof.mutants [name …]     some of them, by any part of their names
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from compileall import compile_dir
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.support.postgres_server import Cluster, binaries

from .mutant import Mutant
from .table import MUTANTS

ROOT = Path(__file__).resolve().parents[2]
COPIED = (
    "events",
    "eventsite",
    "tests",
    "proof",
    "templates",
    "pyproject.toml",
    "manage.py",
    "README.md",
)
# At a time: each starts a dozen processes of its own.
WORKERS = 2
# An address where nothing answers: no check is for MariaDB alone, and its tables are the slowest.
NOWHERE = "mysql://root@127.0.0.1:1/none"
# Seconds after which a check that does not end counts as one that failed: a mutant may hang.
PATIENCE = 180
# To load Hypothesis's plugin takes two seconds, which is as long as many a check.
WITHOUT = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")

PASSED, FAILED = 0, 1


def main(words):
    if unknown := [word for word in words if not any(word in one.name for one in MUTANTS)]:
        print(f"There is no mutant {', '.join(map(repr, unknown))} in proof/mutants/.")
        return 2
    chosen = [one for one in MUTANTS if not words or any(word in one.name for word in words)]
    # The checks have to pass where nothing is broken, or they prove nothing.
    checks = sorted({one.caught_by for one in chosen})
    work = [(Mutant("(none)", (), f"{len(p)} of them"), p) for p in parts(checks, WORKERS)]
    work += [(one, [one.caught_by]) for one in chosen]
    print(f"{'mutant':46} {'':9} {'seconds':>7}  by")
    with ExitStack() as stack:
        tree = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mutants-")))
        for name in COPIED:
            copy(ROOT / name, tree / name)
        compile_dir(tree, quiet=1)
        os.environ["TEST_MARIADB_URL"] = NOWHERE
        if binaries():
            os.environ["TEST_POSTGRES_URL"] = f"{stack.enter_context(Cluster()).url}/postgres"
        pool = stack.enter_context(ThreadPoolExecutor(WORKERS))
        fine = [show(*found) for found in pool.map(partial(judge, tree), *zip(*work, strict=True))]
    print(f"{fine.count(True)} of {len(work)} as they should be")
    return fine.count(True) < len(work)


def parts(checks, count):
    """The checks in so many parts, those of a file together as far as that goes."""
    size = -(-len(checks) // count)
    return [checks[begin : begin + size] for begin in range(0, len(checks), size)]


def judge(tree, mutant, checks):
    """What becomes of its checks: `caught`, `passes`, or why that cannot be said."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        shutil.copytree(tree, folder, dirs_exist_ok=True)
        for change in mutant.changes:
            apply(Path(folder), *change)
        return mutant, verdict(folder, checks), time.monotonic() - began


def copy(source, target):
    if source.is_dir():
        unwanted = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(source, target, ignore=unwanted)
    else:
        shutil.copy(source, target)


def apply(folder, path, old, new):
    """The old text has to be there, once: a table that has rotted proves nothing."""
    text = (folder / path).read_text()
    assert text.count(old) == 1, f"{path}: {text.count(old)} times {old!r}"
    changed = text.replace(old, new)
    if path.endswith(".py"):
        compile(changed, path, "exec")
    (folder / path).write_text(changed)


def verdict(folder, checks):
    command = [sys.executable, "-m", "pytest", "-qx", *WITHOUT, *checks]
    patience = PATIENCE * (1 + len(checks) // 4)
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=patience)
    except subprocess.TimeoutExpired:
        return "caught"
    if done.returncode == FAILED:
        return "caught" if re.search(r"\d+ failed", done.stdout) else "breaks"
    if done.returncode == PASSED:
        return "passes" if re.search(r"\d+ passed", done.stdout) else "skipped"
    return "breaks"


def show(mutant, found, seconds):
    expected = "caught" if mutant.changes else "passes"
    said = found if found == expected else {"passes": "SURVIVES"}.get(found, found.upper())
    print(f"{mutant.name:46} {said:9} {seconds:7.1f}  {mutant.caught_by}", flush=True)
    return found == expected


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
