// @ts-check
/** Who put which rules into use when, and what each changed. */
import { get } from "../../api.js";
import { card, foreign, h, table } from "../../dom.js";
import { time } from "../../format.js";
import { href } from "../../place.js";
import { airflow } from "./common.js";
import { edit } from "./backtests.js";

/** @type {import("../../main.js").View} */
export async function versions({ main, place, signal }) {
  const [made, chosen] = await Promise.all([
    get("rules/promotions", {}, signal),
    place.id ? get(`rules/promotions/${encodeURIComponent(place.id)}`, {}, signal) : null,
  ]);
  if (signal.aborted) return;
  const columns = [{ title: "version" }, { title: "put in" }, { title: "by" }, { title: "approval" }, { title: "why" }];
  const rows = made.map((/** @type {any} */ one, /** @type {number} */ place) => [
    h("span", {}, h("a", { href: href({ view: "rules", part: "versions", id: one.number }) }, one.version), place === 0 && " (in use)"),
    time(one.promoted_at),
    foreign(one.promoted_by),
    one.approved_in
      ? h("a", { href: airflow("rules_promotion", one.approved_in), target: "_top" }, time(one.approved_at))
      : h("span", { class: "faint" }, "nobody was asked"),
    foreign(one.note, ""),
  ]);
  main.replaceChildren(
    h("h1", {}, "Versions of the rules"),
    card("What was put into use", table("The newest 20", columns, rows, "None: the stream puts its file in when it starts.")),
    ...(chosen ? [change(chosen)] : []),
  );
}

/** @param {any} chosen */
function change({ made, content, difference }) {
  const lines = difference.split("\n").map((/** @type {string} */ line) => {
    const kind = line.startsWith("+") ? "good" : line.startsWith("-") ? "bad" : line.startsWith("@@") ? "faint" : null;
    return h("span", { class: kind }, `${line}\n`);
  });
  return card(
    `What ${made.version} changed`,
    difference ? h("pre", { class: "file", tabindex: "0", "aria-label": "Difference to the version before" }, lines) : h("p", { class: "faint" }, "Nothing but what is around it."),
    h("details", {}, h("summary", {}, "The whole file"), h("pre", { class: "file", tabindex: "0", "aria-label": "The whole file" }, content)),
    h("p", { class: "actions" }, h("button", { type: "button", onclick: () => edit(content) }, "Begin a back-test with it")),
  );
}
