// The numbers of a chart as a table, for users who cannot see it or who need exact values.

import { element } from "./element.js";
import { exact } from "./exact.js";
import { number } from "./format.js";

const MOST_ROWS = 500;

/** @param {import("./series.js").Series[]} series @param {string} axis @param {string} title */
export function tableOf(series, axis, title) {
  const columns = series.map((one) => ({ name: [one.name, one.label].filter(Boolean).join(" · ") || title, values: byPlace(one) }));
  const places = [...new Set(series.flatMap((one) => Array.from(one.x)))].sort((a, b) => a - b);
  const every = Math.max(1, Math.ceil(places.length / MOST_ROWS));
  const shown = places.filter((_, i) => i % every === 0 || i === places.length - 1);
  const caption = every > 1 ? `${title}: ${shown.length} of ${places.length} places` : title;
  const head = [axis, ...columns.map(({ name }) => name)].map((text) => element("th", "", { scope: "col" }, text));
  const rows = shown.map((x) => element("tr", "", {}, element("th", "", { scope: "row" }, exact(x)),
    ...columns.map(({ values }) => element("td", "", {}, values.get(x) ?? ""))));
  return element("table", "", {}, element("caption", "", {}, caption),
    element("thead", "", {}, element("tr", "", {}, ...head)), element("tbody", "", {}, ...rows));
}

/** @param {import("./series.js").Series} series @returns {Map<number, string>} */
function byPlace({ x, y, strip }) {
  const found = new Map();
  for (let i = 0; i < x.length; i++) found.set(x[i], strip ? strip.texts[strip.code[i]] ?? "–" : Number.isInteger(y[i]) ? number(y[i]) : String(y[i]));
  return found;
}
