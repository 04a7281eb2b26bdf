// The runs as the server knows them: those that match the filter, their order, and which are shown. The side list and the
// table are two views of them.

import { parseExact } from "./exact.js";
import { ApiError, get, listed } from "./net.js";
import { settled } from "./timers.js";
import { change, MOST_SHOWN, view } from "./view.js";

/**
 * @typedef {{id: string, path: string, state: string, live: boolean, error: string, creature: string, task: string,
 *   size: number, modified: number, frames: number|null, duration: number|null, reward: number|null, step: number|null,
 *   my?: {name?: string, tags?: string[], note?: string}, values?: any[]}} Run
 */

const PAGE = 100; // runs per request
const TYPING = 120; // milliseconds without a keystroke until a filter is sent

export class Runs {
  constructor() {
    this.total = 0;
    this.matching = 0;
    this.live = 0;
    this.unread = 0;
    this.leftOut = 0;
    this.looking = false;
    this.listed = false;
    this.problem = ""; // the error in the filter
    /** @type {Map<string, Run>} */
    this.known = new Map();
    /** @type {(string|undefined)[]} ids by place */
    this.places = [];
    this.asked = new Set();
    this.turn = 0;
    this.refreshing = Promise.resolve();
    this.refreshSoon = settled(TYPING, () => this.refresh().catch(() => {}));
    /** @type {string[]} the columns of the values of a run */
    this.columns = [];
    this.anchor = ""; // the run at the start of a range
    this.watchers = new Set();
    /** @type {((id: string) => number|undefined)|null} the colours, if they are not those of the runs */
    this.slots = null;
  }

  /** @param {(what: "list"|"page") => void} watcher */
  watch(watcher) { this.watchers.add(watcher); }
  /** @param {"list"|"page"} what */
  tell(what) { for (const watcher of this.watchers) watcher(what); }

  /** @param {string} id @returns {Run|undefined} */
  get(id) { return this.known.get(id); }

  /** The displayed name: the one that a user gave it, or its path. @param {string} id */
  nameOf(id) {
    const run = this.known.get(id);
    return run?.my?.name ?? run?.path ?? id;
  }

  /** Its place among the colours; undefined if it is not shown. @param {string} id @returns {number|undefined} */
  slotOf(id) { return this.slots?.(id) ?? view.runs.find((run) => run.id === id)?.slot; }

  /** The run at a place; undefined until the server has answered. @param {number} place @returns {Run|undefined} */
  at(place) {
    this.want(place);
    const id = this.places[place];
    return id === undefined ? undefined : this.known.get(id);
  }

  parameters() { return { filter: view.filter, sort: view.sort, columns: listed(this.columns) }; }

  /** @param {number} place */
  want(place) {
    const page = Math.floor(place / PAGE);
    if (this.asked.has(page)) return;
    this.asked.add(page);
    this.load(page).catch(() => this.asked.delete(page));
  }

  /** @param {number} page */
  async load(page) {
    const turn = this.turn;
    const answer = await get("runs", { ...this.parameters(), offset: page * PAGE, limit: PAGE }, parseExact);
    if (turn !== this.turn) return;
    this.take(answer);
    this.tell("page");
  }

  /** @param {any} answer */
  take(answer) {
    ({ total: this.total, matching: this.matching, live: this.live, unread: this.unread, left_out: this.leftOut, looking: this.looking } = answer);
    answer.runs.forEach((/** @type {Run} */ run, /** @type {number} */ i) => {
      this.places[answer.offset + i] = run.id;
      this.known.set(run.id, run);
    });
    this.places.length = answer.matching;
  }

  /** Ask again after a change on the server or in the request. Earlier callers wait for the newest answer, too.
   * @param {number} first a place on the screen */
  refresh(first = 0) { return (this.refreshing = this.ask(first)); }

  /** @param {number} first @returns {Promise<void>} */
  async ask(first) {
    const turn = ++this.turn;
    const page = Math.floor(first / PAGE);
    const wanted = view.runs.map(({ id }) => id);
    try {
      const [answer, shown] = await Promise.all([
        get("runs", { ...this.parameters(), offset: page * PAGE, limit: PAGE }, parseExact),
        wanted.length ? get("runs", { runs: wanted.join(","), columns: listed(this.columns) }, parseExact) : null,
      ]);
      if (turn !== this.turn) return this.refreshing;
      for (const id of wanted) this.known.delete(id); // a run can be gone
      for (const run of shown?.runs ?? []) this.known.set(run.id, run);
      this.asked = new Set([page]); // the others are requested when they come onto the screen
      this.take(answer);
      this.problem = "";
      this.listed = true;
    } catch (error) {
      if (turn !== this.turn) return this.refreshing;
      if (!(error instanceof ApiError) || error.status !== 400) throw error;
      this.problem = error.message;
    }
    this.tell("list");
  }

  /** @param {string} text */
  setFilter(text) {
    change({ filter: text });
    this.refreshSoon();
  }

  /** @param {string} sort */
  setSort(sort) {
    change({ sort });
    this.refresh().catch(() => {});
  }

  /** @param {string[]} columns */
  setColumns(columns) {
    this.columns = columns;
    this.refresh().catch(() => {});
  }

  // --- the shown runs ---

  /** Show this run alone, or add or remove it. @param {string} id @param {boolean} add */
  toggle(id, add) {
    const chosen = view.runs.find((run) => run.id === id);
    this.anchor = id;
    if (chosen) {
      if (!add && view.runs.length > 1) change({ runs: [chosen] });
      else change({ runs: view.runs.filter((run) => run !== chosen) });
      return;
    }
    if (add) this.add([id]);
    else change({ runs: [{ id, slot: 0 }], zoom: null, at: null, episode: null });
  }

  /** Add all runs from the last chosen one to this one. @param {string} id */
  async range(id) {
    const from = this.places.indexOf(this.anchor), to = this.places.indexOf(id); // the order can have changed
    if (from < 0 || to < 0) { this.toggle(id, true); return; }
    const [low, high] = [Math.min(from, to), Math.max(from, to)];
    const { ids } = await get("ids", { filter: view.filter, sort: view.sort, offset: low, limit: high - low + 1 });
    this.add(ids);
  }

  /** Add all runs that match the filter, up to the maximum. */
  async addAll() {
    const { ids } = await get("ids", { filter: view.filter, sort: view.sort, limit: MOST_SHOWN });
    this.add(ids);
  }

  /** Give each run the first free colour. @param {string[]} ids */
  add(ids) {
    const shown = [...view.runs];
    const there = new Set(shown.map((run) => run.id)), slots = new Set(shown.map(({ slot }) => slot));
    let slot = 0;
    for (const id of ids) {
      if (there.has(id) || shown.length >= MOST_SHOWN) continue;
      while (slots.has(slot)) slot++;
      slots.add(slot);
      shown.push({ id, slot });
    }
    change({ runs: shown });
  }
}
