// @ts-check
// What linked charts share: the range, the pointer, the moment; and one drawing of each per frame of the screen.

export class Hub {
  constructor({ onZoom, onMoment }) {
    this.onZoom = onZoom;
    this.onMoment = onMoment;
    this.zoom = null;
    this.hover = null;
    this.momentX = null;
    this.cards = new Set(); // those that are on the screen
    this.dirty = new Set();
    this.frame = 0;
    this.range = null;
  }

  // The range of all charts together, so that they stand under each other.
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

  setZoom(zoom) {
    if (zoom && !(zoom[1] > zoom[0])) return;
    this.zoom = zoom;
    this.redraw();
    this.onZoom(zoom);
  }

  setHover(x) {
    if (this.hover === x) return;
    this.hover = x;
    this.redraw();
  }

  setMoment(x) {
    this.momentX = x;
    this.redraw();
  }

  openMoment(x, chart) { this.onMoment(x, chart); }

  redraw(card = null) {
    for (const each of card ? [card] : this.cards) this.dirty.add(each);
    this.frame ||= requestAnimationFrame(() => this.drawNow());
  }

  // New data may have changed the common range: all must follow.
  changed(card) {
    const old = this.range;
    this.range = null;
    const now = this.extent();
    const same = old && now && old[0] === now[0] && old[1] === now[1];
    this.redraw(same || this.zoom ? card : null);
  }

  drawNow() {
    this.frame = 0;
    const cards = [...this.dirty];
    this.dirty.clear();
    for (const card of cards) if (this.cards.has(card)) card.draw();
  }
}
