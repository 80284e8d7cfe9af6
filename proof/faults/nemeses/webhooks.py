"""The other side of webhooks, and those who deliver to it."""

import time

import psycopg

from ..kill_points import DELIVERING
from ..record import SwitchedOff
from . import Nemesis
from .handlers import KillRunnerAtAStep


class KillCourierAtAStep(KillRunnerAtAStep):
    """Two more that deliver, each of which dies at a step of its own: before the request, while it
    is under way, when it is answered, before and after the commit."""

    points = DELIVERING


class KillReceiver(Nemesis):
    """All endpoints are gone at once, and come back."""

    lasts = (0.3, 1.0)

    def strike(self):
        self.world.receiver.kill()

    def heal(self):
        self.world.receiver.start()


class SwitchOff(Nemesis):
    """An endpoint is switched off while others write, and on again."""

    lasts = (5.0, 6.0)
    SQL = "UPDATE events_webhooks_endpoint SET active = %s WHERE description = %s"
    NAME = "switched off"

    def strike(self):
        self.set(False)
        self.since = time.time()

    def heal(self):
        self.world.recorder.write(SwitchedOff(self.NAME, self.since, time.time()))
        self.set(True)

    def set(self, active):
        with psycopg.connect(self.world.url, autocommit=True) as connection:
            connection.execute(self.SQL, [active, self.NAME])
