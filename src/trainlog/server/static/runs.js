// The list of runs: search, sort, select.

import { isDark, ofRun } from "./colors.js";
import { duration, number, size } from "./format.js";
import { element } from "./card.js";
import { change, view } from "./view.js";

const MOST = 400; // lines that are shown at once

export class Runs {
  constructor(list, filter, sort, counts) {
    Object.assign(this, { list, filter, sort, counts });
    this.all = [];
    this.leftOut = 0;
    this.lines = new Map(); // a line stays the same element while it changes, so that no click on it is lost
    filter.addEventListener("input", () => this.draw());
    sort.value = view.sort;
    sort.addEventListener("change", () => { change({ sort: sort.value }); this.draw(); });
    list.addEventListener("click", (event) => {
      const line = event.target.closest(".run");
      if (line) this.toggle(line.dataset.run, event.ctrlKey || event.metaKey || event.shiftKey || Boolean(event.target.closest(".dot")));
    });
    list.addEventListener("keydown", (event) => {
      const line = event.target.closest(".run");
      const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
      if (line && step) { event.preventDefault(); line.parentElement[step]?.firstElementChild.focus(); }
      if (line && event.key === " ") { event.preventDefault(); this.toggle(line.dataset.run, true); }
    });
  }

  get(id) { return this.all.find((run) => run.id === id); }

  // A plain click shows this run alone; with Ctrl, or on its square, it is added or taken away.
  toggle(id, add) {
    const chosen = view.runs.find((run) => run.id === id);
    if (chosen) {
      if (!add && view.runs.length > 1) change({ runs: [chosen] });
      else change({ runs: view.runs.filter((run) => run !== chosen) });
      return;
    }
    const others = add ? view.runs : [];
    let slot = 0;
    while (others.some((run) => run.slot === slot)) slot++;
    change({ runs: [...others, { id, slot }], ...(add ? {} : { zoom: null, at: null, episode: null }) });
  }

  set({ runs, left_out }) {
    this.all = runs;
    const ids = new Set(runs.map(({ id }) => id));
    for (const id of this.lines.keys()) if (!ids.has(id)) this.lines.delete(id);
    this.leftOut = left_out;
    this.draw();
  }

  draw() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const key = this.sort.value;
    const shown = this.all.filter((run) => {
      const text = `${run.path} ${run.task} ${run.creature} ${run.codec}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    const textual = key === "path" || key === "task";
    shown.sort((a, b) => (textual ? String(a[key]).localeCompare(String(b[key])) : (b[key] ?? -Infinity) - (a[key] ?? -Infinity)));
    const lines = shown.slice(0, MOST).map((run) => this.line(run));
    if (lines.length !== this.list.children.length || lines.some((line, i) => line !== this.list.children[i])) {
      const focused = document.activeElement?.dataset?.run;
      this.list.replaceChildren(...lines);
      if (focused) this.lines.get(focused)?.firstElementChild.focus();
    }
    const live = this.all.filter((run) => run.live).length;
    this.counts.textContent = [`${shown.length} of ${this.all.length} runs`, live ? `${live} live` : "",
      this.leftOut ? `${this.leftOut} files not looked at` : ""].filter(Boolean).join(", ");
  }

  line(run) {
    const chosen = view.runs.find(({ id }) => id === run.id);
    let item = this.lines.get(run.id);
    if (!item) {
      item = element("li");
      item.append(Object.assign(element("button", "run"), { type: "button" }));
      this.lines.set(run.id, item);
    }
    const signature = JSON.stringify([run, chosen, isDark()]);
    if (item.dataset.shown !== signature) {
      item.dataset.shown = signature;
      this.fill(item.firstElementChild, run, chosen);
    }
    return item;
  }

  fill(button, run, chosen) {
    button.dataset.run = run.id;
    button.setAttribute("aria-pressed", String(Boolean(chosen)));
    button.title = `${run.path}\nclick: this run alone; Ctrl-click or click the square: add it`;
    const dot = element("span", "dot");
    if (chosen) dot.style.background = dot.style.borderColor = ofRun(chosen.slot);
    const name = Object.assign(element("span", "name"), { textContent: run.path });
    const mark = element("span", run.live ? "mark" : "");
    mark.textContent = run.live ? "live" : "";
    button.replaceChildren(dot, name, mark);
    if (run.error) {
      button.append(Object.assign(element("span", "wrong"), { textContent: run.error }));
    } else {
      const task = [run.creature, run.task].filter(Boolean).join(" · ");
      if (task) button.append(Object.assign(element("span", "task"), { textContent: task }));
      const facts = element("span", "facts");
      const parts = [duration(run.duration), run.frames === null ? "counting…" : `${number(run.frames)} frames`, size(run.size)];
      if (run.reward !== null) parts.push(`reward ${number(run.reward)}`);
      facts.append(...parts.map((text) => Object.assign(element("span"), { textContent: text })));
      button.append(facts);
    }
  }
}
