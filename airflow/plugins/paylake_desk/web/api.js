// @ts-check
/** Questions to the page's own API; addresses are relative, wherever Airflow is served. */

export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** @typedef {Record<string, string | number | null | undefined | string[]>} Parameters */

/**
 * @param {string} path
 * @param {Parameters} [parameters]
 */
export function address(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") query.append(name, String(one));
    }
  }
  return `api/${path}${query.size ? `?${query}` : ""}`;
}

/**
 * @param {string} path
 * @param {Parameters} [parameters]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export function get(path, parameters, signal) {
  return call(address(path, parameters), { signal: signal ?? null });
}

/**
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
export function post(path, body) {
  const headers = { "Content-Type": "application/json", "X-Requested-With": "paylake" };
  return call(address(path), { method: "POST", headers, body: body === undefined ? null : JSON.stringify(body) });
}

/**
 * @param {string} url
 * @param {RequestInit} how
 */
async function call(url, how) {
  const response = await fetch(url, how);
  if (response.ok) return response.json();
  throw new Refused(response.status, await reason(response));
}

/** @param {Response} response */
async function reason(response) {
  if (response.status === 401) return "You are not logged in any more: load the page again.";
  const text = await response.text();
  try {
    const { detail } = JSON.parse(text);
    if (typeof detail === "string") return response.status === 403 ? `You may not do that (${detail})` : detail;
    if (Array.isArray(detail)) return detail.map((one) => `${one.loc.slice(1).join(".")}: ${one.msg}`).join("; ");
  } catch {
    // No JSON: a proxy's words, or none.
  }
  return `The server answered ${response.status}.`;
}
