// @ts-check
/** One rule: what it says, when, how often and how right it was, and its newest alerts. */
import { get } from "../../api.js";
import { bars } from "../../charts.js";
import { card, figure, figures, foreign, h, table } from "../../dom.js";
import { count, money, percent, time, words } from "../../format.js";
import { href } from "../../place.js";
import { mode, period, periods, seconds } from "./common.js";
import { against, BESIDES } from "./overview.js";

const NEWEST = 10;

/** @type {import("../../main.js").View} */
export async function rule({ main, place, signal }) {
  const id = place.id ?? "";
  const { asked, words: when } = period(place);
  const [told, shadow, frauds, sums, hits, tests] = await Promise.all([
    get("rules", asked, signal),
    get("rules/shadow", asked, signal),
    get("frauds", { ...asked, rule: id, limit: NEWEST }, signal),
    get("frauds/summary", { ...asked, rule: id }, signal),
    get(`rules/${encodeURIComponent(id)}/hits`, { limit: NEWEST }, signal),
    get("backtests", {}, signal),
  ]);
  if (signal.aborted) return;
  const mine = told.rules.find((/** @type {any} */ one) => one.id === id);
  if (!mine) throw new Error(`There is no rule ${id} in use.`);
  const fired = told.fired.filter((/** @type {any} */ one) => one.rule === id);
  const chart = h("div", { class: "chart", "aria-hidden": "true" });
  const watched = shadow.filter((/** @type {any} */ one) => one.rule === id);
  const alerts = mine.mode === "alert" || frauds.length;
  main.replaceChildren(
    h("div", { class: "title" }, h("h1", {}, `${words(id)} `, mode(mine.mode)), periods(place)),
    numbers(mine, fired, when),
    h("div", { class: "columns" }, facts(mine, told), alerts ? card("Its alerts over time", chart) : labelled(tests.runs, id, told.version)),
    ...(watched.length ? [against(watched)] : []),
    ...(alerts ? [newest(frauds, id, place)] : []),
    ...besides(hits),
    ...(alerts ? [labelled(tests.runs, id, told.version)] : []),
  );
  if (!alerts) return;
  const values = sums.times.map((/** @type {any} */ one) => ({
    at: one.value,
    value: one.frauds,
    text: `${count(one.frauds)} frauds`,
  }));
  bars(chart, values, { ...asked, stepSeconds: sums.step_seconds }, signal);
}

/**
 * @param {any} mine
 * @param {any[]} fired
 * @param {string} when
 */
function numbers(mine, fired, when) {
  /** @param {string} name */
  const of = (name) => fired.find((one) => one.mode === name);
  const counted = of("counted");
  const main = mine.mode === "shadow" ? of("shadow") : counted;
  const besides = Object.entries(BESIDES).filter(([name]) => of(name));
  const shown = [
    (mine.mode === "alert" || counted) && figure("alerts", count(counted?.fired ?? 0), when),
    ...besides.map(([name, words]) => figure(`fired, ${words}`, count(of(name).fired), when)),
    main &&
      figure(
        "precision by marks",
        main.precision === null ? "–" : percent(main.precision),
        `${count(main.confirmed)} confirmed, ${count(main.false_alarms)} false alarms`,
      ),
    counted && figure("from payment to alert", seconds(counted.p50_seconds), `half; 95 % within ${seconds(counted.p95_seconds)}`),
  ];
  return shown.some(Boolean) ? figures(...shown.filter((one) => one)) : h("p", { class: "faint" }, `It has not fired in the ${when}.`);
}

/**
 * @param {any} mine
 * @param {any} told
 */
function facts(mine, told) {
  /** @type {[string, import("../../dom.js").Child][]} */
  const rows = [
    ["says", foreign(mine.says)],
    ["fires when", h("code", { class: "condition" }, mine.when)],
    ...Object.entries(mine.parameters).map(([name, value]) => /** @type {[string, string]} */ ([`with ${name}`, String(value)])),
    ["weight", `${count(mine.weight)} of the ${count(told.alert_at)} that make a fraud`],
    ["in the rules", told.version],
    ["sleeps for", h("span", {}, snooze(mine.id, "user"), ", ", snooze(mine.id, "merchant"))],
  ];
  return card("What it is", h("dl", { class: "facts" }, rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])));
}

/**
 * @param {string} rule
 * @param {"user" | "merchant"} entity
 */
function snooze(rule, entity) {
  return h("a", { href: href({ view: "rules", part: "lists", id: `snooze:${rule}:${entity}` }) }, `these ${entity}s`);
}

/**
 * @param {any[]} frauds
 * @param {string} id
 * @param {Record<string, string>} place
 */
function newest(frauds, id, place) {
  const columns = [{ title: "scored" }, { title: "amount", number: true }, { title: "user" }, { title: "merchant" }, { title: "why" }];
  const rows = frauds.map((one) => [
    h("a", { href: href({ view: "transaction", id: one.txn_id }), title: one.txn_id }, time(one.scored_at)),
    money(one.amount),
    foreign(one.user_name, one.user_id),
    foreign(one.merchant_name, one.merchant_id),
    foreign(one.evidence.find((/** @type {any} */ fired) => fired.rule === id)?.message),
  ]);
  return card(
    "Its newest alerts",
    table("The newest first", columns, rows, "No alerts in this period."),
    h("a", { href: href({ view: "desk", rule: id, period: place.period }) }, "All of them"),
  );
}

/** @param {any[]} hits */
function besides(hits) {
  if (!hits.length) return [];
  const columns = [{ title: "scored" }, { title: "as" }, { title: "verdict" }, { title: "why" }];
  const rows = hits.map((hit) => [
    h("a", { href: href({ view: "transaction", id: hit.txn_id }), title: hit.txn_id }, time(hit.scored_at)),
    hit.mode,
    h("span", { class: hit.verdict === "fraud" ? "bad" : "good" }, hit.verdict ?? "not known"),
    foreign(hit.message),
  ]);
  return [card("Fired without making it fraud", table("The newest first, of whatever time", columns, rows))];
}

/**
 * How right the rule was by the labels, which only a back-test reads.
 *
 * @param {any[]} runs
 * @param {string} id
 * @param {string} version
 */
function labelled(runs, id, version) {
  const run = runs.find((one) => one.result?.rules_version === version && one.result.rules[id]);
  const all = h("a", { href: href({ view: "rules", part: "tests" }) }, "Back-tests");
  if (!run) return card("By labels", h("p", { class: "faint" }, "No back-test of these rules is done yet."), all);
  const alerts = run.result.rules[id];
  const right = alerts.precision === null ? "none of its alerts has a label" : `${percent(alerts.precision)} of those with a label were fraud`;
  return card(
    "By labels",
    h("p", {}, `${count(alerts.fired)} alerts among ${count(run.result.transactions)} payments: ${right} (${count(alerts.on_fraud)} right, ${count(alerts.on_genuine)} wrong).`),
    h("a", { href: href({ view: "rules", part: "tests", id: run.run.run_id }) }, `The back-test of ${time(run.run.ended_at)}`),
  );
}
