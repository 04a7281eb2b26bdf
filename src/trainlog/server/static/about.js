// @ts-check
// Above the charts: which runs are shown, how each is, and what they were told: their metadata, and in what they differ.

import { element } from "./card.js";
import { ofRun } from "./colors.js";
import { duration, number, size } from "./format.js";
import { stateOf } from "./sidelist.js";

const MOST_CHIPS = 60;
const MOST_COLUMNS = 12; // runs in the table of the metadata
const MOST_KEYS = 400;

/** Nested maps as keys with slashes. */
function flat(value, prefix = "", found = {}) {
  for (const [key, one] of Object.entries(value ?? {})) {
    const name = prefix ? `${prefix}/${key}` : key;
    if (one && typeof one === "object" && !Array.isArray(one) && Object.keys(one).length) flat(one, name, found);
    else found[name] = one;
  }
  return found;
}

const words = (value) => (value === undefined ? "" : typeof value === "string" ? value : typeof value === "number" ? number(value) : JSON.stringify(value));

/**
 * One run: its facts in a line.
 * @param {{id: string, name: string, slot: number}} shown
 */
function lineOf({ name }, info, run, page) {
  const line = element("div", "about");
  line.append(Object.assign(element("b"), { textContent: name, title: info.path }), stateOf(run));
  const task = [info.creature, info.task].filter(Boolean).join(" · ");
  if (task) line.append(Object.assign(element("span"), { textContent: task }));
  for (const tag of run.my?.tags ?? []) line.append(Object.assign(element("span", "tag"), { textContent: tag }));
  const facts = { "": duration(run.duration ?? info.duration), frames: run.frames === null ? "…" : number(run.frames), seed: info.meta.seed };
  for (const [key, value] of Object.entries(facts)) {
    if (value === undefined || value === null || value === "") continue;
    const pair = element("span", "pair");
    pair.append(key ? `${key} ` : "", Object.assign(element("i"), { textContent: words(value) }));
    line.append(pair);
  }
  line.append(Object.assign(element("span"), { textContent: size(run.size) }));
  if (info.damage.length) line.append(Object.assign(element("span", "pill bad"), { textContent: `${info.damage.length} damaged`, title: info.damage.join("\n") }));
  const act = Object.assign(element("button", "act"), { type: "button", textContent: "✎", title: "Name, tags, note" });
  act.setAttribute("aria-label", `Name, tags and note of ${info.path}`);
  act.addEventListener("click", () => page.edit(info.id));
  line.append(act);
  if (run.my?.note) line.append(Object.assign(element("p", "note"), { textContent: run.my.note }));
  return line;
}

/** Several runs: a chip for each, on at most two lines, and a button for all of them. */
function chipsOf(shown, page) {
  const box = element("div", "chips");
  const chips = shown.slice(0, MOST_CHIPS).map(({ id, slot, name }) => {
    const run = page.run(id), info = page.info(id);
    const chip = element("span", "chip");
    const swatch = element("i", "swatch");
    swatch.style.background = ofRun(slot);
    const label = Object.assign(element("span", "name"), { textContent: name, title: [run?.path, [run?.creature, run?.task].filter(Boolean).join(" · "), run?.my?.note].filter(Boolean).join("\n") });
    const gone = Object.assign(element("button", "gone"), { type: "button", textContent: "×", title: `Show ${name} no longer` });
    gone.setAttribute("aria-label", `Show ${name} no longer`);
    gone.addEventListener("click", () => page.remove(id));
    chip.append(swatch, label);
    if (run && run.state !== "ended" && run.state !== "finished") chip.append(stateOf(run));
    if (info?.damage.length) chip.append(Object.assign(element("span", "pill bad"), { textContent: "damaged", title: info.damage.join("\n") }));
    chip.append(gone);
    return chip;
  });
  box.append(...chips);
  const more = Object.assign(element("button", "all-chips"), { type: "button", textContent: `all ${shown.length}` });
  more.setAttribute("aria-expanded", "false");
  more.addEventListener("click", () => {
    if (shown.length > MOST_CHIPS) { page.table(); return; }
    more.setAttribute("aria-expanded", String(box.classList.toggle("open")));
  });
  const frame = element("div", "chips-frame");
  frame.append(box, more);
  // The button is there only where some chips are not seen.
  requestAnimationFrame(() => { more.hidden = box.scrollHeight <= box.clientHeight + 4 && shown.length <= MOST_CHIPS; });
  return frame;
}

/** The metadata of the runs beside one another. */
function metadataOf(shown, page) {
  const some = shown.filter(({ id }) => page.info(id)).slice(0, MOST_COLUMNS);
  const flats = some.map(({ id }) => flat(page.info(id).meta));
  const keys = [...new Set(flats.flatMap((one) => Object.keys(one)))];
  const differing = keys.filter((key) => flats.some((one) => JSON.stringify(one[key]) !== JSON.stringify(flats[0][key])));
  const box = element("details", "metadata");
  box.open = page.state.metadata ?? false;
  const several = some.length > 1;
  const summary = Object.assign(element("summary"), { textContent: several ? `Hyper-parameters: ${differing.length} of ${keys.length} differ` : `Hyper-parameters (${keys.length})` });
  const inside = element("div");
  box.append(summary, inside);
  const fill = () => {
    page.state.metadata = box.open;
    if (!box.open) return;
    const rows = (several && !page.state.allKeys ? differing : keys).slice(0, MOST_KEYS);
    const table = element("table", "facts-table");
    const head = table.createTHead().insertRow();
    if (several) {
      for (const name of ["", ...some.map((one) => one.name)]) {
        const cell = element("th");
        cell.scope = "col";
        cell.textContent = name;
        head.append(cell);
      }
    }
    const body = table.createTBody();
    for (const key of rows) {
      const row = body.insertRow();
      row.insertCell().textContent = key;
      for (const one of flats) {
        const cell = row.insertCell();
        cell.textContent = words(one[key]);
        if (several && JSON.stringify(one[key]) !== JSON.stringify(flats[0][key])) cell.className = "other";
      }
    }
    inside.replaceChildren(table);
    if (several) {
      const label = element("label", "tool");
      const check = Object.assign(element("input"), { type: "checkbox", checked: !page.state.allKeys });
      check.addEventListener("change", () => { page.state.allKeys = !check.checked; fill(); });
      label.append(check, "only what differs");
      inside.prepend(label);
    }
    if (shown.length > some.length) {
      const all = Object.assign(element("button"), { type: "button", textContent: `All ${shown.length} in the table` });
      all.addEventListener("click", () => page.table());
      inside.append(all);
    }
  };
  box.addEventListener("toggle", fill);
  fill();
  return box;
}

/**
 * Only what has changed is made anew, so that a click on the rest is not lost while runs go on.
 * @param {HTMLElement} board
 * @param {{id: string, name: string, slot: number}[]} shown
 * @param {Map<string, string>} troubles what is wrong with which run
 * @param {{run(id: string): any, info(id: string): any, edit(id: string): void, remove(id: string): void, table(): void, state: any}} page
 */
export function drawAbout(board, shown, troubles, page) {
  let place = board.querySelector("#about");
  if (!place) {
    place = element("div");
    place.id = "about";
    board.prepend(place);
    page.state.parts = {};
  }
  board.querySelector("#empty")?.remove();
  const known = shown.filter(({ id }) => page.info(id));
  const colors = shown.map(({ slot }) => ofRun(slot));
  const parts = [
    part(page, "troubles", [...troubles], troubles.size > 0, () => troublesOf(troubles, page)),
    part(page, "line", [shown, page.run(shown[0]?.id), known.map(({ id }) => [page.info(id).damage, page.info(id).meta.seed])],
      shown.length === 1 && known.length === 1, () => lineOf(shown[0], page.info(shown[0].id), page.run(shown[0].id) ?? page.info(shown[0].id), page)),
    part(page, "chips", [shown, colors, shown.map(({ id }) => { const run = page.run(id); return [run?.path, run?.state, run?.my, page.info(id)?.damage.length]; })],
      shown.length > 1, () => chipsOf(shown, page)),
    part(page, "metadata", [known, known.slice(0, MOST_COLUMNS).map(({ id }) => page.info(id).meta)], known.length > 0, () => metadataOf(shown, page)),
  ].filter(Boolean);
  if (parts.length !== place.children.length || parts.some((one, i) => one !== place.children[i])) place.replaceChildren(...parts);
}

/** A part of it, made where what it is made of has changed. */
function part({ state }, name, of, isThere, make) {
  const signature = isThere ? JSON.stringify(of) : "";
  if (state.parts[name]?.signature !== signature) state.parts[name] = { signature, element: isThere ? make() : null };
  return state.parts[name].element;
}

function troublesOf(troubles, page) {
  const all = element("div");
  for (const [id, message] of troubles) {
    const box = element("div", "trouble");
    box.append(Object.assign(element("h2"), { textContent: `${page.run(id)?.path ?? "This run"} cannot be shown` }), Object.assign(element("p"), { textContent: message }));
    all.append(box);
  }
  return all;
}
