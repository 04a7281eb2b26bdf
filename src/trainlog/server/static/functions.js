// Learned functions as heat maps over their variables, with all samples on one scale.

import { diverging, heat } from "./colors.js";
import { element } from "./element.js";
import { exact } from "./exact.js";
import { duration, number } from "./format.js";
import { get, messageOf } from "./net.js";

/** @typedef {{name: string, unit: string, low: number | null, high: number | null}} Axis */
/** @typedef {{name: string, shape: number[], axes: Axis[], range: number[] | null, samples: any}} Known */
/** @typedef {(number | null)[][]} Grid y by x */

const MOST = 24; // functions that are shown
const KEPT = 64; // grids of each

export class Functions {
  constructor() {
    this.element = element("div", "heat");
    /** @type {Map<string, FunctionFigure>} */
    this.figures = new Map();
    this.run = "";
  }

  /** @param {{id: string}} run */
  async show(run) {
    const { functions } = await get(`runs/${run.id}/functions`);
    if (this.run !== run.id) this.figures = new Map();
    this.run = run.id;
    for (const known of functions.slice(0, MOST)) {
      const figure = this.figures.get(known.name);
      if (figure) figure.update(known);
      else this.figures.set(known.name, new FunctionFigure(run.id, known));
    }
    this.element.replaceChildren(...[...this.figures.values()].map((one) => one.element));
  }

  draw() { for (const figure of this.figures.values()) figure.draw(); }
}

class FunctionFigure {
  /** @param {string} run @param {Known} known */
  constructor(run, known) {
    this.run = run;
    this.known = known;
    /** @type {Map<string, Grid>} by row and slice */
    this.grids = new Map();
    /** @type {Grid | null} what is drawn */
    this.grid = null;
    this.turn = 0;
    /** @type {[number, number] | null} the cell that is read */
    this.cell = null;
    this.isSeen = false;
    const { name, axes } = known;
    const slider = (/** @type {string} */ what) => {
      const one = element("input", "", { type: "range", min: "0", max: "0", value: "0", ariaLabel: `${what} of ${name}` });
      one.addEventListener("input", () => this.load());
      return one;
    };
    this.sample = slider("Sample");
    this.minus = slider("Sample to subtract");
    this.slice = slider("Slice");
    this.differs = element("input", "", { type: "checkbox" });
    this.differs.addEventListener("change", () => this.load());
    this.canvas = element("canvas", "", { tabIndex: 0, role: "img" });
    this.bar = element("canvas", "bar", { width: 1, height: 64, ariaHidden: "true" });
    this.ends = element("div", "ends");
    this.when = element("div", "scale");
    this.whenMinus = element("div", "scale");
    this.whenSlice = element("div", "scale");
    this.read = element("output", "read", { ariaLive: "polite" });
    const [x, y] = [0, 1].map((i) => axes[i]);
    const under = element("div", "scale", {}, ...this.limits(x, this.known.shape[2]));
    const beside = element("div", "beside", {}, ...this.limits(y, this.known.shape[1]).toReversed());
    const map = element("div", "map", {}, beside, this.canvas, this.bar, this.ends, element("span"), under);
    const label = element("label", "scale", {}, this.differs, "difference of two samples");
    this.below = element("div", "", {}, this.minus, this.whenMinus);
    this.slices = element("div", "", {}, this.slice, this.whenSlice);
    this.element = element("figure", "", {}, element("figcaption", "", {}, name), map, this.read, this.sample, this.when, label, this.below, this.slices);
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerdown", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.readCell(null));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.update(this.known);
    new IntersectionObserver((seen, observer) => {
      if (!seen.some((one) => one.isIntersecting)) return;
      observer.disconnect();
      this.isSeen = true;
      this.load();
    }).observe(this.element);
  }

  /** The ends of an axis, with its name between them. @param {Axis | undefined} axis @param {number | undefined} count */
  limits(axis, count) {
    const isKnown = axis && axis.low !== null && axis.high !== null;
    const [low, high] = isKnown ? [number(axis.low), number(axis.high)] : ["0", String((count ?? 1) - 1)];
    const name = axis ? `${axis.name}${axis.unit ? ` (${axis.unit})` : ""}` : "";
    return [low, name, high].map((text) => element("span", "", { textContent: text, title: text }));
  }

  /** Add newly logged samples; if the last one was shown, show the new last one. @param {Known} known */
  update(known) {
    const last = known.samples.row.length - 1;
    const wasLast = Number(this.sample.value) === Number(this.sample.max);
    const grown = known.samples.row.length !== this.known.samples.row.length || String(known.range) !== String(this.known.range);
    this.known = known;
    this.sample.max = this.minus.max = String(last);
    if (wasLast) this.sample.value = String(last);
    this.slice.max = String((known.shape[0] ?? 1) - 1);
    this.differs.disabled = last < 1;
    if (grown && this.isSeen) this.load();
  }

  /** @param {number} i */
  async sampleGrid(i) {
    const row = this.known.samples.row[i], z = Number(this.slice.value);
    const which = `${row}:${z}`;
    const known = this.grids.get(which);
    if (known) return known;
    const { grid } = await get(`runs/${this.run}/function`, { row, z });
    this.grids.set(which, grid);
    for (const old of this.grids.keys()) if (this.grids.size > KEPT) this.grids.delete(old);
    return grid;
  }

  /** @param {number} i */
  words(i) {
    const { samples } = this.known;
    return [`sample ${i + 1} of ${samples.row.length}`, samples.experiment_step ? `step ${number(samples.experiment_step[i])}` : duration(samples.time[i])]
      .map((text) => element("span", "", { textContent: text }));
  }

  async load() {
    const turn = ++this.turn;
    const i = Number(this.sample.value), j = Number(this.minus.value);
    const differs = this.differs.checked;
    this.when.replaceChildren(...this.words(i));
    this.below.hidden = !differs;
    this.whenMinus.replaceChildren(...this.words(j));
    const slices = this.known.shape[0] ?? 1, third = this.known.axes[2];
    this.slices.hidden = slices < 2;
    this.whenSlice.textContent = `slice ${Number(this.slice.value) + 1} of ${slices}${third ? ` of ${third.name} (${at(third, Number(this.slice.value), slices)})` : ""}`;
    try {
      const [grid, taken] = await Promise.all([this.sampleGrid(i), differs ? this.sampleGrid(j) : null]);
      if (turn !== this.turn) return;
      this.grid = taken ? minus(grid, taken) : grid;
      this.draw();
      this.readCell(this.cell);
    } catch (error) {
      if (turn === this.turn) this.read.textContent = messageOf(error);
    }
  }

  // One scale for all samples, symmetric around zero if values have both signs; for differences, one that covers
  // every difference that there can be.
  scale() {
    const [low, high] = this.known.range ?? [0, 1];
    if (this.differs.checked) return [low - high, high - low];
    const most = Math.max(-low, high);
    return low < 0 && high > 0 ? [-most, most] : [low, high];
  }

  draw() {
    if (!this.grid) return;
    const [low, high] = this.scale();
    const tone = low < 0 && high > 0 ? diverging : heat;
    const part = (/** @type {number} */ value) => (high > low ? (value - low) / (high - low) : 0.5);
    const { grid, canvas } = this;
    canvas.width = grid[0]?.length ?? 0;
    canvas.height = grid.length;
    paint(canvas, (x, y) => { const value = grid[grid.length - 1 - y][x]; return value === null ? null : tone(part(value)); }); // y grows upwards
    paint(this.bar, (_, y) => tone(1 - y / 63));
    this.ends.replaceChildren(...[high, (low + high) / 2, low].map((value) => element("span", "", { textContent: number(value), title: exact(value) })));
    canvas.ariaLabel = `Heat map of ${this.known.name}, ${this.differs.checked ? "a difference, " : ""}from ${number(low)} to ${number(high)}; the arrow keys read its values`;
  }

  /** @param {PointerEvent} event */
  point(event) {
    if (!this.grid) return;
    const box = this.canvas.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * this.canvas.width);
    const y = Math.floor((1 - (event.clientY - box.top) / box.height) * this.canvas.height);
    this.readCell([x, y]);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const by = new Map([["ArrowLeft", [-1, 0]], ["ArrowRight", [1, 0]], ["ArrowUp", [0, 1]], ["ArrowDown", [0, -1]]]).get(event.key);
    if (!by) return;
    event.preventDefault();
    const [x, y] = this.cell ?? [0, 0];
    this.readCell(this.cell ? [x + by[0], y + by[1]] : [x, y]);
  }

  /** Read out a cell. @param {[number, number] | null} cell */
  readCell(cell) {
    this.cell = null;
    if (!cell || !this.grid?.length) { this.read.textContent = ""; return; }
    const height = this.grid.length, width = this.grid[0].length;
    const x = Math.min(Math.max(cell[0], 0), width - 1), y = Math.min(Math.max(cell[1], 0), height - 1);
    this.cell = [x, y];
    const axes = this.known.axes;
    const along = (/** @type {number} */ i, /** @type {number} */ place, /** @type {number} */ count) => (
      axes[i] || count > 1 ? [`${axes[i]?.name ?? "xy"[i]} ${at(axes[i], place, count)}`] : []);
    const place = [...along(0, x, width), ...along(1, y, height)];
    this.read.textContent = `${place.join(", ")}: ${exact(this.grid[y][x])}`;
  }
}

/** @param {Grid} grid @param {Grid} taken @returns {Grid} */
function minus(grid, taken) {
  return grid.map((line, y) => line.map((value, x) => {
    const other = taken[y]?.[x] ?? null;
    return value === null || other === null ? null : value - other;
  }));
}

/**
 * The value of a variable at one of the samples along it, which are evenly spaced over its declared range.
 * @param {Axis | undefined} axis @param {number} i @param {number} count
 */
function at(axis, i, count) {
  if (!axis || axis.low === null || axis.high === null) return String(i);
  const value = count > 1 ? axis.low + (i / (count - 1)) * (axis.high - axis.low) : axis.low;
  return `${number(value)}${axis.unit ? ` ${axis.unit}` : ""}`;
}

/** @param {HTMLCanvasElement} canvas @param {(x: number, y: number) => number[] | null} tone */
function paint(canvas, tone) {
  const pen = canvas.getContext("2d");
  if (!pen || !canvas.width || !canvas.height) return;
  const image = pen.createImageData(canvas.width, canvas.height);
  for (let y = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++) {
      image.data.set([...(tone(x, y) ?? [128, 128, 128]), 255], (y * canvas.width + x) * 4);
    }
  }
  pen.putImageData(image, 0, 0);
}
