/** The log as its reader sees it: iteration, listeners, position, closing. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { EventLog, connect } from "../../events/static/events/events.js";
import { World, entries, entry, listen, settle, sse, states } from "./world.mjs";

test("for await gives the entries as they were sent", async () => {
  const world = new World();
  const log = await world.connect();
  assert.ok(log instanceof EventLog);
  await world.subscribe();
  const one = entry(1, { payload: { n: 1 } });
  await world.socket.events([one, entry(2)]);
  for await (const got of log) {
    assert.deepEqual(got, one);
    break;
  }
});

test("leaving the loop closes the log", async () => {
  const world = new World();
  const log = await world.connect();
  await world.subscribe();
  await world.socket.events(entries(1, 3));
  for await (const { position } of log) if (position === 2) break;
  assert.deepEqual([log.state, log.position], ["closed", 2]);
  await settle();
  assert.ok(world.socket.closed);
  assert.equal(world.timers.size, 0);
});

test("only one iteration is possible", async () => {
  const world = new World();
  const log = await world.connect();
  log[Symbol.asyncIterator]();
  assert.throws(() => log[Symbol.asyncIterator](), /already/);
});

test("the position is that of the reader, not that of the buffer", async () => {
  const world = new World();
  const log = await world.connect({ since: 0 });
  const reader = log[Symbol.asyncIterator]();
  await world.subscribe();
  await world.socket.events(entries(1, 3), 9);
  assert.equal(log.position, 0);
  await reader.next();
  assert.equal(log.position, 1);
  await reader.next();
  await reader.next();
  assert.equal(log.position, 9, "all is read, and there is nothing for us up to the bookmark");
});

test("close() in the middle of a frame leaves the position with the reader", async () => {
  const world = new World();
  const log = await world.connect({ since: 0, buffer: 2 });
  const reader = log[Symbol.asyncIterator]();
  await world.subscribe();
  await world.socket.events(entries(1, 5), 9);
  await reader.next();
  log.close();
  await settle();
  assert.equal(log.position, 1);
  assert.deepEqual(await reader.next(), { value: undefined, done: true });
});

test("a gap waits for the entries before it", async () => {
  const world = new World();
  const log = await world.connect({ since: 0 });
  const reader = log[Symbol.asyncIterator]();
  await world.subscribe();
  await world.socket.events(entries(1, 2));
  await world.socket.say({
    type: "gap",
    id: "a",
    reason: "epoch",
    requested: 2,
    first_available: 1,
    lost: 0,
  });
  await world.socket.events([entry(1)]);
  await reader.next();
  assert.ok(!log.heard.some(([type]) => type === "gap"));
  assert.deepEqual([log.position, log.epoch], [1, "e1"]);
  await reader.next();
  await settle();
  assert.deepEqual(log.heard.at(-1), ["gap", { reason: "epoch", requested: 2, first_available: 1, lost: 0 }]);
  assert.equal((await reader.next()).value.position, 1);
});

test("a listener that comes late is given what came before it", async () => {
  const world = new World();
  const log = await world.connect();
  await world.subscribe();
  await world.socket.events(entries(1, 2));
  const got = listen(log);
  assert.deepEqual(got, [], "not before addEventListener has returned");
  const seen = [];
  log.addEventListener("entry", () => seen.push(log.position));
  await world.socket.events([entry(3)]);
  assert.deepEqual(got, [1, 2, 3]);
  assert.deepEqual(seen, got);
});

test("listeners and an iterator both get everything", async () => {
  const world = new World();
  const log = await world.connect();
  const got = listen(log);
  const reader = log[Symbol.asyncIterator]();
  await world.subscribe();
  await world.socket.events(entries(1, 2));
  assert.deepEqual(got, [1, 2]);
  assert.deepEqual([(await reader.next()).value.position, (await reader.next()).value.position], [1, 2]);
});

test("an entry event carries the entry twice, as detail and by name", async () => {
  const world = new World();
  const log = await world.connect();
  let heard;
  log.addEventListener("entry", (event) => (heard = event));
  await world.subscribe();
  await world.socket.events([entry(1)]);
  assert.deepEqual(heard.detail, entry(1));
  assert.equal(heard.entry, heard.detail);
});

test("many entries stay in order with a slow reader and a small buffer", async () => {
  const world = new World();
  const log = await world.connect({ buffer: 7 });
  await world.subscribe();
  const got = [];
  const reading = (async () => {
    for await (const { position } of log) {
      got.push(position);
      if (position % 10 === 0) await settle();
      if (position === 300) break;
    }
  })();
  for (let first = 1; first <= 300; first += 20) await world.socket.events(entries(first, first + 19));
  await reading;
  assert.deepEqual(
    got,
    entries(1, 300).map(({ position }) => position),
  );
});

const stages = {
  "before it has connected": () => {},
  "while it is connected over a WebSocket": (world) => world.subscribe(),
  "with acks due": async (world) => {
    listen(world.logs[0]);
    await world.subscribe();
    await world.socket.events(entries(1, 2));
  },
  "while it waits for its next attempt": (world) => world.socket.drop(),
};
for (const [stage, reach] of Object.entries(stages)) {
  test(`close() frees everything ${stage}`, async () => {
    const world = new World();
    const log = await world.connect();
    await reach(world);
    log.close();
    log.close();
    await settle();
    assert.equal(states(log).at(-1), "closed");
    assert.ok(world.socket.readyState === 3);
    assert.deepEqual([world.timers.size, world.page.listeners], [0, 0]);
    await world.advance(600_000);
    assert.deepEqual([world.sockets.length, world.requests.length], [1, 0]);
  });
}

test("close() breaks off what is being fetched", async () => {
  for (const begin of [() => {}, (world) => world.request.begin("id: 1\n\n")]) {
    for (const transport of ["sse", "poll"]) {
      const world = new World();
      const log = await world.connect({ transports: [transport] });
      if (transport === "sse") await begin(world);
      log.close();
      await settle();
      assert.ok(world.request.aborted);
      assert.equal(world.timers.size, 0);
    }
  }
});

test("close() by a listener ends the delivery there", async () => {
  const world = new World();
  const log = await world.connect({ transports: ["sse"] });
  const got = listen(log);
  log.addEventListener("entry", ({ entry: { position } }) => position === 2 && log.close());
  await world.request.begin(entries(1, 4).map(sse).join(""));
  assert.deepEqual(got, [1, 2]);
  assert.equal(log.position, 2);
});

test("close() by a listener does not take the position from an iterator", async () => {
  const world = new World();
  const log = await world.connect({ since: 0 });
  log[Symbol.asyncIterator]();
  log.addEventListener("entry", ({ entry: { position } }) => position === 2 && log.close());
  await world.subscribe();
  await world.socket.events(entries(1, 2), 9);
  assert.equal(log.position, 0);
});

test("an iterator that waits is ended by close()", async () => {
  const world = new World();
  const log = await world.connect();
  const reading = log[Symbol.asyncIterator]().next();
  await world.subscribe();
  log.close();
  assert.deepEqual(await reading, { value: undefined, done: true });
});

test("a signal closes the log, also one that was given before", async () => {
  const world = new World();
  const controller = new AbortController();
  const log = await world.connect({ signal: controller.signal });
  controller.abort();
  assert.equal(log.state, "closed");
  const late = await world.connect({ signal: controller.signal });
  assert.equal(late.state, "closed");
  assert.equal(world.sockets.length, 1);
});

test("a listener that reconnects when offline needs not wait", async () => {
  const world = new World();
  const log = await world.connect({ transports: ["ws"] });
  log.addEventListener("state", ({ detail }) => detail.state === "offline" && log.reconnect());
  await world.subscribe();
  await world.socket.drop();
  await world.advance(0);
  assert.equal(world.sockets.length, 2);
});

test("options that make no sense are refused at once", () => {
  const { env } = new World();
  for (const since of [-1, 1.5, "41", NaN, 2 ** 53])
    assert.throws(() => connect("/", { env, since }), /since must be/);
  assert.throws(() => connect("/", { env, transports: ["carrier pigeon"] }), /no transport "carrier pigeon"/);
  assert.throws(() => connect("/", { env, transports: [] }), /no transport/);
  for (const last of [0, -1, 1.5, "5", NaN]) assert.throws(() => connect("/", { env, last }), /last must be/);
  assert.throws(() => connect("/", { env, last: 5, since: 0 }), /in place of since/);
  assert.throws(() => connect("/", { env, stream: [] }), /stream must not be an empty list/);
});

test("options may be null, as they come out of a store that has none", async () => {
  const world = new World();
  await world.connect({ since: null, epoch: null, stream: null, kind: null, log: null });
  world.socket.open();
  assert.deepEqual(world.socket.sent, [{ type: "subscribe", id: "a", since: "earliest" }]);
});

test("it runs on the real platform, where there is no window", async () => {
  const log = connect("http://127.0.0.1:9/api/events/", { transports: ["poll"] });
  await new Promise((resolve) =>
    log.addEventListener("state", ({ detail }) => detail.state === "offline" && resolve()),
  );
  log.close();
  assert.equal(log.state, "closed");
});
