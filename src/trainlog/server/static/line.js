// One key of one run in a chart: the loaded curve, and the rows that the live stream added.

import { named, ofRun, ofText } from "./colors.js";

/** @typedef {{x: number[], y: number[], breaks: number[], at: Record<string, number[]>, smooth?: any, thinned: boolean,
 *   nan: number, infinite: number, texts?: string[], code?: number[], end?: number | null, group?: any, bins?: number}} Curve */
/** @typedef {{key: string, label: string, color?: string, where?: string}} One a key of a chart */
/** @typedef {{run: import("./card.js").Drawn, one: One, place: number}} Wanted */

const PLACES = new Map(); // numbers of texts, so that each has the same colour in all runs

/** @param {string} text */
function colorOf(text) {
  if (!PLACES.has(text)) PLACES.set(text, PLACES.size);
  return ofText(text, PLACES.get(text));
}

export class Line {
  /** @param {Wanted} wanted @param {any} answer of the server @param {boolean} several runs
   * @param {import("./card.js").Spec} spec @param {number} keys the number of keys of the chart */
  constructor({ run, one, place }, answer, several, spec, keys) {
    this.run = run;
    this.one = one;
    this.place = place;
    this.several = several;
    this.spec = spec;
    this.keys = keys;
    /** @type {Curve} */
    this.curve = answer.curve;
    this.rows = answer.rows;
    this.damage = answer.damage ?? [];
    this.thinned = this.curve?.thinned ?? false;
    this.below = 0; // values under the floor, which mean that there is nothing to measure
    this.again = false; // rows from the stream must be requested from the server
    if (spec.floor !== undefined && this.curve?.y) this.cutBelow(spec.floor);
    this.loaded = this.curve?.x.length ?? 0;
  }

  get color() { return this.several || !this.one.color ? ofRun(this.run.slot) : named(this.one.color); }

  /** Cut the smoothed curve where the values are cut. @param {number} floor */
  cutBelow(floor) {
    const { x, y, at, breaks } = this.curve;
    /** @type {number[]} */
    const kept = [];
    for (let i = 0; i < y.length; i++) if (y[i] >= floor) kept.push(i);
    this.below = y.length - kept.length;
    if (!this.below) return;
    const places = Object.fromEntries(Object.entries(at).map(([name, values]) => [name, kept.map((i) => values[i])]));
    const gaps = new Set(breaks);
    const now = kept.flatMap((i, n) => (n && (i - kept[n - 1] > 1 || gaps.has(i)) ? [n] : []));
    this.curve = { ...this.curve, x: kept.map((i) => x[i]), y: kept.map((i) => y[i]), at: places, breaks: now, smooth: null };
  }

  /** Add the rows of a message; false if the curve must be loaded again.
   * @param {import("./net.js").Rows} message @param {import("./card.js").Page} page @param {number[] | null} zoom */
  append(message, page, zoom) {
    if (message.to <= this.rows) return true;
    if (message.from > this.rows) return false;
    const axis = page.axis();
    const axes = page.info(this.run.id)?.kinds[message.kind]?.axes ?? {};
    const own = axis === "time" ? { key: null } : axes[axis];
    if (!own || own.key === "") return false; // only the server knows the places of rows on such an axis
    const columnOf = (/** @type {string} */ key) => (Object.hasOwn(message.columns, key) ? message.columns[key] : []);
    const values = columnOf(this.one.key);
    const [whereKey, whereText] = this.one.where ? this.one.where.split(":") : [];
    for (let row = this.rows; row < message.to; row++) {
      const i = row - message.from;
      const x = own.key === null ? message.time[i] : columnOf(own.key)[i] * own.factor;
      const value = values[i];
      if (!Number.isFinite(x) || (zoom && x > zoom[1]) || (whereKey && columnOf(whereKey)[i] !== whereText)) continue;
      if (this.curve.texts) {
        if (typeof value === "string") this.appendText(x, value);
        else if (values.length) this.again = true; // no value or a number: only the server knows whether it is a curve now
      }
      else if (typeof value === "number") {
        if (value < (this.spec.floor ?? -Infinity)) { this.below++; continue; }
        this.curve.x.push(x);
        this.curve.y.push(value);
        for (const [name, places] of Object.entries(this.curve.at)) {
          const place = axes[name];
          places.push(name === "time" ? message.time[i] : place?.key ? (columnOf(place.key)[i] ?? NaN) * place.factor : NaN);
        }
      } else if (values.length) this.again = true; // a NaN or no value: only the server knows
    }
    this.rows = message.to;
    return this.curve.x.length <= Math.max(3 * this.loaded, 6000);
  }

  /** @param {number} x @param {string} text */
  appendText(x, text) {
    const { texts = [], code = [] } = this.curve;
    if (!texts.includes(text)) texts.push(text);
    const now = texts.indexOf(text);
    if (!code.length || code[code.length - 1] !== now) {
      this.curve.x.push(x);
      code.push(now);
    }
    this.curve.end = x;
  }

  /** @returns {import("./series.js").Series} */
  drawn() {
    const { curve, color } = this;
    const base = {
      label: this.keys > 1 || !this.several ? this.one.label : "", name: this.several ? this.run.name : "",
      key: this.one.key, color, dash: this.several ? this.place : 0, x: curve.x, run: this.run.id, at: curve.at, breaks: curve.breaks,
    };
    if (!curve.texts) return { ...base, y: curve.y, smooth: curve.smooth ?? null, ...curve.group };
    const strip = { texts: curve.texts, code: curve.code ?? [], end: curve.end ?? null, colors: curve.texts.map(colorOf) };
    return { ...base, y: [], strip };
  }
}
