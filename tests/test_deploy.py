"""docs/deploy/: nginx, systemd, Docker and Django can read what is there, and it fits together."""

import ast
import configparser
import re
import shlex
import shutil
import subprocess

import pytest

from events.conf import DEFAULTS

from .pages import DOCS

DEPLOY = DOCS / "deploy"
UNITS = sorted([*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")])
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
OPENSSL = shutil.which("openssl")

# What a distribution's nginx.conf has around a file of conf.d.
AROUND = "events {{}}\npid {folder}/nginx.pid;\nhttp {{\naccess_log off;\ninclude {folder}/site.conf;\n}}\n"


def read_unit(path):
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read_string(path.read_text())
    return parser


def command_of(unit):
    return shlex.split(unit["Service"]["ExecStart"].replace("\\\n", " "))


@pytest.fixture
def certificate(tmp_path):
    if OPENSSL is None:
        pytest.skip("openssl is not installed")
    names = ["-keyout", tmp_path / "privkey.pem", "-out", tmp_path / "fullchain.pem"]
    subprocess.run(
        [OPENSSL, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=example.com", *names],
        check=True,
        capture_output=True,
        timeout=60,
    )  # fmt: skip


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
@pytest.mark.parametrize("name", ["nginx.conf", "compose.nginx.conf"])
def test_nginx_reads_its_file(name, tmp_path, certificate):
    """As it stands, but for the paths and the names of other machines."""
    text = (DEPLOY / name).read_text()
    text = text.replace("/etc/nginx/snippets/mysite.conf", str(DEPLOY / "locations.conf"))
    text = text.replace("/etc/ssl/mysite", str(tmp_path)).replace("web:8000", "127.0.0.1:8000")
    (tmp_path / "site.conf").write_text(text)
    (tmp_path / "nginx.conf").write_text(AROUND.format(folder=tmp_path))
    done = subprocess.run(
        [NGINX, "-t", "-q", "-e", "stderr", "-p", tmp_path, "-c", tmp_path / "nginx.conf"],
        capture_output=True,
        text=True,
        timeout=30,
    )
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
    assert {"db", "redis", "migrate", "web", "reconcile", "prune", "static", "nginx"} == set(
        services
    )
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
