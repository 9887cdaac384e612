// @ts-check
/** Charts in the page's colours; each has a table or list beside it that says the same in words. */

/** @param {string} name of a CSS variable */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function layout() {
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), automargin: true, fixedrange: true };
  return {
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    font: { color: colour("ink"), family: "inherit", size: 12 },
    margin: { l: 48, r: 12, t: 8, b: 36 },
    height: 220,
    showlegend: false,
    xaxis: { ...axis },
    yaxis: { ...axis, rangemode: "tozero" },
    hoverlabel: { bgcolor: colour("card"), font: { color: colour("ink") } },
  };
}

const CONFIG = { displayModeBar: false, responsive: true };

/**
 * Draws now, and again in other colours when the theme changes.
 *
 * @param {HTMLElement} element
 * @param {() => { data: any[], layout: any }} made
 * @param {AbortSignal} signal
 */
function draw(element, made, signal) {
  const again = () => {
    const { data, layout } = made();
    Plotly.react(element, data, layout, CONFIG);
  };
  again();
  window.addEventListener("paylake:theme", again, { signal });
  signal.addEventListener("abort", () => Plotly.purge(element), { once: true });
}

/**
 * @param {HTMLElement} element
 * @param {{ at: string, value: number, text: string }[]} bars
 * @param {{ since: string, until: string, stepSeconds: number }} period
 * @param {AbortSignal} signal
 */
export function bars(element, bars, period, signal) {
  draw(
    element,
    () => {
      const base = layout();
      return {
        data: [
          {
            type: "bar",
            x: bars.map((one) => one.at),
            y: bars.map((one) => one.value),
            width: period.stepSeconds * 900,
            offset: 0,
            text: bars.map((one) => one.text),
            textposition: "none",
            hovertemplate: "%{x}<br>%{text}<extra></extra>",
            marker: { color: colour("accent") },
          },
        ],
        layout: { ...base, xaxis: { ...base.xaxis, type: "date", range: [period.since, period.until] } },
      };
    },
    signal,
  );
}

/**
 * @typedef {object} Dot
 * @property {string} at
 * @property {number} amount
 * @property {string} text
 * @property {"genuine" | "fraud" | "this"} kind
 */

/**
 * Payments by time and amount.
 *
 * @param {HTMLElement} element
 * @param {Dot[]} dots
 * @param {AbortSignal} signal
 */
export function timeline(element, dots, signal) {
  const kinds = /** @type {const} */ ([
    ["genuine", "faint", "circle", 7],
    ["fraud", "bad", "x", 9],
    ["this", "accent", "diamond", 14],
  ]);
  draw(
    element,
    () => {
      const base = layout();
      return {
        data: kinds.map(([kind, variable, symbol, size]) => {
          const mine = dots.filter((one) => one.kind === kind);
          return {
            type: "scatter",
            mode: "markers",
            name: kind === "this" ? "this one" : kind,
            x: mine.map((one) => one.at),
            y: mine.map((one) => one.amount),
            text: mine.map((one) => one.text),
            hovertemplate: "%{x}<br>%{text}<extra></extra>",
            marker: { color: colour(variable), symbol, size },
          };
        }),
        layout: {
          ...base,
          height: 260,
          showlegend: true,
          legend: { orientation: "h", y: 1.15 },
          yaxis: { ...base.yaxis, type: "log", rangemode: "normal", title: { text: "amount" } },
        },
      };
    },
    signal,
  );
}
