// The keyboard shortcuts of the page, and the help that lists them.

import { closest, element } from "./element.js";

/** @typedef {Record<string, [string, () => void]>} Keys for each key, a description and the action */

/** The keys that the charts, the lists and the moment handle themselves. @type {Record<string, Record<string, string>>} */
const ELSEWHERE = {
  "On a chart": {
    "← →": "move along the curve and read it out", "Shift ← →": "move the range", "+ −": "zoom", Enter: "open the moment",
    drag: "zoom into a range", "Shift drag": "move the range", "double click": "show the whole range",
    click: "open the moment; on an episode, its steps; on a group, its nearest run", "Shift or Ctrl wheel": "zoom around the pointer",
  },
  "In the list and the table": {
    "↑ ↓": "go from run to run", "PageUp PageDown": "go by twenty runs", "Home End": "go to the first or last run", space: "show it with the others, or remove it", "Shift space": "show all up to it",
    Enter: "show it alone", e: "its name, tags and note (in the table)", "Alt ← →": "move a column (on its title)",
    "Ctrl click": "show it with the others", "Shift click": "show all up to it",
  },
  "In a search": { "↑ ↓": "go through the suggestions", "Enter Tab": "take one", Escape: "clear it" },
  "On a learned function": { "← → ↑ ↓": "read its values" },
};

/** @param {HTMLDialogElement} help @param {Keys} keys */
export function listen(help, keys) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const inside = closest(event, "input, select, textarea, button, summary");
    const field = inside instanceof HTMLInputElement ? inside : null;
    if (event.key === "Escape" && field?.type === "search" && field.value) { // the text is the filter
      event.preventDefault();
      field.value = "";
      field.dispatchEvent(new Event("input"));
      return;
    }
    const menu = event.key === "Escape" ? document.querySelector("details.more[open]") : null;
    menu?.removeAttribute("open");
    if (event.key === "Escape" && (menu || inside)) { inside?.blur(); return; }
    const isPressed = inside?.matches("button, summary, [type=range], [type=checkbox]"); // letters mean nothing to it
    if (inside && !(isPressed && event.key.length === 1 && event.key !== " ")) return;
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key][1]();
  });
  const own = Object.fromEntries(Object.entries(keys).map(([key, [what]]) => [key === " " ? "space" : key, what]));
  const lists = Object.entries({ Keys: own, ...ELSEWHERE }).map(([title, known]) => {
    const lines = Object.entries(known).flatMap(([key, what]) => [element("dt", "", {}, key), element("dd", "", {}, what)]);
    return element("section", "", {}, element(title === "Keys" ? "h2" : "h3", "", {}, title), element("dl", "", {}, ...lines));
  });
  help.append(...lists);
}
