/** Over a WebSocket: what is asked, delivered and acknowledged, and what each kind of close means. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { World, entries, entry, listen, settle, states } from "./world.mjs";

const only = { transports: ["ws"] };

test("it subscribes with everything that was asked for", async () => {
  const world = new World();
  await world.connect({ stream: "run-42", kind: "turn.*", since: 41, epoch: "e1", log: "audit" });
  world.socket.open();
  assert.equal(world.socket.url, "wss://site.test/ws/events/");
  assert.deepEqual(world.socket.sent, [
    {
      type: "subscribe",
      id: "a",
      since: 41,
      epoch: "e1",
      stream: "run-42",
      kind: ["turn.*"],
      log: "audit",
    },
  ]);
});

test("it subscribes to a set of streams, and to a single one that is in a list", async () => {
  for (const [stream, sent] of [
    [["red:*", "b"], ["red:*", "b"]],
    [["b", "b"], "b"],
    ["red:*", "red:*"],
  ]) {
    const world = new World();
    await world.connect({ ...only, stream });
    world.socket.open();
    assert.deepEqual(world.socket.sent[0].stream, sent);
  }
});

test("it subscribes to the last entries once, and resumes by its position", async () => {
  const world = new World();
  await world.connect({ ...only, last: 5 });
  world.socket.open();
  assert.deepEqual(world.socket.sent, [{ type: "subscribe", id: "a", last: 5 }]);
  await world.socket.say({ type: "subscribed", id: "a", cursor: 4, head: 9, epoch: "e1", gap: null });
  await world.socket.drop(1001);
  await world.advance(1000);
  world.socket.open();
  assert.deepEqual(world.socket.sent, [{ type: "subscribe", id: "a", since: 4, epoch: "e1" }]);
});

test("the socket is unencrypted where the API is, and elsewhere if it is told so", async () => {
  const world = new World();
  await world.connect({}, "http://site.test/api/events/");
  assert.equal(world.socket.url, "ws://site.test/ws/events/");
  await world.connect({ wsUrl: "wss://push.test/live" });
  assert.equal(world.socket.url, "wss://push.test/live");
});

test("it goes from connecting over catching-up to live, and says where the log stands", async () => {
  const world = new World();
  const log = await world.connect({ since: 1 });
  const got = listen(log);
  assert.equal(log.state, "connecting");
  await world.subscribe({ head: 3 });
  assert.deepEqual(
    [log.state, log.transport, log.epoch, log.head, log.position],
    ["catching-up", "ws", "e1", 3, 1],
  );
  await world.socket.events(entries(2, 3));
  await world.socket.say({ type: "live", id: "a", cursor: 3 });
  assert.deepEqual(got, [2, 3]);
  assert.deepEqual(states(log), ["connecting", "catching-up", "live"]);
  await world.socket.events([entry(4)]);
  assert.deepEqual([log.head, log.position, log.state], [4, 4, "live"]);
});

test("who is at the head is live at once", async () => {
  const world = new World();
  const log = await world.connect({ since: 3 });
  await world.subscribe({ head: 3 });
  assert.deepEqual(states(log), ["connecting", "live"]);
});

test("after a drop it resumes by position and epoch", async () => {
  const world = new World();
  const log = await world.connect(only);
  listen(log);
  await world.subscribe();
  await world.socket.events(entries(1, 3));
  await world.socket.drop();
  assert.equal(log.state, "offline");
  await world.advance(250);
  world.socket.open();
  const { since, epoch } = world.socket.sent[0];
  assert.deepEqual([world.sockets.length, since, epoch], [2, 3, "e1"]);
});

test("latest turns into the number that the server names, 0 included", async () => {
  for (const cursor of [0, 58]) {
    const world = new World();
    await world.connect({ ...only, since: "latest" });
    await world.subscribe({ cursor });
    assert.equal(world.socket.sent[0].since, "latest");
    await world.socket.drop();
    await world.advance(250);
    world.socket.open();
    assert.equal(world.socket.sent[0].since, cursor);
  }
});

test("what the server sends again is not delivered again", async () => {
  const world = new World();
  const got = listen(await world.connect());
  await world.subscribe();
  await world.socket.events(entries(1, 3));
  await world.socket.events(entries(2, 5));
  await world.socket.events([entry(4)]);
  assert.deepEqual(got, [1, 2, 3, 4, 5]);
});

test("a heartbeat moves the bookmark of a quiet reader", async () => {
  const world = new World();
  const log = await world.connect({ ...only, kind: "rare" });
  await world.subscribe();
  await world.socket.say({ type: "heartbeat", cursors: { a: 58 } });
  assert.equal(log.position, 58);
  await world.socket.drop();
  await world.advance(250);
  world.socket.open();
  assert.equal(world.socket.sent[0].since, 58);
});

test("a frame of a type that we do not know does no harm", async () => {
  const world = new World();
  const log = await world.connect({ since: 3 });
  await world.subscribe();
  await world.socket.say({ type: "pong" });
  await world.socket.say({ type: "weather", id: "a" });
  assert.equal(log.state, "live");
});

test("frames that are not JSON cost the connection, not the log", async () => {
  const world = new World();
  const log = await world.connect(only);
  await world.subscribe();
  world.socket.onmessage({ data: "<html>" });
  await settle();
  assert.equal(log.state, "offline");
  assert.ok(world.socket.closed);
});

test("listeners acknowledge what they were given, once in 100 ms", async () => {
  const world = new World();
  listen(await world.connect());
  const socket = await world.subscribe();
  await socket.events([entry(1)]);
  await socket.events(entries(2, 3));
  assert.deepEqual(socket.acks, []);
  await world.advance(100);
  assert.deepEqual(socket.acks, [3]);
  await world.advance(10_000);
  assert.deepEqual(socket.acks, [3]);
});

test("64 KiB are acknowledged without delay", async () => {
  const world = new World();
  listen(await world.connect());
  const socket = await world.subscribe();
  await socket.events([entry(1, { payload: { text: "x".repeat(65_536) } })]);
  assert.deepEqual(socket.acks, [1]);
});

test("with an iterator acks are withheld until the entries have been taken", async () => {
  const world = new World();
  const log = await world.connect({ buffer: 4 });
  const reader = log[Symbol.asyncIterator]();
  const socket = await world.subscribe();
  await socket.events(entries(1, 6));
  await socket.events(entries(7, 8));
  await world.advance(1000);
  assert.deepEqual(socket.acks, []);

  const got = [];
  for (let taken = 0; taken < 2; taken++) got.push((await reader.next()).value.position);
  await world.advance(1000);
  assert.deepEqual(socket.acks, [6], "half of the buffer is free, so the first frame fits");
  for (let taken = 2; taken < 8; taken++) got.push((await reader.next()).value.position);
  await world.advance(1000);
  assert.deepEqual(socket.acks, [6, 8]);
  assert.deepEqual(got, [1, 2, 3, 4, 5, 6, 7, 8]);
});

test("who neither listens nor iterates is not sent more than the buffer holds", async () => {
  const world = new World();
  const log = await world.connect({ buffer: 4 });
  const socket = await world.subscribe();
  await socket.events(entries(1, 6));
  await world.advance(1000);
  assert.deepEqual(socket.acks, []);
  const got = listen(log);
  await world.advance(1000);
  assert.deepEqual(got, [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(socket.acks, [6]);
});

for (const [code, name] of [
  [4400, "bad_request"],
  [4401, "unauthorized"],
  [4403, "forbidden"],
]) {
  test(`close code ${code} ends it all, where there is no other transport: ${name}`, async () => {
    const world = new World();
    const log = await world.connect(only);
    await world.subscribe();
    await world.socket.drop(code, "No.");
    assert.deepEqual(log.heard.slice(-2), [
      ["error", { code: name, detail: "No." }],
      ["state", { state: "closed", transport: null, position: 0 }],
    ]);
    await world.advance(600_000);
    assert.equal(world.sockets.length, 1);
    assert.equal(world.requests.length, 0);
  });
}

for (const code of [1001, 1012]) {
  test(`after ${code} it comes back within the spread that the server gives`, async () => {
    for (const random of [0, 0.5, 1]) {
      const world = new World({ random });
      const log = await world.connect(only);
      await world.subscribe();
      await world.socket.drop(code, "5000");
      assert.deepEqual([log.state, log.heard.at(-1)[1].delay], ["offline", 5000 * random]);
      await world.advance(5000 * random);
      assert.equal(world.sockets.length, 2);
    }
  });
}

for (const code of [4408, 1001, 1012]) {
  test(`close code ${code} is followed by another connection, quietly`, async () => {
    const world = new World();
    const log = await world.connect({ since: 7 });
    await world.subscribe();
    await world.socket.drop(code);
    assert.equal(log.state, "live");
    await world.advance(250);
    await world.subscribe();
    assert.equal(world.sockets.length, 2);
    assert.equal(world.socket.sent[0].since, 7);
    assert.deepEqual(states(log), ["connecting", "live"]);
  });
}

test("a reader that was too slow is connected again when it has room", async () => {
  const world = new World();
  const log = await world.connect({ buffer: 2 });
  const reader = log[Symbol.asyncIterator]();
  await world.subscribe();
  await world.socket.events(entries(1, 4));
  await world.socket.drop(4408);
  await world.advance(60_000);
  assert.equal(world.sockets.length, 1);
  const got = [];
  for (let taken = 0; taken < 4; taken++) got.push((await reader.next()).value.position);
  await world.advance(250);
  world.socket.open();
  assert.deepEqual(got, [1, 2, 3, 4]);
  assert.equal(world.socket.sent[0].since, 4);
});

test("after close code 4429 it stays away for 15 to 30 seconds", async () => {
  for (const [random, delay] of [
    [0, 15_000],
    [0.999999, 30_000],
  ]) {
    const world = new World({ random });
    await world.connect(only);
    await world.subscribe();
    await world.socket.drop(4429);
    assert.ok(Math.abs(world.delays[0] - delay) < 100, world.delays);
    await world.advance(delay);
    assert.equal(world.sockets.length, 2);
  }
});

test("after the error frame too_many it stays away as long, and goes on", async () => {
  const world = new World({ random: 0 });
  const log = await world.connect(only);
  await world.subscribe();
  await world.socket.say({ type: "error", id: "a", code: "too_many", detail: "Because." });
  assert.equal(log.state, "offline");
  assert.ok(Math.abs(world.delays[0] - 15_000) < 100, world.delays);
  await world.advance(15_000);
  assert.equal(world.sockets.length, 2);
});

for (const code of ["forbidden", "not_found", "bad_request"]) {
  test(`the error frame ${code} closes the log, and an iterator throws it`, async () => {
    const world = new World();
    const log = await world.connect();
    const reading = log[Symbol.asyncIterator]().next();
    const thrown = assert.rejects(reading, { name: "EventLogError", code, message: "Because." });
    world.socket.open();
    await world.socket.say({ type: "error", id: "a", code, detail: "Because." });
    await thrown;
    assert.deepEqual(log.heard[1], ["error", { code, detail: "Because." }]);
    assert.equal(log.state, "closed");
    assert.ok(world.socket.closed);
  });
}

test("an end for good closes the log after what is held was taken", async () => {
  const world = new World();
  const log = await world.connect();
  await world.subscribe();
  await world.socket.events(entries(1, 2));
  await world.socket.say({ type: "end", id: "a", reason: "completed", reconnect: false, cursor: 9 });
  assert.equal(log.state, "closed");
  assert.deepEqual(
    log.heard.filter(([type]) => type === "end"),
    [["end", { reason: "completed", reconnect: false }]],
  );
  const got = [];
  for await (const { position } of log) got.push(position);
  assert.deepEqual(got, [1, 2]);
  assert.equal(log.position, 9, "the bookmark of the end counts");
  assert.equal(world.timers.size, 0);
});

test("an epoch that begins while we are connected comes with its gap", async () => {
  const world = new World();
  const log = await world.connect({ since: 3, epoch: "e1" });
  listen(log);
  const socket = await world.subscribe();
  await socket.events([entry(4)]);
  const gap = { reason: "epoch", requested: 3, first_available: 1, lost: 0 };
  await socket.say({ type: "gap", id: "a", ...gap, epoch: "e2" });
  assert.deepEqual(log.heard.at(-1), ["gap", gap]);
  assert.deepEqual([log.position, log.epoch], [0, "e2"]);
  await socket.events([entry(1)]);
  assert.equal(log.position, 1);
  await world.advance(100);
  assert.deepEqual(socket.acks, [4, 1], "each epoch is acknowledged by itself");
});

test("an end of the connection only is resumed without a word", async () => {
  const world = new World();
  const log = await world.connect({ since: 5 });
  await world.subscribe();
  await world.socket.say({ type: "end", id: "a", reason: "max_age", reconnect: true });
  assert.ok(world.socket.closed);
  await world.advance(250);
  await world.subscribe();
  assert.deepEqual(states(log), ["connecting", "live"]);
  assert.equal(world.sockets.length, 2);
});
