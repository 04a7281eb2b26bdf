// What the page shows, kept in its address so that a view can be shared.

import { formatCard, parseCard, PLAIN } from "./cardstate.js";

const DEFAULTS = { x: "", smooth: 0, log: false, q: "", sort: "modified", zoom: null, runs: [], at: null, episode: null, cards: {} };

export const view = read();
const watchers = new Set();

function read() {
  const from = new URLSearchParams(location.search);
  const pair = (text) => {
    const values = (text ?? "").split(":").map(Number);
    return text && values.length === 2 && values.every(Number.isFinite) ? values : null;
  };
  const moment = /^([0-9a-f]+):([-0-9.e+]+)$/.exec(from.get("at") ?? "");
  const episode = /^([0-9a-f]+):(\d+)$/.exec(from.get("episode") ?? "");
  return {
    ...DEFAULTS,
    x: from.get("x") ?? "",
    smooth: smoothOf(from.get("smooth")),
    log: from.get("log") === "1",
    q: from.get("q") ?? "",
    sort: from.get("sort") ?? "modified",
    zoom: pair(from.get("zoom")),
    runs: (from.get("runs") ?? "").split(",").filter(Boolean).map((part) => {
      const [id, slot] = part.split(":");
      return { id, slot: Number(slot) || 0 };
    }),
    at: moment ? { run: moment[1], time: Number(moment[2]) } : null,
    cards: Object.fromEntries(from.getAll("card").slice(0, 100).flatMap((text) => { const card = parseCard(text); return card ? [card] : []; })),
    episode: episode ? { run: episode[1], number: Number(episode[2]) } : null,
  };
}

// "auto", a window of values, or the weight of the past; 0 for none.
function smoothOf(text) {
  const value = Number(text) || 0;
  if (text === "auto") return "auto";
  return value > 0 && value < 1 ? value : Math.min(Math.max(Math.floor(value), 0), 1e9);
}

const short = (value) => String(Number(value.toPrecision(10)));

function write() {
  const to = new URLSearchParams();
  if (view.runs.length) to.set("runs", view.runs.map(({ id, slot }) => `${id}:${slot}`).join(","));
  if (view.x) to.set("x", view.x);
  if (view.smooth) to.set("smooth", String(view.smooth));
  if (view.log) to.set("log", "1");
  if (view.q) to.set("q", view.q);
  if (view.sort !== DEFAULTS.sort) to.set("sort", view.sort);
  if (view.zoom) to.set("zoom", view.zoom.map(short).join(":"));
  if (view.at) to.set("at", `${view.at.run}:${short(view.at.time)}`);
  if (view.episode) to.set("episode", `${view.episode.run}:${view.episode.number}`);
  for (const [id, card] of Object.entries(view.cards)) {
    const text = formatCard(id, { ...PLAIN, ...card });
    if (text) to.append("card", text);
  }
  const text = to.toString().replaceAll("%3A", ":").replaceAll("%2C", ",");
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
}

let due = 0;
// Change the view; whoever watches is told which fields changed.
export function change(fields) {
  Object.assign(view, fields);
  clearTimeout(due);
  due = setTimeout(write, 100);
  for (const watcher of watchers) watcher(Object.keys(fields));
}

// What was changed in one chart, see cardstate.js.
export const ofCard = (id) => ({ ...PLAIN, ...view.cards[id] });
export const changeCard = (id, fields) => change({ cards: { ...view.cards, [id]: { ...ofCard(id), ...fields } } });

export const watch = (watcher) => watchers.add(watcher);
