/** Headers, the tickets that stand for them where there can be none, and transports that let nobody in. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { World, entries, listen, sse } from "./world.mjs";

const HEADERS = { Authorization: "Token abc" };
const WS = { transports: ["ws"], headers: HEADERS };

function ticket(name) {
  return JSON.stringify({ ticket: name, expires_in: 60 });
}

test("a WebSocket is opened with a ticket, and each one with a new ticket", async () => {
  const world = new World();
  const log = await world.connect(WS);
  const got = listen(log);
  for (const name of ["one+/=", "two"]) {
    assert.equal(world.request.url.href, "https://site.test/api/events/ticket/");
    assert.equal(world.request.init.method, "POST");
    assert.equal(world.request.init.headers.Authorization, "Token abc");
    await world.request.answer(201, ticket(name));
    const url = new URL(world.socket.url);
    assert.deepEqual([url.pathname, url.searchParams.get("ticket")], ["/ws/events/", name]);
    await world.subscribe();
    await world.socket.events(entries(got.length + 1, got.length + 2));
    await world.socket.drop(4408, "max_age");
    await world.advance(250);
  }
  assert.deepEqual(got, [1, 2, 3, 4]);
  assert.equal(world.sockets.length, 2);
  assert.equal(world.requests.length, 3);
});

test("without headers there is no ticket", async () => {
  const world = new World();
  await world.connect();
  assert.equal(world.requests.length, 0);
  assert.equal(world.socket.url, "wss://site.test/ws/events/");
});

test("a function gives the headers anew for each request, and may take its time", async () => {
  const world = new World();
  let asked = 0;
  const headers = async () => ({ Authorization: `Bearer ${++asked}` });
  await world.connect({ transports: ["poll"], headers });
  assert.equal(world.request.init.headers.Authorization, "Bearer 1");
  await world.request.page(entries(1, 1));
  assert.equal(world.request.init.headers.Authorization, "Bearer 2");
  assert.equal(world.request.init.headers.Accept, "application/json");
});

test("a function that fails is asked again", async () => {
  const world = new World();
  let asked = 0;
  const log = await world.connect({
    transports: ["sse"],
    headers() {
      if (++asked === 1) throw new Error("the token service is away");
      return HEADERS;
    },
  });
  assert.deepEqual([log.state, log.heard.at(-1)[1].reason], ["offline", "the token service is away"]);
  await world.advance(1000);
  assert.equal(world.request.init.headers.Authorization, "Token abc");
});

test("a log that is closed while a ticket is on its way opens nothing", async () => {
  const world = new World();
  const log = await world.connect(WS);
  log.close();
  await world.advance(1000);
  assert.ok(world.request.aborted);
  assert.equal(world.sockets.length, 0);
});

for (const [what, answer] of [
  ["a ticket that is refused", (world) => world.request.answer(403, '{"detail": "No."}')],
  ["a server that knows no tickets", (world) => world.request.answer(404, "")],
]) {
  test(`${what} is passed over for Server-Sent Events`, async () => {
    const world = new World();
    const log = await world.connect({ headers: HEADERS });
    const got = listen(log);
    await answer(world);
    await world.advance(250);
    assert.equal(log.transport, "sse");
    assert.equal(world.request.init.headers.Authorization, "Token abc");
    await world.request.begin(entries(1, 2).map(sse).join(""), { head: 2 });
    assert.deepEqual(got, [1, 2]);
  });
}

for (const code of [4401, 4403]) {
  test(`a WebSocket that is refused with ${code} is not the end`, async () => {
    const world = new World();
    const log = await world.connect();
    await world.subscribe();
    await world.socket.drop(code, "No.");
    await world.advance(250);
    assert.equal(log.transport, "sse");
    await world.request.answer(403, '{"detail": "No."}');
    await world.advance(500);
    assert.equal(log.transport, "poll");
    const got = listen(log);
    await world.request.page(entries(1, 3));
    assert.deepEqual(got, [1, 2, 3]);
  });
}

test("when all transports refuse, that is the end", async () => {
  const world = new World();
  const log = await world.connect();
  world.socket.open();
  await world.socket.drop(4401, "Sign in first.");
  for (let n = 0; n < 2; n++) {
    await world.advance(1000);
    await world.request.answer(401, '{"detail": "No."}');
  }
  await world.advance(600_000);
  assert.equal(log.state, "closed");
  assert.deepEqual(
    log.heard.filter(([type]) => type === "error"),
    [["error", { code: "unauthorized", detail: "No." }]],
  );
  assert.deepEqual([world.sockets.length, world.requests.length], [1, 2]);
});

test("a transport that was refused may be tried again once another has worked", async () => {
  const world = new World();
  const log = await world.connect({ transports: ["ws", "sse"] });
  world.socket.open();
  await world.socket.drop(4401);
  await world.advance(250);
  await world.request.begin("", { head: 0 });
  await world.request.write("id: 0\n\n");
  assert.equal(log.transport, "sse");
  await world.request.cut();
  await world.advance(1000);
  await world.request.answer(401, '{"detail": "No."}');
  await world.advance(1000);
  assert.deepEqual([log.transport, world.sockets.length], ["ws", 2]);
});

test("a token that runs out while it is followed is replaced by the next request", async () => {
  const world = new World();
  let asked = 0;
  const headers = () => ({ Authorization: `Bearer ${++asked}` });
  const log = await world.connect({ transports: ["sse", "poll"], headers });
  await world.request.begin("id: 0\n\n", { head: 0 });
  await world.request.write('event: end\ndata: {"reason": "forbidden", "reconnect": false}\n\n');
  await world.advance(1000);
  assert.deepEqual([log.transport, world.request.init.headers.Authorization], ["poll", "Bearer 2"]);
});
