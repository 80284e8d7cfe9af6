/* A row of the list for an entry of the live log, with the columns that the server makes.
 * Text only: nothing that comes from a payload is ever parsed as HTML. */

const EXCERPT = 140;

export class RowMaker {
  constructor({ eventUrl, threadUrl, tones, zone }) {
    this.eventUrl = eventUrl;
    this.threadUrl = threadUrl;
    this.tones = Number(tones);
    this.time = formatter(zone);
  }

  make(entry) {
    const row = document.createElement("tr");
    row.className = "events-arrived";
    row.dataset.position = entry.position;
    const place = cell("th", "position", link(this.address("event", entry.position), entry.position));
    place.scope = "row";
    row.append(
      place,
      cell("td", "when nowrap", this.moment(entry.timestamp)),
      cell("td", "what", this.chip(entry.kind)),
      cell("td", "thread", entry.stream ? link(this.address("thread", entry.stream), entry.stream) : "–"),
      cell("td", "number", entry.seq ?? "–"),
      cell("td", "excerpt", excerpt(entry.payload)),
    );
    return row;
  }

  /* The addresses come with a 0 where the position or the name belongs. */
  address(what, name) {
    const [path, query] = (what === "event" ? this.eventUrl : this.threadUrl).split("?");
    const full = path.replace(/0\/$/, `${encodeURIComponent(name)}/`);
    return query ? `${full}?${query}` : full;
  }

  moment(timestamp) {
    const time = document.createElement("time");
    time.dateTime = timestamp;
    time.title = timestamp;
    time.textContent = this.time(timestamp);
    return time;
  }

  chip(kind) {
    const chip = document.createElement("span");
    chip.className = `events-kind events-tone-${tone(kind, this.tones)}`;
    chip.textContent = kind;
    return chip;
  }
}

function cell(name, field, content) {
  const made = document.createElement(name);
  made.className = `field-${field}`;
  made.append(content);
  return made;
}

function link(address, text) {
  const made = document.createElement("a");
  made.href = address;
  made.textContent = text;
  return made;
}

function excerpt(payload) {
  const code = document.createElement("code");
  code.className = "events-excerpt";
  const text = JSON.stringify(payload);
  code.textContent = visible(text.slice(0, EXCERPT)) + (text.length > EXCERPT ? "…" : "");
  return code;
}

/* As kinds.py has it: FNV-1a of the family. */
function tone(kind, tones) {
  let digest = 2166136261;
  for (const character of kind.split(".", 1)[0]) {
    digest = Math.imul(digest ^ character.charCodeAt(0), 16777619) >>> 0;
  }
  return digest % tones;
}

/* As visible.py has it: what has no shape, or moves its neighbours, is spelled out. */
const SUSPECT = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const JOINERS = new Set(["\u200c", "\u200d"]);

export function visible(text) {
  return text.replace(SUSPECT, (one) => (JOINERS.has(one) ? one : spelled(one)));
}

function spelled(character) {
  const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}

/* `2026-11-20 10:00:00.123` in the time zone of the server's pages, or in UTC if the browser does not
 * know that. */
function formatter(zone) {
  let format;
  const options = {
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  };
  try {
    format = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone });
  } catch {
    format = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: "UTC" });
  }
  return (timestamp) => {
    const part = Object.fromEntries(
      format.formatToParts(new Date(timestamp)).map(({ type, value }) => [type, value]),
    );
    const { year, month, day, hour, minute, second } = part;
    return `${year}-${month}-${day} ${hour}:${minute}:${second}.${timestamp.slice(20, 23)}`;
  };
}
