// @ts-check
/** One transaction: why, and what its user did before and after. */
import { get, post } from "../api.js";
import { timeline } from "../charts.js";
import { button, card, foreign, h, table } from "../dom.js";
import { count, duration, money, time, words } from "../format.js";
import { go, href } from "../place.js";

/** @type {import("../main.js").View} */
export async function transaction({ main, place, signal, say, fail }) {
  const id = place.id ?? "";
  const found = await get(`transactions/${encodeURIComponent(id)}`, {}, signal);
  if (signal.aborted) return;
  const { verdict } = found;
  const chart = h("div", { class: "chart", "aria-hidden": "true" });
  main.replaceChildren(
    h("h1", {}, "Transaction ", foreign(verdict.txn_id)),
    h("div", { class: "columns" }, facts(verdict, say, fail), why(found)),
    card(
      "The user's payments around it",
      chart,
      h("p", { class: "faint" }, `${count(found.history.length)} payments, amounts on a logarithmic scale, times in UTC.`),
      places(found),
    ),
    h(
      "div",
      { class: "columns" },
      others("Other alerts of the user", found.alerts_of_user, "merchant_id"),
      others("Other alerts at the merchant", found.alerts_of_merchant, "user_id"),
    ),
    features(id, signal, fail),
  );
  const dots = found.history.map((/** @type {any} */ one) => ({
    at: one.timestamp,
    amount: Number(one.amount),
    text: `${money(one.amount)}, ${one.channel}`,
    kind: one.txn_id === verdict.txn_id ? "this" : one.is_fraud ? "fraud" : "genuine",
  }));
  timeline(chart, dots, signal);
}

/**
 * @param {any} verdict
 * @param {(words: string) => void} say
 * @param {(error: unknown) => void} fail
 */
function facts(verdict, say, fail) {
  /** @type {[string, import("../dom.js").Child][]} */
  const rows = [
    ["verdict", h("strong", { class: verdict.is_fraud ? "bad" : "good" }, verdict.is_fraud ? "fraud" : "genuine")],
    ["score", count(verdict.score)],
    ["amount", money(verdict.amount)],
    ["time", time(verdict.timestamp)],
    ["scored", `${time(verdict.scored_at)} by rules ${verdict.rules_version}, lists ${verdict.lists_version ?? "–"}`],
    ["user", h("a", { href: href({ view: "desk", user_id: verdict.user_id, period: "31d" }) }, foreign(verdict.user_name, verdict.user_id))],
    ["user is", [verdict.user_status, verdict.user_country_code].filter(Boolean).join(", ") || "not known"],
    ["merchant", h("a", { href: href({ view: "desk", merchant_id: verdict.merchant_id, period: "31d" }) }, foreign(verdict.merchant_name, verdict.merchant_id))],
    [
      "merchant is",
      [verdict.merchant_category, verdict.merchant_risk_level && `risk ${verdict.merchant_risk_level}`, verdict.merchant_country_code]
        .filter(Boolean)
        .join(", ") || "not known",
    ],
    ["where", h("span", {}, foreign(verdict.location), `, ${verdict.channel}`)],
    ["case", verdict.case_id ? h("a", { href: href({ view: "cases", id: verdict.case_id }) }, `${verdict.case_id}, ${words(verdict.case_state)}`) : "none"],
    ["in bronze", `${verdict.bronze_topic_id}/${verdict.bronze_partition}/${verdict.bronze_offset}`],
  ];
  const report = button("Report as fraud", () => {
    post("reports", { txn_ids: [verdict.txn_id] })
      .then((cases) => {
        say("Reported.");
        go({ view: "cases", id: Object.values(cases)[0] });
      })
      .catch(fail);
  });
  return card(
    "What",
    h("dl", { class: "facts" }, rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    !verdict.is_fraud && !verdict.case_id && report,
  );
}

/** @param {any} found */
function why({ verdict, hits }) {
  /** @param {any} fired */
  const reason = (fired) =>
    h(
      "li",
      {},
      h("strong", {}, words(fired.rule)),
      ": ",
      foreign(fired.message),
      h(
        "dl",
        { class: "values" },
        Object.entries(fired.values).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, foreign(String(value), "none"))]),
      ),
    );
  return card(
    "Why",
    verdict.evidence.length ? h("ul", { class: "plain" }, verdict.evidence.map(reason)) : h("p", { class: "faint" }, "No rule that counts fired."),
    hits.length > 0 && h("h3", {}, "Fired without making it fraud"),
    hits.length > 0 &&
      h(
        "ul",
        { class: "plain" },
        hits.map((/** @type {any} */ hit) =>
          h("li", {}, h("strong", {}, words(hit.rule)), ` (${hit.mode}): `, foreign(hit.evidence.message)),
        ),
      ),
  );
}

/**
 * Where the user was, one stay after the other, as a map would show it.
 *
 * @param {any} found
 */
function places({ history, verdict }) {
  /** @type {{ location: string, first: string, last: string, payments: number, channels: Set<string>, here: boolean }[]} */
  const stays = [];
  for (const one of history) {
    const last = stays.at(-1);
    if (last && last.location === one.location) {
      last.last = one.timestamp;
      last.payments += 1;
      last.channels.add(one.channel);
      last.here ||= one.txn_id === verdict.txn_id;
    } else {
      stays.push({
        location: one.location,
        first: one.timestamp,
        last: one.timestamp,
        payments: 1,
        channels: new Set([one.channel]),
        here: one.txn_id === verdict.txn_id,
      });
    }
  }
  const mine = stays.findIndex((one) => one.here);
  const near = stays.slice(Math.max(0, mine - 12), mine + 5);
  const rows = near.map((one, number) => {
    const before = near[number - 1];
    const since = before ? (Date.parse(one.first) - Date.parse(before.last)) / 1000 : null;
    return [
      h("span", { class: one.here && "here" }, foreign(one.location), one.here && " (this one)"),
      time(one.first),
      time(one.last),
      count(one.payments),
      [...one.channels].join(", "),
      since === null ? "–" : duration(since),
    ];
  });
  const columns = [
    { title: "place" },
    { title: "from" },
    { title: "to" },
    { title: "payments", number: true },
    { title: "by" },
    { title: "after the place before", number: true },
  ];
  return table("From place to place", columns, rows);
}

/**
 * @param {string} title
 * @param {any[]} alerts
 * @param {"merchant_id" | "user_id"} other
 */
function others(title, alerts, other) {
  const columns = [{ title: "time" }, { title: "amount", number: true }, { title: words(other.replace("_id", "")) }, { title: "rules" }];
  const rows = alerts.map((one) => [
    h("a", { href: href({ view: "transaction", id: one.txn_id }) }, time(one.timestamp)),
    money(one.amount),
    foreign(one[other]),
    one.reasons.map(words).join(", "),
  ]);
  return card(title, table(`${title}, the newest first`, columns, rows, "None."));
}

/**
 * The values of all features at its moment: worked out when somebody wants to see them.
 *
 * @param {string} id
 * @param {AbortSignal} signal
 * @param {(error: unknown) => void} fail
 */
function features(id, signal, fail) {
  const shown = h("div", {});
  const details = h("details", { class: "card" }, h("summary", {}, "What the rules knew: every feature at its moment"), shown);
  details.addEventListener("toggle", () => {
    if (!details.open || shown.childElementCount) return;
    get(`transactions/${encodeURIComponent(id)}/features`, {}, signal)
      .then((values) => {
        const rows = Object.entries(values).map(([name, value]) => [name, value ?? "none"]);
        shown.replaceChildren(table("Features", [{ title: "feature" }, { title: "value", number: true }], rows));
      })
      .catch(fail);
  });
  return details;
}
