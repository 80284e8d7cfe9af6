"""A disk of a few megabytes, which can be filled: a tmpfs, where mounting is allowed.

Elsewhere the writers are forbidden, from outside, to make the database's files any larger
(RLIMIT_FSIZE): to SQLite that is an I/O error rather than a full disk.
"""

import os
import resource
import subprocess
from contextlib import contextmanager, suppress

SIZE = 48 * 2**20
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@contextmanager
def small_disk(folder):
    mount = folder / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", mount]
    mounted = subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield Tmpfs(mount) if mounted else Limit(mount)
    finally:
        if mounted:
            subprocess.run(["umount", "-l", mount], check=True)


class Tmpfs:
    how = "a tmpfs is filled"

    def __init__(self, folder):
        self.folder = folder
        self.filler = folder / "filler"

    def fill(self, writers):
        with suppress(OSError), self.filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)

    def free(self, writers):
        self.filler.unlink(missing_ok=True)


class Limit:
    how = "the writers' files may not grow (RLIMIT_FSIZE): mounting is not allowed here"

    def __init__(self, folder):
        self.folder = folder

    def fill(self, writers):
        size = max(os.stat(path).st_size for path in self.folder.glob("db.sqlite3*"))
        self.limit(writers, (size, resource.RLIM_INFINITY))

    def free(self, writers):
        self.limit(writers, UNLIMITED)

    def limit(self, writers, limit):
        for writer in writers:
            resource.prlimit(writer.process.pid, resource.RLIMIT_FSIZE, limit)
