// @ts-check
/** The lake: its layers, books, quarantine and assets, as they are now. */
import { get } from "../api.js";
import { card, figure, figures, h, renew, state, table } from "../dom.js";
import { ago, count, duration, time, words } from "../format.js";
import { href } from "../place.js";
import { asset } from "./asset.js";
import { record, records, reasons } from "./quarantine.js";

const EVERY_MS = 5_000;
const SOON_MS = 1_000;
// What was seen before, by whoever looked last, says nothing of now.
const OLD_SECONDS = 180;

/** @type {import("../main.js").View} */
export async function lake(room) {
  const { main, place, signal, fail } = room;
  if (place.asset) return asset(room);
  if (place.record) return record(room);
  if (place.domain) return records(room);
  const shown = h("div", { class: "stack" });
  main.replaceChildren(h("h1", {}, "Lake"), shown);
  let fresh = false;
  shown.append(h("p", { class: "faint" }, "Every store is being asked: a few seconds."));
  const look = async () => {
    const [found, waiting] = await Promise.all([get("lake", {}, signal), get("quarantine", {}, signal)]);
    if (signal.aborted) return;
    fresh = found.lake !== null && found.age_seconds < OLD_SECONDS;
    if (fresh) renew(shown, ...all(found, waiting));
  };
  const again = async () => {
    if (document.visibilityState === "visible") await look().catch(fail);
    if (!signal.aborted) setTimeout(again, fresh ? EVERY_MS : SOON_MS);
  };
  await again();
}

/**
 * @param {any} found
 * @param {any} waiting
 */
function all({ lake: seen, age_seconds: age }, waiting) {
  const overdue = seen.assets.filter((/** @type {any} */ one) => one.overdue).length;
  const stale = seen.assets.filter((/** @type {any} */ one) => one.stale_because.length).length;
  return [
    figures(
      figure("problems", h("span", { class: seen.problems.length ? "bad" : "good" }, count(seen.problems.length)), `seen ${duration(age)} ago`),
      figure("assets overdue", h("span", { class: overdue ? "bad" : "good" }, count(overdue)), `${count(stale)} of ${count(seen.assets.length)} wait for newer data`),
      figure("newest verdict", seen.newest_verdict ? ago(seen.newest_verdict) : "none yet"),
      figure("in quarantine", waiting.records === null ? "…" : count(waiting.records), "records"),
    ),
    seen.problems.length > 0 && problems(seen.problems),
    layers(seen.layers),
    h("div", { class: "columns" }, books(seen.books), reasons(waiting, seen.waiting)),
    graph(seen.assets),
  ];
}

/** @param {any[]} found */
function problems(found) {
  const items = found.map((one) =>
    h("li", {}, state("bad", words(one.check)), " ", h("strong", {}, one.subject), ": ", h("bdi", {}, one.message)),
  );
  return card("What is wrong", h("ul", { class: "plain spaced" }, items));
}

/** @param {any[]} found */
function layers(found) {
  const columns = [
    { title: "layer" },
    { title: "name" },
    { title: "state" },
    { title: "rows", number: true },
    { title: "a second", number: true },
    { title: "newest" },
    { title: "last run" },
    { title: "refused", number: true },
  ];
  const rows = found.map((one) => [
    one.layer,
    one.asset ? h("a", { href: href({ view: "lake", asset: one.asset }) }, one.name) : one.name,
    behind(one),
    `${one.exact ? "" : "about "}${count(one.rows)}`,
    one.rate === null ? "–" : one.rate < 10 ? one.rate.toFixed(1) : count(Math.round(one.rate)),
    one.updated ? h("time", { datetime: one.updated, title: time(one.updated) }, ago(one.updated)) : "–",
    one.run ? run(one.run) : "–",
    one.quarantined === null
      ? ""
      : one.quarantined
        ? h("a", { href: href({ view: "lake", domain: one.domain }), "aria-label": `${one.quarantined} refused of ${one.domain}` }, count(one.quarantined))
        : "0",
  ]);
  return card("Layers", table("Refused: what waits in quarantine. Times in UTC.", columns, rows));
}

/** @param {any} one */
function behind(one) {
  if (one.behind_records === null) return state("faint", "not known");
  if (one.behind_records === 0) return state("good", "up to date");
  const since = one.behind_seconds === null ? "" : `, ${duration(one.behind_seconds)}`;
  const waits = `${count(one.behind_records)} behind ${one.before}${since}`;
  return one.late ? state("bad", `late: ${waits}`) : state("warn", waits);
}

const RUNS = /** @type {Record<string, "good" | "warn" | "bad">} */ ({ success: "good", failed: "bad" });

/** @param {any} one */
export function run(one) {
  const name = /** @type {Record<string, string>} */ ({ success: "succeeded" })[one.state] ?? one.state;
  const when = one.ended ?? one.started;
  return h("span", { title: one.run_id }, state(RUNS[one.state] ?? "warn", name), when && ` ${ago(when)}`);
}

/** @param {any} found */
function books(found) {
  if (!found) return card("Books", h("p", { class: "faint" }, "Nobody has proved them yet: the DAG verify_books does, every quarter of an hour."));
  const columns = [
    { title: "domain" },
    ...["bronze", "valid", "duplicates", "quarantined", "tombstones"].map((title) => ({ title, number: true })),
  ];
  const rows = Object.entries(found.domains).map(([name, books]) => [
    name,
    ...columns.slice(1).map(({ title }) => (typeof books[title] === "number" ? count(books[title]) : "–")),
  ]);
  const findings = found.findings.map((/** @type {any} */ one) => h("li", {}, h("bdi", {}, String(one.message))));
  return card(
    "Books",
    h(
      "p",
      {},
      found.balanced ? state("good", "they balance") : state("bad", "they do not balance"),
      ` proved ${ago(found.at)}: ${count(found.records)} records in ${duration(found.seconds)}. `,
      h("a", { href: href({ view: "lake", asset: "checks/books" }) }, "All proofs"),
    ),
    findings.length > 0 && h("ul", { class: "plain spaced bad" }, findings.slice(0, 20)),
    table("bronze = valid + duplicates + quarantined + tombstones", columns, rows),
  );
}

/**
 * Each asset with those that are made of it behind it.
 *
 * @param {any[]} found
 */
function graph(found) {
  /**
   * @param {any} one
   * @returns {HTMLElement}
   */
  const node = (one) => {
    const fed = found.filter((other) => other.inputs[0] === one.name);
    return h("li", {}, link(one), fed.length > 0 && h("ul", {}, fed.map(node)));
  };
  const roots = found.filter((one) => !one.inputs.length);
  const alone = roots.filter((one) => !found.some((other) => other.inputs[0] === one.name));
  const chains = roots.filter((one) => !alone.includes(one));
  return card(
    "Assets",
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Graph of the assets" }, h("ul", { class: "graph" }, chains.map(node))),
    h("h3", {}, "Beside them"),
    h("ul", { class: "graph alone" }, alone.map(node)),
  );
}

/** @param {any} one */
function link(one) {
  const waits = one.stale_because.reduce((/** @type {number} */ sum, /** @type {any} */ cause) => sum + (cause.records ?? 0), 0);
  const stale = waits ? `stale: ${count(waits)} wait` : one.stale_because.length ? "stale" : "";
  const kind = one.overdue ? "bad" : stale ? "warn" : "faint";
  const told = [stale, one.overdue && "overdue", one.changed.length && `made by other ${one.changed.join(" and ")}`].filter(Boolean).join(", ");
  return h(
    "a",
    { class: `asset ${kind}`, href: href({ view: "lake", asset: one.name }), title: one.freshness || null },
    h("span", {}, one.name),
    h("small", {}, told || (one.updated ? ago(one.updated) : "nothing known")),
  );
}
