// A curve as charts use it, and its helpers.

import { number } from "./format.js";

/**
 * The line has a gap where y is not finite, and before the points `breaks`. A group has a band and members; where the
 * band does not `fit`, the chart may cut it off.
 * @typedef {ArrayLike<number>} Numbers
 * @typedef {{texts: string[], code: number[], end: number | null, colors: string[]}} Strip
 * @typedef {{label: string, color: string, dash: number, x: Numbers, y: Numbers, breaks?: number[],
 *   at?: Record<string, Numbers>, smooth?: {x: Numbers, y: Numbers, label: string, window: number} | null,
 *   run?: string, name?: string, key?: string, band?: {low: Numbers, high: Numbers, fit: boolean[]}, runs?: Numbers, n?: number,
 *   members?: Member[], strip?: Strip, span?: Span, hidesRaw?: boolean}} Series
 * @typedef {{id: string, name: string}} Member a run of a group
 * @typedef {{n: number, low: number, high: number, isSorted: boolean}} Span
 */

export const CROWD = 24; // with more curves, lines are thin

/** The first and last x of a curve, and whether x is sorted. @param {{x: Numbers, span?: Span}} one @returns {Span} */
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

/** The points from one before `from` to one after `to`: the first index, and the one after the last.
 * @param {{x: Numbers, span?: Span}} one @param {number} from @param {number} to */
export function visible(one, from, to) {
  if (!spanOf(one).isSorted) return [0, one.x.length];
  return [Math.max(before(one.x, from), 0), Math.min(before(one.x, to) + 2, one.x.length)];
}

/** Whether a curve has clearly ended before x, or not started yet. @param {Series} one @param {number} i @param {number} x */
export function isFar({ x: points, strip }, i, x) {
  const last = points.length - 1;
  if (strip) return strip.end !== null && x > strip.end;
  return (x < points[0] || x > points[last]) && Math.abs(points[i] - x) > (points[last] - points[0]) / Math.max(last, 1) * 1.5;
}

/** The index of the point that counts at x: the nearest one, of a strip the one before; -1 if there is none. @param {Series} one @param {number} x */
export const indexAt = (one, x) => (one.strip ? before(one.x, x) : nearest(one.x, x));

/** The value at a point, after the smoothed value. @param {Series} one @param {number} i @param {number | null} hover */
export function described(one, i, hover) {
  const raw = number(one.y[i]);
  if (!one.smooth?.x.length) return raw;
  const j = hover === null ? one.smooth.x.length - 1 : nearest(one.smooth.x, hover);
  return `${number(one.smooth.y[j])} (${raw})`;
}

/** The value of the thick line at x. @param {Series} one @param {number} x */
export function valueAt(one, x) {
  const of = one.smooth?.x.length ? one.smooth : one;
  return of.y[nearest(of.x, x)];
}

/** The last index whose x is not after `at`, for sorted x; -1 if there is none.
 * @param {ArrayLike<number>} x @param {number} at */
export function before(x, at) {
  let low = 0, high = x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle] <= at) low = middle + 1; else high = middle;
  }
  return low - 1;
}

/** The index whose x is nearest to `at`; -1 if there is none. @param {ArrayLike<number>} x @param {number} at */
export function nearest(x, at) {
  if (!x.length) return -1;
  const i = before(x, at);
  if (i < 0) return 0;
  return i + 1 < x.length && x[i + 1] - at < at - x[i] ? i + 1 : i;
}
