// A shared worker: one live stream for all windows of a browser, which opens at most six connections to a server.

import { Connection } from "./connection.js";

/** @typedef {import("./connection.js").Cursors} Cursors */

/** @type {Map<MessagePort, Cursors | null>} what each window follows; null while it is hidden */
const windows = new Map();
let isUp = false;

const connection = new Connection(new URL("../api/v1/stream", location.href).href, (name, data) => {
  for (const [port, cursors] of windows) {
    if (cursors && (!data.run || cursors.has(data.run))) port.postMessage({ name, data });
  }
}, (up) => {
  isUp = up;
  for (const port of windows.keys()) port.postMessage({ up });
});

function update() {
  const seen = [...windows.values()].filter((cursors) => cursors !== null);
  if (!seen.length) isUp = false;
  connection.follow(seen.length ? new Map(seen.flatMap((cursors) => [...cursors])) : null);
}

/** @param {MessagePort} port @param {Cursors | null} cursors */
function follow(port, cursors) {
  // Rows that arrived after the window loaded its curves were not sent to it, so it must ask again.
  const missed = cursors ? [...cursors].filter(([run, cursor]) => (connection.cursors.get(run) ?? cursor) !== cursor) : [];
  windows.set(port, cursors);
  update();
  if (!cursors || !isUp) return;
  port.postMessage({ up: true });
  port.postMessage({ name: "hello", data: {} });
  for (const [run] of missed) port.postMessage({ name: "reset", data: { run } });
}

/** @type {any} */ (globalThis).onconnect = (/** @type {MessageEvent} */ event) => {
  const [port] = event.ports;
  port.onmessage = ({ data }) => {
    if ("cursors" in data) follow(port, data.cursors);
    // A window holds this lock for its whole lifetime, however it ends.
    if (data.lock) navigator.locks.request(data.lock, () => { windows.delete(port); update(); });
  };
};
