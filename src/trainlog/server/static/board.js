// The charts of the page: which there are, which are on the screen.

import { Card, element } from "./card.js";
import { sections } from "./groups.js";
import { view } from "./view.js";

const CLOSED = new Set(JSON.parse(localStorage.getItem("trainlog.closed") ?? "[]"));
const OPENED = new Set(JSON.parse(localStorage.getItem("trainlog.opened") ?? "[]"));

export class Board {
  // pages: {main, variables}: what cards ask for their runs; hubs likewise
  constructor(place, pages, hubs, specials) {
    Object.assign(this, { place, pages, hubs, specials });
    this.cards = new Map();
    this.signature = "";
    this.observer = new IntersectionObserver((seen) => {
      for (const { target, isIntersecting } of seen) this.cards.get(target.dataset.card)?.show(isIntersecting);
    }, { root: place, rootMargin: "150px 0px" });
  }

  build(infos) {
    const found = sections(infos);
    const signature = JSON.stringify(found);
    if (signature === this.signature) return;
    this.signature = signature;
    const kept = new Map();
    const groups = found.map((section) => {
      const cards = section.cards.map((spec) => {
        const old = this.cards.get(spec.id);
        const which = section.variables ? "variables" : "main";
        const same = old && JSON.stringify(old.spec) === JSON.stringify(spec);
        const card = same ? old : new Card(spec, this.hubs[which], this.pages[which]);
        if (old && !same) { old.show(false); this.observer.unobserve(old.element); }
        kept.set(spec.id, card);
        return card;
      });
      return this.group(section, cards);
    });
    for (const [id, card] of this.cards) if (!kept.has(id)) { card.show(false); this.observer.unobserve(card.element); }
    this.cards = kept;
    this.groups?.remove();
    this.groups = element("div");
    this.groups.append(...groups);
    this.place.append(this.groups);
    for (const card of kept.values()) { this.observer.unobserve(card.element); this.observer.observe(card.element); }
    this.search();
  }

  group({ id, title, cards: specs, special, closed }, cards) {
    const group = element("section", "group");
    group.dataset.group = id;
    const isClosed = closed ? !OPENED.has(id) : CLOSED.has(id);
    const inside = element("div");
    if (special) inside.append(this.specials[special].element);
    const grid = element("div", `cards${id === "six" ? " six" : ""}`);
    grid.append(...cards.map((card) => card.element));
    inside.append(grid);
    inside.hidden = isClosed;
    if (title) {
      const head = element("h2");
      const toggle = Object.assign(element("button"), { type: "button", textContent: `${isClosed ? "▸" : "▾"} ${title}` });
      toggle.setAttribute("aria-expanded", String(!isClosed));
      toggle.addEventListener("click", () => {
        inside.hidden = !inside.hidden;
        toggle.textContent = `${inside.hidden ? "▸" : "▾"} ${title}`;
        toggle.setAttribute("aria-expanded", String(!inside.hidden));
        (inside.hidden ? CLOSED : OPENED).add(id);
        (inside.hidden ? OPENED : CLOSED).delete(id);
        localStorage.setItem("trainlog.closed", JSON.stringify([...CLOSED]));
        localStorage.setItem("trainlog.opened", JSON.stringify([...OPENED]));
      });
      head.append(toggle);
      if (specs.length) head.append(Object.assign(element("span", "count"), { textContent: specs.length }));
      group.append(head);
    }
    group.append(inside);
    return group;
  }

  // Only charts whose name or keys have all the words.
  search() {
    const words = view.q.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { element: place, spec } of this.cards.values()) {
      const text = `${spec.title} ${spec.series.map((one) => `${one.key} ${one.label}`).join(" ")}`.toLowerCase();
      place.hidden = !words.every((word) => text.includes(word));
    }
    for (const group of this.groups?.children ?? []) {
      const cards = [...group.querySelectorAll(".card")];
      group.hidden = words.length > 0 && !cards.some((card) => !card.hidden);
      if (words.length && !group.hidden) group.lastElementChild.hidden = false;
    }
  }

  each(act, filter = () => true) { for (const card of this.cards.values()) if (filter(card)) act(card); }

  clear() {
    this.each((card) => { card.show(false); this.observer.unobserve(card.element); });
    this.cards = new Map();
    this.groups?.remove();
    this.groups = null;
    this.signature = "";
  }
}

