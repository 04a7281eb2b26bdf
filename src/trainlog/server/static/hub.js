// What linked charts share: the range, the pointer, the moment; and at most one drawing of each per frame of the screen.

const BUDGET = 12; // milliseconds per frame
const SELDOM = 250; // milliseconds between drawings that do not fit into it
const STILL = 250; // milliseconds without change after which the range counts as still

/** @typedef {import("./card.js").Card} Card @typedef {import("./chart.js").Chart} Chart */

export class Hub {
  /** @param {{onZoom(zoom: [number, number] | null): void, onMoment(x: number, chart: Chart): void}} page */
  constructor({ onZoom, onMoment }) {
    this.onZoom = onZoom;
    this.openMoment = onMoment;
    /** @type {[number, number] | null} */
    this.zoom = null;
    /** @type {number | null} */
    this.hover = null;
    /** @type {number | null} */
    this.momentX = null;
    /** @type {Set<Card>} */
    this.cards = new Set(); // the cards on the screen
    /** @type {Set<Card>} */
    this.dirty = new Set();
    this.frame = this.still = 0;
    /** @type {[number, number] | null} */
    this.range = null;
    this.zoomedAt = -Infinity;
    this.isPointed = false;
    this.dearAt = 0;
    /** @type {Chart | null} */
    this.hovered = null; // the chart under the pointer, or with the keyboard focus
    /** Reads a text out to users of a screen reader. @type {(text: string) => void} */
    this.say = () => {};
  }

  /** Whether the user is moving the range. */
  get isMoving() { return performance.now() - this.zoomedAt < STILL; }

  /** The common range of all charts, so that they are aligned. @returns {[number, number] | null} */
  extent() {
    if (this.range) return this.range;
    let low = Infinity, high = -Infinity;
    for (const { chart } of this.cards) {
      if (!chart?.series.some(({ x }) => x.length)) continue;
      const [from, to] = chart.extent();
      low = Math.min(low, from);
      high = Math.max(high, to);
    }
    return low <= high ? (this.range = [low, high]) : null;
  }

  /** @param {[number, number] | null} zoom */
  setZoom(zoom) {
    if (zoom && !(zoom[1] > zoom[0] && Number.isFinite(zoom[1] - zoom[0]))) return;
    this.zoom = zoom;
    this.zoomedAt = performance.now();
    this.redraw();
    clearTimeout(this.still);
    this.still = setTimeout(() => this.redraw(), STILL + 10);
    this.onZoom(zoom);
  }

  /** @param {number | null} x */
  setHover(x) {
    if (this.hover === x) return;
    this.hover = x;
    this.repoint();
  }

  /** @param {number | null} x */
  setMoment(x) {
    this.momentX = x;
    this.repoint();
  }

  /** Redraw what is above the charts, not the charts themselves. */
  repoint() {
    this.isPointed = true;
    this.frame ||= requestAnimationFrame(() => this.drawNow());
  }

  /** @param {Card | null} card null for all */
  redraw(card = null) {
    for (const each of card ? [card] : this.cards) this.dirty.add(each);
    this.frame ||= requestAnimationFrame(() => this.drawNow());
  }

  /** New data can change the common range; then all charts are redrawn. @param {Card} card */
  changed(card) {
    const old = this.range;
    this.range = null;
    const now = this.extent();
    const same = old && now && old[0] === now[0] && old[1] === now[1];
    this.redraw(same || this.zoom ? card : null);
  }

  /** Draw the chart under the pointer first; what would take too long waits for the next frame. */
  drawNow() {
    this.frame = 0;
    const began = performance.now();
    const cards = [...this.dirty].sort((a, b) => Number(b.chart === this.hovered) - Number(a.chart === this.hovered));
    for (const [i, card] of cards.entries()) {
      const spent = performance.now() - began;
      const isDear = i > 0 && spent + card.cost > BUDGET;
      if (isDear && began - this.dearAt < SELDOM) continue;
      if (isDear) this.dearAt = began;
      this.dirty.delete(card);
      if (this.cards.has(card)) card.draw();
      card.cost = performance.now() - began - spent;
    }
    if (this.isPointed) for (const card of this.cards) if (!this.dirty.has(card)) card.point();
    this.isPointed = false;
    if (this.dirty.size) this.frame = requestAnimationFrame(() => this.drawNow());
  }
}
