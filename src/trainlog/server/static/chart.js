// One chart: curves or strips over a shared x, drawn on a canvas; what is at the pointer is drawn on another one above it.
//
// The hub tells all charts of the page which range is shown, where the pointer is, and when to draw.

import { ground } from "./colors.js";
import { number } from "./format.js";
import { paint, paintPointer } from "./paint.js";
import { Tip } from "./tip.js";

/** A curve as charts take it. Where y is not finite, and before the points `breaks`, the line has a gap.
 * @typedef {{label: string, color: string, dash: number, x: ArrayLike<number>, y: ArrayLike<number>, breaks?: number[],
 *   at?: Object<string, ArrayLike<number>>, smooth?: {x: ArrayLike<number>, y: ArrayLike<number>, label: string, window: number} | null,
 *   run?: string, name?: string, key?: string, band?: {low: ArrayLike<number>, high: ArrayLike<number>}, n?: number,
 *   members?: (string | {label: string, x: ArrayLike<number>, y: ArrayLike<number>})[],
 *   strip?: {texts: string[], code: number[], end: number | null, colors: string[]}, span?: Span, hidesRaw?: boolean}} Series
 * @typedef {{n: number, low: number, high: number, isSorted: boolean}} Span
 * @typedef {{low: number, high: number}} Range
 */

const LEFT = 50, RIGHT = 12, TOP = 12, BOTTOM = 22;
export const CROWD = 24; // more curves are thin lines
const STILL = 250; // milliseconds after which a range does not move any more

export class Chart {
  /** @param {HTMLElement} plot @param {any} hub
   * @param {{title: string, thresholds?: {y: number, label: string}[], range?: number[], strip?: boolean}} options */
  constructor(plot, hub, options) {
    this.plot = plot;
    this.hub = hub;
    this.options = options;
    /** @type {Series[]} */
    this.series = [];
    this.events = []; // {x, text, color}
    this.damage = []; // [from, to], between which bytes were lost
    this.axisName = "time";
    this.log = false;
    this.normalised = false;
    this.lines = []; // thresholds that the reader has set
    this.kept = null; // a picture of very many curves
    this.ranges = null; // of y
    /** @type {{x: number, y: number, py: number} | null} */
    this.pointer = null; // on the page, and from the top of the canvas
    this.picked = null; // the point that was clicked
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", options.title);
    this.over = document.createElement("canvas");
    this.over.className = "over";
    this.over.setAttribute("aria-hidden", "true");
    plot.append(this.canvas, this.over);
    this.tip = new Tip(this);
    this.drag = null;
    this.listen();
  }

  destroy() {
    for (const each of [this.canvas, this.over]) {
      each.width = 0; // a canvas keeps its pixels until then
      each.remove();
    }
    this.tip.hide();
  }

  // --- what is shown ---

  extent() {
    let low = Infinity, high = -Infinity;
    for (const one of this.series) {
      const span = spanOf(one);
      low = Math.min(low, span.low);
      high = Math.max(high, span.high, one.strip?.end ?? -Infinity);
    }
    return low <= high ? [low, high] : [0, 1];
  }

  xRange() {
    const [low, high] = this.hub.zoom ?? this.hub.extent() ?? this.extent();
    return high > low ? [low, high] : [low - (Math.abs(low) * 1e-9 || 0.5), high + (Math.abs(high) * 1e-9 || 0.5)];
  }

  thresholds() {
    if (this.normalised) return [];
    return [...(this.options.thresholds ?? []), ...this.lines.map((y) => ({ y, label: number(y) }))];
  }

  /** The y range of each curve: one for all of them, or with `normalised` one for each key.
   * @param {number[]} range of x @returns {{of: (one: Series) => Range, all: Range | null}} */
  yRanges([from, to]) {
    if (!this.normalised) {
      const all = this.padded(this.measured(this.series, from, to));
      return { of: () => all, all };
    }
    const found = new Map();
    for (const key of new Set(this.series.map((one) => one.key))) {
      const { low, high } = this.measured(this.series.filter((one) => one.key === key), from, to) ?? { low: 0, high: 1 };
      found.set(key, low < high ? { low, high } : this.log ? { low: low / 2, high: high * 2 } : { low: low - 0.5, high: high + 0.5 });
    }
    return { of: (one) => found.get(one.key), all: null };
  }

  measured(series, from, to) {
    let low = Infinity, high = -Infinity;
    const take = (x, y, first, last) => {
      for (let i = first; i < last; i++) {
        const value = y[i];
        if (!(value > low) && value >= -Infinity && value !== -Infinity && !(this.log && value <= 0) && x[i] >= from && x[i] <= to) low = value;
        if (!(value < high) && value < Infinity && !(this.log && value <= 0) && x[i] >= from && x[i] <= to) high = value;
      }
    };
    for (const one of series) {
      const [first, last] = visible(one, from, to);
      if (one.hidesRaw) take(one.smooth.x, one.smooth.y, 0, one.smooth.x.length);
      else take(one.x, one.y, first, last);
      if (one.band) { take(one.x, one.band.low, first, last); take(one.x, one.band.high, first, last); }
    }
    return low <= high ? { low, high } : null;
  }

  padded(found) {
    if (!found) return this.log ? { low: 0.1, high: 1 } : { low: this.options.range?.[0] ?? 0, high: (this.options.range?.[1] ?? 1) || 1 };
    let { low, high } = found;
    if (this.log) return low === high ? { low: low / 2, high: high * 2 } : { low: low / 1.15, high: high * 1.15 };
    for (const { y } of this.thresholds()) { low = Math.min(low, y); high = Math.max(high, y); }
    if (this.options.range) { low = Math.min(low, this.options.range[0]); high = Math.max(high, this.options.range[1]); }
    const span = Math.min(high - low, Number.MAX_VALUE / 4);
    const pad = span * 0.06 || Math.abs(high) * 0.05 || 0.5;
    const zero = low >= 0 && low < pad * 3;
    return { low: Math.max(zero ? Math.min(0, low) : low - pad, -Number.MAX_VALUE), high: Math.min(high + pad, Number.MAX_VALUE) };
  }

  // --- drawing ---

  fit(canvas) {
    const ratio = window.devicePixelRatio || 1;
    const width = this.plot.clientWidth, height = this.plot.clientHeight;
    const wide = Math.round(width * ratio), tall = Math.round(height * ratio);
    if (canvas.width !== wide || canvas.height !== tall) Object.assign(canvas, { width: wide, height: tall });
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = "11px system-ui, sans-serif";
    pen.lineWidth = 1;
    return { pen, width, height };
  }

  draw() {
    if (!this.plot.clientWidth) return;
    const { pen, width, height } = this.fit(this.canvas);
    const [from, to] = this.xRange();
    const inner = { left: LEFT, right: width - RIGHT, top: TOP, bottom: height - BOTTOM };
    const X = (x) => inner.left + ((x - from) / (to - from)) * (inner.right - inner.left);
    this.place = { ...inner, from, to, X };
    // Of very many curves y stays while the range moves: it is a picture then.
    const isMoving = this.series.length > CROWD && performance.now() - this.hub.zoomedAt < STILL && this.ranges?.normalised === this.normalised;
    const ranges = this.options.strip ? null : isMoving ? this.ranges : { ...this.yRanges([from, to]), normalised: this.normalised };
    this.ranges = ranges;
    const isLog = this.log;
    // The coefficients of the line from a value to its pixel, for each curve.
    this.scaleOf = (one) => {
      const { low, high } = ranges.of(one);
      const lo = isLog ? Math.log10(low) : low, hi = isLog ? Math.log10(high) : high;
      const half = hi / 2 - lo / 2; // the whole range may be more than a float holds
      return { half: lo / 2, times: (inner.bottom - inner.top) / (half || 1) };
    };
    this.Y = (one, y) => {
      const { half, times } = this.scaleOf(one);
      return inner.bottom - ((isLog ? Math.log10(y) : y) / 2 - half) * times;
    };
    paint(pen, this, ranges, ground());
    this.point();
  }

  point() {
    if (!this.plot.clientWidth || !this.place) return;
    const { pen } = this.fit(this.over);
    paintPointer(pen, this, ground());
    if (this.hub.hover === null || this.hub.hovered !== this) this.tip.hide();
    else this.tip.show(this.pointer);
  }

  /** Which curve is nearest to a place of the chart, and which of its points.
   * @param {number} x @param {number | null} py pixels from the top; null for the first curve that has a value there */
  nearest(x, py) {
    let best = null, least = Infinity;
    const { top = 0, bottom = 1 } = this.place ?? {};
    const lane = py === null ? 0 : Math.floor(((py - top) / (bottom - top)) * this.series.length); // of words, one for each run
    for (const [place, one] of this.series.entries()) {
      const i = one.strip ? before(one.x, x) : nearest(one.x, x);
      if (i < 0 || isFar(one, i, x)) continue;
      const y = one.strip ? Math.abs(place - lane) : py === null || !this.scaleOf ? 0 : Math.abs(this.Y(one, valueAt(one, x)) - py);
      if (y < least || !best) [best, least] = [{ series: one, index: i }, y];
    }
    return best;
  }

  /** The value of each curve where the pointer is, or the last one. */
  values() {
    const { hover } = this.hub;
    return this.series.map((one) => {
      if (one.strip) {
        const i = hover === null ? one.x.length - 1 : before(one.x, hover);
        return i >= 0 && one.strip.code[i] >= 0 ? one.strip.texts[one.strip.code[i]] : "–";
      }
      const i = hover === null ? one.x.length - 1 : nearest(one.x, hover);
      return i < 0 ? "–" : number(valueAt(one, one.x[i]));
    });
  }

  // --- pointer and keys ---

  listen() {
    const at = (event) => {
      if (!this.place) return null;
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
        if (this.drag.isPan && this.drag.moved) {
          const [from, to] = this.drag.range;
          this.pan(this.drag.range, (this.drag.begin - event.clientX) / (this.place.right - this.place.left) * (to - from));
        }
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
      if (!drag || drag.from === null) return;
      if (drag.isPan) return;
      if (drag.moved) this.hub.setZoom([drag.from, drag.to].sort((a, b) => a - b));
      else this.open(at(event), event.clientY - canvas.getBoundingClientRect().top);
    });
    canvas.addEventListener("dblclick", () => this.hub.setZoom(null));
    canvas.addEventListener("wheel", (event) => {
      const isSideways = this.hub.zoom && Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (!event.ctrlKey && !event.shiftKey && !isSideways) return;
      event.preventDefault();
      const [from, to] = this.xRange();
      if (isSideways) this.pan([from, to], event.deltaX / (this.place.right - this.place.left) * (to - from));
      else this.zoomAround(at(event), (event.deltaY || event.deltaX) > 0 ? 1.25 : 0.8);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => this.hub.setHover(null));
  }

  open(x, py) {
    this.picked = this.nearest(x, py);
    this.hub.openMoment(x, this);
  }

  /** @param {number[]} range @param {number} by */
  pan([from, to], by) { this.hub.setZoom([from + by, to + by]); }

  zoomAround(x, factor) {
    const [from, to] = this.xRange();
    this.hub.setZoom([x - (x - from) * factor, x + (to - x) * factor]);
  }

  key(event) {
    const [from, to] = this.xRange();
    const middle = this.hub.hover ?? (from + to) / 2;
    const move = (direction) => {
      const x = (this.series.find((one) => one.x.length) ?? { x: [] }).x;
      const i = nearest(x, middle);
      if (i < 0) return;
      const next = x[Math.min(Math.max(i + direction, 0), x.length - 1)];
      this.hub.hovered = this;
      this.pointer = null;
      this.hub.setHover(this.hub.hover === null ? x[i] : next);
      this.hub.say?.(this.tip.sentence());
    };
    const acts = {
      ArrowLeft: () => (event.shiftKey ? this.pan([from, to], -(to - from) / 4) : move(-1)),
      ArrowRight: () => (event.shiftKey ? this.pan([from, to], (to - from) / 4) : move(1)),
      "+": () => this.zoomAround(middle, 0.6),
      "-": () => this.zoomAround(middle, 1.6),
      Enter: () => this.open(middle, null),
    };
    const name = event.key === "=" ? "+" : event.key;
    if (!Object.hasOwn(acts, name)) return;
    event.preventDefault();
    event.stopPropagation();
    acts[name]();
  }
}

/** Where the x of a curve begin and end, and whether they rise. @param {Series} one @returns {Span} */
export function spanOf(one) {
  if (one.span && one.span.n === one.x.length) return one.span;
  const { x } = one;
  let low = Infinity, high = -Infinity, isSorted = true;
  for (let i = 0; i < x.length; i++) {
    if (x[i] < low) low = x[i];
    if (x[i] > high) high = x[i];
    if (i && x[i] < x[i - 1]) isSorted = false;
  }
  return (one.span = { n: x.length, low, high, isSorted });
}

/** The points from one before `from` to one after `to`: the first, and after the last.
 * @param {Series} one @param {number} from @param {number} to */
export function visible(one, from, to) {
  if (!spanOf(one).isSorted) return [0, one.x.length];
  return [Math.max(before(one.x, from), 0), Math.min(before(one.x, to) + 2, one.x.length)];
}

/** Whether a curve has long ended at x, or not yet begun. @param {Series} one @param {number} i @param {number} x */
export function isFar({ x: points, strip }, i, x) {
  const last = points.length - 1;
  if (strip) return strip.end !== null && x > strip.end;
  return (x < points[0] || x > points[last]) && Math.abs(points[i] - x) > (points[last] - points[0]) / Math.max(last, 1) * 1.5;
}

/** The value at a point, with the smoothed one before it. @param {Series} one @param {number} i @param {number | null} hover */
export function described(one, i, hover) {
  const raw = number(one.y[i]);
  if (!one.smooth?.x.length) return raw;
  const j = hover === null ? one.smooth.x.length - 1 : nearest(one.smooth.x, hover);
  return `${number(one.smooth.y[j])} (${raw})`;
}

/** The value that is drawn thick at x. @param {Series} one @param {number} x */
export function valueAt(one, x) {
  const of = one.smooth?.x.length ? one.smooth : one;
  return of.y[nearest(of.x, x)];
}

/** The last index whose x is not after `at`, where x rises; -1 when there is none.
 * @param {ArrayLike<number>} x @param {number} at */
export function before(x, at) {
  let low = 0, high = x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle] <= at) low = middle + 1; else high = middle;
  }
  return low - 1;
}

/** The index whose x is nearest to `at`; -1 when there is none. @param {ArrayLike<number>} x @param {number} at */
export function nearest(x, at) {
  if (!x.length) return -1;
  const i = before(x, at);
  if (i < 0) return 0;
  return i + 1 < x.length && x[i + 1] - at < at - x[i] ? i + 1 : i;
}
