// Chat front ends as they are published, on `?frames=payload`.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { HttpAgent } from "@ag-ui/client";
import { Chat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";
import { address, close, path, post, proxy, put, site, until } from "./world.mjs";

const begun = [
  { type: "start", messageId: "m1" },
  { type: "text-start", id: "t" },
  { type: "text-delta", id: "t", delta: "Hello" },
];
const ended = [
  { type: "text-delta", id: "t", delta: " world" },
  { type: "text-end", id: "t" },
  { type: "finish" },
];

const textOf = (chat) =>
  chat.messages
    .filter((message) => message.role === "assistant")
    .flatMap((message) => message.parts)
    .filter((part) => part.type === "text")
    .map((part) => part.text)
    .join("|");

function chatOf(name, through = (url) => url) {
  const url = through(`${address(name)}?frames=payload`);
  return new Chat({
    id: name,
    transport: new DefaultChatTransport({
      api: through(`${site}/chat${path.slice("/v1/stream".length)}-${name}/`),
      prepareReconnectToStreamRequest: () => ({ api: url }),
    }),
    onError: () => {},
  });
}

test("the AI SDK resumes through a cut connection", async () => {
  const url = await put("resumed");
  await post(url, begun);
  const cable = await proxy();
  const first = chatOf("resumed", cable.through);
  const resumed = first.resumeStream();
  await until(() => textOf(first) === "Hello");
  cable.cut();
  await resumed;
  const second = chatOf("resumed");
  const again = second.resumeStream();
  await until(() => textOf(second) === "Hello");
  await post(url, ended);
  await close(url);
  await again;
  assert.equal(textOf(second), "Hello world");
  assert.equal(second.status, "ready");
  cable.end();
});

test("the AI SDK finds nothing to resume", async () => {
  const absent = chatOf("absent");
  await absent.resumeStream();
  assert.equal(absent.status, "ready");
  const url = await put("over");
  await post(url, [...begun, ...ended]);
  await close(url);
  const over = chatOf("over");
  await over.resumeStream();
  assert.equal(over.messages.length, 0);
});

test("the AI SDK sends, and is answered by a view", async () => {
  const url = await put("sent");
  await post(url, [...begun, ...ended]);
  await close(url);
  const chat = chatOf("sent");
  await chat.sendMessage({ text: "Hi" });
  assert.equal(textOf(chat), "Hello world");
  assert.equal(chat.status, "ready");
});

const run = { threadId: "t1", runId: "r1" };
const message = { messageId: "m1" };
const agui = [
  { type: "RUN_STARTED", ...run },
  { type: "TEXT_MESSAGE_START", ...message, role: "assistant" },
  { type: "TEXT_MESSAGE_CONTENT", ...message, delta: "Hello" },
];
const aguiEnded = [
  { type: "TEXT_MESSAGE_CONTENT", ...message, delta: " world" },
  { type: "TEXT_MESSAGE_END", ...message },
  { type: "RUN_FINISHED", ...run },
];

const agentUrl = (name) => `${site}/chat${path.slice("/v1/stream".length)}-${name}/`;

test("AG-UI's agent runs through a cut connection", async () => {
  const url = await put("agui");
  await post(url, agui);
  const cable = await proxy();
  // In a thread of its own, since the agent also throws where nobody can catch it.
  const first = new Worker(new URL("agui.mjs", import.meta.url), {
    workerData: cable.through(agentUrl("agui")),
  });
  const ended = new Promise((done) => first.on("exit", done));
  first.on("error", () => {});
  const [heard] = await once(first, "message");
  assert.equal(heard, "Hello");
  cable.cut();
  await ended;
  const agent = new HttpAgent({ url: agentUrl("agui"), threadId: "t1" });
  const whole = agent.runAgent({ runId: "r1" });
  await post(url, aguiEnded);
  await close(url);
  const { newMessages } = await whole;
  assert.deepEqual(newMessages.map((one) => one.content), ["Hello world"]);
  cable.end();
});
