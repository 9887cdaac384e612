// @ts-check
// Light or dark as Airflow's page around this one is, or, alone, as the system prefers. No module: before the first paint.
"use strict";
(() => {
  /** @type {HTMLElement | null} */
  let around = null;
  try {
    around = window.parent === window ? null : window.parent.document.documentElement;
  } catch {
    // Another site's page shows this one, and does not let itself be asked.
    around = null;
  }
  const preferred = window.matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    const dark = around ? around.classList.contains("dark") : preferred.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    window.dispatchEvent(new Event("paylake:theme"));
  };
  follow();
  preferred.addEventListener("change", follow);
  if (around) new MutationObserver(follow).observe(around, { attributeFilter: ["class"] });
})();
