/* The live page. What follows the log is follower.js, what shows it the modules beside it; here they
 * are introduced to each other. */

import { count, eachFrame, format, setAttribute, setText } from "./dom.js";
import { Filters } from "./filters.js";
import { Follower } from "./follower.js";
import { Inspector } from "./inspector.js";
import { Rates } from "./rates.js";
import { Rows } from "./rows.js";
import { Streams } from "./streams.js";

const STATES = {
  connecting: "Connecting",
  "catching-up": "Catching up",
  live: "Live",
  offline: "Offline",
  closed: "Closed",
};
const TRANSPORTS = { ws: "WebSocket", sse: "SSE", poll: "Polling" };
const SKEW = 2000; // milliseconds below which a clock is not called wrong

const find = (name) => document.querySelector(`[data-part="${name}"]`);
const page = find("page");
const story = find("story");

function say(text) {
  setText(story, text);
}

// The parts

const rates = new Rates(find("rates"), (family) => {
  filters.set({ kind: filters.value.kind === family ? "" : family });
});

const rows = new Rows(find("rows"), {
  inspect: (entry) => inspector.show(entry),
  filter: (some) => filters.set(some),
  waiting: showWaiting,
});

const streams = new Streams(find("streams"), (stream) => filters.set({ stream }));

const inspector = new Inspector(find("inspector"), {
  move: (step) => rows.move(step),
  closed: () => {
    rows.focusSelected();
    rows.select(null);
  },
});

const showFacts = eachFrame(() => {
  const { state, position, head, received, delay, log } = follower;
  const known = position !== null && head !== null;
  const reading = state === "live" || state === "catching-up";
  setAttribute(page, "data-state", state);
  setText(find("state"), STATES[state]);
  setText(find("transport"), (reading && TRANSPORTS[log.transport]) || "–");
  setText(find("cursor"), position ?? "–");
  setText(find("head"), head ?? "–");
  setText(find("lag"), reading && known ? format(Math.max(0, head - position)) : "?");
  setText(find("delay"), delay === null || !reading ? "" : `${format(Math.round(delay))} ms after the emit`);
  setText(find("received"), format(received));
  find("empty").hidden = received > 0;
  const text = emptyText(state);
  setText(find("empty"), text);
  const drop = find("drop");
  setText(drop, follower.away ? "Reconnect now" : "Drop the connection");
  drop.disabled = !follower.canDrop;
});

function emptyText(state) {
  if (state !== "live") return "";
  return `${filters.isSet ? "Nothing like that lately" : "Nothing yet"}. What comes will be shown here.`;
}

let justResumed = false;

const follower = new Follower(page.dataset, {
  entry(entry, how) {
    rates.add(entry);
    streams.add(entry);
    rows.add({ entry, ...how });
    suggest(entry);
    showFacts();
  },
  gap({ reason, lost }) {
    const what = { ahead: "The log is shorter than it was", epoch: "This is another log now" }[reason];
    rows.add({ note: what ?? `${count(lost, "entry")} ${lost === 1 ? "was" : "were"} pruned`, tone: "gap" });
  },
  state({ state, outage, away, ended, log }) {
    showFacts();
    if (ended || away) return;
    if (state === "connecting" && !outage) say("Connecting…");
    if (state === "connecting" && outage) say(`Coming back to ${outage.position}…`);
    if (state === "catching-up") say(outage ? `Catching up from ${outage.position}…` : "Catching up…");
    if (state === "live" && !outage && !justResumed) say(`Live over ${TRANSPORTS[log.transport] ?? log.transport}.`);
    if (state === "offline" && !outage) say("The server does not answer. Trying again…");
    justResumed = false;
  },
  lost(how, position) {
    const text = `${how} at ${position}`;
    rows.add({ note: text, tone: "lost" });
    say(`${text}. What is emitted now is not missed: it waits in the log.`);
  },
  resumed({ position, caught, pruned, seconds }) {
    const loss = pruned ? `${count(pruned, "position")} pruned meanwhile` : "none lost";
    const text = `Resumed at ${position}, ${count(caught, "entry")} caught up, ${loss}`;
    rows.add({ note: text, tone: pruned ? "gap" : "resumed" });
    say(`${text}, after ${seconds.toFixed(1)} s without a connection.`);
    justResumed = true;
  },
  ended(reason) {
    rows.add({ note: `The stream has ended: ${reason}` });
    say(`The stream has ended: ${reason}.`);
  },
  refused(code, detail) {
    const signedOut = code === "unauthorized" || code === "forbidden";
    say(
      signedOut
        ? "You are not signed in any more, or may not read this. Reload the page."
        : `Closed by the server: ${(detail || code).replace(/\.$/, "")}.`,
    );
  },
});

const filters = new Filters(find("filters"), follow);

function follow() {
  rows.clear();
  rates.clear();
  inspector.close();
  const filter = filters.value;
  rates.press(filter.kind);
  if (!filters.complain()) {
    follower.reset();
    say(`This cannot be followed: ${filters.complaint}`);
    return;
  }
  follower.follow(filter);
}

// What can be chosen is what was seen.

const suggested = { stream: new Map(), kind: new Map() };
const SUGGESTIONS = 50;

function suggest(entry) {
  for (const [name, known] of Object.entries(suggested)) {
    const value = entry[name];
    if (!value || known.has(value)) continue;
    const option = document.createElement("option");
    option.value = value;
    known.set(value, option);
    document.getElementById(`${name}s`).prepend(option);
    if (known.size <= SUGGESTIONS) continue;
    const [oldest, gone] = known.entries().next().value;
    gone.remove();
    known.delete(oldest);
  }
}

// The buttons

find("drop").addEventListener("click", () => follower.drop());

const pause = find("pause");
pause.addEventListener("click", () => {
  rows.pause(!rows.paused);
  showWaiting(0);
});

function showWaiting(waiting) {
  setText(pause, rows.paused ? "Continue" : "Pause");
  const pill = find("waiting");
  pill.hidden = !waiting;
  if (waiting) setText(pill, rows.paused ? `Paused: ${format(waiting)} waiting` : `${format(waiting)} waiting while you point`);
}

const skew = Number(page.dataset.now) * 1000 - Date.now();
if (Math.abs(skew) > SKEW) rates.skew = follower.skew = skew;

follow();
