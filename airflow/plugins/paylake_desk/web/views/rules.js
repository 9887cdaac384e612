// @ts-check
import { h } from "../dom.js";

/** @type {import("../main.js").View} */
export async function rules({ main }) {
  main.replaceChildren(h("h1", {}, "rules"));
}
