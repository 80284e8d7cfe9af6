/**
 * Follow an event log from a browser or a worker, and lose nothing.
 *
 *     const log = connect("/api/events/", { stream: "run-42", since: 0 });
 *     for await (const entry of log) { … }
 *
 * A transport is an async generator of frames, `{entries, cursor, head, epoch, gap, live, end}`, each
 * part of which may be missing. `EventLog` pulls them one by one: what it has not pulled is not
 * acknowledged over a WebSocket and not read from a response, so a slow reader slows the server down.
 * Order, gaps and backpressure are the business of `#take`, and what to do after a connection is lost
 * that of `#run`, whatever the transport.
 */

const TRANSPORTS = { ws: overWebSocket, sse: overServerSentEvents, poll: overPolling };

const BUFFER = 10_000;
const SECOND = 1000;
const FIRST_DELAY = SECOND / 4;
const LONGEST_DELAY = 30 * SECOND;
// Until the first frame: a proxy that swallows a transport is to be found out soon.
const OPEN_TIMEOUT = 15 * SECOND;
// A heartbeat may be late, a second one is not.
const HEARTBEATS_MISSED = 2.5;
// In a row and without a frame, before the next transport has its turn.
const STRIKES = 2;
// Until a better transport is looked for: at first, and after looking for it in vain ever so often.
const FIRST_SPELL = 5 * SECOND;
const LONGEST_SPELL = 300 * SECOND;
const POLL_WAIT = 25;
const PAGE = 1000;
// The server stops at 1 MiB that is not acknowledged.
const ACK_SIZE = 64 * 1024;
const ACK_DELAY = SECOND / 10;
// What makes it worth trying at once.
const PAGE_EVENTS = ["online", "visibilitychange"];
// The one subscription of a socket.
const ID = "a";

const HTTP_REFUSALS = { 400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found" };
const SOCKET_REFUSALS = { 4400: "bad_request", 4401: "unauthorized", 4403: "forbidden" };
const TERMINAL = ["completed", "failed", "stopped"];
const SOCKET_RETURNS = [1001, 1012, 4408];
const SOCKET_RESTARTS = [1001, 1012];
const TOO_MANY = 4429;
// Seconds, before somebody who has too much open asks again.
const PAUSE = 15;
// What a proxy answers whose server is away: no transport is to blame.
const AWAY = [502, 503, 504];

export function connect(url = "/api/events/", options = {}) {
  return new EventLog(url, options);
}

/** The log cannot be followed, and trying again will not help. `code` says why. */
export class EventLogError extends Error {
  name = "EventLogError";

  constructor(code, detail) {
    super(detail || code);
    this.code = code;
  }
}

/** A connection is over. What next: "retry", "resume" quietly, "switch" to another transport, or "stop". */
class Lost extends Error {
  constructor(next, reason, { code = "", pause = 0, spread = 0, turn, refused = false } = {}) {
    super(reason);
    Object.assign(this, { next, code, pause, spread, turn, refused });
  }
}

export class EventLog extends EventTarget {
  #source;
  #env;
  #bound;
  #patience;
  #transports;
  #signal;
  #state = "connecting";
  #transport = null;
  #head = null;
  // What was received, with its epoch: where a connection resumes.
  #cursor = null;
  #epoch;
  // What was received and not yet taken, and the position that the reader has reached meanwhile.
  #held = [];
  #taken = null;
  #iterating = false;
  #listening = false;
  #error = null;
  // The connection there is, and what ends each kind of wait.
  #connection = null;
  #spell = FIRST_SPELL;
  #nap = new AbortController();
  #arrived = () => {};
  #room = { left: 0, made: () => {} };

  constructor(url, options) {
    super();
    this.#env = { ...platform(), ...options.env };
    this.#source = makeSource(url, options, this.#env, () => this.#query(options));
    streamsOf(options.stream);
    checkLast(options);
    this.#bound = Math.max(1, options.buffer ?? BUFFER);
    this.#patience = HEARTBEATS_MISSED * this.#source.heartbeat * SECOND;
    this.#transports = usable(options.transports, this.#env);
    this.#cursor = startOf(options.since);
    this.#epoch = this.#cursor === null ? null : (options.epoch ?? null);
    this.#signal = options.signal;
    for (const type of PAGE_EVENTS) this.#env.page?.addEventListener?.(type, this.#onPage);
    this.#signal?.addEventListener("abort", this.#onAbort);
    if (this.#signal?.aborted) this.close();
    // Whoever called connect() first gets to add listeners.
    else queueMicrotask(() => this.#run());
  }

  get state() {
    return this.#state;
  }

  get transport() {
    return this.#transport;
  }

  /** How far this log was read: with `epoch`, what to pass as `since` another day. */
  get position() {
    return this.#held.length ? this.#taken : this.#cursor;
  }

  get epoch() {
    return this.#epoch;
  }

  get head() {
    return this.#head;
  }

  /** Drop the connection, if there is one, and resume at once. */
  reconnect() {
    this.#connection?.abort(new Lost("retry", "reconnect() was called"));
    this.#nap.abort();
  }

  /** Free everything. What was received and not yet taken is dropped; `position` is before it. */
  close() {
    this.#cursor = this.position;
    this.#held = [];
    this.#finish();
  }

  /** Entries go to listeners as they come; what came before the first of them was held for it. */
  addEventListener(type, listener, options) {
    super.addEventListener(type, listener, options);
    if (type === "entry" && !this.#listening) queueMicrotask(() => this.#listen());
  }

  [Symbol.asyncIterator]() {
    if (this.#iterating) throw new Error("This log is being iterated already. Connect a second one.");
    this.#iterating = true;
    return this.#iterate();
  }

  async *#iterate() {
    try {
      for (;;) {
        while (!this.#held.length && this.#state !== "closed") {
          await new Promise((resolve) => (this.#arrived = resolve));
        }
        if (!this.#held.length) break;
        yield this.#shift();
      }
      if (this.#error) throw this.#error;
    } finally {
      this.close();
    }
  }

  #shift() {
    const entry = this.#held.shift();
    this.#taken = entry.position;
    if (this.#held.length <= this.#room.left) this.#room.made();
    return entry;
  }

  #listen() {
    if (this.#listening) return;
    this.#listening = true;
    if (this.#iterating) for (const entry of [...this.#held]) this.#say("entry", entry, { entry });
    while (!this.#iterating && this.#held.length) {
      const entry = this.#shift();
      this.#say("entry", entry, { entry });
    }
  }

  #query({ stream, kind, log, since, last }) {
    // Once we know where we are, that is where we go on.
    const start = last ? { last } : { since: since ?? "earliest" };
    const place = { ...(this.#cursor === null ? start : { since: this.#cursor }), epoch: this.#epoch };
    const asked = { ...place, stream: streamsOf(stream), kind: kind && [kind].flat(), log };
    return Object.fromEntries(Object.entries(asked).filter(([, value]) => (value ?? "") !== ""));
  }

  /** Connect, follow, and see what to do next, until the log is closed. */
  async #run() {
    const strikes = {};
    // Transports that nobody is let in by, until one of them works.
    const refusing = new Set();
    let turn = 0;
    let failures = 0;
    let quiet = false;
    while (this.#state !== "closed") {
      const name = this.#transports[turn];
      if (!quiet) this.#become("connecting", name);
      const { lost, proved } = await this.#follow(turn, strikes);
      if (this.#state === "closed") return;
      if (proved) refusing.clear();
      if (lost.refused && refusing.add(name).size < this.#transports.length) lost.next = "switch";
      if (lost.next === "stop") return this.#fail(lost);

      if (proved) failures = 0;
      else strikes[name] = (strikes[name] ?? 0) + 1;
      quiet = proved && lost.next === "resume";
      const delay = this.#delay(failures++, lost);
      this.#nap = new AbortController();
      if (!quiet) this.#become("offline", name, { delay, reason: lost.message });
      if (strikes[name] >= STRIKES && !(await this.#answers())) strikes[name] = 0;
      if (lost.turn !== undefined) turn = lost.turn;
      else if (lost.next === "switch" || strikes[name] >= STRIKES) {
        turn = (turn + 1) % this.#transports.length;
      }
      await sleep(this.#env, delay, this.#nap.signal);
    }
  }

  /** Full jitter: all who were cut off together come back apart. A server that restarts says how far. */
  #delay(failures, { pause, spread }) {
    const { random } = this.#env;
    const backoff = random() * (spread || Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** failures));
    return Math.max(backoff, pause * SECOND * (1 + random()));
  }

  /** Does a plain request get any answer? If none does, the server is away, and a transport that was
   * lost may be as good as ever. */
  async #answers() {
    if (this.#transports.length === 1) return true;
    this.#connection = new AbortController();
    return this.#briefly(this.#connection, async (signal) => {
      const { status } = await this.#source.ask("", { limit: 0 }, "application/json", signal);
      return !AWAY.includes(status);
    });
  }

  /** After a while, and then ever more seldom, see whether a better transport works again. Meanwhile
   * this one goes on. */
  async #lookForBetter(turn, connection) {
    while (turn > 0) {
      const { random } = this.#env;
      await sleep(this.#env, (this.#spell * (1 + random())) / 2, connection.signal);
      for (let better = 0; better < turn && !connection.signal.aborted; better++) {
        const name = this.#transports[better];
        const works = await this.#briefly(connection, (signal) =>
          TRANSPORTS[name](this.#source, signal).next(),
        );
        if (works) connection.abort(new Lost("resume", `${name} works again`, { turn: better }));
      }
      if (connection.signal.aborted) return;
      this.#spell = Math.min(LONGEST_SPELL, 2 * this.#spell);
    }
  }

  /** What `attempt` resolves with; false if it fails, takes too long, or the connection is over. */
  async #briefly(connection, attempt) {
    const brief = new AbortController();
    const cut = () => brief.abort(new Lost("retry", "an attempt is over"));
    const timer = this.#env.setTimeout(cut, Math.min(this.#patience, OPEN_TIMEOUT));
    connection.signal.addEventListener("abort", cut);
    try {
      return await attempt(brief.signal);
    } catch {
      return false;
    } finally {
      this.#env.clearTimeout(timer);
      connection.signal.removeEventListener("abort", cut);
      cut();
    }
  }

  /** One connection, from its opening to its loss. */
  async #follow(turn, strikes) {
    const name = this.#transports[turn];
    const connection = (this.#connection = new AbortController());
    const frames = TRANSPORTS[name](this.#source, connection.signal);
    let proved = false;
    try {
      // A reader that is behind has no use for a connection yet.
      await this.#roomFor(this.#bound - 1);
      for (;;) {
        const frame = await this.#next(frames, connection, name, proved);
        if (this.#state === "closed") break;
        const live = proved ? this.#state === "live" : frame.live && !frame.entries?.length;
        this.#become(live ? "live" : "catching-up", name);
        if (!proved) this.#lookForBetter(turn, connection);
        proved = true;
        strikes[name] = 0;
        if (turn === 0) this.#spell = FIRST_SPELL;
        await this.#take(frame);
        if (frame.live) this.#become("live", name);
      }
    } catch (error) {
      const lost = connection.signal.aborted ? connection.signal.reason : error;
      return { proved, lost: lost instanceof Lost ? lost : new Lost("retry", lost?.message) };
    } finally {
      connection.abort(new Lost("resume", "done"));
      await frames.return();
    }
    return { proved };
  }

  /** The clocks run while we wait for the server, never while we are slow. */
  async #next(frames, connection, name, proved) {
    const patience = proved ? this.#patience : Math.min(this.#patience, OPEN_TIMEOUT);
    const silence = new Lost("retry", `no word from the server for ${patience / SECOND} s`);
    const watchdog = this.#env.setTimeout(() => connection.abort(silence), patience);
    // Server-Sent Events do not say that we have caught up. A second without any does.
    const mayBeLive = proved && name === "sse" && this.#state === "catching-up";
    const lull = mayBeLive && this.#env.setTimeout(() => this.#become("live"), SECOND);
    try {
      return (await frames.next()).value;
    } finally {
      this.#env.clearTimeout(watchdog);
      this.#env.clearTimeout(lull);
    }
  }

  /** Deliver a frame, in order and once, at the pace of the reader. */
  async #take({ entries = [], cursor, head, epoch, renewed, gap, end }) {
    if (gap) {
      // It is told between the entries before it and those after it.
      await this.#roomFor(0);
      if (this.#state === "closed") return;
      this.#jump(gap, epoch);
    } else {
      // `renewed` is an epoch in which there is no gap. One that the headers name may begin with one.
      this.#epoch = renewed ?? this.#epoch ?? epoch ?? null;
    }
    for (const entry of entries) {
      if (entry.position <= this.#cursor) continue;
      if (this.#held.length >= this.#bound) await this.#roomFor(this.#bound >> 1);
      if (this.#state === "closed") return;
      this.#deliver(entry);
    }
    if (this.#state === "closed") return;
    // The bookmark of a quiet reader; the first one also turns "latest" into a number.
    if (cursor !== undefined) this.#cursor = Math.max(cursor, this.#cursor);
    this.#head = Math.max(head ?? 0, this.#head, this.#cursor);
    if (end) this.#ended(end);
  }

  #jump(gap, epoch) {
    const start = gap.first_available - 1;
    if (gap.reason === "pruned") {
      this.#cursor = Math.max(start, this.#cursor);
    } else {
      this.#cursor = start;
      this.#head = null;
    }
    // A new epoch that is not named with the gap is learnt by the next connection.
    if (gap.reason === "epoch" && epoch === this.#epoch) this.#epoch = null;
    else if (gap.reason === "epoch") this.#epoch = epoch ?? null;
    else this.#epoch ??= epoch ?? null;
    this.#say("gap", gap);
  }

  #deliver(entry) {
    // Until it is known who reads, an iterator may still come.
    if (this.#iterating || !this.#listening) {
      if (!this.#held.length) this.#taken = this.#cursor;
      this.#held.push(entry);
    }
    this.#cursor = entry.position;
    this.#arrived();
    if (this.#listening) this.#say("entry", entry, { entry });
  }

  #ended(end) {
    this.#say("end", end);
    // Whoever iterates must not take this for the end of the stream.
    if (end.reason === "forbidden")
      throw new Lost("stop", "You may not read this any more.", {
        code: end.reason,
        // Of a token that has run out, the next request has a new one.
        refused: this.#source.renews,
      });
    if (!end.reconnect) this.#finish();
    throw new Lost("resume", end.reason);
  }

  /** Wait until at most `left` entries are held. */
  #roomFor(left) {
    if (this.#held.length <= left) return undefined;
    return new Promise((made) => (this.#room = { left, made }));
  }

  #onPage = () => {
    if (globalThis.document?.visibilityState !== "hidden") this.#nap.abort();
  };

  #onAbort = () => this.close();

  #fail({ code, message }) {
    this.#error = new EventLogError(code, message);
    this.#say("error", { code, detail: message });
    this.#finish();
  }

  /** No more will come. What is held can still be taken. */
  #finish() {
    if (this.#state === "closed") return;
    for (const type of PAGE_EVENTS) this.#env.page?.removeEventListener?.(type, this.#onPage);
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#become("closed", null);
    this.#connection?.abort(new Lost("stop", "closed"));
    this.#nap.abort();
    this.#arrived();
    this.#room.made();
  }

  #become(state, transport = this.#transport, more = {}) {
    if (this.#state === "closed" || (state === this.#state && transport === this.#transport)) return;
    this.#state = state;
    this.#transport = transport;
    this.#say("state", { state, transport, position: this.position, ...more });
  }

  #say(type, detail, more) {
    this.dispatchEvent(Object.assign(new CustomEvent(type, { detail }), more));
  }
}

// The transports. Each throws Lost, or whatever the platform throws, when it is over.

async function* overWebSocket(source, signal) {
  const socket = openSocket(source, await source.ticket(signal));
  const inbox = new Inbox();
  const acks = new Acks(source.env, socket);
  socket.onopen = () => socket.send(JSON.stringify({ type: "subscribe", id: ID, ...source.query() }));
  socket.onmessage = ({ data }) => inbox.put(data);
  // Browsers report nothing in it that the close does not.
  socket.onerror = () => {};
  socket.onclose = ({ code, reason }) => inbox.end(lostSocket(code, reason));
  signal.addEventListener("abort", () => {
    socket.onmessage = socket.onclose = null;
    inbox.fail(signal.reason);
    acks.stop();
    socket.close();
  });
  for (;;) {
    const text = await inbox.take();
    const message = JSON.parse(text);
    yield socketFrame(message);
    // We get here when the next frame is wanted, so this one has been delivered.
    if (message.type === "events") acks.owe(text.length, message.events.at(-1)?.position);
  }
}

function openSocket({ env, wsUrl }, ticket) {
  const target = new URL(wsUrl);
  if (ticket) target.searchParams.set("ticket", ticket);
  try {
    return new env.WebSocket(target.href);
  } catch (error) {
    throw new Lost("switch", error.message);
  }
}

function socketFrame({ type, id, cursor, epoch, ...message }) {
  switch (type) {
    case "subscribed":
      return { ...message, cursor, epoch, renewed: epoch, live: cursor >= message.head };
    case "events":
      return { entries: message.events, cursor };
    case "live":
      return { cursor, live: true };
    case "heartbeat":
      return { cursor: message.cursors?.[ID] };
    case "epoch":
      return { renewed: epoch };
    case "gap":
      return { gap: message, epoch };
    case "end":
      return { end: message, cursor };
    case "error":
      if (message.code === "too_many") throw new Lost("retry", message.detail, { pause: PAUSE });
      throw new Lost("stop", message.detail, { code: message.code });
    default:
      return {};
  }
}

function lostSocket(code, reason) {
  const text = reason || `the WebSocket was closed (${code})`;
  if (SOCKET_REFUSALS[code]) return new Lost("stop", text, refusal(SOCKET_REFUSALS[code]));
  if (SOCKET_RESTARTS.includes(code) && /^\d{1,6}$/.test(reason)) {
    return new Lost("retry", "the server restarts", { spread: Number(reason) });
  }
  if (SOCKET_RETURNS.includes(code)) return new Lost("resume", text);
  return new Lost("retry", text, { pause: code === TOO_MANY ? PAUSE : 0 });
}

async function* overServerSentEvents(source, signal) {
  const response = await source.get("live/", { named: 0 }, "text/event-stream", signal);
  if (response.status === 204) yield { end: { reason: "ended", reconnect: false } };
  if (!response.headers.get("Content-Type")?.startsWith("text/event-stream") || !response.body) {
    throw new Lost("switch", "the answer is not an event stream");
  }
  let place = placeOf(response);
  const { head } = place;
  const parser = new EventStreamParser();
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  let cursor = -1;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Lost("retry", "the event stream was cut off");
    for (const event of parser.feed(decoder.decode(value, { stream: true }))) {
      const frame = streamFrame(event);
      cursor = frame.cursor ?? cursor;
      const renewed = frame.entries && place.epoch;
      yield { live: cursor >= head, ...place, renewed, ...frame };
      // The headers tell of the beginning: what comes before the first entry.
      if (frame.entries || frame.gap || frame.renewed) place = {};
    }
  }
}

function streamFrame({ id, event, data, comment }) {
  if (comment !== undefined) return comment === "heartbeat" ? { live: true } : {};
  const cursor = /^\d+$/.test(id) ? Number(id) : undefined;
  if (data === undefined) return { cursor };
  const value = JSON.parse(data);
  if (event === "gap") return { gap: value };
  if (event === "epoch") return { renewed: value.epoch };
  if (event === "end") return { end: value, cursor };
  return { entries: [value], cursor };
}

/** Of the fields, those that we use: each line ends with LF, CR LF or CR, and a blank one ends the event. */
class EventStreamParser {
  #rest = "";
  #event = {};

  *feed(text) {
    // A CR at the very end may be half of a CR LF.
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    for (const line of lines) {
      if (line === "") yield* this.#dispatch();
      else if (line.startsWith(":")) yield { comment: line.slice(1).trim() };
      else this.#read(...line.split(/: ?(.*)/s));
    }
  }

  *#dispatch() {
    const event = this.#event;
    this.#event = {};
    if (event.id !== undefined || event.data !== undefined) yield event;
  }

  #read(field, value = "") {
    if (field === "data" && this.#event.data !== undefined) this.#event.data += `\n${value}`;
    else if (["id", "event", "data"].includes(field)) this.#event[field] = value;
  }
}

async function* overPolling(source, signal) {
  const { env } = source;
  const wait = Math.max(1, Math.min(POLL_WAIT, Math.floor(source.heartbeat * 2)));
  let live = false;
  let seen = false;
  for (;;) {
    const asked = env.now();
    // The first question is answered at once, and says where we are.
    const more = { limit: PAGE, wait: live ? wait : undefined };
    const response = await source.get("", more, "application/json", signal);
    const { results, cursor, next, gap } = await response.json();
    const waited = live;
    live = next === null;
    seen ||= results.length > 0;
    const place = placeOf(response);
    yield { ...place, renewed: place.epoch, entries: results, cursor, gap, live };
    if (!waited || results.length || env.now() - asked >= wait * SECOND) continue;
    // It had no reason to wait: a stream has ended, or somebody answers in place of the server.
    const reason = await endOfStream(source, cursor, seen, signal);
    if (reason) yield { end: { reason, reconnect: false } };
    if (env.now() - asked < SECOND) await sleep(env, SECOND, signal);
  }
}

/** Why nothing more will come of the stream that is followed, as its page says; "" if something may. */
async function endOfStream(source, cursor, seen, signal) {
  const { stream } = source.query();
  // A set of streams has no end.
  if (!stream || Array.isArray(stream) || stream.endsWith("*")) return "";
  try {
    const response = await source.get(`streams/${stream}/`, {}, "application/json", signal);
    const { status, last_position } = await response.json();
    return TERMINAL.includes(status) && cursor >= last_position ? status : "";
  } catch (error) {
    // It does not exist: yet, or any more.
    if (error instanceof Lost && error.next === "switch") return seen ? "deleted" : "";
    throw error;
  }
}

function placeOf({ headers }) {
  const head = headers.get("X-Events-Head");
  return { head: head ? Number(head) : undefined, epoch: headers.get("X-Events-Epoch") ?? undefined };
}

/** Until the time is up or the signal is given, whichever comes first. */
function sleep(env, delay, signal) {
  return new Promise((resolve) => {
    const timer = env.setTimeout(done, signal.aborted ? 0 : delay);
    signal.addEventListener("abort", done);

    function done() {
      env.clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}

/** What has come over a socket and was not taken. After `end` the rest can be; `fail` drops it. */
class Inbox {
  #items = [];
  #error = null;
  #wake = () => {};

  put(item) {
    this.#items.push(item);
    this.#wake();
  }

  end(error) {
    this.#error ??= error;
    this.#wake();
  }

  fail(error) {
    this.#items = [];
    this.end(error);
  }

  async take() {
    while (!this.#items.length) {
      if (this.#error) throw this.#error;
      await new Promise((resolve) => (this.#wake = resolve));
    }
    return this.#items.shift();
  }
}

/** Tells the server what was delivered: soon, and not for every frame. */
class Acks {
  #owed = 0;
  #timer = null;

  constructor(env, socket) {
    this.env = env;
    this.socket = socket;
  }

  owe(size, position) {
    // In a new epoch positions begin anew, and a small one does not acknowledge a large one.
    if (position < this.position) this.#send();
    this.position = position ?? this.position;
    this.#owed += size;
    if (this.#owed >= ACK_SIZE) this.#send();
    else this.#timer ??= this.env.setTimeout(() => this.#send(), ACK_DELAY);
  }

  stop() {
    this.env.clearTimeout(this.#timer);
    this.#timer = null;
    this.#owed = 0;
  }

  #send() {
    this.stop();
    if (this.socket.readyState !== 1 || this.position === undefined) return;
    this.socket.send(JSON.stringify({ type: "ack", id: ID, position: this.position }));
  }
}

/** What the transports know: where the log is, and what was asked of it. */
function makeSource(url, options, env, query) {
  const { wsUrl = "/ws/events/", credentials = "same-origin", headers, heartbeat = 15 } = options;
  const base = new URL(url, env.base);
  const socket = new URL(wsUrl, base);
  socket.protocol = socket.protocol.replace("http", "ws");

  async function ask(path, more, accept, signal) {
    const target = new URL(path, base);
    for (const [name, value] of Object.entries({ ...query(), ...more })) {
      for (const one of [value].flat()) if (one !== undefined) target.searchParams.append(name, one);
    }
    return send(target, accept, signal);
  }

  async function send(target, accept, signal, method = "GET") {
    const given = typeof headers === "function" ? await headers() : headers;
    const init = { headers: { ...given, Accept: accept }, credentials, signal, cache: "no-store", method };
    return env.fetch(target.href, init);
  }

  /** What opens a WebSocket for whom the headers name; nothing, if a cookie does. */
  async function ticket(signal) {
    if (!headers) return "";
    const response = await send(new URL("ticket/", base), "application/json", signal, "POST");
    if (response.status === 404) throw new Lost("switch", "the server gives no tickets");
    if (!response.ok) throw await lostRequest(response);
    return (await response.json()).ticket;
  }

  async function get(path, more, accept, signal) {
    const response = await ask(path, more, accept, signal);
    // A stream that does not exist yet: polling waits for it, as a WebSocket does.
    if (response.status === 404 && path) throw new Lost("switch", "there is nothing to follow yet");
    if (!response.ok) throw await lostRequest(response);
    return response;
  }

  const renews = typeof headers === "function";
  return { env, query, ask, get, ticket, renews, heartbeat, wsUrl: socket.href };
}

async function lostRequest(response) {
  const { status } = response;
  const detail = await response.json().then(
    (body) => body.detail ?? JSON.stringify(body),
    () => "",
  );
  const text = detail || `the server answered ${status}`;
  if (HTTP_REFUSALS[status]) return new Lost("stop", text, refusal(HTTP_REFUSALS[status]));
  if (status === 501) return new Lost("switch", text);
  return new Lost("retry", text, { pause: Number(response.headers.get("Retry-After")) || 0 });
}

/** A name or a prefix, or a list of several. An empty list is refused: it does not mean everything. */
function streamsOf(stream) {
  const names = [...new Set([stream ?? ""].flat())];
  if (!names.length) throw new TypeError("stream must not be an empty list");
  return names.length === 1 ? names[0] : names;
}

function checkLast({ since, last }) {
  if ((last ?? null) === null) return;
  if (!Number.isSafeInteger(last) || last < 1)
    throw new TypeError(`last must be a whole number from 1, not ${String(last)}`);
  if ((since ?? null) !== null) throw new TypeError("last stands in place of since: give one of them");
}

/** Who is not let in one way may be by another: a header reaches where a cookie does not. */
function refusal(code) {
  return { code, refused: ["unauthorized", "forbidden"].includes(code) };
}

function startOf(since) {
  if ([undefined, null, "earliest", "latest"].includes(since)) return null;
  if (Number.isSafeInteger(since) && since >= 0) return since;
  throw new TypeError(`since must be a position from 0, "earliest" or "latest", not ${String(since)}`);
}

function usable(names = Object.keys(TRANSPORTS), env) {
  const unknown = names.find((name) => !Object.hasOwn(TRANSPORTS, name));
  if (unknown !== undefined) throw new TypeError(`There is no transport "${String(unknown)}"`);
  const found = names.filter((name) => (name === "ws" ? env.WebSocket : env.fetch));
  if (!found.length) throw new TypeError(`There is no transport among: ${names.join(", ") || "none"}`);
  return found;
}

// Called through globalThis each time: taken off it they would be illegal invocations.
function platform() {
  return {
    WebSocket: globalThis.WebSocket,
    fetch: (...all) => globalThis.fetch(...all),
    setTimeout: (...all) => globalThis.setTimeout(...all),
    clearTimeout: (timer) => globalThis.clearTimeout(timer),
    random: () => Math.random(),
    now: () => Date.now(),
    base: globalThis.document?.baseURI ?? globalThis.location?.href,
    page: globalThis,
  };
}
