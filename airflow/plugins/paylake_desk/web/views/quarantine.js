// @ts-check
/** Quarantine: what waits and why, the records behind a reason, one of them whole, and driving them through again. */
import { get, post } from "../api.js";
import { button, card, foreign, h, renew, state, table } from "../dom.js";
import { count, duration, time, words } from "../format.js";
import { href } from "../place.js";

const PAGE = 50;

/**
 * @param {any} waiting
 * @param {string[]} elsewhere what waits before bronze
 */
export function reasons(waiting, elsewhere) {
  if (waiting.records === null) return card("Quarantine", h("p", { class: "faint" }, "It is being counted."));
  const rows = waiting.reasons.map((/** @type {any} */ one) => [
    one.domain,
    one.field ?? "(record)",
    h("a", { href: href({ view: "lake", domain: one.domain, code: one.code, field: one.field }), "aria-label": `${one.domain}, ${one.field ?? "record"}: ${words(one.code)}` }, words(one.code)),
    count(one.records),
  ]);
  const columns = [{ title: "domain" }, { title: "field" }, { title: "reason" }, { title: "records", number: true }];
  const alarms = waiting.alarms.map((/** @type {any} */ one) =>
    h("li", {}, state("bad", "alarm"), ` ${one.domain}: ${count(one.rejected)} of ${count(one.records)} records were refused since ${time(one.since)}. `, h("code", {}, `./paylake quarantine accept --domain ${one.domain}`), " accepts that."),
  );
  return card(
    "Quarantine",
    h("p", {}, `${count(waiting.records)} records wait; one with several reasons is in several rows. `, h("span", { class: "faint" }, `Counted ${duration(waiting.age_seconds)} ago.`)),
    alarms.length > 0 && h("ul", { class: "plain spaced" }, alarms),
    elsewhere.length > 0 && h("ul", { class: "plain spaced" }, elsewhere.map((one) => h("li", {}, one))),
    table("By domain and reason", columns, rows, "No record waits."),
  );
}

/** @param {Record<string, string>} place */
function chosen(place) {
  return { domain: place.domain, code: place.code, field: place.field, since: place.since, until: place.until };
}

/** @type {import("../main.js").View} */
export async function records({ main, place, signal, say, fail }) {
  const done = place.done === "true";
  const asked = { ...chosen(place), done: done ? "true" : null, limit: PAGE };
  const found = await get("quarantine/records", asked, signal);
  if (signal.aborted) return;
  const columns = [{ title: "refused" }, { title: "place" }, { title: "why" }, { title: "bytes", number: true }, { title: "how it begins" }];
  const shown = table("Last refused first, times in UTC", columns, found.map(row), "No such record.");
  const body = /** @type {HTMLElement} */ (shown.querySelector("tbody"));
  let last = found.at(-1);
  const further = h("button", { type: "button", hidden: found.length < PAGE }, "Older ones");
  further.addEventListener("click", () => {
    const { quarantined_at: before_at, topic_id, partition, offset } = last;
    get("quarantine/records", { ...asked, before_at, topic_id, partition, offset }, signal)
      .then((older) => {
        last = older.at(-1) ?? last;
        further.hidden = older.length < PAGE;
        body.append(...older.map((/** @type {any} */ one) => h("tr", {}, row(one).map((cell) => h("td", {}, cell)))));
      })
      .catch(fail);
  });
  const reason = [place.field, place.code && words(place.code)].filter(Boolean).join(": ");
  const states = [false, true].map((one) =>
    h("a", { href: href({ ...place, done: one ? "true" : null }), "aria-current": one === done ? "true" : null }, one ? "driven through again" : "waiting"),
  );
  renew(
    main,
    h("p", {}, h("a", { href: href({ view: "lake" }) }, "Lake"), " › quarantine"),
    h("h1", {}, foreign(place.domain), reason && ", ", reason && foreign(reason)),
    h("nav", { class: "choices", "aria-label": "State" }, states),
    !done && found.length > 0 && redriving(chosen(place), say, fail),
    card("Records", shown, further),
  );
}

/** @param {any} one */
function row(one) {
  const place = `${one.topic_id}/${one.partition}/${one.offset}`;
  return [
    time(one.quarantined_at),
    h("a", { href: href({ view: "lake", record: place }), title: place }, `${one.partition}/${one.offset}`),
    why(one.reasons),
    one.size === null ? "null" : count(one.size),
    h("code", { class: "foreign" }, visible(one.beginning), one.size > 200 && "…"),
  ];
}

/** @param {any[]} reasons */
function why(reasons) {
  return h("ul", { class: "plain" }, reasons.map((one) => h("li", {}, h("strong", {}, one.field ?? "record"), ` ${words(one.code)}: `, visible(one.message))));
}

/** @type {import("../main.js").View} */
export async function record({ main, place, signal, say, fail }) {
  const [topic_id = "", partition = "", offset = ""] = (place.record ?? "").split("/");
  const found = await get("quarantine/record", { topic_id, partition, offset }, signal);
  if (signal.aborted) return;
  const one = found.record;
  const kept = one.redriven_at ? `driven through again at ${time(one.redriven_at)}` : one.requested_at ? `asked for at ${time(one.requested_at)}` : "waits";
  const cut = found.shown_bytes < one.size ? `, the first ${count(found.shown_bytes)} of them here` : "";
  const facts = [
    ["place", `${one.topic_id}/${one.partition}/${one.offset}`],
    ["topic", one.topic],
    ["Kafka's time", kafkaTime(one.timestamp_ms)],
    ["refused", `${time(one.quarantined_at)} by contract ${one.contract_version}`],
    ["now", kept],
    ["value", one.size === null ? "null" : `${count(one.size)} bytes${cut}${found.utf8 ? "" : ", not UTF-8: bytes that are no text are shown as \\x.."}`],
  ];
  renew(
    main,
    h("p", {}, h("a", { href: href({ view: "lake" }) }, "Lake"), " › ", h("a", { href: href({ view: "lake", domain: one.domain }) }, `quarantine of ${one.domain}`)),
    h("h1", {}, `Record ${one.partition}/${one.offset}`),
    h(
      "div",
      { class: "columns" },
      card("Why it was refused", why(one.reasons)),
      card("What it is", h("dl", { class: "facts" }, facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))),
    ),
    !one.redriven_at && redriving({ record: { topic_id, partition: Number(partition), offset: Number(offset) } }, say, fail),
    found.fields && fields(found.fields, one.reasons),
    found.text !== null && card("As text", h("pre", { class: "raw", tabindex: "0", dir: "ltr" }, visible(found.text))),
    found.base64 !== null && h("details", { class: "card" }, h("summary", {}, "As bytes"), h("pre", { class: "raw bytes", tabindex: "0" }, dump(found.base64))),
  );
}

/**
 * @param {any[]} found
 * @param {any[]} reasons
 */
function fields(found, reasons) {
  const rows = found.map((one) => {
    const mine = reasons.filter((reason) => reason.field === one.name);
    return [
      h("span", { class: "foreign" }, one.name ? visible(one.name) : "(no name)"),
      h("span", { class: "foreign" }, visible(one.value)),
      mine.length ? h("ul", { class: "plain bad" }, mine.map((reason) => h("li", {}, visible(reason.message)))) : "",
    ];
  });
  return card("As people read it", table("Its fields", [{ title: "field" }, { title: "value" }, { title: "what is wrong" }], rows));
}

// What prints nothing, or turns round what stands beside it.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/u;

/**
 * A text in which what cannot be seen is named instead; line breaks and tabs stay.
 *
 * @param {string} text
 */
export function visible(text) {
  const parts = text.split(/([\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}])/u).filter(Boolean);
  return h(
    "bdi",
    {},
    parts.map((part) => {
      if (part === "\n" || part === "\t" || !UNSEEN.test(part)) return part;
      return h("span", { class: "unseen" }, `U+${(part.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`);
    }),
  );
}

/** @param {number} ms any 64 bits, if a producer likes */
function kafkaTime(ms) {
  if (ms === -1) return "none";
  return Math.abs(ms) <= 8.64e15 ? time(new Date(ms).toISOString()) : `${ms} ms`;
}

/** @param {string} base64 */
function dump(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const lines = [];
  for (let start = 0; start < bytes.length; start += 16) {
    const line = [...bytes.subarray(start, start + 16)];
    const hex = line.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = line.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${start.toString(16).padStart(6, "0")}  ${hex.padEnd(47)}  ${text}`);
  }
  return lines.join("\n");
}

/**
 * First what would happen; then a button that does it.
 *
 * @param {Record<string, unknown>} which
 * @param {(words: string) => void} say
 * @param {(error: unknown) => void} fail
 */
function redriving(which, say, fail) {
  const outcome = h("div", { "aria-live": "polite" });
  /** @param {boolean} dry_run */
  const drive = (dry_run) => {
    for (const one of shown.querySelectorAll("button")) one.disabled = true;
    outcome.replaceChildren(h("p", { class: "faint" }, dry_run ? "Each record is classified by today's contract …" : "They are driven through …"));
    post("quarantine/redrive", { ...which, dry_run })
      .then((told) => {
        outcome.replaceChildren(...(dry_run ? would(told, () => drive(false)) : did(told)));
        if (!dry_run) say(`${count(total(told.landed))} landed, ${count(total(told.requested))} wait for silver.`);
      })
      .catch((error) => {
        outcome.replaceChildren();
        fail(error);
      })
      .finally(() => {
        first.disabled = false;
      });
  };
  const first = button("Try it: change nothing", () => drive(true));
  const shown = card(
    "Drive through again",
    h("p", {}, "After the contract or its rules were mended: what keeps them now lands in its table, once. ", first),
    outcome,
  );
  return shown;
}

/** @param {Record<string, number>} byDomain */
function total(byDomain) {
  return Object.values(byDomain).reduce((sum, one) => sum + one, 0);
}

/**
 * @param {any} told
 * @param {() => void} doIt
 */
function would(told, doIt) {
  const valid = total(told.valid);
  return [
    h("p", {}, `${count(valid)} of ${count(told.chosen)} would land, ${count(told.rejected)} would stay.`),
    told.rejected > 0 && rejected(told.reasons),
    valid > 0 && button(`Drive ${count(valid)} through again`, doIt),
  ].filter((one) => one instanceof Node);
}

/** @param {any} told */
function did(told) {
  const verdicts = told.fraud + told.genuine + told.duplicates;
  const woken = told.woken.length ? `; ${told.woken.join(", ")} was started` : "";
  const sentences = [
    `${count(total(told.landed))} of ${count(told.chosen)} landed${verdicts ? ` (${count(told.fraud)} fraud, ${count(told.genuine)} genuine, ${count(told.duplicates)} duplicates)` : ""}.`,
    total(told.requested) > 0 && `${count(total(told.requested))} wait for the next run of silver${woken}.`,
    told.rejected > 0 && `${count(told.rejected)} stay.`,
  ].filter(Boolean);
  return [h("p", {}, sentences.join(" ")), told.rejected > 0 && rejected(told.reasons)].filter((one) => one instanceof Node);
}

/** @param {any[]} reasons */
function rejected(reasons) {
  const rows = reasons.map((one) => [one.field ?? "(record)", words(one.code), count(one.records)]);
  return table("Why they stay", [{ title: "field" }, { title: "reason" }, { title: "records", number: true }], rows);
}
