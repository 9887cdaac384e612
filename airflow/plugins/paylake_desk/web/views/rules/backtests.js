// @ts-check
/** Trying rules on what was scored, and asking for their promotion. */
import { get, post } from "../../api.js";
import { button, card, figure, figures, foreign, h, table } from "../../dom.js";
import { count, percent, time, words } from "../../format.js";
import { go, href } from "../../place.js";
import { airflow } from "./common.js";

const EVERY_MS = 3_000;

/** What somebody writes survives going elsewhere on the page. */
let draft = "";

/**
 * Goes on with these rules in the form.
 *
 * @param {string} text
 */
export function edit(text) {
  draft = text;
  go({ view: "rules", part: "tests" });
}

/** @type {import("../../main.js").View} */
export async function backtests({ main, signal, fail }) {
  const shown = h("div", {});
  const refresh = async () => {
    const found = await get("backtests", {}, signal);
    if (!signal.aborted) shown.replaceChildren(list(found));
  };
  await refresh();
  if (signal.aborted) return;
  main.replaceChildren(h("h1", {}, "Back-tests"), form(), shown);
  const timer = setInterval(() => {
    if (document.visibilityState === "visible") refresh().catch(fail);
  }, EVERY_MS);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

function form() {
  const text = h("textarea", { id: "rules", rows: 14, spellcheck: "false", class: "code", oninput: () => (draft = text.value) });
  text.value = draft;
  const since = h("input", { type: "datetime-local", id: "since" });
  const until = h("input", { type: "datetime-local", id: "until" });
  const note = h("input", { id: "note", maxlength: 2000, autocomplete: "off" });
  const answer = h("div", { role: "status" });
  const period = () => ({ since: since.value ? `${since.value}Z` : null, until: until.value ? `${until.value}Z` : null });
  /** @param {unknown} error */
  const refused = (error) => {
    const problems = (error instanceof Error ? error.message : String(error)).split("\n");
    answer.replaceChildren(
      h("ul", { class: "plain bad" }, problems.map((one) => h("li", {}, one.replace(/^rules:(\d+): /, "line $1: ")))),
    );
  };
  /** @param {any} started */
  const asked = (started) => {
    const to = airflow("rules_promotion", started.run_id, "required_actions");
    answer.replaceChildren(
      h("p", {}, "The rules are being tried; then they wait for approval: ", h("a", { href: to, target: "_top" }, "answer in Airflow")),
      h("p", { class: "warn" }, started.paused && "The DAG rules_promotion is paused: unpause it first."),
    );
  };
  return card(
    "Try rules on what was scored",
    h(
      "form",
      { class: "stack", onsubmit: (/** @type {Event} */ event) => event.preventDefault(), "aria-label": "Back-test" },
      h("label", { for: "rules" }, "The whole rules file; empty: the rules in use"),
      text,
      h(
        "div",
        { class: "filters" },
        h("label", { for: "since" }, "scored since (UTC; empty: all)", since),
        h("label", { for: "until" }, "until (UTC; empty: now)", until),
        button("Take the rules in use", () => {
          get("rules/text")
            .then((found) => {
              draft = text.value = found.text;
              text.focus();
            })
            .catch(refused);
        }),
        h(
          "button",
          {
            type: "submit",
            onclick: () => {
              post("backtests", { rules: text.value, ...period() })
                .then((started) => go({ view: "rules", part: "tests", id: started.run_id }))
                .catch(refused);
            },
          },
          "Start the back-test",
        ),
      ),
      h(
        "div",
        { class: "filters" },
        h("label", { for: "note", class: "wide" }, "why they should be used", note),
        button("Ask for promotion", () => {
          post("promotions", { rules: text.value, note: note.value.trim() || null, ...period() }).then(asked).catch(refused);
        }),
      ),
      answer,
    ),
  );
}

/** @param {any} found */
function list({ paused, runs }) {
  const columns = [
    { title: "started" },
    { title: "by" },
    { title: "rules" },
    { title: "state" },
    { title: "payments", number: true },
    { title: "alerts before", number: true },
    { title: "alerts now", number: true },
    { title: "precision by labels", number: true },
  ];
  const rows = runs.map((/** @type {any} */ one) => [
    h("a", { href: href({ view: "rules", part: "tests", id: one.run.run_id }) }, time(one.run.queued_at)),
    foreign(one.run.started_by),
    h("span", {}, one.result?.rules_version, one.of_rules_in_use && " (in use then)"),
    state(one.run.state),
    one.result && count(one.result.transactions),
    one.result && count(one.result.alerts.stored),
    one.result && count(one.result.alerts.fired),
    one.result && share(one.result.alerts.precision),
  ]);
  return card(
    "Back-tests",
    paused && runs.some((/** @type {any} */ one) => one.run.state === "queued") && h("p", { class: "warn" }, "The DAG rules_backtest is paused: unpause it in Airflow, so that these begin."),
    table("The newest first", columns, rows, "None yet."),
  );
}

/** @param {string} name */
function state(name) {
  return h("span", { class: `state run-${name}` }, name === "success" ? "done" : name);
}

/** @param {number | null} value */
function share(value) {
  return value === null ? h("span", { class: "faint" }, "no labels") : percent(value);
}

/** @type {import("../../main.js").View} */
export async function backtest({ main, place, signal, fail }) {
  const path = `backtests/${encodeURIComponent(place.id ?? "")}`;
  const refresh = async () => {
    const found = await get(path, {}, signal);
    if (signal.aborted) return true;
    main.replaceChildren(...file(found, path));
    return found.run.state === "success" || found.run.state === "failed";
  };
  if (await refresh()) return;
  const timer = setInterval(() => {
    if (document.visibilityState !== "visible") return;
    refresh()
      .then((over) => over && clearInterval(timer))
      .catch(fail);
  }, EVERY_MS);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

/**
 * @param {any} found
 * @param {string} path
 */
function file(found, path) {
  const { run, result, rules } = found;
  const log = h("a", { href: airflow("rules_backtest", run.run_id), target: "_top" }, "its run in Airflow");
  const said = {
    queued: "It waits for its turn: one back-test runs at a time.",
    running: "It runs.",
    failed: "It failed; why is in the task's log.",
    success: "It is done.",
  }[/** @type {"queued"} */ (run.state)];
  return [
    h("h1", {}, "Back-test ", state(run.state)),
    h(
      "p",
      {},
      `Started ${time(run.queued_at)} by `,
      foreign(run.started_by),
      `, of what was scored ${found.since ? `since ${time(found.since)} ` : ""}until ${found.until ? time(found.until) : "then"}. ${said ?? ""} See `,
      log,
      ".",
    ),
    ...(result ? outcome(result, path) : []),
    rules &&
      card(
        "The rules that were tried",
        h("details", {}, h("summary", {}, "The whole file"), h("pre", { class: "file", tabindex: "0", "aria-label": "The whole file" }, rules)),
        h("p", { class: "actions" }, button("Go on with these rules", () => edit(rules))),
      ),
  ].filter((one) => one !== null);
}

/**
 * @param {any} result
 * @param {string} path
 */
function outcome(result, path) {
  const { alerts } = result;
  const columns = [
    { title: "rule" },
    { title: "alerts before", number: true },
    { title: "now", number: true },
    { title: "new", number: true },
    { title: "vanished", number: true },
    { title: "right", number: true },
    { title: "wrong", number: true },
    { title: "precision", number: true },
  ];
  /**
   * @param {string} name
   * @param {any} one
   */
  const row = (name, one) => [
    name,
    count(one.stored),
    count(one.fired),
    count(one.new),
    count(one.vanished),
    count(one.on_fraud),
    count(one.on_genuine),
    share(one.precision),
  ];
  // A database keeps no order of names.
  const rules = Object.entries(result.rules).sort(([, one], [, other]) => other.fired + other.stored - one.fired - one.stored);
  const picture = h("img", { src: `api/${path}/picture`, alt: "Alerts by day and by rule, stored ones and those of these rules", class: "picture" });
  picture.addEventListener("error", () => picture.replaceWith(h("p", { class: "faint" }, "Its picture is gone; they are kept for 30 days.")));
  return [
    figures(
      figure("rules", result.rules_version),
      figure("payments", count(result.transactions), result.unread ? `${count(result.unread)} more could not be read` : null),
      figure("alerts", count(alerts.fired), `${count(alerts.stored)} were stored`),
      figure("precision", share(alerts.precision), `${count(alerts.on_fraud)} right, ${count(alerts.on_genuine)} wrong, by labels and marks`),
      figure("frauds caught", result.recall === null ? "–" : percent(result.recall), `${count(result.caught)} of ${count(result.frauds)} known; before ${count(result.caught_before)}`),
    ),
    result.different
      ? h("p", { class: "bad" }, `${count(result.different)} of ${count(result.same_version)} verdicts by this version are not given again: somebody has changed something.`)
      : null,
    card("By rule", table("Stored alerts, and those of these rules", columns, [row("all of them", alerts), ...rules.map(([name, one]) => row(words(name), one))])),
    card("As a picture", picture),
  ];
}
