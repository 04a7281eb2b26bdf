// The runs as a table over the whole page, with columns for all keys of the metadata and for the results of metrics.

import { ofRun } from "./colors.js";
import { button, closest, element, nameOf } from "./element.js";
import { exact, json } from "./exact.js";
import { ago, duration, number, size } from "./format.js";
import { get } from "./net.js";
import { RunRows, sayCounts, stateOf } from "./runrows.js";
import { change, MOST_SHOWN, view } from "./view.js";

/** @typedef {import("./runs.js").Run} Run */
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
    this.isOpen = false;
    /** @type {((columns: Column[]) => void)|null} */
    this.onColumns = null;
    this.counts = element("span", "dim", { role: "status" });
    this.allButton = button("", () => runs.addAll(), "select-all");
    this.noneButton = button("Show none", () => change({ runs: [] }), "select-none");
    const box = element("input", "", { type: "checkbox", id: "differs", checked: view.differs });
    box.addEventListener("change", () => { change({ differs: box.checked }); this.layout(); });
    const differs = element("label", "tool", {}, box, "only what differs");
    this.menuInside = element("div");
    this.search = element("input", "", { type: "search", placeholder: "Find a column", ariaLabel: "Find a column" });
    this.search.addEventListener("input", () => this.fillMenu(this.search.value));
    this.menu = element("details", "more columns", {}, element("summary", "", {}, "Columns"), this.menuInside);
    this.menu.addEventListener("toggle", () => this.menu.open && this.fillMenu(this.search.value));
    const charts = button("Charts", () => change({ table: false }), "to-charts");
    this.tools = element("div", "tools", {}, this.counts, this.allButton, this.noneButton, differs, this.menu, charts);
    this.head = element("div", "head", { role: "row" });
    const inside = element("div", "rows", { role: "rowgroup" });
    this.grid = element("div", "grid", { role: "grid", ariaLabel: "Runs" }, this.head, inside);
    place.append(this.tools, this.grid);
    this.rows = new RunRows(runs, this.grid, inside, HEIGHT, { make: lineOf, fill: (row, run, slot) => this.fill(row, run, slot) });
    runs.watch((what) => { if (this.isOpen) { if (what === "list") { this.loadColumns(); this.align(); } this.draw(); } });
    inside.addEventListener("click", (event) => {
      const id = closest(event, ".act") && closest(event, "[data-run]")?.dataset.run;
      if (id) edit(id);
    });
    inside.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {boolean} isOpen */
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
      if (this.isOpen && this.shown().join() !== before) this.layout();
      this.onColumns?.(columns);
    } catch { /* the filter is invalid, and the list shows the error */ }
  }

  /** The names of the chosen columns, without the name of the run. @returns {string[]} */
  chosen() { return view.columns ?? this.defaults(); }

  /** The chosen columns that are visible. @returns {string[]} */
  shown() {
    const known = new Map(this.all.map((one) => [one.name, one]));
    return view.differs ? this.chosen().filter((name) => known.get(name)?.differs ?? true) : this.chosen();
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
    this.rows.refill();
    const widths = ["var(--first)", ...columns.map((name) => (name === "my/note" ? "220px" : /^(task|my\/)/.test(name) ? "132px" : "108px")), "1fr"];
    this.grid.style.setProperty("--columns", widths.join(" "));
    this.head.replaceChildren(this.heading("run", "run"), ...columns.map((name) => this.heading(name, titleOf(name))));
    this.draw();
    this.align();
  }

  /** @param {string} name @param {string} title */
  heading(name, title) {
    const backwards = view.sort.startsWith("-");
    const isSorted = view.sort.replace(/^-/, "") === name;
    const sort = button(title + (isSorted ? (backwards ? " ↓" : " ↑") : ""), () => {
      this.runs.setSort(isSorted && !backwards ? `-${name}` : isSorted || name === "run" || name === "state" ? name : `-${name}`);
      this.layout();
    }, "", "", `${name}: click to sort; drag to move`);
    const cell = element("div", "cell", { role: "columnheader", ariaSort: isSorted ? (backwards ? "descending" : "ascending") : "none" }, sort);
    if (name === "run") return cell;
    cell.append(button("×", () => this.setColumns(this.chosen().filter((one) => one !== name)), "hide", `Hide ${name}`, `Hide ${name}`));
    cell.draggable = true;
    cell.dataset.column = name;
    cell.addEventListener("dragstart", (event) => event.dataTransfer?.setData("text/plain", name));
    cell.addEventListener("dragover", (event) => event.preventDefault());
    cell.addEventListener("drop", (event) => { event.preventDefault(); this.move(event.dataTransfer?.getData("text/plain") ?? "", name); });
    sort.addEventListener("keydown", (event) => {
      const step = event.altKey ? { ArrowLeft: -1, ArrowRight: 1 }[event.key] : 0;
      if (!step) return;
      event.preventDefault();
      const columns = this.shown();
      this.move(name, columns[columns.indexOf(name) + step]);
      /** @type {HTMLElement | null} */ (this.head.querySelector(`[data-column="${CSS.escape(name)}"] button`))?.focus();
    });
    return cell;
  }

  /** Align the titles of columns of numbers with the numbers. */
  align() {
    this.runs.columns.forEach((name, i) => {
      const some = [...this.runs.known.values()].map(({ values }) => values?.[i] ?? null).find((value) => value !== null);
      this.head.querySelector(`[data-column="${CSS.escape(name)}"]`)?.classList.toggle("number", typeof some === "number" || typeof some === "bigint");
    });
  }

  /** Move a column to the place of another one. @param {string} name @param {string} to */
  move(name, to) {
    const columns = [...this.chosen()];
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
    if (this.menu.open) this.fillMenu(this.search.value);
  }

  /** @param {string} text */
  fillMenu(text) {
    const shown = this.chosen();
    const names = [...FACTS, "my/tags", "my/note", ...this.all.flatMap(({ name, of }) => (
      of === "metric" ? PREFIXES.map((prefix) => name.replace(/^last/, prefix)) : of === "metadata" ? [name] : []))];
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const fit = [...new Set([...shown, ...names])].filter((name) => words.every((word) => name.toLowerCase().includes(word)));
    const lines = fit.slice(0, MOST_LISTED).map((name) => {
      const box = element("input", "", { type: "checkbox", checked: shown.includes(name) });
      box.addEventListener("change", () => this.setColumns(box.checked ? [...this.chosen(), name] : this.chosen().filter((one) => one !== name)));
      return element("label", "line", {}, box, name);
    });
    const list = element("div", "choices", {}, ...lines);
    if (fit.length > MOST_LISTED) list.append(element("p", "dim", { textContent: `and ${fit.length - MOST_LISTED} more` }));
    const usual = button("Default columns", () => { change({ columns: null }); this.layout(); this.fillMenu(""); }, "usual");
    const keep = document.activeElement === this.search;
    this.menuInside.replaceChildren(this.search, list, usual);
    if (keep) this.search.focus();
  }

  // --- rows ---

  draw() {
    if (!this.isOpen) return;
    const { runs } = this;
    sayCounts(this.counts, runs);
    const most = runs.matching > MOST_SHOWN ? `the first ${number(MOST_SHOWN)} of` : "all";
    this.allButton.textContent = `Show ${most} ${number(runs.matching)}${view.filter ? " that match" : ""}`;
    this.allButton.disabled = !runs.matching;
    this.noneButton.disabled = !view.runs.length;
    this.grid.setAttribute("aria-rowcount", String(runs.matching));
    this.rows.draw();
  }

  /** @param {HTMLElement} row @param {Run} run @param {number | undefined} slot */
  fill(row, run, slot) {
    row.setAttribute("aria-selected", String(slot !== undefined));
    const dot = button("", () => {}, "dot", `Show ${run.path}`, "Show or hide it"); // the row handles the click
    if (slot !== undefined) dot.style.background = dot.style.borderColor = ofRun(slot);
    const name = nameOf(run.my?.name ?? run.path, run.path);
    const act = button("✎", () => {}, "act", `Name, tags and note of ${run.path}`, "Name, tags, note");
    dot.tabIndex = act.tabIndex = -1;
    const cells = this.runs.columns.map((column, i) => this.value(column, run.values?.[i], run));
    row.replaceChildren(cellOf("first", dot, name, act), ...cells);
  }

  /** @param {string} column @param {any} value @param {Run} run */
  value(column, value, run) {
    if (column === "state") return cellOf("", stateOf(run));
    const isNumber = typeof value === "number" || typeof value === "bigint";
    const isMetric = PREFIXES.some((prefix) => column.startsWith(`${prefix}/`)); // rounded; metadata are not
    const cell = cellOf(isNumber ? "number" : "");
    if (value === null || value === undefined) return cell;
    const text = column === "duration" ? duration(value) : column === "size" ? size(value) : column === "changed" ? ago(value)
      : isMetric ? number(value) : exact(value);
    cell.textContent = text;
    cell.title = column === "changed" ? new Date(1000 * value).toLocaleString() : `${column}: ${typeof value === "object" ? json(value) : value}`;
    return cell;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const id = /** @type {HTMLElement} */ (event.target).dataset.run;
    if (!id || (event.key !== "Enter" && event.key !== "e")) return;
    event.preventDefault();
    if (event.key === "e") this.edit(id);
    else {
      this.runs.toggle(id, false);
      change({ table: false });
    }
  }
}

/** @param {string} kind @param {HTMLElement[]} children */
const cellOf = (kind, ...children) => element("div", `cell ${kind}`, { role: "gridcell" }, ...children);

function lineOf() {
  const row = element("div", "row", { role: "row", tabIndex: -1 });
  return { element: row, target: row };
}
