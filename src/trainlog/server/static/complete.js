// A search box that completes the keys of the filter language, and their values.

import { closest, element } from "./element.js";

const MOST = 12;
const NUMBERS = ["size", "duration", "frames", "changed", "damage"]; // facts that are compared

export class Completion {
  /**
   * @param {HTMLInputElement} input
   * @param {() => import("./table.js").Column[]} columns
   * @param {(text: string) => void} onText
   */
  constructor(input, columns, onText) {
    this.input = input;
    this.columns = columns;
    this.onText = onText;
    this.list = element("ul", "complete", { id: `${input.id}-complete`, role: "listbox", hidden: true });
    input.after(this.list);
    for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-expanded", "false"], ["aria-controls", this.list.id]]) input.setAttribute(name, value);
    this.at = -1;
    // "search" is the event of a browser's own button that clears the text.
    for (const name of ["input", "search"]) input.addEventListener(name, () => { onText(input.value); this.propose(); });
    input.addEventListener("keydown", (event) => this.key(event));
    input.addEventListener("blur", () => this.close());
    this.list.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      const line = closest(event, "li");
      if (line) this.take(line.dataset.text ?? "");
    });
  }

  close() {
    this.list.hidden = true;
    this.at = -1;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  /** The text before the caret and its last word, without a leading minus, which is not a part of the key. */
  written() {
    const before = this.input.value.slice(0, this.input.selectionStart ?? this.input.value.length);
    const word = (/[^\s()]*$/.exec(before)?.[0] ?? "").replace(/^-/, "");
    return { before, word };
  }

  propose() {
    const { word } = this.written();
    const found = word ? proposals(word, this.columns()) : [];
    if (!found.length) { this.close(); return; }
    this.at = -1;
    this.list.replaceChildren(...found.map(({ text, note }, i) => {
      const line = element("li", "", { id: `${this.list.id}-${i}`, role: "option" }, text, element("small", "", {}, note));
      line.dataset.text = text;
      return line;
    }));
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (this.list.hidden) return;
    const lines = this.list.querySelectorAll("li");
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step) {
      event.preventDefault();
      lines[this.at]?.removeAttribute("aria-selected");
      this.at = (this.at + step + lines.length + (this.at < 0 && step < 0 ? 1 : 0)) % lines.length;
      lines[this.at].setAttribute("aria-selected", "true");
      this.input.setAttribute("aria-activedescendant", lines[this.at].id);
    } else if ((event.key === "Enter" || event.key === "Tab") && this.at >= 0) {
      event.preventDefault();
      this.take(lines[this.at].dataset.text ?? "");
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.close();
    }
  }

  /** @param {string} text of a proposal */
  take(text) {
    const { before, word } = this.written();
    const start = before.slice(0, before.length - word.length);
    this.input.value = `${start}${text}${this.input.value.slice(before.length)}`;
    const place = start.length + text.length;
    this.input.setSelectionRange(place, place);
    this.onText(this.input.value);
    if (/[:=]$/.test(text)) this.propose(); else this.close();
  }
}

/** A key or a value as it is written in a filter. @param {string} value */
function quoted(value) {
  if (!/[\s()"':=<>~!]|^(and|or|not)$/i.test(value)) return value;
  return value.includes('"') ? `'${value}'` : `"${value}"`;
}

/** The completions of a word: keys, or after a key its values.
 * @param {string} word @param {import("./table.js").Column[]} columns @returns {{text: string, note: string}[]} */
function proposals(word, columns) {
  const [, key, sign, start] = /^([^:=<>~!]+)(==|!=|:|=)(.*)$/.exec(word) ?? [];
  if (key !== undefined) {
    const column = columns.find(({ name }) => name === key) ?? columns.find(({ name }) => name.endsWith(`/${key}`));
    return (column?.values ?? []).filter((value) => value.toLowerCase().startsWith(start.toLowerCase()) && value !== start)
      .slice(0, MOST).map((value) => ({ text: `${key}${sign}${quoted(value)} `, note: "" }));
  }
  if (/[<>~!"'/]/.test(word)) return [];
  const low = word.toLowerCase();
  const found = columns.flatMap(({ name, of }) => {
    const text = of === "metric" ? name.replace(/^last\//, "") : name;
    const end = text.slice(text.lastIndexOf("/") + 1).toLowerCase();
    if (!text.toLowerCase().startsWith(low) && !end.startsWith(low)) return [];
    return [{ text: `${quoted(text)}${of === "metric" || NUMBERS.includes(name) ? ">" : ":"}`, note: of }];
  });
  return found.slice(0, MOST);
}
