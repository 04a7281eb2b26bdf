// The moment: the creature's frame at a time, and where it was then, seen from above; it can be played.

import { ground, ofRun } from "./colors.js";
import { duration, number, ticks, labels } from "./format.js";
import { element } from "./card.js";
import { get } from "./net.js";
import { change, view } from "./view.js";

const FRAME_EVERY = 120; // milliseconds between two frames that are fetched while it plays

export class Moment {
  // page: {runs(), info(id), toAxis(run, time, step)}
  constructor(panel, page, hub) {
    Object.assign(this, { panel, page, hub });
    this.path = null;
    this.index = 0;
    this.playing = 0;
    this.build();
  }

  build() {
    const head = element("header");
    this.title = element("h2");
    const close = Object.assign(element("button", "icon"), { textContent: "×", title: "Close (Esc)" });
    close.setAttribute("aria-label", "Close the moment");
    close.addEventListener("click", () => this.close());
    head.append(this.title, close);
    this.when = element("div", "dim");
    this.scene = Object.assign(element("a", "scene"), { textContent: "3-D", title: "Show the robot at this moment in three dimensions", target: "_blank", rel: "noopener" });
    this.scene.hidden = true;
    this.canvas = element("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", "The way of the creature, seen from above");
    const play = element("div", "play");
    this.button = Object.assign(element("button", "icon"), { textContent: "▶", title: "Play (space)" });
    this.button.setAttribute("aria-label", "Play");
    this.button.addEventListener("click", () => this.toggle());
    this.slider = Object.assign(element("input"), { type: "range", min: 0, max: 0, value: 0 });
    this.slider.setAttribute("aria-label", "Moment");
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.speed = element("select");
    this.speed.setAttribute("aria-label", "Speed");
    for (const times of [1, 4, 16, 64]) this.speed.append(new Option(`${times}×`, times));
    this.speed.value = "16";
    play.append(this.button, this.slider, this.speed);
    this.facts = element("div");
    this.panel.append(head, this.when, this.scene, this.canvas, play, this.facts);
    this.canvas.addEventListener("click", (event) => this.pick(event));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  async open(run, where) {
    this.panel.hidden = false;
    const same = this.run?.id === run.id;
    this.run = run;
    this.title.textContent = run.name;
    this.title.title = run.name;
    try {
      const kind = this.page.info(run.id)?.kinds.creature ? "creature" : "stats";
      const frame = await get(`runs/${run.id}/frame`, { kind, ...where });
      this.show(frame);
      if (!same || !this.path) await this.loadPath();
      this.seek(frame.time);
      change({ at: { run: run.id, time: frame.time } });
    } catch (error) {
      this.when.textContent = error.message;
      this.facts.replaceChildren();
    }
  }

  close() {
    this.stop();
    this.panel.hidden = true;
    this.hub.setMoment(null);
    change({ at: null });
  }

  get isOpen() { return !this.panel.hidden; }

  async loadPath() {
    const run = this.run;
    try {
      const path = await get(`runs/${run.id}/path`, { points: 2000 });
      if (this.run !== run) return;
      this.path = path;
    } catch {
      this.path = null;
    }
    const way = this.path?.x;
    this.canvas.hidden = !way;
    this.slider.max = Math.max((this.path?.time?.length ?? 1) - 1, 0);
    this.slider.disabled = this.button.disabled = !this.path;
    this.draw();
  }

  // The run goes on: the way has become longer.
  async grown() {
    if (!this.isOpen || this.playing || Date.now() - (this.loadedAt ?? 0) < 2000) return;
    this.loadedAt = Date.now();
    const time = this.path?.time?.[this.index];
    await this.loadPath();
    if (time !== undefined) this.seek(time);
  }

  seek(time) {
    const times = this.path?.time ?? [];
    let best = 0;
    for (let i = 0; i < times.length; i++) if (Math.abs(times[i] - time) < Math.abs(times[best] - time)) best = i;
    this.index = best;
    this.slider.value = best;
    this.mark(time, this.frame?.step ?? null);
    this.draw();
  }

  mark(time, step) { this.hub.setMoment(this.page.toAxis(this.run, time, step)); }

  async go(index) {
    this.index = index;
    this.slider.value = index;
    const { time, step } = this.path;
    this.mark(time[index], step?.[index] ?? null);
    this.draw();
    if (Date.now() - (this.fetchedAt ?? 0) < FRAME_EVERY) {
      clearTimeout(this.last);
      this.last = setTimeout(() => this.go(this.index), FRAME_EVERY);
      return;
    }
    this.fetchedAt = Date.now();
    try {
      this.show(await get(`runs/${this.run.id}/frame`, { kind: "creature", at: time[index] }));
      change({ at: { run: this.run.id, time: time[index] } });
    } catch (error) {
      this.when.textContent = error.message;
    }
  }

  toggle() { if (this.playing) this.stop(); else this.play(); }

  play() {
    const times = this.path?.time;
    if (!times || times.length < 2) return;
    if (this.index >= times.length - 1) this.index = 0;
    this.button.textContent = "❚❚";
    this.button.setAttribute("aria-label", "Pause");
    let at = times[this.index];
    let before = performance.now();
    const step = (now) => {
      at += ((now - before) / 1000) * Number(this.speed.value);
      before = now;
      let next = this.index;
      while (next + 1 < times.length && times[next + 1] <= at) next++;
      if (next !== this.index) this.go(next);
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

  show(frame) {
    this.frame = frame;
    const { step, names } = frame;
    this.when.textContent = [`${duration(frame.time)}`, step === null ? "" : `step ${number(step)}`,
      `${frame.kind} frame ${number(frame.row + 1)} of ${number(frame.rows)}`].filter(Boolean).join(" · ");
    this.scene.hidden = !(frame.has_model && frame.kind === "creature");
    this.scene.href = `/api/v1/runs/${this.run.id}/replay?row=${frame.row}`;
    const keys = this.page.info(this.run.id)?.kinds[frame.kind]?.keys ?? {};
    const table = element("table", "facts-table");
    const vectors = [];
    for (const [key, value] of Object.entries(frame.data)) {
      if (Array.isArray(value) && (value.length > 3 || frame.elements[key])) { vectors.push([key, value]); continue; }
      const row = table.insertRow();
      row.insertCell().textContent = key;
      const text = Array.isArray(value) ? value.map(number).join(", ") : typeof value === "object" && value ? brief(JSON.stringify(value)) : number(value);
      row.insertCell().textContent = keys[key]?.unit ? `${text} ${keys[key].unit}` : text;
    }
    this.facts.replaceChildren(table, ...vectors.flatMap(([key, values]) => {
      const title = Object.assign(element("h3"), { textContent: `${names[key] ?? key}, ${values.length} numbers` });
      const { names: named = [], units = [] } = frame.elements[key] ?? {};
      const grid = element("div", named.length ? "vector named" : "vector");
      grid.append(...values.slice(0, 400).map((value, i) => {
        const cell = element("span");
        cell.title = [named[i], units[i] && `(${units[i]})`].filter(Boolean).join(" ");
        cell.append(Object.assign(element("i"), { textContent: named[i] ?? i }), typeof value === "number" ? value.toFixed(Math.abs(value) < 100 ? 3 : 1) : number(value));
        if (units[i]) cell.append(Object.assign(element("i"), { className: "unit", textContent: units[i] }));
        return cell;
      }));
      return [title, grid];
    }));
  }

  // --- the way from above ---

  draw() {
    const { path, canvas } = this;
    if (!path?.x || !canvas.clientWidth) return;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const tones = ground();
    const place = this.place = this.scale(width, height);
    this.paintGrid(pen, tones, place, width, height);
    this.paintWay(pen, tones, place);
  }

  scale(width, height) {
    const { x, y, position } = this.path;
    const things = this.things();
    const range = (values) => {
      let low = Infinity, high = -Infinity;
      for (const value of values) if (typeof value === "number") { low = Math.min(low, value); high = Math.max(high, value); }
      return low <= high ? [low, high] : [0, 1];
    };
    const [x0, x1] = range([x, ...things.map((one) => one.x)].flat()), [y0, y1] = range([y, ...things.map((one) => one.y)].flat());
    const left = 34, right = 10, top = 10, bottom = 22;
    let sx = (width - left - right) / Math.max(x1 - x0, 1e-9), sy = (height - top - bottom) / Math.max(y1 - y0, 1e-9);
    if (position) sx = sy = Math.min(sx, sy, 400); // metres are as long in both directions
    sx *= 0.94; sy *= 0.94;
    const cx = left + (width - left - right) / 2, cy = top + (height - top - bottom) / 2;
    return { X: (v) => cx + (v - (x0 + x1) / 2) * sx, Y: (v) => cy - (v - (y0 + y1) / 2) * sy,
      x: (p) => (p - cx) / sx + (x0 + x1) / 2, y: (p) => (cy - p) / sy + (y0 + y1) / 2, left, top, bottom, right };
  }

  // What else has a place: a ball.
  things() { return this.path.objects.map((name) => ({ x: this.path[`${name}_x`] ?? [], y: this.path[`${name}_y`] ?? [] })); }

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
    pen.fillText(this.path.labels[0], width - 8, height - 26);
    pen.textAlign = "left";
    pen.fillText(this.path.labels[1], left + 3, top + 9);
  }

  paintWay(pen, tones, { X, Y }) {
    const { x, y, position } = this.path;
    const jump = position ? typicalStep(x, y) * 12 : Infinity; // the creature was put back to its start
    const color = ofRun(this.run.slot);
    for (const [from, to, alpha] of [[0, x.length - 1, 0.22], [Math.max(0, this.index - 120), this.index, 0.9]]) {
      pen.strokeStyle = color;
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
    const i = this.index;
    for (const thing of this.things()) {
      if (typeof thing.x[i] !== "number") continue;
      pen.fillStyle = "#f08c00";
      pen.beginPath(); pen.arc(X(thing.x[i]), Y(thing.y[i]), 6, 0, 7); pen.fill();
    }
    if (typeof x[i] === "number") {
      pen.fillStyle = tones.accent;
      pen.strokeStyle = tones.card;
      pen.lineWidth = 2;
      pen.beginPath(); pen.arc(X(x[i]), Y(y[i]), 6, 0, 7); pen.fill(); pen.stroke();
    }
  }

  // A click on the way goes to the nearest moment there.
  pick(event) {
    if (!this.path?.x || !this.place) return;
    const box = this.canvas.getBoundingClientRect();
    const px = event.clientX - box.left, py = event.clientY - box.top;
    let best = -1, least = 30;
    this.path.x.forEach((x, i) => {
      const far = typeof x === "number" ? Math.hypot(this.place.X(x) - px, this.place.Y(this.path.y[i]) - py) : Infinity;
      if (far < least) { least = far; best = i; }
    });
    if (best >= 0) this.go(best);
  }
}

function brief(text) { return text.length > 120 ? `${text.slice(0, 120)}…` : text; }

function typicalStep(x, y) {
  const steps = [];
  for (let i = 1; i < x.length; i++) if (typeof x[i] === "number" && typeof x[i - 1] === "number") steps.push(Math.hypot(x[i] - x[i - 1], y[i] - y[i - 1]));
  steps.sort((a, b) => a - b);
  return Math.max(steps[Math.floor(steps.length * 0.9)] ?? 0, 1e-6);
}
