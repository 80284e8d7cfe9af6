/* The chart: how many events a second, by family, over the last minute. An entry is drawn at the time
 * that it was emitted, not when it came: what is caught up after an outage fills the hole it left. */

import { count, element, format, setAttribute, setText, svgElement } from "./dom.js";
import { familyOf, toneOf } from "./kinds.js";

const SECONDS = 60;
const HEIGHT = 100;
const GAP = 0.18; // between two columns, of a column
const NAMED = 8; // families; what is rarer is drawn as one
const OTHERS = "others";
const STEPS = [1, 2, 5];

export class Rates {
  constructor(section, choose) {
    this.svg = section.querySelector("svg");
    this.top = section.querySelector("[data-top]");
    this.summary = section.querySelector("[data-summary]");
    this.legend = section.querySelector("[data-legend]");
    this.choose = choose;
    this.skew = 0; // milliseconds that the server's clock is ahead of ours
    this.seconds = new Map(); // second -> family -> count
    this.items = new Map(); // family -> its line of the legend
    this.bars = [];
    this.lit = null;
    this.pressed = "";
    setInterval(() => this.draw(), 500);
  }

  clear() {
    this.seconds.clear();
    this.draw();
  }

  add(entry) {
    const second = Math.floor(Date.parse(entry.timestamp) / 1000);
    if (!(second > this.now() - SECONDS)) return;
    const families = this.seconds.get(second) ?? new Map();
    const family = familyOf(entry.kind);
    families.set(family, (families.get(family) ?? 0) + 1);
    this.seconds.set(second, families);
  }

  now() {
    return Math.floor((Date.now() + this.skew) / 1000);
  }

  draw() {
    if (document.hidden) return;
    const now = this.now();
    for (const second of this.seconds.keys()) {
      if (second <= now - SECONDS) this.seconds.delete(second);
    }
    const totals = this.totals();
    const named = this.nameFamilies(totals);
    this.drawBars(now, named);
    this.drawLegend(totals, named);
    this.tell(totals);
  }

  totals() {
    const totals = new Map();
    for (const families of this.seconds.values()) {
      for (const [family, number] of families) {
        totals.set(family, (totals.get(family) ?? 0) + number);
      }
    }
    return totals;
  }

  /* Those that have a line stay, in their order, for nothing is to jump; new ones join while there
   * is room. */
  nameFamilies(totals) {
    const named = [...this.items.keys()].filter((family) => family !== OTHERS);
    const waiting = [...totals.keys()].filter((family) => !named.includes(family));
    waiting.sort((a, b) => totals.get(b) - totals.get(a));
    const families = [...named, ...waiting.slice(0, NAMED - named.length)].sort();
    return new Set(families);
  }

  drawBars(now, named) {
    const columns = [];
    let highest = 0;
    // The second that has begun is not full yet, and grows while one watches.
    for (let at = 0; at < SECONDS; at++) {
      const families = this.seconds.get(now - SECONDS + 1 + at);
      if (!families) continue;
      const column = stack(families, named);
      columns.push([at, column]);
      highest = Math.max(highest, column.reduce((sum, [, number]) => sum + number, 0));
    }
    const top = niceTop(highest);
    setText(this.top, `${format(top)} / s`);
    let used = 0;
    for (const [at, column] of columns) {
      let floor = HEIGHT;
      for (const [family, number] of column) {
        const height = (number / top) * HEIGHT;
        floor -= height;
        this.drawBar(used++, at, floor, height, family);
      }
    }
    for (const bar of this.bars.splice(used)) bar.remove();
  }

  drawBar(index, at, y, height, family) {
    let bar = this.bars[index];
    if (!bar) {
      bar = svgElement("rect", { width: 1 - GAP });
      this.bars.push(bar);
      this.svg.append(bar);
    }
    setAttribute(bar, "x", at + GAP / 2);
    setAttribute(bar, "y", y.toFixed(2));
    setAttribute(bar, "height", height.toFixed(2));
    const faint = this.lit && this.lit !== family ? " faint" : "";
    setAttribute(bar, "class", (family === OTHERS ? "tone-none" : toneOf(family)) + faint);
  }

  drawLegend(totals, named) {
    for (const family of named) {
      if (!this.items.has(family)) this.addItem(family);
      const { button, number } = this.items.get(family);
      setText(number, format(totals.get(family) ?? 0));
      setAttribute(button, "aria-pressed", this.pressed === family || this.pressed === `${family}.*`);
    }
    const others = [...totals].filter(([family]) => !named.has(family));
    if (others.length && !this.items.has(OTHERS)) this.addItem(OTHERS);
    const rest = this.items.get(OTHERS);
    if (rest) setText(rest.number, format(others.reduce((sum, [, number]) => sum + number, 0)));
  }

  addItem(family) {
    const number = element("span", { class: "number" }, "0");
    const tone = family === OTHERS ? "tone-none" : toneOf(family);
    const label = element("span", { class: "name" }, family);
    const swatch = element("span", { class: `swatch ${tone}`, "aria-hidden": "true" });
    const button = element("button", { type: "button", class: "plain" }, swatch, label, number);
    if (family === OTHERS) button.disabled = true;
    button.addEventListener("click", () => this.choose(family));
    for (const [event, lit] of [["pointerenter", family], ["focus", family], ["pointerleave", null], ["blur", null]]) {
      button.addEventListener(event, () => {
        this.lit = lit;
        this.draw();
      });
    }
    const item = element("li", {}, button);
    this.items.set(family, { item, button, number });
    const order = [...this.items.keys()].sort((a, b) => (a === OTHERS) - (b === OTHERS) || (a < b ? -1 : 1));
    const next = order[order.indexOf(family) + 1];
    this.legend.insertBefore(item, next ? this.items.get(next).item : null);
  }

  /* The families that are filtered by. */
  press(kind) {
    this.pressed = kind;
    this.draw();
  }

  tell(totals) {
    const sum = [...totals.values()].reduce((a, b) => a + b, 0);
    setText(this.summary, `${format(sum)} in 60 s`);
    const by = [...totals].sort((a, b) => b[1] - a[1]).map(([family, number]) => `${family} ${number}`);
    const text = by.length ? `${count(sum, "event")}: ${by.slice(0, NAMED).join(", ")}` : "none";
    setAttribute(this.svg, "aria-label", `Events of the last minute, by kind. ${text}.`);
  }
}

function stack(families, named) {
  const column = [];
  let others = 0;
  for (const [family, number] of families) {
    if (named.has(family)) column.push([family, number]);
    else others += number;
  }
  column.sort(([a], [b]) => (a < b ? -1 : 1));
  if (others) column.push([OTHERS, others]);
  return column;
}

/* The next of 5, 10, 20, 50, …: a scale that moves seldom. */
function niceTop(highest) {
  for (let power = 1; ; power *= 10) {
    for (const step of STEPS) if (step * power >= Math.max(highest, 5)) return step * power;
  }
}
