// The main module of the page, which connects all others.

import { drawAbout } from "./about.js";
import { Board } from "./board.js";
import { Completion } from "./complete.js";
import { choices, element, say } from "./element.js";
import { Episodes } from "./episodes.js";
import { Functions } from "./functions.js";
import { Grouping } from "./grouping.js";
import { Hub } from "./hub.js";
import { listen } from "./keys.js";
import { Moment } from "./moment.js";
import { ApiError, curve, get, listed, messageOf, Stream } from "./net.js";
import { Notes } from "./notes.js";
import { Runs } from "./runs.js";
import { Shown } from "./shown.js";
import { SideList } from "./sidelist.js";
import { Table } from "./table.js";
import { later, settled } from "./timers.js";
import { BANDS, CENTERS, change, smoothOf, view, watch } from "./view.js";

/** @typedef {import("./card.js").Drawn} Drawn @typedef {import("./card.js").Page} Page @typedef {import("./chart.js").Chart} Chart */

/** @param {string} id @returns {any} an element of the page */
const $ = (id) => document.getElementById(id);
const MOST_FOLLOWED = 32; // runs in the stream that do not grow
const GROUPS_AGAIN = 1000; // minimum milliseconds between requests for growing groups
/** @type {import("./about.js").Page["state"]} */
const aboutState = { parts: {} };
let opened = false; // whether a run was opened; a user who closes the last one does not want another

// --- look ---

const system = matchMedia("(prefers-color-scheme: dark)");
const showTheme = () => { document.documentElement.dataset.theme = localStorage.getItem("trainlog.theme") ?? (system.matches ? "dark" : "light"); };
showTheme();

function toggleTheme() {
  localStorage.setItem("trainlog.theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  repaint();
}

function repaint() {
  showTheme();
  runs.tell("page");
  about();
  loadEvents();
  board.each((card) => card.recolor());
  moment.draw();
  functions.draw();
}

// --- what cards and panels need ---

/** What the charts draw: the runs, or groups of them. @returns {Drawn[]} */
const drawn = () => (grouping.isOn ? grouping.groups.filter(({ members }) => shown.infos.has(members[0])) : shown.all());
/** A group is described by its first run. @param {string} id */
const infoOf = (id) => shown.infos.get(grouping.find(id)?.members[0] ?? id);

function axis() {
  const all = [...shown.infos.values()];
  const known = new Set(all.flatMap((info) => info.axes));
  const asked = all[0]?.axis_aliases[view.x] ?? view.x;
  if (known.has(asked)) return asked;
  return all[0]?.axis_order.find((each) => known.has(each)) ?? "time";
}

/** @type {Page} */
const page = {
  runs: drawn,
  info: infoOf,
  events: (id) => shown.events.get(id) ?? [],
  axis,
  span: () => null,
  members: (id) => (grouping.find(id)?.members ?? [id]).map((run) => ({ id: run, path: runs.get(run)?.path ?? run })),
  curve: (id, key, parameters) => (grouping.isOn ? grouping.curve(id, key, parameters) : curve(id, key, parameters)),
  grouping: () => (grouping.isOn ? { by: grouping.by, center: view.center, band: view.band } : null),
};
/** @type {Page} */
const variables = { ...page, events: () => [], span: () => episodes.span() };

/** Mark the moment in the charts. @param {{id: string} | null} run @param {{x: number | null, time: number, step: any} | null} place x on their axis */
function mark(run, place = null) {
  hub.setMoment(place?.x ?? null);
  const span = episodes.span();
  const isOutside = span && place && (span.run !== run?.id || place.time < span.from || place.time > span.to);
  const inside = place && (axis() === "time" ? place.time : Number(place.step));
  inner.setMoment(isOutside ? null : span ? inside : place?.x ?? null);
}

/** @param {number} x @param {Chart} chart */
const onMoment = (x, chart) => { openMoment(x, chart).catch((error) => chart.hub.say(messageOf(error))); };
const hub = new Hub({ onZoom(zoom) { change({ zoom }); }, onMoment });
const inner = new Hub({ onZoom() { reloadVariables(); }, onMoment });

const runs = new Runs();
const shown = new Shown(runs, () => build());
const side = new SideList(runs, $("runs"), $("counts"));
const notes = new Notes($("views"), $("notes"), runs);
const table = new Table(runs, $("table"), (id) => notes.edit(id));
const grouping = new Grouping((id) => shown.nameOf(id));
runs.slots = (/** @type {string} */ id) => (grouping.isOn ? grouping.ofRun(id)?.slot : undefined);
const moment = new Moment($("moment"), { runs: () => (grouping.isOn ? [] : shown.all()), info: infoOf, axis, mark });
const episodes = new Episodes();
const functions = new Functions();
const board = new Board($("board"), { main: page, variables }, { main: hub, variables: inner }, { episodes, functions });
const stream = new Stream(onEvent, (up) => setLink(up ? "connected" : "reconnecting", up ? "" : "bad"));

const reloadVariables = later(150, () => board.each((card) => card.refresh(), (card) => card.hub === inner));
const reloadMain = later(120, () => board.each((card) => card.refresh(), (card) => card.hub === hub));
const reloadAll = () => board.each((card) => card.refresh());

// --- the click ---

/** A click on a chart opens the creature's frame that is nearest on the axis, in the run with the nearest curve.
 * @param {number} x @param {Chart} chart */
async function openMoment(x, chart) {
  const { picked } = chart;
  const run = grouping.isOn ? await memberAt(x, chart) : shown.find(picked?.series.run ?? "") ?? shown.all()[0];
  if (!run) return;
  const span = chart.hub === inner ? episodes.span() : null;
  const isEpisodes = chart.hub === hub && chart.options.kind === "stats" && shown.infos.get(run.id)?.episodes;
  if (isEpisodes && !grouping.isOn && picked?.series.x.length) await openEpisode(run, picked.series.x[picked.index]);
  else await moment.open(run, { x: axis(), at: x, nearest: 1, span: span ? `${span.from}:${span.to}` : null });
}

/** The run with the curve nearest to the pointer, in the group there. @param {number} x @param {Chart} chart @returns {Promise<Drawn | null>} */
async function memberAt(x, { picked, options }) {
  const group = grouping.find(picked?.series.run ?? ""), key = picked?.series.key;
  if (!picked || !group || key === undefined) return null;
  const where = options.series.find((one) => one.key === key)?.where;
  const id = await grouping.nearest(group.id, key, x, picked.y, { kind: options.kind, x: axis(), smooth: view.smooth || null, where });
  if (id === null) {
    hub.say(`No run of ${group.name} has a value there.`);
    return null;
  }
  if (!shown.infos.has(id)) await shown.loadOne(id);
  return { id, slot: group.slot, name: shown.nameOf(id) };
}

/** A point of a curve of episodes represents one of them: show its steps, and its last frame.
 * @param {Drawn} run @param {number} at */
async function openEpisode(run, at) {
  const frame = await get(`runs/${run.id}/frame`, { kind: "stats", x: axis(), at, nearest: 1 }).catch(() => null);
  const keys = shown.infos.get(run.id)?.episodes;
  if (!frame || !keys) return;
  change({ episode: { run: run.id, number: frame.data[keys.number] } });
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
    const there = runs.places.flatMap((id) => { const run = runs.get(id ?? ""); return run && !run.error ? [run] : []; });
    const first = there.find((run) => run.live) ?? there[0];
    const isBack = [...shown.troubles.keys()].some((id) => runs.get(id) && !runs.get(id)?.error); // after it was missing or damaged
    if (!opened && first) change({ runs: [{ id: first.id, slot: 0 }] });
    else if (isFirst || isBack) await showRuns();
    else if (view.runs.length) stateChanged();
    else build();
    opened ||= view.runs.length > 0;
    setLink("connected", "");
    if (runs.looking) soonRuns();
  } catch (error) {
    const isTokenMissing = error instanceof ApiError && error.status === 401;
    setLink(isTokenMissing ? "token needed" : "no server", "bad");
    if (isTokenMissing) empty("This server requires its token", "Open the address that `trainlog serve` printed; it contains the token.");
    else if (!runs.listed) setTimeout(loadRuns, 2000);
  }
});
const soonRuns = later(400, () => loadRuns()); // there can be many changes per second in a sweep

async function showRuns() {
  if (moment.isOpen && !view.runs.some(({ id }) => id === moment.main?.run.id)) moment.close();
  await grouping.load();
  const wanted = grouping.isOn ? grouping.groups.map(({ members }) => members[0]) : view.runs.map(({ id }) => id);
  if (grouping.isOn && view.at && !wanted.includes(view.at.run)) wanted.push(view.at.run); // a member of a group
  shown.keep(wanted);
  if (view.runs.some(({ id }) => !runs.get(id))) await runs.refresh().catch(() => {});
  runs.tell("page");
  await shown.load(wanted, buildSoon);
  build();
  reloadAll();
}

function build() {
  drawAxes();
  about();
  $("empty")?.remove();
  if (!view.runs.length) {
    board.clear();
    if (runs.listed && !runs.total && !runs.looking) beginning();
    else empty("No run is chosen", "Choose one on the left; Ctrl-click adds more to compare, Shift-click all up to it.");
    return;
  }
  board.build([...shown.infos.values()]);
  sayWhyBlank();
  follow();
  if (moment.isOpen) moment.fillBeside();
  loadEvents();
  loadEpisodes();
  const at = view.at && !moment.isOpen ? shown.find(view.at.run) : null;
  if (at && view.at) moment.open({ ...at, slot: runs.slotOf(at.id) ?? at.slot }, { x: "time", at: view.at.time, nearest: 1, row: view.at.row ?? undefined });
}

function follow() {
  if (shown.loading) return; // the stream is opened once all runs are known
  const cursors = new Map();
  const isOpen = (/** @type {string} */ id) => ["running", "stalled"].includes(runs.get(id)?.state ?? "");
  for (const [id, info] of shown.infos) {
    if (info.progress >= 1 && !grouping.isOn && (shown.infos.size <= MOST_FOLLOWED || isOpen(id))) cursors.set(id, info.cursor);
  }
  stream.follow(cursors);
}

async function loadEpisodes() {
  if (grouping.isOn) return;
  const learned = shown.all().find(({ id }) => shown.infos.get(id)?.functions);
  if (learned) functions.show(learned).catch(() => {});
  const able = shown.all().filter(({ id }) => shown.infos.get(id)?.episodes);
  const run = able.find(({ id }) => id === view.episode?.run) ?? able[0];
  const info = run && shown.infos.get(run.id);
  if (!info?.episodes) return;
  const before = JSON.stringify(episodes.span());
  await episodes.show(run, info.duration, info.episodes);
  if (JSON.stringify(episodes.span()) !== before) reloadVariables();
}

const loadEvents = later(50, async () => {
  if (grouping.isOn || view.runs.length > MOST_FOLLOWED) shown.events.clear();
  else await shown.loadEvents(axis());
  board.each((card) => card.visible && card.settle(), (card) => card.hub === hub);
});

const eventsOfRange = settled(250, loadEvents);

// --- around the charts ---

function about() {
  const wrong = new Map(shown.troubles);
  if (grouping.isOn && grouping.problem) wrong.set("", grouping.problem);
  drawAbout($("board"), grouping.isOn ? grouping.groups : shown.all(), wrong, {
    run: (id) => runs.get(id), info: infoOf, edit: (id) => notes.edit(id), table: () => change({ table: true }),
    isGrouped: grouping.isOn, state: aboutState,
    remove: (id) => change({ runs: view.runs.filter((run) => run.id !== id && !grouping.find(id)?.members.includes(run.id)) }),
  });
}

/** The list of runs has changed: update their states, and the members of groups. */
function stateChanged() {
  about();
  follow();
  const now = membersNow();
  if (grouping.isOn && groupsOf !== now) groupsAgain();
}

// Groups are requested again while their runs grow, so often that the server spends at most a fifth of the time on it.
let groupsOf = ""; // the sizes of the runs at that time
let groupsTook = 0;
const membersNow = () => JSON.stringify(view.runs.map(({ id }) => [runs.get(id)?.size, runs.get(id)?.state]));
const groupsAgain = later(() => Math.max(GROUPS_AGAIN, 4 * groupsTook), async () => {
  const began = performance.now();
  groupsOf = membersNow();
  await grouping.load();
  await Promise.all([...board.cards.values()].map((card) => card.refresh()));
  groupsTook = performance.now() - began;
});

/** Explain why there is no chart. */
function sayWhyBlank() {
  $("empty")?.remove();
  if (!board.isBlank) return;
  if (view.q.trim()) empty("No metric matches", `None of the shown metrics has “${view.q.trim()}” in its name. Escape clears the search.`);
  else empty("No metrics yet", "The shown runs have not logged any metrics that can be drawn. Charts appear as soon as they do.");
}

/** @param {string} title @param {string} text */
function empty(title, text, code = "") {
  $("empty")?.remove();
  const more = code ? [element("pre", "", { tabIndex: 0 }, code)] : [];
  $("board").append(element("div", "empty", { id: "empty" }, element("h2", "", {}, title), element("p", "", {}, text), ...more));
}

function beginning() {
  empty("No logs here yet", "They appear here automatically. Record one from your training loop, or run `trainlog demo` in the served folder:",
    'import trainlog\n\nwith trainlog.TrainingRecorder("runs/first.flog", "go2", "walk") as log:\n    for step in range(1000):\n        log.record_stats_frame(None, {"step": step, "reward": 0.1 * step})');
}

/** @param {string} text @param {string} tone */
function setLink(text, tone) {
  say($("link"), text === "connected" && runs.live ? "live" : text);
  $("link").className = `pill ${tone || (text === "connected" ? "live" : "")}`;
}

function drawAxes() {
  const all = [...shown.infos.values()];
  const known = (all[0]?.all_axes ?? ["time"]).filter((each) => all.some((info) => info.axes.includes(each)));
  const titles = { time: "time (s)", sim_time: "simulated time (s)" };
  choices($("axis"), Object.fromEntries(known.map((each) => [each, Object.hasOwn(titles, each) ? titles[/** @type {"time"} */ (each)] : each])), axis());
  drawGrouping();
}

/** Offer the keys for groups: those in which the runs differ. */
function drawGrouping() {
  const keys = table.all.filter(({ of, differs }) => of === "metadata" && differs).map(({ name }) => [listed([name]), name]);
  choices($("group"), { "": "none", "*": "all except the seed", ...Object.fromEntries(keys) }, view.group);
  choices($("center"), CENTERS, view.center);
  choices($("band"), BANDS, view.band);
  $("center").hidden = $("band").hidden = !view.group;
}

/** Show the table instead of the charts, or the reverse; both use the same box for the filter. */
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

const loadAgain = async () => { await shown.load([...shown.infos.keys()]); build(); };
const infoAgain = later(500, loadAgain);
const beginAgain = later(120, async () => { await loadAgain(); reloadAll(); });
const buildSoon = later(300, build);

/** @param {string} name @param {any} data */
function onEvent(name, data) {
  if (name === "hello") loadRuns();
  if (name === "runs") soonRuns();
  if (name === "rows") {
    const info = shown.infos.get(data.run);
    if (!info) return;
    const known = info.kinds[data.kind]?.keys;
    if (!known || Object.keys(data.columns).some((key) => !Object.hasOwn(known, key))) infoAgain();
    board.each((card) => card.take(data));
    if (data.kind === "event") loadEvents();
    if (info.episodes && data.kind === "stats") infoAgain();
  }
  if (name === "cursor") moment.grown();
  if (name === "reset") beginAgain();
  if (name === "gone") { shown.fail(data.run, data.reason ?? "The file is gone."); build(); }
}

// --- tools and keys ---

watch((fields) => {
  const has = (/** @type {string} */ name) => fields.includes(name);
  if (has("runs") || has("group")) showRuns();
  if (has("group") || has("center") || has("band")) drawGrouping();
  if (has("center") || has("band")) reloadAll();
  if (has("table")) showTable();
  if (has("x")) { inner.zoom = inner.range = null; view.zoom = null; reloadAll(); loadEvents(); moment.refresh(); }
  if (has("zoom")) { reloadMain(); eventsOfRange(); }
  if (has("x") || has("zoom")) showZoom();
  if (has("log")) { view.cards = Object.fromEntries(Object.entries(view.cards).map(([id, one]) => [id, { ...one, log: null }])); showLog(); }
  if (has("q")) { board.search(); if (view.runs.length) sayWhyBlank(); }
  if (has("episode")) { inner.zoom = inner.range = null; reloadVariables(); if (moment.isOpen) moment.mark(); }
  if (has("smooth")) { showSmoothing(); board.each((card) => { if (!card.spec.strip) card.refresh(); }); }
});

function showZoom() {
  hub.zoom = view.zoom;
  if (!view.zoom) hub.range = null;
  $("unzoom").hidden = !view.zoom;
  hub.redraw();
}

/** Show the whole range of all charts, also of an episode's steps. */
function showAll() { for (const each of [hub, inner]) if (each.zoom) each.setZoom(null); }

function showLog() {
  $("log").setAttribute("aria-pressed", String(view.log));
  hub.redraw();
  inner.redraw();
}

const WINDOWS = [5, 11, 21, 51, 101, 201, 501, 1001];
const showSmoothing = () => choices($("smooth"), { 0: "none", auto: "where noisy", ...Object.fromEntries(WINDOWS.map((one) => [one, String(one)])) }, String(view.smooth));

/** @param {number} by */
function smoother(by) {
  const known = ["0", "auto", ...WINDOWS.map(String)];
  const place = known.indexOf(String(view.smooth));
  change({ smooth: smoothOf(known[Math.min(Math.max(place + by, 0), known.length - 1)]) });
}

/** @param {boolean} open */
function showSide(open) {
  $("side").classList.toggle("open", open);
  $("menu").setAttribute("aria-expanded", String(open));
}

listen($("keys"), {
  "/": ["find a metric", () => $("find").focus()],
  r: ["find a run", () => { showSide(true); $("filter").focus(); }],
  v: ["switch between table and charts", () => change({ table: !view.table })],
  g: ["group runs", () => { showSide(true); $("group").focus(); }],
  l: ["logarithmic y", () => change({ log: !view.log })],
  "[": ["less smoothing", () => smoother(-1)],
  "]": ["more smoothing", () => smoother(1)],
  0: ["show the whole range", showAll],
  " ": ["play or pause the moment", () => moment.isOpen && moment.toggle()],
  ",": ["previous frame", () => moment.isOpen && moment.step(-1)],
  ".": ["next frame", () => moment.isOpen && moment.step(1)],
  t: ["light or dark", toggleTheme],
  "?": ["these keys", () => $("keys").showModal()],
  Escape: ["close a menu or the moment; show the whole range", () => { if (moment.isOpen) moment.close(); else showAll(); }],
});

$("axis").addEventListener("change", () => change({ x: $("axis").value }));
$("smooth").addEventListener("change", () => change({ smooth: smoothOf($("smooth").value) }));
$("log").addEventListener("click", () => change({ log: !view.log }));
$("unzoom").addEventListener("click", () => hub.setZoom(null));
$("find").value = view.q;
// "search" is the event of the browser's own button that clears the text.
for (const name of ["input", "search"]) $("find").addEventListener(name, () => change({ q: $("find").value }));
$("filter").value = view.filter;
new Completion($("filter"), () => table.all, (text) => { if (text !== view.filter) runs.setFilter(text); });
$("filter").addEventListener("focus", () => { if (!table.all.length) table.loadColumns(); });
table.onColumns = drawGrouping;
choices($("sort"), { "-changed": "newest", run: "name", task: "task", "-duration": "duration", "-frames": "frames", "-reward": "reward", "-size": "size" }, view.sort);
$("sort").addEventListener("change", () => runs.setSort($("sort").value));
for (const id of ["group", "center", "band"]) $(id).addEventListener("change", () => change({ [id]: $(id).value }));
$("to-table").addEventListener("click", () => change({ table: !view.table }));
$("theme").addEventListener("click", toggleTheme);
$("help").addEventListener("click", () => $("keys").showModal());
system.addEventListener("change", repaint);
$("menu").addEventListener("click", () => showSide(!$("side").classList.contains("open")));
$("board").addEventListener("pointerdown", () => showSide(false));

document.addEventListener("pointerdown", (event) => {
  const target = /** @type {Node} */ (event.target);
  for (const menu of /** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll(".more[open]"))) if (!menu.contains(target)) menu.open = false;
});

new ResizeObserver(() => { hub.redraw(); inner.redraw(); }).observe($("board"));

showSmoothing();
showLog();
showZoom();
showTable();
table.loadColumns();
loadRuns();
stream.open();
