// The live stream of some runs over one connection, which is reopened when it is lost.

/** @typedef {Map<string, string>} Cursors by run: the place after the known rows */
/** @typedef {(name: string, data: any) => void} OnEvent */

const AGAIN = 1000; // milliseconds until the next attempt
const SILENT = 45_000; // milliseconds; the server sends something every ten seconds
const LONGEST = 4000; // characters of an address; anything longer is sent in the body

export class Connection {
  /**
   * @param {string} address of the stream
   * @param {OnEvent} onEvent
   * @param {(up: boolean) => void} onState
   */
  constructor(address, onEvent, onState) {
    this.address = address;
    this.onEvent = onEvent;
    this.onState = onState;
    /** @type {Cursors} */
    this.cursors = new Map();
    /** @type {AbortController | null} */
    this.control = null;
    this.timer = 0;
  }

  /**
   * Follow these runs and no others. A run that is already followed continues from its place.
   * @param {Cursors | null} cursors null ends the connection
   */
  follow(cursors) {
    if (!cursors) { this.close(); return; }
    const same = this.control && cursors.size === this.cursors.size && [...cursors.keys()].every((run) => this.cursors.has(run));
    this.cursors = new Map([...cursors].map(([run, cursor]) => [run, this.cursors.get(run) ?? cursor]));
    if (!same) this.open();
  }

  close() {
    this.control?.abort();
    this.control = null;
    this.cursors = new Map();
    clearTimeout(this.timer);
  }

  async open() {
    this.control?.abort();
    const control = this.control = new AbortController();
    try {
      const answer = await this.ask(control.signal);
      if (!answer.ok || !answer.body) throw new Error(`the server answered ${answer.status}`);
      this.onState(true);
      const text = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        this.wait(SILENT);
        const { done, value } = await text.read();
        if (done || this.control !== control) break;
        const messages = (rest + value).split("\n\n");
        rest = messages.pop() ?? "";
        for (const message of messages) this.take(message);
      }
    } catch { /* the connection is lost, or was ended */ }
    if (this.control !== control) return;
    this.onState(false);
    this.wait(AGAIN);
  }

  /** @param {AbortSignal} signal */
  ask(signal) {
    const query = new URLSearchParams();
    if (this.cursors.size) {
      query.set("runs", [...this.cursors.keys()].join(","));
      query.set("cursors", [...this.cursors].filter(([, cursor]) => cursor).map(([run, cursor]) => `${run}:${cursor}`).join(","));
    }
    const headers = { accept: "text/event-stream" }; // without it, the proxy of Jupyter waits for the end
    if (String(query).length < LONGEST) return fetch(`${this.address}?${query}`, { signal, headers, cache: "no-store" });
    const body = JSON.stringify({ runs: Object.fromEntries(this.cursors) });
    return fetch(this.address, { method: "POST", headers: { ...headers, "content-type": "application/json" }, body, signal });
  }

  /** @param {number} milliseconds */
  wait(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), milliseconds);
  }

  /** @param {string} message */
  take(message) {
    /** @type {Record<string, string>} */
    const fields = {};
    for (const line of message.split("\n")) {
      const colon = line.indexOf(": ");
      if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
    }
    if (!fields.event) return; // a sign of life
    const data = JSON.parse(fields.data);
    if (fields.event === "cursor" && this.cursors.has(data.run)) this.cursors.set(data.run, data.cursor);
    this.onEvent(fields.event, data);
  }
}
