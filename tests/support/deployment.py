"""docs/deploy/ at work: the project of the tutorial on PostgreSQL, uvicorn and nginx, on this machine."""

import configparser
import os
import re
import shlex
import shutil
import ssl
import subprocess
import sys
import uuid
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from django.conf import settings

from .pages import DOCS
from .servers import free_port, wait_until

DEPLOY = DOCS / "deploy"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
OPENSSL = shutil.which("openssl")

# What a distribution's nginx.conf has around a file of conf.d.
AROUND = """{user}pid {folder}/nginx.pid;
events {{}}
http {{
include /etc/nginx/mime.types;
access_log off;
include {folder}/site.conf;
}}
"""


def read_unit(path):
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read_string(path.read_text())
    return parser


def command_of(unit):
    return shlex.split(unit["Service"]["ExecStart"].replace("\\\n", " "))


def make_certificate(folder):
    names = ["-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"]
    names += ["-subj", "/CN=example.com", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [OPENSSL, "req", "-x509", "-newkey", "rsa:2048", "-nodes", *names],
        check=True,
        capture_output=True,
        timeout=60,
    )


def write_nginx(name, folder, **replaced):
    """The file as it stands, but for paths, ports and the names of other machines."""
    texts = {"site.conf": name, "locations.conf": "locations.conf"}
    for written, read in texts.items():
        text = (DEPLOY / read).read_text()
        text = text.replace("/etc/nginx/snippets/mysite.conf", f"{folder}/locations.conf")
        for old, new in {"/etc/ssl/mysite": str(folder), **replaced}.items():
            text = text.replace(old, new)
        (folder / written).write_text(text)
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=user))
    return [NGINX, "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"]


class Deployment:
    """The reader's project in another folder, as docs/how-to/deploy.md has it."""

    def __init__(self, reader, folder):
        self.folder = folder / "mysite"
        self.nginx = folder / "nginx"
        self.nginx.mkdir()
        shutil.copytree(
            reader.folder, self.folder, ignore=shutil.ignore_patterns(".venv", "*.sqlite3*")
        )
        shutil.copy(DEPLOY / "production.py", self.folder / "mysite")
        make_certificate(self.nginx)
        self.trust = ssl.create_default_context(cafile=self.nginx / "fullchain.pem")
        self.servers, self.plain, self.port = [free_port(), free_port()], free_port(), free_port()
        self.address = f"https://127.0.0.1:{self.port}"
        self.environment = dict(reader.environment)

    @contextmanager
    def at_work(self):
        with ExitStack() as stack:
            stack.enter_context(self.database())
            self.install()
            self.run(".venv/bin/python manage.py migrate -v0")
            self.run(".venv/bin/python manage.py collectstatic --no-input -v0")
            self.run(
                "DJANGO_SUPERUSER_PASSWORD=lovelace .venv/bin/python manage.py createsuperuser "
                "--no-input --username ada --email ada@example.com"
            )
            command = command_of(read_unit(DEPLOY / "mysite-uvicorn@.service"))
            for port in self.servers:
                parts = [part.replace("/srv/mysite", str(self.folder)) for part in command]
                stack.enter_context(self.running([part.replace("%i", str(port)) for part in parts]))
            ports = dict(zip(re.findall(r":(\d+) max_fails", self.text), self.servers, strict=True))
            nginx = write_nginx(
                "nginx.conf",
                self.nginx,
                **{old: str(new) for old, new in ports.items()},
                **{"/srv/mysite": str(self.folder), "listen 443": f"listen {self.port}"},
                **{"listen 80": f"listen {self.plain}"},
            )
            process = stack.enter_context(self.running([*nginx, "-g", "daemon off;"]))
            with self.client() as client:
                wait_until(lambda: answers(client), process)
            yield self

    @property
    def text(self):
        return (DEPLOY / "nginx.conf").read_text()

    def client(self):
        return httpx.Client(
            base_url=self.address, verify=self.trust, follow_redirects=True, timeout=10
        )

    @contextmanager
    def database(self):
        """What mysite.env.example asks for, on the PostgreSQL of the tests."""
        if "postgres" in settings.SKIPPED:
            pytest.skip(settings.SKIPPED["postgres"])
        server = urlsplit(settings.URLS["postgres"])
        name = f"deployed_{uuid.uuid4().hex[:12]}"
        for line in (DEPLOY / "mysite.env.example").read_text().splitlines():
            if line and not line.startswith("#"):
                self.environment.update([line.split("=", 1)])
        self.environment |= {
            "ALLOWED_HOSTS": "127.0.0.1",
            "PGHOST": server.hostname,
            "PGPORT": str(server.port or 5432),
            "PGDATABASE": name,
            "PGUSER": server.username or "",
            "PGPASSWORD": server.password or "",
        }
        with psycopg.connect(settings.URLS["postgres"], autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
            try:
                yield
            finally:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def install(self):
        """With the line of the page: nothing that the tutorial's environment has besides."""
        page = (DOCS / "how-to/deploy.md").read_text()
        [line] = re.findall(r"^(\.venv/bin/pip install .*?)(?: +#.*)?$", page, re.M)
        self.run(f"{shlex.quote(sys.executable)} -m venv .venv")
        self.run(line)
        assert not (self.folder / ".venv/bin/daphne").exists()

    def run(self, command):
        done = subprocess.run(
            ["sh", "-e", "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    @contextmanager
    def running(self, command):
        process = subprocess.Popen(command, cwd=self.folder, env=self.environment)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(15)


def answers(client):
    try:
        return client.get("/admin/login/").status_code == 200
    except httpx.HTTPError:
        return False
