// Episodes to choose from, and learned functions as heat maps.

import { heat } from "./colors.js";
import { element } from "./card.js";
import { duration, number } from "./format.js";
import { get } from "./net.js";
import { change, view } from "./view.js";

// The episodes of a run: a stats row stands at the end of each.
// keys: {number, type, return, length}, what the server says that they are called in this run
async function episodesOf(run, total, keys) {
  const { time, columns } = await get(`runs/${run}/rows`, { kind: "stats", keys: Object.values(keys).join(","), points: 5000 });
  const found = time.map((to, i) => ({
    number: columns[keys.number][i], type: columns[keys.type][i],
    reward: columns[keys.return][i], length: columns[keys.length][i], from: i ? time[i - 1] + 1e-9 : 0, to,
  }));
  const last = found.at(-1)?.to ?? 0;
  if (total > last + 1e-9) found.push({ number: (found.at(-1)?.number ?? 0) + 1, type: "unfinished", from: last + 1e-9, to: total, reward: null, length: null });
  return found;
}

export class Episodes {
  constructor() {
    this.element = element("div");
    this.list = element("div", "episodes");
    this.about = element("p", "dim");
    this.element.append(this.about, this.list);
    this.known = [];
  }

  async show(run, total, keys) {
    try {
      this.known = await episodesOf(run.id, total, keys);
    } catch {
      this.known = [];
    }
    this.run = run;
    this.draw();
    return this.known;
  }

  draw() {
    const chosen = view.episode?.run === this.run?.id ? view.episode.number : null;
    const one = this.known.find((each) => each.number === chosen);
    this.about.textContent = one
      ? `Episode ${one.number}, ${one.type}, ${number(one.length)} steps, return ${number(one.reward)}: the variables below show it alone.`
      : "Choose an episode to see its steps; the variables below show the whole run.";
    const all = Object.assign(element("button"), { textContent: "all", type: "button" });
    all.setAttribute("aria-pressed", String(!one));
    all.addEventListener("click", () => { change({ episode: null }); this.draw(); });
    this.list.replaceChildren(all, ...this.known.map((each) => {
      const button = Object.assign(element("button", each.type), { type: "button", textContent: `${each.number} ${each.type === "evaluation" ? "eval" : each.type === "training" ? "train" : "…"}` });
      button.title = `${each.type}, ${number(each.length)} steps, return ${number(each.reward)}, ${duration(each.to - each.from)}`;
      button.setAttribute("aria-pressed", String(each.number === chosen));
      button.addEventListener("click", () => { change({ episode: { run: this.run.id, number: each.number } }); this.draw(); });
      return button;
    }));
  }

  span() {
    const one = view.episode && this.run?.id === view.episode.run ? this.known.find((each) => each.number === view.episode.number) : null;
    return one ? { run: this.run.id, from: one.from, to: one.to } : null;
  }
}

export class Functions {
  constructor() { this.element = element("div", "heat"); }

  async show(run) {
    const { functions } = await get(`runs/${run.id}/functions`);
    const signature = JSON.stringify([run.id, functions.map((one) => [one.name, one.samples.row.length])]);
    if (signature === this.signature) return;
    this.signature = signature;
    this.element.replaceChildren(...functions.slice(0, 24).map((one) => this.figure(run, one)));
  }

  figure(run, { name, samples }) {
    const figure = element("figure");
    const caption = Object.assign(element("figcaption"), { textContent: name });
    const canvas = element("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Heat map of ${name}`);
    const scale = element("div", "scale");
    const slider = Object.assign(element("input"), { type: "range", min: 0, max: samples.row.length - 1, value: samples.row.length - 1 });
    slider.setAttribute("aria-label", `Sample of ${name}`);
    const when = element("div", "scale");
    let turn = 0;
    const show = async () => {
      const mine = ++turn;
      const i = Number(slider.value);
      when.replaceChildren(...[`sample ${i + 1} of ${samples.row.length}`, samples.experiment_step ? `step ${number(samples.experiment_step[i])}` : duration(samples.time[i])]
        .map((text) => Object.assign(element("span"), { textContent: text })));
      try {
        const { grid } = await get(`runs/${run.id}/function`, { row: samples.row[i] });
        if (mine !== turn) return;
        const [low, high] = paint(canvas, grid);
        scale.replaceChildren(...[number(low), "low → high", number(high)].map((text) => Object.assign(element("span"), { textContent: text })));
      } catch (error) {
        scale.textContent = error.message;
      }
    };
    slider.addEventListener("input", show);
    figure.append(caption, canvas, scale, slider, when);
    new IntersectionObserver((seen, observer) => {
      if (seen.some((one) => one.isIntersecting)) { observer.disconnect(); show(); }
    }).observe(figure);
    return figure;
  }
}

function paint(canvas, grid) {
  const height = grid.length, width = grid[0]?.length ?? 0;
  const values = grid.flat().filter((value) => typeof value === "number");
  const low = values.reduce((a, b) => Math.min(a, b), Infinity), high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(width, height);
  grid.forEach((row, y) => row.forEach((value, x) => {
    const at = ((height - 1 - y) * width + x) * 4; // y grows upwards
    const color = typeof value === "number" ? heat(high > low ? (value - low) / (high - low) : 0.5) : [128, 128, 128];
    image.data.set([...color, 255], at);
  }));
  pen.putImageData(image, 0, 0);
  return [low, high];
}
