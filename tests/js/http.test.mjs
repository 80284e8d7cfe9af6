/** Server-Sent Events and polling, over fetch. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { World, entries, entry, listen, sse, states } from "./world.mjs";

const SSE = { transports: ["sse"] };
const POLL = { transports: ["poll"] };

test("an event stream is asked for with everything, cookies and headers included", async () => {
  const world = new World();
  await world.connect({
    ...SSE,
    stream: "run-42",
    kind: ["turn.*", "tool.*"],
    since: 41,
    epoch: "e1",
    log: "audit",
    headers: { "X-Team": "7" },
  });
  const { url, init } = world.request;
  assert.equal(
    url.href,
    "https://site.test/api/events/live/?since=41&epoch=e1&stream=run-42&kind=turn.*&kind=tool.*&log=audit&named=0",
  );
  assert.deepEqual(init.headers, { "X-Team": "7", Accept: "text/event-stream" });
  assert.equal(init.credentials, "same-origin");
});

test("a relative address is one of the page", async () => {
  const world = new World();
  await world.connect(POLL, "/api/events/");
  assert.equal(world.request.url.href, "https://site.test/api/events/?since=earliest&limit=1000");
});

test("an event stream is delivered, and live when it reaches the head", async () => {
  const world = new World();
  const log = await world.connect(SSE);
  const got = listen(log);
  await world.request.begin("retry: 2000\nid: 0\n\n", { head: 2 });
  assert.equal(log.state, "catching-up");
  await world.request.write(sse(entry(1)));
  await world.request.write(sse(entry(2)));
  assert.deepEqual(got, [1, 2]);
  assert.deepEqual(states(log), ["connecting", "catching-up", "live"]);
  assert.deepEqual([log.epoch, log.head, log.transport], ["e1", 2, "sse"]);
});

test("an event stream that falls silent, or sends a heartbeat, has caught up", async () => {
  for (const prove of [(world) => world.advance(1000), (world) => world.request.write(": heartbeat\n\n")]) {
    const world = new World();
    const log = await world.connect(SSE);
    await world.request.begin("id: 3\n\n", { head: 9 });
    assert.equal(log.state, "catching-up");
    await prove(world);
    assert.equal(log.state, "live");
  }
});

test("an event stream may be cut into pieces anywhere", async () => {
  const text = [
    "\uFEFFretry: 2000\nid: 0\n\n",
    `id: 1\ndata: ${JSON.stringify(entry(1, { payload: { text: "naïve – 🙂" } }))}\n\n`,
    ": heartbeat\r\n\r\n",
    'id: 2\r\ndata: {"position": 2,\r\ndata: "kind": "two.lines"}\r\n\r\n',
    `id:3\rdata:${JSON.stringify(entry(3))}\r\rid\ndata\nnonsense\ncomment: no\n\nid: 7\n: heartbeat\n\n`,
  ].join("");
  const bytes = new TextEncoder().encode(text.replace("id\ndata\n", ""));
  for (let cut = 0; cut <= bytes.length; cut++) {
    const world = new World();
    const log = await world.connect(SSE);
    const got = [];
    log.addEventListener("entry", ({ detail }) => got.push(detail));
    await world.request.begin();
    await world.request.write(bytes.slice(0, cut));
    await world.request.write(bytes.slice(cut));
    assert.deepEqual(
      got,
      [entry(1, { payload: { text: "naïve – 🙂" } }), { position: 2, kind: "two.lines" }, entry(3)],
      `cut at ${cut}`,
    );
    assert.equal(log.position, 7);
    log.close();
  }
});

test("an event stream may come byte by byte", async () => {
  const world = new World();
  const got = listen(await world.connect(SSE));
  await world.request.begin();
  for (const byte of new TextEncoder().encode(`id: 0\r\n\r\n${sse(entry(1, { payload: { text: "🙂" } }))}`)) {
    world.request.stream.enqueue(Uint8Array.of(byte));
  }
  await world.request.write("");
  assert.deepEqual(got, [1]);
});

test("a cut event stream resumes by position and epoch, bookmarks included", async () => {
  const world = new World();
  const log = await world.connect(SSE);
  listen(log);
  await world.request.begin(`id: 0\n\n${sse(entry(1))}`);
  await world.request.write("id: 57\n: heartbeat\n\n");
  await world.request.cut();
  assert.equal(log.state, "offline");
  await world.advance(250);
  assert.deepEqual(world.request.query, { since: "57", epoch: "e1", named: "0" });
  assert.equal(world.requests.length, 2);
});

test("an event stream's end for good closes the log; so does 204 on the way back", async () => {
  const world = new World();
  const log = await world.connect(SSE);
  await world.request.begin(`id: 0\n\n${sse(entry(1))}`);
  await world.request.write('id: 9\nevent: end\ndata: {"reason": "completed", "reconnect": false}\n\n');
  assert.deepEqual(log.heard.at(-2), ["end", { reason: "completed", reconnect: false }]);
  assert.equal(log.state, "closed");
  assert.ok(world.request.aborted);

  const late = await world.connect({ ...SSE, since: 9 });
  await world.request.answer(204, null);
  assert.deepEqual(late.heard.at(-2), ["end", { reason: "ended", reconnect: false }]);
  assert.equal(late.state, "closed");
  assert.equal(world.timers.size, 0);
});

test("an event stream that may no longer be read is an error, not an end like others", async () => {
  const world = new World();
  const log = await world.connect(SSE);
  const reading = assert.rejects(log[Symbol.asyncIterator]().next(), { code: "forbidden" });
  await world.request.begin("id: 0\n\n");
  await world.request.write('event: end\ndata: {"reason": "forbidden", "reconnect": false}\n\n');
  await reading;
  assert.equal(log.heard.at(-2)[0], "error");
  assert.equal(log.state, "closed");
});

test("an event stream that has grown old is resumed without a word", async () => {
  const world = new World();
  const log = await world.connect({ ...SSE, since: 5 });
  await world.request.begin("id: 5\n\n", { head: 5 });
  await world.request.write('id: 8\nevent: end\ndata: {"reason": "max_age", "reconnect": true}\n\n');
  await world.advance(250);
  assert.equal(world.request.query.since, "8");
  await world.request.begin("id: 8\n\n", { head: 8 });
  assert.deepEqual(states(log), ["connecting", "live"]);
});

test("an event stream is not read on while the buffer is full", async () => {
  const world = new World();
  const log = await world.connect({ ...SSE, buffer: 4 });
  const reader = log[Symbol.asyncIterator]();
  await world.request.begin("id: 0\n\n");
  for (const one of entries(1, 10)) await world.request.write(sse(one));
  assert.equal(world.request.unread, 5, "four are held, and one waits for room");
  await world.advance(600_000);
  assert.equal(log.state, "catching-up", "our own slowness is not the server's");
  assert.equal(world.requests.length, 1);
  const got = [];
  for (let taken = 0; taken < 10; taken++) got.push((await reader.next()).value.position);
  assert.deepEqual(got, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.equal(world.request.unread, 0);
});

test("polling asks at once for all there is, then waits for more", async () => {
  const world = new World();
  const log = await world.connect(POLL);
  const got = listen(log);
  assert.deepEqual(world.request.query, { since: "earliest", limit: "1000" });
  await world.request.page(entries(1, 2), { next: "https://site.test/api/events/?since=2", head: 3 });
  assert.equal(log.state, "catching-up");
  assert.deepEqual(world.request.query, { since: "2", epoch: "e1", limit: "1000" });
  await world.request.page([entry(3)]);
  assert.equal(log.state, "live");
  assert.deepEqual(world.request.query, { since: "3", epoch: "e1", limit: "1000", wait: "25" });
  await world.request.page([entry(4)], { cursor: 6 });
  assert.equal(world.request.query.since, "6");
  assert.deepEqual(got, [1, 2, 3, 4]);
  assert.deepEqual(states(log), ["connecting", "catching-up", "live"]);
});

test("a lost poll is asked again by position and epoch", async () => {
  const world = new World();
  const log = await world.connect(POLL);
  listen(log);
  await world.request.page(entries(1, 3));
  await world.request.fail();
  assert.equal(log.state, "offline");
  await world.advance(250);
  assert.deepEqual(world.request.query, { since: "3", epoch: "e1", limit: "1000" });
});

test("a server that answers a waiting poll with nothing is not hammered", async () => {
  const world = new World();
  await world.connect(POLL);
  await world.request.page([]);
  await world.request.page([]);
  assert.equal(world.requests.length, 2);
  await world.advance(1000);
  assert.equal(world.requests.length, 3);
});

for (const [status, reason] of [
  ["completed", "completed"],
  ["running", null],
  [null, null],
]) {
  test(`polling a stream that is ${status} ${reason ? "ends" : "goes on"}`, async () => {
    const world = new World();
    const log = await world.connect({ ...POLL, stream: "run-42" });
    await world.request.page(entries(1, 3));
    await world.request.page([], { cursor: 3 });
    assert.equal(world.request.url.pathname, "/api/events/streams/run-42/");
    await world.request.answer(200, JSON.stringify({ status, last_position: 3 }));
    await world.advance(1000);
    if (reason) assert.deepEqual(log.heard.find(([type]) => type === "end")[1], { reason, reconnect: false });
    assert.equal(log.state, reason ? "closed" : "live");
    assert.equal(world.requests.length, reason ? 3 : 4);
  });
}

test("polling reads a stream to its last event before it ends", async () => {
  const world = new World();
  const log = await world.connect({ ...POLL, stream: "run-42" });
  await world.request.page(entries(1, 3));
  await world.request.page([], { cursor: 3 });
  await world.request.answer(200, JSON.stringify({ status: "failed", last_position: 4 }));
  await world.advance(1000);
  assert.equal(log.state, "live");
  await world.request.page([entry(4)]);
  await world.request.page([], { cursor: 4 });
  await world.request.answer(200, JSON.stringify({ status: "failed", last_position: 4 }));
  assert.equal(log.state, "closed");
});

test("polling a stream that was deleted ends, and one that is not there yet goes on", async () => {
  for (const seen of [true, false]) {
    const world = new World();
    const log = await world.connect({ ...POLL, stream: "run-42" });
    await world.request.page(seen ? [entry(1)] : []);
    await world.request.page([], { cursor: 1 });
    await world.request.answer(404, '{"detail": "No."}');
    await world.advance(1000);
    assert.equal(log.state, seen ? "closed" : "live");
    if (seen) assert.equal(log.heard.find(([type]) => type === "end")[1].reason, "deleted");
  }
});

test("a set of streams is asked for by repetition, and has no end", async () => {
  const world = new World();
  const log = await world.connect({ ...POLL, stream: ["red:*", "b", "b"] });
  assert.deepEqual(world.request.url.searchParams.getAll("stream"), ["red:*", "b"]);
  await world.request.page([entry(1)]);
  await world.request.page([], { cursor: 1 });
  await world.advance(1000);
  assert.equal(world.request.url.pathname, "/api/events/");
  assert.equal(log.state, "live");
});

test("the last entries are asked for once: then it goes on by its position", async () => {
  const world = new World();
  await world.connect({ ...POLL, last: 2 });
  assert.deepEqual([world.request.query.last, world.request.query.since], ["2", undefined]);
  await world.request.answer(503, "");
  await world.advance(1000);
  assert.deepEqual([world.request.query.last, world.request.query.since], ["2", undefined]);
  await world.request.page(entries(8, 9));
  assert.deepEqual([world.request.query.last, world.request.query.since], [undefined, "9"]);
});

test("no further page is asked for while the buffer is full", async () => {
  const world = new World();
  const log = await world.connect({ ...POLL, buffer: 3 });
  const reader = log[Symbol.asyncIterator]();
  await world.request.page(entries(1, 4), { next: "more", head: 9 });
  await world.advance(250_000);
  assert.equal(world.requests.length, 1);
  for (let taken = 0; taken < 2; taken++) await reader.next();
  await world.advance(0);
  assert.equal(world.requests.length, 2);
  assert.equal(world.request.query.since, "4");
});

for (const [status, code] of [
  [400, "bad_request"],
  [401, "unauthorized"],
  [403, "forbidden"],
  [404, "not_found"],
]) {
  for (const options of status === 404 ? [POLL] : [SSE, POLL]) {
    test(`${options.transports}: ${status} ends it all`, async () => {
      const world = new World();
      const log = await world.connect(options);
      await world.request.answer(status, '{"detail": "No."}');
      assert.deepEqual(log.heard[1], ["error", { code, detail: "No." }]);
      assert.equal(log.state, "closed");
      assert.equal(world.timers.size, 0);
    });
  }
}

test("a server that is busy is given the time it asks for", async () => {
  const world = new World({ random: 0.5 });
  await world.connect(POLL);
  await world.request.answer(503, "", { "Retry-After": "8" });
  assert.deepEqual(world.delays, [12_000]);
});

test("a stream that does not exist yet is waited for by polling", async () => {
  const world = new World();
  const log = await world.connect({ transports: ["sse", "poll"], stream: "s" });
  await world.request.answer(404, '{"detail": "No."}');
  await world.advance(250);
  assert.equal(log.transport, "poll");
  assert.equal(world.request.query.stream, "s");
});
