// @ts-check
/** Rules: what is in use and what it did, its lists, its versions, and trying others. */
import { h } from "../dom.js";
import { href } from "../place.js";
import { backtest, backtests } from "./rules/backtests.js";
import { list, lists } from "./rules/lists.js";
import { overview } from "./rules/overview.js";
import { rule } from "./rules/rule.js";
import { versions } from "./rules/versions.js";

/** @type {Record<string, { title: string, all: import("../main.js").View, one: import("../main.js").View }>} */
const PARTS = {
  rules: { title: "in use", all: overview, one: rule },
  lists: { title: "lists", all: lists, one: list },
  tests: { title: "back-tests", all: backtests, one: backtest },
  versions: { title: "versions", all: versions, one: versions },
};

/** @type {import("../main.js").View} */
export async function rules(room) {
  const name = room.place.part && room.place.part in PARTS ? room.place.part : "rules";
  const part = /** @type {typeof PARTS[string]} */ (PARTS[name]);
  const choices = Object.entries(PARTS).map(([one, { title }]) =>
    h("a", { href: href({ view: "rules", part: one === "rules" ? null : one }), "aria-current": one === name ? "true" : null }, title),
  );
  const shown = h("div", { class: "stack" }, h("p", { class: "faint" }, "Loading …"));
  room.main.replaceChildren(h("nav", { class: "choices", "aria-label": "Of the rules" }, choices), shown);
  await part[room.place.id ? "one" : "all"]({ ...room, main: shown });
}
