// Numbers, sizes and times as readable text; ticks for axes.

import { exact } from "./exact.js";

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
/** @type {Map<number, Intl.NumberFormat>} */
const formats = new Map(); // creating one takes longer than using it a hundred times
function significant(/** @type {number} */ value, /** @type {number} */ digits) {
  let format = formats.get(digits);
  if (!format) formats.set(digits, (format = new Intl.NumberFormat("en-US", { maximumSignificantDigits: digits })));
  return format.format(value);
}

/** A number as text; integers are shown in full, with separators, as far as a float can distinguish them.
 * @param {any} value */
export function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
  if (size !== 0 && (size >= 1e18 || size < 1e-3)) return scientific(value, size >= 1 ? 6 : 2);
  if (Number.isInteger(value)) return whole.format(value);
  if (size >= 1e15) return scientific(value, 6);
  if (size >= 1e6) return significant(value, Math.max(8, Math.floor(Math.log10(size)) + 2));
  return significant(value, size < 1 ? 3 : size < 1e4 ? 4 : 6);
}

/** @param {number} value @param {number} digits */
const scientific = (value, digits) => value.toExponential(digits).replace(/\.?0*e\+?/, "e");

/** @param {number | null | undefined} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${number(seconds)} s`;
  if (seconds < 90) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** How long ago a time was. @param {number} seconds since 1970 */
export function ago(seconds) {
  const past = Date.now() / 1000 - seconds;
  if (past < 60) return "just now";
  if (past < 3600) return `${Math.floor(past / 60)} min ago`;
  if (past < 86400) return `${Math.floor(past / 3600)} h ago`;
  return past < 86400 * 30 ? `${Math.floor(past / 86400)} days ago` : new Date(1000 * seconds).toISOString().slice(0, 10);
}

/** @param {number} bytes */
export function size(bytes) {
  for (const unit of ["B", "KB", "MB"]) {
    if (bytes < 1000) return `${unit === "B" ? bytes : bytes.toFixed(1)} ${unit}`;
    bytes /= 1000;
  }
  return `${bytes.toFixed(1)} GB`;
}

/** About `count` round numbers from low to high.
 * @param {number} low @param {number} high @param {number} count @returns {number[]} */
export function ticks(low, high, count) {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(low) || !Number.isFinite(high)) return [low];
  if (span === Infinity) return ticks(low / 2, high / 2, count).map((value) => value * 2);
  const rough = span / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  if (!(power > 0)) return [low, high];
  const step = power * ([1, 2, 5].find((each) => each * power >= rough * 0.999) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  const most = Math.min(Math.floor(high / step + 1e-9) - first, 4 * count + 8);
  /** @type {number[]} */
  const found = [];
  for (let n = 0; n <= most; n++) {
    const value = (first + n) * step; // beyond 2^53, the next one can be the same number
    if (value !== found.at(-1)) found.push(value);
  }
  return found.length ? found : [low, high];
}

/** @param {number} low @param {number} high @returns {number[]} */
export function logTicks(low, high) {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const every = Math.max(1, Math.ceil((last - first) / 6));
  const found = [];
  for (let power = first; power <= last; power++) {
    for (const times of last - first <= 2 ? [1, 2, 5] : [1]) {
      const value = times * 10 ** power;
      if (value >= low * 0.999 && value <= high * 1.001 && (power - first) % every === 0) found.push(value);
    }
  }
  return found.length > 1 ? found : ticks(low, high, 4); // less than a decade
}

/** Labels of ticks, with enough digits to distinguish them.
 * @param {number[]} values @returns {string[]} */
export function labels(values) {
  const largest = Math.max(...values.map(Math.abs), 0);
  const step = values.length > 1 ? Math.abs(values[1] - values[0]) : largest;
  if (largest >= 1e15) return values.map((value) => (value === 0 ? "0" : scientific(value, Math.min(Math.max(0, Math.ceil(Math.log10(largest / step))), 12))));
  if (largest >= 1e4 || (largest > 0 && largest < 1e-3)) {
    for (const [unit, name] of /** @type {[number, string][]} */ ([[1e9, "G"], [1e6, "M"], [1e3, "k"]])) {
      if (largest >= unit) {
        const digits = Math.min(Math.max(0, -Math.floor(Math.log10(step / unit) + 1e-9)), 6);
        return values.map((value) => (value === 0 ? "0" : (value / unit).toFixed(digits) + name));
      }
    }
    return values.map((value) => (value === 0 ? "0" : value.toExponential(1).replace("e+", "e")));
  }
  const digits = step > 0 ? Math.min(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), 8) : 2;
  return values.map((value) => (Math.abs(value) < step * 1e-6 ? 0 : value).toFixed(digits));
}

/** Labels of ticks, and an offset to add to each if the numbers differ only in their last digits.
 * @param {number[]} values @returns {{texts: string[], offset: string}} */
export function axisLabels(values) {
  const texts = labels(values);
  const isClear = new Set(texts).size === texts.length && texts.every((text) => text.length < 7);
  if (isClear || values.length < 2) return { texts, offset: "" };
  const base = Number(values[0].toPrecision(Math.abs(values[0]) < 1e15 ? 12 : 17));
  const step = Math.abs(values[1] - values[0]);
  const rest = labels(values.map((value) => (Math.abs(value - base) < step * 1e-6 ? 0 : value - base)));
  if (new Set(rest).size < rest.length) return { texts, offset: "" };
  return { texts: rest.map((text) => (text.startsWith("-") ? text : `+${text}`)), offset: exact(base) };
}

/** Flatten nested maps; the keys are joined with slashes. @param {Record<string, any>} value @returns {Record<string, any>} */
export function flat(value, before = "", found = Object.create(null)) {
  for (const [key, one] of Object.entries(value ?? {})) {
    if (one && typeof one === "object" && !Array.isArray(one) && Object.keys(one).length) flat(one, `${before}${key}/`, found);
    else found[before + key] = one;
  }
  return found;
}
