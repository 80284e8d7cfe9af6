"""The browser module: its own tests, run by Node, and its types beside it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULE = ROOT / "events" / "static" / "events" / "events.js"
NODE = shutil.which("node")
OLDEST_NODE = 20

EXPORT = re.compile(r"^export (?:async )?(?:class|const|function\*?|let) (\w+)", re.MULTILINE)


def node_version():
    output = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout
    return int(output.strip().removeprefix("v").split(".")[0])


def test_the_module_in_node():
    """Every test under tests/js, on a clock and on sockets of their own."""
    if NODE is None:
        pytest.skip("Node is not installed")
    if node_version() < OLDEST_NODE:
        pytest.skip(f"Node is {node_version()}, older than {OLDEST_NODE}")
    # By name: what a directory means to `node --test` differs from version to version.
    files = sorted(str(path) for path in (ROOT / "tests" / "js").glob("*.test.mjs"))
    done = subprocess.run(
        [NODE, "--test", *files], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    assert re.search(r"^# pass [1-9]|^ℹ pass [1-9]", done.stdout, re.MULTILINE), done.stdout[-2000:]


def test_the_exports():
    """The public names, and each of them in the types."""
    names = EXPORT.findall(MODULE.read_text())
    assert sorted(names) == ["EventLog", "EventLogError", "connect"]
    assert set(names) <= set(EXPORT.findall(MODULE.with_suffix(".d.ts").read_text()))


def test_the_members():
    """Every public getter and method of the log has its line in the types."""
    body = MODULE.read_text().partition("export class EventLog extends")[2].partition("\n}\n")[0]
    types = MODULE.with_suffix(".d.ts").read_text()
    members = re.findall(r"^  (?:get )?([a-z]\w*)\(.*\) \{$", body, re.MULTILINE)
    assert {"state", "position", "close", "reconnect"} <= set(members)
    assert all(re.search(rf"^  (?:readonly )?{name}\b", types, re.MULTILINE) for name in members)


def test_a_strict_content_security_policy_has_no_objection():
    """No code is made from text, and nothing is put into the page."""
    found = re.search(
        r"\beval\b|new Function|innerHTML|createElement|import\(|^import", MODULE.read_text(), re.M
    )
    assert found is None
