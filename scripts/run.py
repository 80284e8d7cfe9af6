"""Run the example site with a worker for its jobs, the watchdog over streams, the handlers and the
simulator; end them all.

A script and not lines of the Makefile because of the ending: Ctrl-C, SIGTERM, a closed terminal, a
killed `make` and a site that falls over must all leave no process behind.
The worker is started again when it was killed, as an init system would.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

HOST = "127.0.0.1"
MANAGE = [sys.executable, str(Path(__file__).resolve().parent.parent / "manage.py")]
PARENT = os.getppid()
START_UP = 30  # seconds that the site may take to answer
GRACE = 10  # seconds that a process may take to end
# Something to see before the password, and no line for each request to push the password away.
ENVIRONMENT = {"EVENTS_SHOWCASE": "1", "ACCESS_LOG": "0", "PYTHONUNBUFFERED": "1"}
# `--no-reload`: with DEBUG it would be two processes.
WORKER = ("db_worker", "--interval", "0.5", "--no-startup-delay", "--no-reload", "-v0")

# Set by a signal and looked at between the steps. An exception raised by the handler could hit just
# after a fork, and the child would be nobody's.
stopping = threading.Event()
children: list[subprocess.Popen[bytes]] = []


def main(port: int) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopping.set())
    refuse_taken_port(port)
    worker = None
    try:
        # Without the autoreloader: it is one more process to end, and this is for looking around.
        site = start("runserver", "--noreload", f"{HOST}:{port}")
        if wait_for_answer(site, port):
            # Silent ones: the login is to stay the last thing that was printed.
            start("simulate", "-v0")
            start("simulate", "-v0", "--log", "showcase", "--rate", "2")
            # Without it nobody would notice that a worker was killed.
            start("reconcile_streams", "--loop", "2", "-v0")
            start("run_handlers", "-v0")
            worker = start(*WORKER)
            announce(port)
        while keep_running(site):
            time.sleep(0.2)
            if worker and worker.poll() is not None:
                children.remove(worker)
                worker = start(*WORKER)
        return 0 if stopping.is_set() else 1
    finally:
        end_all()


def refuse_taken_port(port: int) -> None:
    """Say so before anything starts: otherwise the addresses printed would be somebody else's."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            sys.exit(f"Cannot listen on port {port} ({error}). Choose another: make run PORT=8001")


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """Start a management command in our process group, so that killing the group takes it along.

    It ignores the terminal's Ctrl-C, which reaches the whole group at once; we pass on a SIGTERM.
    """
    child = subprocess.Popen(
        [*MANAGE, *arguments],
        stdin=subprocess.DEVNULL,
        env={**os.environ, **ENVIRONMENT},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    children.append(child)
    return child


def wait_for_answer(site: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + START_UP
    while keep_running(site) and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return True
        time.sleep(0.1)
    return False


def keep_running(site: subprocess.Popen[bytes]) -> bool:
    """Until somebody asks, the site ends, or whoever started us is gone."""
    return not stopping.is_set() and site.poll() is None and os.getppid() == PARENT


def announce(port: int) -> None:
    address = f"http://{HOST}:{port}"
    print(f"\n  Live page  {address}/\n  Jobs       {address}/jobs/")
    print(f"  Chat       {address}/chat/\n  API        {address}/api/events/")
    print(
        f"  Admin      {address}/admin/\n\n  Ctrl-C stops the site and the simulator.", flush=True
    )
    # Last, and printed whole: the site may be writing to the same terminal.
    login = subprocess.run([*MANAGE, "demo_user"], capture_output=True, text=True, check=False)
    shown = login.stdout.strip() or login.stderr.strip()
    print(f"\n{'-' * 64}\n  Login      {shown}\n{'-' * 64}\n", flush=True)


def end_all() -> None:
    """End every child that is left: politely, and after a while for certain."""
    for child in children:
        child.terminate()  # does nothing to one that has ended
    deadline = time.monotonic() + GRACE
    for child in children:
        try:
            child.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("port", type=int)
    sys.exit(main(parser.parse_args().port))
