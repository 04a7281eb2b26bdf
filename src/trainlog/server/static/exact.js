// Exact numbers, with every digit of the log.

/**
 * Parse JSON with integers beyond 2^53 as big integers, if the browser reports the source text of numbers.
 * @param {string} text
 */
export function parseExact(text) {
  return JSON.parse(text, /** @type {any} */ ((/** @type {string} */ _, /** @type {any} */ value, /** @type {any} */ context) => {
    const source = context?.source;
    const lost = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
    return lost && /^-?\d+$/.test(source ?? "") ? BigInt(source) : value;
  }));
}

/** JSON, with big integers as texts. @param {unknown} value */
export const json = (value) => JSON.stringify(value, (_, one) => (typeof one === "bigint" ? String(one) : one));

/** @param {unknown} value */
export function exact(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "bigint" || (typeof value === "number" && Number.isInteger(value) && Math.abs(value) < 1e21)) return value.toLocaleString("en-US");
  if (typeof value === "object") return json(value);
  return String(value);
}

/** As `exact`, but fractions are shown with this number of digits. @param {unknown} value @param {number} digits */
export function rounded(value, digits) {
  return exact(typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(digits)) : value);
}

/** By how much *b* is larger than *a*. @param {unknown} a @param {unknown} b @returns {string} */
export function difference(a, b) {
  if (Array.isArray(a) && Array.isArray(b) && a.length === b.length) return a.map((one, i) => difference(one, b[i])).join(", ");
  if (typeof a === "bigint" || typeof b === "bigint") {
    const whole = [a, b].every((one) => typeof one === "bigint" || Number.isInteger(one));
    return whole ? exact(BigInt(/** @type {any} */ (b)) - BigInt(/** @type {any} */ (a))) : "";
  }
  if (typeof a !== "number" || typeof b !== "number") return "";
  const by = b - a;
  return `${by > 0 ? "+" : ""}${Number.isInteger(by) ? by.toLocaleString("en-US") : Number(by.toPrecision(4))}`;
}
