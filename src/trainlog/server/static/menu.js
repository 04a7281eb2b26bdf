// The menu of a chart: exports, and what the user can change.

import { button, element } from "./element.js";
import { canCopy, command, copyPicture, csvOfRuns, fetched, figureAddress, save } from "./export.js";
import { csvAddress, listed, messageOf } from "./net.js";
import { ofCard, view } from "./view.js";

const MOST_KEYS = 500; // suggestions of the field

/** @typedef {import("./card.js").Card} Card */

/** An entry of the menu; errors are shown next to the title. @param {Card} card @param {string} text @param {() => any} act */
const entry = (card, text, act) => button(text, async () => {
  card.more.open = false;
  card.complain("");
  try { await act(); } catch (error) { card.complain(messageOf(error)); }
});

/** @param {Card} card */
export function fillMenu(card) {
  const { id, strip } = card.spec;
  const state = ofCard(id);
  const items = [...exportsOf(card), element("hr")];
  items.push(entry(card, state.table ? "Hide the table" : "Table of the values", () => { card.change({ table: !state.table }); card.settle(); }));
  if (!strip) {
    const isLog = state.log ?? view.log;
    items.push(entry(card, isLog ? "Linear y" : "Logarithmic y", () => card.change({ log: !isLog })));
    if (card.keys().length > 1) items.push(entry(card, state.norm ? "Values as they are" : "Normalised: each key from low to high", () => card.change({ norm: !state.norm })));
    items.push(lineField(card, state.lines), keyField(card, state.keys));
    if (state.keys.length) items.push(entry(card, `Without ${state.keys.join(", ")}`, () => { card.change({ keys: [] }); card.refresh(); }));
  }
  items.push(element("hr"));
  const isWide = card.element.classList.contains("wide");
  items.push(
    entry(card, isWide ? "Narrow" : "Full width", () => card.change({ wide: !isWide })),
    entry(card, "Taller", () => card.change({ height: card.plot.clientHeight + 80 })),
    entry(card, "Shorter", () => card.change({ height: Math.max(card.plot.clientHeight - 80, 60) })),
    entry(card, state.pin ? "Unpin" : "Pin to the top", () => card.change({ pin: !state.pin })),
    entry(card, "Move before", () => card.board?.move(card, -1)),
    entry(card, "Move behind", () => card.board?.move(card, 1)),
    entry(card, "Hide", () => card.change({ hide: true })),
  );
  card.menu.replaceChildren(...items);
}

/** @param {Card} card */
function exportsOf(card) {
  const figure = card.figure();
  const name = `${card.spec.title}`.replace(/[^\w.-]+/g, "-");
  if (!figure.runs.length) return [];
  const tables = tablesOf(card, figure.runs, name);
  if (figure.grouping && figure.grouping.by.length > 1) return [element("p", "dim", { textContent: "A figure can group by only one key." }), ...tables];
  const address = (/** @type {string} */ format) => figureAddress(figure, format, card.theme);
  const items = [
    entry(card, "PNG picture", async () => save(await fetched(address("png")), `${name}.png`)),
    entry(card, "SVG picture", async () => save(await fetched(address("svg")), `${name}.svg`)),
  ];
  const text = command(figure, card.theme);
  if (canCopy()) {
    const copied = entry(card, "Copy the command", () => navigator.clipboard.writeText(text));
    copied.title = `In the served folder:\n${text}`;
    items.push(
      entry(card, "Copy the PNG", () => copyPicture(address("png"))),
      entry(card, "Copy the SVG", async () => navigator.clipboard.writeText(await (await fetched(address("svg"))).text())),
      copied,
    );
    return [...items, ...tables];
  }
  const field = element("input", "", { type: "text", value: text, readOnly: true, title: "Draws the same figure; run it in the served folder" });
  field.addEventListener("focus", () => field.select());
  return [...items, element("label", "line", {}, "Command ", field), ...tables];
}

/** All rows of the chart. @param {Card} card @param {{id: string, path: string}[]} runs @param {string} name */
function tablesOf(card, runs, name) {
  const span = card.page.span();
  const keys = [...new Set(card.lines.map((line) => line.one.key))];
  const of = (/** @type {string} */ run) => {
    const known = card.page.info(run)?.kinds[card.spec.kind]; // nothing may be known about a member of a group
    return known ? keys.filter((key) => Object.hasOwn(known.keys, key) || known.left_out.includes(key)) : keys;
  };
  const parameters = {
    kind: card.spec.kind, x: card.page.axis(), from: card.hub.zoom?.[0], to: card.hub.zoom?.[1], span: span ? `${span.from}:${span.to}` : null,
  };
  const [first, ...others] = runs;
  if (others.length) {
    const table = async () => save(await csvOfRuns(runs.map((run) => ({ ...run, keys: of(run.id) })), parameters), `${name}.csv`);
    return [entry(card, `CSV of ${runs.length} runs, all rows`, table)];
  }
  return [element("a", "", { href: csvAddress(first.id, { ...parameters, keys: listed(of(first.id)) }), download: "", textContent: "CSV, all rows" })];
}

/** @param {Card} card @param {number[]} lines */
function lineField(card, lines) {
  const field = element("input", "", { type: "text", value: lines.join(", "), placeholder: "0.5, 1", inputMode: "decimal" });
  field.addEventListener("change", () => {
    card.change({ lines: field.value.split(/[\s,;]+/).filter(Boolean).map(Number).filter(Number.isFinite).slice(0, 8) });
  });
  return element("label", "line", {}, "Lines at ", field);
}

/** Add another key of the same frames to the chart. @param {Card} card @param {string[]} keys */
function keyField(card, keys) {
  const field = element("input", "", { type: "text", placeholder: "key", spellcheck: false });
  const known = new Set(card.page.runs().flatMap((run) => {
    const about = card.page.info(run.id)?.kinds[card.spec.kind];
    return about ? [...Object.keys(about.keys).filter((key) => about.keys[key].shape === "number"), ...about.left_out] : [];
  }));
  const suggestions = [...known].slice(0, MOST_KEYS).map((key) => element("option", "", { value: key }));
  const list = element("datalist", "", { id: `keys-of-${card.spec.id}` }, ...suggestions);
  field.setAttribute("list", list.id);
  field.addEventListener("change", () => {
    const key = field.value.trim();
    card.complain(known.has(key) ? "" : `none of the shown runs has ${key}`);
    if (!known.has(key)) return;
    card.more.open = false;
    card.change({ keys: [...new Set([...keys, key])].slice(0, 12) });
    card.refresh();
  });
  return element("label", "line", {}, "Add ", field, list);
}
