// The moment: the creature's frame at a time, optionally with another run, and its path from above; it can be played.

import { difference, exact, parseExact, rounded } from "./exact.js";
import { button, choices, element } from "./element.js";
import { duration, flat } from "./format.js";
import { address, get, messageOf } from "./net.js";
import { change } from "./view.js";
import { drawPaths, environments, nearestPlace } from "./path.js";

/** @typedef {{id: string, slot: number, name: string}} Run */
/** @typedef {{x: string, at?: number, row?: number, nearest?: number, span?: string | null}} Where */
/** @typedef {{run: Run, frame: any, path: any, index: number}} Side one of the shown runs */

const FRAME_EVERY = 120; // milliseconds between fetched frames while it plays
const MOST = 400; // shown numbers of a vector

export class Moment {
  /**
   * @param {HTMLElement} panel
   * @param {{runs(): Run[], info(id: string): any, axis(): string, mark(run: Run | null, place?: any): void}} page
   */
  constructor(panel, page) {
    this.panel = panel;
    this.page = page;
    /** @type {import("./path.js").Place | null} */
    this.place = null;
    /** @type {number | null} the requested row, while it is fetched */
    this.wanted = null;
    this.loadedAt = this.fetchedAt = this.last = 0;
    /** @type {Side | null} */
    this.main = null;
    /** @type {Side | null} */
    this.other = null;
    this.turn = 0;
    this.playing = 0;
    this.title = element("h2");
    const head = element("header", "", {}, this.title, icon("×", "Close the moment", "Esc", () => this.close()));
    this.when = element("div", "dim", { ariaLive: "polite" });
    this.scene = element("a", "scene", { textContent: "3-D", title: "Show the robot at this moment in three dimensions", target: "_blank", rel: "noopener", hidden: true });
    this.canvas = element("canvas", "", { role: "img" });
    this.button = icon("▶", "Play", "space", () => this.toggle());
    this.slider = element("input", "", { type: "range", min: "0", max: "0", value: "0", ariaLabel: "Moment" });
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.speed = element("select", "", { ariaLabel: "Speed" }, ...[1, 4, 16, 64].map((times) => new Option(`${times}×`, String(times))));
    this.speed.value = "16";
    const [back, on] = [icon("‹", "Previous frame", ",", () => this.step(-1)), icon("›", "Next frame", ".", () => this.step(1))];
    const play = element("div", "play", {}, back, this.button, on, this.slider, this.speed);
    this.beside = element("select");
    this.beside.addEventListener("change", () => this.setOther(this.beside.value));
    this.besideLabel = element("label", "beside dim", {}, "beside ", this.beside);
    this.facts = element("div");
    this.panel.append(head, this.when, this.scene, this.canvas, play, this.besideLabel, this.facts);
    this.canvas.addEventListener("click", (event) => this.pick(event));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  get isOpen() { return !this.panel.hidden; }

  /** Show the frame of a run at a place. @param {Run} run @param {Where} where */
  async open(run, where) {
    this.panel.hidden = false;
    if (this.main?.run.id !== run.id) this.main = { run, frame: null, path: null, index: 0 };
    this.main.run = run;
    if (this.other?.run.id === run.id) this.other = null;
    this.title.textContent = this.title.title = run.name;
    this.fillBeside();
    await this.load(where);
    if (this.main?.run.id === run.id && !this.main.path) await this.loadPath(this.main);
  }

  close() {
    this.stop();
    this.panel.hidden = true;
    this.page.mark(null);
    change({ at: null });
  }

  /** Update after a change of the shown runs or axes. */
  refresh() {
    if (!this.isOpen || !this.main) return;
    this.fillBeside();
    for (const side of this.sides()) this.loadPath(side);
    this.mark();
  }

  /** @returns {Side[]} */
  sides() { return [this.main, this.other].filter((side) => side !== null); }

  /** @param {Run} run */
  kindOf(run) { return this.page.info(run.id)?.kinds.creature ? "creature" : "stats"; }

  /** Fetch the frame at a place, and that of the other run at the same step. @param {Where} where */
  async load(where) {
    const turn = ++this.turn, { main, other } = this;
    if (!main) return;
    try {
      const frame = await get(`runs/${main.run.id}/frame`, { kind: this.kindOf(main.run), ...where }, parseExact);
      if (turn !== this.turn || main !== this.main) return;
      main.frame = frame;
      this.wanted = null;
      this.seek(main);
      if (other) await this.loadOther(turn, main, other);
      if (turn !== this.turn) return;
      this.show();
      this.mark();
      this.draw();
      change({ at: { run: main.run.id, time: frame.time, row: frame.row } }); // of frames at the same time, the row is this one
    } catch (error) {
      if (turn !== this.turn) return;
      this.when.textContent = messageOf(error);
      this.facts.replaceChildren();
    }
  }

  /** Two runs are compared by step if both have steps, else by episode, else by time. @param {number} turn @param {Side} main @param {Side} other */
  async loadOther(turn, main, other) {
    const axis = ["step", "episode", "time"].find((one) => typeof main.frame.axes[one] === "number" && this.page.info(other.run.id)?.axes.includes(one)) ?? "time";
    try {
      const frame = await get(`runs/${other.run.id}/frame`, { kind: this.kindOf(other.run), x: axis, at: main.frame.axes[axis], nearest: 1 }, parseExact);
      if (turn !== this.turn) return;
      other.frame = frame;
      this.seek(other);
    } catch {
      if (turn === this.turn) other.frame = null;
    }
    if (!other.path) this.loadPath(other);
  }

  fillBeside() {
    const others = this.page.runs().filter(({ id }) => id !== this.main?.run.id);
    if (!others.some(({ id }) => id === this.other?.run.id)) this.other = null;
    this.besideLabel.hidden = !others.length;
    choices(this.beside, { "": "no other run", ...Object.fromEntries(others.map(({ id, name }) => [id, name])) }, this.other?.run.id ?? "");
  }

  /** Show another run next to this one. @param {string} id empty for none */
  setOther(id) {
    const run = this.page.runs().find((one) => one.id === id);
    this.other = run ? { run, frame: null, path: null, index: 0 } : null;
    if (this.main?.frame) this.load({ x: this.page.axis(), row: this.main.frame.row });
  }

  /** @param {Side} side */
  async loadPath(side) {
    let path = null;
    try {
      path = await get(`runs/${side.run.id}/path`, { points: 2000, x: this.page.axis() });
    } catch { /* there is no path to show */ }
    if (!this.sides().includes(side)) return;
    side.path = path;
    this.seek(side);
    if (side === this.main) {
      this.canvas.hidden = !path?.x;
      this.slider.max = String(Math.max((path?.time?.length ?? 1) - 1, 0));
      this.slider.disabled = this.button.disabled = !path;
      this.slider.value = String(side.index);
    }
    this.draw();
  }

  // The run continues, and the path has become longer.
  async grown() {
    if (!this.isOpen || !this.main || this.playing || Date.now() - this.loadedAt < 2000) return;
    this.loadedAt = Date.now();
    await this.loadPath(this.main);
  }

  /** The place on the path nearest to the frame. @param {Side} side */
  seek(side) {
    const rows = side.path?.row ?? [];
    const row = side.frame?.row ?? 0;
    let best = 0;
    for (let i = 0; i < rows.length; i++) if (Math.abs(rows[i] - row) < Math.abs(rows[best] - row)) best = i;
    side.index = best;
    if (side === this.main) this.slider.value = String(best);
  }

  mark() {
    const { run, frame } = this.main ?? {};
    if (run && frame) this.page.mark(run, { x: frame.axes[this.page.axis()] ?? null, time: frame.time, step: frame.step });
  }

  /** Go to the previous or the next frame. @param {number} by */
  step(by) {
    const frame = this.main?.frame;
    if (!frame) return;
    this.stop();
    const row = (this.wanted ?? frame.row) + by;
    if (row < 0 || row >= frame.rows) return;
    this.wanted = row; // keys can repeat faster than frames arrive
    this.load({ x: this.page.axis(), row });
  }

  /** Go to a place on the path. @param {number} index */
  go(index) {
    const { main } = this;
    if (!main?.path) return;
    main.index = index;
    this.slider.value = String(index);
    const { row, time, step, axis } = main.path;
    this.page.mark(main.run, { x: axis[index], time: time[index], step: step?.[index] ?? null });
    this.draw();
    clearTimeout(this.last);
    const wait = FRAME_EVERY - (Date.now() - this.fetchedAt);
    if (wait > 0) {
      this.last = setTimeout(() => this.main === main && this.go(main.index), wait);
      return;
    }
    this.fetchedAt = Date.now();
    this.load({ x: this.page.axis(), row: row[index] });
  }

  toggle() { if (this.playing) this.stop(); else this.play(); }

  play() {
    const { main } = this;
    const times = main?.path?.time;
    if (!main || !times || times.length < 2) return;
    if (main.index >= times.length - 1) main.index = 0;
    this.button.textContent = "❚❚";
    this.button.ariaLabel = "Pause";
    let at = times[main.index], index = main.index;
    let before = performance.now();
    const step = (/** @type {number} */ now) => {
      at += ((now - before) / 1000) * Number(this.speed.value);
      before = now;
      let next = index;
      while (next + 1 < times.length && times[next + 1] <= at) next++;
      if (next !== index) this.go(index = next);
      if (next >= times.length - 1) { this.stop(); return; }
      this.playing = requestAnimationFrame(step);
    };
    this.playing = requestAnimationFrame(step);
  }

  stop() {
    cancelAnimationFrame(this.playing);
    this.playing = 0;
    this.button.textContent = "▶";
    this.button.ariaLabel = "Play";
  }

  // --- the frame in words ---

  show() {
    if (!this.main) return;
    const { run, frame } = this.main;
    const other = this.other?.frame ?? null;
    const inAll = (/** @type {string} */ id, /** @type {Record<string, number>} */ axes) => (this.page.info(id)?.episodes && typeof axes.step === "number" ? ` of episode ${Math.ceil(axes.episode)}, ${exact(axes.step)} in all` : "");
    const words = (/** @type {any} */ { run: id, time, step, axes, kind, row, rows }) => [duration(time), step === null ? "" : `step ${exact(step)}${inAll(id, axes)}`,
      `${kind} frame ${exact(row + 1)} of ${exact(rows)}`].filter(Boolean).join(" · ");
    this.when.replaceChildren(words(frame), ...(other ? [element("br"), `${this.other?.run.name}: ${words(other)}`] : []));
    this.scene.hidden = !(frame.has_model && frame.kind === "creature");
    this.scene.href = address(`runs/${run.id}/replay`, { row: frame.row });
    const mine = valuesOf(frame), its = other ? valuesOf(other) : new Map();
    const units = this.page.info(run.id)?.kinds[frame.kind]?.keys ?? {};
    const table = element("table", "facts-table");
    if (other) this.heading(table);
    const vectors = [];
    for (const key of new Set([...mine.keys(), ...its.keys()])) {
      const value = mine.has(key) ? mine.get(key) : its.get(key);
      if (Array.isArray(value) && (value.length > 3 || own(frame.elements, key))) vectors.push(key);
      else this.line(table, key, own(units, key)?.unit, mine.get(key), its.get(key), other);
    }
    this.facts.replaceChildren(table, ...vectors.flatMap((key) => this.vector(key, frame, mine.get(key), its.get(key), other)));
  }

  /** @param {HTMLTableElement} table */
  heading(table) {
    const row = table.createTHead().insertRow();
    row.insertCell();
    for (const text of [...this.sides().map((side) => side.run.name), "difference"]) row.append(element("th", "", { textContent: text, title: text, scope: "col" }));
  }

  /** @param {HTMLTableElement} table @param {string} key @param {string | undefined} unit @param {any} a @param {any} b @param {any} other */
  line(table, key, unit, a, b, other) {
    const row = table.insertRow();
    row.insertCell().textContent = key;
    const put = (/** @type {string} */ text, /** @type {string} */ title) => Object.assign(row.insertCell(), { textContent: unit && text && text !== "–" ? `${text} ${unit}` : text, title });
    for (const value of other ? [a, b] : [a]) {
      const all = Array.isArray(value) ? value : [value];
      put(brief(all.map((one) => rounded(one, other ? 5 : 9)).join(", ")), all.map(exact).join(", "));
    }
    if (other) put(difference(a, b), "");
  }

  /** @param {string} key @param {any} frame @param {any[] | undefined} a @param {any[] | undefined} b @param {any} other */
  vector(key, frame, a, b, other) {
    const { names = [], units = [] } = own(frame.elements, key) ?? {};
    const values = a ?? b ?? [];
    const title = element("h3", "", { textContent: `${own(frame.names, key) ?? key}, ${values.length} numbers` });
    const known = (/** @type {number} */ i) => [names[i] ?? i, units[i] && `(${units[i]})`].filter((one) => one !== undefined && one !== "").join(" ");
    if (other) {
      const table = element("table", "facts-table");
      values.slice(0, MOST).forEach((_, i) => this.line(table, known(i), "", a?.[i], b?.[i], other));
      return [title, table];
    }
    const grid = element("div", names.length ? "vector named" : "vector");
    grid.append(...values.slice(0, MOST).map((value, i) => {
      const text = typeof value === "number" ? value.toFixed(Math.abs(value) < 100 ? 3 : 1) : exact(value);
      const cell = element("span", "", { title: `${known(i)}: ${exact(value)}` }, element("i", "", {}, String(names[i] ?? i)), text);
      if (units[i]) cell.append(element("i", "unit", { textContent: units[i] }));
      return cell;
    }));
    return [title, grid];
  }

  // --- the path from above ---

  draw() {
    const sides = this.main?.path?.x ? this.sides().filter(({ path }) => path?.x) : [];
    this.place = drawPaths(this.canvas, sides);
    this.canvas.ariaLabel = ["The path of the creature, seen from above", environments(sides)].filter(Boolean).join(", ");
  }

  // A click on the path goes to the nearest moment there.
  /** @param {MouseEvent} event */
  pick(event) {
    if (!this.main || !this.place) return;
    const box = this.canvas.getBoundingClientRect();
    const best = nearestPlace(this.main.path, this.place, event.clientX - box.left, event.clientY - box.top);
    if (best >= 0) { this.stop(); this.go(best); }
  }
}

/** @param {string} text @param {string} name @param {string} key @param {() => void} act */
const icon = (text, name, key, act) => button(text, act, "icon", name, `${name} (${key})`);

/** The value of a key, which can be called constructor. @param {Record<string, any>} map @param {string} key */
const own = (map, key) => (Object.hasOwn(map, key) ? map[key] : undefined);

/** The values of a frame by key; NaN and infinities, which JSON lacks, are texts. @param {any} frame @returns {Map<string, any>} */
const valuesOf = (frame) => new Map(Object.entries(flat(frame.data)).map(([key, value]) => [key, own(frame.no_numbers, key) ?? value]));

/** @param {string} text */
function brief(text) { return text.length > 120 ? `${text.slice(0, 120)}…` : text; }
