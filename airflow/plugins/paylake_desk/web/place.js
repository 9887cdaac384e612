// @ts-check
/**
 * Where on the page one is: the query of its address, which is kept in Airflow's address, too, so that it can be sent to
 * somebody, and survives a reload.
 */

/** @type {Set<() => void>} */
const listeners = new Set();

/** The page of Airflow's around this one, if there is one of this site. */
function around() {
  try {
    return window.parent !== window && window.parent.location.origin === window.location.origin ? window.parent : null;
  } catch {
    // Another site's.
    return null;
  }
}

export function start() {
  const outer = around();
  if (outer && !window.location.search && outer.location.search) {
    window.history.replaceState(null, "", outer.location.search);
  }
  window.addEventListener("popstate", changed);
}

/** @returns {Record<string, string>} */
export function here() {
  return Object.fromEntries(new URLSearchParams(window.location.search));
}

/** @param {Record<string, string | number | null | undefined>} place */
export function href(place) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(place)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  }
  return `?${query}`;
}

/**
 * @param {Record<string, string | number | null | undefined>} place
 * @param {boolean} [instead] without a step to go back to
 */
export function go(place, instead = false) {
  const to = href(place);
  if (instead) window.history.replaceState(null, "", to);
  else window.history.pushState(null, "", to);
  changed();
}

/** @param {() => void} listener */
export function onChange(listener) {
  listeners.add(listener);
}

function changed() {
  const outer = around();
  if (outer) outer.history.replaceState(outer.history.state, "", outer.location.pathname + window.location.search);
  for (const listener of listeners) listener();
}
