// The list of episodes to choose from.

import { button, element } from "./element.js";
import { duration, number } from "./format.js";
import { get } from "./net.js";
import { change, view } from "./view.js";

// The episodes of a run: each ends with a stats row.
/**
 * @typedef {{number: number, type: string, reward: number | null, length: number | null, from: number, to: number}} Episode
 * @typedef {Record<"number" | "type" | "return" | "length", string>} Keys their names in this run
 */

/** @param {string} run @param {number} total seconds @param {Keys} keys @returns {Promise<Episode[]>} */
async function episodesOf(run, total, keys) {
  const { time, columns } = await get(`runs/${run}/rows`, { kind: "stats", keys: Object.values(keys).join(","), points: 5000 });
  const found = time.map((/** @type {number} */ to, /** @type {number} */ i) => ({
    number: columns[keys.number][i], type: columns[keys.type][i],
    reward: columns[keys.return][i], length: columns[keys.length][i], from: i ? time[i - 1] + 1e-9 : 0, to,
  }));
  const last = found.at(-1)?.to ?? 0;
  if (total > last + 1e-9) found.push({ number: (found.at(-1)?.number ?? 0) + 1, type: "unfinished", from: last + 1e-9, to: total, reward: null, length: null });
  return found;
}

export class Episodes {
  constructor() {
    this.list = element("div", "episodes");
    this.about = element("p", "dim");
    this.element = element("div", "", {}, this.about, this.list);
    /** @type {Episode[]} */
    this.known = [];
    /** @type {{id: string} | null} */
    this.run = null;
  }

  /** @param {{id: string}} run @param {number} total @param {Keys} keys */
  async show(run, total, keys) {
    try {
      this.known = await episodesOf(run.id, total, keys);
    } catch {
      this.known = [];
    }
    this.run = run;
    this.draw();
  }

  draw() {
    const chosen = view.episode && view.episode.run === this.run?.id ? view.episode.number : null;
    const one = this.known.find((each) => each.number === chosen);
    this.about.textContent = one
      ? `Episode ${one.number}, ${one.type}, ${number(one.length)} steps, return ${number(one.reward)}: the variables below show it alone.`
      : "Choose an episode to see its steps; the variables below show the whole run.";
    const all = button("all", () => { change({ episode: null }); this.draw(); });
    all.ariaPressed = String(!one);
    this.list.replaceChildren(all, ...this.known.map((each) => {
      const text = `${each.number} ${each.type === "evaluation" ? "eval" : each.type === "training" ? "train" : "…"}`;
      const title = `${each.type}, ${number(each.length)} steps, return ${number(each.reward)}, ${duration(each.to - each.from)}`;
      const choose = () => { if (this.run) change({ episode: { run: this.run.id, number: each.number } }); this.draw(); };
      const made = button(text, choose, each.type, "", title);
      made.ariaPressed = String(each.number === chosen);
      return made;
    }));
  }

  span() {
    const { episode } = view;
    const one = episode && this.run?.id === episode.run ? this.known.find((each) => each.number === episode.number) : null;
    return one && this.run ? { run: this.run.id, from: one.from, to: one.to } : null;
  }
}
