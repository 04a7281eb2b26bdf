// The legend of a chart: at most two lines, with a height that does not depend on values. Further entries are a click away.

import { button, element, nameOf, say, swatch } from "./element.js";

const MOST_WITH_VALUES = 8; // runs; with more, the values are only shown at the pointer
const MOST_TEXTS = 12;

/** @typedef {import("./series.js").Series} Series */

export class Legend {
  /** @param {{strip?: boolean}} spec of the card */
  constructor(spec) {
    this.spec = spec;
    this.element = element("div", "legend");
    this.list = element("div", "all", { hidden: true, tabIndex: -1 }); // opens next to the legend, which shows at most two lines
    /** @type {HTMLElement[]} */
    this.values = [];
    this.hasValues = true;
    this.signature = "";
    for (const part of [this.element, this.list]) {
      part.addEventListener("focusout", (/** @type {FocusEvent} */ event) => {
        const to = /** @type {Node | null} */ (event.relatedTarget);
        if (!this.element.contains(to) && !this.list.contains(to)) this.list.hidden = true;
      });
      part.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Escape" && !this.list.hidden) { event.stopPropagation(); this.list.hidden = true; }
      });
    }
  }

  /** @param {Series[]} series @param {number} keys the number of keys of the chart */
  fill(series, keys, withValues = true) {
    const texts = this.spec.strip ? textsOf(series) : [];
    const signature = JSON.stringify([series.map((one) => [one.name, one.label, one.color, one.n, one.run]), texts, keys, this.element.clientWidth, withValues]);
    if (withValues && signature === this.signature) return;
    if (withValues) this.signature = signature;
    this.values = [];
    /** @type {Map<string | undefined, {one: Series, values: HTMLElement[]}>} */
    const entries = new Map(); // one per run, regardless of the number of curves
    for (const one of series) {
      const id = one.name ? one.run : `${one.run} ${one.key} ${one.label}`;
      const value = element("b");
      value.title = [one.name, one.key].filter(Boolean).join(": ");
      const entry = entries.get(id) ?? { one, values: [] };
      entry.values.push(value);
      entries.set(id, entry);
      this.values.push(value);
    }
    const hasValues = this.hasValues = withValues && entries.size <= MOST_WITH_VALUES;
    const parts = [...entries.values()].map(({ one, values }) => {
      const text = (one.name || (keys > 1 || one.n ? one.label : "")) + (one.n ? ` (n=${one.n})` : "");
      const name = one.name ? nameOf(text) : text;
      const part = element("span", "", {}, ...(this.spec.strip && !one.name ? [] : [swatch(one.color)]), name);
      if (hasValues) part.append(...values.flatMap((value, i) => (i ? [" / ", value] : [value])));
      return part;
    });
    if (keys > 1 && series.some((one) => one.name)) {
      const labels = [...new Set(series.map((one) => one.label))];
      parts.push(element("span", "", { textContent: labels.map((label, i) => `${["─", "╌", "┈", "─·"][i % 4]} ${label}`).join("  ") }));
    }
    for (const [text, color] of texts) parts.push(element("span", "", {}, swatch(color, "swatch block"), text));
    this.element.replaceChildren(...parts);
    this.list.hidden = true;
    const fits = this.shorten(parts);
    if (!fits && hasValues && series.some((one) => one.name)) this.fill(series, keys, false); // names have priority over values
  }

  /** Keep two lines, and add a button for entries that do not fit; true if all fit.
   * @param {HTMLElement[]} parts @returns {boolean} */
  shorten(parts) {
    const first = parts[0];
    if (!first?.offsetParent) { this.signature = ""; return true; } // not on the screen; measured when it is
    const fits = (/** @type {HTMLElement} */ part) => part.offsetTop < first.offsetTop + 1.5 * first.offsetHeight;
    let kept = parts.findIndex((part) => !fits(part));
    if (kept < 0) return true;
    const more = button("", () => {
      this.list.hidden = !this.list.hidden;
      if (!this.list.hidden) this.list.replaceChildren(...parts.map((part) => part.cloneNode(true)));
    }, "more-runs", "All curves of this chart");
    parts[kept].before(more);
    for (const part of parts.slice(kept)) part.remove();
    for (; kept > 1; kept--) {
      more.textContent = `+${parts.length - kept}`;
      if (fits(more)) break;
      parts[kept - 1].remove();
    }
    more.textContent = `+${parts.length - kept}`;
    return false;
  }

  /** @param {import("./chart.js").Chart} chart */
  say(chart) {
    if (!this.hasValues) return;
    const values = chart.values();
    this.values.forEach((place, i) => say(place, values[i] ?? ""));
  }
}

/** The texts of the strips, and their colours. @param {Series[]} series @returns {[string, string][]} */
function textsOf(series) {
  const shown = new Map();
  for (const { strip } of series) {
    for (const code of new Set(strip?.code)) if (strip?.texts[code]) shown.set(strip.texts[code], strip.colors[code]);
  }
  return [...shown].slice(0, MOST_TEXTS);
}
