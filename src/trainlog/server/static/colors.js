// Colours of runs, of named curves, and of behaviours. Each has a shade for a light and one for a dark background.

const RUNS = [
  ["#1c7ed6", "#4dabf7"], ["#e8590c", "#ff922b"], ["#2f9e44", "#51cf66"], ["#ae3ec9", "#da77f2"],
  ["#0c8599", "#3bc9db"], ["#e03131", "#ff8787"], ["#846358", "#c2a89c"], ["#c2255c", "#f783ac"],
  ["#5c940d", "#a9e34b"], ["#4263eb", "#91a7ff"],
];

/** @type {Record<string, string[]>} */
const NAMED = {
  blue: ["#1c7ed6", "#4dabf7"], green: ["#2b9a3e", "#51cf66"], orange: ["#e8590c", "#ff922b"],
  cyan: ["#0b92ab", "#22d3ee"], red: ["#e03131", "#ff6b6b"], violet: ["#7048e8", "#9f7aff"],
  gold: ["#a87000", "#fcc419"], pink: ["#c2255c", "#f783ac"], teal: ["#099268", "#38d9a9"], gray: ["#868e96", "#868e96"],
};

/** @type {Record<string, string>} */
const BEHAVIORS = {
  walk: "green", trot: "teal", chase: "red", sniff: "gold", play: "pink", alert: "orange",
  stand: "gray", rest: "gray", run: "blue", explore: "cyan",
};

/** @type {Record<string, string>} */
const EVENTS = { fall: "red", error: "red", warning: "orange", milestone: "gold" };

export const isDark = () => document.documentElement.dataset.theme === "dark";
/** @param {string[]} pair */
const shade = (pair) => pair[isDark() ? 1 : 0];

/** @param {string} name */
export const named = (name) => shade(NAMED[name] ?? NAMED.blue);
/** The colour of a run or a group: the first ten are fixed, further ones rotate by the golden angle, in three shades.
 * @param {number} slot */
export function ofRun(slot) {
  if (slot < RUNS.length) return shade(RUNS[slot]);
  const turn = slot - RUNS.length;
  const hue = (20 + turn * 137.508) % 360;
  const lightness = (isDark() ? [0.78, 0.68, 0.86] : [0.55, 0.45, 0.63])[Math.floor(turn / 8) % 3];
  return ofOklch(lightness, 0.14 - 0.02 * (turn % 2), hue);
}

/** An sRGB colour from perceptual lightness, chroma and hue (OKLCH); components out of range are clipped.
 * @param {number} lightness @param {number} chroma @param {number} hue */
function ofOklch(lightness, chroma, hue) {
  const a = chroma * Math.cos((hue * Math.PI) / 180), b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  const parts = linear.map((value) => {
    const one = Math.min(Math.max(value, 0), 1);
    return Math.round(255 * (one <= 0.0031308 ? 12.92 * one : 1.055 * one ** (1 / 2.4) - 0.055));
  });
  return `#${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}

/** @param {string} type */
export const ofEvent = (type) => named(EVENTS[type] ?? "gray");

/** The colour of a text: that of a behaviour, or the next free one. @param {string} text @param {number} place */
export function ofText(text, place) {
  const known = BEHAVIORS[text.toLowerCase()];
  if (known) return named(known);
  return shade(RUNS[(place + 3) % RUNS.length]);
}

/** @typedef {{card: string, ink: string, dim: string, grid: string, line: string, accent: string, bad: string}} Tones of the page */
/** @returns {Tones} */
export function ground() {
  const style = getComputedStyle(document.documentElement);
  const get = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  return { card: get("--card"), ink: get("--ink"), dim: get("--dim"), grid: get("--grid"), line: get("--line"), accent: get("--accent"), bad: get("--bad") };
}

// From blue through white to red, for differences.
const STOPS = [[33, 60, 140], [62, 130, 200], [170, 210, 230], [250, 245, 220], [250, 180, 100], [220, 90, 50], [140, 20, 40]];
/** @param {number} t */
export const diverging = (t) => between(STOPS, t);

// From dark to bright, for values: also readable without colour (viridis).
const RISING = [[68, 1, 84], [71, 45, 123], [59, 82, 139], [44, 114, 142], [33, 145, 140], [40, 174, 128], [94, 201, 98], [173, 220, 48], [253, 231, 37]];
/** @param {number} t from 0 to 1 */
export const heat = (t) => between(RISING, t);

/** @param {number[][]} stops @param {number} t */
function between(stops, t) {
  const at = Math.min(Math.max(t, 0), 1) * (stops.length - 1);
  const i = Math.min(Math.floor(at), stops.length - 2);
  return stops[i].map((from, n) => Math.round(from + (stops[i + 1][n] - from) * (at - i)));
}
