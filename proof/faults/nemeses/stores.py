"""What the log is kept in, and what carries the hints."""

import time

from ..record import TERM
from . import Nemesis


class StopPostgres(Nemesis):
    """The database is gone without a word, and comes back with what had been committed."""

    lasts = (0.2, 2.0)

    def strike(self):
        self.world.stores.cluster.stop_at_once()

    def heal(self):
        self.world.stores.cluster.start()


class TerminateBackends(Nemesis):
    """Some of the connections to the database are cut, at whatever statement, a few times."""

    lasts = (0.0, 0.1)

    def strike(self):
        for _ in range(3):
            self.world.stores.cluster.terminate(self.rng.choice([0.2, 0.5, 1.0]))


class CutListeners(Nemesis):
    """Everybody who listens for the database's notices is cut off, and again when they are back."""

    lasts = (0.0, 0.1)

    def strike(self):
        for _ in range(3):
            self.world.stores.cluster.cut_listeners()
            time.sleep(0.2)


class KillRedis(Nemesis):
    """Hints have nowhere to go."""

    lasts = (0.5, 2.0)
    which = "redis"

    def strike(self):
        getattr(self.world, self.which).kill()

    def heal(self):
        getattr(self.world, self.which).start()


class PauseRedis(Nemesis):
    """Redis takes connections and answers nothing."""

    lasts = (0.5, 2.0)
    which = "redis"

    def strike(self):
        getattr(self.world, self.which).stop()

    def heal(self):
        getattr(self.world, self.which).go_on()


class FlushRedis(Nemesis):
    """Redis forgets everything that it knew, and every subscriber is cut off."""

    def strike(self):
        self.world.redis.client.flushall()
        self.world.redis.client.client_kill_filter(_type="pubsub")


class KillLog(KillRedis):
    """The Redis that has the log is killed. It comes back with what is on its disk, and begins a
    new term."""

    lasts = (0.2, 1.5)
    which = "log_redis"

    def strike(self):
        self.world.mark(TERM)
        super().strike()


class PauseLog(PauseRedis):
    """The Redis that has the log takes connections and answers nothing."""

    which = "log_redis"


class FillDisk(Nemesis):
    """No byte more can be written where the database is."""

    lasts = (0.5, 1.5)

    def strike(self):
        self.world.mark(self.world.stores.disk.how)
        self.world.stores.disk.fill(self.world.writers)

    def heal(self):
        self.world.stores.disk.free(self.world.writers)
