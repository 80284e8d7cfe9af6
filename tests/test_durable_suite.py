"""The protocol's official conformance suite, on a real server over each kind of lock."""

import os
import re
import subprocess
from contextlib import ExitStack

from django.conf import settings

from .support.npm import FOLDER, need_packages
from .support.sites import scratch_site

SETTINGS = "tests.support.durable_settings"
PASSED = 332
# Its own command finds no tests outside of the monorepo it comes from (upstream #284).
CONFIG = (
    'export default {test: {include: ["**/server-conformance-tests/dist/test-runner.js"], '
    "exclude: [], testTimeout: 30000}}"
)


def test_the_suite(tmp_path):
    """On SQLite, and on PostgreSQL if it is there; beside each other, since most of it waits."""
    need_packages()
    (FOLDER / "vitest.config.mjs").write_text(CONFIG)
    with ExitStack() as stack:
        running = {
            database: subprocess.Popen(
                ["npx", "--no-install", "server-conformance-tests", "--run", address],
                cwd=FOLDER,
                env={**os.environ, "NO_COLOR": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for database, address in servers(stack, tmp_path)
        }
        for database, process in running.items():
            output, _ = process.communicate(timeout=400)
            assert re.search(rf"\b{PASSED} passed", output), f"{database}:\n{output[-10_000:]}"
            assert process.returncode == 0


def servers(stack, folder):
    databases = ["sqlite", *([] if "postgres" in settings.SKIPPED else ["postgres"])]
    # The suite keeps connections, and takes it ill when one is closed over a test that takes long.
    patient = {"uvicorn": ["--timeout-keep-alive", "300"], "daphne": []}
    for database, server in zip(databases, patient, strict=False):
        site = stack.enter_context(scratch_site(database, folder, DJANGO_SETTINGS_MODULE=SETTINGS))
        _, address = stack.enter_context(site.serve(server, options=patient[server]))
        yield database, address
