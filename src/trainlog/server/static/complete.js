// @ts-check
// A search box that completes the keys of the filter language, and their values.

import { element } from "./card.js";

const MOST = 12;
const WORD = /[^\s()]*$/;

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
    this.list = element("ul", "complete");
    this.list.id = `${input.id}-complete`;
    this.list.setAttribute("role", "listbox");
    this.list.hidden = true;
    input.after(this.list);
    for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-expanded", "false"], ["aria-controls", this.list.id]]) input.setAttribute(name, value);
    this.at = -1;
    // "search" comes where a browser clears the text by itself.
    for (const name of ["input", "search"]) input.addEventListener(name, () => { onText(input.value); this.propose(); });
    input.addEventListener("keydown", (event) => this.key(event));
    input.addEventListener("blur", () => this.close());
    this.list.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      const line = event.target.closest("li");
      if (line) this.take(line.dataset.text);
    });
  }

  close() {
    this.list.hidden = true;
    this.at = -1;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  propose() {
    const before = this.input.value.slice(0, this.input.selectionStart ?? this.input.value.length);
    const word = WORD.exec(before)[0].replace(/^-/, "");
    const found = word ? proposals(word, this.columns()) : [];
    if (!found.length) { this.close(); return; }
    this.at = -1;
    this.list.replaceChildren(...found.map(({ text, note }, i) => {
      const line = element("li");
      line.id = `${this.list.id}-${i}`;
      line.setAttribute("role", "option");
      line.dataset.text = text;
      line.append(text, Object.assign(element("small"), { textContent: note }));
      return line;
    }));
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
  }

  key(event) {
    if (this.list.hidden) return;
    const lines = [...this.list.children];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      lines[this.at]?.removeAttribute("aria-selected");
      this.at = (this.at + step + lines.length + (this.at < 0 && step < 0 ? 1 : 0)) % lines.length;
      lines[this.at].setAttribute("aria-selected", "true");
      this.input.setAttribute("aria-activedescendant", lines[this.at].id);
    } else if ((event.key === "Enter" || event.key === "Tab") && this.at >= 0) {
      event.preventDefault();
      this.take(lines[this.at].dataset.text);
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.close();
    }
  }

  take(text) {
    const caret = this.input.selectionStart ?? this.input.value.length;
    const before = this.input.value.slice(0, caret);
    const start = before.replace(WORD, "") + (WORD.exec(before)[0].startsWith("-") ? "-" : "");
    this.input.value = `${start}${text}${this.input.value.slice(caret)}`;
    const place = start.length + text.length;
    this.input.setSelectionRange(place, place);
    this.onText(this.input.value);
    if (/[:=]$/.test(text)) this.propose(); else this.close();
  }
}

/** What a word may become: a key, or behind a key its values. */
function proposals(word, columns) {
  const [, key, sign, start] = /^([^:=<>~!]+)(==|!=|:|=)(.*)$/.exec(word) ?? [];
  if (key !== undefined) {
    const column = columns.find(({ name }) => name === key) ?? columns.find(({ name }) => name.endsWith(`/${key}`));
    return (column?.values ?? []).filter((value) => value.toLowerCase().startsWith(start.toLowerCase()) && value !== start)
      .slice(0, MOST).map((value) => ({ text: `${key}${sign}${/[\s()"':=<>~!]/.test(value) ? `"${value}"` : value} `, note: "" }));
  }
  if (/[<>~!"'/]/.test(word)) return [];
  const low = word.toLowerCase();
  const found = columns.flatMap(({ name, of }) => {
    const text = of === "metric" ? name.replace(/^last\//, "") : name;
    const end = text.split("/").at(-1).toLowerCase();
    if (!text.toLowerCase().startsWith(low) && !end.startsWith(low)) return [];
    return [{ text: `${text}${of === "metric" ? ">" : ["size", "duration", "frames", "changed", "damage"].includes(name) ? ">" : ":"}`, note: of }];
  });
  return found.slice(0, MOST);
}
