"""docs/ tells the truth: it names all that the code has, its links lead somewhere, its snippets run."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import uuid

import psycopg
import pytest
from django.conf import settings

from .support.pages import DOCS, PAGES, ROOT, anchors, blocks, links, marked, name, prose
from .support.sites import scratch_site
from .support.tutorial import PAGE as TUTORIAL

WITH_CODE = [page for page in PAGES if blocks(page)]
NODE = shutil.which("node")
SAID = (
    "runs",
    "runs on PostgreSQL",
    "runs in the shell of a site on PostgreSQL",
    "htmx 2",  # these are in tests/test_htmx.py
    "htmx 4",
    "webhooks: Django",  # and these in tests/test_webhooks_receivers.py
    "webhooks: Express",
    "webhooks: FastAPI",
    "tokens: settings",  # and these in tests/test_tokens.py
    "tokens: JWT settings",
    "tokens: urls",
    "tokens: api.js",
    "tokens: app.jsx",
    "tokens: jwt.js",
    "tokens: source.js",
    "tokens: program",
)


def by_name(pages):
    return pytest.mark.parametrize("page", pages, ids=name)


def snippets(mark):
    found = [block for page in PAGES for block in marked(page, mark)]
    return pytest.mark.parametrize("block", found, ids=[block.where for block in found])


class TestLinks:
    @by_name(PAGES)
    def test_every_link_leads_somewhere(self, page):
        """To a file of the repository, and to a heading in it."""
        for path, anchor in links(page):
            assert path.exists(), path
            if anchor:
                assert anchor in anchors(path), f"{name(path)} has no #{anchor}"

    def test_every_page_can_be_reached(self):
        """From the README, by links alone."""
        reached, new = set(), {ROOT / "README.md"}
        while new:
            reached |= new
            new = {path for page in new for path, _ in links(page) if path.suffix == ".md"}
            new -= reached
        assert set(DOCS.rglob("*.md")) <= reached

    def test_every_file_of_the_deployment_is_linked(self):
        """From the page about it."""
        linked = {path for path, _ in links(DOCS / "how-to/deploy.md")}
        assert set((DOCS / "deploy").iterdir()) <= linked | {
            path for path, _ in links(DOCS / "how-to/operating.md")
        }


class TestSnippets:
    @by_name(WITH_CODE)
    def test_every_snippet_is_what_it_says(self, page):
        """Python is Python and JSON is JSON, also where it is only a part of something."""
        for block in blocks(page):
            if block.language == "python":
                compile(
                    block.text, block.where, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
                )  # fmt: skip
            elif block.language == "json":
                json.loads(block.text)

    @pytest.mark.skipif(NODE is None, reason="node is not installed")
    @by_name([page for page in WITH_CODE if any(b.language == "js" for b in blocks(page))])
    def test_every_script_can_be_read(self, page, tmp_path):
        for number, block in enumerate(blocks(page)):
            if block.language == "js":
                script = tmp_path / f"{number}.mjs"
                script.write_text(block.text)
                subprocess.run([NODE, "--check", script], check=True, timeout=30)

    @by_name(WITH_CODE)
    def test_no_mark_is_misspelt(self, page):
        """Or its snippet would not be run, and nobody would know."""
        marks = {block.mark for block in blocks(page) if page != TUTORIAL}
        assert marks <= {"", *SAID}

    @snippets("runs")
    @pytest.mark.django_db(transaction=True)
    def test_it_runs(self, block):
        exec(compile(block.text, block.where, "exec"), {})

    @snippets("runs on PostgreSQL")
    def test_it_runs_on_postgresql(self, block, postgres):
        run(block, postgres)

    @snippets("runs in the shell of a site on PostgreSQL")
    def test_it_runs_in_a_shell(self, block, tmp_path):
        with scratch_site("postgres", tmp_path) as site:
            site.manage("shell", "-c", block.text)


@pytest.fixture
def postgres():
    """What libpq reads from the environment, for a schema of its own."""
    if "postgres" in settings.SKIPPED:
        pytest.skip(settings.SKIPPED["postgres"])
    with psycopg.connect(settings.URLS["postgres"], autocommit=True) as server:
        # A name of its own: others may be running these tests on the same server.
        schema = f"naive_{uuid.uuid4().hex[:12]}"
        server.execute(f"CREATE SCHEMA {schema}")
        info = server.info
        try:
            yield {
                "PGHOST": info.host,
                "PGPORT": str(info.port),
                "PGUSER": info.user,
                "PGPASSWORD": info.password,
                "PGDATABASE": info.dbname,
                "PGOPTIONS": f"-c search_path={schema}",
            }
        finally:
            server.execute(f"DROP SCHEMA {schema} CASCADE")


def run(block, environment):
    done = subprocess.run(
        [sys.executable, "-c", block.text],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{block.where}: {done.stderr}"


@by_name(PAGES)
def test_prose_is_wrapped_at_100_columns(page):
    """Tables, headings and pictures excepted."""
    lines = [
        line for line in prose(page).splitlines() if not line.startswith(("|", "#", "![", "<"))
    ]
    assert [line for line in lines if len(line) > 100] == []


def test_files_that_contributors_are_sent_to_exist():
    """What CONTRIBUTING names by its path."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = re.findall(r"`((?:events|tests|docs|\.ci|\.github)/[\w./-]*)`", text)
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_versions_that_are_claimed_are_tested():
    """The classifiers, tox and the workflow name the same Pythons and Djangos, and one ruff."""
    project = (ROOT / "pyproject.toml").read_text()
    tox = (ROOT / "tox.ini").read_text()
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    for claimed, in_tox, in_workflow in [
        (r"Python :: (3\.\d+)", r"py\{([\d,]+)\}", r"^ +python: \[(.*)\]$"),
        (r"Django :: (\d\.\d)", r"dj\{?([\d,]+)", r"^ +django: \[(.*)\]$"),
    ]:
        known = {version.replace(".", "") for version in re.findall(claimed, project)}
        assert {one for found in re.findall(in_tox, tox) for one in found.split(",")} == known
        [matrix] = re.findall(in_workflow, workflow, re.M)
        assert {one.strip(' ".').replace(".", "") for one in matrix.split(",")} == known
    [pinned] = re.findall(r"^ruff==(.*)$", (ROOT / "requirements-dev.txt").read_text(), re.M)
    assert f"rev: v{pinned}\n" in (ROOT / ".pre-commit-config.yaml").read_text()


def test_what_to_watch_for_is_what_is_logged():
    """Each message stands in the code, so that it can be looked up by what one reads in a log file."""
    page = (DOCS / "how-to/operating.md").read_text()
    code = "".join(path.read_text() for path in (ROOT / "events").rglob("*.py"))
    messages = re.findall(r"^\| (?:ERROR|WARNING) \| (.*?) \|", page, re.M)
    assert len(messages) > 5
    for message in re.findall(r"`([^`]+)`", " ".join(messages)):
        for part in message.split("…"):
            assert part.strip() in code, message


def test_no_figure_without_its_command():
    """What was measured is in docs/benchmarks.md, or names the command that measures it."""
    for page in PAGES:
        if name(page).startswith("docs/benchmarks") or name(page) == "CHANGELOG.md":
            continue
        for paragraph in re.split(r"\n\s*\n|\n- ", page.read_text()):
            if re.search(r"\d/s\b|\d times as (fast|slow)|\d ms (a|per) ", paragraph):
                assert "python -m benchmarks" in paragraph, f"{name(page)}: {paragraph}"
