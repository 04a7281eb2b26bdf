// A chart on the page with its data: loads when it comes on the screen, grows while the run does.

import { Chart } from "./chart.js";
import { named, ofRun, ofText } from "./colors.js";
import { csvAddress, curve } from "./net.js";
import { changeCard, ofCard, view } from "./view.js";

const AGAIN = 300; // milliseconds until the next look at a file that is being read

export class Card {
  // spec: {id, title, unit, kind, series: [{key, label, color, where}], wide, thresholds, range, strip}
  // page: {runs(), info(id), events(id), span()}
  constructor(spec, hub, page) {
    this.spec = spec;
    this.hub = hub;
    this.page = page;
    this.lines = [];
    this.visible = false;
    this.stale = true;
    this.turn = 0;
    this.build();
  }

  build() {
    const { spec } = this;
    this.element = element("section", `card${spec.wide || ofCard(spec.id).wide ? " wide" : ""}`);
    this.element.dataset.card = spec.id;
    const head = element("header");
    const title = element("h3");
    title.textContent = spec.title;
    title.title = spec.series.map(({ key }) => key).join(", ");
    if (spec.unit) title.append(" ", Object.assign(element("small"), { textContent: `(${spec.unit})` }));
    this.note = element("span", "note");
    this.more = element("details", "more");
    const summary = Object.assign(element("summary"), { textContent: "⋯" });
    summary.setAttribute("aria-label", `More for ${spec.title}`);
    this.menu = element("div");
    this.more.append(summary, this.menu);
    this.more.addEventListener("toggle", () => this.more.open && this.fillMenu());
    this.more.addEventListener("focusout", (event) => { if (event.relatedTarget && !this.more.contains(event.relatedTarget)) this.more.open = false; });
    head.append(title, this.note, this.more);
    this.legend = element("div", "legend");
    this.plot = element("div", `plot${spec.strip ? " low" : ""}`);
    this.element.append(head, this.legend, this.plot);
  }

  // --- on and off the screen ---

  show(visible) {
    if (visible === this.visible) return;
    this.visible = visible;
    if (visible) {
      this.hub.cards.add(this);
      this.chart ??= new Chart(this.plot, this.hub, this.spec);
      if (this.stale) this.load();
      else this.settle();
    } else {
      this.hub.cards.delete(this);
      this.chart?.destroy();
      this.chart = null;
    }
  }

  refresh() {
    this.stale = true;
    if (this.visible) this.load();
  }

  // --- data ---

  wanted() {
    const span = this.page.span();
    const found = [];
    for (const run of this.page.runs()) {
      if (span && run.id !== span.run) continue;
      const keys = this.page.info(run.id)?.kinds[this.spec.kind]?.keys ?? {};
      this.spec.series.forEach((one, place) => { if (keys[one.key]) found.push({ run, one, place, isText: keys[one.key].shape === "text" }); });
    }
    return found;
  }

  parameters(one) {
    const span = this.page.span();
    const zoom = this.hub.zoom;
    const wide = Math.max(this.plot.clientWidth, 300);
    const points = Math.min(4 * Math.ceil(wide / 100) * 100, 8000);
    const pad = zoom ? (zoom[1] - zoom[0]) * 0.02 : 0;
    return {
      kind: this.spec.kind, x: this.page.axis(), points, where: one.where ?? null,
      from: zoom ? zoom[0] - pad : null, to: zoom ? zoom[1] + pad : null,
      smooth: view.smooth && !this.spec.strip ? view.smooth : null,
      span: span ? `${span.from}:${span.to}` : null,
    };
  }

  async load() {
    const turn = ++this.turn;
    this.stale = false;
    clearTimeout(this.timer);
    const asked = this.wanted();
    try {
      const answers = await Promise.all(asked.map(({ run, one }) => curve(run.id, one.key, this.parameters(one))));
      if (turn !== this.turn) return;
      const several = new Set(asked.map(({ run }) => run.id)).size > 1;
      this.lines = asked.map((each, i) => new Line(each, answers[i], several, this.spec)).filter((line) => line.curve);
      const progress = Math.min(1, ...answers.map((answer) => answer.progress));
      this.showProgress(progress);
      if (progress < 1) this.timer = setTimeout(() => this.visible && this.load(), AGAIN);
      this.settle();
    } catch (error) {
      if (turn !== this.turn) return;
      this.note.textContent = error.message;
      if (error.status === 409 || error.status === 503 || error instanceof TypeError) this.timer = setTimeout(() => this.refresh(), 1500);
    }
  }

  showProgress(progress) {
    this.bar?.remove();
    this.bar = null;
    if (progress >= 1) return;
    this.bar = element("div", "progress");
    this.bar.style.width = `${Math.round(progress * 100)}%`;
    this.plot.append(this.bar);
  }

  // New rows of a run, from the live stream.
  take(message) {
    if (message.kind !== this.spec.kind || this.page.span()) return;
    let grown = false;
    for (const line of this.lines) {
      if (line.run.id !== message.run) continue;
      if (!this.visible || !line.append(message, this.page, this.hub.zoom)) { this.stale = true; continue; }
      grown = true;
    }
    if (!this.lines.length) this.stale = true;
    if (this.stale && this.visible && !this.soon) this.soon = setTimeout(() => { this.soon = 0; this.refresh(); }, 400);
    if (grown) this.settle();
  }

  // The lines changed: give them to the chart.
  settle() {
    for (const line of this.lines) line.smoothen();
    if (!this.chart) return;
    this.chart.series = this.lines.map((line) => line.drawn());
    this.chart.events = this.page.runs().flatMap((run) => this.page.events(run.id));
    const thinned = this.lines.some((line) => line.thinned);
    const infinite = this.lines.reduce((sum, line) => sum + (line.curve.infinite ?? 0), 0);
    this.note.textContent = [thinned ? "thinned" : "", infinite ? `${infinite} ∞` : ""].filter(Boolean).join(" · ");
    this.note.title = thinned ? "Of the rows the first, last, lowest and highest of each pixel are drawn; zoom in for all." : "";
    this.fillLegend();
    this.hub.changed(this);
  }

  recolor() {
    for (const line of this.lines) line.paint();
    if (this.chart) this.settle();
  }

  draw() {
    if (!this.chart) return;
    const { log, lines } = ofCard(this.spec.id);
    this.chart.log = log ?? view.log;
    this.chart.lines = lines;
    this.chart.draw();
    this.values.forEach((place, i) => { place.textContent = this.chart.values()[i] ?? ""; });
  }

  values = [];
  fillLegend() {
    this.values = [];
    const parts = [];
    for (const line of this.lines) {
      const value = element("b");
      this.values.push(value);
      const label = this.spec.series.length > 1 ? line.one.label : "";
      value.title = `${line.run.name}: ${line.one.key}`;
      if (line.several && parts.at(-1)?.dataset.run === line.run.id) { // one entry for a run, however many curves
        parts.at(-1).append(" / ", value);
        continue;
      }
      const part = element("span");
      part.dataset.run = line.run.id;
      const swatch = element("i", "swatch");
      swatch.style.background = line.color;
      const name = line.several ? Object.assign(element("em"), { textContent: line.run.name, title: line.run.name }) : label;
      part.append(...(this.spec.strip && !line.several ? [] : [swatch]), name, value);
      parts.push(part);
    }
    if (this.lines.some((line) => line.several) && this.spec.series.length > 1) {
      parts.push(Object.assign(element("span"), { textContent: this.spec.series.map(({ label }, i) => `${["─", "╌", "┈", "─·"][i % 4]} ${label}`).join("  ") }));
    }
    if (this.spec.strip) parts.push(...this.textLegend());
    this.legend.replaceChildren(...parts);
  }

  textLegend() {
    const shown = new Map();
    for (const { curve } of this.lines) {
      for (const code of new Set(curve.code)) if (code >= 0 && curve.texts[code]) shown.set(curve.texts[code], ofText(curve.texts[code], code));
    }
    return [...shown].slice(0, 12).map(([text, color]) => {
      const part = element("span");
      const swatch = element("i", "swatch block");
      swatch.style.background = color;
      part.append(swatch, text);
      return part;
    });
  }

  // --- menu ---

  lineField(lines) {
    const label = Object.assign(element("label", "line"), { textContent: "Lines at " });
    const field = Object.assign(element("input"), { type: "text", value: lines.join(", "), placeholder: "0.5, 1", inputMode: "decimal" });
    field.addEventListener("change", () => {
      const places = field.value.split(/[\s,;]+/).filter(Boolean).map(Number).filter(Number.isFinite).slice(0, 8);
      changeCard(this.spec.id, { lines: places });
      this.hub.redraw(this);
    });
    label.append(field);
    return label;
  }

  fillMenu() {
    const name = `${this.spec.title}`.replace(/[^\w.-]+/g, "-");
    const button = (text, act) => {
      const one = Object.assign(element("button"), { textContent: text, type: "button" });
      one.addEventListener("click", () => { this.more.open = false; act(); });
      return one;
    };
    const items = [
      button("PNG picture", async () => save(await this.chart.toPng(), `${name}.png`)),
      button("SVG picture", async () => save(new Blob([await this.chart.toSvg()], { type: "image/svg+xml" }), `${name}.svg`)),
    ];
    for (const run of this.page.runs()) {
      const keys = this.lines.filter((line) => line.run.id === run.id).map((line) => line.one.key);
      if (!keys.length) continue;
      const span = this.page.span();
      const link = element("a");
      link.href = csvAddress(run.id, {
        kind: this.spec.kind, keys: [...new Set(keys)].join(","), x: this.page.axis(),
        from: this.hub.zoom?.[0], to: this.hub.zoom?.[1], span: span ? `${span.from}:${span.to}` : null,
      });
      link.download = "";
      link.textContent = this.page.runs().length > 1 ? `CSV of ${run.name}` : "CSV, all rows";
      items.push(link);
    }
    if (!this.spec.strip) {
      const { log, lines } = ofCard(this.spec.id);
      const isLog = log ?? view.log;
      items.push(button(isLog ? "Linear y" : "Logarithmic y", () => { changeCard(this.spec.id, { log: !isLog }); this.hub.redraw(this); }));
      items.push(this.lineField(lines));
    }
    const isWide = this.element.classList.contains("wide");
    if (!this.spec.wide) {
      items.push(button(isWide ? "Narrow" : "Full width", () => {
        this.element.classList.toggle("wide");
        changeCard(this.spec.id, { wide: !isWide });
        this.hub.redraw(this);
      }));
    }
    this.menu.replaceChildren(...items);
  }
}

// One key of one run in a chart.
class Line {
  constructor({ run, one, place, isText }, answer, several, spec) {
    Object.assign(this, { run, one, place, several, isText, spec });
    this.curve = answer.curve;
    this.rows = answer.rows;
    this.thinned = answer.curve?.thinned ?? false;
    this.smooth = answer.curve?.smooth ?? null;
    if (spec.floor !== undefined && this.curve?.y) this.cutBelow(spec.floor);
    this.loaded = answer.curve?.x.length ?? 0;
    this.paint();
  }

  paint() {
    this.color = this.several || !this.one.color ? ofRun(this.run.slot) : named(this.one.color);
  }

  // Values below the floor say that there is nothing to measure.
  cutBelow(floor) {
    const { x, y } = this.curve;
    const kept = y.map((value, i) => i).filter((i) => y[i] >= floor);
    if (kept.length === y.length) return;
    this.curve = { ...this.curve, x: kept.map((i) => x[i]), y: kept.map((i) => y[i]) };
    this.smooth = null;
  }

  // Add the rows of a message; false when the curve has to be loaded again.
  append(message, page, zoom) {
    if (message.to <= this.rows) return true;
    if (message.from > this.rows) return false;
    const axis = page.axis();
    const own = axis === "time" ? { key: null } : page.info(this.run.id)?.kinds[message.kind]?.axes?.[axis];
    if (!own) return false;
    const values = message.columns[this.one.key] ?? [];
    const [whereKey, whereText] = this.one.where ? this.one.where.split(":") : [];
    for (let row = this.rows; row < message.to; row++) {
      const i = row - message.from;
      const x = own.key === null ? message.time[i] : message.columns[own.key]?.[i] * own.factor;
      const value = values[i];
      if (!Number.isFinite(x) || (zoom && x > zoom[1]) || (whereKey && message.columns[whereKey]?.[i] !== whereText)) continue;
      if (this.curve.texts) this.appendText(x, value);
      else if (typeof value === "number") this.appendNumber(x, value);
    }
    this.rows = message.to;
    return this.curve.x.length <= Math.max(3 * this.loaded, 6000);
  }

  appendNumber(x, y) {
    if (y < this.spec.floor) return;
    this.curve.x.push(x);
    this.curve.y.push(y);
    if (!this.thinned || !this.smooth) return;
    const past = view.smooth; // goes on where the server's average over all rows ended
    const weight = this.smooth.last * (1 - past ** this.smooth.count) * past + (1 - past) * y;
    this.smooth.count += 1;
    this.smooth.last = weight / (1 - past ** this.smooth.count);
    this.smooth.x.push(x);
    this.smooth.y.push(this.smooth.last);
  }

  appendText(x, text) {
    const { texts, code } = this.curve;
    if (typeof text === "string" && !texts.includes(text)) texts.push(text);
    const now = typeof text === "string" ? texts.indexOf(text) : -1;
    if (!code.length || code[code.length - 1] !== now) {
      this.curve.x.push(x);
      code.push(now);
    }
    this.curve.end = x;
  }

  // A debiased exponential average over all rows; of a thinned curve the server has made it.
  smoothen() {
    if (this.thinned || this.curve.texts) return;
    if (!view.smooth) { this.smooth = null; return; }
    let sum = 0, weight = 0;
    const y = this.curve.y.map((value) => {
      sum = view.smooth * sum + (1 - view.smooth) * value;
      weight = view.smooth * weight + (1 - view.smooth);
      return sum / weight;
    });
    this.smooth = { x: this.curve.x, y };
  }

  drawn() {
    const { curve, color } = this;
    const base = { label: this.one.label, color, dash: this.several ? this.place : 0, x: curve.x, run: this.run.id };
    if (!curve.texts) return { ...base, y: curve.y, smooth: this.smooth, ...curve.group };
    const strip = { texts: curve.texts, code: curve.code, end: curve.end, colors: curve.texts.map(ofText) };
    return { ...base, y: [], strip };
  }
}

export function element(name, className = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  return made;
}

function save(blob, name) {
  const link = element("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

