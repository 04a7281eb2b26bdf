// @ts-check
// The runs as a table over the whole page: a column for every key of the metadata, and for what metrics came to.

import { element } from "./card.js";
import { isDark, ofRun } from "./colors.js";
import { duration, number, size } from "./format.js";
import { get } from "./net.js";
import { choose, countsOf, stateOf } from "./sidelist.js";
import { change, view } from "./view.js";
import { VirtualRows } from "./virtual.js";

/** @typedef {{name: string, of: "fact"|"my"|"metadata"|"metric", differs: boolean, values: string[]}} Column */

const HEIGHT = 28;
const MOST_DEFAULT = 8; // columns of the metadata
const MOST_LISTED = 150; // columns in the menu
const PREFIXES = ["last", "best", "mean"];
const FACTS = ["state", "duration", "frames", "size", "changed", "damage", "task", "error"];

/** @param {string} name */
const titleOf = (name) => name.replace(/^(last|my)\//, "");

export class Table {
  /**
   * @param {import("./runs.js").Runs} runs
   * @param {HTMLElement} place
   * @param {(id: string) => void} edit the notes of a run
   */
  constructor(runs, place, edit) {
    this.runs = runs;
    this.place = place;
    this.edit = edit;
    /** @type {Column[]} */
    this.all = [];
    this.lines = new Map();
    this.isOpen = false;
    /** @type {((columns: Column[]) => void)|null} */
    this.onColumns = null;
    this.tools = element("div", "tools");
    this.counts = element("span", "dim");
    this.counts.setAttribute("role", "status");
    this.allButton = this.button("", () => runs.addAll(), "select-all");
    this.noneButton = this.button("Show none", () => runs.clear(), "select-none");
    this.differs = element("label", "tool");
    const box = Object.assign(element("input"), { type: "checkbox", id: "differs", checked: view.differs });
    box.addEventListener("change", () => { change({ differs: box.checked }); this.layout(); });
    this.differs.append(box, "only what differs");
    this.menu = element("details", "more columns");
    const summary = Object.assign(element("summary"), { textContent: "Columns" });
    this.menuInside = element("div");
    this.menu.append(summary, this.menuInside);
    this.menu.addEventListener("toggle", () => this.menu.open && this.fillMenu(""));
    this.tools.append(this.counts, this.allButton, this.noneButton, this.differs, this.menu, this.button("Charts", () => change({ table: false }), "to-charts"));
    this.grid = element("div", "grid");
    this.grid.setAttribute("role", "grid");
    this.grid.setAttribute("aria-label", "Runs");
    this.head = element("div", "head");
    this.head.setAttribute("role", "row");
    const inside = element("div", "rows");
    inside.setAttribute("role", "rowgroup");
    this.grid.append(this.head, inside);
    place.append(this.tools, this.grid);
    this.rows = new VirtualRows(this.grid, inside, HEIGHT, (row) => this.line(row));
    runs.watch((what) => { if (this.isOpen) { if (what === "list") { this.loadColumns(); this.align(); } this.draw(); } });
    inside.addEventListener("click", (event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      const id = /** @type {HTMLElement|null} */ (target.closest("[data-run]"))?.dataset.run;
      if (id && target.closest(".act")) edit(id);
      else choose(runs, event);
    });
    inside.addEventListener("keydown", (event) => this.key(event));
  }

  button(text, act, name) {
    const one = Object.assign(element("button", name), { textContent: text, type: "button" });
    one.addEventListener("click", act);
    return one;
  }

  async open(isOpen) {
    this.isOpen = isOpen;
    this.place.hidden = !isOpen;
    if (!isOpen) { if (this.runs.columns.length) this.runs.setColumns([]); return; }
    await this.loadColumns();
    this.layout();
  }

  // --- columns ---

  async loadColumns() {
    try {
      const { columns } = await get("columns", { filter: view.filter });
      const before = this.shown().join();
      this.all = columns;
      if (this.shown().join() !== before) this.layout();
      this.onColumns?.(columns);
    } catch { /* the filter is wrong, which the list says */ }
  }

  /** The names of the columns that are shown, without the name of the run. @returns {string[]} */
  shown() {
    const known = new Map(this.all.map((one) => [one.name, one]));
    const chosen = view.columns ?? this.defaults();
    return view.differs ? chosen.filter((name) => known.get(name)?.differs ?? true) : chosen;
  }

  defaults() {
    const metadata = this.all.filter((one) => one.of === "metadata" && one.differs).slice(0, MOST_DEFAULT).map(({ name }) => name);
    const mine = this.all.filter((one) => one.of === "my" && one.name !== "my/name").map(({ name }) => name);
    const metrics = this.all.filter((one) => one.of === "metric").map(({ name }) => name);
    const reward = metrics.filter((name) => /reward|return/i.test(name)).slice(0, 1);
    return ["state", ...metadata, ...mine, ...reward, ...reward.map((name) => name.replace(/^last/, "best")), "duration", "frames", "changed"];
  }

  layout() {
    const columns = this.shown();
    if (columns.join() !== this.runs.columns.join()) this.runs.setColumns(columns);
    this.lines.clear();
    const widths = ["var(--first)", ...columns.map((name) => (name === "my/note" ? "220px" : /^(state|task|my\/)/.test(name) ? "132px" : "120px")), "1fr"];
    this.grid.style.setProperty("--columns", widths.join(" "));
    this.head.replaceChildren(this.heading("run", "run"), ...columns.map((name) => this.heading(name, titleOf(name))));
    this.draw();
    this.align();
  }

  heading(name, title) {
    const cell = element("div", "cell");
    cell.setAttribute("role", "columnheader");
    const backwards = view.sort.startsWith("-");
    const isSorted = view.sort.replace(/^-/, "") === name;
    cell.setAttribute("aria-sort", isSorted ? (backwards ? "descending" : "ascending") : "none");
    const button = Object.assign(element("button"), { type: "button", textContent: title + (isSorted ? (backwards ? " ↓" : " ↑") : ""), title: `${name}: click to sort; drag to move` });
    button.addEventListener("click", () => {
      this.runs.setSort(isSorted && !backwards ? `-${name}` : isSorted || name === "run" || name === "state" ? name : `-${name}`);
      this.layout();
    });
    cell.append(button);
    if (name === "run") return cell;
    const hide = Object.assign(element("button", "hide"), { type: "button", textContent: "×", title: `Hide ${name}` });
    hide.setAttribute("aria-label", `Hide ${name}`);
    hide.addEventListener("click", () => this.setColumns(this.shown().filter((one) => one !== name)));
    cell.append(hide);
    cell.draggable = true;
    cell.dataset.column = name;
    cell.addEventListener("dragstart", (event) => event.dataTransfer.setData("text/plain", name));
    cell.addEventListener("dragover", (event) => event.preventDefault());
    cell.addEventListener("drop", (event) => { event.preventDefault(); this.move(event.dataTransfer.getData("text/plain"), name); });
    button.addEventListener("keydown", (event) => {
      const step = event.altKey ? { ArrowLeft: -1, ArrowRight: 1 }[event.key] : 0;
      if (!step) return;
      event.preventDefault();
      const columns = this.shown();
      this.move(name, columns[columns.indexOf(name) + step]);
      this.head.querySelector(`[data-column="${CSS.escape(name)}"] button`)?.focus();
    });
    return cell;
  }

  /** Titles of numbers stand over them. */
  align() {
    this.runs.columns.forEach((name, i) => {
      const some = [...this.runs.known.values()].find(({ values }) => values && values[i] !== null && values[i] !== undefined);
      this.head.querySelector(`[data-column="${CSS.escape(name)}"]`)?.classList.toggle("number", typeof some?.values[i] === "number");
    });
  }

  /** Put a column where another one is. */
  move(name, to) {
    const columns = this.shown();
    const from = columns.indexOf(name), place = columns.indexOf(to);
    if (from < 0 || place < 0 || from === place) return;
    columns.splice(from, 1);
    columns.splice(place, 0, name);
    this.setColumns(columns);
  }

  /** @param {string[]} columns */
  setColumns(columns) {
    change({ columns });
    this.layout();
    if (this.menu.open) this.fillMenu(this.menuInside.querySelector("input")?.value ?? "");
  }

  /** @param {string} text */
  fillMenu(text) {
    let search = this.menuInside.querySelector("input[type=search]");
    if (!search) {
      search = Object.assign(element("input"), { type: "search", placeholder: "Find a column" });
      search.setAttribute("aria-label", "Find a column");
      search.addEventListener("input", () => this.fillMenu(search.value));
    }
    const shown = this.shown();
    const names = [...FACTS, "my/tags", "my/note", ...this.all.flatMap(({ name, of }) => (
      of === "metric" ? PREFIXES.map((prefix) => name.replace(/^last/, prefix)) : of === "metadata" ? [name] : []))];
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const fit = [...new Set([...shown, ...names])].filter((name) => words.every((word) => name.toLowerCase().includes(word)));
    const lines = fit.slice(0, MOST_LISTED).map((name) => {
      const line = element("label", "line");
      const box = Object.assign(element("input"), { type: "checkbox", checked: shown.includes(name) });
      box.addEventListener("change", () => this.setColumns(box.checked ? [...this.shown(), name] : this.shown().filter((one) => one !== name)));
      line.append(box, name);
      return line;
    });
    const list = element("div", "choices");
    list.append(...lines);
    if (fit.length > MOST_LISTED) list.append(Object.assign(element("p", "dim"), { textContent: `and ${fit.length - MOST_LISTED} more` }));
    const usual = this.button("The usual columns", () => { change({ columns: null }); this.layout(); this.fillMenu(""); }, "usual");
    const keep = document.activeElement === search;
    this.menuInside.replaceChildren(search, list, usual);
    if (keep) search.focus();
  }

  // --- rows ---

  draw() {
    if (!this.isOpen) return;
    const { runs } = this;
    this.counts.textContent = runs.problem || countsOf(runs);
    this.counts.classList.toggle("bad", Boolean(runs.problem));
    this.allButton.textContent = view.filter ? `Show all ${number(runs.matching)} that fit` : `Show all ${number(runs.matching)}`;
    this.allButton.disabled = !runs.matching;
    this.noneButton.disabled = !view.runs.length;
    this.grid.setAttribute("aria-rowcount", String(runs.matching));
    for (const id of this.lines.keys()) if (!runs.known.has(id)) this.lines.delete(id);
    this.rows.setTotal(runs.matching);
  }

  line(place) {
    const run = this.runs.at(place);
    const id = run?.id ?? `#${place}`;
    let row = this.lines.get(id);
    if (!row) {
      row = element("div", "row");
      row.setAttribute("role", "row");
      row.tabIndex = place ? -1 : 0;
      this.lines.set(id, row);
    }
    row.dataset.place = place;
    row.setAttribute("aria-rowindex", String(place + 1));
    const slot = this.runs.slotOf(id);
    const signature = JSON.stringify([run, slot, isDark()]);
    if (row.dataset.shown !== signature) {
      row.dataset.shown = signature;
      if (run) this.fillRow(row, run, slot);
    }
    return { id, element: row };
  }

  fillRow(row, run, slot) {
    row.dataset.run = run.id;
    row.setAttribute("aria-selected", String(slot !== undefined));
    const first = this.cell("name");
    const dot = Object.assign(element("button", "dot"), { type: "button", tabIndex: -1, title: "Show it, or no longer" });
    dot.setAttribute("aria-label", `Show ${run.path}`);
    if (slot !== undefined) dot.style.background = dot.style.borderColor = ofRun(slot);
    const name = Object.assign(element("span", "name"), { textContent: run.my?.name ?? run.path, title: run.path });
    const act = Object.assign(element("button", "act"), { type: "button", textContent: "✎", tabIndex: -1, title: "Name, tags, note" });
    act.setAttribute("aria-label", `Name, tags and note of ${run.path}`);
    first.append(dot, name, act);
    const cells = this.runs.columns.map((column, i) => this.value(column, run.values?.[i], run));
    row.replaceChildren(first, ...cells);
  }

  cell(kind = "") {
    const cell = element("div", `cell ${kind}`);
    cell.setAttribute("role", "gridcell");
    return cell;
  }

  value(column, value, run) {
    if (column === "state") {
      const cell = this.cell();
      cell.append(stateOf(run));
      return cell;
    }
    const isNumber = typeof value === "number";
    const cell = this.cell(isNumber ? "number" : "");
    if (value === null || value === undefined) return cell;
    const text = column === "duration" ? duration(value) : column === "size" ? size(value) : column === "changed" ? ago(value)
      : isNumber ? number(value) : typeof value === "object" ? JSON.stringify(value) : String(value);
    cell.textContent = text;
    cell.title = column === "changed" ? new Date(1000 * value).toLocaleString() : `${column}: ${typeof value === "object" ? JSON.stringify(value) : value}`;
    return cell;
  }

  key(event) {
    const row = event.target.closest("[data-run]");
    if (!row || event.target !== row) return;
    const place = Number(row.dataset.place);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20, Home: -Infinity, End: Infinity }[event.key];
    if (step) {
      event.preventDefault();
      const next = Math.min(Math.max(place + step, 0), this.rows.total - 1);
      this.rows.show(next);
      this.grid.querySelector(`[data-place="${next}"]`)?.focus();
    } else if (event.key === " ") {
      event.preventDefault();
      if (event.shiftKey) this.runs.range(row.dataset.run); else this.runs.toggle(row.dataset.run, true);
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.runs.toggle(row.dataset.run, false);
      change({ table: false });
    } else if (event.key === "e") {
      event.preventDefault();
      this.edit(row.dataset.run);
    }
  }
}

/** @param {number} seconds since 1970 */
function ago(seconds) {
  const past = Date.now() / 1000 - seconds;
  if (past < 60) return "just now";
  if (past < 3600) return `${Math.floor(past / 60)} min ago`;
  if (past < 86400) return `${Math.floor(past / 3600)} h ago`;
  return past < 86400 * 30 ? `${Math.floor(past / 86400)} days ago` : new Date(1000 * seconds).toISOString().slice(0, 10);
}
