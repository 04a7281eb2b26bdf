// One chart: curves or strips over a shared x, drawn on a canvas (or as SVG by the same calls).
//
// The hub tells all charts of the page which range is shown, where the pointer is, and when to draw.

import { ground } from "./colors.js";
import { labels, logTicks, number, ticks } from "./format.js";

const LEFT = 46, RIGHT = 12, TOP = 10, BOTTOM = 22;
const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3]];

export class Chart {
  // options: thresholds [{y, label}], range [low, high], strip, title
  constructor(plot, hub, options) {
    this.plot = plot;
    this.hub = hub;
    this.options = options;
    this.series = []; // {label, color, dash, x, y, smooth, strip: {texts, code, colors, end}}
    this.events = []; // {x, text, color}
    this.log = false;
    this.lines = []; // thresholds that the reader has set
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", options.title);
    plot.append(this.canvas);
    this.drag = null;
    this.listen();
  }

  destroy() {
    this.canvas.width = 0; // a canvas keeps its pixels until then
    this.canvas.remove();
    this.bubble?.remove();
  }

  // --- what is shown ---

  extent() {
    let low = Infinity, high = -Infinity;
    for (const { x, strip } of this.series) {
      for (let i = 0; i < x.length; i += Math.max(1, x.length - 1)) { low = Math.min(low, x[i]); high = Math.max(high, x[i]); }
      if (!isSorted(x)) for (const each of x) { low = Math.min(low, each); high = Math.max(high, each); }
      if (strip && strip.end !== null) high = Math.max(high, strip.end);
    }
    return low <= high ? [low, high] : [0, 1];
  }

  xRange() {
    const [low, high] = this.hub.zoom ?? this.hub.extent() ?? this.extent();
    return high > low ? [low, high] : [low - 0.5, high + 0.5];
  }

  thresholds() { return [...(this.options.thresholds ?? []), ...this.lines.map((y) => ({ y, label: number(y) }))]; }

  yRange([from, to]) {
    let low = Infinity, high = -Infinity;
    const take = (x, y) => {
      for (let i = 0; i < y.length; i++) {
        const value = y[i];
        if (x[i] < from || x[i] > to || (this.log && value <= 0)) continue;
        if (value < low) low = value;
        if (value > high) high = value;
      }
    };
    for (const { x, y, smooth } of this.series) {
      take(x, y);
      if (smooth && !y.length) take(smooth.x, smooth.y);
    }
    if (low > high) return this.log ? [0.1, 1] : (this.options.range ?? [0, 1]);
    if (this.log) return low === high ? [low / 2, high * 2] : [low / 1.15, high * 1.15];
    for (const { y } of this.thresholds()) { low = Math.min(low, y); high = Math.max(high, y); }
    if (this.options.range) { low = Math.min(low, this.options.range[0]); high = Math.max(high, this.options.range[1]); }
    const pad = (high - low) * 0.06 || Math.abs(high) * 0.05 || 0.5;
    const zero = low >= 0 && low < pad * 3;
    return [zero ? Math.min(0, low) : low - pad, high + pad];
  }

  // --- drawing ---

  draw() {
    const box = this.plot.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(box.width), height = Math.round(box.height);
    if (!width) return;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    this.paint(pen, width, height, true);
  }

  paint(pen, width, height, live) {
    const tones = ground();
    const [from, to] = this.xRange();
    const inner = { left: LEFT, right: width - RIGHT, top: TOP, bottom: height - BOTTOM };
    const X = (x) => inner.left + ((x - from) / (to - from)) * (inner.right - inner.left);
    this.place = { ...inner, from, to, X };
    pen.font = "11px system-ui, sans-serif";
    pen.lineWidth = 1;
    this.paintX(pen, tones, inner, X, from, to);
    if (this.options.strip) this.paintStrips(pen, inner, X, tones);
    else this.paintCurves(pen, tones, inner, X, [from, to], live);
    this.paintEvents(pen, inner, X, tones);
    if (live) this.paintPointer(pen, inner, X, tones);
  }

  paintX(pen, tones, inner, X, from, to) {
    const places = ticks(from, to, Math.max(2, (inner.right - inner.left) / 90));
    const texts = labels(places);
    pen.fillStyle = tones.dim;
    pen.textAlign = "center";
    pen.textBaseline = "top";
    places.forEach((x, i) => {
      const at = X(x);
      const half = pen.measureText(texts[i]).width / 2;
      pen.fillText(texts[i], Math.min(Math.max(at, half + 2), inner.right + RIGHT - half - 2), inner.bottom + 5);
    });
  }

  paintCurves(pen, tones, inner, X, range, live) {
    const [low, high] = this.yRange(range);
    const log = this.log;
    const lo = log ? Math.log10(low) : low, hi = log ? Math.log10(high) : high;
    const Y = (y) => inner.bottom - (((log ? Math.log10(y) : y) - lo) / (hi - lo)) * (inner.bottom - inner.top);
    this.place.Y = Y;
    const places = log ? logTicks(low, high) : ticks(low, high, Math.max(2, (inner.bottom - inner.top) / 38));
    const texts = log ? places.map(number) : labels(places);
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    places.forEach((y, i) => {
      const at = Math.round(Y(y)) + 0.5;
      pen.strokeStyle = tones.grid;
      pen.beginPath(); pen.moveTo(inner.left, at); pen.lineTo(inner.right, at); pen.stroke();
      pen.fillStyle = tones.dim;
      pen.fillText(texts[i], inner.left - 6, at);
    });
    for (const { y, label } of this.thresholds()) {
      if (y < low || y > high || (log && y <= 0)) continue;
      pen.strokeStyle = tones.dim;
      pen.setLineDash([4, 4]);
      pen.beginPath(); pen.moveTo(inner.left, Y(y)); pen.lineTo(inner.right, Y(y)); pen.stroke();
      pen.setLineDash([]);
      const wide = pen.measureText(label).width + 8;
      pen.fillStyle = tones.card;
      pen.fillRect(inner.right - wide - 4, Y(y) - 7, wide, 14);
      pen.fillStyle = tones.dim;
      pen.textAlign = "right";
      pen.textBaseline = "middle";
      pen.fillText(label, inner.right - 8, Y(y));
    }
    pen.save();
    pen.beginPath();
    pen.rect(inner.left, inner.top - 6, inner.right - inner.left + 2, inner.bottom - inner.top + 8);
    pen.clip();
    for (const one of this.series) {
      pen.strokeStyle = pen.fillStyle = one.color;
      pen.setLineDash(DASHES[(one.dash ?? 0) % DASHES.length]);
      pen.globalAlpha = one.smooth ? 0.28 : 1;
      pen.lineWidth = one.smooth ? 1 : 1.6;
      this.line(pen, one.x, one.y, X, Y, log);
      pen.globalAlpha = 1;
      if (one.smooth) { pen.lineWidth = 2; this.line(pen, one.smooth.x, one.smooth.y, X, Y, log); }
      pen.setLineDash([]);
      const seen = one.x.length;
      if (one.smooth) continue;
      if (seen && seen <= 60) for (let i = 0; i < seen; i++) dot(pen, X(one.x[i]), Y(one.y[i]), seen === 1 ? 3 : 1.8);
      else if (live && seen) dot(pen, X(one.x[seen - 1]), Y(one.y[seen - 1]), 2.5);
    }
    pen.restore();
  }

  line(pen, x, y, X, Y, log) {
    pen.beginPath();
    let down = false;
    for (let i = 0; i < x.length; i++) {
      if (log && y[i] <= 0) { down = false; continue; }
      if (down) pen.lineTo(X(x[i]), Y(y[i]));
      else { pen.moveTo(X(x[i]), Y(y[i])); down = true; }
    }
    pen.stroke();
  }

  paintStrips(pen, inner, X, tones) {
    const lanes = this.series.length || 1;
    const gap = lanes > 1 ? 3 : 0;
    const tall = (inner.bottom - inner.top - gap * (lanes - 1)) / lanes;
    pen.save();
    pen.beginPath();
    pen.rect(inner.left, inner.top, inner.right - inner.left, inner.bottom - inner.top);
    pen.clip();
    this.series.forEach(({ x, strip, color }, lane) => {
      const top = inner.top + lane * (tall + gap);
      x.forEach((at, i) => {
        if (strip.code[i] < 0) return;
        const end = i + 1 < x.length ? x[i + 1] : Math.max(strip.end ?? at, at);
        pen.fillStyle = strip.colors[strip.code[i]];
        const left = X(at);
        const wide = Math.max(X(end) - left, 1.5);
        pen.fillRect(left, top, wide, tall);
        const text = strip.texts[strip.code[i]];
        const visible = Math.min(left + wide, inner.right) - Math.max(left, inner.left);
        if (tall >= 14 && pen.measureText(text).width < visible - 8) {
          pen.fillStyle = "#fff";
          pen.textAlign = "left";
          pen.textBaseline = "middle";
          pen.fillText(text, Math.max(left, inner.left) + 4, top + tall / 2);
        }
      });
      if (lanes > 1) { pen.fillStyle = color; pen.fillRect(inner.left, top, 3, tall); }
    });
    pen.restore();
  }

  paintEvents(pen, inner, X, tones) {
    for (const event of this.events) {
      const at = X(event.x);
      if (at < inner.left - 1 || at > inner.right + 1) continue;
      pen.strokeStyle = pen.fillStyle = event.color ?? tones.dim;
      pen.globalAlpha = 0.35;
      pen.setLineDash([2, 3]);
      pen.beginPath(); pen.moveTo(at, inner.top); pen.lineTo(at, inner.bottom); pen.stroke();
      pen.setLineDash([]);
      pen.globalAlpha = 1;
      pen.beginPath(); pen.moveTo(at - 4, inner.top - 7); pen.lineTo(at + 4, inner.top - 7); pen.lineTo(at, inner.top); pen.closePath(); pen.fill();
    }
  }

  paintPointer(pen, inner, X, tones) {
    if (this.drag?.moved) {
      const [low, high] = [this.drag.from, this.drag.to].sort((a, b) => a - b);
      pen.globalAlpha = 0.15;
      pen.fillStyle = tones.accent;
      pen.fillRect(X(low), inner.top, X(high) - X(low), inner.bottom - inner.top);
      pen.globalAlpha = 1;
    }
    for (const [x, color, wide] of [[this.hub.momentX, tones.accent, 1.5], [this.hub.hover, tones.dim, 1]]) {
      if (x === null || x === undefined || X(x) < inner.left || X(x) > inner.right) continue;
      pen.strokeStyle = color;
      pen.lineWidth = wide;
      pen.beginPath(); pen.moveTo(X(x), inner.top - 4); pen.lineTo(X(x), inner.bottom); pen.stroke();
    }
    pen.lineWidth = 1;
    if (this.hub.hover === null || this.options.strip) return;
    for (const one of this.series) {
      const i = nearest(one.x, this.hub.hover);
      if (i < 0) continue;
      const { x, y } = one.smooth && one.smooth.x.length ? { x: one.smooth.x, y: one.smooth.y } : one;
      const j = nearest(x, this.hub.hover);
      if (j < 0 || (this.log && y[j] <= 0)) continue;
      pen.fillStyle = one.color;
      dot(pen, X(x[j]), this.place.Y(y[j]), 3.5);
    }
  }

  // The value of each curve where the pointer is, or the last one.
  values() {
    return this.series.map((one) => {
      if (one.strip) {
        let i = this.hub.hover === null ? one.x.length - 1 : before(one.x, this.hub.hover);
        return i >= 0 && one.strip.code[i] >= 0 ? one.strip.texts[one.strip.code[i]] : "–";
      }
      const i = this.hub.hover === null ? one.x.length - 1 : nearest(one.x, this.hub.hover);
      if (i < 0) return "–";
      if (!one.smooth) return number(one.y[i]);
      const j = this.hub.hover === null ? one.smooth.x.length - 1 : nearest(one.smooth.x, this.hub.hover);
      return `${number(one.smooth.y[j])} (${number(one.y[i])})`;
    });
  }

  toSvg() {
    return import("./svg.js").then(({ SvgPaper }) => {
      const { width, height } = this.plot.getBoundingClientRect();
      const paper = new SvgPaper(Math.round(width), Math.round(height));
      paper.fillStyle = ground().card;
      paper.fillRect(0, 0, width, height);
      this.paint(paper, Math.round(width), Math.round(height), false);
      return paper.toString();
    });
  }

  toPng() {
    const { width, height } = this.plot.getBoundingClientRect();
    const paper = document.createElement("canvas");
    paper.width = width * 2;
    paper.height = height * 2;
    const pen = paper.getContext("2d");
    pen.scale(2, 2);
    pen.fillStyle = ground().card;
    pen.fillRect(0, 0, width, height);
    this.paint(pen, width, height, false);
    return new Promise((done) => paper.toBlob(done, "image/png"));
  }

  // --- pointer and keys ---

  listen() {
    const at = (event) => {
      if (!this.place) return null;
      const { left, right, from, to } = this.place;
      const x = event.clientX - this.canvas.getBoundingClientRect().left;
      return from + (Math.min(Math.max(x, left), right) - left) / (right - left) * (to - from);
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.drag = { from: at(event), to: at(event), begin: event.clientX, moved: false };
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (this.drag) {
        this.drag.to = at(event);
        this.drag.moved ||= Math.abs(event.clientX - this.drag.begin) > 5;
      }
      this.hub.setHover(at(event));
      this.showEvent(event);
    });
    this.canvas.addEventListener("pointerleave", () => { this.hub.setHover(null); this.showEvent(null); });
    this.canvas.addEventListener("pointercancel", () => { this.drag = null; });
    this.canvas.addEventListener("pointerup", (event) => {
      const drag = this.drag;
      this.drag = null;
      if (!drag || drag.from === null) return;
      if (drag.moved) this.hub.setZoom([drag.from, drag.to].sort((a, b) => a - b));
      else this.hub.openMoment(at(event), this, event.clientY - this.canvas.getBoundingClientRect().top);
    });
    this.canvas.addEventListener("dblclick", () => this.hub.setZoom(null));
    this.canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey) return;
      event.preventDefault();
      this.zoomAround(at(event), (event.deltaY || event.deltaX) > 0 ? 1.25 : 0.8);
    }, { passive: false });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("blur", () => this.hub.setHover(null));
  }

  zoomAround(x, factor) {
    const [from, to] = this.xRange();
    this.hub.setZoom([x - (x - from) * factor, x + (to - x) * factor]);
  }

  key(event) {
    const [from, to] = this.xRange();
    const middle = this.hub.hover ?? (from + to) / 2;
    const move = (direction) => {
      const x = this.series[0]?.x ?? [];
      const i = nearest(x, middle);
      if (i < 0) return;
      const next = x[Math.min(Math.max(i + direction, 0), x.length - 1)];
      this.hub.setHover(this.hub.hover === null ? x[i] : next);
    };
    const acts = {
      ArrowLeft: () => (event.shiftKey ? this.hub.setZoom([from - (to - from) / 4, to - (to - from) / 4]) : move(-1)),
      ArrowRight: () => (event.shiftKey ? this.hub.setZoom([from + (to - from) / 4, to + (to - from) / 4]) : move(1)),
      "+": () => this.zoomAround(middle, 0.6),
      "-": () => this.zoomAround(middle, 1.6),
      Enter: () => this.hub.openMoment(middle, this),
    };
    const act = acts[event.key === "=" ? "+" : event.key];
    if (act) { event.preventDefault(); event.stopPropagation(); act(); }
  }

  showEvent(pointer) {
    const left = this.canvas.getBoundingClientRect().left;
    const found = pointer && this.place
      ? this.events.filter((event) => Math.abs(this.place.X(event.x) - (pointer.clientX - left)) < 6).slice(0, 4) : [];
    if (!found.length) { this.bubble?.remove(); this.bubble = null; return; }
    this.bubble ??= Object.assign(document.createElement("div"), { className: "bubble" });
    this.bubble.textContent = found.map((event) => event.text).join(" · ");
    const x = this.place.X(found[0].x);
    const onRight = x > this.plot.clientWidth / 2;
    this.bubble.style.left = onRight ? "auto" : `${x + 8}px`;
    this.bubble.style.right = onRight ? `${this.plot.clientWidth - x + 8}px` : "auto";
    if (!this.bubble.isConnected) this.plot.append(this.bubble);
  }
}

function dot(pen, x, y, radius) {
  pen.beginPath(); pen.arc(x, y, radius, 0, 7); pen.fill();
}

function isSorted(x) {
  for (let i = 1; i < x.length; i++) if (x[i] < x[i - 1]) return false;
  return true;
}

// The last index whose x is not after `at`, where x rises; -1 when there is none.
export function before(x, at) {
  let low = 0, high = x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle] <= at) low = middle + 1; else high = middle;
  }
  return low - 1;
}

export function nearest(x, at) {
  if (!x.length) return -1;
  const i = before(x, at);
  if (i < 0) return 0;
  return i + 1 < x.length && x[i + 1] - at < at - x[i] ? i + 1 : i;
}
