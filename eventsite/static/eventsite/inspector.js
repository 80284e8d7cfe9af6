/* One entry, whole: beside the list where there is room, over it on a phone. */

import { element } from "./dom.js";
import { familyOf, isFailure, toneOf } from "./kinds.js";

const WIDE = matchMedia("(min-width: 64rem)");

export class Inspector {
  constructor(dialog, { move, closed }) {
    this.dialog = dialog;
    this.title = dialog.querySelector("[data-title]");
    this.facts = dialog.querySelector("[data-facts]");
    this.json = dialog.querySelector("[data-json]");
    this.copied = dialog.querySelector("[data-copied]");
    dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
    this.copyButton = dialog.querySelector("[data-copy]");
    this.copyButton.addEventListener("click", () => this.copy());
    dialog.querySelector("[data-newer]").addEventListener("click", () => move(1));
    dialog.querySelector("[data-older]").addEventListener("click", () => move(-1));
    dialog.addEventListener("close", closed);
    // One that is not modal has no Escape of its own.
    dialog.addEventListener("keydown", (event) => event.key === "Escape" && dialog.close());
    // A click beside it: on the dialog itself, and on nothing in it.
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    WIDE.addEventListener("change", () => this.dialog.open && this.dialog.close());
  }

  show(entry) {
    this.entry = entry;
    this.title.textContent = entry.kind;
    this.title.className = toneOf(familyOf(entry.kind));
    this.title.classList.toggle("failure", isFailure(entry.kind));
    this.facts.replaceChildren(
      ...fact("Position", String(entry.position)),
      ...fact("Stream", entry.stream ? `${entry.stream} · ${entry.seq}` : "none"),
      ...fact("UTC", entry.timestamp.replace("T", " ").replace("Z", "")),
    );
    this.json.textContent = JSON.stringify(entry.payload, null, 2);
    this.say("", "Copy");
    this.open();
  }

  open() {
    if (this.dialog.open) return;
    if (WIDE.matches) this.dialog.show();
    else this.dialog.showModal();
    this.title.focus({ preventScroll: true });
  }

  close() {
    if (this.dialog.open) this.dialog.close();
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(JSON.stringify(this.entry, null, 2));
      this.say("The entry is copied.", "Copied");
    } catch {
      // Without HTTPS there is no clipboard: select it, so that the keyboard can copy.
      getSelection().selectAllChildren(this.json);
      this.say("The payload is selected. Press Ctrl+C.", "Ctrl+C");
    }
  }

  say(text, label) {
    this.copied.textContent = text;
    this.copyButton.textContent = label;
  }
}

function fact(name, value) {
  return [element("dt", {}, name), element("dd", {}, value)];
}
