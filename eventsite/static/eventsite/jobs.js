/* The jobs page. All that it knows of a job it reads from the job's stream, from the beginning each
 * time: a reload in the middle shows what was there before it, and a restarted server is resumed. */

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
const STATUSES = ["running", "waiting", ...TERMINAL];

const RECENT = 12; // jobs in the list
const LOOKED_AT = 100; // streams of each status, among which they are found
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

const isJob = (one) => one.stream.startsWith("job-");

/* Status by status, so that however many streams without a life there are, no job is lost among them. */
async function look() {
  const found = (await Promise.all(STATUSES.map(streamsThat))).flat().filter(isJob);
  // A stream that changed its status meanwhile is found twice, and the later look is as good.
  const newest = [...new Map(found.map((one) => [one.stream, one])).values()];
  newest.sort((a, b) => b.first_position - a.first_position);
  showRecent(newest.slice(0, RECENT));
}

async function streamsThat(status) {
  const answer = await fetch(`${api}streams/?status=${status}&limit=${LOOKED_AT}`, {
    headers: { Accept: "application/json" },
  });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  return (await answer.json()).results;
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
    showBadge(lines.get(one.stream).badge, one.status);
  }
  setText(find("none"), "None yet.");
  find("none").hidden = lines.size > 0;
}

function addLine(name) {
  const badge = element("span", { class: "badge" });
  const link = element("a", { href: `${jobs}${encodeURIComponent(name)}/` }, element("span", { class: "name" }, name), badge);
  if (name === stream) link.setAttribute("aria-current", "page");
  const item = element("li", {}, link);
  lines.set(name, { item, badge });
  recent.prepend(item);
}

function showBadge(badge, status, more = "") {
  setAttribute(badge, "data-status", status);
  setText(badge, (status || "unopened") + more);
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

// The journal, which the site's handler writes

const journal = connect(api, { stream: "journal", last: 12 });
journal.addEventListener("entry", ({ entry }) => {
  const { job, outcome, events } = entry.payload;
  const text = `${cut(String(job), REASON)} ${outcome}, ${count(Number(events), "event")}`;
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
    return TERMINAL.includes(this.status) || this.status === "deleted";
  }

  follow() {
    this.log = connect(api, { stream, since: 0 });
    this.log.addEventListener("entry", ({ entry }) => this.take(entry));
    this.log.addEventListener("state", this.draw);
    this.log.addEventListener("gap", ({ detail }) => this.missed(detail));
    this.log.addEventListener("end", ({ detail }) => this.end(detail));
    this.log.addEventListener("error", ({ detail }) => this.refuse(`This job cannot be followed: ${detail.detail}`));
  }

  take(entry) {
    const { kind, payload, timestamp } = entry;
    this.events++;
    this.began ??= Date.parse(timestamp);
    this.last = Date.parse(timestamp);
    if (kind === "job.progress") this.progress(payload);
    if (Object.hasOwn(STEPS, kind)) this.step(STEPS[kind], payload);
    this.fresh.push(entry);
    if (this.fresh.length > LINES) this.fresh.shift();
    this.draw();
  }

  /* Anybody who may emit can have sent it: believed only as far as it makes sense. */
  progress({ done, total }) {
    if (!Number.isFinite(done) || !Number.isFinite(total) || total <= 0) return;
    this.total = total;
    this.done = Math.min(Math.max(done, 0), total);
  }

  step(status, { reason }) {
    if (this.over) return;
    this.status = status;
    if (!this.over) return;
    this.ended = this.last;
    this.reason = typeof reason === "string" ? cut(reason, REASON) : "";
  }

  /* The last word of the server; the event that says the same has come before it. */
  end({ reason, reconnect }) {
    if (reconnect) return;
    if (!this.over) {
      this.status = TERMINAL.includes(reason) || reason === "deleted" ? reason : this.status;
      this.ended = this.last ?? null;
    }
    this.draw();
    refresh();
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
    const { status, log } = this;
    setAttribute(page, "data-state", log.state);
    setText(find("state"), CONNECTION[log.state]);
    showBadge(find("badge"), status ?? (this.events ? "" : "starting"), this.reason && `: ${this.reason}`);
    if (lines.has(stream) && status) showBadge(lines.get(stream).badge, status);
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
    setAttribute(bar, "data-status", this.status ?? "");
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
    case "deleted":
      return "This job was deleted";
    default:
      return far || "Nothing done yet";
  }
}

function line({ seq, timestamp, kind, payload }) {
  const text = JSON.stringify(payload);
  return element(
    "tr",
    { class: `${toneOf(familyOf(kind))}${isFailure(kind) ? " failure" : ""}` },
    element("td", { class: "seq" }, String(seq)),
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

if (stream) new Job();
