"""Writers and readers of a log whose servers fail, and what each of them was told."""

import json
import os
import threading
import time
from contextlib import contextmanager, suppress
from datetime import datetime

import httpx
from django.db import connections

from events.types import to_micros

from .http_client import API
from .servers import wait_until

# As many as their environment says.
FAILOVERS = int(os.environ.get("FAILOVERS", "1"))
WRITERS = int(os.environ.get("WRITERS", "16"))
# Seconds that a writer waits between two attempts. Some are always under way; but without it the
# writers would keep the machine from everybody, and the servers from taking each other's place.
PACE = 0.01


class History:
    """What writers were told, and what readers saw."""

    def __init__(self, log, errors):
        self.log = log
        # What a writer or a reader has to expect while no server answers.
        self.passing = errors
        self.ended = threading.Event()
        # By the name of an event, the position that its writer was told.
        self.acknowledged = {}
        # By epoch and position, the names and times that any reader saw there.
        self.seen = {}
        self.readers = []
        self.errors = []

    def write(self, number):
        count = 0
        while not self.ended.is_set():
            time.sleep(PACE)
            count += 1
            name = f"{number}-{count}"
            while True:
                # With a key, to try again is safe whatever the error says.
                try:
                    entry = self.log.append("n", {"name": name}, key=name)
                    self.acknowledged[name] = entry.position
                    break
                except self.passing:
                    connections[self.log.backend.alias].close()
                    time.sleep(PACE)
                if self.ended.is_set():
                    return

    def guarded(self, work, *arguments):
        try:
            work(*arguments)
        except BaseException as error:
            self.errors.append(error)
        finally:
            connections.close_all()

    @contextmanager
    def running(self, *readers):
        self.readers = [one(self) for one in readers]
        writers = [self.thread(self.write, number) for number in range(WRITERS)]
        threads = writers + [self.thread(one.read) for one in self.readers]
        try:
            yield self
        finally:
            self.ended.set()
            for thread in threads:
                thread.join(60)
            for one in self.readers:
                one.close()
        assert not self.errors, self.errors
        assert not any(thread.is_alive() for thread in threads)

    def thread(self, work, *arguments):
        thread = threading.Thread(target=self.guarded, args=(work, *arguments))
        thread.start()
        return thread

    def written(self, more=200):
        """Until so many more are acknowledged."""
        before = len(self.acknowledged)
        wait_until(lambda: self.errors or len(self.acknowledged) >= before + more, seconds=40)
        assert not self.errors, self.errors

    def check(self, *, nothing_lost):
        final = {
            row.position: (json.loads(row.text)["name"], row.micros)
            for page in self.log.backend.pages(self.log.query(0, 1000))
            for row in page.rows
        }
        assert [*final] == [*range(1, len(final) + 1)]
        names = [name for name, _ in final.values()]
        assert len({*names}) == len(names)
        twice = {place: some for place, some in self.seen.items() if len(some) > 1}
        assert not twice, twice
        if nothing_lost:
            for name, position in self.acknowledged.items():
                assert position in final, position
                assert final[position][0] == name
        for reader in self.readers:
            # Nobody goes on beyond something that was taken back without being told.
            assert all(final.get(position) == one for position, one in reader.seen.items())
            for lost in reader.gaps:
                assert any(final.get(position) != one for position, one in lost.items()), reader
        return len(final)


class Reader:
    """`seen` is what it saw and was not told of as lost; `gaps` what it had seen when it was told."""

    def __init__(self, history):
        self.history = history
        self.cursor, self.epoch = 0, None
        self.seen, self.gaps = {}, []

    def close(self):
        pass

    def meet(self, reason):
        assert reason == "epoch", reason
        self.gaps.append(self.seen)
        self.seen = {}

    def see(self, epoch, position, name, moment):
        # One that was taken back may get its position once more, at another time.
        self.seen[position] = one = name, moment
        self.history.seen.setdefault((epoch, position), set()).add(one)


class InPython(Reader):
    def read(self):
        while True:
            last = self.history.ended.is_set()
            try:
                page = self.history.log.read(self.cursor, 1000, epoch=self.epoch)
            except self.history.passing:
                connections[self.history.log.backend.alias].close()
                continue
            if page.gap:
                self.meet(page.gap.reason)
            for entry in page.entries:
                moment = to_micros(entry.timestamp)
                self.see(page.epoch, entry.position, entry.payload["name"], moment)
            self.cursor, self.epoch = page.cursor, page.epoch
            if last and self.cursor == page.head:
                return
            time.sleep(0.002)


class OverHttp(Reader):
    """Of the log `away` of a site."""

    def __init__(self, history, address, session):
        super().__init__(history)
        cookies = {"sessionid": session}
        self.client = httpx.Client(base_url=address + API, cookies=cookies, timeout=10)
        self.close = self.client.close

    @property
    def where(self):
        given = {"epoch": self.epoch} if self.epoch else {}
        return {"log": "away", "since": self.cursor, **given}

    def see_entry(self, entry):
        moment = to_micros(datetime.fromisoformat(entry["timestamp"]))
        self.see(self.epoch, entry["position"], entry["payload"]["name"], moment)


class ByRest(OverHttp):
    def read(self):
        while True:
            last = self.history.ended.is_set()
            answer = self.client.get("", params={**self.where, "limit": 1000})
            if answer.status_code >= 500:
                time.sleep(0.1)
                continue
            page = answer.raise_for_status().json()
            self.epoch, self.cursor = answer.headers["X-Events-Epoch"], page["cursor"]
            if page["gap"]:
                self.meet(page["gap"]["reason"])
            for entry in page["results"]:
                self.see_entry(entry)
            if last and self.cursor == int(answer.headers["X-Events-Head"]):
                return
            time.sleep(0.01)


class ByEventStream(OverHttp):
    def read(self):
        while True:
            last = self.history.ended.is_set()
            with suppress(httpx.TimeoutException, httpx.RemoteProtocolError):
                if self.follow(last):
                    return

    def follow(self, last):
        """One connection; has the reader had everything?"""
        with self.client.stream("GET", "live/", params=self.where, timeout=5) as answer:
            if answer.status_code >= 500:
                time.sleep(0.1)
                return False
            answer.raise_for_status()
            self.epoch = answer.headers["X-Events-Epoch"]
            head = int(answer.headers["X-Events-Head"])
            frame = {}
            for line in answer.iter_lines():
                if line:
                    field, _, value = line.partition(": ")
                    frame[field] = value
                    continue
                if self.take(frame):
                    return False
                frame = {}
                if last and self.cursor >= head:
                    return True
                if not last and self.history.ended.is_set():
                    return False
        return False

    def take(self, frame):
        """Has a new epoch begun of which the name is not known?"""
        self.cursor = int(frame.get("id", self.cursor))
        event = frame.get("event")
        value = json.loads(frame.get("data", "null"))
        if event == "gap":
            self.meet(value["reason"])
            self.epoch = None
            return True
        if event == "epoch":
            self.epoch = value["epoch"]
        elif event not in (None, "end"):
            self.see_entry(value)
        return False
