"""Clients that are no good, and networks that are not."""

import socket

import psycopg

from . import Nemesis


class FreezeConnections(Nemesis):
    """Every connection through a proxy is half open from now on: nothing comes, nobody is told."""

    def strike(self):
        self.rng.choice(self.world.proxies).freeze()


class DropConnections(Nemesis):
    """Every connection through a proxy is closed."""

    def strike(self):
        self.rng.choice(self.world.proxies).drop()


class StickClients(Nemesis):
    """Clients that ask for everything and read none of it."""

    lasts = (1.0, 3.0)
    REQUEST = (
        "GET /api/events/live/?since=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Cookie: sessionid={}\r\nConnection: keep-alive\r\n\r\n"
    )
    HANDSHAKE = (
        "GET /ws/events/?since=0 HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nCookie: sessionid={}\r\n"
        "Origin: http://127.0.0.1:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )

    def strike(self):
        self.stuck = []
        for server in self.world.servers:
            session = self.world.cookies["sessionid"]
            requests = [
                self.REQUEST.format(session),
                self.HANDSHAKE.format(server.port, session, server.port),
            ]
            self.stuck += [self.open(server.port, request) for request in requests * 3]

    def open(self, port, request):
        connection = socket.socket()
        # As little as the kernel allows, so that the server feels it.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.connect(("127.0.0.1", port))
        connection.sendall(request.encode())
        return connection

    def heal(self):
        for connection in self.stuck:
            connection.close()


class GreedyReader(Nemesis):
    """One user replays a long log for five hundred kinds that nobody emits; others ask for little."""

    lasts = (8.0, 10.0)
    SOCKETS, ENTRIES = 30, 100_000
    # Seconds; servers, clients and writers share the machine.
    WITHIN = 4.0

    def strike(self):
        world = self.world
        set_active(world, True)
        world.site.manage("shell", "-v0", "-c", "from events import logs; logs['long'].read()")
        self.fill()
        self.probe = begin_probe(world, self.WITHIN, "long", world.revoked, self.SOCKETS)

    def fill(self):
        """The quick way: a writer would take minutes."""
        with psycopg.connect(self.world.url, autocommit=True) as connection:
            log, head = connection.execute(
                "SELECT id, head FROM events_log WHERE name = 'long'"
            ).fetchone()
            if not head:
                connection.execute(
                    "INSERT INTO events_event "
                    "(log_id, position, kind, stream, seq, timestamp, payload) "
                    "SELECT %s, n, 'n', '', 0, 1700000000000000 + n, '{}' "
                    "FROM generate_series(1, %s) AS n",
                    [log, self.ENTRIES],
                )
                connection.execute(
                    "UPDATE events_log SET head = %s, latest = 1700000001000000 WHERE id = %s",
                    [self.ENTRIES, log],
                )
                connection.execute("ANALYZE events_event")

    def heal(self):
        self.world.team.stop(self.probe)


class Crowd(Nemesis):
    """One user wants more connections than one may have, for the rest of the round, and others ask
    for little."""

    lasts = (3.0, 5.0)
    SIZE = 40
    WITHIN = 4.0

    def strike(self):
        world = self.world
        set_active(world, True)
        if not world.storms:
            options = {"addresses": [server.address for server in world.servers]}
            options |= {"size": self.SIZE, "bound": world.round.connections}
            world.storms = world.team.start("crowd", cookies=world.revoked, **options)
            world.team.go(*world.storms)
        self.probe = begin_probe(world, self.WITHIN)

    def heal(self):
        self.world.team.stop(self.probe)


class StalledDownloads(StickClients):
    """More downloads than the servers' pool has connections, of which nothing is read, while others
    ask for little."""

    lasts = (4.0, 6.0)
    WITHIN = 4.0
    REQUEST = "GET /api/events/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: sessionid={}\r\n\r\n"
    # Of another log, whose entries are large.
    PATHS = ("?log=bulk&format=ndjson", "?log=bulk&since=0&limit=500")
    FILL = (
        "from events import logs\n"
        "log = logs['bulk']\n"
        "while log.info().head < 400:\n"
        "    log.append_many([('n', {'text': 'x' * 60_000})] * 100)"
    )

    def strike(self):
        world = self.world
        world.site.manage("shell", "-v0", "-c", self.FILL)
        requests = [self.REQUEST.format(path, world.cookies["sessionid"]) for path in self.PATHS]
        self.stuck = [
            self.open(server.port, request) for server in world.servers for request in requests * 2
        ]
        for connection in self.stuck:
            connection.settimeout(20)
            connection.recv(1, socket.MSG_PEEK)
        self.probe = begin_probe(world, self.WITHIN)

    def heal(self):
        self.world.team.stop(self.probe)
        super().heal()


def begin_probe(world, within, log="default", greedy=None, sockets=0):
    """Somebody who asks every server for little, and writes down how long it takes."""
    addresses = [server.address for server in world.servers]
    options = {"addresses": addresses, "cookies": world.cookies, "within": within}
    [probe] = world.team.start("probe", **options, log=log, greedy=greedy, sockets=sockets)
    world.team.go(probe)
    return probe


class Storm(Nemesis):
    """Very many clients are there, and their server is killed: they come back together."""

    lasts = (0.5, 1.0)

    def strike(self):
        world = self.world
        [server] = [one for one in world.servers if one.program == "uvicorn"]
        if not world.storms:
            options = {"drops": world.round.storm, "since": world.head()}
            options["addresses"] = [[server.address, world.cookies]]
            world.storms = world.team.start("storm", **options)
            world.team.go(*world.storms)
            world.wait_for_followers(server, world.round.storm)
        self.server = server
        server.kill()

    def heal(self):
        self.server.start()
        self.world.wait_for_followers(self.server, self.world.round.storm)


class RevokeAccess(Nemesis):
    """A user whose clients are following is deactivated: each is sent away in time, and is not
    let in again."""

    # The harness has permissions asked for again every 3 s, and answers shared for 1 s.
    WITHIN = 10

    def strike(self):
        world = self.world
        set_active(world, True)
        clients = [
            [way, [server.address, world.revoked]]
            for server in world.servers
            for way in ("ws", "sse", "poll")
        ]
        [self.member] = world.team.start("revoked", clients=clients, within=self.WITHIN)
        world.team.go(self.member)
        self.member.hear("following")

    def heal(self):
        set_active(self.world, False)
        self.world.team.stop(self.member)


def set_active(world, active):
    with psycopg.connect(world.url, autocommit=True) as connection:
        connection.execute(
            "UPDATE auth_user SET is_active = %s WHERE username = 'revoked'", [active]
        )
