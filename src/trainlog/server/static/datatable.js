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
  const table = element("table");
  const caption = element("caption", "", { textContent: every > 1 ? `${title}: ${shown.length} of ${places.length} places` : title });
  const head = element("tr");
  head.append(...[axis, ...columns.map(({ name }) => name)].map((text) => element("th", "", { scope: "col", textContent: text })));
  const body = element("tbody");
  body.append(...shown.map((x) => {
    const row = element("tr");
    row.append(element("th", "", { scope: "row", textContent: exact(x) }));
    row.append(...columns.map(({ values }) => element("td", "", { textContent: values.get(x) ?? "" })));
    return row;
  }));
  const thead = element("thead");
  thead.append(head);
  table.append(caption, thead, body);
  return table;
}

/** @param {import("./series.js").Series} series @returns {Map<number, string>} */
function byPlace({ x, y, strip }) {
  const found = new Map();
  for (let i = 0; i < x.length; i++) found.set(x[i], strip ? strip.texts[strip.code[i]] ?? "–" : Number.isInteger(y[i]) ? number(y[i]) : String(y[i]));
  return found;
}
