// The list of runs next to the charts: name, state, and results.

import { ofRun } from "./colors.js";
import { element, nameOf } from "./element.js";
import { duration, number } from "./format.js";
import { RunRows, sayCounts, stateOf } from "./runrows.js";

/** @typedef {import("./runs.js").Run} Run */

const HEIGHT = 48;

export class SideList {
  /** @param {import("./runs.js").Runs} runs @param {HTMLElement} list @param {HTMLElement} counts */
  constructor(runs, list, counts) {
    const inside = element("ul", "rows");
    list.append(inside);
    this.rows = new RunRows(runs, list, inside, HEIGHT, { make: lineOf, fill });
    runs.watch(() => {
      sayCounts(counts, runs);
      this.rows.draw();
    });
  }
}

function lineOf() {
  const target = element("button", "run", { type: "button" });
  return { element: element("li", "", {}, target), target };
}

/** @param {HTMLElement} button @param {Run} run @param {number | undefined} slot */
function fill(button, run, slot) {
  button.setAttribute("aria-pressed", String(slot !== undefined));
  button.title = `${run.path}\nclick: show only this run; Ctrl-click, or a click on the square: add it; Shift-click: add all up to it`;
  const dot = element("span", "dot");
  if (slot !== undefined) dot.style.background = dot.style.borderColor = ofRun(slot);
  const mark = stateOf(run);
  mark.classList.add("mark");
  button.replaceChildren(dot, nameOf(run.my?.name ?? run.path, ""), mark);
  if (run.error) {
    button.append(element("span", "wrong", {}, run.error));
    return;
  }
  const facts = element("span", "facts");
  const task = [run.creature, run.task].filter(Boolean).join(" · ");
  if (task) facts.append(element("span", "task", { textContent: task }));
  const parts = [run.reward === null ? "" : `reward ${number(run.reward)}`, run.frames === null ? "counting…" : duration(run.duration)];
  facts.append(...parts.filter(Boolean).map((text) => element("span", "", { textContent: text })));
  button.append(facts);
}
