// What leaves a chart: figures by the server's own `trainlog plot`, the command that makes the same one, all rows as CSV.

import { csvAddress, listed } from "./net.js";

const FIGURE = { width: 960, height: 540 };

/** What a figure is made of. @typedef {{runs: {id: string, path: string}[], kind: string, keys: string[], x: string,
 *   range: number[] | null, smooth: string | number, log: boolean, lines: number[], normalised: boolean, isStrip: boolean}} Figure */

/** @param {Figure} figure @param {string} format @param {string} theme */
export function figureAddress({ runs, kind, keys, x, range, smooth, log, lines, normalised, isStrip }, format, theme) {
  const query = new URLSearchParams({ runs: runs.map(({ id }) => id).join(","), kind, keys: listed(keys), x, format, theme });
  if (smooth && !isStrip) query.set("smooth", String(smooth));
  if (log) query.set("log", "1");
  if (range) { query.set("from", String(range[0])); query.set("to", String(range[1])); }
  if (lines.length) query.set("lines", lines.join(","));
  if (keys.length > 1 && !isStrip) query.set("together", normalised ? "normalised" : "values");
  for (const [name, value] of Object.entries(FIGURE)) query.set(name, String(value));
  return `/api/v1/figure?${query}`;
}

/** The command, for the folder that is served. @param {Figure} figure @param {string} theme */
export function command({ runs, kind, keys, x, range, smooth, log, lines, normalised, isStrip }, theme) {
  const parts = ["trainlog", "plot", ...runs.map(({ path }) => quoted(path.startsWith("-") ? `./${path}` : path))];
  for (const key of keys) parts.push("-y", quoted(kind === "stats" && !/[:[*?]/.test(key) ? key : `${kind}:${key}`));
  parts.push("-x", x);
  if (smooth !== "auto" && !isStrip) parts.push("--smooth", String(smooth || 0));
  if (log) parts.push("--log-y");
  if (range) parts.push(`--xlim=${range.join(",")}`);
  for (const line of lines) parts.push(`--line=${line}`);
  if (keys.length > 1 && !isStrip) parts.push("--together", normalised ? "normalised" : "values");
  if (theme !== "light") parts.push("--theme", theme);
  return parts.join(" ");
}

/** A word for a POSIX shell. @param {string} text */
const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** @param {string} address @returns {Promise<Blob>} */
export async function fetched(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error((await answer.json()).error?.message ?? `the server answered ${answer.status}`);
  return answer.blob();
}

/** @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Whether this browser lets a page write to the clipboard: not over plain HTTP from another machine. */
export const canCopy = () => Boolean(navigator.clipboard?.write);

/** @param {string} address of a PNG */
export const copyPicture = (address) => navigator.clipboard.write([new ClipboardItem({ "image/png": fetched(address) })]);

/** All rows of several runs in one table, the run's path before each. A run that lacks a key has an empty cell.
 * @param {{path: string, id: string, keys: string[]}[]} runs @param {any} parameters of the rows
 * @returns {Promise<Blob>} */
export async function csvOfRuns(runs, parameters) {
  const keys = [...new Set(runs.flatMap((run) => run.keys))];
  const pieces = [];
  for (const run of runs) {
    const text = await (await fetched(csvAddress(run.id, { ...parameters, keys: listed(run.keys) }))).text();
    const records = recordsOf(text);
    const head = records.shift() ?? [];
    const lead = head.length - run.keys.length;
    if (!pieces.length) pieces.push(`run,${[...head.slice(0, lead), ...keys.map(cell)].join(",")}\r\n`);
    const places = keys.map((key) => (run.keys.includes(key) ? lead + run.keys.indexOf(key) : -1));
    pieces.push(...records.map((record) => `${[cell(run.path), ...record.slice(0, lead), ...places.map((i) => (i < 0 ? "" : record[i]))].join(",")}\r\n`));
  }
  return new Blob(pieces, { type: "text/csv" });
}

/** The cells of a CSV text as they are written, quotes included. @param {string} text @returns {string[][]} */
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
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text; // spreadsheets take it for a formula
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
};
