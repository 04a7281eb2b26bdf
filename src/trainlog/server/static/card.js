// A chart on the page with its data: loads when it comes onto the screen, and grows with the run.

import { clampHeight } from "./cardstate.js";
import { Chart } from "./chart.js";
import { isDark } from "./colors.js";
import { tableOf } from "./datatable.js";
import { element, say } from "./element.js";
import { number } from "./format.js";
import { Legend } from "./legend.js";
import { Line } from "./line.js";
import { fillMenu } from "./menu.js";
import { ApiError, messageOf } from "./net.js";
import { changeCard, ofCard, view } from "./view.js";

const AGAIN = 300; // milliseconds until the next request for a file that is being read
const SETTLED = 150; // milliseconds without movement after which a moving range is requested
const SOON = 400; // milliseconds until a curve that the stream cannot continue is requested
const SMOOTH_AGAIN = 1000; // milliseconds between requests for a growing smoothed curve
const MOST_RAW = 4; // smoothed curves that have their single values in the background, as in the figures
const FEW = 10; // curves that appear all at once
const MOST_TEXTS = 256; // distinct texts of a key in the server
const MANY = 40; // curves; of more, each has fewer points
const COLORS = ["blue", "red", "green", "violet", "orange", "cyan", "pink", "teal", "gold"];

/** @typedef {{id: string, slot: number, name: string}} Drawn a run, or a group of runs, that the charts draw */
/** @typedef {{x: number, among: Record<string, number>, text: string, color: string}} Mark an event; its place among the frames of a kind can differ */
/**
 * What a card needs from the page.
 * @typedef {{runs(): Drawn[], info(id: string): import("./net.js").Info | undefined, events(id: string): Mark[], axis(): string,
 *   span(): {run: string, from: number, to: number} | null, members(id: string): {id: string, path: string}[],
 *   curve(id: string, key: string, parameters: import("./net.js").Parameters): Promise<any>,
 *   grouping(): {by: string[], center: string, band: string} | null}} Page
 */
/** @typedef {{id: string, title: string, unit?: string, kind: string, strip?: boolean, wide?: boolean, floor?: number,
 *   absent?: string, thresholds?: {y: number, label: string}[], range?: number[],
 *   series: import("./line.js").One[], variables?: boolean}} Spec */

export class Card {
  /** @param {Spec} spec @param {import("./hub.js").Hub} hub @param {Page} page */
  constructor(spec, hub, page) {
    this.spec = spec;
    this.hub = hub;
    this.page = page;
    /** @type {Line[]} */
    this.lines = [];
    this.stale = true;
    this.loaded = false;
    this.isEmpty = false;
    this.problem = ""; // the current error
    this.turn = 0;
    this.cost = 0; // milliseconds of the last drawing
    this.timer = this.soon = this.some = this.settling = 0;
    /** @type {Chart | null} */
    this.chart = null; // only while the card is on the screen
    /** @type {import("./board.js").Board | null} */
    this.board = null;
    const title = element("h3", "", { title: spec.series.map(({ key }) => key).join(", ") }, spec.title);
    if (spec.unit) title.append(" ", element("small", "", {}, `(${spec.unit})`));
    this.note = element("span", "note");
    const summary = element("summary", "", { ariaLabel: `More for ${spec.title}` }, "⋯");
    this.menu = element("div");
    this.more = element("details", "more", {}, summary, this.menu);
    this.more.addEventListener("toggle", () => this.more.open && fillMenu(this));
    this.more.addEventListener("focusout", (event) => {
      const to = /** @type {Node | null} */ (event.relatedTarget);
      if (to && !this.more.contains(to)) this.more.open = false;
    });
    this.more.addEventListener("keydown", (event) => { if (event.key === "Escape") { event.stopPropagation(); this.more.open = false; summary.focus(); } });
    this.head = element("header", "", {}, title, this.note, this.more);
    this.legend = new Legend(spec);
    this.said = element("p", "said", { hidden: true });
    this.bar = element("div", "progress", { hidden: true });
    this.plot = element("div", `plot${spec.strip ? " low" : ""}`, {}, this.said, this.bar);
    this.table = element("div", "table", { tabIndex: 0, role: "region", hidden: true, ariaLabel: `${spec.title} as a table` });
    const grip = element("i", "grip", { title: "Drag to resize; double-click for the default size" });
    this.listenToGrip(grip);
    new ResizeObserver(() => { this.isResized = true; this.hub.redraw(this); }).observe(this.plot); // neighbours have the same height
    this.element = element("section", "card", {}, this.head, this.legend.element, this.legend.list, this.plot, this.table, grip);
    this.element.dataset.card = spec.id;
    this.applyState();
  }

  /** Set the size of the card, from the changes of the user and from the data. */
  applyState() {
    const { wide, height, table } = ofCard(this.spec.id);
    this.element.classList.toggle("wide", (wide ?? Boolean(this.spec.wide)) && !this.isEmpty);
    this.element.classList.toggle("nothing", Boolean(this.isEmpty));
    this.plot.style.height = height && !this.isEmpty ? `${height}px` : "";
    this.table.hidden = !table;
  }

  /** The lower right corner: drag down for the height, far to the side for the full width. @param {HTMLElement} grip */
  listenToGrip(grip) {
    /** @type {{x: number, y: number, height: number, width: number} | null} */
    let begin = null;
    grip.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      begin = { x: event.clientX, y: event.clientY, height: this.plot.clientHeight, width: this.element.clientWidth };
      grip.setPointerCapture(event.pointerId);
    });
    grip.addEventListener("pointermove", (event) => {
      if (!begin) return;
      this.plot.style.height = `${clampHeight(begin.height + event.clientY - begin.y)}px`;
      this.draw();
    });
    grip.addEventListener("pointerup", (event) => {
      if (!begin) return;
      const across = event.clientX - begin.x, isMoved = Math.abs(event.clientY - begin.y) > 3;
      const wide = across > begin.width / 4 ? true : across < -begin.width / 4 ? false : ofCard(this.spec.id).wide;
      begin = null;
      this.change({ wide, ...(isMoved ? { height: this.plot.clientHeight } : {}) });
    });
    grip.addEventListener("pointercancel", () => { begin = null; });
    grip.addEventListener("dblclick", () => this.change({ height: null, wide: null }));
  }

  /** @param {Partial<import("./cardstate.js").CardState>} fields */
  change(fields) {
    changeCard(this.spec.id, fields);
    this.applyState();
    this.hub.redraw(this);
  }

  // --- on and off the screen ---

  get visible() { return this.chart !== null; }

  /** @param {boolean} visible */
  show(visible) {
    if (visible === this.visible) return;
    if (visible) {
      this.hub.cards.add(this);
      this.chart = new Chart(this.plot, this.hub, this.spec);
      if (this.stale) this.load();
      else this.settle();
    } else {
      this.hub.cards.delete(this);
      this.chart?.destroy();
      this.chart = null;
    }
  }

  async refresh() {
    this.stale = true;
    if (this.visible) await this.load();
  }

  // --- data ---

  /** The keys of the chart: its own, and those that the user added. */
  keys() {
    const own = this.spec.series;
    const more = ofCard(this.spec.id).keys.filter((key) => !own.some((one) => one.key === key));
    const first = own.length === 1 && more.length && !own[0].color ? [{ ...own[0], color: COLORS[0] }] : own;
    return [...first, ...more.map((key, i) => ({ key, label: key, color: COLORS[(own.length + i) % COLORS.length] }))];
  }

  /** The curves of the runs that have the keys. @returns {import("./line.js").Wanted[]} */
  wanted() {
    const span = this.page.span(), keys = this.keys();
    return this.page.runs().filter(({ id }) => !span || id === span.run).flatMap((run) => {
      const about = this.page.info(run.id)?.kinds[this.spec.kind];
      return keys.flatMap((one, place) => (about && (Object.hasOwn(about.keys, one.key) || about.left_out.includes(one.key)) ? [{ run, one, place }] : []));
    });
  }

  /** @param {import("./line.js").One} one @param {number} count of curves */
  parameters(one, count) {
    const span = this.page.span();
    const zoom = this.hub.zoom;
    const wide = Math.ceil(Math.max(this.plot.clientWidth, 300) / 100) * 100;
    const points = Math.min((count > MANY ? 1 : 4) * wide * (zoom ? 2 : 1), 8000);
    const pad = zoom ? (zoom[1] - zoom[0]) / 2 : 0; // so that the chart is not empty while the range moves
    return {
      kind: this.spec.kind, x: this.page.axis(), points, where: one.where ?? null,
      from: zoom ? zoom[0] - pad : null, to: zoom ? zoom[1] + pad : null,
      smooth: this.spec.strip ? null : view.smooth || null,
      span: span ? `${span.from}:${span.to}` : null,
    };
  }

  async load() {
    const turn = ++this.turn;
    clearTimeout(this.timer);
    const wait = SETTLED - (performance.now() - this.hub.zoomedAt);
    if (this.loaded && wait > 0) { this.timer = setTimeout(() => this.visible && this.load(), wait); return; }
    this.stale = false;
    const asked = this.wanted();
    const answers = new Array(asked.length).fill(null);
    /** @type {Map<string, string>} */
    const wrong = new Map(); // by the name of the run; the other runs are drawn
    try {
      await Promise.all(asked.map(async ({ run, one }, i) => {
        try {
          answers[i] = await this.page.curve(run.id, one.key, this.parameters(one, asked.length));
        } catch (error) {
          if (isTemporary(error)) throw error;
          wrong.set(run.name, messageOf(error));
        }
        if (turn === this.turn && asked.length > FEW) this.takeSome(turn, asked, answers);
      }));
      if (turn !== this.turn) return;
      const progress = Math.min(1, ...answers.map((answer) => answer?.progress ?? 1));
      this.loaded = progress >= 1;
      const [first] = wrong;
      this.problem = !first ? "" : asked.length > 1 ? `${first.join(": ")}${wrong.size > 1 ? `, and ${wrong.size - 1} more` : ""}` : first[1];
      this.showProgress(progress);
      if (progress < 1) this.timer = setTimeout(() => this.visible && this.load(), AGAIN);
      this.takeAnswers(asked, answers);
    } catch (error) {
      if (turn !== this.turn) return;
      this.complain(messageOf(error));
      this.timer = setTimeout(() => this.refresh(), 1500);
    }
  }

  /** Show an error; an empty text removes it. @param {string} text */
  complain(text) {
    this.problem = text;
    this.hub.redraw(this);
  }

  /** With many runs, show those that have arrived while the others are loading.
   * @param {number} turn @param {import("./line.js").Wanted[]} asked @param {any[]} answers */
  takeSome(turn, asked, answers) {
    this.some ||= setTimeout(() => {
      this.some = 0;
      if (turn !== this.turn || answers.every(Boolean)) return;
      this.showProgress(answers.filter(Boolean).length / answers.length);
      this.takeAnswers(asked, answers);
    }, AGAIN);
  }

  /** @param {import("./line.js").Wanted[]} asked @param {any[]} answers */
  takeAnswers(asked, answers) {
    const several = new Set(asked.map(({ run }) => run.id)).size > 1, keys = this.keys().length;
    this.lines = asked.flatMap((each, i) => (answers[i]?.curve ? [new Line(each, answers[i], several, this.spec, keys)] : []));
    this.settle();
  }

  /** @param {number} progress from 0 to 1 */
  showProgress(progress) {
    this.bar.hidden = progress >= 1;
    this.bar.style.width = `${Math.round(progress * 100)}%`;
  }

  /** New rows of a run, from the live stream. @param {import("./net.js").Rows} message */
  take(message) {
    if (message.kind !== this.spec.kind || this.page.span()) return;
    let grown = false;
    for (const line of this.lines) {
      if (line.run.id !== message.run) continue;
      if (!this.visible || !line.append(message, this.page, this.hub.zoom)) { this.stale = true; continue; }
      grown = true;
    }
    if (!this.lines.length) this.stale = true;
    if (this.stale && this.visible) this.refreshIn(SOON);
    if (!grown) return;
    if (this.lines.some((line) => line.again || line.curve.smooth)) this.refreshIn(SMOOTH_AGAIN);
    this.settling ||= requestAnimationFrame(() => { this.settling = 0; this.settle(); });
  }

  /** @param {number} wait milliseconds */
  refreshIn(wait) { this.soon ||= setTimeout(() => { this.soon = 0; this.refresh(); }, wait); }

  /** The lines changed: give them to the chart. */
  settle() {
    const series = this.lines.map((line) => line.drawn());
    this.isEmpty = this.loaded && this.spec.absent !== undefined && this.lines.every((line) => line.below > 0 && !line.curve.x.length);
    this.applyState();
    if (!this.chart) return;
    const hidesRaw = series.filter((one) => one.smooth?.x.length).length > MOST_RAW;
    this.chart.series = hidesRaw ? series.map((one) => ({ ...one, hidesRaw })) : series;
    this.chart.axisName = this.page.axis();
    this.chart.events = this.page.runs().flatMap((run) => this.page.events(run.id)).map((event) => (
      { ...event, x: event.among[this.spec.kind] ?? event.x }));
    this.chart.damage = this.lines.flatMap((line) => line.damage);
    this.legend.fill(series, this.keys().length);
    this.describe(this.chart);
    this.hub.changed(this);
  }

  /** @param {Chart} chart */
  describe(chart) {
    const { canvas, series } = chart, [low, high] = chart.extent();
    const what = this.lines.length === 1 ? "a curve" : `${series.length} curves`;
    canvas.ariaLabel = `${this.spec.title}: ${what} over ${this.page.axis()} from ${number(low)} to ${number(high)}. The arrow keys read out the values; the menu shows them as a table.`;
    if (ofCard(this.spec.id).table) this.table.replaceChildren(tableOf(series, this.page.axis(), this.spec.title));
  }

  recolor() {
    this.legend.signature = "";
    this.settle();
  }

  draw() {
    if (!this.chart) return;
    const { log, lines, norm } = ofCard(this.spec.id);
    this.chart.log = log ?? view.log;
    this.chart.lines = lines;
    this.chart.normalised = norm && this.keys().length > 1;
    if (this.isResized) this.legend.fill(this.chart.series, this.keys().length); // the number of entries that fit depends on the width
    this.isResized = false;
    this.explain(this.chart);
    this.chart.draw();
    this.legend.say(this.chart);
  }

  point() {
    if (!this.chart) return;
    this.chart.point();
    this.legend.say(this.chart);
  }

  /** What the chart does not show, in words. @param {Chart} chart */
  explain(chart) {
    const curves = this.lines.map((line) => line.curve);
    const sum = (/** @type {(curve: any) => number} */ of) => curves.reduce((all, one) => all + (of(one) ?? 0), 0);
    const thinned = this.lines.some((line) => line.thinned);
    const nan = sum((one) => one.nan), infinite = sum((one) => one.infinite);
    const low = chart.log && !this.spec.strip ? sum((one) => Array.from(one.y ?? []).filter((y) => y <= 0).length) : 0;
    const smoothed = [...new Set(curves.map((one) => one.smooth?.label).filter(Boolean))];
    const bins = Math.max(0, ...curves.map((one) => one.bins ?? 0));
    const parts = [
      this.problem, this.page.grouping() && view.smooth && !this.spec.strip ? "each run is smoothed" : "", bins ? `means of ${bins} bins` : "",
      ...(smoothed.length > 2 ? [`centred means of ${windows(curves)}`] : smoothed),
      chart.series.some((one) => one.hidesRaw) ? "single values are not drawn" : "", thinned ? "thinned" : "",
      curves.some(({ texts, code }) => texts && texts.length >= MOST_TEXTS && code?.includes(-1)) ? `only the first ${MOST_TEXTS} texts` : "",
      nan ? `${number(nan)} NaN` : "", infinite ? `${number(infinite)} ∞` : "", low ? `${thinned ? "" : `${number(low)} `}≤ 0 not drawn` : "",
      chart.series.some((one) => one.band?.fit.includes(false)) ? "bands of few runs may be cut off" : "",
      chart.normalised ? "normalised" : "", chart.damage.length ? "damaged" : "",
    ].filter(Boolean);
    say(this.note, parts.join(" · "));
    const title = [thinned ? "Each pixel shows the first, last, lowest and highest of its rows; zoom in to see all." : "",
      nan ? "A line has a gap where a NaN was logged." : "", chart.normalised ? "Each key is drawn from its lowest to its highest value." : ""].filter(Boolean).join(" ");
    if (this.note.title !== title) this.note.title = title;
    const points = sum((one) => one.x.length);
    const isLoading = !this.loaded && !this.lines.length && !this.problem;
    const words = isLoading ? "Loading…" : !this.loaded ? ""
      : !this.lines.length ? this.problem || (this.page.grouping() && this.spec.strip ? "Groups have no curves of words." : "None of the shown runs has these values.")
      : this.isEmpty ? `${this.spec.absent}: all ${number(this.lines.reduce((all, line) => all + line.below, 0))} values are below ${this.spec.floor}.`
      : !points && nan + infinite ? `All ${number(nan + infinite)} values ${infinite ? "are infinite or NaN" : "are NaN"}${this.hub.zoom ? " in this range" : ""}.`
      : !points ? (this.hub.zoom ? "No values in this range." : "No values yet.")
      : low && low === points ? "No value is above 0, so a logarithmic axis shows none." : "";
    say(this.said, words);
    this.said.hidden = !words;
    this.said.classList.toggle("loading", isLoading);
  }

  /** The description of this chart as a figure, see export.js. @returns {import("./export.js").Figure} */
  figure() {
    const span = this.page.span();
    const runs = this.page.runs().filter(({ id }) => this.lines.some((line) => line.run.id === id)).flatMap(({ id }) => this.page.members(id));
    const range = span ? [span.from, span.to] : this.hub.zoom;
    const { lines } = ofCard(this.spec.id);
    return {
      runs, kind: this.spec.kind, grouping: this.page.grouping(),
      keys: [...new Set(this.lines.map((line) => line.one.key))], x: span ? "time" : this.page.axis(), range, smooth: view.smooth,
      log: this.chart?.log ?? false, lines: [...(this.spec.thresholds ?? []).map(({ y }) => y), ...lines],
      normalised: this.chart?.normalised ?? false, isStrip: Boolean(this.spec.strip),
    };
  }

  get theme() { return isDark() ? "dark" : "light"; }
}

/** Whether the error can be temporary: the server is busy, or cannot be reached. @param {unknown} error */
const isTemporary = (error) => error instanceof TypeError || (error instanceof ApiError && (error.status === 409 || error.status === 503));

/** @param {import("./line.js").Curve[]} curves */
function windows(curves) {
  const sizes = curves.map((one) => one.smooth?.window).filter(Boolean);
  return `${number(Math.min(...sizes))} to ${number(Math.max(...sizes))}`;
}
