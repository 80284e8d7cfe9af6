/* What somebody sees who is not signed in: the newest events of the log that anybody may watch. */

import { count, element, setText } from "./dom.js";
import { Follower } from "./follower.js";
import { familyOf, isFailure, toneOf } from "./kinds.js";

const SHOWN = 8;
const STATES = { "catching-up": "Catching up", live: "Live", offline: "Offline", closed: "Closed" };

const find = (name) => document.querySelector(`[data-part="${name}"]`);
const page = find("page");
const list = find("entries");

function show(line) {
  list.prepend(line);
  while (list.children.length > SHOWN) list.lastElementChild.remove();
}

function note(text) {
  show(element("li", { class: "note" }, text));
}

function update({ state, position, away, canDrop }) {
  page.dataset.state = state;
  setText(find("state"), STATES[state] ?? "Connecting");
  setText(find("cursor"), String(position ?? "–"));
  setText(find("drop"), away ? "Reconnect now" : "Drop the connection");
  find("drop").disabled = !canDrop;
}

const follower = new Follower(
  { api: page.dataset.api, log: "showcase", away: 3000, backlog: SHOWN },
  {
    entry({ position, kind, stream }, { fresh, caughtUp }) {
      const kindClass = `kind ${toneOf(familyOf(kind))}${isFailure(kind) ? " failure" : ""}`;
      show(
        element(
          "li",
          { class: fresh ? "fresh" : caughtUp ? "caught" : "old" },
          element("span", { class: "position" }, String(position)),
          element("span", { class: kindClass }, kind),
          element("span", { class: "stream" }, stream),
        ),
      );
      update(follower);
    },
    state: update,
    gap() {},
    lost: (how, position) => note(`${how} at ${position}`),
    resumed({ position, caught, pruned }) {
      const loss = pruned ? `${count(pruned, "position")} pruned meanwhile` : "none lost";
      note(`Resumed at ${position}: ${count(caught, "event")} caught up, ${loss}`);
    },
    ended() {},
    refused: (code, detail) => note(detail || code),
  },
);

find("drop").addEventListener("click", () => follower.drop());
follower.follow({});
