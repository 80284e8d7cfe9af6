"""The rounds of a run: what each has of servers and writers, and what happens to it."""

from dataclasses import dataclass, field

from .nemeses import Nemesis
from .nemeses.clients import (
    Crowd,
    DropConnections,
    FreezeConnections,
    GreedyReader,
    RevokeAccess,
    StalledDownloads,
    StickClients,
    Storm,
)
from .nemeses.handlers import ChangeShards, FreezeRunner, KillRunner, KillRunnerAtAStep
from .nemeses.processes import (
    KillEmitters,
    KillRelays,
    KillSequencer,
    KillServer,
    KillWriter,
    Prune,
    StopWriter,
)
from .nemeses.rows import BreakRow
from .nemeses.stores import (
    CutListeners,
    FillDisk,
    FlushRedis,
    KillLog,
    KillRedis,
    PauseLog,
    PauseRedis,
    StopPostgres,
    TerminateBackends,
)
from .nemeses.webhooks import KillCourierAtAStep, KillReceiver, SwitchOff

REDIS = "channels_redis.pubsub.RedisPubSubChannelLayer"
UNRELIABLE = "proof.faults.layer.UnreliableLayer"
JUMPING = "proof.faults.clock.jumping"
WILD = "proof.faults.clock.wild"
PERSISTENT = "?conn_max_age=60"

EVERYTHING = {"shapes": ["direct", "many", "atomic", "burst", "life", "idle"]}
# While Redis is away, a transaction does not hear that a stream has ended.
WITHOUT_LIVES = {"shapes": ["direct", "many", "atomic", "burst", "idle"]}
# A key lives as long as its entry, so where entries are pruned a key says nothing.
WITHOUT_KEYS = {"shapes": ["direct", "many", "atomic", "burst", "life"], "keys": False}


@dataclass(frozen=True)
class Round:
    name: str
    nemeses: tuple[type[Nemesis], ...]
    database: str = "postgres"
    # Is the log on a Redis of its own? The database then has its outbox.
    on_redis: bool = False
    servers: tuple[str, ...] = ("uvicorn", "daphne")
    layer: str | None = REDIS
    clock: str | None = None
    poll: float = 0.25
    writers: int = 2
    writing: dict = field(default_factory=lambda: EVERYTHING)
    # Seconds that a writer's thread waits between two ops, at the most. In a storm every entry is
    # a thousand frames, and as many acknowledgements, from one process of clients.
    pace: float = 0.15
    # Is a watchdog at work? Not with a clock that jumps: what is silence then?
    watched: bool = True
    # Are half-open connections left to the servers, when the clients have gone?
    half_open: bool = False
    # How many connections one user may have open at a server; without, any number of them.
    connections: int | None = None
    # How many clients a storm has.
    storm: int = 1000
    # Appended to the servers' DATABASE_URL. A storm wants connections that persist: without them
    # every handshake opens two, one after the other.
    options: str = ""
    # Have the servers a pool of connections, as the deployment of the documentation has?
    pool: bool = False
    # How many processes run handlers.
    runners: int = 0
    # Do these deliver to endpoints of webhooks, in place of running handlers?
    webhooks: bool = False
    # Are there producers and readers of durable streams?
    durable: bool = False


ROUNDS = (
    Round("processes", (KillServer, KillEmitters, KillWriter, StopWriter, KillSequencer)),
    Round("database", (StopPostgres, TerminateBackends, KillEmitters), pool=True),
    Round("hints", (KillRedis, PauseRedis, FlushRedis, KillServer), layer=UNRELIABLE),
    # By PostgreSQL's NOTIFY, with polls so seldom that nobody can live on them.
    Round(
        "notices",
        (CutListeners, TerminateBackends, StopPostgres, KillEmitters, KillServer),
        layer=None,
        poll=5.0,
    ),
    Round(
        "clients",
        (FreezeConnections, DropConnections, StickClients, RevokeAccess),
        half_open=True,
    ),
    # Not so many processes that these are what everybody waits for.
    Round("greedy reader", (GreedyReader,), servers=("uvicorn",), writers=1, options=PERSISTENT),
    Round("stalled downloads", (StalledDownloads,), pool=True),
    Round("crowd", (Crowd, KillServer, DropConnections), connections=24, options=PERSISTENT),
    Round("storm", (Storm,), servers=("uvicorn",), writers=1, pace=3.0, options=PERSISTENT),
    Round(
        "retention",
        (Prune, KillServer, DropConnections),
        clock=JUMPING,
        writing=WITHOUT_KEYS,
        watched=False,
    ),
    Round(
        "handlers",
        (
            KillRunner,
            FreezeRunner,
            KillRunnerAtAStep,
            ChangeShards,
            StopPostgres,
            TerminateBackends,
        ),
        servers=("uvicorn",),
        layer=None,
        writers=1,
        # Each entry is five calls.
        pace=0.6,
        runners=3,
    ),
    Round(
        "log on redis",
        (KillLog, PauseLog, KillRelays, KillWriter, KillServer, StopPostgres),
        on_redis=True,
        servers=("uvicorn",),
        layer=None,
        writing=WITHOUT_LIVES,
    ),
    Round(
        "webhooks",
        (KillCourierAtAStep, FreezeRunner, KillReceiver, SwitchOff, StopPostgres, KillRunner),
        servers=("uvicorn",),
        layer=None,
        writers=1,
        pace=0.6,
        runners=2,
        webhooks=True,
    ),
    Round(
        "durable streams",
        (KillServer, DropConnections, TerminateBackends, StopPostgres),
        writers=1,
        pace=0.6,
        durable=True,
    ),
    Round("broken row", (BreakRow, KillServer, DropConnections)),
    Round("wild clock", (KillWriter, KillSequencer, KillServer), clock=WILD),
    Round(
        "disk",
        (FillDisk, KillWriter, KillServer),
        database="sqlite",
        servers=("daphne",),
        layer=None,
    ),
)

# All at once, in one world: what CI has time for.
SHORT = Round(
    "short",
    (
        KillServer,
        KillEmitters,
        KillSequencer,
        TerminateBackends,
        StopPostgres,
        KillRedis,
        FlushRedis,
        FreezeConnections,
        StickClients,
        Storm,
        RevokeAccess,
    ),
    layer=UNRELIABLE,
    storm=200,
    options=PERSISTENT,
)
