"""`manage.py run_handlers` in processes of their own, on a test's database."""

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager

from django.conf import settings
from django.db import connections

from .servers import ROOT


def url_of(alias):
    """The DATABASE_URL of a test's database."""
    name = connections[alias].settings_dict["NAME"]
    if alias == "default":
        return f"sqlite:///{name}"
    return re.sub(r"/[^/]*$", f"/{name}", settings.URLS[alias])


class Runners:
    def __init__(self, alias, *handlers, **environment):
        self.environment = {
            **os.environ,
            "DEBUG": "0",
            "SECRET_KEY": "x",
            "DATABASE_URL": url_of(alias),
            "DJANGO_SETTINGS_MODULE": "tests.support.acting.settings",
            "ACTING": json.dumps(handlers),
            **environment,
        }
        self.processes = []

    def start(self, *arguments, **environment):
        process = subprocess.Popen(
            [sys.executable, "manage.py", "run_handlers", *arguments],
            cwd=ROOT,
            env={**self.environment, **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def manage(self, *arguments, **environment):
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )


@contextmanager
def runners(alias, *handlers, **environment):
    """Whatever is started is gone at the end."""
    found = Runners(alias, *handlers, **environment)
    try:
        yield found
    finally:
        for process in found.processes:
            process.kill()
            process.communicate()
