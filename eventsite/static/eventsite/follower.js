/* One view of the log at a time, through events.js, and the tale of its outages: where the connection
 * was lost, how many entries were caught up, and whether any had gone meanwhile. */

import { connect } from "../events/events.js";
import { kindsOf } from "./filters.js";

const BACKLOG = 300; // positions to begin with
const BACKLOG_FILTERED = 5000; // most of these are something else
const SAMPLES = 15; // of the delay
const SETTLE = 500; // milliseconds: twice the server's POLL_INTERVAL

export class Follower {
  /* `page` says where the API is, how long a connection that is dropped on purpose stays away, and
   * perhaps which `log`, and how many positions to begin with (`backlog`). */
  constructor(page, tell) {
    this.page = page;
    this.tell = tell;
    this.skew = 0;
    this.reset();
  }

  reset() {
    const log = this.log;
    this.log = null; // first: what it says while it closes is no news
    log?.close();
    clearTimeout(this.timer);
    clearTimeout(this.settling);
    this.settling = null;
    this.away = false;
    this.dropped = null;
    this.outage = null;
    this.wasLive = false;
    this.received = 0;
    this.delays = [];
    this.ended = null;
  }

  get state() {
    return this.away ? "offline" : (this.log?.state ?? "connecting");
  }

  get position() {
    return this.log?.position ?? null;
  }

  get head() {
    const { head, position } = this.log ?? {};
    return head === null || head === undefined ? null : Math.max(head, position ?? 0);
  }

  /* The middle one of the last delays from the emit to this page, in milliseconds. */
  get delay() {
    return this.delays.length ? this.delays.toSorted((a, b) => a - b)[this.delays.length >> 1] : null;
  }

  async follow(filter) {
    this.reset();
    this.tell.state(this);
    const turn = (this.turn = {});
    const since = await this.start(this.page.backlog ?? (filter.stream || filter.kind ? BACKLOG_FILTERED : BACKLOG));
    if (this.turn !== turn) return;
    this.options = { log: this.page.log, stream: filter.stream || undefined, kind: kindsOf(filter.kind) };
    if (filter.transport) this.options.transports = [filter.transport];
    this.connect({ since });
  }

  /* Some entries of the past, and none that was pruned: nobody has missed those. */
  async start(backlog) {
    try {
      const query = this.page.log ? `?log=${this.page.log}` : "";
      const answer = await fetch(`${this.page.api}head/${query}`, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(answer.status);
      const { head, floor } = await answer.json();
      return Math.max(floor, head - backlog);
    } catch {
      return "latest"; // events.js will say what is wrong, or wait until it is over
    }
  }

  connect(place) {
    const log = (this.log = connect(this.page.api, { ...this.options, ...place }));
    const on = (type, handle) => {
      log.addEventListener(type, ({ detail }) => this.log === log && handle.call(this, detail));
    };
    on("entry", this.onEntry);
    on("gap", this.onGap);
    on("state", this.onState);
    on("end", this.onEnd);
    on("error", this.onError);
    this.tell.state(this);
  }

  /* Hang up, stay away for a while, and come back to where we were: all that has to be remembered
   * is a position, and its epoch. `reconnect()` would do it at once, and nobody would see it. */
  drop() {
    if (this.away) return this.comeBack();
    const { position, epoch } = this.log;
    this.lose("Dropped", position);
    this.away = true;
    this.dropped = { since: position, epoch };
    this.log.close();
    this.timer = setTimeout(() => this.comeBack(), Number(this.page.away));
    this.tell.state(this);
  }

  comeBack() {
    clearTimeout(this.timer);
    this.away = false;
    this.connect(this.dropped);
  }

  get canDrop() {
    return this.away || this.state === "live" || this.state === "catching-up";
  }

  lose(how, position) {
    if (this.outage) return;
    this.outage = { position, began: performance.now(), caught: 0, pruned: 0 };
    this.tell.lost(how, position);
  }

  onEntry(entry) {
    this.received++;
    const live = this.log.state === "live" && !this.outage;
    if (this.outage) this.outage.caught++;
    if (live) {
      this.delays.push(Math.max(0, Date.now() + this.skew - Date.parse(entry.timestamp)));
      if (this.delays.length > SAMPLES) this.delays.shift();
    }
    this.tell.entry(entry, { fresh: live, caughtUp: Boolean(this.outage) });
  }

  onGap(gap) {
    if (this.outage) this.outage.pruned += gap.lost ?? 0;
    this.tell.gap(gap);
  }

  onState({ state, position }) {
    if (this.away) return;
    if (state === "offline" && this.wasLive) this.lose("Connection lost", position);
    if (state === "live") {
      this.wasLive = true;
      if (this.outage) this.settling ??= setTimeout(() => this.settle(), SETTLE);
    }
    this.tell.state(this);
  }

  /* The tale is told a moment after the log is live: a server process that nobody was connected to has
   * yet to look at what other processes have emitted meanwhile. */
  settle() {
    this.settling = null;
    if (!this.outage || this.state !== "live") return;
    const seconds = (performance.now() - this.outage.began) / 1000;
    this.tell.resumed({ ...this.outage, seconds });
    this.outage = null;
    this.tell.state(this);
  }

  onEnd(end) {
    if (end.reconnect) return;
    this.ended = end.reason;
    this.tell.ended(end.reason);
  }

  onError({ code, detail }) {
    this.ended = code;
    this.tell.refused(code, detail);
  }
}
