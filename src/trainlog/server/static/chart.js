// One chart: curves or strips over a shared x, drawn on a canvas; a second canvas above it shows what is at the pointer.
//
// The hub gives all charts of the page the range, the place of the pointer, and the time to draw.

import { ground } from "./colors.js";
import { element } from "./element.js";
import { number } from "./format.js";
import { fit, paint, paintPointer } from "./paint.js";
import { CROWD, indexAt, isFar, nearest, spanOf, valueAt, visible } from "./series.js";
import { Tip } from "./tip.js";

/** @typedef {import("./series.js").Series} Series @typedef {import("./series.js").Numbers} Numbers */
/** @typedef {{low: number, high: number}} Range */
/** @typedef {{of: (one: Series) => Range, all: Range | null}} Ranges of y: one for all curves, or one per key */
/** @typedef {{left: number, right: number, top: number, bottom: number, from: number, to: number, X: (x: number) => number}} Place */

const LEFT = 50, RIGHT = 12, TOP = 12, BOTTOM = 22;
const DOUBLE = 250; // milliseconds in which a click can become a double click

export class Chart {
  /** @param {HTMLElement} plot @param {import("./hub.js").Hub} hub @param {import("./card.js").Spec} options */
  constructor(plot, hub, options) {
    this.plot = plot;
    this.hub = hub;
    this.options = options;
    /** @type {Series[]} */
    this.series = [];
    /** @type {import("./card.js").Mark[]} */
    this.events = [];
    /** @type {[number, number][]} */
    this.damage = []; // the ranges in which bytes were lost
    this.axisName = "time";
    this.log = false;
    this.normalised = false;
    /** @type {number[]} */
    this.lines = []; // thresholds set by the user
    /** @type {import("./paint.js").Kept | null} */
    this.kept = null; // a picture of very many curves
    /** @type {Ranges & {normalised: boolean} | null} */
    this.ranges = null;
    /** @type {Place | null} */
    this.place = null;
    /** The coefficients of the line from a value to its pixel, for each curve. @type {(one: Series) => {half: number, times: number}} */
    this.scaleOf = () => ({ half: 0, times: 0 });
    /** @type {{x: number, y: number, py: number} | null} */
    this.pointer = null; // on the page, and from the top of the canvas
    /** The point that was clicked, and the value at the pointer. @type {{series: Series, index: number, y: number} | null} */
    this.picked = null;
    this.canvas = element("canvas", "", { tabIndex: 0, role: "img", ariaLabel: options.title });
    this.over = element("canvas", "over", { ariaHidden: "true" });
    plot.append(this.canvas, this.over);
    this.tip = new Tip(this);
    /** @type {{from: number, to: number, begin: number, range: [number, number], moved: boolean, isPan: boolean} | null} */
    this.drag = null;
    this.click = 0;
    this.listen();
  }

  destroy() {
    clearTimeout(this.click);
    for (const each of [this.canvas, this.over]) {
      each.width = 0; // frees the pixels of the canvas
      each.remove();
    }
    this.tip.hide();
  }

  // --- what is shown ---

  /** @returns {[number, number]} */
  extent() {
    let low = Infinity, high = -Infinity;
    for (const one of this.series) {
      const span = spanOf(one);
      low = Math.min(low, span.low);
      high = Math.max(high, span.high, one.strip?.end ?? -Infinity);
    }
    return low <= high ? [low, high] : [0, 1];
  }

  /** @returns {[number, number]} */
  xRange() {
    const [low, high] = this.hub.zoom ?? this.hub.extent() ?? this.extent();
    return high > low ? [low, high] : [low - (Math.abs(low) * 1e-9 || 0.5), high + (Math.abs(high) * 1e-9 || 0.5)];
  }

  thresholds() {
    if (this.normalised) return [];
    return [...(this.options.thresholds ?? []), ...this.lines.map((y) => ({ y, label: number(y) }))];
  }

  /** The y range of each curve: a common one, or with `normalised` one per key.
   * @param {[number, number]} range of x @returns {Ranges} */
  yRanges([from, to]) {
    if (!this.normalised) {
      const all = this.padded(this.measured(this.series, from, to));
      return { of: () => all, all };
    }
    const found = new Map();
    for (const key of new Set(this.series.map((one) => one.key))) {
      const { low, high } = this.measured(this.series.filter((one) => one.key === key), from, to) ?? { low: 0, high: 1 };
      found.set(key, low < high ? { low, high } : this.log ? paddedLog(low, high) : { low: low - 0.5, high: high + 0.5 });
    }
    return { of: (one) => found.get(one.key), all: null };
  }

  /** The lowest and the highest value that is drawn. @param {Series[]} series @param {number} from @param {number} to @returns {Range | null} */
  measured(series, from, to) {
    let low = Infinity, high = -Infinity;
    const take = (/** @type {Numbers} */ x, /** @type {Numbers} */ y, /** @type {number} */ first, /** @type {number} */ last, fit = /** @type {boolean[]} */ ([])) => {
      for (let i = first; i < last; i++) {
        if (fit[i] === false) continue;
        const value = y[i];
        if (!(value > low) && value >= -Infinity && value !== -Infinity && !(this.log && value <= 0) && x[i] >= from && x[i] <= to) low = value;
        if (!(value < high) && value < Infinity && !(this.log && value <= 0) && x[i] >= from && x[i] <= to) high = value;
      }
    };
    for (const one of series) {
      const [first, last] = visible(one, from, to);
      if (one.hidesRaw && one.smooth) take(one.smooth.x, one.smooth.y, 0, one.smooth.x.length);
      else take(one.x, one.y, first, last);
      if (one.band) for (const edge of [one.band.low, one.band.high]) take(one.x, edge, first, last, one.band.fit);
    }
    return low <= high ? { low, high } : null;
  }

  /** The range with a margin. @param {Range | null} found @returns {Range} */
  padded(found) {
    if (!found) return this.log ? { low: 0.1, high: 1 } : { low: this.options.range?.[0] ?? 0, high: (this.options.range?.[1] ?? 1) || 1 };
    let { low, high } = found;
    if (this.log) return paddedLog(low, high);
    for (const { y } of this.thresholds()) { low = Math.min(low, y); high = Math.max(high, y); }
    if (this.options.range) { low = Math.min(low, this.options.range[0]); high = Math.max(high, this.options.range[1]); }
    const span = Math.min(high - low, Number.MAX_VALUE / 4);
    const pad = span * 0.06 || Math.abs(high) * 0.05 || 0.5;
    const zero = low >= 0 && low < pad * 3;
    return { low: Math.max(zero ? Math.min(0, low) : low - pad, -Number.MAX_VALUE), high: Math.min(high + pad, Number.MAX_VALUE) };
  }

  // --- drawing ---

  draw() {
    if (!this.plot.clientWidth) return;
    const { pen, width, height } = fit(this.canvas, this.plot);
    const [from, to] = this.xRange();
    const inner = { left: LEFT, right: width - RIGHT, top: TOP, bottom: height - BOTTOM };
    const X = (/** @type {number} */ x) => inner.left + ((x - from) / (to - from)) * (inner.right - inner.left);
    const place = this.place = { ...inner, from, to, X };
    // With very many curves, y stays the same while the range moves, as they are drawn as one picture then.
    const stays = this.series.length > CROWD && this.hub.isMoving && this.ranges?.normalised === this.normalised ? this.ranges : null;
    const ranges = this.ranges = stays ?? { ...this.yRanges([from, to]), normalised: this.normalised };
    const isLog = this.log;
    this.scaleOf = (one) => {
      const { low, high } = ranges.of(one);
      const lo = isLog ? Math.log10(low) : low, hi = isLog ? Math.log10(high) : high;
      const half = hi / 2 - lo / 2; // the whole range can be too large for a float
      return { half: lo / 2, times: (inner.bottom - inner.top) / (half || 1) };
    };
    paint(pen, this, place, ranges, ground());
    this.point();
  }

  /** The pixel of a value, from the top. @param {Series} one @param {number} y */
  Y(one, y) {
    const { half, times } = this.scaleOf(one);
    return (this.place?.bottom ?? 0) - ((this.log ? Math.log10(y) : y) / 2 - half) * times;
  }

  /** The value at a pixel from the top. @param {Series} one @param {number} py */
  valueOf(one, py) {
    const { half, times } = this.scaleOf(one);
    const value = 2 * (half + ((this.place?.bottom ?? 0) - py) / times);
    return this.log ? 10 ** value : value;
  }

  /** Draw what is above the curves, without the values at the pointer while the range moves. */
  point() {
    if (!this.plot.clientWidth || !this.place) return;
    const { pen } = fit(this.over, this.plot);
    paintPointer(pen, this, this.place, ground());
    if (this.hub.hover === null || this.hub.hovered !== this || this.hub.isMoving) this.tip.hide();
    else this.tip.show(this.pointer);
  }

  /** The curve that is nearest to a place in the chart, and its nearest point.
   * @param {number} x @param {number | null} py pixels from the top; null for the first curve that has a value there */
  nearest(x, py) {
    /** @type {{series: Series, index: number} | null} */
    let best = null;
    let least = Infinity;
    const { top = 0, bottom = 1 } = this.place ?? {};
    const lane = py === null ? 0 : Math.floor(((py - top) / (bottom - top)) * this.series.length); // strips have one lane per run
    for (const [place, one] of this.series.entries()) {
      const i = indexAt(one, x);
      if (i < 0 || isFar(one, i, x)) continue;
      const y = one.strip ? Math.abs(place - lane) : py === null || !this.place ? 0 : Math.abs(this.Y(one, valueAt(one, x)) - py);
      if (y < least || !best) [best, least] = [{ series: one, index: i }, y];
    }
    return best;
  }

  /** Show the value of each curve at the pointer, or else the last one. */
  values() {
    const { hover } = this.hub;
    return this.series.map((one) => {
      const i = hover === null ? one.x.length - 1 : indexAt(one, hover);
      if (one.strip) return one.strip.texts[one.strip.code[i]] ?? "–";
      return i < 0 ? "–" : number(valueAt(one, one.x[i]));
    });
  }

  // --- pointer and keys ---

  listen() {
    const at = (/** @type {MouseEvent} */ event) => {
      if (!this.place) return 0;
      const { left, right, from, to } = this.place;
      const x = event.clientX - this.canvas.getBoundingClientRect().left;
      return from + (Math.min(Math.max(x, left), right) - left) / (right - left) * (to - from);
    };
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      const isPan = event.shiftKey || event.button === 1;
      if (event.button !== 0 && !isPan) return;
      event.preventDefault();
      canvas.focus({ preventScroll: true });
      this.drag = { from: at(event), to: at(event), begin: event.clientX, range: this.xRange(), moved: false, isPan };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.drag) {
        this.drag.to = at(event);
        this.drag.moved ||= Math.abs(event.clientX - this.drag.begin) > 5;
        if (this.drag.isPan && this.drag.moved) this.pan(this.drag.range, this.drag.begin - event.clientX);
      }
      this.pointer = { x: event.clientX, y: event.clientY, py: event.clientY - canvas.getBoundingClientRect().top };
      this.hub.hovered = this;
      this.hub.setHover(at(event));
      this.hub.repoint();
    });
    canvas.addEventListener("pointerleave", () => { this.hub.setHover(null); });
    canvas.addEventListener("pointercancel", () => { this.drag = null; });
    canvas.addEventListener("pointerup", (event) => {
      const drag = this.drag;
      this.drag = null;
      if (!drag || drag.isPan) return;
      if (drag.moved) this.hub.setZoom([Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)]);
      else {
        const x = at(event), py = event.clientY - canvas.getBoundingClientRect().top;
        clearTimeout(this.click);
        this.click = setTimeout(() => this.open(x, py), this.hub.zoom ? DOUBLE : 0); // a double click shows the whole range
      }
    });
    canvas.addEventListener("dblclick", () => { clearTimeout(this.click); this.hub.setZoom(null); });
    canvas.addEventListener("wheel", (event) => {
      const isSideways = this.hub.zoom && Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (!event.ctrlKey && !event.shiftKey && !isSideways) return;
      event.preventDefault();
      if (isSideways) this.pan(this.xRange(), event.deltaX);
      else this.zoomAround(at(event), (event.deltaY || event.deltaX) > 0 ? 1.25 : 0.8);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => this.hub.setHover(null));
  }

  /** @param {number} x @param {number | null} py pixels from the top */
  open(x, py) {
    const near = this.nearest(x, py);
    this.picked = near && { ...near, y: py === null ? valueAt(near.series, x) : this.valueOf(near.series, py) };
    this.hub.openMoment(x, this);
  }

  /** Move the range by a number of pixels. @param {[number, number]} range @param {number} pixels */
  pan([from, to], pixels) {
    const { left, right } = this.place ?? { left: 0, right: 1 };
    const by = (pixels / (right - left)) * (to - from);
    this.hub.setZoom([from + by, to + by]);
  }

  /** @param {number} x @param {number} factor */
  zoomAround(x, factor) {
    const [from, to] = this.xRange();
    this.hub.setZoom([x - (x - from) * factor, x + (to - x) * factor]);
  }

  /** Move along the curve, and read it out. @param {number} direction */
  move(direction) {
    const [from, to] = this.xRange();
    const x = this.series.find((one) => one.x.length)?.x ?? [];
    const i = nearest(x, this.hub.hover ?? (from + to) / 2);
    if (i < 0) return;
    this.hub.hovered = this;
    this.pointer = null;
    this.hub.setHover(x[this.hub.hover === null ? i : Math.min(Math.max(i + direction, 0), x.length - 1)]);
    this.hub.say(this.tip.sentence());
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const [from, to] = this.xRange();
    const middle = this.hub.hover ?? (from + to) / 2;
    const quarter = ((this.place?.right ?? 0) - (this.place?.left ?? 0)) / 4;
    const act = new Map([
      ["ArrowLeft", () => (event.shiftKey ? this.pan([from, to], -quarter) : this.move(-1))],
      ["ArrowRight", () => (event.shiftKey ? this.pan([from, to], quarter) : this.move(1))],
      ["+", () => this.zoomAround(middle, 0.6)],
      ["=", () => this.zoomAround(middle, 0.6)],
      ["-", () => this.zoomAround(middle, 1.6)],
      ["Enter", () => this.open(middle, null)],
    ]).get(event.key);
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }
}

/** A logarithmic range with a margin; its ends are neither 0 nor infinite. @param {number} low @param {number} high @returns {Range} */
function paddedLog(low, high) {
  const factor = low === high ? 2 : 1.15;
  return { low: Math.max(low / factor, Number.MIN_VALUE), high: Math.min(high * factor, Number.MAX_VALUE) };
}
