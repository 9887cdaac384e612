// @ts-check
/** Values as people read them; all times in UTC. */

const WHOLE = new Intl.NumberFormat("en");

/** @param {number} value */
export function count(value) {
  return WHOLE.format(value);
}

/**
 * An exact decimal, as text, with two places at least: never by way of a floating number.
 *
 * @param {string | null} amount
 */
export function money(amount) {
  if (amount === null) return "–";
  const [whole, places = ""] = amount.replace("-", "").split(".");
  const shown = places.replace(/0+$/, "").padEnd(2, "0");
  return `${amount.startsWith("-") ? "−" : ""}${(whole ?? "0").replace(/\B(?=(\d{3})+$)/g, ",")}.${shown}`;
}

/** @param {string | null} moment ISO 8601 */
export function time(moment) {
  return moment ? new Date(moment).toISOString().slice(0, 19).replace("T", " ") : "–";
}

/** @param {number | null} seconds */
export function duration(seconds) {
  if (seconds === null) return "–";
  if (seconds < 1) return "under 1 s";
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** @param {string} moment ISO 8601 */
export function ago(moment) {
  return `${duration(Math.max(0, (Date.now() - Date.parse(moment)) / 1000))} ago`;
}

/** @param {string} name such as false_alarm */
export function words(name) {
  return name.replaceAll("_", " ");
}

/** @param {number} share between 0 and 1 */
export function percent(share) {
  return `${(share * 100).toFixed(share < 0.01 ? 2 : 1)} %`;
}
