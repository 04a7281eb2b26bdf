// Groups of runs: one curve for all runs that share the values of some keys, with the statistics of the server.

import { Batches, get, messageOf } from "./net.js";
import { view } from "./view.js";

/** @typedef {{id: string, slot: number, name: string, members: string[]}} Group */

export class Grouping {
  /** @param {(id: string) => string} nameOf a run */
  constructor(nameOf) {
    this.nameOf = nameOf;
    /** @type {Group[]} */
    this.groups = [];
    /** @type {string[]} the keys whose values the runs of a group share */
    this.by = [];
    this.problem = "";
    this.turn = 0;
    this.curves = new Batches((parameters) => get("groups", parameters));
  }

  get isOn() { return view.group !== "" && view.runs.length > 0; }

  parameters() { return { runs: view.runs.map(({ id }) => id).join(","), by: view.group, center: view.center, band: view.band }; }

  /** Find the groups of the shown runs. */
  async load() {
    const turn = ++this.turn;
    this.problem = "";
    if (!this.isOn) { this.groups = []; return; }
    try {
      const { groups, by } = await get("groups", { ...this.parameters(), x: "time" });
      if (turn !== this.turn) return; // an answer about an earlier choice
      this.by = by;
      this.groups = groups.map((/** @type {any} */ { label, members }, /** @type {number} */ slot) => ({ id: `group ${slot}`, slot, name: label, members }));
    } catch (error) {
      if (turn !== this.turn) return;
      this.groups = [];
      this.problem = messageOf(error);
    }
  }

  /** The group of a run. @param {string} run */
  ofRun(run) { return this.groups.find(({ members }) => members.includes(run)); }

  /** @param {string} id */
  find(id) { return this.groups.find((one) => one.id === id); }

  /** The curve of a group, in the form of the curve of a run.
   * @param {string} id @param {string} key @param {import("./net.js").Parameters} parameters */
  async curve(id, key, { kind, x, smooth, where }) {
    const found = await this.ask(id, key, { kind, x, smooth, where });
    const one = found?.curves[key];
    return { rows: one?.x.length ?? 0, progress: 1, cursor: "", damage: [], curve: one ? this.asCurve(one, found) : null };
  }

  /** The run of a group whose curve is nearest to a value at a place on the axis.
   * @param {string} id @param {string} key @param {number} at @param {number} value @param {import("./net.js").Parameters} parameters */
  async nearest(id, key, at, value, parameters) {
    const found = await this.ask(id, key, { ...parameters, at });
    /** @type {(number | null)[]} */
    const values = found?.at[key] ?? [];
    const far = values.map((one) => (one === null ? Infinity : Math.abs(one - value)));
    const place = far.indexOf(Math.min(...far));
    return Number.isFinite(far[place]) ? /** @type {string} */ (found.members[place]) : null;
  }

  /** The answer of the server for a group. @param {string} id @param {string} key @param {import("./net.js").Parameters} parameters */
  async ask(id, key, parameters) {
    const members = this.find(id)?.members.join();
    const { groups } = await this.curves.ask({ ...this.parameters(), ...parameters }, key);
    return groups.find((/** @type {Group} */ one) => one.members.join() === members);
  }

  /** @param {any} curve @param {{members: string[]}} group */
  asCurve({ x, center, low, high, n, runs, bins, enough }, { members }) {
    const hasBand = low.some((/** @type {number | null} */ value) => value !== null);
    const fit = runs.map((/** @type {number} */ count, /** @type {number} */ i) => count >= enough || low[i] === null);
    const band = hasBand ? { band: { low: numbers(low), high: numbers(high), fit } } : {};
    const group = { n, runs, members: members.map((id) => ({ id, name: this.nameOf(id) })), ...band };
    return { x, y: numbers(center), bins, thinned: false, nan: 0, infinite: 0, at: {}, breaks: [], smooth: null, group };
  }
}

/** @param {(number | null)[]} values */
const numbers = (values) => Float64Array.from(values, (value) => value ?? NaN);
