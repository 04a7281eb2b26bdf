// What the page shows, stored in its address so that a view can be shared.

import { formatCard, parseCard, PLAIN } from "./cardstate.js";
import { listed, unlisted } from "./net.js";
import { settled } from "./timers.js";

/**
 * @typedef {{id: string, slot: number}} Shown a shown run, and its place among the colours
 * @typedef {{
 *   x: string, smooth: string | number, log: boolean, q: string, sort: string, filter: string, table: boolean, columns: string[]|null,
 *   differs: boolean, group: string, center: string, band: string, zoom: [number, number]|null, runs: Shown[],
 *   at: {run: string, time: number, row: number | null}|null, episode: {run: string, number: number}|null, cards: Record<string, any>,
 * }} View
 */

const DEFAULTS = { sort: "-changed", filter: "", group: "", center: "mean", band: "ci" };
// The names of sort orders in addresses of older versions.
/** @type {Record<string, string>} */
const OLD_SORTS = { modified: "-changed", path: "run", duration: "-duration", frames: "-frames", reward: "-reward", size: "-size" };
export const MOST_SHOWN = 1000; // runs whose curves are drawn
/** @type {Record<string, string>} */
export const CENTERS = { mean: "mean", median: "median", iqm: "IQM" };
/** @type {Record<string, string>} */
export const BANDS = { ci: "95 % interval", std: "standard deviation", minmax: "lowest to highest", none: "no band" };

export const view = read();
/** @type {Set<(fields: string[]) => void>} */
const watchers = new Set();

/** @returns {View} */
function read() {
  const from = new URLSearchParams(location.search);
  const text = (/** @type {string} */ name) => from.get(name) ?? "";
  const [low, high, ...more] = text("zoom").split(":").map(Number);
  const moment = /^([0-9a-f]+):([-0-9.e+]+)(?::(\d{1,15}))?$/.exec(text("at"));
  const episode = /^([0-9a-f]+):(\d+)$/.exec(text("episode"));
  const sort = text("sort") || DEFAULTS.sort;
  return {
    x: text("x"),
    smooth: smoothOf(text("smooth")),
    log: text("log") === "1",
    q: text("q"),
    sort: OLD_SORTS[sort] ?? sort,
    filter: text("filter"),
    table: text("table") === "1",
    columns: from.has("columns") ? unlisted(text("columns")) : null,
    differs: text("differs") === "1",
    group: text("group"),
    center: Object.hasOwn(CENTERS, text("center")) ? text("center") : DEFAULTS.center,
    band: Object.hasOwn(BANDS, text("band")) ? text("band") : DEFAULTS.band,
    zoom: low < high && !more.length && Number.isFinite(high - low) ? [low, high] : null,
    runs: [...new Map(text("runs").split(",").filter(Boolean).slice(0, MOST_SHOWN).map((part, place) => {
      const [id, slot] = part.split(":"); // without a slot, the place in the list is used
      return [id, { id, slot: /^\d{1,9}$/.test(slot ?? "") ? Number(slot) : place }];
    })).values()],
    at: moment ? { run: moment[1], time: Number(moment[2]), row: moment[3] ? Number(moment[3]) : null } : null,
    cards: Object.fromEntries(from.getAll("card").slice(0, 100).flatMap((text) => { const card = parseCard(text); return card ? [card] : []; })),
    episode: episode ? { run: episode[1], number: Number(episode[2]) } : null,
  };
}

/** "auto", a window of values, or the weight of the past; 0 means none. @param {string} text */
export function smoothOf(text) {
  const value = Number(text) || 0;
  if (text === "auto") return "auto";
  return value > 0 && value < 1 ? value : Math.min(Math.max(Math.floor(value), 0), 1e9);
}

/** The query of the address for what is shown, without the path of the page. */
export function query() {
  const to = new URLSearchParams();
  if (view.runs.length) to.set("runs", view.runs.map(({ id, slot }, place) => (slot === place ? id : `${id}:${slot}`)).join(","));
  if (view.x) to.set("x", view.x);
  if (view.smooth) to.set("smooth", String(view.smooth));
  if (view.log) to.set("log", "1");
  if (view.q) to.set("q", view.q);
  for (const name of /** @type {const} */ (["sort", "filter", "group", "center", "band"])) if (view[name] !== DEFAULTS[name]) to.set(name, view[name]);
  if (view.table) to.set("table", "1");
  if (view.differs) to.set("differs", "1");
  if (view.columns) to.set("columns", listed(view.columns));
  if (view.zoom) to.set("zoom", view.zoom.join(":"));
  if (view.at) to.set("at", [view.at.run, view.at.time, ...(view.at.row === null ? [] : [view.at.row])].join(":"));
  if (view.episode) to.set("episode", `${view.episode.run}:${view.episode.number}`);
  for (const [id, card] of Object.entries(view.cards)) {
    const text = formatCard(id, { ...PLAIN, ...card });
    if (text) to.append("card", text);
  }
  return to.toString().replaceAll("%3A", ":").replaceAll("%2C", ",");
}

function write() {
  const text = query();
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
}

const writeSoon = settled(100, write);

/** Change the view; watchers get the names of the changed fields. @param {Partial<View>} fields */
export function change(fields) {
  Object.assign(view, fields);
  writeSoon();
  for (const watcher of watchers) watcher(Object.keys(fields));
}

/** @typedef {import("./cardstate.js").CardState} CardState */
/** The changes to one chart. @param {string} id @returns {CardState} */
export const ofCard = (id) => ({ ...PLAIN, ...view.cards[id] });
/** @param {string} id @param {Partial<CardState>} fields */
export const changeCard = (id, fields) => change({ cards: { ...view.cards, [id]: { ...ofCard(id), ...fields } } });

/** @param {(fields: string[]) => void} watcher called with the names of the changed fields */
export const watch = (watcher) => watchers.add(watcher);
