// Exports of a chart: figures drawn by `trainlog plot` in the server, the command for the same figure, all rows as CSV.

import { element } from "./element.js";
import { address, ask, csvAddress, listed } from "./net.js";

const FIGURE = { width: 960, height: 540 };

/** The description of a figure. @typedef {{runs: {id: string, path: string}[], kind: string, keys: string[], x: string,
 *   range: number[] | null, smooth: string | number, log: boolean, lines: number[], normalised: boolean, isStrip: boolean,
 *   grouping: {by: string[], center: string, band: string} | null}} Figure */

/** @param {Figure} figure @param {string} format @param {string} theme */
export function figureAddress({ runs, kind, keys, x, range, smooth, log, lines, normalised, isStrip, grouping }, format, theme) {
  return address("figure", {
    runs: runs.map(({ id }) => id).join(","), kind, keys: listed(keys), x, format, theme, ...FIGURE,
    smooth: isStrip ? null : smooth || null, log: log ? 1 : null, from: range?.[0], to: range?.[1], lines: lines.join(","),
    together: keys.length > 1 && !isStrip ? (normalised ? "normalised" : "values") : null,
    ...(grouping ? { ...grouping, by: grouping.by.join(",") } : {}),
  });
}

/** The command that draws the figure, for the served folder. @param {Figure} figure @param {string} theme */
export function command({ runs, kind, keys, x, range, smooth, log, lines, normalised, isStrip, grouping }, theme) {
  const parts = ["trainlog", "plot", ...runs.map(({ path }) => quoted(path.startsWith("-") ? `./${path}` : path))];
  for (const key of keys) parts.push("-y", quoted(kind === "stats" && !/[:[*?]/.test(key) ? key : `${kind}:${key}`));
  parts.push("-x", x);
  if (smooth !== "auto" && !isStrip) parts.push("--smooth", String(smooth || 0));
  if (log) parts.push("--log-y");
  if (range) parts.push(`--xlim=${range.join(",")}`);
  for (const line of lines) parts.push(`--line=${line}`);
  if (keys.length > 1 && !isStrip) parts.push("--together", normalised ? "normalised" : "values");
  if (grouping?.by.length) parts.push("--by", quoted(grouping.by[0]));
  if (grouping) parts.push("--center", grouping.center, "--band", grouping.band);
  if (theme !== "light") parts.push("--theme", theme);
  return parts.join(" ");
}

/** A word for a POSIX shell. @param {string} text */
const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** @param {string} place */
export const fetched = async (place) => (await ask(place)).blob();

/** @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const link = element("a", "", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Whether this browser lets the page write to the clipboard, which needs HTTPS or the same machine. */
export const canCopy = () => Boolean(navigator.clipboard?.write);

/** @param {string} place of a PNG */
export const copyPicture = (place) => navigator.clipboard.write([new ClipboardItem({ "image/png": fetched(place) })]);

/** All rows of several runs in one table, each row after the path of its run. A run that lacks a key has empty cells.
 * @param {{path: string, id: string, keys: string[]}[]} runs @param {any} parameters of the rows
 * @returns {Promise<Blob>} */
export async function csvOfRuns(runs, parameters) {
  const keys = [...new Set(runs.flatMap((run) => run.keys))];
  const pieces = [];
  for (const run of runs) {
    const text = await (await ask(csvAddress(run.id, { ...parameters, keys: listed(run.keys) }))).text();
    const records = recordsOf(text);
    const head = records.shift() ?? [];
    const lead = head.length - run.keys.length;
    if (!pieces.length) pieces.push(`run,${[...head.slice(0, lead), ...keys.map(cell)].join(",")}\r\n`);
    const places = keys.map((key) => (run.keys.includes(key) ? lead + run.keys.indexOf(key) : -1));
    pieces.push(...records.map((record) => `${[cell(run.path), ...record.slice(0, lead), ...places.map((i) => (i < 0 ? "" : record[i]))].join(",")}\r\n`));
  }
  return new Blob(pieces, { type: "text/csv" });
}

/** The cells of a CSV text as they are written, including quotes. @param {string} text @returns {string[][]} */
function recordsOf(text) {
  const records = [];
  let record = [];
  for (const [, value, end] of text.matchAll(/((?:"(?:[^"]|"")*"|[^",\r\n]*))(,|\r?\n|$)/g)) {
    if (!end && !value && !record.length) break;
    record.push(value);
    if (end === ",") continue;
    records.push(record);
    record = [];
  }
  return records;
}

/** @param {string} text */
const cell = (text) => {
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text; // a spreadsheet would run it as a formula
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
};
