"""Take the picture of the live page that the README shows: a site of its own, with its simulator."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "live.png"
CHROMIUM = os.environ.get("PLAYWRIGHT_CHROMIUM") or shutil.which("chromium")
SECONDS = 45  # of events, so that the chart of the last minute has something to show


def main() -> None:
    if CHROMIUM is None:
        sys.exit("There is no chromium on the PATH, and PLAYWRIGHT_CHROMIUM names none.")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        os.environ |= {"DEBUG": "1", "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3"}
        manage("migrate", "--verbosity", "0")
        login = manage("demo_user").split(" / ")
        port = free_port()
        with running("runserver", "--noreload", f"127.0.0.1:{port}"):
            wait_for(port)
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1120, "height": 760}, color_scheme="light")
            sign_in(page, f"http://127.0.0.1:{port}", *login)
            with running("simulate", "--rate", "7", "--seed", "1"):
                page.locator("main[data-state=live]").wait_for()
                page.wait_for_timeout(SECONDS * 1000)
                page.screenshot(path=PICTURE, scale="css")
            browser.close()
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size // 1024} KiB")


def sign_in(page: Page, address: str, username: str, password: str) -> None:
    page.goto(f"{address}/admin/login/?next=/")
    page.fill("[name=username]", username)
    page.fill("[name=password]", password)
    page.click("[type=submit]")


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), *arguments]


def manage(*arguments: str) -> str:
    done = subprocess.run(command(*arguments), check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


@contextmanager
def running(*arguments: str) -> Iterator[None]:
    process = subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit("The site does not answer.")


if __name__ == "__main__":
    main()
