/* What the pages of events do by script: the button that copies a payload, and the live switch. */

import { Live } from "./live.js";

const SAID = 2000; // milliseconds for which the button says that it is done

const button = document.querySelector("[data-copy]");
// Hidden where a page may not write to the clipboard.
if (button && navigator.clipboard) {
  const title = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.querySelector(".events-payload").textContent);
    button.textContent = button.dataset.copied;
    setTimeout(() => (button.textContent = title), SAID);
  });
}

const place = document.querySelector("[data-events-live]");
if (place) new Live(place);
