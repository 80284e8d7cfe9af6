"""docs/deploy/: nginx, systemd, Docker and Django can read what is there, and it fits together."""

import ast
import re
import shutil
import subprocess
import sys

import pytest

from events.conf import DEFAULTS

from .support.deployment import (
    DEPLOY,
    NGINX,
    OPENSSL,
    command_of,
    make_certificate,
    read_unit,
    write_nginx,
)
from .support.pages import DOCS

UNITS = sorted([*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")])


@pytest.mark.skipif(NGINX is None or OPENSSL is None, reason="nginx or openssl is not installed")
@pytest.mark.parametrize("name", ["nginx.conf", "compose.nginx.conf"])
def test_nginx_reads_its_file(name, tmp_path):
    """As it stands, but for the paths and the names of other machines."""
    make_certificate(tmp_path)
    command = write_nginx(name, tmp_path, **{"web:8000": "127.0.0.1:8000"})
    done = subprocess.run([*command, "-t", "-q"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def test_nginx_is_patient_enough():
    """A silence lasts until the next heartbeat, and a long-poll 30 seconds."""
    [seconds] = re.findall(r"proxy_read_timeout (\d+)s;", (DEPLOY / "locations.conf").read_text())
    assert int(seconds) > 30
    assert int(seconds) > 2 * DEFAULTS["HEARTBEAT_INTERVAL"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_can_be_read(path):
    """It says what it is, and what it runs is in the project's environment."""
    unit = read_unit(path)
    assert unit["Unit"]["Description"]
    if path.suffix == ".service":
        program, *_ = command_of(unit)
        assert program.startswith("/srv/mysite/.venv/bin/")
        assert unit["Service"]["EnvironmentFile"] == "/etc/mysite.env"
    else:
        assert path.with_suffix(".service") in UNITS


def test_the_units_run_what_there_is():
    """Commands of the app, and servers on the ports that nginx knows."""
    for name, arguments in {
        "mysite-reconcile": ["manage.py", "reconcile_streams", "--loop", "10"],
        "mysite-prune": ["manage.py", "prune_events"],
        "mysite-handlers@": ["manage.py", "run_handlers"],
    }.items():
        assert command_of(read_unit(DEPLOY / f"{name}.service"))[1:] == arguments
    for name in ("mysite-uvicorn@", "mysite-daphne@"):
        assert "%i" in command_of(read_unit(DEPLOY / f"{name}.service"))
    ports = re.findall(r"server 127.0.0.1:(\d+)", (DEPLOY / "nginx.conf").read_text())
    guide = (DOCS / "how-to/deploy.md").read_text()
    assert ports
    assert all(f"mysite-uvicorn@{port}" in guide for port in ports)


def test_the_compose_file_can_be_read():
    """And runs the same as the units."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    names = {"db", "redis", "migrate", "web", "reconcile", "prune", "handlers", "static", "nginx"}
    assert set(services) == names
    assert services["handlers"]["command"] == ["python", "manage.py", "run_handlers"]
    # A project without handlers has no such command.
    assert services["handlers"]["profiles"] == ["handlers"]
    assert services["reconcile"]["command"] == ["python", "manage.py", "reconcile_streams", "--loop", "10"]  # fmt: skip
    for volume in services["nginx"]["volumes"]:
        source = volume.partition(":")[0]
        assert not source.startswith("./") or (DEPLOY / source).exists()


def test_the_settings_ask_for_what_the_environment_gives():
    """Every variable of production.py is in mysite.env.example."""
    text = (DEPLOY / "production.py").read_text()
    ast.parse(text)
    given = dict(
        line.split("=", 1)
        for line in (DEPLOY / "mysite.env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert set(re.findall(r'environ\["(\w+)"\]', text)) < set(given)
    assert given["DJANGO_SETTINGS_MODULE"] == "mysite.production"


def test_the_settings_keep_what_the_project_has_set(tmp_path, monkeypatch):
    """A policy, a database's options of its own, and another log are not replaced by the deployment's."""
    project = tmp_path / "mysite"
    project.mkdir()
    (project / "settings.py").write_text(
        "BASE_DIR = __import__('pathlib').Path(__file__).parent\n"
        "INSTALLED_APPS = ['daphne', 'events']\n"
        "DATABASES = {'default': {'ENGINE': 'sqlite3', 'OPTIONS': {'init_command': ''},"
        " 'ATOMIC_REQUESTS': True}, 'archive': {}}\n"
        "EVENTS = {'default': {'POLICY': 'p', 'TTL': '7d'}, 'audit': {}}\n"
    )
    shutil.copy(DEPLOY / "production.py", project)
    for line in (DEPLOY / "mysite.env.example").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            monkeypatch.setenv(*line.split("=", 1))
    run = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from mysite.production import *; "
    done = subprocess.run(
        [sys.executable, "-c", run + "print([DATABASES, EVENTS, INSTALLED_APPS])"],
        check=True,
        capture_output=True,
        text=True,
    )
    databases, events, apps = ast.literal_eval(done.stdout)
    assert databases["default"]["ATOMIC_REQUESTS"]
    assert databases["default"]["ENGINE"] == "django.db.backends.postgresql"
    assert "init_command" not in databases["default"]["OPTIONS"]
    assert databases["archive"] == {}
    assert events == {
        "default": {"POLICY": "p", "TTL": "7d", "MAX_ENTRIES": 10_000_000},
        "audit": {},
    }
    assert apps == ["events"]
