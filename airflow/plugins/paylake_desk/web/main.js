// @ts-check
import { h } from "./dom.js";
import { here, onChange, href, start, go } from "./place.js";
import { lake } from "./views/lake.js";
import { desk } from "./views/desk.js";
import { transaction } from "./views/transaction.js";
import { cases } from "./views/cases.js";
import { rules } from "./views/rules.js";

/**
 * A view draws itself into an element, and again whenever it wants to, until `signal` ends it.
 *
 * @typedef {object} Room
 * @property {HTMLElement} main
 * @property {Record<string, string>} place
 * @property {AbortSignal} signal
 * @property {(words: string) => void} say tells what was done
 * @property {(error: unknown) => void} fail tells what went wrong
 *
 * @typedef {(room: Room) => Promise<void>} View
 */

/** @type {Record<string, { title: string, view: View, tab: string }>} */
const VIEWS = {
  lake: { title: "Lake", view: lake, tab: "lake" },
  desk: { title: "Frauds", view: desk, tab: "desk" },
  transaction: { title: "Transaction", view: transaction, tab: "desk" },
  cases: { title: "Cases", view: cases, tab: "cases" },
  rules: { title: "Rules", view: rules, tab: "rules" },
};
const TABS = ["desk", "cases", "rules", "lake"];

const tabs = /** @type {HTMLElement} */ (document.getElementById("tabs"));
const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const trouble = /** @type {HTMLElement} */ (document.getElementById("trouble"));
const said = /** @type {HTMLElement} */ (document.getElementById("said"));

let current = new AbortController();
let shown = "";

function show() {
  current.abort();
  current = new AbortController();
  const place = here();
  const name = place.view && place.view in VIEWS ? place.view : "desk";
  const chosen = /** @type {{ title: string, view: View, tab: string }} */ (VIEWS[name]);
  document.title = `${chosen.title} · Paylake`;
  tabs.replaceChildren(
    ...TABS.map((tab) =>
      h("a", { href: href({ view: tab }), "aria-current": tab === chosen.tab ? "page" : null }, VIEWS[tab]?.title),
    ),
  );
  trouble.hidden = true;
  const subject = [name, place.part, place.id, place.asset, place.domain, place.record].join(" ");
  if (subject !== shown) {
    said.textContent = "";
    main.replaceChildren(h("p", { class: "faint" }, "Loading …"));
    if (shown) main.focus();
    shown = subject;
  }
  const { signal } = current;
  /** @param {unknown} error */
  const fail = (error) => {
    if (signal.aborted) return;
    trouble.textContent = error instanceof Error ? error.message : String(error);
    trouble.hidden = false;
  };
  /** @param {string} words */
  const say = (words) => {
    said.textContent = words;
    trouble.hidden = true;
  };
  chosen.view({ main, place, signal, say, fail }).catch(fail);
}

document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[href^='?']") : null;
  if (!(link instanceof HTMLAnchorElement) || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(Object.fromEntries(new URLSearchParams(link.search)));
});

start();
onChange(show);
show();
