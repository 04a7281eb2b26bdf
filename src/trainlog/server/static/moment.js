// The moment: the creature's frame at a time, another run beside it, and the way from above; it can be played.

import { ground, ofRun } from "./colors.js";
import { difference, exact, parseExact, rounded } from "./exact.js";
import { duration, ticks, labels } from "./format.js";
import { element } from "./card.js";
import { address, get } from "./net.js";
import { change } from "./view.js";

/** @typedef {{id: string, slot: number, name: string}} Run */
/** @typedef {{x: string, at?: number, row?: number, nearest?: number, span?: string | null}} Where */
/** @typedef {{run: Run, frame: any, path: any, index: number}} Side one of the runs that are shown */

const FRAME_EVERY = 120; // milliseconds between two frames that are fetched while it plays
const MOST = 400; // numbers of a vector that are shown

export class Moment {
  /**
   * @param {HTMLElement} panel
   * @param {{runs(): Run[], info(id: string): any, axis(): string, mark(run: Run | null, place?: any): void}} page
   */
  constructor(panel, page) {
    Object.assign(this, { panel, page });
    /** @type {Side | null} */
    this.main = null;
    /** @type {Side | null} */
    this.other = null;
    this.turn = 0;
    this.playing = 0;
    this.build();
  }

  build() {
    const head = element("header");
    this.title = element("h2");
    const close = this.icon("×", "Close the moment", "Esc", () => this.close());
    head.append(this.title, close);
    this.when = Object.assign(element("div", "dim"), { ariaLive: "polite" });
    this.scene = Object.assign(element("a", "scene"), { textContent: "3-D", title: "Show the robot at this moment in three dimensions", target: "_blank", rel: "noopener" });
    this.scene.hidden = true;
    this.canvas = element("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", "The way of the creature, seen from above");
    const play = element("div", "play");
    this.button = this.icon("▶", "Play", "space", () => this.toggle());
    this.slider = Object.assign(element("input"), { type: "range", min: 0, max: 0, value: 0 });
    this.slider.setAttribute("aria-label", "Moment");
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.speed = element("select");
    this.speed.setAttribute("aria-label", "Speed");
    for (const times of [1, 4, 16, 64]) this.speed.append(new Option(`${times}×`, times));
    this.speed.value = "16";
    play.append(this.icon("‹", "Previous frame", ",", () => this.step(-1)), this.button, this.icon("›", "Next frame", ".", () => this.step(1)), this.slider, this.speed);
    this.beside = element("select");
    this.beside.addEventListener("change", () => this.setOther(this.beside.value));
    this.besideLabel = element("label", "beside dim");
    this.besideLabel.append("beside ", this.beside);
    this.facts = element("div");
    this.panel.append(head, this.when, this.scene, this.canvas, play, this.besideLabel, this.facts);
    this.canvas.addEventListener("click", (event) => this.pick(event));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /** @param {string} text @param {string} name @param {string} key @param {() => void} act */
  icon(text, name, key, act) {
    const button = Object.assign(element("button", "icon"), { textContent: text, title: `${name} (${key})`, type: "button" });
    button.setAttribute("aria-label", name);
    button.addEventListener("click", act);
    return button;
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

  /** Other runs may be shown by now, or other axes. */
  refresh() {
    if (!this.isOpen || !this.main) return;
    this.fillBeside();
    for (const side of this.sides()) this.loadPath(side);
    this.mark();
  }

  /** @returns {Side[]} */
  sides() { return [this.main, this.other].filter((side) => side !== null); }

  kindOf(run) { return this.page.info(run.id)?.kinds.creature ? "creature" : "stats"; }

  /** Fetch the frame at a place, and that of the other run in the same step. @param {Where} where */
  async load(where) {
    const turn = ++this.turn, { main, other } = this;
    try {
      const frame = await get(`runs/${main.run.id}/frame`, { kind: this.kindOf(main.run), ...where }, parseExact);
      if (turn !== this.turn || main !== this.main) return;
      main.frame = frame;
      this.wanted = null;
      this.seek(main);
      if (other) await this.loadOther(turn);
      if (turn !== this.turn) return;
      this.show();
      this.mark();
      this.draw();
      change({ at: { run: main.run.id, time: frame.time } });
    } catch (error) {
      if (turn !== this.turn) return;
      this.when.textContent = error.message;
      this.facts.replaceChildren();
    }
  }

  /** Two runs are compared in step where both count steps, else by the episode, else by the clock. @param {number} turn */
  async loadOther(turn) {
    const { main, other } = this;
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
    const signature = JSON.stringify(others);
    if (signature !== this.signature) this.beside.replaceChildren(new Option("no other run", ""), ...others.map(({ id, name }) => new Option(name, id)));
    this.signature = signature;
    this.beside.value = this.other?.run.id ?? "";
  }

  /** Show another run beside this one. @param {string} id empty for none */
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
    } catch { /* there is no way to be shown */ }
    if (!this.sides().includes(side)) return;
    side.path = path;
    this.seek(side);
    if (side === this.main) {
      this.canvas.hidden = !path?.x;
      this.slider.max = Math.max((path?.time?.length ?? 1) - 1, 0);
      this.slider.disabled = this.button.disabled = !path;
      this.slider.value = side.index;
    }
    this.draw();
  }

  // The run goes on: the way has become longer.
  async grown() {
    if (!this.isOpen || !this.main || this.playing || Date.now() - (this.loadedAt ?? 0) < 2000) return;
    this.loadedAt = Date.now();
    await this.loadPath(this.main);
  }

  /** The place on the way that is nearest to the frame. @param {Side} side */
  seek(side) {
    const rows = side.path?.row ?? [];
    const row = side.frame?.row ?? 0;
    let best = 0;
    for (let i = 0; i < rows.length; i++) if (Math.abs(rows[i] - row) < Math.abs(rows[best] - row)) best = i;
    side.index = best;
    if (side === this.main) this.slider.value = best;
  }

  mark() {
    const { run, frame } = this.main;
    if (frame) this.page.mark(run, { x: frame.axes[this.page.axis()] ?? null, time: frame.time, step: frame.step });
  }

  /** The frame before this one, or after it. @param {number} by */
  step(by) {
    const frame = this.main?.frame;
    if (!frame) return;
    this.stop();
    const row = (this.wanted ?? frame.row) + by;
    if (row < 0 || row >= frame.rows) return;
    this.wanted = row; // keys may come faster than frames
    this.load({ x: this.page.axis(), row });
  }

  /** Go to a place on the way. @param {number} index */
  go(index) {
    const { main } = this;
    main.index = index;
    this.slider.value = index;
    const { row, time, step, axis } = main.path;
    this.page.mark(main.run, { x: axis[index], time: time[index], step: step?.[index] ?? null });
    this.draw();
    clearTimeout(this.last);
    const wait = FRAME_EVERY - (Date.now() - (this.fetchedAt ?? 0));
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
    if (!times || times.length < 2) return;
    if (main.index >= times.length - 1) main.index = 0;
    this.button.textContent = "❚❚";
    this.button.setAttribute("aria-label", "Pause");
    let at = times[main.index], index = main.index;
    let before = performance.now();
    const step = (now) => {
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
    this.button.setAttribute("aria-label", "Play");
  }

  // --- the frame in words ---

  show() {
    const { run, frame } = this.main;
    const other = this.other?.frame ?? null;
    const inAll = (id, axes) => (this.page.info(id)?.episodes && typeof axes.step === "number" ? ` of episode ${Math.ceil(axes.episode)}, ${exact(axes.step)} in all` : "");
    const words = ({ run: id, time, step, axes, kind, row, rows }) => [duration(time), step === null ? "" : `step ${exact(step)}${inAll(id, axes)}`,
      `${kind} frame ${exact(row + 1)} of ${exact(rows)}`].filter(Boolean).join(" · ");
    this.when.replaceChildren(words(frame), ...(other ? [element("br"), `${this.other.run.name}: ${words(other)}`] : []));
    this.scene.hidden = !(frame.has_model && frame.kind === "creature");
    this.scene.href = address(`runs/${run.id}/replay`, { row: frame.row });
    const mine = flat(frame), its = other ? flat(other) : new Map();
    const units = this.page.info(run.id)?.kinds[frame.kind]?.keys ?? {};
    const table = element("table", "facts-table");
    if (other) this.heading(table);
    const vectors = [];
    for (const key of new Set([...mine.keys(), ...its.keys()])) {
      const value = mine.has(key) ? mine.get(key) : its.get(key);
      if (Array.isArray(value) && (value.length > 3 || frame.elements[key])) vectors.push(key);
      else this.line(table, key, units[key]?.unit, mine.get(key), its.get(key), other);
    }
    this.facts.replaceChildren(table, ...vectors.flatMap((key) => this.vector(key, frame, mine.get(key), its.get(key), other)));
  }

  heading(table) {
    const row = table.createTHead().insertRow();
    for (const text of ["", this.main.run.name, this.other.run.name, "difference"]) row.append(Object.assign(element("th"), { textContent: text, title: text, scope: "col" }));
  }

  line(table, key, unit, a, b, other) {
    const row = table.insertRow();
    row.insertCell().textContent = key;
    const put = (text, title) => Object.assign(row.insertCell(), { textContent: unit && text && text !== "–" ? `${text} ${unit}` : text, title });
    for (const value of other ? [a, b] : [a]) {
      const all = Array.isArray(value) ? value : [value];
      put(brief(all.map((one) => rounded(one, other ? 5 : 9)).join(", ")), all.map(exact).join(", "));
    }
    if (other) put(difference(a, b), "");
  }

  vector(key, frame, a, b, other) {
    const { names = [], units = [] } = frame.elements[key] ?? {};
    const values = a ?? b ?? [];
    const title = Object.assign(element("h3"), { textContent: `${frame.names[key] ?? key}, ${values.length} numbers` });
    const known = (i) => [names[i] ?? i, units[i] && `(${units[i]})`].filter((one) => one !== undefined && one !== "").join(" ");
    if (other) {
      const table = element("table", "facts-table");
      values.slice(0, MOST).forEach((_, i) => this.line(table, known(i), "", a?.[i], b?.[i], other));
      return [title, table];
    }
    const grid = element("div", names.length ? "vector named" : "vector");
    grid.append(...values.slice(0, MOST).map((value, i) => {
      const cell = element("span");
      cell.title = `${known(i)}: ${exact(value)}`;
      cell.append(Object.assign(element("i"), { textContent: names[i] ?? i }), typeof value === "number" ? value.toFixed(Math.abs(value) < 100 ? 3 : 1) : exact(value));
      if (units[i]) cell.append(Object.assign(element("i"), { className: "unit", textContent: units[i] }));
      return cell;
    }));
    return [title, grid];
  }

  // --- the way from above ---

  draw() {
    const { canvas } = this;
    const sides = this.sides().filter(({ path }) => path?.x);
    if (!this.main?.path?.x || !canvas.clientWidth) return;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const tones = ground();
    const place = this.place = this.scale(sides, width, height);
    this.paintGrid(pen, tones, place, width, height);
    for (const side of sides.toReversed()) this.paintWay(pen, tones, place, side);
  }

  /** @param {Side[]} sides @param {number} width @param {number} height */
  scale(sides, width, height) {
    const { position } = this.main.path;
    const range = (lists) => {
      let low = Infinity, high = -Infinity;
      for (const list of lists) for (const value of list) if (typeof value === "number") { low = Math.min(low, value); high = Math.max(high, value); }
      return low <= high ? [low, high] : [0, 1];
    };
    const [x0, x1] = range(sides.flatMap(({ path }) => [path.x, ...things(path).map((one) => one.x)]));
    const [y0, y1] = range(sides.flatMap(({ path }) => [path.y, ...things(path).map((one) => one.y)]));
    const left = 34, right = 10, top = 10, bottom = 22;
    let sx = (width - left - right) / Math.max(x1 - x0, 1e-9), sy = (height - top - bottom) / Math.max(y1 - y0, 1e-9);
    if (position) sx = sy = Math.min(sx, sy, 400); // metres are as long in both directions
    sx *= 0.94; sy *= 0.94;
    const cx = left + (width - left - right) / 2, cy = top + (height - top - bottom) / 2;
    return { X: (v) => cx + (v - (x0 + x1) / 2) * sx, Y: (v) => cy - (v - (y0 + y1) / 2) * sy,
      x: (p) => (p - cx) / sx + (x0 + x1) / 2, y: (p) => (cy - p) / sy + (y0 + y1) / 2, left, top, bottom, right };
  }

  paintGrid(pen, tones, { X, Y, x, y, left, top, bottom, right }, width, height) {
    pen.font = "10px system-ui, sans-serif";
    pen.fillStyle = tones.dim;
    pen.strokeStyle = tones.grid;
    const xs = ticks(x(left), x(width - right), 5), ys = ticks(y(height - bottom), y(top), 4);
    const xl = labels(xs), yl = labels(ys);
    pen.textAlign = "center";
    xs.forEach((v, i) => { pen.beginPath(); pen.moveTo(X(v), top); pen.lineTo(X(v), height - bottom); pen.stroke(); pen.fillText(xl[i], X(v), height - 10); });
    pen.textAlign = "right";
    ys.forEach((v, i) => { pen.beginPath(); pen.moveTo(left, Y(v)); pen.lineTo(width - right, Y(v)); pen.stroke(); pen.fillText(yl[i], left - 4, Y(v) + 3); });
    pen.textAlign = "right";
    pen.fillText(this.main.path.labels[0], width - 8, height - 26);
    pen.textAlign = "left";
    pen.fillText(this.main.path.labels[1], left + 3, top + 9);
  }

  /** @param {Side} side */
  paintWay(pen, tones, { X, Y }, { path, index, run }) {
    const { x, y, position } = path;
    const jump = position ? typicalStep(x, y) * 12 : Infinity; // the creature was put back to its start
    pen.strokeStyle = ofRun(run.slot);
    for (const [from, to, alpha] of [[0, x.length - 1, 0.22], [Math.max(0, index - 120), index, 0.9]]) {
      pen.globalAlpha = alpha;
      pen.lineWidth = alpha > 0.5 ? 2 : 1.2;
      pen.beginPath();
      let down = false;
      for (let i = from; i <= to; i++) {
        if (typeof x[i] !== "number") { down = false; continue; }
        if (down && Math.hypot(x[i] - x[i - 1], y[i] - y[i - 1]) > jump) down = false;
        if (down) pen.lineTo(X(x[i]), Y(y[i])); else pen.moveTo(X(x[i]), Y(y[i]));
        down = true;
      }
      pen.stroke();
    }
    pen.globalAlpha = 1;
    for (const thing of things(path)) {
      if (typeof thing.x[index] !== "number") continue;
      pen.fillStyle = "#f08c00";
      pen.beginPath(); pen.arc(X(thing.x[index]), Y(thing.y[index]), 6, 0, 7); pen.fill();
    }
    if (typeof x[index] === "number") {
      pen.fillStyle = this.other ? ofRun(run.slot) : tones.accent;
      pen.strokeStyle = tones.card;
      pen.lineWidth = 2;
      pen.beginPath(); pen.arc(X(x[index]), Y(y[index]), 6, 0, 7); pen.fill(); pen.stroke();
    }
  }

  // A click on the way goes to the nearest moment there.
  pick(event) {
    const path = this.main?.path;
    if (!path?.x || !this.place) return;
    const box = this.canvas.getBoundingClientRect();
    const px = event.clientX - box.left, py = event.clientY - box.top;
    let best = -1, least = 30;
    path.x.forEach((x, i) => {
      const far = typeof x === "number" ? Math.hypot(this.place.X(x) - px, this.place.Y(path.y[i]) - py) : Infinity;
      if (far < least) { least = far; best = i; }
    });
    if (best >= 0) { this.stop(); this.go(best); }
  }
}

// What else has a place on a way: a ball.
const things = (path) => path.objects.map((name) => ({ x: path[`${name}_x`] ?? [], y: path[`${name}_y`] ?? [] }));

/** The values of a frame by key; what JSON has no number for is a word. @param {any} frame @returns {Map<string, any>} */
function flat(frame) {
  const found = new Map();
  const put = (data, before) => {
    for (const [key, value] of Object.entries(data)) {
      const name = before + key;
      if (value && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length) put(value, `${name}/`);
      else found.set(name, frame.no_numbers[name] ?? value);
    }
  };
  put(frame.data, "");
  return found;
}

function brief(text) { return text.length > 120 ? `${text.slice(0, 120)}…` : text; }

function typicalStep(x, y) {
  const steps = [];
  for (let i = 1; i < x.length; i++) if (typeof x[i] === "number" && typeof x[i - 1] === "number") steps.push(Math.hypot(x[i] - x[i - 1], y[i] - y[i - 1]));
  steps.sort((a, b) => a - b);
  return Math.max(steps[Math.floor(steps.length * 0.9)] ?? 0, 1e-6);
}
