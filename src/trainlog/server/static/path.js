// The paths of the creatures of one or two runs, seen from above, or in the first two states.

import { ground, ofRun } from "./colors.js";
import { labels, ticks } from "./format.js";
import { dot, fit, line } from "./paint.js";

/** @typedef {import("./moment.js").Side} Side */
/** @typedef {CanvasRenderingContext2D} Pen */
/** @typedef {import("./colors.js").Tones} Tones */
/** @typedef {{X(v: number): number, Y(v: number): number, x(p: number): number, y(p: number): number, left: number, top: number, bottom: number, right: number}} Place */

/**
 * Draw the paths of *sides*, the first one on top.
 * @param {HTMLCanvasElement} canvas
 * @param {Side[]} sides that have a path
 * @returns {Place | null} the mapping from positions to the canvas
 */
export function drawPaths(canvas, sides) {
  if (!sides.length || !canvas.clientWidth) return null;
  const { pen, width, height } = fit(canvas);
  const tones = ground();
  const place = scale(sides, width, height);
  paintGrid(pen, tones, place, sides[0].path.labels, width, height);
  pen.fillText(environments(sides), place.left + 3, height - 26);
  for (const side of sides.toReversed()) paintPath(pen, tones, place, side, sides.length > 1);
  return place;
}

/** The environment of the paths, if the logs have several. @param {Side[]} sides */
export const environments = (sides) =>
  [...new Set(sides.flatMap(({ path }) => (path.environment ? [`environment ${path.environment} of several`] : [])))].join(", ");

/**
 * The index of the place on a path nearest to a pixel of the canvas, or -1.
 * @param {any} path @param {Place} place @param {number} px @param {number} py
 */
export function nearestPlace(path, place, px, py) {
  let best = -1, least = 30;
  for (let i = 0; i < path.x.length; i++) {
    if (typeof path.x[i] !== "number") continue;
    const far = Math.hypot(place.X(path.x[i]) - px, place.Y(path.y[i]) - py);
    if (far < least) { least = far; best = i; }
  }
  return best;
}

/** @param {Side[]} sides @param {number} width @param {number} height @returns {Place} */
function scale(sides, width, height) {
  const { position } = sides[0].path;
  const range = (/** @type {(number | null)[][]} */ lists) => {
    let low = Infinity, high = -Infinity;
    for (const list of lists) for (const value of list) if (typeof value === "number") { low = Math.min(low, value); high = Math.max(high, value); }
    return low <= high ? [low, high] : [0, 1];
  };
  const [x0, x1] = range(sides.flatMap(({ path }) => [path.x, ...things(path).map((one) => one.x)]));
  const [y0, y1] = range(sides.flatMap(({ path }) => [path.y, ...things(path).map((one) => one.y)]));
  const left = 34, right = 10, top = 10, bottom = 22;
  let sx = (width - left - right) / Math.max(x1 - x0, 1e-9), sy = (height - top - bottom) / Math.max(y1 - y0, 1e-9);
  if (position) sx = sy = Math.min(sx, sy, 400); // the same scale in both directions
  sx *= 0.94; sy *= 0.94;
  const cx = left + (width - left - right) / 2, cy = top + (height - top - bottom) / 2;
  return { X: (v) => cx + (v - (x0 + x1) / 2) * sx, Y: (v) => cy - (v - (y0 + y1) / 2) * sy,
    x: (p) => (p - cx) / sx + (x0 + x1) / 2, y: (p) => (cy - p) / sy + (y0 + y1) / 2, left, top, bottom, right };
}

/** @param {Pen} pen @param {Tones} tones @param {Place} place @param {string[]} names @param {number} width @param {number} height */
function paintGrid(pen, tones, { X, Y, x, y, left, top, bottom, right }, names, width, height) {
  pen.font = "10px system-ui, sans-serif";
  pen.fillStyle = tones.dim;
  const xs = ticks(x(left), x(width - right), 5), ys = ticks(y(height - bottom), y(top), 4);
  const xl = labels(xs), yl = labels(ys);
  pen.textAlign = "center";
  xs.forEach((v, i) => { line(pen, tones.grid, X(v), top, X(v), height - bottom); pen.fillText(xl[i], X(v), height - 10); });
  pen.textAlign = "right";
  ys.forEach((v, i) => { line(pen, tones.grid, left, Y(v), width - right, Y(v)); pen.fillText(yl[i], left - 4, Y(v) + 3); });
  pen.fillText(names[0], width - 8, height - 26);
  pen.textAlign = "left";
  pen.fillText(names[1], left + 3, top + 9);
}

/** @param {Pen} pen @param {Tones} tones @param {Place} place @param {Side} side @param {boolean} several */
function paintPath(pen, tones, { X, Y }, { path, index, run }, several) {
  const { x, y, position } = path;
  const jump = position ? typicalStep(x, y) * 12 : Infinity; // the creature was reset to its start
  const [turnX, turnY] = path.periods.map((/** @type {number | null} */ period) => (period ?? Infinity) / 2); // an angle wrapped around
  pen.strokeStyle = ofRun(run.slot);
  for (const [from, to, alpha] of [[0, x.length - 1, 0.22], [Math.max(0, index - 120), index, 0.9]]) {
    pen.globalAlpha = alpha;
    pen.lineWidth = alpha > 0.5 ? 2 : 1.2;
    pen.beginPath();
    let down = false;
    for (let i = from; i <= to; i++) {
      if (typeof x[i] !== "number") { down = false; continue; }
      const dx = Math.abs(x[i] - x[i - 1]), dy = Math.abs(y[i] - y[i - 1]);
      if (down && (Math.hypot(dx, dy) > jump || dx > turnX || dy > turnY)) down = false;
      if (down) pen.lineTo(X(x[i]), Y(y[i])); else pen.moveTo(X(x[i]), Y(y[i]));
      down = true;
    }
    pen.stroke();
  }
  pen.globalAlpha = 1;
  for (const thing of things(path)) {
    const [thingX, thingY] = [thing.x[index], thing.y[index]];
    if (typeof thingX !== "number" || typeof thingY !== "number") continue;
    pen.fillStyle = "#f08c00";
    dot(pen, X(thingX), Y(thingY), 6);
  }
  if (typeof x[index] === "number") {
    pen.fillStyle = several ? ofRun(run.slot) : tones.accent;
    pen.strokeStyle = tones.card;
    pen.lineWidth = 2;
    dot(pen, X(x[index]), Y(y[index]), 6);
    pen.stroke();
  }
}

// Other things with a position, such as a ball.
/** @param {any} path @returns {{x: (number | null)[], y: (number | null)[]}[]} */
const things = (path) => path.objects.map((/** @type {string} */ name) => ({ x: path[`${name}_x`] ?? [], y: path[`${name}_y`] ?? [] }));

/** @param {(number | null)[]} x @param {(number | null)[]} y */
function typicalStep(x, y) {
  const steps = [];
  for (let i = 1; i < x.length; i++) if (typeof x[i] === "number" && typeof x[i - 1] === "number") steps.push(Math.hypot(Number(x[i]) - Number(x[i - 1]), Number(y[i]) - Number(y[i - 1])));
  steps.sort((a, b) => a - b);
  return Math.max(steps[Math.floor(steps.length * 0.9)] ?? 0, 1e-6);
}
