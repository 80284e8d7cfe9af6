/** What holds over every transport: fallbacks, backoff, the watchdog, gaps. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { World, entries, entry, listen, settle, sse, states } from "./world.mjs";

/** How each transport says the same, so that a test can be run over all of them. */
const SPEAKERS = {
  ws: {
    begin: (world, { cursor, head, epoch, gap }) => world.subscribe({ cursor, head, epoch, gap }),
    say: (world, list) => world.socket.events(list),
    lose: (world) => world.socket.drop(),
    asked: (world) => (world.socket.open(), { ...world.socket.sent[0] }),
  },
  sse: {
    begin: (world, { cursor, head, epoch, gap }) =>
      world.request.begin(`id: ${cursor}\n\n${gap ? `event: gap\ndata: ${JSON.stringify(gap)}\n\n` : ""}`, {
        head,
        epoch,
      }),
    say: (world, list) => world.request.write(list.map(sse).join("")),
    lose: (world) => world.request.cut(),
    asked: (world) => world.request.query,
  },
  poll: {
    begin: (world, { cursor, head, epoch, gap }) =>
      world.request.page([], { cursor, head, epoch, gap, next: "more" }),
    say: (world, list) => world.request.page(list, { epoch: list.epoch }),
    lose: (world) => world.request.fail(),
    asked: (world) => world.request.query,
  },
};

for (const [name, speaker] of Object.entries(SPEAKERS)) {
  const only = { transports: [name] };

  test(`${name}: what was pruned is told, and the rest follows`, async () => {
    const world = new World();
    const log = await world.connect({ ...only, since: 10, epoch: "e1" });
    const got = listen(log);
    const gap = { reason: "pruned", requested: 10, first_available: 41, lost: 30 };
    await speaker.begin(world, { cursor: 40, head: 42, epoch: "e1", gap });
    assert.deepEqual([log.position, log.epoch], [40, "e1"]);
    await speaker.say(world, entries(41, 42));
    assert.deepEqual(got, [41, 42]);
    assert.deepEqual(
      log.heard.filter(([type]) => type === "gap"),
      [["gap", gap]],
    );
  });

  test(`${name}: in another epoch positions begin anew`, async () => {
    const world = new World();
    const log = await world.connect({ ...only, since: 58, epoch: "e1" });
    const got = listen(log);
    const gap = { reason: "epoch", requested: 58, first_available: 1, lost: 0 };
    await speaker.begin(world, { cursor: 0, head: 2, epoch: "e2", gap });
    assert.deepEqual([log.position, log.epoch], [0, "e2"]);
    await speaker.say(world, Object.assign(entries(1, 2), { epoch: "e2" }));
    assert.deepEqual(got, [1, 2]);
    await speaker.lose(world);
    await world.advance(250);
    const { since, epoch } = speaker.asked(world);
    assert.deepEqual([Number(since), epoch], [2, "e2"]);
  });

  test(`${name}: another epoch without a gap goes on where the last one was`, async () => {
    const world = new World();
    const log = await world.connect({ ...only, since: 58, epoch: "e1" });
    const got = listen(log);
    await speaker.begin(world, { cursor: 58, head: 60, epoch: "e2" });
    await speaker.say(world, Object.assign(entries(59, 60), { epoch: "e2" }));
    assert.deepEqual([got, log.position, log.epoch], [[59, 60], 60, "e2"]);
  });

  test(`${name}: who is ahead of the log goes back to its head`, async () => {
    const world = new World();
    const log = await world.connect({ ...only, since: 99, epoch: "e1" });
    const got = listen(log);
    await speaker.begin(world, {
      cursor: 5,
      head: 5,
      epoch: "e1",
      gap: { reason: "ahead", requested: 99, first_available: 6, lost: 0 },
    });
    assert.deepEqual([log.position, log.head], [5, 5]);
    await speaker.say(world, [entry(6)]);
    assert.deepEqual(got, [6]);
  });

  test(`${name}: silence for two and a half heartbeats is a lost connection`, async () => {
    const world = new World();
    const log = await world.connect({ ...only, since: 3, heartbeat: 20 });
    await speaker.begin(world, { cursor: 3, head: 3, epoch: "e1" });
    const before = world.sockets.length + world.requests.length;
    await world.advance(49_999);
    assert.notEqual(log.state, "offline");
    await world.advance(1);
    assert.equal(log.state, "offline");
    assert.equal(log.heard.at(-1)[1].reason, "no word from the server for 50 s");
    await world.advance(250);
    assert.equal(world.sockets.length + world.requests.length, before + 1);
  });

  test(`${name}: reconnect() drops the connection and resumes`, async () => {
    const world = new World({ random: 0 });
    const log = await world.connect(only);
    const got = listen(log);
    await speaker.begin(world, { cursor: 0, head: 1, epoch: "e1" });
    await speaker.say(world, [entry(1)]);
    log.reconnect();
    await world.advance(0);
    assert.ok(world.sockets[0]?.closed ?? world.requests.at(-2).aborted);
    assert.equal(Number(speaker.asked(world).since), 1);
    assert.ok(states(log).includes("offline"));
    assert.deepEqual(got, [1]);
  });
}

test("an epoch that is renewed while we are connected is learnt by the next connection", async () => {
  const world = new World();
  const log = await world.connect({ transports: ["sse"], since: 3, epoch: "e1" });
  listen(log);
  await world.request.begin(`id: 3\n\n${sse(entry(4))}`, { head: 4, epoch: "e1" });
  await world.request.write(
    'event: gap\ndata: {"reason": "epoch", "requested": 4, "first_available": 1, "lost": 0}\n\n',
  );
  assert.deepEqual([log.position, log.epoch], [0, null]);
  await world.request.write(sse(entry(1)));
  await world.request.cut();
  await world.advance(250);
  assert.deepEqual(world.request.query, { since: "1", named: "0" });
  await world.request.begin("id: 1\n\n", { head: 1, epoch: "e2" });
  assert.equal(log.epoch, "e2");
});

test("the headers of an event stream do not name the epoch that begins later", async () => {
  const world = new World();
  const log = await world.connect({ transports: ["sse"], since: 3, epoch: "e1" });
  await world.request.begin("id: 3\n\n", { head: 3, epoch: "e1" });
  await world.request.write(
    'event: gap\ndata: {"reason": "epoch", "requested": 3, "first_available": 1, "lost": 0}\n\n',
  );
  assert.deepEqual([log.position, log.epoch], [0, null]);
});

test("the bookmark that precedes a gap does not pass for the old position in a new epoch", async () => {
  const world = new World();
  const log = await world.connect({ transports: ["sse"], since: 58, epoch: "e1" });
  await world.request.begin("id: 0\n\n", { head: 90, epoch: "e2" });
  assert.deepEqual([log.position, log.epoch], [58, "e1"]);
});

test("an epoch without a position means nothing", async () => {
  const world = new World();
  const log = await world.connect({ since: "latest", epoch: "long gone" });
  await world.subscribe({ cursor: 9, epoch: "e2" });
  assert.equal(world.socket.sent[0].epoch, undefined);
  assert.equal(log.epoch, "e2");
});

test("without a WebSocket it uses Server-Sent Events", async () => {
  const world = new World({ WebSocket: null });
  const log = await world.connect();
  assert.equal(log.transport, "sse");
});

test("a WebSocket that cannot be made is not tried twice", async () => {
  const world = new World();
  world.env.WebSocket = class {
    constructor() {
      throw new Error("blocked by policy");
    }
  };
  const log = await world.connect();
  assert.equal(log.heard.at(-1)[1].reason, "blocked by policy");
  await world.advance(250);
  assert.equal(log.transport, "sse");
});

test("a transport that is lost twice before its first frame makes room for the next", async () => {
  const world = new World();
  const log = await world.connect();
  await world.socket.drop();
  await world.advance(250);
  await world.socket.drop();
  await world.request.page([]);
  await world.advance(500);
  assert.deepEqual([world.sockets.length, log.transport], [2, "sse"]);
  await world.request.fail();
  await world.advance(1000);
  await world.request.fail();
  await world.request.page([]);
  await world.advance(2000);
  assert.deepEqual(
    [world.requests.length, world.request.url.pathname, log.transport],
    [5, "/api/events/", "poll"],
  );
});

test("a proxy that swallows the frames is found out", async () => {
  const world = new World();
  const log = await world.connect({ transports: ["sse", "poll"] });
  await world.request.begin();
  await world.advance(15_000);
  await world.advance(250);
  await world.request.begin();
  await world.advance(15_000);
  await world.request.page([]);
  await world.advance(500);
  assert.equal(log.transport, "poll");
});

test("a server that cannot stream, or is none, sends us to the next transport", async () => {
  for (const [status, headers] of [
    [501, {}],
    [200, { "Content-Type": "text/html" }],
  ]) {
    const world = new World();
    const log = await world.connect({ transports: ["sse", "poll"] });
    await world.request.answer(status, "Sign in", headers);
    await world.advance(250);
    assert.equal(log.transport, "poll");
  }
});

test("a transport that worked is tried again before another one", async () => {
  const world = new World();
  const log = await world.connect();
  await world.socket.drop();
  await world.advance(250);
  await world.subscribe();
  await world.socket.drop();
  await world.advance(250);
  await world.socket.drop();
  await world.advance(500);
  assert.deepEqual([world.sockets.length, log.transport], [4, "ws"]);
  await world.socket.drop();
  await world.request.page([]);
  await world.advance(1000);
  assert.equal(log.transport, "sse");
});

test("when the server answers and nothing works they take turns", async () => {
  const world = new World();
  await world.connect({ transports: ["ws", "poll"] });
  const turns = [];
  for (let attempt = 0; attempt < 8; attempt++) {
    const last = world.logs[0].transport;
    turns.push(last);
    await (last === "ws" ? world.socket.drop() : world.request.answer(500));
    // After the second loss in a row a plain request asks whether there is a server.
    if (world.requests.length && !world.request.answered) await world.request.answer(500);
    await world.advance(world.delays[0]);
  }
  assert.deepEqual(turns, ["ws", "ws", "poll", "poll", "ws", "poll", "ws", "poll"]);
});

for (const [absence, answer] of Object.entries({
  "refuses connections": (request) => request.fail(),
  "is away behind a proxy": (request) => request.answer(502, "Bad Gateway"),
})) {
  test(`a server that ${absence} strikes out no transport`, async () => {
    const world = new World();
    const log = await world.connect();
    await world.subscribe();
    for (let time = 0; time < 9; time++) {
      await world.socket.drop();
      if (time > 0 && time % 2 === 0) await answer(world.request);
      await world.advance(world.delays[0]);
      assert.equal(log.transport, "ws");
    }
    await world.subscribe();
    assert.deepEqual([log.state, world.requests.length], ["live", 4]);
  });
}

test("a server that says nothing to a plain request strikes out no transport", async () => {
  const world = new World();
  const log = await world.connect();
  await world.socket.drop();
  await world.advance(250);
  await world.socket.drop();
  await world.advance(15_000);
  await world.advance(500);
  assert.deepEqual([world.request.aborted, log.transport, world.sockets.length], [true, "ws", 3]);
});

test("closing and reconnecting end the question whether there is a server", async () => {
  for (const verb of ["close", "reconnect"]) {
    const world = new World();
    const log = await world.connect();
    await world.socket.drop();
    await world.advance(250);
    await world.socket.drop();
    log[verb]();
    await world.advance(0);
    assert.ok(world.request.aborted);
    assert.equal(world.sockets.length, verb === "close" ? 2 : 3);
  }
});

/** A log that polls, because its WebSockets are dropped. */
async function polling(options = {}) {
  const world = new World();
  const log = await world.connect({ transports: ["ws", "poll"], since: 3, ...options });
  await world.socket.drop();
  await world.advance(250);
  await world.socket.drop();
  await world.request.page([]);
  await world.advance(500);
  await world.request.page([], { cursor: 3 });
  assert.deepEqual([log.transport, log.state], ["poll", "live"]);
  return { world, log };
}

test("who polls is back on a WebSocket within seconds of its working again", async () => {
  const { world, log } = await polling();
  const [, , waiting] = world.requests;
  await world.advance(5000);
  assert.equal(world.sockets.length, 3, "one is tried");
  assert.ok(!waiting.aborted, "while the other goes on");
  await world.subscribe();
  await world.advance(250);
  assert.equal(world.sockets.length, 4);
  await world.subscribe();
  assert.deepEqual([log.transport, log.state, world.sockets[2].closed], ["ws", "live", true]);
});

test("a better transport is looked for ever more seldom, and without a fuss", async () => {
  const { world, log } = await polling();
  const before = log.heard.length;
  for (const seconds of [5, 10, 20, 40, 80, 160, 300, 300]) {
    const known = world.sockets.length;
    for (let left = seconds; left > 0; left -= 20) {
      assert.equal(world.sockets.length, known);
      await world.advance(1000 * Math.min(left, 20));
      await world.request.page([], { cursor: 3 });
    }
    assert.equal(world.sockets.length, known + 1, `after ${seconds} s`);
    await world.socket.drop();
  }
  assert.deepEqual([log.transport, log.heard.length], ["poll", before]);
});

test("closing ends the look for a better transport", async () => {
  const { world, log } = await polling();
  await world.advance(5000);
  log.close();
  await settle();
  assert.ok(world.socket.closed);
  assert.deepEqual(world.delays, []);
});

test("who follows an event stream comes back to a WebSocket where it had got to", async () => {
  const world = new World();
  const log = await world.connect({ transports: ["ws", "sse"], since: 3 });
  const got = listen(log);
  await world.socket.drop();
  await world.advance(250);
  await world.socket.drop();
  await world.request.page([]);
  await world.advance(500);
  await world.request.begin(`id: 3\n\n${sse(entry(4))}`, { head: 4 });
  await world.advance(5000);
  await world.request.write(sse(entry(5)));
  await world.subscribe({ cursor: 4 });
  await world.advance(250);
  world.socket.open();
  assert.equal(world.socket.sent[0].since, 5);
  assert.deepEqual(got, [4, 5]);
});

test("delays double up to 30 seconds, with full jitter", async () => {
  for (const random of [0, 0.5, 1]) {
    const world = new World({ random });
    await world.connect({ transports: ["ws"] });
    const delays = [];
    for (let attempt = 0; attempt < 9; attempt++) {
      await world.socket.drop();
      delays.push(world.delays[0]);
      await world.advance(world.delays[0]);
    }
    const longest = [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000];
    assert.deepEqual(
      delays,
      longest.map((delay) => delay * random),
    );
  }
});

test("only a frame starts the delays afresh, an open socket does not", async () => {
  const world = new World();
  const log = await world.connect({ transports: ["ws"] });
  for (const delay of [250, 500, 1000]) {
    world.socket.open();
    await world.socket.drop();
    assert.equal(log.heard.at(-1)[1].delay, delay);
    await world.advance(delay);
  }
  await world.subscribe();
  await world.socket.drop();
  assert.equal(log.heard.at(-1)[1].delay, 250);
});

test("a browser that comes online, or is looked at again, tries at once", async () => {
  for (const type of ["online", "visibilitychange"]) {
    const world = new World();
    await world.connect({ transports: ["ws"] });
    await world.socket.drop();
    world.page.dispatchEvent(new Event(type));
    await settle();
    assert.equal(world.sockets.length, 2);
    assert.ok(
      world.delays.every((delay) => delay >= 15_000),
      "the delay is over",
    );
  }
});
