// What is at the pointer: where it is on every axis, and the value of each curve, the highest first.

import { before, described, isFar, nearest, valueAt } from "./chart.js";
import { duration, exact, number } from "./format.js";

const MOST_ROWS = 14;
const NEAR = 6; // pixels from an event or from damage
const AXES = { step: "step", episode: "episode", time: "time", sim_time: "simulated time" };

export class Tip {
  /** @param {import("./chart.js").Chart} chart */
  constructor(chart) {
    this.chart = chart;
    this.box = null;
  }

  /** The facts at the pointer. @returns {{places: string[], rows: any[], notes: string[]} | null} */
  facts() {
    const { chart } = this;
    const x = chart.hub.hover;
    if (x === null || !chart.place) return null;
    const near = chart.nearest(x, chart.pointer?.py ?? null);
    const rows = chart.series.flatMap((one) => {
      const i = one.strip ? before(one.x, x) : nearest(one.x, x);
      if (i < 0 || isFar(one, i, x)) return [];
      const name = [one.name, one.label].filter(Boolean).join(" · ") || chart.options.title;
      const label = one.n ? `${name} (n=${one.n})` : name;
      if (one.strip) return [{ one, label, value: 0, text: () => (one.strip.code[i] < 0 ? "–" : one.strip.texts[one.strip.code[i]]) }];
      const band = () => (one.band ? ` [${number(one.band.low[i])}, ${number(one.band.high[i])}]` : "");
      return [{ one, label, value: valueAt(one, x), text: () => described(one, i, x) + band() }];
    }).sort((a, b) => b.value - a.value);
    const notes = [...this.members(near?.series, x), ...this.marks(x)];
    return { places: this.places(near, x), rows: rows.map((row) => ({ ...row, isNear: row.one === near?.series })), notes };
  }

  places(near, x) {
    const { axisName } = this.chart;
    const text = (name, value) => `${AXES[name] ?? name} ${name.endsWith("time") ? seconds(value) : Number.isInteger(value) ? exact(value) : number(value)}`;
    if (!near) return [text(axisName, x)];
    const { series, index } = near;
    const found = { [axisName]: series.x[index] };
    for (const [name, values] of Object.entries(series.at ?? {})) if (Number.isFinite(values[index])) found[name] = values[index];
    return Object.keys(AXES).filter((name) => name in found).map((name) => text(name, found[name]));
  }

  members(series, x) {
    const shown = (series?.members ?? []).slice(0, 12).map((one) => (typeof one === "string" ? one : `${one.label} ${number(one.y[nearest(one.x, x)])}`));
    return shown.length ? [shown.join(", ") + (series.members.length > 12 ? ` +${series.members.length - 12}` : "")] : [];
  }

  marks(x) {
    const { X } = this.chart.place;
    const near = [...new Set(this.chart.events.filter((event) => Math.abs(X(event.x) - X(x)) < NEAR).map((event) => event.text))].slice(0, 4);
    const isLost = this.chart.damage.some(([from, to]) => X(x) > X(from) - NEAR && X(x) < X(to) + NEAR);
    return [...near, ...(isLost ? ["the log is damaged here: frames were lost"] : [])];
  }

  /** The same in a sentence, for those who hear the page. */
  sentence() {
    const facts = this.facts();
    if (!facts) return "";
    return [facts.places.join(", "), ...facts.rows.slice(0, 8).map((row) => `${row.label} ${row.text()}`), ...facts.notes].join("; ");
  }

  /** @param {{x: number, y: number} | null} pointer on the page; null for the keyboard's */
  show(pointer) {
    const facts = this.facts();
    if (!facts) return;
    this.box ??= Object.assign(document.createElement("div"), { className: "tip bubble" });
    const head = made("div", "where", facts.places.join("  ·  "));
    const first = Math.max(facts.rows.findIndex((row) => row.isNear) - MOST_ROWS + 1, 0);
    const table = made("div", "rows");
    for (const row of facts.rows.slice(first, first + MOST_ROWS)) {
      const swatch = made("i", "swatch");
      swatch.style.background = row.one.color;
      const label = made("span", row.isNear ? "near" : "", row.label);
      table.append(swatch, label, made("b", "", row.text()));
    }
    const rest = facts.rows.length - MOST_ROWS;
    this.box.replaceChildren(head, table, ...(rest > 0 ? [made("div", "rest", `+${rest}`)] : []), ...facts.notes.map((text) => made("div", "note", text)));
    if (!this.box.isConnected) document.body.append(this.box);
    this.put(pointer);
  }

  put(pointer) {
    const canvas = this.chart.canvas.getBoundingClientRect();
    const x = pointer?.x ?? canvas.left + this.chart.place.X(this.chart.hub.hover), y = pointer?.y ?? canvas.top + 8;
    const { width, height } = this.box.getBoundingClientRect();
    const left = x + 16 + width < innerWidth - 4 ? x + 16 : Math.max(x - 16 - width, 4);
    this.box.style.left = `${left}px`;
    this.box.style.top = `${Math.max(Math.min(y + 12, innerHeight - height - 6), 4)}px`;
  }

  hide() { this.box?.remove(); }
}

const seconds = (/** @type {number} */ value) => (value >= 90 ? `${duration(value)} (${number(value)} s)` : `${number(value)} s`);

function made(name, className, text = "") {
  return Object.assign(document.createElement(name), { className, textContent: text });
}
