// @ts-check
// Talking to the server: JSON, curves in batches, and the live stream.

import { Connection } from "./connection.js";

export class ApiError extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) { super(message); this.status = status; }
}

/**
 * The address of something that the server answers; it may stand behind a proxy, at some other place than the root.
 * @param {string} path
 * @param {Record<string, any>} parameters
 */
export function address(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  return `api/v1/${path}${query.size ? `?${query}` : ""}`;
}

/**
 * @param {string} path
 * @param {Record<string, any>} parameters
 * @param {(text: string) => any} parse
 */
export async function get(path, parameters = {}, parse = JSON.parse) {
  const answer = await fetch(address(path, parameters));
  const body = parse(await answer.text());
  if (!answer.ok) throw new ApiError(answer.status, body.error?.message ?? `the server answered ${answer.status}`);
  return body;
}

/** @param {string} run @param {Record<string, any>} parameters */
export const csvAddress = (run, parameters) => address(`runs/${run}/rows.csv`, parameters);

// Names in one parameter; one that has a comma needs a list.
export const listed = (names) => (names.some((name) => /^\[|,/.test(name)) ? JSON.stringify(names) : names.join(","));

// Curves that are asked for at the same moment and differ only by their key come in one answer.
const waiting = new Map();
const MOST_KEYS = 30;

/** Who has the curves of groups of runs; their ids begin so. @type {((id: string, key: string, parameters: any) => Promise<any>)|null} */
let ofGroups = null;
export const GROUP = "group ";
export const setGroupSource = (source) => { ofGroups = source; };

export function curve(run, key, parameters) {
  if (ofGroups && run.startsWith(GROUP)) return ofGroups(run, key, parameters);
  const which = JSON.stringify([run, parameters]);
  let batch = waiting.get(which);
  if (!batch || batch.keys.size >= MOST_KEYS) {
    batch = { keys: new Map() };
    waiting.set(which, batch);
    setTimeout(() => {
      if (waiting.get(which) === batch) waiting.delete(which);
      send(run, parameters, batch);
    }, 5);
  }
  return new Promise((done, failed) => {
    if (!batch.keys.has(key)) batch.keys.set(key, []);
    batch.keys.get(key).push({ done, failed });
  });
}

async function send(run, parameters, batch) {
  const everybody = [...batch.keys.values()].flat();
  try {
    const answer = await get(`runs/${run}/series`, { ...parameters, keys: listed([...batch.keys.keys()]) });
    const { rows, progress, cursor } = answer;
    for (const [key, who] of batch.keys) {
      for (const { done } of who) done({ rows, progress, cursor, damage: answer.damage, curve: Object.hasOwn(answer.series, key) ? answer.series[key] : null });
    }
  } catch (error) {
    for (const { failed } of everybody) failed(error);
  }
}

// The live stream of some runs: by the worker that all windows of this browser share, where there are such workers.
// It goes on where it was after the connection was lost, or the window was not seen for a while.
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
    if (globalThis.SharedWorker && navigator.locks) this.share();
    else this.connection = new Connection(new URL("api/v1/stream", document.baseURI).href, (name, data) => this.take(name, data), onState);
    document.addEventListener("visibilitychange", () => this.open());
  }

  share() {
    const worker = new SharedWorker(new URL("static/shared.js", document.baseURI), { type: "module", name: "trainlog" });
    this.port = worker.port;
    this.port.onmessage = ({ data }) => { if ("up" in data) this.onState(data.up); else this.take(data.name, data.data); };
    worker.onerror = () => { // a browser that has no modules in workers
      this.port = null;
      this.connection ??= new Connection(new URL("api/v1/stream", document.baseURI).href, (name, data) => this.take(name, data), this.onState);
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
    this.isOpen = !document.hidden; // a window that is not seen needs no news
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
