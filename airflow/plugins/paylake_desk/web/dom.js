// @ts-check
/**
 * Elements made of values. Whatever a record holds gets in as text, never as markup.
 *
 * @typedef {Node | string | number | null | undefined | false} Child
 */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>} [attributes] `on…` are listeners, `class` and all others attributes; null, undefined
 *   and false set none.
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on") && typeof value === "function") {
      element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/**
 * A text that somebody else wrote: its direction is its own, and it cannot turn round what stands beside it.
 *
 * @param {string | null | undefined} text
 * @param {string} [otherwise] what stands there without one
 */
export function foreign(text, otherwise = "not known") {
  if (!text) return h("span", { class: "faint" }, otherwise);
  return h("bdi", { class: "foreign", title: text.length > 60 ? text.slice(0, 1000) : null }, text);
}

/**
 * @typedef {object} Column
 * @property {string} title
 * @property {boolean} [number] aligned as numbers are
 */

/**
 * A table with a caption, in a region that scrolls sideways where the screen is narrow.
 *
 * @param {string} caption
 * @param {Column[]} columns
 * @param {Child[][]} rows
 * @param {string} [empty] what stands there without rows
 */
export function table(caption, columns, rows, empty = "Nothing.") {
  const head = columns.map((one) => h("th", { scope: "col", class: one.number && "number" }, one.title));
  const body = rows.map((cells) =>
    h(
      "tr",
      {},
      cells.map((cell, place) => h("td", { class: columns[place]?.number && "number" }, cell)),
    ),
  );
  if (!rows.length) body.push(h("tr", {}, h("td", { colspan: columns.length, class: "faint" }, empty)));
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("caption", {}, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)),
  );
}

/**
 * @param {string} title
 * @param {...(Child | Child[])} children
 */
export function card(title, ...children) {
  return h("section", { class: "card" }, h("h2", {}, title), ...children);
}

/**
 * @param {string} label
 * @param {Child} value
 * @param {Child} [below]
 */
export function figure(label, value, below) {
  return h("div", { class: "figure" }, h("dt", {}, label), h("dd", {}, value, below && h("small", {}, below)));
}

/** @param {...HTMLElement} figures */
export function figures(...figures) {
  return h("dl", { class: "figures" }, ...figures);
}

/**
 * @param {string} label
 * @param {() => unknown} act
 * @param {Record<string, unknown>} [attributes]
 */
export function button(label, act, attributes = {}) {
  return h("button", { type: "button", onclick: act, ...attributes }, label);
}

/**
 * Other children instead of those that an element has, without taking the focus from who reads on: it goes to what has
 * the same address or name.
 *
 * @param {HTMLElement} element
 * @param {...(Node | null | undefined | false)} children
 */
export function renew(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const marks = ["href", "aria-label"].map((name) => [name, focused?.getAttribute(name)]).filter(([, value]) => value);
  element.replaceChildren(...children.filter((child) => child instanceof Node));
  for (const [name, value] of marks) {
    const again = element.querySelector(`[${name}="${CSS.escape(String(value))}"]`);
    if (again instanceof HTMLElement) return again.focus({ preventScroll: true });
  }
}

/**
 * A state in words, in a colour that goes with it.
 *
 * @param {"good" | "warn" | "bad" | "faint"} kind
 * @param {...Child} words
 */
export function state(kind, ...words) {
  return h("span", { class: `state ${kind}` }, ...words);
}
