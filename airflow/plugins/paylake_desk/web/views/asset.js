// @ts-check
/** One asset: what it is, how it is, its columns with their lineage, and what its events told. */
import { get } from "../api.js";
import { card, h, renew, state, table } from "../dom.js";
import { ago, count, duration, time } from "../format.js";
import { href } from "../place.js";
import { run } from "./lake.js";

/** @type {import("../main.js").View} */
export async function asset({ main, place, signal }) {
  const name = place.asset ?? "";
  const found = await get(`assets/${name.split("/").map(encodeURIComponent).join("/")}`, {}, signal);
  if (signal.aborted) return;
  renew(
    main,
    h("p", {}, h("a", { href: href({ view: "lake" }) }, "Lake"), ` › ${found.asset.group}`),
    h("h1", {}, found.asset.name),
    h("p", {}, found.asset.description),
    h("div", { class: "columns" }, facts(found.asset), condition(found)),
    columnsOf(found.asset),
    events(found.events),
    found.runs.length > 0 && runs(found.runs),
  );
}

/** @param {string} name */
function link(name) {
  return h("a", { href: href({ view: "lake", asset: name }) }, name);
}

/** @param {string[]} names */
function links(names) {
  return names.length ? h("ul", { class: "plain" }, names.map((name) => h("li", {}, link(name)))) : "none";
}

/** @param {[string, import("../dom.js").Child][]} rows */
function list(rows) {
  return h("dl", { class: "facts" }, rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** @param {any} one */
function facts(one) {
  return card(
    "What it is",
    list([
      ["owners", one.owners.join(", ")],
      ["where", h("code", {}, one.uri)],
      ["contract", one.contract ? `${one.contract} ${one.contract_version}` : "none"],
      ["made by", one.producer ?? "whoever produces"],
      ["code version", h("code", {}, one.code_version)],
      ["made of", links(one.inputs)],
      ["looks at", links(one.looks_at)],
      ["feeds", links(one.feeds)],
    ]),
  );
}

/** @param {any} found */
function condition({ asset: one, state: now, age_seconds: age }) {
  const limit = one.limit_seconds === null ? "none" : `${duration(one.limit_seconds)} of ${one.measured === "update" ? "no news" : "waiting"}`;
  if (!now) return card("How it is", h("p", { class: "faint" }, "The stores are being asked: load the page again in a few seconds."), list([["limit", limit]]));
  const causes = now.stale_because.map((/** @type {any} */ cause) =>
    h(
      "li",
      {},
      link(cause.input),
      ": ",
      cause.records === null ? `it has ${cause.newest?.short ?? "newer data"}, used was ${cause.used?.short ?? "none"}` : `${count(cause.records)} records wait`,
    ),
  );
  const fresh = now.freshness;
  return card(
    "How it is",
    h(
      "p",
      {},
      fresh?.overdue && state("bad", "overdue"),
      " ",
      now.stale ? state("warn", "stale") : one.inputs.length ? state("good", "up to date") : state("faint", "a source"),
      " ",
      now.changed.length > 0 && state("warn", `made by other ${now.changed.join(" and ")}`),
      h("span", { class: "faint" }, ` seen ${duration(age)} ago`),
    ),
    causes.length > 0 && h("h3", {}, "Because of"),
    causes.length > 0 && h("ul", { class: "plain" }, causes),
    list([
      ["newest", now.updated ? `${time(now.updated)}, ${ago(now.updated)}` : "not known"],
      ["limit", limit],
      ["waits", fresh && fresh.seconds !== null ? duration(fresh.seconds) : "–"],
      ["data version", version(now.data_version)],
      ...Object.entries(now.inputs).map(([name, used]) => /** @type {[string, import("../dom.js").Child]} */ ([`made of ${name}`, version(used)])),
    ]),
  );
}

/** @param {any} one */
function version(one) {
  if (!one) return "not known";
  const positions = Object.entries(one.positions ?? {}).flatMap(([topic, partitions]) =>
    Object.entries(partitions).map(([partition, offset]) => h("li", {}, `${topic}/${partition} up to ${offset}`)),
  );
  return h(
    "details",
    { class: "version" },
    h("summary", {}, one.short),
    h("ul", { class: "plain" }, one.snapshot_id && h("li", {}, `snapshot ${one.snapshot_id}`), positions),
  );
}

/** @param {any} one */
function columnsOf(one) {
  /** @param {any[]} sources */
  const columns = (sources) =>
    h("ul", { class: "plain" }, sources.map((source) => h("li", {}, link(source.asset), ` ${source.column}`)));
  const rows = one.columns.map((/** @type {any} */ { column, feeds }) => [
    h("span", {}, h("strong", {}, column.name), column.personal && " ", column.personal && state("warn", "personal")),
    h("span", {}, column.type, !column.required && h("span", { class: "faint" }, " or none")),
    h("span", {}, column.description, column.rule && h("small", { class: "rule" }, column.rule)),
    h("span", {}, column.made_by, columns(column.sources)),
    columns(feeds),
  ]);
  const titles = ["column", "type", "what, and its rule", "made of", "feeds"].map((title) => ({ title }));
  return card("Columns", table(`${count(rows.length)} columns, each with its rule and its lineage`, titles, rows));
}

/** @param {any[]} found */
function events(found) {
  /** @param {number | null} value */
  const number = (value) => (value === null ? "–" : count(value));
  const columns = [
    { title: "when" },
    { title: "by" },
    { title: "data version" },
    { title: "in", number: true },
    { title: "out", number: true },
    { title: "refused", number: true },
    { title: "took", number: true },
    { title: "all it told" },
  ];
  const rows = found.map((one) => [
    h("time", { datetime: one.at, title: ago(one.at) }, time(one.at)),
    h("span", { title: one.run_id }, one.dag_id ?? (one.counts ? "its watcher" : "a person"), !one.counts && " ", !one.counts && state("faint", "does not count")),
    one.version ?? "–",
    number(one.rows_in),
    number(one.rows_out),
    number(one.rejected),
    duration(one.seconds),
    h("details", {}, h("summary", {}, "JSON"), h("pre", { class: "raw" }, one.text + (one.cut ? "\n… cut" : ""))),
  ]);
  return card("Events", table("The newest first", columns, rows, "None: streams tell no events, see docs/assets.md."));
}

/** @param {any[]} found */
function runs(found) {
  const columns = [{ title: "run" }, { title: "started" }, { title: "took", number: true }, { title: "id" }];
  const rows = found.map((one) => [
    run(one),
    time(one.started),
    one.started && one.ended ? duration((Date.parse(one.ended) - Date.parse(one.started)) / 1000) : "–",
    h("code", {}, one.run_id),
  ]);
  return card("Runs", table(`Of the DAG ${found[0].dag_id}, the newest first`, columns, rows));
}
