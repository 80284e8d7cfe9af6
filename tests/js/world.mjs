/** A platform of fakes: a clock that moves when told to, sockets and requests that are answered by hand. */

import { connect } from "../../events/static/events/events.js";

export const API = "https://site.test/api/events/";

export function entry(position, more = {}) {
  return {
    position,
    kind: "turn.started",
    stream: "run-42",
    seq: position,
    timestamp: "2026-11-20T10:00:00.123456Z",
    payload: {},
    ...more,
  };
}

export function entries(first, last) {
  return Array.from({ length: last - first + 1 }, (_, index) => entry(first + index));
}

/** Let everything happen that needs no time. */
export async function settle() {
  for (let round = 0; round < 8; round++) await new Promise(setImmediate);
}

export class World {
  time = 0;
  timers = new Map();
  sockets = [];
  requests = [];
  page = new Page();
  logs = [];

  constructor({ random = 1, WebSocket = true } = {}) {
    const world = this;
    let number = 0;
    this.env = {
      base: "https://site.test/page/",
      page: this.page,
      random: () => random,
      now: () => world.time,
      setTimeout(callback, delay) {
        world.timers.set(++number, { at: world.time + delay, callback });
        return number;
      },
      clearTimeout: (timer) => world.timers.delete(timer),
      fetch: (url, init) =>
        new Promise((resolve, reject) => world.requests.push(new FakeRequest(url, init, resolve, reject))),
      WebSocket:
        WebSocket &&
        class extends FakeSocket {
          constructor(url) {
            super(url);
            world.sockets.push(this);
          }
        },
    };
  }

  /** A log with everything that it says written down. */
  async connect(options = {}, url = API) {
    const log = connect(url, { env: this.env, ...options });
    log.heard = [];
    for (const type of ["state", "gap", "end", "error"]) {
      log.addEventListener(type, ({ detail }) => log.heard.push([type, detail]));
    }
    this.logs.push(log);
    await settle();
    return log;
  }

  get socket() {
    return this.sockets.at(-1);
  }

  get request() {
    return this.requests.at(-1);
  }

  /** The milliseconds that each waiting timer has to go. */
  get delays() {
    return [...this.timers.values()].map(({ at }) => at - this.time).sort((a, b) => a - b);
  }

  async advance(milliseconds) {
    await settle();
    const until = this.time + milliseconds;
    for (;;) {
      const due = [...this.timers].filter(([, { at }]) => at <= until).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      const [number, { at, callback }] = due;
      this.timers.delete(number);
      this.time = at;
      callback();
      await settle();
    }
    this.time = until;
    await settle();
  }

  /** Open the newest socket, and subscribe what it asks for. */
  async subscribe({ cursor, head = cursor, epoch = "e1", gap = null } = {}) {
    this.socket.open();
    const { since } = this.socket.sent[0];
    cursor ??= typeof since === "number" ? since : 0;
    await this.socket.say({ type: "subscribed", id: "a", cursor, head: head ?? cursor, epoch, gap });
    return this.socket;
  }
}

class FakeSocket {
  readyState = 0;
  sent = [];
  closed = false;

  constructor(url) {
    this.url = url;
  }

  send(text) {
    if (this.readyState !== 1) throw new Error("The socket is not open.");
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.closed = true;
    this.readyState = 3;
  }

  get acks() {
    return this.sent.filter(({ type }) => type === "ack").map(({ position }) => position);
  }

  open() {
    this.readyState = 1;
    this.onopen?.();
  }

  async say(message) {
    this.onmessage?.({ data: JSON.stringify(message) });
    await settle();
  }

  events(list, cursor = list.at(-1).position) {
    return this.say({ type: "events", id: "a", events: list, cursor });
  }

  async drop(code = 1006, reason = "") {
    this.readyState = 3;
    this.onclose?.({ code, reason });
    await settle();
  }
}

class FakeRequest {
  constructor(url, init, resolve, reject) {
    Object.assign(this, { url: new URL(url), init, resolve, reject });
    this.onabort = () => this.abort(init.signal.reason);
    init.signal.addEventListener("abort", this.onabort);
    if (init.signal.aborted) this.abort(init.signal.reason);
  }

  get query() {
    return Object.fromEntries(this.url.searchParams);
  }

  abort(reason) {
    this.aborted = true;
    this.reject(reason);
    try {
      this.stream?.error(reason);
    } catch {
      // It has ended already.
    }
  }

  async answer(status, body, headers = {}) {
    this.answered = true;
    this.init.signal.removeEventListener("abort", this.onabort);
    this.resolve(new Response(body, { status, headers }));
    await settle();
  }

  async fail() {
    this.reject(new TypeError("fetch failed"));
    await settle();
  }

  page(
    results,
    { cursor = results.at(-1)?.position ?? 0, next = null, gap = null, head = cursor, epoch = "e1" } = {},
  ) {
    const headers = {
      "X-Events-Epoch": epoch,
      "X-Events-Head": String(head),
      "Content-Type": "application/json",
    };
    return this.answer(200, JSON.stringify({ results, cursor, next, gap }), headers);
  }

  /** Begin an event stream; `write` and `cut` go on with it. */
  async begin(text = "", { head, epoch = "e1" } = {}) {
    const source = { start: (stream) => (this.stream = stream) };
    const headers = { "Content-Type": "text/event-stream", "X-Events-Epoch": epoch };
    if (head !== undefined) headers["X-Events-Head"] = String(head);
    this.resolve(new Response(new ReadableStream(source, { highWaterMark: 0 }), { headers }));
    await this.write(text);
  }

  async write(text) {
    if (text.length) this.stream.enqueue(typeof text === "string" ? new TextEncoder().encode(text) : text);
    await settle();
  }

  /** Chunks that nobody has asked for yet. */
  get unread() {
    return 0 - this.stream.desiredSize;
  }

  async cut() {
    this.stream.close();
    await settle();
  }
}

/** What a window, or a worker, tells of the world. */
class Page extends EventTarget {
  listeners = 0;

  addEventListener(...all) {
    this.listeners++;
    super.addEventListener(...all);
  }

  removeEventListener(...all) {
    this.listeners--;
    super.removeEventListener(...all);
  }
}

/** The positions that a listener is given. */
export function listen(log) {
  const got = [];
  log.addEventListener("entry", (event) => got.push(event.entry.position));
  return got;
}

export function states(log) {
  return log.heard.filter(([type]) => type === "state").map(([, { state }]) => state);
}

export function sse(one) {
  return `id: ${one.position}\ndata: ${JSON.stringify(one)}\n\n`;
}
