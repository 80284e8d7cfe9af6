/* The streams that were heard of last, the newest on top, each with its last event. */

import { eachFrame, element, setAttribute, setText } from "./dom.js";
import { familyOf, isFailure, toneOf } from "./kinds.js";

const MAX = 6;

export class Streams {
  constructor(list, choose) {
    this.list = list;
    this.choose = choose;
    this.lines = new Map(); // stream -> {item, kind, entry}, the one that has been there longest first
    this.draw = eachFrame(() => this.work());
  }

  add(entry) {
    if (!entry.stream) return;
    // A stream keeps its place while it is here: a list that sorts itself cannot be read.
    if (!this.lines.has(entry.stream)) this.lines.set(entry.stream, {});
    this.lines.get(entry.stream).entry = entry;
    if (this.lines.size > 4 * MAX) this.dropQuietest();
    this.draw();
  }

  dropQuietest() {
    const quietest = [...this.lines].reduce((a, b) => (a[1].entry.position < b[1].entry.position ? a : b));
    quietest[1].item?.remove();
    this.lines.delete(quietest[0]);
  }

  work() {
    while (this.lines.size > MAX) this.dropQuietest();
    for (const [stream, line] of this.lines) {
      if (!line.item) this.addLine(stream, line);
      const { kind } = line.entry;
      setText(line.kind, kind);
      setAttribute(line.kind, "class", `${toneOf(familyOf(kind))}${isFailure(kind) ? " failure" : ""}`);
    }
  }

  addLine(stream, line) {
    line.kind = element("span");
    const name = element("span", { class: "name" }, stream);
    const button = element("button", { type: "button", class: "plain", title: `Only ${stream}` }, name, line.kind);
    button.addEventListener("click", () => this.choose(stream));
    line.item = element("li", {}, button);
    this.list.prepend(line.item);
  }
}
