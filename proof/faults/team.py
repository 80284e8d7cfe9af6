"""The processes of one run: started together, waited for one by one, and gone when it is over."""

import json
import os
import select
import signal
import subprocess
import sys

from .history import load
from .kill_points import VARIABLE
from .scratch import ROOT, environment

# Seconds after which a process that says nothing, or does not end, is taken for broken.
PATIENCE = 30
# Processes that are started in one go.
MOST = 20


class Team:
    """Processes that share a log. As a context manager it leaves none of them behind."""

    def __init__(self, url, folder, seed, log, **environment):
        self.url = url
        self.environment = environment
        self.folder = folder
        self.seed = seed
        self.log = log
        self.members = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for member in self.members:
            member.kill()

    def start(self, role, count=1, kill=None, **options):
        """Start so many processes of one role. They do nothing yet; see `go`. `kill` is where they
        are to kill themselves: see `kill_points`."""
        assert count <= MOST, f"{count} processes would bring the machine down"
        known = sum(member.role == role for member in self.members)
        made = [Member(self, role, known + n, options, kill) for n in range(1, count + 1)]
        self.members += made
        return made

    def go(self, *members):
        """Wait until all of them are ready, and send them off together."""
        for member in members:
            member.hear("ready")
        for member in members:
            member.tell("go")

    def run_to_end(self, *members, seconds=PATIENCE):
        for member in members:
            assert member.end(seconds) == 0, member.complaint()

    def stop(self, *members, goal=0, seconds=PATIENCE):
        for member in members:
            member.tell(f"stop {goal}")
        self.run_to_end(*members, seconds=seconds)

    def history(self):
        return load(self.folder)

    def complaints(self):
        """What the processes had to say, but for keys that lost a race, which are meant to."""
        lines = [line for member in self.members for line in member.complaint().splitlines()]
        return [line for line in lines if "is set aside: the key" not in line]


class Member:
    def __init__(self, team, role, number, options, kill=None):
        self.role = role
        self.name = f"{role}-{number}"
        self.errors = team.folder / f"{self.name}.err"
        options = {"name": self.name, "seed": team.seed, "folder": str(team.folder), **options}
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "proof.faults.worker", role, json.dumps(options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,
                cwd=ROOT,
                env={
                    **environment(team.url, team.log, self.name),
                    **team.environment,
                    **({VARIABLE: kill} if kill else {}),
                },
            )

    def listen(self):
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        return self.process.stdout.readline().decode().strip() if ready else "nothing"

    def hear(self, word):
        heard = self.listen()
        assert heard == word, f"{self.name} said {heard!r}, not {word!r}: {self.complaint()}"

    def tell(self, word):
        self.process.stdin.write(f"{word}\n".encode())

    def end(self, seconds=PATIENCE):
        """Wait for the end; the exit status, negative for a signal."""
        return self.process.wait(seconds)

    def wait_until_it_stands_still(self):
        """Until it stopped itself, or has ended, without taking notice of the latter."""
        watched = os.WSTOPPED | os.WEXITED | os.WNOWAIT
        status = os.waitid(os.P_PID, self.process.pid, watched)
        assert status.si_code == os.CLD_STOPPED, self.complaint()

    def wake(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def complaint(self):
        return self.errors.read_text()
