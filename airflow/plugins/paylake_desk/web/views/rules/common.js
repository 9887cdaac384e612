// @ts-check
/** What the parts of the rules' view have in common. */
import { h } from "../../dom.js";
import { duration, percent } from "../../format.js";
import { href } from "../../place.js";

export const PERIODS = { "1h": 3600, "24h": 86_400, "7d": 604_800, "31d": 2_678_400 };
const PERIOD_NAMES = { "1h": "last hour", "24h": "last day", "7d": "last week", "31d": "last 31 days" };

/** @typedef {keyof typeof PERIODS} Name */

/** @param {Record<string, string>} place */
export function period(place) {
  const name = place.period && place.period in PERIODS ? /** @type {Name} */ (place.period) : "24h";
  const until = new Date(Math.ceil(Date.now() / 1000) * 1000);
  const since = new Date(until.getTime() - PERIODS[name] * 1000);
  return { name, words: PERIOD_NAMES[name], asked: { since: since.toISOString(), until: until.toISOString() } };
}

/**
 * Links to the same for other periods.
 *
 * @param {Record<string, string>} place
 */
export function periods(place) {
  const mine = period(place).name;
  const links = Object.entries(PERIOD_NAMES).map(([name, words]) =>
    h("a", { href: href({ ...place, period: name }), "aria-current": name === mine ? "true" : null }, words),
  );
  return h("nav", { class: "choices", "aria-label": "Period" }, links);
}

const MODES = /** @type {Record<string, string>} */ ({ alert: "makes alerts", shadow: "only watches", off: "is not asked" });

/** @param {string} mode */
export function mode(mode) {
  return h("span", { class: `state mode-${mode}` }, MODES[mode] ?? mode);
}

/**
 * A share of confirmed among the marked, with how many these are.
 *
 * @param {{ precision: number | null, confirmed: number, false_alarms: number } | undefined} of
 */
export function precision(of) {
  if (!of || of.precision === null) return h("span", { class: "faint" }, "none marked");
  return h("span", {}, percent(of.precision), h("small", { class: "faint" }, ` of ${of.confirmed + of.false_alarms}`));
}

/**
 * @param {number | null | undefined} seconds
 */
export function seconds(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  return seconds < 10 ? `${seconds.toFixed(1)} s` : duration(seconds);
}

/**
 * Airflow's own page of a run; the way to it is from where this page is served.
 *
 * @param {string} dag
 * @param {string} run
 * @param {string} [tab]
 */
export function airflow(dag, run, tab = "") {
  return `../dags/${dag}/runs/${encodeURIComponent(run)}${tab && `/${tab}`}`;
}
