// A list of any length in which only the rows on the screen exist. All rows have the same height. If their total height is
// more than a browser can lay out, the list has the maximum height, and one scrolled pixel moves the rows by more.

const MORE = 8; // rows above and below the screen
const TALLEST = 8_000_000; // pixels that a browser can lay out reliably

export class VirtualRows {
  /**
   * @param {HTMLElement} place the scrolling element
   * @param {HTMLElement} list the element with the rows, which is as high as all of them
   * @param {number} height of a row in pixels
   * @param {(place: number) => HTMLElement} rowOf the row at a place, new or refilled
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
    this.total = total;
    this.list.style.height = `${Math.min(total * this.height, TALLEST)}px`;
    this.draw();
  }

  /** How far the rows move for each scrolled pixel of the list. */
  ratio() {
    const rows = this.total * this.height, around = this.list.offsetTop - this.place.clientHeight;
    return rows > TALLEST ? (rows + around) / (TALLEST + around) : 1;
  }

  /** How far the rows are scrolled. */
  top() { return this.place.scrollTop * this.ratio(); }

  /** The rows for the screen: from the first to before the last. */
  range() {
    const top = Math.max(this.top() - this.list.offsetTop, 0);
    const first = Math.max(Math.floor(top / this.height) - MORE, 0);
    return [first, Math.min(Math.ceil((top + this.place.clientHeight) / this.height) + MORE, this.total)];
  }

  draw() {
    [this.first, this.last] = this.range();
    const focused = /** @type {HTMLElement|null} */ (document.activeElement)?.dataset?.run;
    const rows = [], moved = this.place.scrollTop - this.top();
    for (let place = this.first; place < this.last; place++) {
      const element = this.rowOf(place);
      const top = `translateY(${place * this.height + moved}px)`;
      if (element.style.transform !== top) element.style.transform = top;
      rows.push(element);
    }
    // A row keeps its element when it changes, so that no click on it is lost.
    if (rows.length !== this.list.children.length || rows.some((row, i) => row !== this.list.children[i])) {
      this.list.replaceChildren(...rows);
      const again = focused && this.list.querySelector(`[data-run="${CSS.escape(focused)}"]`);
      if (again instanceof HTMLElement && document.activeElement !== again) again.focus({ preventScroll: true });
    }
  }

  /** Scroll a row into view. @param {number} place */
  show(place) {
    const head = this.list.offsetTop;
    const top = place * this.height, bottom = head + top + this.height - this.place.clientHeight;
    if (top < this.top()) this.place.scrollTop = Math.floor(top / this.ratio());
    else if (bottom > this.top()) this.place.scrollTop = Math.ceil(bottom / this.ratio());
    this.draw();
  }
}
