// Above the charts: the shown runs, their states, their metadata, and where these differ.

import { ofRun } from "./colors.js";
import { button, element, nameOf, swatch } from "./element.js";
import { exact, json } from "./exact.js";
import { duration, flat, number, size } from "./format.js";
import { stateOf } from "./runrows.js";

/** @typedef {import("./card.js").Drawn} Drawn @typedef {import("./net.js").Info} Info @typedef {import("./runs.js").Run} Run */
/** @typedef {Record<string, {signature: string, element: HTMLElement | null}>} Parts the parts above the charts */
/** @typedef {{run(id: string): Run | undefined, info(id: string): Info | undefined, edit(id: string): void, remove(id: string): void,
 *   table(): void, isGrouped: boolean, state: {parts: Parts, metadata?: boolean, allKeys?: boolean}}} Page */

const MOST_CHIPS = 60;
const MOST_COLUMNS = 12; // runs in the table of the metadata
const MOST_KEYS = 400;

/** @param {any} value */
const words = (value) => (value === undefined ? "" : value === null ? "null" : exact(value));

/**
 * One run: its facts on one line.
 * @param {Drawn} shown @param {Info} info @param {any} run as the list has it @param {Page} page
 */
function lineOf({ name }, info, run, page) {
  const line = element("div", "about", {}, element("b", "", { title: info.path }, name), stateOf(run));
  const task = [info.creature, info.task].filter(Boolean).join(" · ");
  if (task) line.append(element("span", "", { textContent: task }));
  for (const tag of run.my?.tags ?? []) line.append(element("span", "tag", { textContent: tag }));
  const facts = { "": duration(run.duration ?? info.duration), frames: run.frames === null ? "…" : number(run.frames), seed: info.meta.seed };
  for (const [key, value] of Object.entries(facts)) {
    if (value === undefined || value === null || value === "") continue;
    line.append(element("span", "pair", {}, key ? `${key} ` : "", element("i", "", {}, words(value))));
  }
  line.append(element("span", "", { textContent: size(run.size) }));
  if (info.damage.length) line.append(element("span", "pill bad", { textContent: `${info.damage.length} damaged`, title: info.damage.join("\n") }));
  line.append(button("✎", () => page.edit(info.id), "act", `Name, tags and note of ${info.path}`, "Name, tags, note"));
  if (run.my?.note) line.append(element("p", "note", { textContent: run.my.note }));
  return line;
}

/** Several runs: a chip for each, on at most two lines, and a button for all of them. @param {Drawn[]} shown @param {Page} page */
function chipsOf(shown, page) {
  const chips = shown.slice(0, MOST_CHIPS).map(({ id, slot, name }) => {
    const run = page.run(id), info = page.info(id);
    const label = nameOf(name, [run?.path, [run?.creature, run?.task].filter(Boolean).join(" · "), run?.my?.note].filter(Boolean).join("\n"));
    const chip = element("span", "chip", {}, swatch(ofRun(slot)), label);
    if (run && run.state !== "ended" && run.state !== "finished") chip.append(stateOf(run));
    if (info?.damage.length) chip.append(element("span", "pill bad", { textContent: "damaged", title: info.damage.join("\n") }));
    chip.append(button("×", () => page.remove(id), "gone", `Stop showing ${name}`, `Stop showing ${name}`));
    return chip;
  });
  const box = element("div", "chips", {}, ...chips);
  const isMany = shown.length > MOST_CHIPS;
  const more = button(`all ${number(shown.length)}`, () => {
    if (isMany) page.table();
    else more.setAttribute("aria-expanded", String(box.classList.toggle("open")));
  }, "all-chips", "", isMany ? "In the table" : "");
  if (!isMany) more.setAttribute("aria-expanded", "false");
  // The button is there only if some chips are not visible.
  requestAnimationFrame(() => { more.hidden = box.scrollHeight <= box.clientHeight + 4 && !isMany; });
  return element("div", "chips-frame", {}, box, more);
}

/** The metadata of the runs side by side. @param {Drawn[]} shown @param {Page} page */
function metadataOf(shown, page) {
  const all = shown.filter(({ id }) => page.info(id)).map(({ id, name }) => ({ name, meta: flat(page.info(id)?.meta ?? {}) }));
  const some = all.slice(0, MOST_COLUMNS), [first] = all;
  const keys = [...new Set(all.flatMap(({ meta }) => Object.keys(meta)))];
  const isOther = (/** @type {Record<string, any>} */ meta, /** @type {string} */ key) => json(meta[key]) !== json(first.meta[key]);
  const differing = keys.filter((key) => all.some(({ meta }) => isOther(meta, key)));
  const several = some.length > 1;
  const title = several ? `Hyper-parameters: ${differing.length} of ${keys.length} differ` : `Hyper-parameters (${keys.length})`;
  const inside = element("div");
  const box = element("details", "metadata", { open: page.state.metadata ?? false }, element("summary", "", {}, title), inside);
  const fill = () => {
    page.state.metadata = box.open;
    if (!box.open) return;
    const rows = (several && !page.state.allKeys ? differing : keys).slice(0, MOST_KEYS);
    const table = element("table", "facts-table");
    const head = table.createTHead().insertRow();
    if (several) {
      head.insertCell();
      head.append(...some.map(({ name }) => element("th", "", { scope: "col", textContent: name })));
    }
    const body = table.createTBody();
    for (const key of rows) {
      const row = body.insertRow();
      row.insertCell().textContent = key;
      for (const { meta } of some) {
        const cell = row.insertCell();
        cell.textContent = words(meta[key]);
        if (isOther(meta, key)) cell.className = "other";
      }
    }
    inside.replaceChildren(table);
    if (several) {
      const check = element("input", "", { type: "checkbox", checked: !page.state.allKeys });
      check.addEventListener("change", () => { page.state.allKeys = !check.checked; fill(); });
      inside.prepend(element("label", "tool", {}, check, "only what differs"));
    }
    if (shown.length > some.length) {
      inside.append(button(`All ${number(shown.length)} in the table`, () => page.table()));
    }
  };
  box.addEventListener("toggle", fill);
  fill();
  return box;
}

/**
 * Only parts that have changed are rebuilt, so that a click on the rest is not lost while runs continue.
 * @param {HTMLElement} board
 * @param {Drawn[]} shown
 * @param {Map<string, string>} troubles the problem of each run
 * @param {Page} page
 */
export function drawAbout(board, shown, troubles, page) {
  let place = board.querySelector("#about");
  if (!place) {
    place = element("div", "", { id: "about" });
    board.prepend(place);
    page.state.parts = {};
  }
  const infos = shown.flatMap(({ id }) => page.info(id) ?? []), [info] = infos;
  const colors = shown.map(({ slot }) => ofRun(slot));
  const parts = [
    part(page, "troubles", [...troubles], troubles.size > 0, () => troublesOf(troubles, page)),
    part(page, "line", [shown, page.run(shown[0]?.id), infos.map(({ damage, meta }) => [damage, meta.seed])],
      shown.length === 1 && infos.length === 1, () => lineOf(shown[0], info, page.run(info.id) ?? info, page)),
    part(page, "chips", [shown, colors, shown.map(({ id }) => { const run = page.run(id); return [run?.path, run?.state, run?.my, page.info(id)?.damage.length]; })],
      shown.length > 1, () => chipsOf(shown, page)),
    part(page, "metadata", [shown, infos.map(({ meta }) => meta)], infos.length > 0 && !page.isGrouped, () => metadataOf(shown, page)),
  ].filter((one) => one !== null);
  if (parts.length !== place.children.length || parts.some((one, i) => one !== place.children[i])) place.replaceChildren(...parts);
}

/** One of the parts, rebuilt if its data has changed.
 * @param {Page} page @param {string} name @param {any} of @param {boolean} isThere @param {() => HTMLElement} make */
function part({ state }, name, of, isThere, make) {
  const signature = isThere ? json(of) : "";
  if (state.parts[name]?.signature !== signature) state.parts[name] = { signature, element: isThere ? make() : null };
  return state.parts[name].element;
}

/** @param {Map<string, string>} troubles @param {Page} page */
function troublesOf(troubles, page) {
  const boxes = [...troubles].map(([id, message]) => {
    const title = `${page.run(id)?.path ?? (id ? "This run" : "The groups")} cannot be shown`;
    return element("div", "trouble", {}, element("h2", "", {}, title), element("p", "", {}, message));
  });
  return element("div", "", {}, ...boxes);
}
