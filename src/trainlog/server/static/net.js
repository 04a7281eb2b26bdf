// Communication with the server: JSON, curves in batches, and the live stream.

import { Connection } from "./connection.js";

/** @typedef {Record<string, any>} Parameters */
/**
 * The description of a shown run from the server.
 * @typedef {{shape: "number" | "text" | "list", clock: boolean, group: string, unit?: string, last: any}} Key
 * @typedef {{rows: number, keys: Record<string, Key>, left_out: string[], all_keys: boolean,
 *   axes: Record<string, {key: string, factor: number}>}} KindInfo
 * @typedef {{id: string, path: string, creature: string, task: string, meta: Record<string, any>, kinds: Record<string, KindInfo>,
 *   axes: string[], all_axes: string[], axis_order: string[], axis_aliases: Record<string, string>, cards: any[],
 *   episodes: Record<"number" | "type" | "return" | "length", string> | null, functions: boolean, progress: number,
 *   duration: number, damage: string[], cursor: string, size: number}} Info
 */
/**
 * Some rows of a run from the live stream.
 * @typedef {{run: string, kind: string, from: number, to: number, time: number[], columns: Record<string, any[]>}} Rows
 */

export class ApiError extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) { super(message); this.status = status; }
}

/** The message of an error. @param {unknown} error */
export const messageOf = (error) => (error instanceof Error ? error.message : String(error));

/**
 * The address of an endpoint; behind a proxy, the server may not be at the root.
 * @param {string} path
 * @param {Parameters} parameters
 */
export function address(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  return `api/v1/${path}${query.size ? `?${query}` : ""}`;
}

/** Fetch a successful answer; an error is thrown. @param {string} place @param {RequestInit} [request] */
export async function ask(place, request) {
  const answer = await fetch(place, request);
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new ApiError(answer.status, said.error?.message ?? `the server answered ${answer.status}`);
}

/**
 * @param {string} path
 * @param {Parameters} parameters
 * @param {(text: string) => any} parse
 */
export async function get(path, parameters = {}, parse = JSON.parse) {
  return parse(await (await ask(address(path, parameters))).text());
}

/** @param {string} run @param {Parameters} parameters */
export const csvAddress = (run, parameters) => address(`runs/${run}/rows.csv`, parameters);

/** Names as one parameter; a name with a comma, or with a space at its start or end, needs a JSON list. @param {string[]} names */
export const listed = (names) => (names.some((name) => /^\[|,|^\s|\s$/.test(name)) ? JSON.stringify(names) : names.join(","));

/** The inverse of `listed`. @param {string} text @returns {string[]} */
export function unlisted(text) {
  try {
    if (text.startsWith("[")) return JSON.parse(text).filter((/** @type {unknown} */ name) => typeof name === "string" && name);
  } catch { /* a name that starts like a list */ }
  return text.split(",").filter(Boolean);
}

const MOST_KEYS = 30;
const GATHER = 5; // milliseconds

/** Joins simultaneous requests that differ only in the key. */
export class Batches {
  /** @param {(parameters: Parameters) => Promise<any>} send */
  constructor(send) {
    this.send = send;
    /** @type {Map<string, {keys: Set<string>, answer: Promise<any>}>} */
    this.waiting = new Map();
  }

  /** The answer for this key, possibly with others. @param {Parameters} parameters @param {string} key @returns {Promise<any>} */
  ask(parameters, key) {
    const which = JSON.stringify(parameters);
    let batch = this.waiting.get(which);
    if (!batch || batch.keys.size >= MOST_KEYS) {
      const keys = new Set(/** @type {string[]} */ ([]));
      const answer = new Promise((done) => setTimeout(done, GATHER)).then(() => {
        if (this.waiting.get(which)?.keys === keys) this.waiting.delete(which);
        return this.send({ ...parameters, keys: listed([...keys]) });
      });
      this.waiting.set(which, batch = { keys, answer });
    }
    batch.keys.add(key);
    return batch.answer;
  }
}

const series = new Batches(({ run, ...parameters }) => get(`runs/${run}/series`, parameters));

/** A curve of a run. @param {string} run @param {string} key @param {Parameters} parameters */
export async function curve(run, key, parameters) {
  const { rows, progress, cursor, damage, series: found } = await series.ask({ run, ...parameters }, key);
  return { rows, progress, cursor, damage, curve: Object.hasOwn(found, key) ? found[key] : null };
}

// The live stream of some runs, from the worker that all windows of this browser share, if it supports such workers.
// After a lost connection, or when the window was hidden for a while, it continues from its last place.
export class Stream {
  /**
   * @param {import("./connection.js").OnEvent} onEvent
   * @param {(up: boolean) => void} onState
   */
  constructor(onEvent, onState) {
    this.onEvent = onEvent;
    this.onState = onState;
    /** @type {import("./connection.js").Cursors} */
    this.cursors = new Map();
    this.isOpen = false;
    /** @type {MessagePort | null} */
    this.port = null;
    /** @type {Connection | null} */
    this.connection = null;
    if (globalThis.SharedWorker && navigator.locks) this.share();
    else this.connect();
    document.addEventListener("visibilitychange", () => this.open());
  }

  connect() { this.connection ??= new Connection(new URL("api/v1/stream", document.baseURI).href, (name, data) => this.take(name, data), this.onState); }

  share() {
    const worker = new SharedWorker(new URL("static/shared.js", document.baseURI), { type: "module", name: "trainlog" });
    this.port = worker.port;
    this.port.onmessage = ({ data }) => { if ("up" in data) this.onState(data.up); else this.take(data.name, data.data); };
    worker.onerror = () => { // a browser without modules in workers
      this.port = null;
      this.connect();
      this.open();
    };
    const lock = `trainlog ${Math.random()}`;
    navigator.locks.request(lock, () => {
      this.port?.postMessage({ lock });
      return new Promise(() => {}); // until the window is closed
    });
  }

  /** @param {import("./connection.js").Cursors} cursors */
  follow(cursors) {
    const same = this.isOpen && cursors.size === this.cursors.size && [...cursors.keys()].every((run) => this.cursors.has(run));
    this.cursors = new Map([...cursors].map(([run, cursor]) => [run, this.cursors.get(run) ?? cursor]));
    if (!same) this.open();
  }

  open() {
    this.isOpen = !document.hidden; // a hidden window needs no updates
    const cursors = this.isOpen ? this.cursors : null;
    if (this.port) this.port.postMessage({ cursors });
    else this.connection?.follow(cursors);
  }

  /** @param {string} name @param {any} data */
  take(name, data) {
    if (name === "cursor" && this.cursors.has(data.run)) this.cursors.set(data.run, data.cursor);
    this.onEvent(name, data);
  }
}
