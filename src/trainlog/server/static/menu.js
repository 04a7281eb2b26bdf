// The menu of a chart: what leaves it, and what the reader may change of it.

import { element } from "./card.js";
import { canCopy, command, copyPicture, csvOfRuns, fetched, figureAddress, save } from "./export.js";
import { csvAddress, listed } from "./net.js";
import { ofCard, view } from "./view.js";

const MOST_KEYS = 500; // that the field proposes

/** @param {import("./card.js").Card} card */
export function fillMenu(card) {
  const { id, strip } = card.spec;
  const state = ofCard(id);
  const button = (/** @type {string} */ text, /** @type {() => any} */ act) => {
    const one = Object.assign(element("button"), { textContent: text, type: "button" });
    one.addEventListener("click", async () => {
      card.more.open = false;
      try { await act(); } catch (error) { card.note.textContent = error.message; }
    });
    return one;
  };
  const items = [...exports(card, button), element("hr")];
  items.push(button(state.table ? "Hide the table" : "Table of the values", () => { card.change({ table: !state.table }); card.settle(); }));
  if (!strip) {
    const isLog = state.log ?? view.log;
    items.push(button(isLog ? "Linear y" : "Logarithmic y", () => card.change({ log: !isLog })));
    if (card.keys().length > 1) items.push(button(state.norm ? "Values as they are" : "Normalised: each key from low to high", () => card.change({ norm: !state.norm })));
    items.push(lineField(card, state.lines), keyField(card, state.keys));
    if (state.keys.length) items.push(button(`Without ${state.keys.join(", ")}`, () => { card.change({ keys: [] }); card.refresh(); }));
  }
  items.push(element("hr"));
  const isWide = card.element.classList.contains("wide");
  items.push(
    button(isWide ? "Narrow" : "Full width", () => card.change({ wide: !isWide })),
    button("Taller", () => card.change({ height: card.plot.clientHeight + 80 })),
    button("Shorter", () => card.change({ height: Math.max(card.plot.clientHeight - 80, 60) })),
    button(state.pin ? "Unpin" : "Pin to the top", () => card.change({ pin: !state.pin })),
    button("Move before", () => card.board?.move(card, -1)),
    button("Move behind", () => card.board?.move(card, 1)),
    button("Hide", () => card.change({ hide: true })),
  );
  card.menu.replaceChildren(...items);
}

function exports(card, button) {
  const figure = card.figure();
  const name = `${card.spec.title}`.replace(/[^\w.-]+/g, "-");
  if (!figure.runs.length) return [];
  const address = (/** @type {string} */ format) => figureAddress(figure, format, card.theme);
  const items = [
    button("PNG picture", async () => save(await fetched(address("png")), `${name}.png`)),
    button("SVG picture", async () => save(await fetched(address("svg")), `${name}.svg`)),
  ];
  const text = command(figure, card.theme);
  if (canCopy()) {
    items.push(
      button("Copy the PNG", () => copyPicture(address("png"))),
      button("Copy the SVG", async () => navigator.clipboard.writeText(await (await fetched(address("svg"))).text())),
      Object.assign(button("Copy the command", () => navigator.clipboard.writeText(text)), { title: `In the served folder:\n${text}` }),
    );
  } else {
    const field = Object.assign(element("input"), { type: "text", value: text, readOnly: true, title: "Makes the same figure, in the served folder" });
    field.addEventListener("focus", () => field.select());
    items.push(labelled("Command ", field));
  }
  return [...items, ...tables(card, button, name)];
}

function tables(card, button, name) {
  const span = card.page.span();
  const keysOf = (/** @type {string} */ id) => [...new Set(card.lines.filter((line) => line.run.id === id).map((line) => line.one.key))];
  const runs = card.page.runs().map((run) => ({ ...run, keys: keysOf(run.id), path: card.page.info(run.id)?.path ?? run.id })).filter((run) => run.keys.length);
  const parameters = {
    kind: card.spec.kind, x: card.page.axis(), from: card.hub.zoom?.[0], to: card.hub.zoom?.[1], span: span ? `${span.from}:${span.to}` : null,
  };
  if (runs.length > 1) return [button(`CSV of ${runs.length} runs, all rows`, async () => save(await csvOfRuns(runs, parameters), `${name}.csv`))];
  return runs.map((run) => {
    const link = element("a");
    link.href = csvAddress(run.id, { ...parameters, keys: listed(run.keys) });
    link.download = "";
    link.textContent = "CSV, all rows";
    return link;
  });
}

function labelled(text, field) {
  const label = Object.assign(element("label", "line"), { textContent: text });
  label.append(field);
  return label;
}

function lineField(card, lines) {
  const field = Object.assign(element("input"), { type: "text", value: lines.join(", "), placeholder: "0.5, 1", inputMode: "decimal" });
  field.addEventListener("change", () => {
    card.change({ lines: field.value.split(/[\s,;]+/).filter(Boolean).map(Number).filter(Number.isFinite).slice(0, 8) });
  });
  return labelled("Lines at ", field);
}

/** Another key of the same frames in the chart. */
function keyField(card, keys) {
  const field = Object.assign(element("input"), { type: "text", placeholder: "key", spellcheck: false });
  const list = element("datalist");
  list.id = `keys-of-${card.spec.id}`;
  const known = new Set(card.page.runs().flatMap((run) => {
    const about = card.page.info(run.id)?.kinds[card.spec.kind];
    return [...Object.entries(about?.keys ?? {}).filter(([, { shape }]) => shape === "number").map(([key]) => key), ...(about?.left_out ?? [])];
  }));
  list.append(...[...known].slice(0, MOST_KEYS).map((key) => Object.assign(element("option"), { value: key })));
  field.setAttribute("list", list.id);
  field.addEventListener("change", () => {
    const key = field.value.trim();
    if (!known.has(key)) { card.note.textContent = `no run that is shown has ${key}`; return; }
    card.more.open = false;
    card.change({ keys: [...new Set([...keys, key])].slice(0, 12) });
    card.refresh();
  });
  const label = labelled("Add ", field);
  label.append(list);
  return label;
}
