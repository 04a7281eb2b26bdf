// @ts-check
// The runs beside the charts: name, state, and what they came to.

import { element } from "./card.js";
import { isDark, ofRun } from "./colors.js";
import { duration, number } from "./format.js";
import { view } from "./view.js";
import { VirtualRows } from "./virtual.js";

const HEIGHT = 48;

/** What a click on a run does, in the list and in the table. @param {import("./runs.js").Runs} runs @param {MouseEvent} event */
export function choose(runs, event) {
  const target = /** @type {HTMLElement} */ (event.target);
  const id = /** @type {HTMLElement|null} */ (target.closest("[data-run]"))?.dataset.run;
  if (!id || target.closest(".act")) return;
  if (event.shiftKey) runs.range(id);
  else runs.toggle(id, event.ctrlKey || event.metaKey || Boolean(target.closest(".dot")));
}

/** The word for the state of a run, as the catalog has it. */
export function stateOf(run) {
  const mark = element("span", `state ${run.state}`);
  mark.textContent = run.state;
  return mark;
}

export class SideList {
  /** @param {import("./runs.js").Runs} runs @param {HTMLElement} list @param {HTMLElement} counts */
  constructor(runs, list, counts) {
    this.runs = runs;
    this.list = list;
    this.counts = counts;
    this.lines = new Map();
    const inside = element("ul", "rows");
    list.append(inside);
    this.rows = new VirtualRows(list, inside, HEIGHT, (place) => this.line(place));
    runs.watch(() => this.draw());
    list.addEventListener("click", (event) => choose(runs, event));
    list.addEventListener("keydown", (event) => {
      const id = /** @type {any} */ (event.target).closest("[data-run]")?.dataset.run;
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (id && step) {
        event.preventDefault();
        const next = runs.places.indexOf(id) + step;
        if (next < 0 || next >= this.rows.total) return;
        this.rows.show(next);
        /** @type {HTMLElement|null} */ (list.querySelector(`[data-place="${next}"]`))?.focus();
      }
      if (id && event.key === " ") { event.preventDefault(); if (event.shiftKey) runs.range(id); else runs.toggle(id, true); }
    });
  }

  draw() {
    const { runs } = this;
    this.counts.textContent = runs.problem || countsOf(runs);
    this.counts.classList.toggle("bad", Boolean(runs.problem));
    for (const id of this.lines.keys()) if (!runs.known.has(id)) this.lines.delete(id);
    this.rows.setTotal(runs.matching);
  }

  line(place) {
    const run = this.runs.at(place);
    const id = run?.id ?? `#${place}`;
    let item = this.lines.get(id);
    if (!item) {
      item = element("li");
      item.append(Object.assign(element("button", "run"), { type: "button" }));
      this.lines.set(id, item);
    }
    const slot = this.runs.slotOf(id);
    const signature = JSON.stringify([run, slot, isDark()]);
    const button = item.firstElementChild;
    button.dataset.place = place;
    if (item.dataset.shown !== signature) {
      item.dataset.shown = signature;
      if (run) this.fill(button, run, slot);
    }
    return { id, element: item };
  }

  fill(button, run, slot) {
    button.dataset.run = run.id;
    button.setAttribute("aria-pressed", String(slot !== undefined));
    button.title = `${run.path}\nclick: this run alone; Ctrl-click, or a click on the square: add it; Shift-click: all up to it`;
    const dot = element("span", "dot");
    if (slot !== undefined) dot.style.background = dot.style.borderColor = ofRun(slot);
    const name = Object.assign(element("span", "name"), { textContent: run.my?.name ?? run.path });
    const mark = stateOf(run);
    mark.classList.add("mark");
    button.replaceChildren(dot, name, mark);
    if (run.error) {
      button.append(Object.assign(element("span", "wrong"), { textContent: run.error }));
      return;
    }
    const facts = element("span", "facts");
    const task = [run.creature, run.task].filter(Boolean).join(" · ");
    if (task) facts.append(Object.assign(element("span", "task"), { textContent: task }));
    const parts = [];
    if (run.reward !== null) parts.push(`reward ${number(run.reward)}`);
    parts.push(run.frames === null ? "counting…" : duration(run.duration));
    facts.append(...parts.map((text) => Object.assign(element("span"), { textContent: text })));
    button.append(facts);
  }
}

/** @param {import("./runs.js").Runs} runs */
export function countsOf(runs) {
  if (!runs.listed) return "";
  return [runs.matching === runs.total ? `${number(runs.total)} runs` : `${number(runs.matching)} of ${number(runs.total)} runs`,
    runs.live ? `${number(runs.live)} running` : "", view.runs.length ? `${view.runs.length} shown` : "",
    runs.looking ? "looking for more…" : runs.unread ? `${number(runs.unread)} not read yet` : "",
    runs.leftOut ? "not all files were looked at" : ""].filter(Boolean).join(", ");
}
