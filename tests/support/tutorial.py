"""Follows docs/tutorial.md as a reader would: types what stands in its blocks, and looks at the answers."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from .pages import DOCS, blocks
from .servers import answers, free_port, wait_until

PAGE = DOCS / "tutorial.md"

# What a shell of these tests has, and a reader's has not.
OURS = ("PYTHONPATH", "VIRTUAL_ENV", "DJANGO_SETTINGS_MODULE", "DEBUG", "DATABASE_URL", "EVENTS")
ACTIVATE = ". .venv/bin/activate\n"


class Reader:
    """Somebody at a keyboard, in a folder of their own."""

    def __init__(self, folder, **environment):
        self.folder = folder
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in OURS},
            # So that `python` is the one that runs these tests.
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
            **environment,
        }
        self.said = ""
        self.server = self.waiting = None

    @contextmanager
    def at_work(self):
        try:
            yield self
        finally:
            for process in (self.server, self.waiting):
                if process is not None:
                    end(process)

    def follow(self, page=PAGE):
        for block in blocks(page):
            self.obey(block)

    def obey(self, block):
        text = block.text.replace("8000", str(self.port))
        verb, _, path = block.mark.partition(" ")
        if verb == "terminal":
            self.run(text, block.where)
        elif verb == "server":
            self.server = self.start(text)
            wait_until(lambda: answers(self.address), self.server)
        elif verb == "waits":
            self.waiting = self.start(text)
        elif verb == "append":
            self.write(path.removeprefix("to "), text, "a")
        elif verb == "write":
            self.write(path, text, "w")
        elif verb == "answer":
            self.compare(text, block.where)
        else:
            raise AssertionError(f"{block.where}: what is to be done with this?")

    def write(self, path, text, mode):
        with open(self.folder / path, mode) as file:
            file.write(text)

    def run(self, text, where):
        activate = ACTIVATE if (self.folder / ".venv").exists() else ""
        done = subprocess.run(
            ["sh", "-e", "-c", activate + text], timeout=120, **self.options(stderr=subprocess.PIPE)
        )
        assert done.returncode == 0, f"{where}: {done.stdout}{done.stderr}"
        self.said = done.stdout
        if self.waiting is not None:
            self.said, _ = self.waiting.communicate(timeout=40)
            self.waiting = None
            assert json.loads(self.said)["results"], f"{where}: nothing came"

    def start(self, text):
        # In a group of its own: the autoreloader is a process more.
        return subprocess.Popen(
            ["sh", "-c", ACTIVATE + text], start_new_session=True, **self.options()
        )

    def options(self, **more):
        return {
            "cwd": self.folder,
            "env": self.environment,
            "stdout": subprocess.PIPE,
            "text": True,
            **more,
        }

    def compare(self, text, where):
        if text.startswith("{"):
            said, shown = json.loads(self.said.splitlines()[-1]), json.loads(text)
            for page in (said, shown):
                for entry in page["results"]:
                    del entry["timestamp"]
            assert said == shown, where
        else:
            assert self.said.splitlines() == text.splitlines(), where


def end(process):
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
