// Rows of runs, as in the side list and in the table: the actions of clicks and keys, and which rows exist.

import { isDark } from "./colors.js";
import { closest, element } from "./element.js";
import { json } from "./exact.js";
import { number } from "./format.js";
import { MOST_SHOWN, view } from "./view.js";
import { VirtualRows } from "./virtual.js";

/** @typedef {import("./runs.js").Run} Run */

/** The state of a run, as in the catalog. @param {Run} run */
export const stateOf = (run) => element("span", `state ${run.state}`, { textContent: run.state });

/** Say how many runs there are, or what is wrong with the filter. @param {HTMLElement} place @param {import("./runs.js").Runs} runs */
export function sayCounts(place, runs) {
  const shown = view.runs.length;
  const all = `${number(runs.total)} run${runs.total === 1 ? "" : "s"}`;
  const counts = [runs.matching === runs.total ? all : `${number(runs.matching)} of ${all}`,
    runs.live ? `${number(runs.live)} running` : "", shown ? `${number(shown)} shown${shown >= MOST_SHOWN ? ", the maximum" : ""}` : "",
    runs.looking ? "looking for more…" : runs.unread ? `${number(runs.unread)} not read yet` : "",
    runs.leftOut ? "not all files were looked at" : ""].filter(Boolean).join(", ");
  place.textContent = runs.problem || (runs.listed ? counts : "");
  place.classList.toggle("bad", Boolean(runs.problem));
}

export class RunRows {
  /**
   * @param {import("./runs.js").Runs} runs
   * @param {HTMLElement} place the scrolling element
   * @param {HTMLElement} list the element with the rows
   * @param {number} height of a row
   * @param {{make(): {element: HTMLElement, target: HTMLElement}, fill(target: HTMLElement, run: Run, slot: number | undefined): void}} view
   *   creates a row, whose target gets the focus, and fills it
   */
  constructor(runs, place, list, height, view) {
    this.runs = runs;
    this.list = list;
    this.view = view;
    /** @type {Map<string, {element: HTMLElement, target: HTMLElement, shown: string}>} */
    this.lines = new Map();
    this.rows = new VirtualRows(place, list, height, (row) => this.line(row));
    list.addEventListener("click", (event) => this.click(event));
    list.addEventListener("keydown", (event) => this.key(event));
  }

  /** The first place on the screen. */
  get first() { return this.rows.first; }

  /** Update the rows after a change. */
  refill() { this.lines.clear(); }

  draw() {
    for (const id of this.lines.keys()) if (!this.runs.known.has(id)) this.lines.delete(id);
    this.rows.setTotal(this.runs.matching);
  }

  /** @param {number} place */
  line(place) {
    const run = this.runs.at(place);
    const id = run?.id ?? `#${place}`;
    const line = this.lines.get(id) ?? { ...this.view.make(), shown: "" };
    this.lines.set(id, line);
    line.target.dataset.place = String(place);
    if (line.target.role === "row") {
      line.target.setAttribute("aria-rowindex", String(place + 1));
      line.target.tabIndex = place === this.rows.first ? 0 : -1; // Tab reaches one of them, arrows the others
    }
    const slot = this.runs.slotOf(id);
    const signature = json([run, slot, isDark()]);
    if (line.shown !== signature) {
      line.shown = signature;
      if (run) {
        line.target.dataset.run = run.id;
        this.view.fill(line.target, run, slot);
      }
    }
    return line.element;
  }

  /** @param {MouseEvent} event */
  click(event) {
    const id = closest(event, "[data-run]")?.dataset.run;
    if (!id || closest(event, ".act")) return;
    if (event.shiftKey) this.runs.range(id);
    else this.runs.toggle(id, event.ctrlKey || event.metaKey || Boolean(closest(event, ".dot")));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const id = target.dataset.run;
    if (!id) return;
    const step = new Map([["ArrowDown", 1], ["ArrowUp", -1], ["PageDown", 20], ["PageUp", -20], ["Home", -Infinity], ["End", Infinity]]).get(event.key);
    if (step !== undefined) this.focus(Number(target.dataset.place) + step);
    else if (event.key !== " ") return;
    else if (event.shiftKey) this.runs.range(id);
    else this.runs.toggle(id, true);
    event.preventDefault();
  }

  /** @param {number} place */
  focus(place) {
    const next = Math.min(Math.max(place, 0), this.rows.total - 1);
    this.rows.show(next);
    /** @type {HTMLElement | null} */ (this.list.querySelector(`[data-place="${next}"]`))?.focus();
  }
}
