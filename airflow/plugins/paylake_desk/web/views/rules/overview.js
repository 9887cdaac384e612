// @ts-check
/** Every rule in use, with what it did in a period. */
import { get } from "../../api.js";
import { card, figure, figures, foreign, h, table } from "../../dom.js";
import { count, percent, time, words } from "../../format.js";
import { href } from "../../place.js";
import { mode, period, periods, precision, seconds } from "./common.js";

const EVERY_MS = 10_000;
/** What a rule that fires without making it fraud is. */
export const BESIDES = /** @type {Record<string, string>} */ ({ alert: "too light", shadow: "while it watched", snoozed: "snoozed" });

/** @type {import("../../main.js").View} */
export async function overview({ main, place, signal, fail }) {
  const shown = h("div", { class: "stack" });
  main.replaceChildren(h("div", { class: "title" }, h("h1", {}, "Rules"), periods(place)), shown);
  const refresh = async () => {
    const { asked } = period(place);
    const [told, shadow] = await Promise.all([get("rules", asked, signal), get("rules/shadow", asked, signal)]);
    if (!signal.aborted) shown.replaceChildren(head(told), all(told, place), against(shadow));
  };
  await refresh();
  const timer = setInterval(() => {
    if (document.visibilityState === "visible") refresh().catch(fail);
  }, EVERY_MS);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

/** @param {any} told */
function head(told) {
  const { made, latency } = told;
  const by = made
    ? h("span", {}, made.approved_at ? "approved by " : "put in by ", foreign(made.promoted_by), ` at ${time(made.promoted_at)}`)
    : "the file, until the stream starts";
  return figures(
    figure("rules in use", h("a", { href: href({ view: "rules", part: "versions" }) }, told.version), by),
    figure("fraud from a score of", count(told.alert_at), "the weights of the rules that fire, added up"),
    figure(
      "from payment to verdict, now",
      seconds(latency.p50_seconds),
      `half of the newest ${count(latency.verdicts)}; 95 % within ${seconds(latency.p95_seconds)}`,
    ),
  );
}

/**
 * @param {any} told
 * @param {Record<string, string>} place
 */
function all(told, place) {
  /** @type {Map<string, any>} */
  const by = new Map(told.fired.map((/** @type {any} */ one) => [`${one.rule} ${one.mode}`, one]));
  const most = Math.max(1, ...told.fired.map((/** @type {any} */ one) => one.fired));
  const rows = told.rules.map((/** @type {any} */ rule) => {
    const counted = by.get(`${rule.id} counted`);
    const watched = by.get(`${rule.id} shadow`);
    const main = rule.mode === "shadow" ? watched : counted;
    const besides = Object.entries(BESIDES)
      .map(([name, words]) => ({ words, one: by.get(`${rule.id} ${name}`) }))
      .filter(({ one }) => one && one !== main)
      .map(({ words, one }) => `${count(one.fired)} ${words}`);
    return [
      h("a", { href: href({ view: "rules", id: rule.id, period: place.period }) }, words(rule.id)),
      mode(rule.mode),
      h("span", { class: "share" }, h("span", { class: "bar", style: `width: ${((100 * (main?.fired ?? 0)) / most).toFixed(1)}%` }), count(main?.fired ?? 0)),
      besides.join(", "),
      precision(main),
      counted ? `${seconds(counted.p50_seconds)} / ${seconds(counted.p95_seconds)}` : "–",
      h("div", { class: "sentence" }, foreign(rule.says)),
    ];
  });
  const columns = [
    { title: "rule" },
    { title: "mode" },
    { title: "fired", number: true },
    { title: "not counted" },
    { title: "precision by marks", number: true },
    { title: "half / 95 % within", number: true },
    { title: "says" },
  ];
  return card(
    "What each does",
    table(`In the ${period(place).words}; of a rule that only watches, what it fired on`, columns, rows),
    h(
      "p",
      { class: "faint" },
      "Precision and times are of the newest 2,000. Precision: the share of confirmed among its payments that were marked since; labels are looked at by back-tests. ",
      "Within: from a payment's own time to its alert. All rules are asked at once, so one whose alerts take longer fires on payments that come late.",
    ),
  );
}

/** @param {any[]} shadow */
export function against(shadow) {
  const columns = [
    { title: "rule" },
    { title: "rules" },
    { title: "fired", number: true },
    { title: "on what the others" },
    { title: "found too", number: true },
    { title: "let pass", number: true },
    { title: "confirmed since", number: true },
    { title: "false alarms", number: true },
    { title: "last" },
  ];
  const rows = shadow.map((one) => [
    h("a", { href: href({ view: "rules", id: one.rule }) }, words(one.rule)),
    one.rules_version,
    count(one.hits),
    h(
      "span",
      { class: "stacked", role: "img", "aria-label": `${percent(one.on_fraud / one.hits)} found by others, too` },
      h("span", { class: "found", style: `flex-grow: ${one.on_fraud}` }),
      h("span", { class: "added", style: `flex-grow: ${one.on_genuine}` }),
    ),
    h("span", {}, h("span", { class: "swatch found" }), count(one.on_fraud)),
    h("span", {}, h("span", { class: "swatch added" }), count(one.on_genuine)),
    count(one.confirmed),
    count(one.false_alarms),
    h("span", { class: "number" }, time(one.last_hit_at)),
  ]);
  return card(
    "Shadow against live",
    table("Rules that only watched, by the newest 2,000 on which each fired: what the others let pass are the alerts that such a rule would add", columns, rows, "None fired in this period."),
  );
}
