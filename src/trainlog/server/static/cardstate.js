// The user's changes to one chart, and how the address encodes them.

/** @typedef {{wide: boolean | null, log: boolean | null, lines: number[], pin: boolean, hide: boolean, norm: boolean,
 *   table: boolean, height: number | null, order: number | null, keys: string[]}} CardState */

/** @type {CardState} */
export const PLAIN = Object.freeze({
  wide: null, log: null, lines: [], pin: false, hide: false, norm: false, table: false, height: null, order: null, keys: [],
});

const MOST_KEYS = 12;
/** Pixels of a plot. @param {number} value */
export const clampHeight = (value) => Math.min(Math.max(value, 60), 1200);

/** The text of a card in the address: `w`ide, `l`og or linear `y`, lines, then further fields, each after `;`. Empty if nothing was changed.
 * @param {string} id @param {CardState} state */
export function formatCard(id, { wide, log, lines, pin, hide, norm, table, height, order, keys }) {
  const first = `${wide ? "w" : ""}${log === null ? "" : log ? "l" : "y"}${lines.join(",")}`;
  const more = [
    pin && "p", hide && "x", norm && "n", table && "t", height && `h${Math.round(height)}`, order !== null && `o${order}`,
    ...keys.map((key) => `k${encodeURIComponent(key)}`),
  ].filter(Boolean).map((each) => `;${each}`).join("");
  return first || more ? `${first}${more}:${id}` : "";
}

/** The inverse of `formatCard`; null for any other text. @param {string} text @returns {[string, CardState] | null} */
export function parseCard(text) {
  const [, wide, log, lines, more, id] = /^(w?)([ly]?)([-0-9.e+,]*)((?:;[^:;]*)*):(.+)$/s.exec(text) ?? [];
  if (!id) return null;
  const parts = more.split(";").filter(Boolean);
  const has = (/** @type {string} */ letter) => parts.includes(letter);
  const value = (/** @type {string} */ letter) => {
    const found = parts.find((part) => part.length > 1 && part[0] === letter);
    const number = Number(found?.slice(1));
    return found && Number.isFinite(number) ? number : null;
  };
  const height = value("h");
  return [id, {
    wide: wide ? true : null, log: log ? log === "l" : null, lines: lines.split(",").filter(Boolean).map(Number).filter(Number.isFinite),
    pin: has("p"), hide: has("x"), norm: has("n"), table: has("t"),
    height: height === null ? null : clampHeight(height), order: value("o"),
    keys: parts.filter((part) => part[0] === "k").slice(0, MOST_KEYS).map((part) => decoded(part.slice(1))).filter(Boolean),
  }];
}

/** @param {string} text */
function decoded(text) {
  try { return decodeURIComponent(text); } catch { return ""; }
}
