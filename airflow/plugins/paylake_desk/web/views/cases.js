// @ts-check
/** Cases: what waits, and one of them with what is done about it. */
import { get, post } from "../api.js";
import { button, card, foreign, h, table } from "../dom.js";
import { ago, count, money, time, words } from "../format.js";
import { href } from "../place.js";

const STATES = /** @type {const} */ (["open", "taken", "confirmed", "false_alarm"]);
const EVERY_MS = 5_000;

/** @type {import("../main.js").View} */
export async function cases(room) {
  if (room.place.id) return one(room);
  const { main, place, signal, fail } = room;
  const shown = h("div", {});
  const choices = [undefined, ...STATES].map((state) =>
    h(
      "a",
      { href: href({ view: "cases", state }), "aria-current": (place.state || undefined) === state ? "true" : null },
      state ? words(state) : "open and taken",
    ),
  );
  main.replaceChildren(h("h1", {}, "Cases"), h("nav", { class: "choices", "aria-label": "State" }, choices), shown);
  const refresh = async () => {
    const found = await get("cases", { state: place.state, user_id: place.user_id, limit: 100 }, signal);
    if (!signal.aborted) shown.replaceChildren(list(found));
  };
  await refresh();
  const timer = setInterval(() => {
    if (document.visibilityState === "visible") refresh().catch(fail);
  }, EVERY_MS);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

/** @param {any[]} found */
function list(found) {
  const columns = [
    { title: "case" },
    { title: "state" },
    { title: "user" },
    { title: "alerts", number: true },
    { title: "amount", number: true },
    { title: "rules" },
    { title: "newest alert" },
  ];
  const rows = found.map((item) => [
    h("a", { href: href({ view: "cases", id: item.case_id }) }, String(item.case_id)),
    h("span", { class: `state ${item.state}` }, words(item.state), item.assignee && item.state === "taken" && ` by ${item.assignee}`),
    foreign(item.user_name, item.user_id),
    count(item.alerts),
    money(item.amount),
    item.rules.map(words).join(", "),
    h("time", { datetime: item.last_alert_at, title: time(item.last_alert_at) }, ago(item.last_alert_at)),
  ]);
  return table("The newest alert first", columns, rows, "No such case.");
}

/** @param {import("../main.js").Room} room */
async function one({ main, place, signal, say, fail }) {
  /** @param {any} found */
  const draw = (found) => {
    if (!signal.aborted) main.replaceChildren(...file(found, act), snoozing(found, snooze));
  };
  /**
   * @param {string} path
   * @param {unknown} body
   * @param {string} done
   */
  const act = (path, body, done) => {
    post(`cases/${place.id}/${path}`, body)
      .then((found) => {
        draw(found);
        say(done);
      })
      .catch(fail);
  };
  /** @param {any} wanted */
  const snooze = (wanted) => {
    post("snoozes", wanted)
      .then(() => say(`${words(wanted.rule)} sleeps for the ${wanted.entity} ${wanted.value}.`))
      .catch(fail);
  };
  draw(await get(`cases/${place.id}`, {}, signal));
}

/**
 * @param {any} found
 * @param {(path: string, body: unknown, done: string) => void} act
 */
function file({ case: item, alerts, history }, act) {
  const live = item.state === "open" || item.state === "taken";
  const note = h("textarea", { id: "note", rows: 2, maxlength: 2000 });
  /** @param {string} what */
  const mark = (what) =>
    button(what === "confirmed" ? "It was fraud" : "False alarm", () =>
      act("mark", { what, note: note.value.trim() || null }, `Marked as ${words(what)}.`), { class: what });
  const actions = h(
    "div",
    { class: "actions" },
    h("label", { class: "wide" }, "note", note),
    live && button("I take it", () => act("take", undefined, "It is yours.")),
    item.state !== "confirmed" && mark("confirmed"),
    item.state !== "false_alarm" && mark("false_alarm"),
    button("Only note", () => act("notes", { note: note.value }, "Noted.")),
  );
  const columns = [{ title: "time" }, { title: "amount", number: true }, { title: "merchant" }, { title: "where" }, { title: "why" }];
  const rows = alerts.map((/** @type {any} */ alert) => [
    h("a", { href: href({ view: "transaction", id: alert.txn_id }), title: alert.txn_id }, alert.timestamp ? time(alert.timestamp) : alert.txn_id),
    money(alert.amount),
    foreign(alert.merchant_name, alert.merchant_id ?? "not known"),
    h("span", {}, foreign(alert.location), alert.channel && `, ${alert.channel}`),
    alert.evidence
      ? h("ul", { class: "plain" }, alert.evidence.map((/** @type {any} */ fired) => h("li", {}, foreign(fired.message))))
      : h("span", { class: "faint" }, "reported"),
  ]);
  const trail = history.map((/** @type {any} */ event) =>
    h(
      "li",
      {},
      h("time", { datetime: event.at }, time(event.at)),
      ` ${event.what}${event.what === "marked" ? ` as ${words(event.to_state)}` : ""} by `,
      foreign(event.who),
      event.note && ": ",
      event.note && foreign(event.note),
    ),
  );
  return [
    h("h1", {}, `Case ${item.case_id} `, h("span", { class: `state ${item.state}` }, words(item.state), item.state === "taken" && ` by ${item.assignee}`)),
    h(
      "p",
      {},
      foreign(item.user_name, item.user_id),
      ` (${[item.user_id, item.user_country_code, item.user_status].filter(Boolean).join(", ")}), ${count(item.alerts)} ${item.alerts === 1 ? "payment" : "payments"}, ${money(item.amount)} in all. `,
      h("a", { href: href({ view: "cases", user_id: item.user_id, state: null }) }, "Cases of this user"),
    ),
    card("What to do", actions),
    card("Its transactions", table("By their own time", columns, rows)),
    card("Who did what", h("ol", { class: "plain" }, trail)),
  ];
}

/**
 * @param {any} found
 * @param {(wanted: any) => void} snooze
 */
function snoozing({ case: item, alerts }, snooze) {
  const merchants = [...new Set(alerts.map((/** @type {any} */ alert) => alert.merchant_id).filter(Boolean))];
  const whom = [
    h("option", { value: `user ${item.user_id}` }, `the user ${item.user_id}`),
    ...merchants.map((id) => h("option", { value: `merchant ${id}` }, `the merchant ${id}`)),
  ];
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    const values = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
    const [entity, ...value] = String(values.get("whom")).split(" ");
    snooze({
      rule: values.get("rule"),
      entity,
      value: value.join(" "),
      until: `${values.get("until")}T00:00:00Z`,
      reason: values.get("reason"),
    });
  };
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
  return card(
    "Let a rule sleep",
    item.rules.length
      ? h(
          "form",
          { class: "filters", onsubmit: submit },
          h("label", {}, "rule", h("select", { name: "rule" }, item.rules.map((/** @type {string} */ rule) => h("option", {}, rule)))),
          h("label", {}, "for", h("select", { name: "whom" }, whom)),
          h("label", {}, "until", h("input", { type: "date", name: "until", required: true, min: tomorrow })),
          h("label", {}, "because", h("input", { name: "reason", required: true, maxlength: 2000, autocomplete: "off" })),
          h("button", { type: "submit" }, "Let it sleep"),
        )
      : h("p", { class: "faint" }, "No rule fired here."),
  );
}
