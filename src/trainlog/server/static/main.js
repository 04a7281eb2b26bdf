// The page: everything meets here.

import { Board } from "./board.js";
import { element } from "./card.js";
import { ofEvent } from "./colors.js";
import { duration, number, size } from "./format.js";
import { Hub } from "./hub.js";
import { Moment } from "./moment.js";
import { get, Stream } from "./net.js";
import { nearestLine, nearestPoint } from "./pick.js";
import { Runs } from "./runs.js";
import { Episodes } from "./episodes.js";
import { Functions } from "./functions.js";
import { change, view, watch } from "./view.js";

const $ = (id) => document.getElementById(id);
const infos = new Map(); // of the runs that are shown
const events = new Map();
const troubles = new Map();
let listed = false;
let opened = false; // a run was: whoever closes the last one does not want another

// --- look ---

const savedTheme = localStorage.getItem("trainlog.theme");
const system = matchMedia("(prefers-color-scheme: dark)");
function setTheme(theme) { document.documentElement.dataset.theme = theme ?? (system.matches ? "dark" : "light"); }
setTheme(savedTheme);

function toggleTheme() {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("trainlog.theme", next);
  setTheme(next);
  repaint();
}

function repaint() {
  runs.draw();
  loadEvents();
  board.each((card) => card.recolor());
  moment.draw();
}

// --- what cards and panels ask for ---

// As much of a run's path as tells it from the others that are shown.
function nameOf(id) {
  const path = (runs.get(id)?.path ?? id).split("/");
  const others = view.runs.filter((run) => run.id !== id).map((run) => (runs.get(run.id)?.path ?? run.id).split("/"));
  for (let n = 1; n <= path.length; n++) {
    const tail = path.slice(-n).join("/");
    if (!others.some((other) => other.slice(-n).join("/") === tail)) {
      return n === 1 ? tail : path.slice(-n, -1).join("/");
    }
  }
  return path.join("/");
}
const chosen = () => view.runs.filter(({ id }) => infos.has(id)).map(({ id, slot }) => ({ id, slot, name: nameOf(id) }));

function axis() {
  const all = [...infos.values()];
  const known = new Set(all.flatMap((info) => info.axes));
  const asked = all[0]?.axis_aliases[view.x] ?? view.x;
  if (known.has(asked)) return asked;
  return all[0]?.axis_order.find((each) => known.has(each)) ?? "time";
}

const page = {
  runs: chosen,
  info: (id) => infos.get(id),
  events: (id) => events.get(id) ?? [],
  axis,
  span: () => null,
  // Show in the charts where the moment is; place: {x, time, step}, x on their axis.
  mark(run, place = null) {
    hub.setMoment(place?.x ?? null);
    const span = episodes.span();
    if (!place || !span) inner.setMoment(place?.x ?? null);
    else if (span.run !== run.id || place.time < span.from || place.time > span.to) inner.setMoment(null);
    else inner.setMoment(axis() === "time" ? place.time : Number(place.step));
  },
};
const variables = { ...page, events: () => [], span: () => episodes.span() };

const hub = new Hub({
  onZoom(zoom) { change({ zoom }); },
  onMoment: openMoment,
});
const inner = new Hub({ onZoom() { reloadVariables(); }, onMoment: openMoment });

const runs = new Runs($("runs"), $("filter"), $("sort"), $("counts"));
const moment = new Moment($("moment"), page);
const episodes = new Episodes();
const functions = new Functions();
const board = new Board($("board"), { main: page, variables }, { main: hub, variables: inner }, { episodes, functions });
const stream = new Stream(onEvent, (up) => setLink(up ? "connected" : "reconnecting", up ? "" : "bad"));

const reloadVariables = later(150, () => board.each((card) => card.refresh(), (card) => card.hub === inner));
const reloadMain = later(120, () => board.each((card) => card.refresh(), (card) => card.hub === hub));
const reloadAll = later(120, () => board.each((card) => card.refresh()));

// A click on a chart: the creature's frame that is nearest on the axis, of the run whose curve is nearest.
function openMoment(x, chart, y) {
  const line = nearestLine(chart, x, y);
  const run = chosen().find(({ id }) => id === line?.run) ?? chosen()[0];
  if (!run) return;
  const span = chart.hub === inner ? episodes.span() : null;
  if (chart.hub === hub && chart.options.kind === "stats" && infos.get(run.id).episodes && line?.x.length) {
    openEpisode(run, line.x[nearestPoint(line.x, x)]);
  } else moment.open(run, { x: axis(), at: x, nearest: 1, span: span ? `${span.from}:${span.to}` : null });
}

// A point of a curve of episodes stands for one of them: its steps are shown, and the frame that it ended with.
async function openEpisode(run, at) {
  const frame = await get(`runs/${run.id}/frame`, { kind: "stats", x: axis(), at, nearest: 1 }).catch(() => null);
  if (!frame) return;
  change({ episode: { run: run.id, number: frame.data[infos.get(run.id).episodes.number] } });
  await loadEpisodes();
  episodes.element.scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  await moment.open(run, { x: "time", at: frame.time, nearest: 1 });
}

// --- runs ---

const loadRuns = later(50, async () => {
  try {
    const answer = await get("runs");
    runs.set(answer);
    const isFirst = !listed;
    listed = true;
    opened ||= view.runs.length > 0;
    const first = answer.runs.find((run) => run.live && !run.error) ?? answer.runs.find((run) => !run.error);
    if (!opened && first) change({ runs: [{ id: first.id, slot: 0 }] });
    else if (isFirst) await showRuns();
    else if (view.runs.length) about();
    else build();
    opened ||= view.runs.length > 0;
    setLink("connected", "");
  } catch (error) {
    setLink(error.status === 401 ? "token needed" : "no server", "bad");
    if (error.status === 401) empty("This server demands its token", "Open the address that `trainlog serve` printed; it has the token in it.");
    else if (!listed) setTimeout(loadRuns, 2000);
  }
});

async function showRuns() {
  const wanted = view.runs.map(({ id }) => id);
  for (const id of infos.keys()) if (!wanted.includes(id)) { infos.delete(id); events.delete(id); }
  for (const id of troubles.keys()) if (!wanted.includes(id)) troubles.delete(id);
  runs.draw();
  await Promise.all(wanted.map(loadInfo));
  build();
  reloadAll();
}

async function loadInfo(id) {
  const known = runs.get(id)?.error;
  if (known) {
    infos.delete(id);
    troubles.set(id, known);
    return;
  }
  try {
    const info = await get(`runs/${id}`);
    if (!view.runs.some((run) => run.id === id)) return;
    infos.set(id, info);
    troubles.delete(id);
    if (info.progress < 1) setTimeout(() => view.runs.some((run) => run.id === id) && loadInfo(id).then(build), 400);
  } catch (error) {
    infos.delete(id);
    troubles.set(id, error.message);
  }
}

function build() {
  drawAxes();
  about();
  if (!view.runs.length) {
    board.clear();
    if (listed && !runs.all.length) beginning();
    else empty("No run is chosen", "Choose one on the left; Ctrl-click adds more to compare.");
    return;
  }
  board.build([...infos.values()]);
  follow();
  if (moment.isOpen) moment.fillBeside();
  loadEvents();
  loadEpisodes();
  if (view.at && infos.has(view.at.run) && !moment.isOpen) {
    moment.open(chosen().find(({ id }) => id === view.at.run), { x: "time", at: view.at.time, nearest: 1 });
  }
}

function follow() {
  const cursors = new Map();
  for (const [id, info] of infos) if (info.progress >= 1) cursors.set(id, info.cursor);
  stream.follow(cursors);
}

async function loadEpisodes() {
  const learned = chosen().find(({ id }) => infos.get(id).functions);
  if (learned) functions.show(learned).catch(() => {});
  const able = chosen().filter(({ id }) => infos.get(id).episodes);
  const run = able.find(({ id }) => id === view.episode?.run) ?? able[0];
  if (!run) return;
  const before = JSON.stringify(episodes.span());
  const { duration: total, episodes: keys } = infos.get(run.id);
  await episodes.show(run, total, keys);
  if (JSON.stringify(episodes.span()) !== before) reloadVariables();
}

const loadEvents = later(50, async () => {
  await Promise.all(chosen().map(async ({ id, slot }) => {
    if (!infos.get(id)?.kinds.event) return;
    try {
      const found = await get(`runs/${id}/events`, { x: axis(), points: 500, from: view.zoom?.[0], to: view.zoom?.[1] });
      events.set(id, found.events.map(({ x, type, message }) => (
        { x, text: [type, message].filter(Boolean).join(": "), color: ofEvent(type), slot })));
    } catch { events.delete(id); }
  }));
  board.each((card) => card.visible && card.settle(), (card) => card.hub === hub);
});

const eventsOfRange = settled(250, loadEvents);

// --- around the charts ---

function about() {
  $("about")?.remove();
  const place = element("div");
  place.id = "about";
  for (const [id, message] of troubles) {
    const box = element("div", "trouble");
    box.append(Object.assign(element("h2"), { textContent: `${runs.get(id)?.path ?? "This run"} cannot be shown` }), Object.assign(element("p"), { textContent: message }));
    place.append(box);
  }
  for (const { id, name } of chosen()) {
    const info = infos.get(id);
    const run = runs.get(id) ?? info;
    const line = element("div", "about");
    line.append(Object.assign(element("b"), { textContent: name, title: info.path }));
    if (run.live) line.append(Object.assign(element("span", "pill live"), { textContent: "live" }));
    const task = [info.creature, info.task].filter(Boolean).join(" · ");
    if (task) line.append(Object.assign(element("span"), { textContent: task }));
    const facts = { "": duration(run.duration ?? info.duration), frames: run.frames === null ? "…" : number(run.frames), scene: info.meta.scene, seed: info.meta.seed, device: info.meta.device, version: info.meta.version };
    for (const [key, value] of Object.entries(facts)) {
      if (value === undefined || value === null || value === "") continue;
      const pair = element("span", "pair");
      pair.append(key ? `${key} ` : "", Object.assign(element("i"), { textContent: typeof value === "object" ? JSON.stringify(value) : value }));
      line.append(pair);
    }
    line.append(Object.assign(element("span"), { textContent: size(run.size) }));
    if (info.damage.length) line.append(Object.assign(element("span", "pill bad"), { textContent: `${info.damage.length} damaged`, title: info.damage.join("\n") }));
    place.append(line);
  }
  $("empty")?.remove();
  $("board").prepend(place);
}

function empty(title, text, code = "") {
  $("empty")?.remove();
  const box = element("div", "empty");
  box.id = "empty";
  box.append(Object.assign(element("h2"), { textContent: title }), Object.assign(element("p"), { textContent: text }));
  if (code) box.append(Object.assign(element("pre"), { textContent: code }));
  $("board").append(box);
}

function beginning() {
  empty("No logs here yet", "This page finds them by itself as soon as there is one. Record one from your training loop, or run `trainlog demo` in the served folder:",
    'import trainlog\n\nwith trainlog.TrainingRecorder("runs/first.flog", "go2", "walk") as log:\n    for step in range(1000):\n        log.record_stats_frame(None, {"step": step, "reward": 0.1 * step})');
}

function setLink(text, tone) {
  $("link").textContent = text === "connected" ? (runs.all.some((run) => run.live) ? "live" : "connected") : text;
  $("link").className = `pill ${tone || (text === "connected" ? "live" : "")}`;
}

function drawAxes() {
  const titles = { time: "time (s)", sim_time: "simulated time (s)" };
  const all = [...infos.values()];
  const known = (all[0]?.all_axes ?? ["time"]).filter((each) => all.some((info) => info.axes.includes(each)));
  $("axis").replaceChildren(...known.map((each) => new Option(titles[each] ?? each, each)));
  $("axis").value = axis();
}

// --- live ---

const infoAgain = later(500, async () => { await Promise.all(view.runs.map(({ id }) => loadInfo(id))); build(); });

function onEvent(name, data) {
  if (name === "hello") loadRuns();
  if (name === "runs") loadRuns();
  if (name === "rows") {
    const info = infos.get(data.run);
    if (!info) return;
    const known = info.kinds[data.kind]?.keys;
    if (!known || Object.keys(data.columns).some((key) => !Object.hasOwn(known, key))) infoAgain();
    board.each((card) => card.take(data));
    if (data.kind === "event") loadEvents();
    if (info.episodes && data.kind === "stats") infoAgain();
  }
  if (name === "cursor") moment.grown();
  if (name === "reset") { infoAgain(); reloadAll(); }
  if (name === "gone") { troubles.set(data.run, data.reason ?? "The file is not there any more."); infos.delete(data.run); build(); }
}

// --- tools and keys ---

watch((fields) => {
  const has = (name) => fields.includes(name);
  if (has("runs")) showRuns();
  if (has("zoom")) { hub.zoom = view.zoom; reloadMain(); eventsOfRange(); $("unzoom").hidden = !view.zoom; hub.redraw(); }
  if (has("x")) { hub.range = inner.range = null; hub.zoom = view.zoom = null; $("unzoom").hidden = true; reloadAll(); loadEvents(); moment.refresh(); }
  if (has("log")) { $("log").setAttribute("aria-pressed", String(view.log)); view.cards = Object.fromEntries(Object.entries(view.cards).map(([id, one]) => [id, { ...one, log: null }])); hub.redraw(); inner.redraw(); }
  if (has("q")) board.search();
  if (has("episode")) { inner.zoom = inner.range = null; reloadVariables(); if (moment.isOpen) moment.mark(); }
  if (has("smooth")) {
    showSmoothing();
    board.each((card) => { if (!card.spec.strip) card.refresh(); });
  }
});
$("axis").addEventListener("change", () => change({ x: $("axis").value }));
showSmoothing();
$("smooth").addEventListener("change", () => change({ smooth: smoothing($("smooth").value) }));
$("log").setAttribute("aria-pressed", String(view.log));
$("log").addEventListener("click", () => change({ log: !view.log }));
$("unzoom").addEventListener("click", () => hub.setZoom(null));
$("unzoom").hidden = !view.zoom;
hub.zoom = view.zoom;
$("find").value = view.q;
$("find").addEventListener("input", () => change({ q: $("find").value }));
$("theme").addEventListener("click", toggleTheme);
system.addEventListener("change", () => { if (!localStorage.getItem("trainlog.theme")) { setTheme(null); repaint(); } });
$("menu").addEventListener("click", () => showSide(!$("side").classList.contains("open")));
$("board").addEventListener("pointerdown", () => showSide(false));

document.addEventListener("pointerdown", (event) => {
  for (const menu of document.querySelectorAll(".more[open]")) if (!menu.contains(event.target)) menu.open = false;
});

function showSide(open) {
  $("side").classList.toggle("open", open);
  $("menu").setAttribute("aria-expanded", String(open));
}

const KEYS = {
  "/": ["find a metric", () => $("find").focus()],
  r: ["find a run", () => { showSide(true); $("filter").focus(); }],
  l: ["logarithmic y", () => change({ log: !view.log })],
  "[": ["less smoothing", () => smoother(-1)],
  "]": ["more smoothing", () => smoother(1)],
  0: ["show the whole range", () => hub.setZoom(null)],
  " ": ["play the moment, or pause", () => moment.isOpen && moment.toggle()],
  ",": ["the frame before", () => moment.isOpen && moment.step(-1)],
  ".": ["the frame after", () => moment.isOpen && moment.step(1)],
  t: ["light or dark", toggleTheme],
  "?": ["these keys", () => $("keys").showModal()],
  Escape: ["close the moment; show the whole range", () => { if (moment.isOpen) moment.close(); else hub.setZoom(null); }],
};
const ON_CHARTS = {
  "← →": "move along the curve", "Shift ← →": "move the range", "+ −": "zoom", Enter: "open the moment",
  drag: "zoom into a range", "Shift drag": "move the range", "double click": "show the whole range", click: "open the moment, or the episode of a point",
  "Shift or Ctrl wheel": "zoom around the pointer", "Ctrl click on a run": "show it beside the others",
  "← → ↑ ↓ on a learned function": "read its values",
};

function smoothing(text) { return text === "auto" ? text : Number(text); }

// An address may have a smoothing that is not among the choices.
function showSmoothing() {
  const text = String(view.smooth);
  if (![...$("smooth").options].some((option) => option.value === text)) $("smooth").add(new Option(text, text));
  $("smooth").value = text;
}

function smoother(by) {
  const { options, selectedIndex } = $("smooth");
  change({ smooth: smoothing(options[Math.min(Math.max(selectedIndex + by, 0), options.length - 1)].value) });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
  const inside = event.target.closest?.("input, select, textarea, button, summary");
  if (event.key === "Escape" && inside?.type === "search" && inside.value) { // text and filter go together
    event.preventDefault();
    inside.value = "";
    inside.dispatchEvent(new Event("input"));
    return;
  }
  if (event.key === "Escape" && inside) { inside.blur(); return; }
  if (inside && !(inside.type === "range" && event.key.length === 1 && event.key !== " ")) return;
  const act = KEYS[event.key]?.[1];
  if (act) { event.preventDefault(); act(); }
});
$("help").addEventListener("click", () => $("keys").showModal());
$("keys").querySelector("dl").append(...[...Object.entries(KEYS).map(([key, [what]]) => [key === " " ? "space" : key, what]), ...Object.entries(ON_CHARTS)]
  .flatMap(([key, what]) => [Object.assign(element("dt"), { textContent: key }), Object.assign(element("dd"), { textContent: what })]));

new ResizeObserver(() => { hub.redraw(); inner.redraw(); }).observe($("board"));

// One call when there was none for a while.
function settled(wait, act) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(act, wait); };
}

// At most one call in a while; the last one counts.
function later(wait, act) {
  let timer = 0;
  return () => { timer ||= setTimeout(() => { timer = 0; act(); }, wait); };
}

loadRuns();
stream.open();
