// @ts-check
/** The lists that rules ask: what is on them, and who changed what. */
import { get, post } from "../../api.js";
import { button, card, foreign, h, table } from "../../dom.js";
import { count, time } from "../../format.js";
import { href } from "../../place.js";

const SINGULAR = /** @type {Record<string, string>} */ ({ merchants: "merchant's id", cities: "city", users: "user's id" });

/** @type {import("../../main.js").View} */
export async function lists({ main, signal }) {
  const found = await get("lists", {}, signal);
  if (signal.aborted) return;
  const columns = [{ title: "list" }, { title: "of" }, { title: "entries", number: true }];
  /** @param {any} one */
  const row = (one) => [
    h("a", { href: href({ view: "rules", part: "lists", id: one.name }) }, one.name),
    one.kind,
    count(one.entries),
  ];
  const all = found.lists;
  main.replaceChildren(
    h("h1", {}, "Lists"),
    card(
      "That rules ask",
      table(`Version ${found.version} of all lists`, columns, all.filter((/** @type {any} */ one) => !one.is_snooze).map(row), "The rules ask none."),
    ),
    card(
      "For whom rules sleep",
      table("Snoozes that are on", columns, all.filter((/** @type {any} */ one) => one.is_snooze).map(row), "None: a case, or a rule, is where to begin one."),
    ),
  );
}

/** @type {import("../../main.js").View} */
export async function list({ main, place, signal, say, fail }) {
  const path = `lists/${encodeURIComponent(place.id ?? "")}`;
  const shown = h("div", { class: "stack" });
  /** @param {any} found */
  const draw = (found) => {
    if (!signal.aborted) shown.replaceChildren(...file(found, act));
  };
  /** @type {(change: Change) => Promise<void>} */
  const act = async (change) => {
    try {
      draw(await post(path, change));
      say(`${change.value} is ${change.change === "add" ? "on" : "off"} the list; it counts from the next batch on.`);
    } catch (error) {
      fail(error);
    }
  };
  draw(await get(path, {}, signal));
  main.replaceChildren(h("h1", {}, "List ", foreign(place.id)), shown);
}

/**
 * @typedef {{ change: "add" | "remove", value: string, reason: string, until: string | null }} Change
 */

/**
 * @param {any} found
 * @param {(change: Change) => Promise<void>} act
 */
function file({ about, entries, history, changed }, act) {
  const reason = h("input", { name: "reason", required: true, maxlength: 2000, autocomplete: "off" });
  const value = h("input", { name: "value", required: true, maxlength: 200, autocomplete: "off" });
  const until = h("input", { type: "datetime-local", name: "until", required: about.is_snooze });
  const form = h(
    "form",
    { class: "filters", onsubmit: (/** @type {Event} */ event) => event.preventDefault(), "aria-label": "Change the list" },
    h("label", {}, SINGULAR[about.kind], value),
    h("label", { class: "wide" }, "because", reason),
    h("label", {}, about.is_snooze ? "until (UTC)" : "until (UTC; empty: for good)", until),
    h(
      "button",
      {
        type: "submit",
        onclick: () => {
          if (form.reportValidity()) act({ change: "add", value: value.value, reason: reason.value, until: until.value ? `${until.value}Z` : null });
        },
      },
      "Put on the list",
    ),
    button("Take off the list", () => {
      until.required = false;
      if (form.reportValidity()) act({ change: "remove", value: value.value, reason: reason.value, until: null });
      until.required = about.is_snooze;
    }),
  );
  const columns = [{ title: about.kind }, { title: "since" }, { title: "until" }, { title: "by" }, { title: "because" }, { title: "to change" }];
  const rows = entries.map((/** @type {any} */ one) => [
    foreign(one.value),
    one.added ? time(one.added.changed_at) : h("span", { class: "faint" }, "the rules file"),
    one.added?.until ? time(one.added.until) : "for good",
    one.added && foreign(one.added.by),
    one.added && foreign(one.added.reason),
    button(
      "Choose",
      () => {
        value.value = one.value;
        reason.focus();
      },
      { "aria-label": `Choose ${one.value}`, title: "Puts it into the form" },
    ),
  ]);
  const past = history.map((/** @type {any} */ one) => [
    time(one.changed_at),
    one.change === "add" ? "put on" : "taken off",
    foreign(one.value),
    one.until ? time(one.until) : "–",
    foreign(one.by),
    foreign(one.reason),
  ]);
  const then = [{ title: "at" }, { title: "was" }, { title: about.kind }, { title: "until" }, { title: "by" }, { title: "because" }];
  const few = entries.length < about.entries ? `The first ${count(entries.length)} of ${count(about.entries)}` : `${count(about.entries)} now`;
  const late = history.length < changed ? `The newest ${count(history.length)} of ${count(changed)}` : "Every change, the newest first";
  return [card("Change it", form), card("What is on it", table(few, columns, rows, "Nothing.")), card("History", table(late, then, past, "Nobody has changed it."))];
}
