// What users store next to the logs: names, tags and notes of runs, and views of this page.

import { button, element } from "./element.js";
import { address, ask, get, messageOf } from "./net.js";
import { query } from "./view.js";

export class Notes {
  /** @param {HTMLDetailsElement} menu of the views @param {HTMLDialogElement} dialog of a run @param {import("./runs.js").Runs} runs */
  constructor(menu, dialog, runs) {
    this.menu = menu;
    this.dialog = dialog;
    this.runs = runs;
    this.id = "";
    this.before = this.written();
    this.inside = element("div");
    menu.append(this.inside);
    menu.addEventListener("toggle", () => menu.open && this.fill());
    this.one("form").addEventListener("submit", (event) => { if (event.submitter?.getAttribute("value") === "keep") this.keep(); });
  }

  /** An element of the dialog. @template {keyof HTMLElementTagNameMap} K @param {K} selector @returns {HTMLElementTagNameMap[K]} */
  one(selector) { return /** @type {HTMLElementTagNameMap[K]} */ (this.dialog.querySelector(selector)); }

  /** @param {any} body */
  async post(body) {
    const { token } = await get("notes"); // a server that was restarted has another one
    const headers = { "content-type": "application/json", "x-trainlog-token": token };
    await ask(address("notes"), { method: "POST", headers, body: JSON.stringify(body) });
  }

  // --- views ---

  async fill() {
    const known = await get("notes");
    /** @type {HTMLElement[]} */
    const lines = Object.entries(known.views).map(([name, text]) => {
      const line = element("div", "line", {}, element("a", "", { href: `?${text}` }, name));
      if (!known.read_only) {
        line.append(button("×", () => this.view(name, ""), "gone", `Delete the view ${name}`, `Delete ${name}`));
      }
      return line;
    });
    if (!lines.length) lines.push(element("p", "dim", { textContent: "There are no saved views yet." }));
    if (known.read_only) lines.push(element("p", "dim", { textContent: `Views cannot be saved: ${known.read_only}.` }));
    else {
      const name = "Name of this view";
      const field = element("input", "", { type: "text", placeholder: name, ariaLabel: name, required: true, maxLength: 100 });
      const form = element("form", "", {}, field, element("button", "", {}, "Keep"));
      form.addEventListener("submit", (event) => { event.preventDefault(); this.view(field.value, query() || "runs="); });
      lines.push(form);
    }
    this.inside.replaceChildren(...lines);
  }

  /** Save a view, or delete it if the text is empty. @param {string} name @param {string} text */
  async view(name, text) {
    try {
      await this.post({ view: name, query: text });
      await this.fill();
    } catch (error) {
      this.inside.querySelector(".bad")?.remove();
      this.inside.append(element("p", "bad", { textContent: messageOf(error) }));
    }
  }

  // --- runs ---

  /** @param {string} id */
  async edit(id) {
    const run = this.runs.get(id);
    if (!run) return;
    this.id = id;
    const known = await get("notes");
    this.one("h2").textContent = run.path;
    this.field("name").value = run.my?.name ?? "";
    this.field("tags").value = (run.my?.tags ?? []).join(", ");
    this.field("note").value = run.my?.note ?? "";
    this.before = this.written();
    for (const one of this.dialog.querySelectorAll("input, textarea, [value=keep]")) one.toggleAttribute("disabled", Boolean(known.read_only));
    this.one("p").textContent = known.read_only ? `Notes cannot be saved: ${known.read_only}.` : "";
    this.dialog.showModal();
  }

  /** @param {string} name @returns {HTMLInputElement} */
  field(name) { return /** @type {HTMLInputElement} */ (this.dialog.querySelector(`[name=${name}]`)); }

  /** What the dialog says about the run. @returns {Record<string, string | string[]>} */
  written() {
    const tags = this.field("tags").value.split(",").map((tag) => tag.trim()).filter(Boolean);
    return { name: this.field("name").value, tags, note: this.field("note").value };
  }

  async keep() {
    // Only what was changed here: another window can have changed the rest meanwhile.
    const fields = Object.fromEntries(Object.entries(this.written()).filter(([name, value]) => String(value) !== String(this.before[name])));
    try {
      await this.post({ run: this.id, fields });
      await this.runs.refresh();
    } catch (error) {
      this.one("p").textContent = messageOf(error);
      this.dialog.showModal();
    }
  }
}
