// @ts-check
// Talking to the server: JSON, curves in batches, and the live stream.

export class ApiError extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

export async function get(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  const answer = await fetch(`/api/v1/${path}${query.size ? `?${query}` : ""}`);
  const body = await answer.json();
  if (!answer.ok) throw new ApiError(answer.status, body.error?.message ?? `the server answered ${answer.status}`);
  return body;
}

export const csvAddress = (run, parameters) => {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== ""));
  return `/api/v1/runs/${run}/rows.csv?${query}`;
};

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
    const answer = await get(`runs/${run}/series`, { ...parameters, keys: [...batch.keys.keys()].join(",") });
    const { rows, progress, cursor } = answer;
    for (const [key, who] of batch.keys) {
      for (const { done } of who) done({ rows, progress, cursor, curve: answer.series[key] ?? null });
    }
  } catch (error) {
    for (const { failed } of everybody) failed(error);
  }
}

// The live stream of some runs. It goes on where it was after the connection was lost.
export class Stream {
  constructor(onEvent, onState) {
    this.onEvent = onEvent;
    this.onState = onState;
    this.cursors = new Map();
    this.source = null;
    document.addEventListener("visibilitychange", () => this.open());
  }

  follow(cursors) {
    const same = this.source && cursors.size === this.cursors.size && [...cursors.keys()].every((run) => this.cursors.has(run));
    for (const [run, cursor] of cursors) if (!this.cursors.has(run)) this.cursors.set(run, cursor);
    for (const run of this.cursors.keys()) if (!cursors.has(run)) this.cursors.delete(run);
    if (!same) this.open();
  }

  open() {
    this.source?.close();
    this.source = null;
    if (document.hidden) return; // a browser allows six connections to a server: leave them to the tabs that are seen
    const query = new URLSearchParams();
    if (this.cursors.size) {
      query.set("runs", [...this.cursors.keys()].join(","));
      query.set("cursors", [...this.cursors].map(([run, cursor]) => `${run}:${cursor}`).join(","));
    }
    const source = this.source = new EventSource(`/api/v1/stream?${query}`);
    source.onopen = () => this.onState(true);
    source.onerror = () => {
      this.onState(false);
      if (source.readyState === EventSource.CLOSED && this.source === source) setTimeout(() => this.source === source && this.open(), 2000);
    };
    for (const name of ["hello", "rows", "cursor", "reset", "gone", "runs"]) {
      source.addEventListener(name, (event) => {
        const data = JSON.parse(event.data);
        if (name === "cursor") this.cursors.set(data.run, data.cursor);
        this.onEvent(name, data);
      });
    }
  }
}
