// The tooltip at the pointer: its place on every axis, and the value of each curve, highest first.

import { element, nameOf, swatch } from "./element.js";
import { exact } from "./exact.js";
import { duration, number } from "./format.js";
import { described, indexAt, isFar, valueAt } from "./series.js";

const MOST_ROWS = 14;
const MOST_MEMBERS = 8;
const NEAR = 6; // pixels from an event or from damage
/** @type {Record<string, string>} */
const AXES = { step: "step", episode: "episode", time: "time", sim_time: "simulated time" };

/** @typedef {import("./series.js").Series} Series */

export class Tip {
  /** @param {import("./chart.js").Chart} chart */
  constructor(chart) {
    this.chart = chart;
    /** @type {HTMLElement | null} */
    this.box = null;
  }

  /** The facts at the pointer.
   * @returns {{places: string[], rows: {one: Series, label: string, value: number, text(): string, isNear: boolean}[], notes: string[]} | null} */
  facts() {
    const { chart } = this;
    const x = chart.hub.hover;
    if (x === null || !chart.place) return null;
    const near = chart.nearest(x, chart.pointer?.py ?? null);
    const rows = chart.series.flatMap((one) => {
      const i = indexAt(one, x);
      if (i < 0 || isFar(one, i, x)) return [];
      const name = [one.name, one.label].filter(Boolean).join(" · ") || chart.options.title;
      const label = one.runs ? `${name} (n=${one.runs[i]})` : name;
      const { strip } = one, isNear = one === near?.series;
      if (strip) return [{ one, label, isNear, value: 0, text: () => strip.texts[strip.code[i]] ?? "–" }];
      const band = () => (one.band ? ` [${number(one.band.low[i])}, ${number(one.band.high[i])}]` : "");
      return [{ one, label, isNear, value: valueAt(one, x), text: () => described(one, i, x) + band() }];
    }).sort((a, b) => b.value - a.value);
    return { places: this.places(near, x), rows, notes: [...membersOf(near?.series), ...this.marks(x)] };
  }

  /** The place of the pointer on every axis of the nearest curve. @param {{series: Series, index: number} | null} near @param {number} x */
  places(near, x) {
    const { axisName } = this.chart;
    const text = (/** @type {string} */ name, /** @type {number} */ value) => (
      `${AXES[name] ?? name} ${name.endsWith("time") ? seconds(value) : Number.isInteger(value) ? exact(value) : number(value)}`);
    if (!near) return [text(axisName, x)];
    const { series, index } = near;
    const found = { [axisName]: series.x[index] };
    for (const [name, values] of Object.entries(series.at ?? {})) if (Number.isFinite(values[index])) found[name] = values[index];
    return Object.keys(AXES).filter((name) => name in found).map((name) => text(name, found[name]));
  }

  /** Events and damage at a place. @param {number} x */
  marks(x) {
    const X = this.chart.place?.X ?? (() => Infinity);
    const near = [...new Set(this.chart.events.filter((event) => Math.abs(X(event.x) - X(x)) < NEAR).map((event) => event.text))].slice(0, 4);
    const isLost = this.chart.damage.some(([from, to]) => X(x) > X(from) - NEAR && X(x) < X(to) + NEAR);
    return [...near, ...(isLost ? ["the log is damaged here: frames were lost"] : [])];
  }

  /** The same as a sentence, for screen readers. */
  sentence() {
    const facts = this.facts();
    if (!facts) return "";
    return [facts.places.join(", "), ...facts.rows.slice(0, 8).map((row) => `${row.label} ${row.text()}`), ...facts.notes].join("; ");
  }

  /** @param {{x: number, y: number} | null} pointer on the page; null for the keyboard's */
  show(pointer) {
    const facts = this.facts();
    if (!facts) return;
    this.box ??= element("div", "tip", { ariaHidden: "true" }); // screen readers get the sentence
    const head = element("div", "where", { textContent: facts.places.join("  ·  ") });
    const first = Math.max(facts.rows.findIndex((row) => row.isNear) - MOST_ROWS + 1, 0);
    const table = element("div", "rows");
    for (const row of facts.rows.slice(first, first + MOST_ROWS)) {
      const name = nameOf(row.label, "");
      name.classList.toggle("near", row.isNear);
      table.append(swatch(row.one.color), name, element("b", "", {}, row.text()));
    }
    const rest = facts.rows.length - MOST_ROWS;
    this.box.replaceChildren(head, table, ...(rest > 0 ? [element("div", "rest", { textContent: `+${rest}` })] : []),
      ...facts.notes.map((text) => element("div", "note", { textContent: text })));
    if (!this.box.isConnected) document.body.append(this.box);
    const canvas = this.chart.canvas.getBoundingClientRect();
    const x = pointer?.x ?? canvas.left + (this.chart.place?.X(this.chart.hub.hover ?? 0) ?? 0), y = pointer?.y ?? canvas.top + 8;
    const { width, height } = this.box.getBoundingClientRect();
    const left = x + 16 + width < innerWidth - 4 ? x + 16 : Math.max(x - 16 - width, 4);
    this.box.style.left = `${left}px`;
    this.box.style.top = `${Math.max(Math.min(y + 12, innerHeight - height - 6), 4)}px`;
  }

  hide() { this.box?.remove(); }
}

const seconds = (/** @type {number} */ value) => (value >= 90 ? `${duration(value)} (${number(value)} s)` : `${number(value)} s`);

/** The runs of a group. @param {Series | undefined} series */
function membersOf(series) {
  const { members = [] } = series ?? {};
  const shown = members.slice(0, MOST_MEMBERS).map(({ name }) => name).join(", ");
  return shown ? [shown + (members.length > MOST_MEMBERS ? ` +${members.length - MOST_MEMBERS}` : "")] : [];
}
