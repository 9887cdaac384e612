// @ts-check
/** Frauds as they come, and added up. */
import { address, get } from "../api.js";
import { bars } from "../charts.js";
import { card, figure, figures, foreign, h, table } from "../dom.js";
import { count, money, percent, time, words } from "../format.js";
import { go, href } from "../place.js";

const PERIODS = { "1h": 3600, "24h": 86_400, "7d": 604_800, "31d": 2_678_400 };
const PERIOD_NAMES = { "1h": "last hour", "24h": "last day", "7d": "last week", "31d": "last 31 days" };
const FILTERS = /** @type {const} */ (["rule", "merchant_id", "user_id", "channel", "country"]);
const NAMES = { rule: "rule", merchant_id: "merchant", user_id: "user", channel: "channel", country: "country" };
const EVERY_MS = 5_000;
const PAGE = 50;

/** @param {Record<string, string>} place */
function period(place) {
  const name = place.period && place.period in PERIODS ? /** @type {keyof typeof PERIODS} */ (place.period) : "24h";
  return { name, seconds: PERIODS[name] };
}

/** @param {Record<string, string>} place */
function chosen(place) {
  const until = new Date(Math.ceil(Date.now() / 1000) * 1000);
  const since = new Date(until.getTime() - period(place).seconds * 1000);
  const filters = Object.fromEntries(FILTERS.map((name) => [name, place[name]]));
  return { since: since.toISOString(), until: until.toISOString(), ...filters };
}

/** @type {import("../main.js").View} */
export async function desk({ main, place, signal, fail }) {
  const sums = h("div", { class: "stack" });
  const feed = h("div", { class: "stack" });
  main.replaceChildren(h("h1", {}, "Frauds"), filters(place), sums, feed);

  const refresh = async () => {
    const asked = chosen(place);
    const [summary, frauds, cases] = await Promise.all([
      get("frauds/summary", asked, signal),
      get("frauds", { ...asked, limit: PAGE }, signal),
      get("cases", { limit: 200 }, signal),
    ]);
    if (signal.aborted) return;
    drawSums(sums, summary, asked, cases.length, place, signal);
    // Whoever reads on in older ones is not sent back to the top.
    if (!feed.dataset.further) feed.replaceChildren(list(frauds, place, signal, feed, fail));
  };
  await refresh();
  const timer = setInterval(() => {
    if (document.visibilityState === "visible") refresh().catch(fail);
  }, EVERY_MS);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

/** @param {Record<string, string>} place */
function filters(place) {
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.currentTarget);
    const values = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value).trim()]));
    go({ view: "desk", ...values, country: values.country?.toUpperCase() });
  };
  const options = Object.entries(PERIOD_NAMES).map(([value, name]) =>
    h("option", { value, selected: value === period(place).name }, name),
  );
  const channels = ["", "Online", "POS", "ATM"].map((value) =>
    h("option", { value, selected: value === (place.channel ?? "") }, value || "any"),
  );
  /**
   * @param {string} name
   * @param {string} label
   * @param {Record<string, unknown>} [more]
   */
  const field = (name, label, more) =>
    h("label", {}, label, h("input", { name, value: place[name] ?? "", autocomplete: "off", ...more }));
  const active = FILTERS.filter((name) => place[name]);
  return h(
    "form",
    { class: "filters", onsubmit: submit, "aria-label": "Which frauds" },
    h("label", {}, "period", h("select", { name: "period", onchange: requestSubmit }, options)),
    field("rule", "rule"),
    field("merchant_id", "merchant"),
    field("user_id", "user"),
    h("label", {}, "channel", h("select", { name: "channel", onchange: requestSubmit }, channels)),
    field("country", "country", { size: 3, maxlength: 2, pattern: "[A-Za-z]{2}", title: "two letters" }),
    h("button", { type: "submit" }, "Show"),
    active.length > 0 && h("a", { href: href({ view: "desk", period: place.period }) }, "all frauds"),
    h("a", { class: "right", href: address("frauds.csv", chosen(place)), download: "frauds.csv" }, "CSV"),
  );
}

/** @param {Event} event */
function requestSubmit(event) {
  /** @type {HTMLSelectElement} */ (event.currentTarget).form?.requestSubmit();
}

/**
 * @param {HTMLElement} element
 * @param {any} summary
 * @param {{ since: string, until: string }} asked
 * @param {number} live
 * @param {Record<string, string>} place
 * @param {AbortSignal} signal
 */
function drawSums(element, summary, asked, live, place, signal) {
  const frauds = summary.times.reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + one.frauds, 0);
  const amount = summary.times.reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + Number(one.amount), 0);
  const heading = figures(
    figure("frauds", count(frauds), PERIOD_NAMES[period(place).name]),
    figure("their amount", money(amount.toFixed(0)).replace(/\.00$/, ""), "book currency"),
    figure("cases that wait", h("a", { href: href({ view: "cases" }) }, live < 200 ? count(live) : "200 and more")),
  );
  if (!element.childElementCount) {
    const charts = [h("div", { class: "chart", "aria-hidden": "true" }), h("div", { class: "chart", "aria-hidden": "true" })];
    element.append(
      h("div", {}),
      h("div", { class: "columns" }, card("Frauds over time", charts[0]), card("Amount over time", charts[1])),
      h("div", { class: "columns four" }),
    );
  }
  const [top, charts, shares] = /** @type {HTMLElement[]} */ ([...element.children]);
  top?.replaceChildren(heading);
  const drawn = /** @type {HTMLElement[]} */ ([...(charts?.querySelectorAll(".chart") ?? [])]);
  for (const [number, chart] of drawn.entries()) {
    const values = summary.times.map((/** @type {any} */ one) => ({
      at: one.value,
      value: number ? Number(one.amount) : one.frauds,
      text: number ? money(one.amount) : `${count(one.frauds)} frauds`,
    }));
    bars(chart, values, { ...asked, stepSeconds: summary.step_seconds }, signal);
  }
  shares?.replaceChildren(
    ranking("By rule", "rule", summary.rules, frauds, place),
    ranking("By merchant", "merchant_id", summary.merchants, frauds, place),
    ranking("By country", "country", summary.countries, frauds, place),
    ranking("By channel", "channel", summary.channels, frauds, place),
  );
}

/**
 * What has most frauds first; each leads to those alone.
 *
 * @param {string} title
 * @param {typeof FILTERS[number]} filter
 * @param {any[]} shares
 * @param {number} frauds
 * @param {Record<string, string>} place
 */
function ranking(title, filter, shares, frauds, place) {
  const rows = shares.slice(0, 8).map((one) => {
    const share = frauds ? one.frauds / frauds : 0;
    const name = foreign(one.name ?? words(one.value));
    const known = filter !== "country" || one.value !== "unknown";
    const to = href({ ...place, view: "desk", [filter]: one.value });
    return h(
      "li",
      {},
      h("span", { class: "bar", style: `width: ${(share * 100).toFixed(1)}%` }),
      known ? h("a", { href: to, title: `${NAMES[filter]} ${one.value}` }, name) : name,
      h("span", { class: "right" }, `${count(one.frauds)} · ${percent(share)}`),
    );
  });
  return card(title, rows.length ? h("ol", { class: "ranking" }, rows) : h("p", { class: "faint" }, "None."));
}

/**
 * @param {any[]} frauds
 * @param {Record<string, string>} place
 * @param {AbortSignal} signal
 * @param {HTMLElement} feed
 * @param {(error: unknown) => void} fail
 */
function list(frauds, place, signal, feed, fail) {
  const columns = [
    { title: "scored" },
    { title: "amount", number: true },
    { title: "user" },
    { title: "merchant" },
    { title: "where" },
    { title: "why" },
    { title: "case" },
  ];
  const shown = table("The newest first", columns, frauds.map(row), "No frauds in this period.");
  const body = /** @type {HTMLElement} */ (shown.querySelector("tbody"));
  let last = frauds.at(-1);
  const further = h("button", { type: "button", hidden: frauds.length < PAGE }, "Older ones");
  further.addEventListener("click", () => {
    const before = { before_at: last.scored_at, before_id: last.txn_id, limit: PAGE };
    get("frauds", { ...chosen(place), ...before }, signal)
      .then((older) => {
        feed.dataset.further = "yes";
        last = older.at(-1) ?? last;
        further.hidden = older.length < PAGE;
        body.append(...older.map((/** @type {any} */ one) => h("tr", {}, row(one).map((cell) => h("td", {}, cell)))));
      })
      .catch(fail);
  });
  return card("Frauds as they come", shown, further);
}

/** @param {any} one */
function row(one) {
  return [
    h("a", { href: href({ view: "transaction", id: one.txn_id }), title: one.txn_id }, time(one.scored_at)),
    money(one.amount),
    h("span", {}, foreign(one.user_name, one.user_id)),
    h("span", {}, foreign(one.merchant_name, one.merchant_id), one.country_code && ` (${one.country_code})`),
    h("span", {}, foreign(one.location), `, ${one.channel}`),
    h("ul", { class: "plain" }, one.evidence.map((/** @type {any} */ fired) => h("li", {}, foreign(fired.message)))),
    one.case_id && h("a", { href: href({ view: "cases", id: one.case_id }) }, `${one.case_id} ${words(one.case_state)}`),
  ];
}
