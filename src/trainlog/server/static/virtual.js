// A list of any length of which only the rows on the screen exist. All rows are of one height.

const MORE = 8; // rows above and below the screen
const TALLEST = 8_000_000; // pixels that a browser lays out well

export class VirtualRows {
  /**
   * @param {HTMLElement} place it scrolls
   * @param {HTMLElement} list the rows are in it, and it is as high as all of them
   * @param {number} height of a row in pixels
   * @param {(place: number) => HTMLElement} rowOf the row at a place, made or filled again
   */
  constructor(place, list, height, rowOf) {
    this.place = place;
    this.list = list;
    this.height = height;
    this.rowOf = rowOf;
    this.total = 0;
    this.first = 0;
    this.last = 0;
    this.frame = 0;
    place.addEventListener("scroll", () => this.later(), { passive: true });
    new ResizeObserver(() => this.later()).observe(place);
  }

  later() { this.frame ||= requestAnimationFrame(() => { this.frame = 0; this.draw(); }); }

  /** @param {number} total */
  setTotal(total) {
    this.total = Math.min(total, Math.floor(TALLEST / this.height));
    this.list.style.height = `${this.total * this.height}px`;
    this.draw();
  }

  /** Which rows are wanted for the screen: from the first to before the last. */
  range() {
    const top = Math.max(this.place.scrollTop - this.list.offsetTop, 0);
    const first = Math.max(Math.floor(top / this.height) - MORE, 0);
    return [first, Math.min(Math.ceil((top + this.place.clientHeight) / this.height) + MORE, this.total)];
  }

  draw() {
    [this.first, this.last] = this.range();
    const focused = /** @type {HTMLElement|null} */ (document.activeElement)?.dataset?.run;
    const rows = [];
    for (let place = this.first; place < this.last; place++) {
      const element = this.rowOf(place);
      const top = `translateY(${place * this.height}px)`;
      if (element.style.transform !== top) element.style.transform = top;
      rows.push(element);
    }
    // A row stays the same element while it changes, so that no click on it is lost.
    if (rows.length !== this.list.children.length || rows.some((row, i) => row !== this.list.children[i])) {
      this.list.replaceChildren(...rows);
      const again = focused && this.list.querySelector(`[data-run="${CSS.escape(focused)}"]`);
      if (again instanceof HTMLElement && document.activeElement !== again) again.focus({ preventScroll: true });
    }
  }

  /** Scroll so that a row is seen. @param {number} place */
  show(place) {
    const head = this.list.offsetTop;
    const top = place * this.height;
    if (top < this.place.scrollTop) this.place.scrollTop = top;
    else if (head + top + this.height > this.place.scrollTop + this.place.clientHeight) {
      this.place.scrollTop = head + top + this.height - this.place.clientHeight;
    }
    this.draw();
  }
}
