// How a chart is drawn: axes, curves with gaps and bands, strips, events, damage.

import { axisLabels, logTicks, number, ticks } from "./format.js";
import { before, CROWD, nearest, valueAt, visible } from "./series.js";

const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3]];
const FEW_EVENTS = 12; // up to this many events of a type are lines, more are a rug
const FEW_POINTS = 60; // up to this many points are also dots

/** @typedef {import("./series.js").Series} Series @typedef {import("./series.js").Numbers} Numbers */
/** @typedef {import("./chart.js").Chart} Chart @typedef {import("./chart.js").Place} Place */
/** @typedef {import("./chart.js").Ranges} Ranges @typedef {import("./colors.js").Tones} Tones */
/** @typedef {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} Pen */
/** @typedef {{series: Series[], id: string, span: number, from: number, to: number, picture: OffscreenCanvas}} Kept a picture of the curves */

/** Clear a canvas that covers an element, and give its pen, whose unit is a pixel of the page.
 * @param {HTMLCanvasElement} canvas @param {HTMLElement} covered */
export function fit(canvas, covered = canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = covered.clientWidth, height = covered.clientHeight;
  const wide = Math.round(width * ratio), tall = Math.round(height * ratio);
  if (canvas.width !== wide || canvas.height !== tall) Object.assign(canvas, { width: wide, height: tall });
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "11px system-ui, sans-serif";
  pen.lineWidth = 1;
  return { pen, width, height };
}

/** @param {CanvasRenderingContext2D} pen @param {Chart} chart @param {Place} place @param {Ranges} ranges @param {Tones} tones */
export function paint(pen, chart, place, ranges, tones) {
  paintX(pen, place, tones);
  paintDamage(pen, chart, place, tones);
  if (chart.options.strip) {
    paintStrips(pen, chart, place);
    paintEvents(pen, chart, place);
    return;
  }
  const offset = paintY(pen, chart, place, ranges, tones);
  paintEvents(pen, chart, place);
  paintCurves(pen, chart, place);
  paintOffset(pen, offset, place, tones);
}

/** @param {Pen} pen @param {Place} place @param {Tones} tones */
function paintX(pen, { left, right, bottom, from, to, X }, tones) {
  const places = ticks(from, to, Math.max(2, (right - left) / 90));
  const { texts, offset } = axisLabels(places);
  pen.fillStyle = tones.dim;
  pen.textBaseline = "top";
  pen.textAlign = "center";
  places.forEach((x, i) => {
    const half = pen.measureText(texts[i]).width / 2;
    pen.fillText(texts[i], Math.min(Math.max(X(x), half + 2), right + 10 - half), bottom + 5);
  });
  if (!offset) return;
  pen.textAlign = "right";
  pen.textBaseline = "bottom";
  pen.fillText(`x: ${offset} +`, right, bottom - 2);
}

/** The offset to add to the labels is returned. @param {Pen} pen @param {Chart} chart @param {Place} place @param {Ranges} ranges @param {Tones} tones */
function paintY(pen, chart, { left, right, top, bottom }, ranges, tones) {
  const { low, high } = ranges.all ?? { low: 0, high: 1 };
  const isLog = chart.log && ranges.all;
  const all = (/** @type {number} */ y) => (ranges.all ? chart.Y(chart.series[0], y) : bottom - y * (bottom - top));
  const places = !ranges.all ? [0, 0.25, 0.5, 0.75, 1] : isLog ? logTicks(low, high) : ticks(low, high, Math.max(2, (bottom - top) / 38));
  const { texts, offset } = isLog ? { texts: places.map(number), offset: "" } : axisLabels(places);
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  places.forEach((y, i) => {
    const at = Math.round(all(y)) + 0.5;
    line(pen, tones.grid, left, at, right, at);
    pen.fillStyle = tones.dim;
    pen.fillText(ranges.all ? texts[i] : ["low", "", "½", "", "high"][i], left - 6, at);
  });
  for (const { y, label } of chart.thresholds()) {
    if (y < low || y > high || (isLog && y <= 0)) continue;
    pen.setLineDash([4, 4]);
    line(pen, tones.dim, left, all(y), right, all(y));
    pen.setLineDash([]);
    const wide = pen.measureText(label).width + 8;
    pen.fillStyle = tones.card;
    pen.fillRect(right - wide - 4, all(y) - 7, wide, 14);
    pen.fillStyle = tones.dim;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    pen.fillText(label, right - 8, all(y));
  }
  return offset;
}

/** The offset to add to the labels of y, drawn above the events. @param {Pen} pen @param {string} offset @param {Place} place @param {Tones} tones */
function paintOffset(pen, offset, place, tones) {
  if (!offset) return;
  const text = `${offset} +`;
  pen.fillStyle = tones.card;
  pen.fillRect(2, place.top - 12, pen.measureText(text).width + 6, 13);
  pen.fillStyle = tones.dim;
  pen.textAlign = "left";
  pen.textBaseline = "bottom";
  pen.fillText(text, 4, place.top);
}

/** @param {Pen} pen @param {string} color @param {number} x @param {number} y @param {number} toX @param {number} toY */
export function line(pen, color, x, y, toX, toY) {
  pen.strokeStyle = color;
  pen.beginPath(); pen.moveTo(x, y); pen.lineTo(toX, toY); pen.stroke();
}

/** @param {Pen} pen @param {number} left @param {number} top @param {number} right @param {number} bottom */
function clip(pen, left, top, right, bottom) {
  pen.save();
  pen.beginPath();
  pen.rect(left, top, right - left, bottom - top);
  pen.clip();
}

/** @param {Pen} pen @param {Chart} chart @param {Place} place */
function paintCurves(pen, chart, place) {
  clip(pen, place.left, place.top - 6, place.right + 2, place.bottom + 2);
  if (chart.series.length > CROWD) paintCrowd(pen, chart, place);
  else paintEach(pen, chart, place);
  pen.restore();
}

/** With very many curves, keep a picture that is wider than the chart, so that it can be moved instantly.
 * @param {Pen} pen @param {Chart} chart @param {Place} place */
function paintCrowd(pen, chart, place) {
  const { left, right, bottom, from, to, X } = place;
  const span = to - from, wide = right - left, ratio = window.devicePixelRatio || 1;
  const { half, times } = chart.scaleOf(chart.series[0]);
  const id = [wide, bottom, ratio, chart.log, chart.normalised, half, times].join(" ");
  let { kept } = chart;
  const fits = kept && kept.series === chart.series && kept.id === id && Math.abs(kept.span / span - 1) < 1e-6 && kept.from <= from && kept.to >= to;
  if (!kept || !fits) {
    const low = from - span / 2, high = to + span / 2;
    const picture = new OffscreenCanvas(2 * wide * ratio, (bottom + 8) * ratio);
    const brush = picture.getContext("2d");
    if (!brush) return;
    brush.scale(ratio, ratio);
    paintEach(brush, chart, { ...place, from: low, to: high, left: 0, right: 2 * wide, X: (x) => ((x - low) / (2 * span)) * 2 * wide });
    kept = chart.kept = { series: chart.series, id, span, from: low, to: high, picture };
  }
  pen.drawImage(kept.picture, X(kept.from), 0, 2 * wide, bottom + 8);
}

/** @param {Pen} pen @param {Chart} chart @param {Place} place */
function paintEach(pen, chart, place) {
  const isCrowd = chart.series.length > CROWD;
  for (const one of chart.series) paintBand(pen, chart, one, place);
  for (const one of chart.series) {
    pen.strokeStyle = pen.fillStyle = one.color;
    pen.setLineDash(isCrowd ? [] : DASHES[(one.dash ?? 0) % DASHES.length]);
    const { smooth } = one, isBehind = Boolean(smooth?.x.length);
    pen.globalAlpha = isBehind ? 0.4 : 1;
    pen.lineWidth = isCrowd || isBehind ? 1 : 1.6;
    if (!one.hidesRaw) curve(pen, chart, one, one, place, !isCrowd && !isBehind);
    pen.globalAlpha = 1;
    if (smooth && isBehind) {
      pen.lineWidth = isCrowd ? 1 : 2;
      curve(pen, chart, one, smooth, place, false);
    }
    pen.setLineDash([]);
  }
}

/** A line with gaps; a point between two gaps is a dot, as is every point if there are few.
 * @param {Pen} pen @param {Chart} chart @param {Series} one @param {{x: Numbers, y: Numbers, breaks?: number[]}} points
 * @param {Place} place @param {boolean} dots */
function curve(pen, chart, one, points, { left, bottom, from, to, right }, dots) {
  const { x, y } = points;
  const breaks = points.breaks ?? [];
  const { half, times } = chart.scaleOf(one);
  const wide = (right - left) / (to - from), isLog = chart.log;
  const [first, last] = visible(points, from, to);
  /** @type {number[]} */
  const alone = [];
  let down = false, length = 0, next = breaks.findIndex((i) => i > first), px = 0, py = 0;
  if (next < 0) next = breaks.length;
  pen.beginPath();
  for (let i = first; i < last; i++) {
    if (breaks[next] === i) { next++; if (length === 1) alone.push(px, py); down = false; }
    const value = isLog ? (y[i] > 0 ? Math.log10(y[i]) : NaN) : y[i];
    if (!(value - value === 0)) { if (down && length === 1) alone.push(px, py); down = false; continue; }
    px = left + (x[i] - from) * wide;
    py = bottom - (value / 2 - half) * times;
    if (down) { pen.lineTo(px, py); length++; } else { pen.moveTo(px, py); down = true; length = 1; }
    if (dots && last - first <= FEW_POINTS) alone.push(px, py);
  }
  pen.stroke();
  if (down && (length === 1 || dots)) alone.push(px, py);
  const radius = x.length === 1 ? 3 : 1.9;
  for (let i = 0; i < alone.length; i += 2) dot(pen, alone[i], alone[i + 1], radius);
}

/** @param {Pen} pen @param {Chart} chart @param {Series} one @param {Place} place */
function paintBand(pen, chart, one, { X, from, to }) {
  if (!one.band) return;
  const { low, high } = one.band;
  const [first, last] = visible(one, from, to);
  const isShown = (/** @type {number} */ i) => Number.isFinite(low[i]) && Number.isFinite(high[i]) && !(chart.log && low[i] <= 0);
  pen.fillStyle = one.color;
  pen.globalAlpha = 0.18;
  for (let i = first; i < last; i++) {
    if (!isShown(i)) continue;
    const begin = i;
    while (i + 1 < last && isShown(i + 1)) i++;
    pen.beginPath();
    for (let j = begin; j <= i; j++) pen.lineTo(X(one.x[j]), chart.Y(one, high[j]));
    for (let j = i; j >= begin; j--) pen.lineTo(X(one.x[j]), chart.Y(one, low[j]));
    pen.fill();
  }
  pen.globalAlpha = 1;
}

/** @param {Pen} pen @param {Chart} chart @param {Place} place */
function paintStrips(pen, chart, { left, right, top, bottom, from, to, X }) {
  const lanes = chart.series.length || 1;
  const gap = Math.min(3, Math.floor((bottom - top) / lanes / 4));
  const edge = (/** @type {number} */ lane) => Math.round(top + (lane * (bottom - top + gap)) / lanes); // aligned to pixels, so that edges are sharp
  clip(pen, left, top, right, bottom);
  chart.series.forEach(({ x, strip, color }, lane) => {
    const upper = edge(lane), tall = Math.max(edge(lane + 1) - gap - upper, 1);
    for (let i = Math.max(before(x, from), 0); strip && i < x.length && x[i] <= to; i++) {
      if (strip.code[i] < 0) continue;
      const end = i + 1 < x.length ? x[i + 1] : Math.max(strip.end ?? x[i], x[i]);
      const fill = strip.colors[strip.code[i]];
      const start = X(x[i]), wide = Math.max(X(end) - start, 1.5);
      pen.fillStyle = fill;
      pen.fillRect(start, upper, wide, tall);
      const text = strip.texts[strip.code[i]];
      const room = Math.min(start + wide, right) - Math.max(start, left);
      if (tall < 14 || pen.measureText(text).width > room - 8) continue;
      pen.fillStyle = readable(fill);
      pen.textAlign = "left";
      pen.textBaseline = "middle";
      pen.fillText(text, Math.max(start, left) + 4, upper + tall / 2);
    }
    if (lanes > 1) { pen.fillStyle = color; pen.fillRect(left, upper, 3, tall); }
  });
  pen.restore();
}

/** Black or white, whichever is more readable on a color. @param {string} color as #rrggbb */
export function readable(color) {
  const [r, g, b] = [1, 3, 5].map((at) => (parseInt(color.slice(at, at + 2), 16) / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000" : "#fff";
}

/** @param {Pen} pen @param {Chart} chart @param {Place} place @param {Tones} tones */
function paintDamage(pen, chart, { left, right, top, bottom, X }, tones) {
  for (const [from, to] of chart.damage) {
    const middle = (X(from) + X(to)) / 2, half = Math.max((X(to) - X(from)) / 2, 3);
    if (middle + half < left || middle - half > right) continue;
    clip(pen, Math.max(middle - half, left), top, Math.min(middle + half, right), bottom);
    pen.globalAlpha = 0.55;
    for (let x = middle - half - (bottom - top); x < middle + half; x += 6) line(pen, tones.bad, x, bottom, x + bottom - top, top);
    pen.restore();
  }
  pen.globalAlpha = 1;
}

/** Events of the same colour and look are drawn as one path, as a hundred runs have thousands of events.
 * @param {Pen} pen @param {Chart} chart @param {Place} place */
function paintEvents(pen, chart, { left, right, top, bottom, X }) {
  const types = new Map();
  const seen = chart.events.filter(({ x }) => X(x) >= left - 1 && X(x) <= right + 1).map((event) => ({ ...event, type: event.text.split(":")[0] }));
  for (const { type } of seen) types.set(type, (types.get(type) ?? 0) + 1);
  const groups = new Map();
  for (const { type, color, x } of seen) {
    const isRug = types.get(type) > FEW_EVENTS;
    const id = `${isRug}${color}`;
    if (!groups.has(id)) groups.set(id, { isRug, color, places: new Set() });
    groups.get(id).places.add(Math.round(X(x) * 2) / 2);
  }
  for (const { isRug, color, places } of groups.values()) {
    pen.strokeStyle = pen.fillStyle = color;
    pen.globalAlpha = isRug ? 1 : 0.35;
    pen.setLineDash(isRug ? [] : [2, 3]);
    pen.beginPath();
    for (const at of places) { pen.moveTo(at, isRug ? top - 8 : top); pen.lineTo(at, isRug ? top - 1 : bottom); }
    pen.stroke();
    pen.setLineDash([]);
    pen.globalAlpha = 1;
    if (isRug) continue;
    pen.beginPath();
    for (const at of places) { pen.moveTo(at - 4, top - 7); pen.lineTo(at + 4, top - 7); pen.lineTo(at, top); pen.closePath(); }
    pen.fill();
  }
}

/** What is above the curves: the pointer, the moment, the range that is being selected.
 * @param {Pen} pen @param {Chart} chart @param {Place} place @param {Tones} tones */
export function paintPointer(pen, chart, { left, right, top, bottom, X }, tones) {
  const { hub, drag } = chart;
  if (drag?.moved && !drag.isPan) {
    const [low, high] = [drag.from, drag.to].sort((a, b) => a - b);
    pen.globalAlpha = 0.15;
    pen.fillStyle = tones.accent;
    pen.fillRect(X(low), top, X(high) - X(low), bottom - top);
    pen.globalAlpha = 1;
  }
  const upright = (/** @type {number | null} */ x, /** @type {string} */ color, /** @type {number} */ wide) => {
    if (x === null || X(x) < left || X(x) > right) return;
    pen.lineWidth = wide;
    line(pen, color, X(x), top - 4, X(x), bottom);
  };
  upright(hub.momentX, tones.accent, 1.5);
  upright(hub.hover, tones.dim, 1);
  pen.lineWidth = 1;
  if (hub.hover === null || chart.options.strip || chart.series.length > CROWD) return;
  for (const one of chart.series) {
    const of = one.smooth?.x.length ? one.smooth : one;
    const i = nearest(of.x, hub.hover);
    const at = i < 0 ? NaN : X(of.x[i]), up = i < 0 ? NaN : chart.Y(one, valueAt(one, hub.hover));
    if (!(at >= left - 4 && at <= right + 4) || !Number.isFinite(up)) continue;
    pen.fillStyle = one.color;
    dot(pen, at, up, 3.5);
  }
}

/** @param {Pen} pen @param {number} x @param {number} y @param {number} radius */
export function dot(pen, x, y, radius) {
  pen.beginPath(); pen.arc(x, y, radius, 0, 7); pen.fill();
}
