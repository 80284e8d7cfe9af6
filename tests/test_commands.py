"""The management commands: what they do, what they print and where, and how they fail."""

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.core.management.base import OutputWrapper
from django.db import InterfaceError, OperationalError, connection

from events import logs
from events.exceptions import LogBusy
from events.management.base import Progress
from events.management.commands.reconcile_streams import Command
from events.testing import ManualClock
from events.types import Status
from events.wire import dumps, encode

from .support.servers import ROOT
from .support.sites import scratch_site

DAY = 86_400

OPTIONS = {
    "emit_event": {"--log", "--payload", "--stream", "--key"},
    "export_events": {"--context", "--log", "--since", "--stream"},
    "prune_events": {"--log", "--older-than", "--max-entries", "--batch-size", "--dry-run"},
    "reconcile_streams": {"--log", "--loop"},
    "renew_epoch": {"--log", "--reset-clock"},
    "tail_events": {"--log", "--since", "--last", "--stream", "--kind", "--json", "--no-follow"},
}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def log(make_log, clock):
    """A log in memory: most of what a command does is the same on every backend."""
    return make_log(
        name="commands",
        BACKEND="memory",
        TTL=None,
        MAX_ENTRIES=None,
        PAGE_SIZE=3,
        MAX_PAGE_SIZE=3,
        OPTIONS={"clock": clock},
    )


@pytest.fixture
def run(log):
    """Run a command on the log of this test; what it printed."""

    def call(name, *args, stdout=None, stderr=None, **options):
        out, err = stdout or io.StringIO(), stderr or io.StringIO()
        call_command(name, *args, "--log", log.name, stdout=out, stderr=err, **options)
        return out.getvalue(), err.getvalue()

    return call


def fill(log, count, **fields):
    return log.append_many(
        [{"kind": "n", "payload": {"n": n, "é": "😀"}, **fields} for n in range(count)]
    )


def lines(log):
    """The whole log as it is sent."""
    query = log.query(limit=None)
    rows = []
    while True:
        found = log.backend.read(query)
        rows += found.rows
        if found.cursor >= found.state.head:
            return [encode(row) for row in rows]
        query = log.query(found.cursor)


class TestEmit:
    def test_it_prints_the_entry(self, run, log):
        """One line of JSON, the wire form."""
        args = ["turn.started", "--payload", '{"n": 1, "é": "😀"}', "--stream", "s", "--key", "k"]
        out, err = run("emit_event", *args)
        [entry] = log.read().entries
        assert out == dumps(entry.to_dict()) + "\n"
        assert out.encode().rstrip(b"\n") == lines(log)[0]
        assert (entry.kind, entry.payload, entry.stream, entry.key) == (
            "turn.started",
            {"n": 1, "é": "😀"},
            "s",
            "k",
        )
        assert err == ""

    def test_only_a_kind_is_needed(self, run, log):
        """The payload is then an empty object."""
        run("emit_event", "tick")
        assert [(e.kind, e.payload, e.stream, e.key) for e in log.read().entries] == [
            ("tick", {}, "", None)
        ]

    def test_the_same_key_again(self, run, log):
        """B30: the first entry is printed both times."""
        assert run("emit_event", "n", "--key", "k") == run("emit_event", "n", "--key", "k")
        assert log.info().head == 1

    def test_without_words(self, run, log):
        """-v 0 stores and says nothing."""
        assert run("emit_event", "n", verbosity=0) == ("", "")
        assert log.info().head == 1

    @pytest.mark.parametrize("payload", ["", "{", "nothing", "{'a': 1}", "[" * 100_000])
    def test_a_payload_that_is_no_json(self, run, log, payload):
        """It is told as it is."""
        with pytest.raises(CommandError, match="^--payload is not JSON: "):
            run("emit_event", "n", "--payload", payload)
        assert log.info().head == 0

    @pytest.mark.parametrize("payload", ["[]", "1", "null", '"a"', "true"])
    def test_a_payload_that_is_no_object(self, run, log, payload):
        """An example says what is wanted."""
        with pytest.raises(CommandError, match="must be a JSON object"):
            run("emit_event", "n", "--payload", payload)

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            (["Bad Kind"], "^kind: "),
            (["stream.opened"], "reserved"),
            (["n", "--payload", '{"a": NaN}'], "^payload.a: must not be NaN"),
            (["n", "--payload", '{"a": "\\ud800"}'], "lone surrogate"),
            (["n", "--payload", '{"a": 9007199254740992}'], "integer"),
            (["n", "--payload", f'{{"a": {"9" * 5000}}}'], "payload"),
            (["n", "--stream", "a b"], "^stream: "),
            (["n", "--key", ""], "^key: "),
            (["n", "--key", "used"], "'used' was used before"),
            ([], "KIND"),
            (["n", "m"], "unrecognized"),
        ],
    )
    def test_what_is_refused(self, run, log, args, message):
        """A CommandError with the rule, and nothing is stored."""
        log.append("first", key="used")
        with pytest.raises(CommandError, match=message):
            run("emit_event", *args)
        assert log.info().head == 1


class TestExport:
    def test_every_line_is_the_wire_form(self, run, log):
        """Byte for byte, one entry a line, over several pages."""
        fill(log, 10, stream="s")
        fill(log, 1)
        out, err = run("export_events")
        assert out.encode() == b"".join(line + b"\n" for line in lines(log))
        assert len(lines(log)) == 11
        assert err == ""

    def test_an_empty_log(self, run):
        """Nothing, and no complaint."""
        assert run("export_events") == ("", "")

    def test_since(self, run, log):
        """Only what comes after it."""
        fill(log, 5)
        out, err = run("export_events", "--since", "3")
        assert [json.loads(line)["position"] for line in out.splitlines()] == [4, 5]
        assert (run("export_events", "--since", "5"), err) == (("", ""), "")

    def test_a_stream(self, run, log):
        """Only its entries."""
        for stream in ("a", "b", "", "A", "a"):
            log.append("n", stream=stream)
        for options, positions in [
            (["--stream", "a"], [1, 5]),
            (["--stream", "a", "--stream", "b*"], [1, 2, 5]),
        ]:
            out, _ = run("export_events", *options)
            assert [json.loads(line)["position"] for line in out.splitlines()] == positions

    def test_holes_are_passed(self, run, log):
        """B63: a deleted stream is no reason to stop or to warn."""
        for stream in "ababababab":
            log.append("n", stream=stream)
        log.stream("a").delete()
        out, err = run("export_events")
        assert [json.loads(line)["position"] for line in out.splitlines()] == [2, 4, 6, 8, 10, 11]
        assert err == ""

    def test_it_reads_by_pages(self, run, log, monkeypatch):
        """No page is larger than MAX_PAGE_SIZE, and each is written before the next is read."""
        fill(log, 10)
        seen, out = [], io.StringIO()
        read = log.backend.read

        def spy(query):
            seen.append((query.limit, out.getvalue().count("\n")))
            return read(query)

        monkeypatch.setattr(log.backend, "read", spy)
        run("export_events", stdout=out)
        assert seen == [(0, 0), (3, 0), (3, 3), (3, 6), (3, 9)]

    def test_what_is_appended_meanwhile_is_left_out(self, run, log):
        """It ends at the head at its start, also when others write all the time."""

        class Emitting(io.StringIO):
            def write(self, text):
                fill(log, 5)
                return super().write(text)

        fill(log, 7)
        out, _ = run("export_events", stdout=Emitting())
        assert [json.loads(line)["position"] for line in out.splitlines()] == [*range(1, 8)]

    def test_a_loss_before_the_start_is_told(self, run, log):
        """B12: on stderr, and the rest is exported."""
        fill(log, 5)
        log.prune(max_entries=2)
        out, err = run("export_events", "--since", "1")
        assert [json.loads(line)["position"] for line in out.splitlines()] == [4, 5]
        assert "2 entries after position 1 are gone (pruned)" in err

    def test_no_since_is_no_loss(self, run, log):
        """B1: all that is there, and no warning."""
        fill(log, 5)
        log.prune(max_entries=2)
        out, err = run("export_events")
        assert (out.count("\n"), err) == (2, "")

    def test_a_position_beyond_the_head(self, run, log):
        """B4: nothing, and a word about it."""
        fill(log, 3)
        for since in ("4", "9" * 19):
            out, err = run("export_events", "--since", since)
            assert out == ""
            assert "beyond the head" in err

    @pytest.mark.parametrize("loss", ["prune", "expiry", "epoch"])
    def test_it_breaks_off_aloud(self, run, log, clock, loss):
        """B7: what overtakes it makes it fail, because a short file looks like a whole one."""

        class Losing(io.StringIO):
            def write(self, text):
                if loss == "prune":
                    log.prune(max_entries=1)
                elif loss == "epoch":
                    log.renew_epoch()
                else:
                    log.prune(ttl=0.5)
                return super().write(text)

        fill(log, 5)
        clock.advance(1)
        fill(log, 5)
        out = Losing()
        with pytest.raises(CommandError, match="^Broken off: "):
            run("export_events", stdout=out)
        assert out.getvalue().count("\n") == 3

    def test_a_disabled_log(self, make_log):
        """B23: there is nothing to export."""
        log = make_log(BACKEND="disabled")
        fill(log, 3)
        out = io.StringIO()
        call_command("export_events", "--log", log.name, stdout=out)
        assert out.getvalue() == ""

    @pytest.mark.parametrize(
        "args",
        [
            ["--since", "-1"],
            ["--since", "x"],
            ["--since", "1.0"],
            ["--since", "\u0663"],
            ["--since", "9" * 20],
            ["--since", ""],
            ["--stream", "a b"],
            ["--limit", "7"],
        ],
    )
    def test_what_is_refused(self, run, args):
        """A CommandError."""
        with pytest.raises(CommandError):
            run("export_events", *args)


class TestPrune:
    def test_max_entries(self, run, log):
        """B19: the newest stay."""
        fill(log, 10)
        run("prune_events", "--max-entries", "4")
        assert (log.info().floor, log.info().count) == (6, 4)

    @pytest.mark.parametrize("age", ["90", "90s", " 90s"])
    def test_older_than(self, run, log, clock, age):
        """B18: what is exactly that old stays."""
        fill(log, 2)
        clock.advance(1)
        fill(log, 3)
        clock.advance(90)
        run("prune_events", "--older-than", age)
        assert log.info().floor == 2

    @pytest.mark.parametrize(
        ("age", "seconds"), [("30s", 30), ("15m", 900), ("12h", 43_200), ("7d", 7 * DAY)]
    )
    def test_units(self, run, log, clock, age, seconds):
        """Seconds, minutes, hours and days."""
        log.append("n")
        clock.advance(seconds)
        run("prune_events", "--older-than", age)
        assert log.info().count == 1
        clock.advance(1)
        run("prune_events", "--older-than", age)
        assert log.info().count == 0

    @pytest.mark.django_db
    @pytest.mark.parametrize("backend", ["database", "memory"])
    def test_longer_ago_than_anything(self, make_log, backend):
        """The longest that a timedelta holds removes nothing, and is no overflow."""
        log = make_log(BACKEND=backend)
        log.append("n")
        call_command("prune_events", "--older-than", "999999999d", "--log", log.name)
        assert log.info().count == 1

    @pytest.mark.django_db
    def test_by_the_settings(self, settings, log, make_log, clock):
        """B19: without options, each log by its own; a log without a bound is left alone."""
        bounded = make_log(BACKEND="memory", TTL=60, MAX_ENTRIES=None, OPTIONS={"clock": clock})
        fill(bounded, 3)
        fill(log, 3)
        clock.advance(61)
        call_command("prune_events")
        floors = bounded.backend.ledger.floor, log.backend.ledger.floor
        assert floors == (3, 0)

    def test_with_options_only_by_these(self, make_log, clock):
        """A TTL in the settings does not come on top."""
        log = make_log(BACKEND="memory", TTL=60, MAX_ENTRIES=None, OPTIONS={"clock": clock})
        fill(log, 3)
        clock.advance(61)
        call_command("prune_events", "--max-entries", "2", "--log", log.name)
        assert log.backend.ledger.floor == 1

    def test_a_dry_run(self, run, log):
        """It removes nothing, and tells a terminal what it would have removed."""
        fill(log, 5)
        out, _ = run("prune_events", "--max-entries", "2", "--dry-run", stdout=Terminal())
        assert "commands: 3 entries would be removed." in out
        assert log.info().count == 5

    def test_a_terminal_is_told(self, run, log):
        """How many; a pipe and -v 0 are told nothing."""
        fill(log, 5)
        assert run("prune_events", "--max-entries", "4") == ("", "")
        assert run("prune_events", "--max-entries", "3", stdout=Terminal(), verbosity=0)[0] == ""
        out, _ = run("prune_events", "--max-entries", "1", stdout=Terminal())
        assert "commands: 2 entries were removed." in out

    @pytest.mark.django_db
    def test_batches(self, make_log):
        """As many rows, whatever the size of a batch."""
        log = make_log()
        fill(log, 20)
        call_command("prune_events", "--log", log.name, "--max-entries", "12", "--batch-size", "3")
        assert (log.info().count, len(log.read().entries)) == (12, 12)

    @pytest.mark.django_db
    def test_a_batch_of_more_rows_than_a_statement_has_parameters(self, make_log):
        """SQLite counts them: 32,766 in many builds, and 250,000 in some."""
        log = make_log()
        fill(log, 1100)
        connection.ensure_connection()
        limit = sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER
        before = connection.connection.setlimit(limit, 1000)
        try:
            args = ["--max-entries", "1", "--batch-size", "1000000"]
            call_command("prune_events", "--log", log.name, *args)
        finally:
            connection.connection.setlimit(limit, before)
        assert [entry.position for entry in log.read().entries] == [1100]

    @pytest.mark.parametrize(
        "args",
        [
            ["--older-than", "soon"],
            ["--older-than", "0"],
            ["--older-than", "-1"],
            ["--older-than", "1w"],
            ["--older-than", "7 d"],
            ["--older-than", ""],
            ["--older-than", "1.5h"],
            ["--older-than", "\u0667d"],
            ["--older-than", "9" * 12 + "d"],
            ["--max-entries", "0"],
            ["--max-entries", "-1"],
            ["--max-entries", "x"],
            ["--max-entries", "9" * 19],
            ["--batch-size", "0"],
            ["--keep", "7"],
            ["all"],
        ],
    )
    def test_what_is_refused(self, run, log, args):
        """A CommandError, and nothing is removed."""
        fill(log, 3)
        with pytest.raises(CommandError):
            run("prune_events", *args)
        assert log.info().count == 3

    @pytest.mark.parametrize("value", ["0", "-1"])
    @pytest.mark.parametrize("option", ["--older-than", "--max-entries"])
    def test_a_bound_of_nothing(self, run, log, option, value):
        """The error names what empties a log, also to who calls the command from Python."""
        fill(log, 3)
        with pytest.raises(CommandError, match=r"clear\(\)"):
            run("prune_events", option, value)
        with pytest.raises(CommandError, match=r"clear\(\)"):
            call_command("prune_events", log=log.name, max_entries=int(value))
        assert log.info().count == 3


class TestRenew:
    def test_it_prints_the_epoch(self, run, log):
        """B13: the new one, which readers are told of."""
        before = log.info().epoch
        fill(log, 2)
        out, _ = run("renew_epoch")
        assert out.strip() == log.info().epoch != before
        assert log.read(1, epoch=before).gap.reason == "epoch"
        assert log.append("n").position == 3

    def test_without_words(self, run, log):
        """-v 0 renews and says nothing."""
        before = log.info().epoch
        assert run("renew_epoch", verbosity=0) == ("", "")
        assert log.info().epoch != before


class TestProgress:
    def test_on_a_terminal(self):
        """One line, drawn over and over, and wiped in the end."""
        stream = Terminal()
        with Progress("Exporting", 1, OutputWrapper(stream)) as progress:
            progress(0, 4)
            progress(1000, 4000)
            progress(4, 4)
        drawn = stream.getvalue()
        assert "\n" not in drawn
        assert "\rExporting [" in drawn
        assert "1,000 of 4,000" in drawn
        assert drawn.endswith("\r\x1b[K")

    def test_of_nothing(self):
        """0 of 0 is all of it."""
        stream = Terminal()
        Progress("Pruning", 1, OutputWrapper(stream))(0, 0)
        assert "." not in stream.getvalue()

    @pytest.mark.parametrize(("stream", "verbosity"), [(io.StringIO(), 1), (Terminal(), 0)])
    def test_nowhere_else(self, stream, verbosity):
        """A pipe gets none of it, and neither does who asked for silence."""
        with Progress("Exporting", verbosity, OutputWrapper(stream)) as progress:
            progress(1, 4)
        assert stream.getvalue() == ""

    @pytest.mark.parametrize("backend", ["memory", "database"])
    @pytest.mark.django_db
    def test_a_command_draws_on_the_stderr_it_was_given(self, make_log, backend, capsys):
        """And on no other; `call_command(stderr=…)` is how a caller says which."""
        log = make_log(BACKEND=backend, MAX_PAGE_SIZE=2)
        fill(log, 5)
        err = Terminal()
        call_command("export_events", "--log", log.name, stdout=io.StringIO(), stderr=err)
        assert "Exporting [" in err.getvalue()
        assert "5 of 5" in err.getvalue()
        assert capsys.readouterr() == ("", "")

    @pytest.mark.django_db
    def test_pruning_draws_too(self, make_log):
        """A batch at a time."""
        log, err = make_log(), Terminal()
        fill(log, 5)
        args = ["--log", log.name, "--max-entries", "1", "--batch-size", "2"]
        call_command("prune_events", *args, stdout=io.StringIO(), stderr=err)
        assert f"Pruning {log.name} [" in err.getvalue()
        assert "4 of 4" in err.getvalue()
        assert "\x1b[31" not in err.getvalue()

    @pytest.mark.parametrize(
        ("stdout", "stderr", "verbosity"),
        [
            (io.StringIO(), io.StringIO(), 1),
            (io.StringIO(), Terminal(), 0),
            (Terminal(), Terminal(), 1),
        ],
    )
    def test_an_export_without_progress(self, run, log, stdout, stderr, verbosity):
        """In a pipe, in silence, and where the entries themselves appear on the terminal."""
        fill(log, 5)
        _, err = run("export_events", stdout=stdout, stderr=stderr, verbosity=verbosity)
        assert err == ""

    def test_emitting_has_none(self, run):
        """There is nothing to wait for."""
        assert run("emit_event", "n", stderr=Terminal())[1] == ""


@pytest.mark.parametrize("name", OPTIONS)
class TestEveryCommand:
    def test_it_is_ours(self, name):
        """Django finds it in this app."""
        assert get_commands()[name] == "events"

    def test_its_options(self, name):
        """Those of the contract, and what every command of Django has."""
        command = load_command_class("events", name)
        found = set(command.create_parser("manage.py", name)._option_string_actions)
        django = {"--version", "--verbosity", "--settings", "--pythonpath", "--traceback"}
        django |= {"--no-color", "--force-color", "--skip-checks", "--help"}
        assert {one for one in found if one.startswith("--")} - django == OPTIONS[name]

    def test_its_help(self, name, capsys):
        """It is there, with a sentence on the command and one on each option."""
        with pytest.raises(SystemExit) as ended:
            load_command_class("events", name).create_parser("manage.py", name).parse_args(
                ["--help"]
            )
        assert ended.value.code == 0
        out = capsys.readouterr().out
        command = load_command_class("events", name)
        assert " ".join(command.help.split())[:40] in " ".join(out.split())
        assert all(option in out for option in OPTIONS[name])
        for action in command.create_parser("manage.py", name)._actions:
            assert action.help

    def test_an_unknown_log(self, name, settings):
        """A CommandError that names those that there are."""
        settings.EVENTS = {"audit": {}}
        args = ["n"] if name == "emit_event" else []
        with pytest.raises(CommandError, match="no log 'nope'; EVENTS has 'default', 'audit'"):
            call_command(name, *args, "--log", "nope")

    @pytest.mark.django_db
    def test_it_works_on_the_default_log(self, name):
        """--log may be left out."""
        logs["default"].append("n")
        args = {"emit_event": ["n"], "tail_events": ["--no-follow"]}.get(name, [])
        call_command(name, *args, stdout=io.StringIO(), stderr=io.StringIO())


@pytest.fixture(scope="module")
def manage(tmp_path_factory):
    """A real `manage.py` with a database of its own: the finished process."""
    path = tmp_path_factory.mktemp("commands") / "db.sqlite3"
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("REDIS_URL", "EVENTS_TTL", "EVENTS_MAX_ENTRIES", "PYTHONUNBUFFERED")
    }
    environment |= {
        "DJANGO_SETTINGS_MODULE": "eventsite.settings",
        "DATABASE_URL": f"sqlite:///{path}",
        "DEBUG": "1",
        "PYTHONIOENCODING": "utf-8",
    }

    def start(*args, **extra):
        return subprocess.Popen(
            [sys.executable, "manage.py", *args],
            cwd=django_settings.BASE_DIR,
            env={**environment, **extra},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(*args, **extra):
        process = start(*args, **extra)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    run.start = start
    assert run("migrate", "--verbosity", "0").returncode == 0
    # More than the buffers of a pipe and of Python hold together.
    seed = "from events import emit_many; emit_many([('n', {'é': '😀' * 100})] * 400)"
    assert run("shell", "-v", "0", "-c", seed).returncode == 0
    return run


@pytest.mark.django_db
@pytest.mark.parametrize("error", [OperationalError, InterfaceError, LogBusy])
def test_a_watchdog_does_not_give_up(make_log, monkeypatch, caplog, error):
    """B60: whatever a driver calls it that the database is away."""
    log = make_log("default")

    def fail():
        raise error("The connection is closed.")

    monkeypatch.setattr(log.backend, "fail_idle", fail)
    Command().try_to_reconcile(log, {"verbosity": 0})
    assert "trying again" in caplog.text


class TestProcesses:
    @pytest.mark.parametrize(
        ("args", "message"),
        [
            (["renew_epoch", "--log", "nope"], "There is no log 'nope'"),
            (["emit_event", "Bad"], "kind: 'Bad'"),
            (["emit_event", "n", "--payload", "{"], "--payload is not JSON"),
            (["export_events", "--since", "x"], "'x' is not a position"),
            (["prune_events", "--older-than", "soon"], "'soon' is not a duration"),
            (["prune_events", "--keep", "7"], "--keep"),
            (["emit_event"], "KIND"),
        ],
    )
    def test_bad_input_is_exit_status_1(self, manage, args, message):
        """On stderr, without a traceback, and stdout stays clean."""
        done = manage(*args)
        assert (done.returncode, done.stdout) == (1, b"")
        assert message in done.stderr.decode()
        assert b"Traceback" not in done.stderr

    def test_success_is_exit_status_0(self, manage):
        """And stderr stays clean."""
        done = manage("renew_epoch")
        assert (done.returncode, done.stderr) == (0, b"")
        assert len(done.stdout.strip()) == 16

    @pytest.mark.parametrize("args", [[], ["--since", "399"]])
    def test_a_reader_that_has_seen_enough(self, manage, args):
        """`export_events | head -1` ends as any tool does, without a traceback."""
        process = manage.start("export_events", *args)
        if not args:
            assert json.loads(process.stdout.readline())["position"] == 1
        process.stdout.close()
        complaint = process.stderr.read()
        process.stderr.close()
        assert (process.wait(60), complaint) == (128 + signal.SIGPIPE, b"")

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
    def test_json_is_utf_8(self, manage, encoding):
        """Whatever the locale: the file is the same, byte for byte."""
        done = manage("export_events", "--since", "398", PYTHONIOENCODING=encoding)
        assert (done.returncode, done.stderr) == (0, b"")
        sent = [line for line in done.stdout.split(b"\n") if line]
        assert [json.loads(line)["payload"] for line in sent[:2]] == [{"é": "😀" * 100}] * 2
        assert done.stdout == b"".join(dumps(json.loads(line)).encode() + b"\n" for line in sent)

    def test_an_emit_in_a_poor_locale(self, manage):
        """What was stored is also shown: an error here would have the event sent again."""
        done = manage("emit_event", "n", "--payload", '{"é": 1}', PYTHONIOENCODING="ascii")
        assert (done.returncode, done.stderr) == (0, b"")
        assert json.loads(done.stdout)["payload"] == {"é": 1}


class TestTail:
    def test_what_is_there(self, run, log):
        """A line each, for people."""
        fill(log, 4, stream="s")
        out, err = run("tail_events", "--no-follow")
        assert [line.split()[0] for line in out.splitlines()] == ["1", "2", "3", "4"]
        assert "s#4" in out.splitlines()[3]
        assert '{"n":3,"é":"😀"}' in out.splitlines()[3]
        assert err == ""

    def test_json_is_what_is_sent(self, run, log):
        """B65: byte for byte."""
        fill(log, 7)
        out, _ = run("tail_events", "--no-follow", "--json")
        assert out.encode().splitlines() == lines(log)

    def test_filters(self, run, log):
        log.append("a.b", stream="s")
        log.append("a.c")
        log.append("d", stream="s")
        for options, kinds in [
            (["--kind", "a.*"], ["a.b", "a.c"]),
            (["--kind", "a.b", "--kind", "d"], ["a.b", "d"]),
            (["--stream", "s"], ["a.b", "d"]),
            (["--stream", "s*"], ["a.b", "d"]),
            (["--stream", "s", "--stream", "t*"], ["a.b", "d"]),
            (["--stream", ""], ["a.b", "a.c", "d"]),
            (["--since", "2"], ["d"]),
            (["--since", "latest"], []),
            (["--since", "-15m"], ["a.b", "a.c", "d"]),
            (["--since=-1h", "--kind", "d"], ["d"]),
            (["--last", "2"], ["a.c", "d"]),
            (["--last", "1", "--stream", "s"], ["d"]),
        ]:
            out, _ = run("tail_events", "--no-follow", "--json", *options)
            assert [json.loads(line)["kind"] for line in out.splitlines()] == kinds

    @pytest.mark.parametrize(
        "options",
        [
            ["--since", "-1"],
            ["--since", "-0m"],
            ["--since", "-15y"],
            ["--since", "x"],
            ["--since", "-99999999d"],
            ["--since", "-15m", "--last", "3"],
            ["--stream", "no stream"],
            ["--kind", "No"],
            ["--last", "0"],
            ["--last", "x"],
            ["--last", "2000"],
            ["--last", "1", "--since", "0"],
        ],
    )
    def test_what_makes_no_sense(self, run, options):
        with pytest.raises(CommandError):
            run("tail_events", "--no-follow", *options)

    def test_a_gap_is_told(self, run, log):
        """B12"""
        fill(log, 5)
        log.prune(max_entries=2)
        out, err = run("tail_events", "--no-follow", "--since", "0")
        assert len(out.splitlines()) == 2
        assert "3" in err

    def test_a_payload_does_nothing_to_the_terminal(self, run, log):
        """B52"""
        log.append("n", {"text": "\x1b[2J\u202e\x9b\u2066\x07\u200b"})
        out, _ = run("tail_events", "--no-follow")
        assert not set(out) & set("\x1b\u202e\x9b\u2066\x07\u200b")

    def test_it_follows_to_the_end_of_a_stream(self, run, log):
        """B49, B61"""
        fill(log, 2, stream="s")
        log.backend.ledger.streams["s"] = replace(
            log.backend.ledger.streams["s"], status=Status.FAILED
        )
        out, err = run("tail_events", "--stream", "s", "--json")
        assert len(out.splitlines()) == 2
        assert "failed" in err


def test_following_in_a_terminal(tmp_path):
    """B36: entries of another process as they come, until Ctrl-C, which is no error to explain."""
    with scratch_site("sqlite", tmp_path) as site:
        site.manage("emit_event", "first")
        tail = subprocess.Popen(
            [sys.executable, "manage.py", "tail_events"],
            cwd=ROOT,
            env=site.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with tail:
            assert "first" in tail.stdout.readline()
            site.manage("emit_event", "second")
            assert "second" in tail.stdout.readline()
            tail.send_signal(signal.SIGINT)
            out, err = tail.communicate(timeout=10)
        assert (tail.returncode, out, err) == (130, "", "")
