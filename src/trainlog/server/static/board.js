// The charts of the page: which exist, in which order, and which are on the screen.

import { Card } from "./card.js";
import { button, closest, element } from "./element.js";
import { number } from "./format.js";
import { sections } from "./sections.js";
import { changeCard, ofCard, view, watch } from "./view.js";

const CLOSED = new Set(JSON.parse(localStorage.getItem("trainlog.closed") ?? "[]"));
const OPENED = new Set(JSON.parse(localStorage.getItem("trainlog.opened") ?? "[]"));
const MOST_FOUND = 60; // charts of unlisted keys that a search shows at most
const DRAGGED = 6; // pixels after which a press on a title is a drag

/** @typedef {import("./card.js").Page} Page @typedef {import("./hub.js").Hub} Hub @typedef {import("./net.js").Info} Info */
/** @typedef {import("./sections.js").Section} Section @typedef {import("./card.js").Spec} Spec */

export class Board {
  /**
   * @param {HTMLElement} place
   * @param {{main: Page, variables: Page}} pages the page as seen by the cards: all cards, and those of the steps of episodes
   * @param {{main: Hub, variables: Hub}} hubs
   * @param {Record<"episodes" | "functions", {element: HTMLElement}>} specials sections that are not charts
   */
  constructor(place, pages, hubs, specials) {
    this.place = place;
    this.pages = pages;
    this.hubs = hubs;
    this.specials = specials;
    /** @type {Map<string, Card>} */
    this.cards = new Map();
    /** @type {Map<string, number>} */
    this.places = new Map(); // of charts in their group; moved charts get numbers between those of others
    this.signature = this.lastLeftOut = "";
    /** @type {Info[]} */
    this.infos = [];
    /** @type {HTMLElement | null} */
    this.groups = null;
    /** @type {Map<HTMLElement, (isSearched: boolean) => void>} */
    this.folds = new Map(); // opens a group, or closes it again after a search
    const readout = element("p", "hidden", { id: "readout", ariaLive: "polite" });
    place.after(readout);
    for (const hub of Object.values(hubs)) hub.say = (text) => { readout.textContent = text; };
    this.observer = new IntersectionObserver((seen) => {
      for (const { target, isIntersecting } of seen) this.cards.get(/** @type {HTMLElement} */ (target).dataset.card ?? "")?.show(isIntersecting);
    }, { root: place, rootMargin: "150px 0px" });
    watch((fields) => { if (fields.includes("cards") && this.infos.length) this.build(this.infos); });
  }

  /** @param {Info[]} infos of the runs that are shown */
  build(infos) {
    this.infos = infos;
    const found = this.arranged([...sections(infos), ...this.leftOut(infos)]);
    const signature = JSON.stringify(found);
    if (signature === this.signature) return;
    this.signature = signature;
    this.folds = new Map();
    const kept = new Map();
    const groups = found.map((section) => {
      const cards = section.cards.map((spec) => {
        const old = this.cards.get(spec.id);
        const which = section.variables || spec.variables ? "variables" : "main";
        const same = old && JSON.stringify(old.spec) === JSON.stringify(spec);
        const card = same ? old : new Card(spec, this.hubs[which], this.pages[which]);
        card.board = this;
        kept.set(spec.id, card);
        return card;
      });
      return this.group(section, cards);
    });
    for (const [id, card] of this.cards) if (kept.get(id) !== card) { card.show(false); this.observer.unobserve(card.element); }
    this.cards = kept;
    const scrolled = this.place.scrollTop;
    this.groups?.remove();
    this.groups = element("div", "", {}, ...groups);
    this.place.append(this.groups);
    this.place.scrollTop = scrolled;
    for (const card of kept.values()) { this.observer.unobserve(card.element); this.observer.observe(card.element); }
    this.search();
  }

  /** The sections as the user arranged them: pinned charts first, hidden ones left out, moved ones in their new place.
   * @param {Section[]} found @returns {Section[]} */
  arranged(found) {
    const pinned = found.flatMap(({ cards, variables }) => cards.filter(({ id }) => ofCard(id).pin).map((spec) => ({ ...spec, variables })));
    const all = pinned.length ? [{ id: "pinned", title: "Pinned", cards: pinned }, ...found] : found;
    return all.map((section) => {
      const own = section.cards.filter(({ id }) => !ofCard(id).hide && (section.id === "pinned" || !ofCard(id).pin));
      const hidden = section.cards.filter(({ id }) => ofCard(id).hide).map(({ id, title }) => ({ id, title }));
      own.forEach(({ id }, i) => this.places.set(id, ofCard(id).order ?? i));
      return { ...section, cards: own.sort((a, b) => this.placeOf(a) - this.placeOf(b)), hidden: section.id === "pinned" ? [] : hidden };
    });
  }

  /** @param {{id: string}} spec */
  placeOf({ id }) { return this.places.get(id) ?? 0; }

  /** Charts of keys that are too many to list, as far as the user searches for them. @param {Info[]} infos @returns {Section[]} */
  leftOut(infos) {
    const names = new Map();
    for (const { kinds } of infos) for (const [kind, about] of Object.entries(kinds)) for (const key of about.left_out) names.set(`${kind}/${key}`, { kind, key });
    if (!names.size) return [];
    const words = wordsOf(view.q);
    const fits = words.length ? [...names.values()].filter(({ key }) => words.every((word) => key.toLowerCase().includes(word))) : [];
    const unknown = infos.some(({ kinds }) => Object.values(kinds).some((about) => !about.all_keys && about.left_out.length >= 16384));
    const title = `${number(names.size)} more keys${unknown ? ", and others" : ""}: ${fits.length ? `${number(fits.length)} found` : "search for them by name"}`;
    return [{ id: "left-out", title, cards: fits.slice(0, MOST_FOUND).map(({ kind, key }) => ({ id: `${kind}/${key}`, title: key, kind, series: [{ key, label: key }] })) }];
  }

  /** @param {Section} section @param {Card[]} cards */
  group({ id, title, cards: specs, special, closed, hidden }, cards) {
    const group = element("section", "group");
    group.dataset.group = id;
    const isClosed = () => (closed ? !OPENED.has(id) : CLOSED.has(id));
    const inside = element("div");
    if (special) inside.append(this.specials[special].element);
    inside.append(element("div", `cards${id === "six" ? " six" : ""}`, {}, ...cards.map((card) => card.element)));
    for (const card of cards) this.listenToDrag(card, cards);
    if (hidden?.length) inside.append(this.hiddenOnes(hidden));
    inside.hidden = isClosed();
    if (title) {
      const show = () => {
        toggle.textContent = `${inside.hidden ? "▸" : "▾"} ${title}`;
        toggle.setAttribute("aria-expanded", String(!inside.hidden));
      };
      const toggle = button("", () => {
        inside.hidden = !inside.hidden;
        show();
        (inside.hidden ? CLOSED : OPENED).add(id);
        (inside.hidden ? OPENED : CLOSED).delete(id);
        localStorage.setItem("trainlog.closed", JSON.stringify([...CLOSED]));
        localStorage.setItem("trainlog.opened", JSON.stringify([...OPENED]));
      });
      show();
      this.folds.set(group, (isSearched) => { inside.hidden = isClosed() && !isSearched; show(); });
      group.append(element("h2", "", {}, toggle, ...(specs.length ? [element("span", "count", {}, String(specs.length))] : [])));
    } else group.append(element("h2", "hidden", { textContent: "First charts" }));
    group.append(inside);
    return group;
  }

  /** @param {{id: string, title: string}[]} hidden */
  hiddenOnes(hidden) {
    const buttons = hidden.map(({ id, title }) => button(title, () => changeCard(id, { hide: false }), "", "", "Show this chart"));
    return element("p", "hidden-cards", {}, "Hidden: ", ...buttons);
  }

  /** Whether there is neither a chart nor anything else, although everything that is shown was read. */
  get isBlank() {
    const groups = /** @type {HTMLElement[]} */ ([...(this.groups?.children ?? [])]);
    return this.infos.length > 0 && this.infos.every(({ progress }) => progress >= 1) && groups.every(({ hidden }) => hidden);
  }

  // --- order ---

  /** Move a chart before or after its neighbour. @param {Card} card @param {number} by */
  move(card, by) {
    const ids = [...(card.element.parentElement?.querySelectorAll(".card") ?? [])].map((one) => /** @type {HTMLElement} */ (one).dataset.card ?? "");
    const to = Math.min(Math.max(ids.indexOf(card.spec.id) + by, 0), ids.length - 1);
    this.put(card.spec.id, ids, to);
  }

  /** @param {string} id @param {string[]} ids of the group in the current order @param {number} to */
  put(id, ids, to) {
    const others = ids.filter((one) => one !== id);
    const before = this.places.get(others[to - 1]), behind = this.places.get(others[to]);
    if (before === undefined && behind === undefined) return;
    const low = before ?? Number(behind) - 2, high = behind ?? low + 2;
    changeCard(id, { order: (low + high) / 2 });
  }

  /** @param {Card} card @param {Card[]} cards of its group */
  listenToDrag(card, cards) {
    card.head.onpointerdown = (event) => {
      if (event.button !== 0 || event.pointerType === "touch" || closest(event, "details")) return;
      const begin = { x: event.clientX, y: event.clientY };
      /** @type {Card | null} */
      let target = null;
      const move = (/** @type {PointerEvent} */ now) => {
        if (Math.hypot(now.clientX - begin.x, now.clientY - begin.y) < DRAGGED && !target) return;
        card.element.classList.add("dragged");
        const over = document.elementFromPoint(now.clientX, now.clientY)?.closest(".card");
        target = cards.find((one) => one.element === over) ?? target ?? card;
        for (const one of cards) one.element.classList.toggle("target", one === target && one !== card);
      };
      const end = () => {
        removeEventListener("pointermove", move);
        for (const one of cards) one.element.classList.remove("target", "dragged");
        const ids = cards.map((one) => one.spec.id);
        if (target && target !== card) this.put(card.spec.id, ids, ids.indexOf(/** @type {Card} */ (target).spec.id));
      };
      addEventListener("pointermove", move);
      addEventListener("pointerup", end, { once: true });
    };
  }

  // --- search ---

  /** Show only charts whose name or keys contain all words of the search. */
  search() {
    const words = wordsOf(view.q);
    const leftOut = JSON.stringify(this.leftOut(this.infos));
    if (leftOut !== this.lastLeftOut) {
      this.lastLeftOut = leftOut;
      if (this.infos.length) this.build(this.infos);
    }
    for (const { element: place, spec } of this.cards.values()) {
      const text = `${spec.title} ${spec.series.map((one) => `${one.key} ${one.label}`).join(" ")}`.toLowerCase();
      place.hidden = !words.every((word) => text.includes(word));
    }
    for (const group of /** @type {HTMLElement[]} */ ([...(this.groups?.children ?? [])])) {
      group.hidden = words.length > 0 && !group.querySelector(".card:not([hidden])");
      this.folds.get(group)?.(words.length > 0);
    }
  }

  /** @param {(card: Card) => any} act @param {(card: Card) => boolean} filter */
  each(act, filter = () => true) { for (const card of this.cards.values()) if (filter(card)) act(card); }

  clear() {
    this.each((card) => { card.show(false); this.observer.unobserve(card.element); });
    this.cards = new Map();
    this.groups?.remove();
    this.groups = null;
    this.infos = [];
    this.signature = "";
  }
}

const wordsOf = (/** @type {string} */ text) => text.toLowerCase().split(/\s+/).filter(Boolean);
