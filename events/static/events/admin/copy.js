/* The button beside a payload. Hidden where a page may not write to the clipboard. */

const SAID = 2000; // milliseconds for which the button says that it is done

export function copyButtons(root) {
  if (!navigator.clipboard) return;
  for (const payload of root.querySelectorAll("[data-events-payload]")) {
    const button = payload.querySelector("[data-copy]");
    const title = button.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(payload.querySelector("[data-source]").value);
      button.textContent = button.dataset.copied;
      setTimeout(() => (button.textContent = title), SAID);
    });
  }
}
