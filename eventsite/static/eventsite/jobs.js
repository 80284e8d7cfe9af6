/* The jobs page. All that it knows of a job it reads from the streams of its task and its attempts,
 * from the beginning each time: a reload in the middle shows what was there before it, and a
 * restarted server is resumed. */

import { connect } from "../events/events.js";
import { count, eachFrame, element, format, setAttribute, setText } from "./dom.js";
import { familyOf, isFailure, toneOf } from "./kinds.js";

const CONNECTION = {
  connecting: "Connecting",
  "catching-up": "Catching up",
  live: "Live",
  offline: "Offline",
  closed: "Done",
};
// What the events of a stream's life make of its status.
const STEPS = {
  "stream.opened": "running",
  "stream.waiting": "waiting",
  "stream.resumed": "running",
  "stream.completed": "completed",
  "stream.failed": "failed",
  "stream.stopped": "stopped",
};
const TERMINAL = ["completed", "failed", "stopped"];

const RECENT = 12; // jobs in the list
const LINES = 500; // of the timeline
const PAYLOAD = 300; // characters of one
const REASON = 120; // characters of one
const PAUSE = 500; // milliseconds between two looks at the list
const SKEW = 2000; // milliseconds below which a clock is not called wrong

const find = (name) => document.querySelector(`[data-part="${name}"]`);
const page = find("page");
const { api, jobs, stream } = page.dataset;

const ahead = Number(page.dataset.now) * 1000 - Date.now();
const skew = Math.abs(ahead) > SKEW ? ahead : 0;

function cut(text, most) {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

// The list

const recent = find("recent");
const lines = new Map(); // stream -> {item, badge}

const isJob = (one) => /^task:[^:]+$/.test(one.stream);
const short = (name) => `${name.slice("task:".length).slice(0, 8)}…`;

const known = new Set(); // the newest tasks, those that no worker has taken yet among them

async function look() {
  const found = await Promise.all([...known].map(standing));
  showRecent(found.filter(Boolean).sort((a, b) => b.first_position - a.first_position));
}

async function standing(name) {
  const answer = await fetch(`${api}streams/${encodeURIComponent(name)}/`, {
    headers: { Accept: "application/json" },
  });
  if (answer.status === 404) return null; // deleted
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  return answer.json();
}

function showRecent(found) {
  const names = new Set(found.map((one) => one.stream));
  for (const [name, { item }] of lines) {
    if (names.has(name)) continue;
    item.remove();
    lines.delete(name);
  }
  // Those that began last are on top. One that is here keeps its place, and its focus.
  for (const one of found.toReversed()) {
    if (!lines.has(one.stream)) addLine(one.stream);
    showBadge(lines.get(one.stream).badge, one.stream === stream ? job.shown : one.status);
  }
  setText(find("none"), "None yet.");
  find("none").hidden = lines.size > 0;
}

function addLine(name) {
  const badge = element("span", { class: "badge" });
  const href = `${jobs}${encodeURIComponent(name.slice("task:".length))}/`;
  const link = element("a", { href }, element("span", { class: "name" }, short(name)), badge);
  if (name === stream) link.setAttribute("aria-current", "page");
  const item = element("li", {}, link);
  lines.set(name, { item, badge });
  recent.prepend(item);
}

function showBadge(badge, status, more = "") {
  setAttribute(badge, "data-status", status ?? "");
  setText(badge, (status || "enqueued") + more);
}

/* One look at a time, and one more after it if anything has happened meanwhile. */
let looking = false;
let again = false;

async function refresh() {
  again = true;
  if (looking) return;
  looking = true;
  while (again) {
    again = false;
    await look().catch(() => {}); // the connection will come back, and then we look again
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  looking = false;
}

const lives = connect(api, { kind: "stream.*", since: "latest" });
lives.addEventListener("entry", ({ entry }) => isJob(entry) && refresh());
lives.addEventListener("state", ({ detail }) => detail.state === "live" && refresh());
lives.addEventListener("error", ({ detail }) => {
  find("none").hidden = false;
  setText(find("none"), `The jobs cannot be listed: ${detail.detail}`);
});
refresh();

const queue = connect(api, { kind: "task.enqueued", last: RECENT });
queue.addEventListener("entry", ({ entry }) => {
  if (!isJob(entry)) return;
  known.add(entry.stream);
  if (known.size > RECENT) known.delete(known.values().next().value);
  refresh();
});

// The journal, which the site's handler writes

const journal = connect(api, { stream: "journal", last: 12 });
journal.addEventListener("entry", ({ entry }) => {
  const { job, outcome, events } = entry.payload;
  const text = `${short(String(job))} ${outcome}, ${count(Number(events), "event")}`;
  const list = find("journal");
  list.prepend(element("li", {}, text));
  while (list.children.length > RECENT) list.lastElementChild.remove();
});

// The job

class Job {
  constructor() {
    this.status = null;
    this.reason = "";
    this.done = null;
    this.total = null;
    this.events = 0;
    this.attempt = null; // {number, status, reason}, the newest one
    this.began = null;
    this.ended = null;
    this.fresh = [];
    this.draw = eachFrame(() => this.work());
    this.timer = setInterval(() => this.draw(), 250);
    this.stopButton = find("stop");
    this.stopButton?.addEventListener("click", () => this.stop());
    this.follow();
  }

  get over() {
    return TERMINAL.includes(this.status);
  }

  /* Begin where the task begins: a log may be long. */
  async since() {
    const answer = await fetch(`${api}streams/${encodeURIComponent(stream)}/`).catch(() => null);
    return answer?.ok ? (await answer.json()).first_position - 1 : 0;
  }

  async follow() {
    this.log = connect(api, { stream: [stream, `${stream}:*`], since: await this.since() });
    this.log.addEventListener("entry", ({ entry }) => this.take(entry));
    this.log.addEventListener("state", this.draw);
    this.log.addEventListener("gap", ({ detail }) => this.missed(detail));
    this.log.addEventListener("error", ({ detail }) => this.refuse(`This job cannot be followed: ${detail.detail}`));
  }

  take(entry) {
    const { kind, payload, timestamp } = entry;
    this.events++;
    this.began ??= Date.parse(timestamp);
    this.last = Date.parse(timestamp);
    if (entry.stream === stream) this.takeOwn(kind, payload);
    else this.takeOfAttempt(Number(entry.stream.slice(stream.length + 1)), kind, payload);
    this.fresh.push(entry);
    if (this.fresh.length > LINES) this.fresh.shift();
    // A set of streams has no end; this one has come to its own.
    if (this.over && TERMINAL.includes(this.attempt?.status ?? "stopped")) this.log.close();
    this.draw();
  }

  takeOwn(kind, payload) {
    if (!Object.hasOwn(STEPS, kind) || this.over) return;
    this.status = STEPS[kind];
    if (!this.over) return;
    this.ended = this.last;
    this.reason = reasonOf(payload);
  }

  takeOfAttempt(number, kind, payload) {
    if (!(number >= (this.attempt?.number ?? 0))) return;
    if (number !== this.attempt?.number) {
      this.attempt = { number, status: null, reason: "" };
      this.done = this.total = null;
    }
    if (kind === "task.progress") this.progress(payload);
    if (!Object.hasOwn(STEPS, kind)) return;
    this.attempt.status = STEPS[kind];
    this.attempt.reason = reasonOf(payload);
  }

  /* Nobody is at work on it, and nobody knows whether somebody will be. */
  get waits() {
    return this.status === "running" && TERMINAL.includes(this.attempt?.status);
  }

  get shown() {
    return this.waits ? "waiting" : this.status;
  }

  /* Anybody who may emit can have sent it: believed only as far as it makes sense. */
  progress({ done, total }) {
    if (!Number.isFinite(done) || !Number.isFinite(total) || total <= 0) return;
    this.total = total;
    this.done = Math.min(Math.max(done, 0), total);
  }

  missed({ reason, lost }) {
    if (reason === "pruned" && this.events === 0) return; // of before this job, as far as we know
    this.note(`${count(lost ?? 0, "position")} of the log are gone (${reason}).`);
  }

  async stop() {
    this.stopping = true;
    this.refuse("");
    this.draw();
    try {
      const answer = await fetch(`${api}streams/${encodeURIComponent(stream)}/stop/`, {
        method: "POST",
        headers: {
          Accept: "application/json",
          "Content-Type": "application/json",
          "X-CSRFToken": document.querySelector("[name=csrfmiddlewaretoken]").value,
        },
        body: JSON.stringify({ reason: "stopped on the jobs page" }),
      });
      // 409: it has come to its end just before, which the stream tells by itself.
      if (!answer.ok && answer.status !== 409) {
        const body = await answer.json().catch(() => ({}));
        throw new Error(body.detail ?? `the server answered ${answer.status}`);
      }
    } catch (error) {
      this.refuse(`It could not be stopped: ${error.message}`);
    }
    this.stopping = false;
    this.draw();
  }

  refuse(text) {
    const refusal = find("refusal");
    refusal.hidden = !text;
    setText(refusal, text);
  }

  note(text) {
    find("timeline").prepend(element("tr", { class: "told" }, element("td", { colspan: "4" }, text)));
  }

  work() {
    const { log, attempt } = this;
    if (!log) return;
    const status = this.shown;
    setAttribute(page, "data-state", log.state);
    setText(find("state"), CONNECTION[log.state]);
    showBadge(find("badge"), status ?? "", this.reason && `: ${this.reason}`);
    if (lines.has(stream)) showBadge(lines.get(stream).badge, status);
    setText(find("attempt"), attempt ? attemptText(attempt) : "–");
    if (find("again")) find("again").hidden = !(this.waits && attempt.status === "failed");
    if (this.stopButton) {
      this.stopButton.hidden = this.over;
      this.stopButton.disabled = this.stopping || !this.events;
      setText(this.stopButton, this.stopping ? "Stopping…" : "Stop");
    }
    this.showProgress();
    setText(find("elapsed"), this.began === null ? "–" : duration((this.ended ?? Date.now() + skew) - this.began));
    setText(find("events"), format(this.events));
    this.showLines();
    if (this.over) clearInterval(this.timer);
  }

  showProgress() {
    const bar = find("bar");
    const known = this.done !== null;
    const [done, total] = known ? [this.done, this.total] : [this.status === "completed" ? 1 : 0, 1];
    bar.max = total;
    bar.value = done;
    setAttribute(bar, "data-status", this.shown ?? "");
    const far = known ? `${format(done)} of ${format(total)} (${Math.floor((100 * done) / total)} %)` : "";
    setText(find("text"), sentence(this.status, far, this.reason));
  }

  showLines() {
    const body = find("timeline");
    for (const entry of this.fresh.splice(0)) body.prepend(line(entry));
    while (body.rows.length > LINES) body.lastElementChild.remove();
  }
}

function sentence(status, far, reason) {
  const why = reason ? `: ${reason}` : "";
  switch (status) {
    case "completed":
      return far ? `Completed, ${far}` : "Completed";
    case "failed":
    case "stopped": {
      const how = status === "failed" ? "Failed" : "Stopped";
      return `${how} ${far ? `at ${far}` : "before anything was done"}${why}`;
    }
    default:
      return far || "Nothing done yet";
  }
}

function reasonOf({ reason }) {
  return typeof reason === "string" ? cut(reason, REASON) : "";
}

function attemptText({ number, status, reason }) {
  const how = status && status !== "running" ? ` ${status}${reason && `: ${reason}`}` : "";
  return `${number}${how}`;
}

function line({ stream: name, seq, timestamp, kind, payload }) {
  const text = JSON.stringify(payload);
  return element(
    "tr",
    { class: `${toneOf(familyOf(kind))}${isFailure(kind) ? " failure" : ""}` },
    element("td", { class: "seq" }, name === stream ? String(seq) : `${name.slice(stream.length + 1)}:${seq}`),
    element("td", { class: "time" }, element("time", { datetime: timestamp }, timestamp.slice(11, 23))),
    element("td", { class: "kind" }, kind),
    element("td", { class: "payload" }, text === "{}" ? "" : cut(text, PAYLOAD)),
  );
}

/* 12.3 s, 4:05 or 1:00:00 */
function duration(milliseconds) {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const two = (number) => String(number).padStart(2, "0");
  const whole = Math.floor(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

const job = stream ? new Job() : null;
