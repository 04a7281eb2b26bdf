// @ts-check
// Groups of runs: one curve for the runs that have some keys alike, by the server's statistics.

import { get, GROUP } from "./net.js";
import { view } from "./view.js";

const MOST_KEYS = 30;
const GATHER = 5; // milliseconds

/** @typedef {{id: string, slot: number, name: string, members: string[]}} Group */

export class Grouping {
  constructor() {
    /** @type {Group[]} */
    this.groups = [];
    this.names = []; // the keys
    this.problem = "";
    this.waiting = new Map();
    this.asked = new Map();
  }

  get isOn() { return view.group !== "" && view.runs.length > 0; }

  /** Which groups the runs that are shown make. */
  async load() {
    if (!this.isOn) { this.groups = []; return; }
    try {
      const { groups, by } = await get("groups", { runs: view.runs.map(({ id }) => id).join(","), by: view.group, x: "time" });
      this.problem = "";
      this.names = by;
      this.groups = groups.map((one, slot) => ({ id: `${GROUP}${slot}`, slot, name: one.label, members: one.members }));
    } catch (error) {
      this.problem = error.message;
      this.groups = [];
    }
  }

  /** Cards ask twice where the page is built anew; the server answers once. */
  ask(parameters) {
    const which = JSON.stringify(parameters);
    if (!this.asked.has(which)) this.asked.set(which, get("groups", parameters).finally(() => this.asked.delete(which)));
    return this.asked.get(which);
  }

  /** The colour of a run that is shown is that of its group. @param {string} id */
  slotOf(id) { return this.groups.find(({ members }) => members.includes(id))?.slot; }

  /** @param {string} id */
  find(id) { return this.groups.find((one) => one.id === id); }

  /** The curve of a group as a card takes that of a run; those of all groups and keys come in one answer. */
  curve(id, key, { kind, x, smooth, where }) {
    const parameters = { kind, x, smooth, where, runs: view.runs.map((run) => run.id).join(","), by: view.group, center: view.center, band: view.band };
    const which = JSON.stringify(parameters);
    let batch = this.waiting.get(which);
    if (!batch || batch.keys.size >= MOST_KEYS) {
      const keys = new Set();
      batch = { keys, answer: new Promise((done) => setTimeout(done, GATHER)).then(() => {
        if (this.waiting.get(which)?.keys === keys) this.waiting.delete(which);
        return this.ask({ ...parameters, keys: [...keys].join(",") });
      }) };
      this.waiting.set(which, batch);
    }
    batch.keys.add(key);
    return batch.answer.then(({ groups }) => {
      const place = this.groups.findIndex((one) => one.id === id);
      const one = groups.find(({ members }) => members.join() === this.groups[place]?.members.join());
      const found = one?.curves[key];
      return { rows: found?.x.length ?? 0, progress: 1, cursor: "", damage: [], curve: found ? asCurve(found, one) : null };
    });
  }
}

function asCurve({ x, center, low, high, n, runs }, { label, members }) {
  const hasBand = low.some((value) => value !== null);
  const numbers = (values) => Float64Array.from(values, (value) => value ?? NaN);
  return {
    x, y: center, rows: x.length, thinned: false, nan: 0, infinite: 0, at: {}, breaks: [], smooth: null,
    group: { label, n, members, runs, ...(hasBand ? { band: { low: numbers(low), high: numbers(high) } } : {}) },
  };
}
