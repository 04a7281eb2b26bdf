// @ts-check
// The page: everything meets here.

import { drawAbout } from "./about.js";
import { Board } from "./board.js";
import { element } from "./card.js";
import { ofEvent } from "./colors.js";
import { Completion } from "./complete.js";
import { Grouping } from "./grouping.js";
import { Hub } from "./hub.js";
import { Moment } from "./moment.js";
import { get, setGroupSource, Stream } from "./net.js";
import { Notes } from "./notes.js";
import { Runs } from "./runs.js";
import { SideList } from "./sidelist.js";
import { Table } from "./table.js";
import { Episodes } from "./episodes.js";
import { Functions } from "./functions.js";
import { BANDS, CENTERS, change, view, watch } from "./view.js";

/** @param {string} id @returns {any} an element of the page */
const $ = (id) => document.getElementById(id);
const AT_A_TIME = 6; // runs that are asked for
const MOST_FOLLOWED = 32; // runs that lie still, in the stream
const infos = new Map(); // of the runs that are shown
const events = new Map();
const troubles = new Map();
const aboutState = { parts: {} };
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
  runs.tell("page");
  loadEvents();
  board.each((card) => card.recolor());
  moment.draw();
}

// --- what cards and panels ask for ---

// As much of a run's path as tells it from the others that are shown.
function nameOf(id) {
  const own = runs.get(id)?.my?.name;
  if (own) return own;
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
const named = new Map(); // names of the runs that are shown, as these stand
function names() {
  const which = JSON.stringify(view.runs.map(({ id }) => [id, runs.get(id)?.path, runs.get(id)?.my?.name]));
  if (named.get("") !== which) {
    named.clear();
    named.set("", which);
    for (const { id } of view.runs) named.set(id, view.runs.length > 100 ? runs.nameOf(id) : nameOf(id));
  }
  return named;
}
const chosen = () => view.runs.filter(({ id }) => infos.has(id)).map(({ id, slot }) => ({ id, slot, name: names().get(id) }));
// What the charts draw: the runs, or groups of them.
const drawn = () => (grouping.isOn ? grouping.groups.filter(({ members }) => infos.has(members[0])) : chosen());
const infoOf = (id) => infos.get(grouping.find(id)?.members[0] ?? id);

function axis() {
  const all = [...infos.values()];
  const known = new Set(all.flatMap((info) => info.axes));
  const asked = all[0]?.axis_aliases[view.x] ?? view.x;
  if (known.has(asked)) return asked;
  return all[0]?.axis_order.find((each) => known.has(each)) ?? "time";
}

const page = {
  runs: drawn,
  info: infoOf,
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

const runs = new Runs();
const side = new SideList(runs, $("runs"), $("counts"));
const notes = new Notes($("views"), $("notes"), runs);
const table = new Table(runs, $("table"), (id) => notes.edit(id));
const grouping = new Grouping();
runs.slots = (id) => (grouping.isOn ? grouping.slotOf(id) : undefined);
setGroupSource((id, key, parameters) => grouping.curve(id, key, parameters));
const moment = new Moment($("moment"), page);
const episodes = new Episodes();
const functions = new Functions();
const board = new Board($("board"), { main: page, variables }, { main: hub, variables: inner }, { episodes, functions });
const stream = new Stream(onEvent, (up) => setLink(up ? "connected" : "reconnecting", up ? "" : "bad"));

const reloadVariables = later(150, () => board.each((card) => card.refresh(), (card) => card.hub === inner));
const reloadMain = later(120, () => board.each((card) => card.refresh(), (card) => card.hub === hub));
const reloadAll = later(120, () => board.each((card) => card.refresh()));

// A click on a chart: the creature's frame that is nearest on the axis, of the run whose curve is nearest.
function openMoment(x, chart) {
  if (grouping.isOn) return; // a group has no moment
  const line = chart.picked?.series;
  const run = chosen().find(({ id }) => id === line?.run) ?? chosen()[0];
  if (!run) return;
  const span = chart.hub === inner ? episodes.span() : null;
  if (chart.hub === hub && chart.options.kind === "stats" && infos.get(run.id).episodes && line?.x.length) {
    openEpisode(run, line.x[chart.picked.index]);
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
    const isFirst = !runs.listed;
    await runs.refresh((table.isOpen ? table.rows : side.rows).first);
    opened ||= view.runs.length > 0;
    const there = runs.places.map((id) => runs.get(id)).filter((run) => run && !run.error);
    const first = there.find((run) => run.live) ?? there[0];
    const isBack = [...troubles.keys()].some((id) => runs.get(id) && !runs.get(id).error); // after it was gone, or damaged
    if (!opened && first) change({ runs: [{ id: first.id, slot: 0 }] });
    else if (isFirst || isBack) await showRuns();
    else if (view.runs.length) stateChanged();
    else build();
    opened ||= view.runs.length > 0;
    setLink("connected", "");
    if (runs.looking) loadRuns();
  } catch (error) {
    setLink(error.status === 401 ? "token needed" : "no server", "bad");
    if (error.status === 401) empty("This server demands its token", "Open the address that `trainlog serve` printed; it has the token in it.");
    else if (!runs.listed) setTimeout(loadRuns, 2000);
  }
});
const soonRuns = later(400, () => loadRuns()); // of many changes a second, as a sweep has them

async function showRuns() {
  await grouping.load();
  const wanted = grouping.isOn ? grouping.groups.map(({ members }) => members[0]) : view.runs.map(({ id }) => id);
  const there = new Set(wanted);
  for (const id of infos.keys()) if (!there.has(id)) { infos.delete(id); events.delete(id); }
  for (const id of troubles.keys()) if (!there.has(id)) troubles.delete(id);
  const missing = view.runs.some(({ id }) => !runs.get(id));
  if (missing) await runs.refresh().catch(() => {});
  runs.tell("page");
  await loadInfos(wanted);
  build();
  reloadAll();
}

let loading = 0; // calls that go on; the stream is opened when all runs are known
async function loadInfos(ids) {
  let next = 0;
  loading++;
  const load = async () => {
    while (next < ids.length) {
      await loadInfo(ids[next++]);
      if (ids.length > AT_A_TIME) buildSoon();
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, load));
  loading--;
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
    if (!runs.get(id)) runs.known.set(id, info);
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
    if (runs.listed && !runs.total && !runs.looking) beginning();
    else empty("No run is chosen", "Choose one on the left; Ctrl-click adds more to compare, Shift-click all up to it.");
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
  if (loading) return;
  const cursors = new Map();
  const isOpen = (id) => runs.get(id)?.state === "running" || runs.get(id)?.state === "stalled";
  for (const [id, info] of infos) {
    if (info.progress >= 1 && !grouping.isOn && (infos.size <= MOST_FOLLOWED || isOpen(id))) cursors.set(id, info.cursor);
  }
  stream.follow(cursors);
}

async function loadEpisodes() {
  if (grouping.isOn) return;
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
  if (grouping.isOn || view.runs.length > MOST_FOLLOWED) { events.clear(); return; }
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
  const page = {
    run: (id) => runs.get(id), info: infoOf, edit: (id) => notes.edit(id), table: () => change({ table: true }), state: aboutState,
    remove: (id) => change({ runs: view.runs.filter((run) => run.id !== id && !grouping.find(id)?.members.includes(run.id)) }),
  };
  const wrong = new Map(troubles);
  if (grouping.isOn && grouping.problem) wrong.set("groups", grouping.problem);
  drawAbout($("board"), grouping.isOn ? grouping.groups : chosen(), wrong, page);
}

// What the list tells of the runs changed: how each is, and what a group is made of.
function stateChanged() {
  about();
  follow();
  if (grouping.isOn && view.runs.some(({ id }) => runs.get(id)?.live)) groupsAgain();
}
const groupsAgain = later(5000, async () => { await grouping.load(); reloadAll(); });

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
  $("link").textContent = text === "connected" ? (runs.live ? "live" : "connected") : text;
  $("link").className = `pill ${tone || (text === "connected" ? "live" : "")}`;
}

function drawAxes() {
  const titles = { time: "time (s)", sim_time: "simulated time (s)" };
  const all = [...infos.values()];
  drawGrouping();
  const known = (all[0]?.all_axes ?? ["time"]).filter((each) => all.some((info) => info.axes.includes(each)));
  $("axis").replaceChildren(...known.map((each) => new Option(titles[each] ?? each, each)));
  $("axis").value = axis();
}

// Keys by which runs may be one group: those in which they differ.
function drawGrouping() {
  const options = [new Option("none", ""), new Option("all but the seed", "*"), ...table.all.filter(({ of, differs }) => of === "metadata" && differs).map(({ name }) => new Option(name, name))];
  if (view.group && !options.some(({ value }) => value === view.group)) options.push(new Option(view.group, view.group));
  const signature = JSON.stringify(options.map(({ value }) => value));
  if ($("group").dataset.shown !== signature) {
    $("group").dataset.shown = signature;
    $("group").replaceChildren(...options);
  }
  $("group").value = view.group;
  for (const [id, known] of Object.entries({ center: CENTERS, band: BANDS })) {
    if (!$(id).options.length) $(id).replaceChildren(...Object.entries(known).map(([name, title]) => new Option(title, name)));
    $(id).value = view[id];
    $(id).hidden = !view.group;
  }
}

// The table takes the place of the charts, with the same box for the filter.
function showTable() {
  document.body.classList.toggle("in-table", view.table);
  $("to-table").setAttribute("aria-pressed", String(view.table));
  if (view.table) table.tools.prepend($("find-runs"));
  else $("side").prepend($("find-runs"));
  $("board").hidden = view.table;
  table.open(view.table);
  if (!view.table) hub.redraw();
}

// --- live ---

const infoAgain = later(500, async () => { await loadInfos([...infos.keys()]); build(); });
const buildSoon = later(300, () => build());

function onEvent(name, data) {
  if (name === "hello") loadRuns();
  if (name === "runs") soonRuns();
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
  if (has("runs") || has("group")) showRuns();
  if (has("group")) drawGrouping();
  if (has("center") || has("band")) reloadAll();
  if (has("table")) showTable();
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
// "search" comes where the browser clears the text by itself.
for (const name of ["input", "search"]) $("find").addEventListener(name, () => change({ q: $("find").value }));
$("filter").value = view.filter;
new Completion($("filter"), () => table.all, (text) => { if (text !== view.filter) runs.setFilter(text); });
$("filter").addEventListener("focus", () => { if (!table.all.length) table.loadColumns(); });
table.onColumns = () => drawGrouping();
if (![...$("sort").options].some(({ value }) => value === view.sort)) $("sort").add(new Option(view.sort, view.sort));
$("sort").value = view.sort;
$("sort").addEventListener("change", () => runs.setSort($("sort").value));
for (const id of ["group", "center", "band"]) $(id).addEventListener("change", () => change({ [id]: $(id).value }));
$("to-table").addEventListener("click", () => change({ table: !view.table }));
$("theme").addEventListener("click", toggleTheme);
system.addEventListener("change", () => { if (!localStorage.getItem("trainlog.theme")) { setTheme(null); repaint(); } });
$("menu").addEventListener("click", () => showSide(!$("side").classList.contains("open")));
$("board").addEventListener("pointerdown", () => showSide(false));

document.addEventListener("pointerdown", (event) => {
  const target = /** @type {Node} */ (event.target);
  for (const menu of /** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll(".more[open]"))) if (!menu.contains(target)) menu.open = false;
});

function showSide(open) {
  $("side").classList.toggle("open", open);
  $("menu").setAttribute("aria-expanded", String(open));
}

const KEYS = {
  "/": ["find a metric", () => $("find").focus()],
  r: ["find a run", () => { showSide(true); $("filter").focus(); }],
  v: ["the runs as a table, or the charts", () => change({ table: !view.table })],
  g: ["group runs", () => { showSide(true); $("group").focus(); }],
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
  if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open || $("notes").open) return;
  const inside = /** @type {any} */ (event.target).closest?.("input, select, textarea, button, summary");
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

showTable();
table.loadColumns();
loadRuns();
stream.open();
