/* The live switch: follow the log from where the page stands, and while nobody reads put what the
 * server makes of the page now in the place of its rows. */

import { connect } from "../events.js";

const KEPT = "events.admin.live"; // in localStorage
const SCROLLED = 60; // pixels below the top of the list from which one is reading
const APART = 300; // milliseconds between two looks at the server, at the least
const AWAY = 3000; // and after one that failed

export class Live {
  constructor(place) {
    this.place = place;
    this.options = place.dataset;
    this.list = document.getElementById("changelist-form");
    this.state = place.querySelector("[data-state]");
    this.switch = place.querySelector("[data-switch]");
    this.button = document.querySelector("[data-events-new]");
    this.news = 0; // events that are not shown yet
    this.since = Number(this.options.since);
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
    this.list.addEventListener("pointerleave", () => this.settle());
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
    const { since, epoch } = this;
    const filter = { ...(kind && { kind }), ...(stream && { stream }) };
    const followed = connect(api, { log, since, epoch, heartbeat: Number(heartbeat), ...filter });
    this.log = followed;
    // What a log that was closed meanwhile still says is not about this one.
    const on = (type, then) =>
      followed.addEventListener(type, (event) => this.log === followed && then(event.detail));
    on("entry", (entry) => {
      this.since = entry.position;
      this.epoch = followed.epoch ?? this.epoch;
      this.news += 1;
      this.due ??= requestAnimationFrame(() => this.settle());
    });
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
    this.tell();
  }

  /* `says-catching-up` is `saysCatchingUp` here. */
  text(name) {
    return this.options[`says-${name}`.replace(/-(.)/g, (_, letter) => letter.toUpperCase())] ?? "";
  }

  tell() {
    const { state } = this.place.dataset;
    const paused = state === "live" && !this.button.hidden;
    const text = paused ? this.text("paused") : this.text(state ?? "");
    if (this.state.textContent !== text) this.state.textContent = text;
    const news = this.text(this.news === 1 ? "one" : "many").replace("{n}", this.news);
    if (this.button.textContent !== news) this.button.textContent = news;
  }

  /* Somebody reads: the pointer rests on the list, a text is selected, or it is scrolled down. */
  get isRead() {
    const selected = document.getSelection()?.isCollapsed === false;
    return selected || this.list.matches(":hover") || this.list.getBoundingClientRect().top < -SCROLLED;
  }

  settle() {
    cancelAnimationFrame(this.due);
    this.due = null;
    if (!this.news || this.looking) return;
    this.button.hidden = !this.isRead;
    if (this.button.hidden) this.show();
    else this.tell();
  }

  async show() {
    if (this.looking) return;
    this.looking = true;
    const { news } = this;
    let apart = APART;
    try {
      const answer = await fetch(location.href);
      this.renew(new DOMParser().parseFromString(await answer.text(), "text/html"));
      this.news -= news;
      this.button.hidden = true;
    } catch {
      apart = AWAY;
    }
    this.tell();
    setTimeout(() => {
      this.looking = false;
      this.settle();
    }, apart);
  }

  renew(page) {
    const fresh = page.getElementById("changelist-form");
    // Who has been signed out meanwhile is to see that.
    if (!fresh) return location.reload();
    const known = new Set(addresses(this.list));
    for (const row of fresh.querySelectorAll("tbody tr")) {
      row.classList.toggle("events-arrived", !known.has(addresses(row)[0]));
    }
    // In some looks of the admin these are not in the form.
    for (const part of ["[data-events-facts]", ".events-paginator"]) {
      document.querySelector(part).replaceWith(page.querySelector(part).cloneNode(true));
    }
    this.list.replaceChildren(...fresh.childNodes);
  }
}

function addresses(part) {
  return [...part.querySelectorAll(".field-position a")].map((link) => link.getAttribute("href"));
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
