/* What the page follows: one stream or all, the kinds of one beginning or all, and over what.
 * The form is the truth while the page is open, and the address so that it can be kept and shared. */

const NAMES = ["stream", "kind", "transport"];

const PATTERNS = {
  stream: /^[A-Za-z0-9][A-Za-z0-9._:\-]{0,127}$/,
  kind: /^(?=.{1,100}$)[a-z][a-z0-9_]*(\.[a-z0-9_]+)*(\.\*)?$/,
  transport: /^(ws|sse|poll)$/,
};

const COMPLAINTS = {
  stream: "A stream's name is of letters, digits and . _ : - only.",
  kind: "A kind is like “tool” or “tool.failed”: small letters, digits, _ and dots.",
};

/* A beginning means the kind of that name and all below it. */
export function kindsOf(text) {
  if (!text) return undefined;
  return text.endsWith(".*") ? [text] : [text, `${text}.*`];
}

export class Filters {
  constructor(form, changed) {
    this.form = form;
    this.changed = changed;
    this.read();
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.apply();
    });
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      this.set({ stream: "", kind: "" });
    });
    // It stands elsewhere on the page, and belongs to the form by its attribute.
    form.elements.transport.addEventListener("change", () => this.apply());
    for (const name of ["stream", "kind"]) {
      form.elements[name].addEventListener("input", () => this.complain());
      form.elements[name].addEventListener("change", () => this.apply());
    }
    addEventListener("popstate", () => {
      this.read();
      this.changed();
    });
  }

  get value() {
    const value = {};
    for (const name of NAMES) value[name] = this.form.elements[name].value.trim();
    return value;
  }

  get isSet() {
    return Boolean(this.value.stream || this.value.kind);
  }

  set(some) {
    for (const [name, value] of Object.entries(some)) this.form.elements[name].value = value;
    this.apply();
  }

  read() {
    const query = new URLSearchParams(location.search);
    for (const name of NAMES) {
      const value = query.get(name) ?? "";
      const known = name !== "transport" || PATTERNS.transport.test(value);
      this.form.elements[name].value = known ? value : "";
    }
    this.applied = this.search();
    this.complain();
  }

  /* Follow what the form says now, if it is something else, and if it can be. */
  apply() {
    if (!this.complain()) {
      this.form.reportValidity();
      return;
    }
    const search = this.search();
    if (search === this.applied) return;
    this.applied = search;
    history.pushState(null, "", search || location.pathname);
    this.changed();
  }

  get complaint() {
    const { stream, kind } = this.form.elements;
    return stream.validationMessage || kind.validationMessage;
  }

  search() {
    const given = Object.entries(this.value).filter(([, value]) => value);
    return given.length ? `?${new URLSearchParams(given)}` : "";
  }

  complain() {
    for (const name of ["stream", "kind"]) {
      const field = this.form.elements[name];
      const value = field.value.trim();
      const fits = !value || PATTERNS[name].test(value);
      field.setCustomValidity(fits ? "" : COMPLAINTS[name]);
      if (fits) field.removeAttribute("aria-invalid");
      else field.setAttribute("aria-invalid", "true");
    }
    setClear(this.form, this.isSet);
    return this.form.checkValidity();
  }
}

function setClear(form, isSet) {
  form.querySelector("[type=reset]").hidden = !isSet;
}
