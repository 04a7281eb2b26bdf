// @ts-check
// What people keep beside the logs: names, tags and notes of runs, and views of this page.

import { element } from "./card.js";
import { get } from "./net.js";
import { query } from "./view.js";

export class Notes {
  /** @param {HTMLDetailsElement} menu of the views @param {HTMLDialogElement} dialog of a run @param {import("./runs.js").Runs} runs */
  constructor(menu, dialog, runs) {
    this.menu = menu;
    this.dialog = dialog;
    this.runs = runs;
    this.inside = element("div");
    menu.append(this.inside);
    menu.addEventListener("toggle", () => menu.open && this.fill());
    dialog.querySelector("form").addEventListener("submit", (event) => { if (event.submitter?.getAttribute("value") === "keep") this.keep(); });
  }

  async post(body) {
    this.known ??= await get("notes");
    const answer = await fetch("api/v1/notes", {
      method: "POST", headers: { "content-type": "application/json", "x-trainlog-token": this.known.token }, body: JSON.stringify(body),
    });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.error?.message ?? `the server answered ${answer.status}`);
  }

  // --- views ---

  async fill() {
    const known = this.known = await get("notes");
    const lines = Object.entries(known.views).map(([name, text]) => {
      const line = element("div", "line");
      const link = Object.assign(element("a"), { textContent: name, href: `?${text}` });
      line.append(link);
      if (!known.read_only) {
        const gone = Object.assign(element("button", "gone"), { textContent: "×", type: "button", title: `Forget ${name}` });
        gone.setAttribute("aria-label", `Forget the view ${name}`);
        gone.addEventListener("click", () => this.view(name, ""));
        line.append(gone);
      }
      return line;
    });
    if (!lines.length) lines.push(Object.assign(element("p", "dim"), { textContent: "No views are kept yet." }));
    if (known.read_only) lines.push(Object.assign(element("p", "dim"), { textContent: `None can be kept: ${known.read_only}.` }));
    else {
      const form = element("form");
      const field = Object.assign(element("input"), { type: "text", placeholder: "Name of this view", required: true, maxLength: 100 });
      field.setAttribute("aria-label", "Name of this view");
      form.append(field, Object.assign(element("button"), { textContent: "Keep" }));
      form.addEventListener("submit", (event) => { event.preventDefault(); this.view(field.value, query() || "runs="); });
      lines.push(form);
    }
    this.inside.replaceChildren(...lines);
  }

  async view(name, text) {
    try { await this.post({ view: name, query: text }); await this.fill(); } catch (error) { this.say(error.message); }
  }

  say(message) {
    this.inside.querySelector(".problem")?.remove();
    this.inside.append(Object.assign(element("p", "problem bad"), { textContent: message }));
  }

  // --- runs ---

  /** @param {string} id */
  async edit(id) {
    const run = this.runs.get(id);
    if (!run) return;
    this.id = id;
    const known = this.known = await get("notes");
    const field = (name) => this.field(name);
    this.dialog.querySelector("h2").textContent = run.path;
    field("name").value = run.my?.name ?? "";
    field("tags").value = (run.my?.tags ?? []).join(", ");
    field("note").value = run.my?.note ?? "";
    for (const one of this.dialog.querySelectorAll("input, textarea, [value=keep]")) one.toggleAttribute("disabled", Boolean(known.read_only));
    this.dialog.querySelector(".why").textContent = known.read_only ? `Nothing can be kept: ${known.read_only}.` : "";
    this.dialog.showModal();
  }

  /** @param {string} name @returns {HTMLInputElement} */
  field(name) { return this.dialog.querySelector(`[name=${name}]`); }

  async keep() {
    const value = (name) => this.field(name).value;
    const tags = value("tags").split(",").map((tag) => tag.trim()).filter(Boolean);
    try {
      await this.post({ run: this.id, fields: { name: value("name"), tags, note: value("note") } });
      await this.runs.refresh();
    } catch (error) {
      this.dialog.querySelector(".why").textContent = error.message;
      this.dialog.showModal();
    }
  }
}
