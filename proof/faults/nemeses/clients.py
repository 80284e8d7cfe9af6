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
        self.set_active(True)
        clients = [
            [way, [server.address, world.revoked]]
            for server in world.servers
            for way in ("ws", "sse", "poll")
        ]
        [self.member] = world.team.start("revoked", clients=clients, within=self.WITHIN)
        world.team.go(self.member)
        self.member.hear("following")

    def heal(self):
        self.set_active(False)
        self.world.team.stop(self.member)

    def set_active(self, active):
        with psycopg.connect(self.world.url, autocommit=True) as connection:
            connection.execute(
                "UPDATE auth_user SET is_active = %s WHERE username = 'revoked'", [active]
            )
