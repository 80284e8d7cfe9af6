/* The live switch: follow the log from where the page stands, and let new rows in at the top while
 * nobody reads. */

import { connect } from "../events.js";
import { RowMaker } from "./rows.js";

const KEPT = "events.admin.live"; // in localStorage
const SCROLLED = 60; // pixels below the top of the table from which one is reading

export class Live {
  constructor(place) {
    this.place = place;
    this.options = place.dataset;
    this.list = document.getElementById("result_list");
    this.state = place.querySelector("[data-state]");
    this.switch = place.querySelector("[data-switch]");
    this.button = document.querySelector("[data-events-new]");
    this.maker = new RowMaker(this.options);
    this.waiting = [];
    this.hovered = false;
    this.position = Number(this.options.since);
    this.epoch = this.options.epoch;
    place.hidden = false;
    this.listen();
    this.switch.checked = kept();
    if (this.switch.checked) this.start();
  }

  listen() {
    this.switch.addEventListener("change", () => {
      keep(this.switch.checked);
      if (this.switch.checked) this.start();
      else this.stop();
    });
    this.button.addEventListener("click", () => this.show());
    this.list?.addEventListener("pointerenter", () => (this.hovered = true));
    this.list?.addEventListener("pointerleave", () => {
      this.hovered = false;
      this.settle();
    });
    document.addEventListener("selectionchange", () => this.settle());
    document.addEventListener("scroll", () => this.settle(), { passive: true, capture: true });
    // A page that comes back from the browser's memory has a connection that does not.
    window.addEventListener("pageshow", (event) => {
      if (event.persisted && this.switch.checked) this.start();
    });
    window.addEventListener("pagehide", () => this.log?.close());
  }

  start() {
    this.log?.close();
    const { api, log, kind, stream, heartbeat } = this.options;
    this.log = connect(api, {
      log,
      since: this.position,
      epoch: this.epoch,
      heartbeat: Number(heartbeat),
      ...(kind && { kind }),
      ...(stream && { stream }),
    });
    const { log: followed } = this;
    // What a log that was closed meanwhile still says is not about this one.
    const on = (type, then) =>
      followed.addEventListener(type, (event) => this.log === followed && then(event.detail));
    on("entry", (entry) => this.take(entry));
    on("state", ({ state }) => this.say(state));
    on("gap", () => this.say("gap"));
    on("end", ({ reconnect }) => reconnect || this.say("end"));
    on("error", () => this.say("error"));
  }

  stop() {
    const followed = this.log;
    this.log = null;
    followed?.close();
    this.say("");
  }

  say(name) {
    // "Closed" would hide why.
    if (name === "closed" && ["end", "error"].includes(this.place.dataset.state)) return;
    this.place.dataset.state = name;
    this.told = name ? this.text(name) : "";
    this.tell();
  }

  /* `says-catching-up` is `saysCatchingUp` here. */
  text(name) {
    const camel = `says-${name}`.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
    return this.options[camel] ?? "";
  }

  tell() {
    const paused = this.waiting.length && this.place.dataset.state === "live";
    const text = paused ? this.text("paused") : this.told;
    if (this.state.textContent !== text) this.state.textContent = text ?? "";
  }

  showHead(position) {
    const [head, kept] = ["head", "kept"].map((name) => document.querySelector(`[data-events-${name}]`));
    if (!head) return;
    head.textContent = position;
    // As many more as there are positions: what is removed meanwhile is seen when the page is loaded anew.
    kept.textContent = Number(kept.dataset.eventsKept) + position - Number(kept.dataset.head);
  }

  take(entry) {
    this.position = entry.position;
    this.epoch = this.log.epoch ?? this.epoch;
    this.showHead(Math.max(this.log.head ?? 0, entry.position));
    this.waiting.push(entry);
    // More than the list holds would only push one another out.
    if (this.waiting.length > 2 * this.most) this.waiting.splice(0, this.most);
    this.count = (this.count ?? 0) + 1;
    if (!this.due) this.due = requestAnimationFrame(() => this.settle());
  }

  get most() {
    return Number(this.options.most);
  }

  /* Somebody reads: the pointer rests on the table, a text is selected, or it is scrolled down. */
  get isRead() {
    const selection = document.getSelection();
    return (
      this.hovered ||
      (selection && !selection.isCollapsed) ||
      (this.list && this.list.getBoundingClientRect().top < -SCROLLED)
    );
  }

  settle() {
    cancelAnimationFrame(this.due);
    this.due = null;
    if (!this.waiting.length) return;
    if (this.isRead) this.offer();
    else this.show();
  }

  offer() {
    const one = this.count === 1;
    const text = one ? this.text("one") : this.text("many").replace("%(count)s", this.count);
    if (this.button.textContent !== text) this.button.textContent = text;
    this.button.hidden = false;
    this.tell();
  }

  show() {
    const body = this.list?.tBodies[0];
    if (!body) {
      // An empty list has no table; the server makes one of the first rows.
      location.reload();
      return;
    }
    const rows = this.waiting.slice(-this.most).map((entry) => this.maker.make(entry));
    body.prepend(...rows.reverse());
    while (body.rows.length > this.most) body.lastElementChild.remove();
    this.waiting = [];
    this.count = 0;
    this.button.hidden = true;
    this.tell();
  }
}

function kept() {
  try {
    return localStorage.getItem(KEPT) === "on";
  } catch {
    return false; // a browser that keeps nothing
  }
}

function keep(on) {
  try {
    localStorage.setItem(KEPT, on ? "on" : "off");
  } catch {
    // The switch works all the same.
  }
}
