/* The list: newest on top, never more than MAX rows, changed once a frame at the most.
 *
 * It is a grid in the sense of ARIA: one stop of the Tab key, and the arrow keys go about in it. While
 * it is paused, or somebody is pointing at it, what comes waits: a row must not move away from under
 * a hand. */

import { eachFrame, element } from "./dom.js";
import { familyOf, isFailure, toneOf } from "./kinds.js";

export const MAX = 300;

const STEADY = 1500; // milliseconds after the pointer has moved
const PREVIEW = 300; // characters of a payload
const FLASHES = 15; // rows that may light up at a time: where all do, none is pointed out
const FLASH = 1400; // milliseconds, as in site.css

export class Rows {
  constructor(grid, { inspect, filter, waiting }) {
    this.grid = grid;
    this.actions = { inspect, filter };
    this.waiting = waiting;
    this.queue = []; // what comes next, oldest first
    this.missed = 0; // of those that wait, the ones that the list would have dropped anyway
    this.entries = new WeakMap(); // row -> entry
    this.paused = false;
    this.steadyUntil = 0;
    this.flashing = 0;
    this.flush = eachFrame(() => this.work());
    grid.addEventListener("click", (event) => this.click(event));
    grid.addEventListener("keydown", (event) => this.key(event));
    grid.addEventListener("focusin", (event) => this.stop(event.target));
    grid.addEventListener("pointermove", (event) => this.point(event));
    grid.addEventListener("pointerleave", () => (this.steadyUntil = 0));
  }

  add(item) {
    this.queue.push(item);
    // Also in a hidden tab, where there are no frames, and in a pause that lasts the night.
    if (this.queue.length > 2 * MAX) this.missed += this.queue.splice(0, MAX).length;
    this.flush();
  }

  clear() {
    this.queue = [];
    this.missed = 0;
    this.grid.replaceChildren();
    this.select(null);
    this.waiting(0);
  }

  pause(paused) {
    this.paused = paused;
    this.flush();
  }

  get held() {
    return this.paused || performance.now() < this.steadyUntil;
  }

  point(event) {
    // A finger scrolls; it does not hover.
    if (event.pointerType === "touch") return;
    this.steadyUntil = performance.now() + STEADY;
    clearTimeout(this.timer);
    this.timer = setTimeout(this.flush, STEADY + 20);
  }

  work() {
    if (this.held) {
      this.waiting(this.queue.length + this.missed);
      return;
    }
    const fragment = document.createDocumentFragment();
    for (const item of this.queue.splice(0).slice(-MAX)) fragment.prepend(this.render(item));
    this.missed = 0;
    this.waiting(0);
    this.grid.prepend(fragment);
    this.trim();
    if (!this.grid.querySelector("[tabindex='0']")) this.stop(this.grid.querySelector("button"));
  }

  /* From below, but not the row that has the focus. */
  trim() {
    while (this.grid.childElementCount > MAX) {
      const last = this.grid.lastElementChild;
      (last.contains(document.activeElement) ? last.previousElementSibling : last).remove();
    }
  }

  render(item) {
    return item.note ? renderNote(item) : this.renderEntry(item.entry, item);
  }

  renderEntry(entry, { fresh, caughtUp }) {
    const row = element("div", { role: "row", class: `row ${toneOf(familyOf(entry.kind))}` });
    if (fresh) this.flash(row);
    if (caughtUp) row.classList.add("caught-up");
    if (isFailure(entry.kind)) row.classList.add("failure");
    const [, time] = entry.timestamp.split("T");
    row.append(
      cell("position", String(entry.position)),
      cell("time", element("time", { datetime: entry.timestamp }, time.slice(0, 12))),
      cell("kind", button("kind", entry.kind, `Only ${entry.kind}`)),
      cell("stream", entry.stream ? button("stream", entry.stream, `Only ${entry.stream}`) : "—"),
      cell("payload", button("payload", preview(entry.payload), "Show the payload")),
    );
    this.entries.set(row, entry);
    return row;
  }

  flash(row) {
    if (this.flashing >= FLASHES) return;
    this.flashing++;
    setTimeout(() => this.flashing--, FLASH);
    row.classList.add("fresh");
  }

  click(event) {
    const row = event.target.closest(".row");
    if (!row) return;
    const entry = this.entries.get(row);
    const use = event.target.closest("button")?.dataset.use;
    if (use === "kind" || use === "stream") this.actions.filter({ [use]: entry[use] });
    else this.choose(row);
  }

  choose(row) {
    this.select(row);
    this.actions.inspect(this.entries.get(row));
  }

  select(row) {
    this.grid.querySelector("[aria-selected]")?.removeAttribute("aria-selected");
    row?.setAttribute("aria-selected", "true");
    this.selected = row;
  }

  /* The row above (1) or below (-1) the selected one, if there is any. */
  neighbour(step) {
    const next = step > 0 ? "previousElementSibling" : "nextElementSibling";
    let row = this.selected?.isConnected ? this.selected[next] : null;
    while (row && !this.entries.has(row)) row = row[next];
    return row;
  }

  move(step) {
    const row = this.neighbour(step);
    if (!row) return;
    row.scrollIntoView({ block: "nearest" });
    this.choose(row);
  }

  /* Back to where the inspector was called from. */
  focusSelected() {
    (this.selected?.isConnected ? this.selected : this.grid)
      .querySelector("button[data-use=payload]")
      ?.focus();
  }

  key(event) {
    const at = event.target.closest("button");
    if (!at || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = this.target(event.key, at);
    if (!to) return;
    event.preventDefault();
    to.focus();
  }

  target(key, at) {
    const row = at.closest(".row");
    const buttons = [...row.querySelectorAll("button")];
    const column = buttons.indexOf(at);
    const rows = () => [...this.grid.querySelectorAll(".row")];
    const inRow = (row) =>
      row?.querySelector(`[data-use=${at.dataset.use}]`) ?? row?.querySelector("[data-use=payload]");
    switch (key) {
      case "ArrowUp":
        return inRow(rows()[rows().indexOf(row) - 1]);
      case "ArrowDown":
        return inRow(rows()[rows().indexOf(row) + 1]);
      case "ArrowLeft":
        return buttons[column - 1];
      case "ArrowRight":
        return buttons[column + 1];
      case "Home":
        return inRow(rows()[0]);
      case "End":
        return inRow(rows().at(-1));
    }
  }

  /* The one button that Tab goes to. */
  stop(at) {
    if (!at?.matches("button")) return;
    for (const other of this.grid.querySelectorAll("[tabindex='0']")) other.tabIndex = -1;
    at.tabIndex = 0;
  }
}

function renderNote({ note, tone = "" }) {
  const text = element("div", { role: "gridcell", "aria-colspan": "5" }, note);
  return element("div", { role: "row", class: `note ${tone}` }, text);
}

function cell(name, content) {
  return element("div", { role: "gridcell", class: `cell ${name}` }, content);
}

function button(use, text, title) {
  const label = use === "payload" ? { "aria-label": title } : { title };
  return element("button", { type: "button", class: "plain", tabindex: "-1", "data-use": use, ...label }, text);
}

function preview(payload) {
  const text = JSON.stringify(payload);
  return text.length > PREVIEW ? `${text.slice(0, PREVIEW)}…` : text;
}
