/* Elements, made without markup: whatever an event holds, it can only ever become text. */

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

export function svgElement(name, attributes = {}) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/* Does not touch what is the same already. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/* Calls `work` once before the next frame, however often it is asked to. A hidden tab has no frames. */
export function eachFrame(work) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      work();
    });
  };
}

const numbers = new Intl.NumberFormat("en");

export function count(number, one, many = one.replace(/y$/, "ie") + "s") {
  return `${numbers.format(number)} ${number === 1 ? one : many}`;
}

export function format(number) {
  return numbers.format(number);
}
