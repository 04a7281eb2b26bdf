// What is known about the shown runs: the description, the events, the short name and the problem of each.

import { ofEvent } from "./colors.js";
import { parseExact } from "./exact.js";
import { get, messageOf } from "./net.js";
import { view } from "./view.js";

/** @typedef {import("./card.js").Drawn} Drawn @typedef {import("./card.js").Mark} Mark @typedef {import("./net.js").Info} Info */

const AT_A_TIME = 6; // parallel requests for runs
const AGAIN = 400; // milliseconds until the next request for a run that is being read
const MOST_NAMED = 100; // with more runs, names are not shortened

export class Shown {
  /** @param {import("./runs.js").Runs} runs @param {() => void} onChange called when more is known */
  constructor(runs, onChange) {
    this.runs = runs;
    this.onChange = onChange;
    /** @type {Map<string, Info>} */
    this.infos = new Map();
    /** @type {Map<string, Mark[]>} */
    this.events = new Map();
    /** @type {Map<string, string>} */
    this.troubles = new Map();
    this.loading = 0; // running calls
    /** @type {Map<string, string> | null} */
    this.names = null;
    this.namesOf = view.runs; // the runs whose names are known
    runs.watch(() => { this.names = null; });
  }

  /** The runs that can be drawn. @returns {Drawn[]} */
  all() { return view.runs.filter(({ id }) => this.infos.has(id)).map(({ id, slot }) => ({ id, slot, name: this.nameOf(id) })); }

  /** @param {string} id */
  find(id) { return this.all().find((run) => run.id === id); }

  // --- names ---

  /** The name that a user gave it, or the shortest part of its path that identifies it. @param {string} id */
  nameOf(id) {
    if (!this.names || this.namesOf !== view.runs) {
      const shorten = view.runs.length <= MOST_NAMED;
      this.names = new Map(view.runs.map((run) => [run.id, shorten ? this.shortName(run.id) : this.runs.nameOf(run.id)]));
      this.namesOf = view.runs;
    }
    return this.names.get(id) ?? this.runs.nameOf(id);
  }

  /** @param {string} id */
  shortName(id) {
    const own = this.runs.get(id)?.my?.name;
    if (own) return own;
    const pathOf = (/** @type {string} */ run) => (this.runs.get(run)?.path ?? run).split("/");
    const path = pathOf(id);
    const others = view.runs.filter((run) => run.id !== id).map((run) => pathOf(run.id));
    for (let n = 1; n <= path.length; n++) {
      const tail = path.slice(-n).join("/"), folder = path.slice(-n, -1).join("/");
      if (others.some((other) => other.slice(-n).join("/") === tail)) continue;
      return n > 1 && !others.some((other) => other.slice(-n, -1).join("/") === folder) ? folder : tail; // all files have the same name
    }
    return path.join("/");
  }

  // --- what the server knows about them ---

  /** Forget all other runs. @param {string[]} ids */
  keep(ids) {
    const there = new Set(ids);
    for (const known of [this.infos, this.events, this.troubles]) for (const id of known.keys()) if (!there.has(id)) known.delete(id);
  }

  /** @param {string[]} ids @param {() => void} onEach called after each one if there are many */
  async load(ids, onEach = () => {}) {
    let next = 0;
    this.loading++;
    const some = async () => {
      while (next < ids.length) {
        await this.loadOne(ids[next++]);
        if (ids.length > AT_A_TIME) onEach();
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, some));
    this.loading--;
  }

  /** @param {string} id */
  async loadOne(id) {
    const isShown = () => view.runs.some((run) => run.id === id);
    try {
      const known = this.runs.get(id)?.error;
      if (known) throw new Error(known);
      const info = await get(`runs/${id}`, {}, parseExact);
      if (!isShown()) return;
      if (!this.runs.get(id)) this.runs.known.set(id, info);
      this.infos.set(id, info);
      this.troubles.delete(id);
      if (info.progress < 1) setTimeout(() => isShown() && this.loadOne(id).then(this.onChange), AGAIN);
    } catch (error) {
      this.fail(id, messageOf(error));
    }
  }

  /** Record that a run cannot be shown. @param {string} id @param {string} why */
  fail(id, why) {
    this.infos.delete(id);
    this.troubles.set(id, why);
  }

  /** @param {string} axis of the charts */
  async loadEvents(axis) {
    await Promise.all(this.all().map(async ({ id }) => {
      if (!this.infos.get(id)?.kinds.event) return;
      try {
        const { events } = await get(`runs/${id}/events`, { x: axis, points: 500, from: view.zoom?.[0], to: view.zoom?.[1] });
        this.events.set(id, events.map((/** @type {any} */ { x, among, type, message }) => (
          { x, among, text: [type, message].filter(Boolean).join(": "), color: ofEvent(type) })));
      } catch { this.events.delete(id); }
    }));
  }
}
