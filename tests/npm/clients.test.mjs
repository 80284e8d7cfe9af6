// The protocol's own clients as they are published.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createDurableChatTransport, toDurableStreamResponse } from "@durable-streams/aisdk-transport";
import {
  DurableStream,
  IdempotentProducer,
  stream,
} from "@durable-streams/client";
import { MaterializedState } from "@durable-streams/state";
import {
  durableStreamConnection,
  pipeSanitizedChunksToStream,
} from "@durable-streams/tanstack-ai-transport";
import { address, close, post, proxy, put } from "./world.mjs";

const numbers = (count) => Array.from({ length: count }, (_, n) => n);

async function* sourceOf(chunks) {
  yield* chunks;
}

// The client leaves it to its caller to come back after a cut.
async function follow(url, live, found, count) {
  let offset = "-1";
  while (found.length < count) {
    try {
      const reader = await stream({ url, json: true, offset, live });
      reader.subscribeJson(async (batch) => {
        found.push(...batch.items.map((one) => one.n));
        offset = batch.offset;
        if (found.length >= count) reader.cancel();
      });
      await reader.closed;
    } catch {
      await new Promise((done) => setTimeout(done, 10));
    }
  }
}

for (const live of ["sse", "long-poll"]) {
  test(`a reader over ${live} is cut off, and misses and repeats nothing`, async () => {
    const url = await put(live);
    const cable = await proxy();
    const found = [];
    const reading = follow(cable.through(url), live, found, 40);
    for (const n of numbers(40)) {
      await post(url, [{ n }]);
      if (n % 10 === 5) cable.cut();
    }
    await reading;
    assert.deepEqual(found, numbers(40));
    cable.end();
  });
}

async function again(...request) {
  for (;;) {
    try {
      return await fetch(...request);
    } catch {
      await new Promise((done) => setTimeout(done, 10));
    }
  }
}

test("a producer is cut off, and writes everything once", async () => {
  const url = await put("producer");
  const cable = await proxy();
  const handle = new DurableStream({ url: cable.through(url), contentType: "application/json" });
  const producer = new IdempotentProducer(handle, "p", {
    lingerMs: 1,
    // As here: by itself, a producer tells of an error and goes on.
    fetch: again,
  });
  for (const n of numbers(200)) {
    producer.append(JSON.stringify({ n }));
    if (n % 40 === 20) {
      await new Promise((done) => setTimeout(done, 20));
      cable.cut();
    }
  }
  await producer.flush();
  const found = await (await fetch(url)).json();
  assert.deepEqual(found.map((one) => one.n), numbers(200));
  await producer.close();
  cable.end();
});

test("state is materialized from a stream", async () => {
  const url = await put("state");
  const handle = new DurableStream({ url, contentType: "application/json" });
  const change = (operation, value) => ({ type: "user", key: "1", value, headers: { operation } });
  await handle.append(JSON.stringify(change("insert", { name: "Ada" })));
  await handle.append(JSON.stringify(change("update", { name: "Grace" })));
  const state = new MaterializedState();
  for (const one of await (await stream({ url, json: true, live: false })).json()) state.apply(one);
  assert.deepEqual(state.get("user", "1"), { name: "Grace" });
});

test("the AI SDK's transport writes and reads", async () => {
  const url = address("aisdk");
  const chunks = [{ type: "start" }, { type: "text-delta", id: "t", delta: "Hi" }, { type: "finish" }];
  const transport = createDurableChatTransport({
    api: "http://127.0.0.1/chat",
    fetchClient: () =>
      toDurableStreamResponse({ source: sourceOf(chunks), stream: { writeUrl: url, readUrl: url } }),
  });
  const read = await transport.sendMessages({ chatId: "1", messages: [], trigger: "submit-message" });
  const found = [];
  for await (const chunk of read) found.push(chunk);
  assert.deepEqual(found, chunks);
});

test("TanStack's transport writes and reads", async () => {
  const url = address("tanstack");
  const chunks = [
    { type: "TEXT_MESSAGE_START", messageId: "m" },
    { type: "TEXT_MESSAGE_CONTENT", messageId: "m", delta: "Hi" },
    { type: "TEXT_MESSAGE_END", messageId: "m" },
  ];
  const handle = new DurableStream({ url, contentType: "application/json" });
  await handle.create();
  // Not closed: of a closed stream, its reader may be told of the end before it has the rest.
  await pipeSanitizedChunksToStream(sourceOf(chunks), handle);
  const connection = durableStreamConnection({ sendUrl: url, readUrl: url, initialOffset: "-1",
  });
  const found = [];
  for await (const chunk of connection.subscribe()) {
    found.push(chunk.type);
    if (found.length === chunks.length) break;
  }
  assert.deepEqual(found, chunks.map((one) => one.type));
});

test("a stream that is closed ends its readers", async () => {
  const url = await put("closed");
  await post(url, [1]);
  await close(url);
  const reader = await stream({ url, json: true, offset: "-1", live: "sse" });
  const found = [];
  for await (const one of reader.jsonStream()) found.push(one);
  assert.deepEqual(found, [1]);
});
