// Which curve of a chart a click means.

/**
 * The curve that is nearest to a place of the chart, in pixels; the first one where the place has no height.
 * @param {{series: any[], place: any, log: boolean}} chart
 * @param {number} x on the axis
 * @param {number} [y] pixels from the top of the chart
 */
export function nearestLine(chart, x, y) {
  const lines = chart.series.filter((line) => line.x.length);
  if (y === undefined || !chart.place) return lines[0] ?? null;
  const { X, Y, top, bottom } = chart.place;
  if (lines.some((line) => line.strip)) { // lanes, one for each run
    const lane = Math.floor(((y - top) / (bottom - top)) * chart.series.length);
    return chart.series[Math.min(Math.max(lane, 0), chart.series.length - 1)] ?? null;
  }
  let best = null, least = Infinity;
  for (const line of lines) {
    for (const { x: xs, y: ys } of line.smooth?.x?.length ? [line, line.smooth] : [line]) {
      const far = distance(xs, ys, x, (at, value) => Math.hypot(X(at) - X(x), Y(value) - y));
      if (far < least) { least = far; best = line; }
    }
  }
  return best ?? lines[0] ?? null;
}

/**
 * @param {number[]} xs that rise
 * @param {number[]} ys
 * @param {number} x
 * @param {(at: number, value: number) => number} pixels
 */
function distance(xs, ys, x, pixels) {
  let low = 0, high = xs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle + 1; else high = middle;
  }
  let least = Infinity;
  for (const i of [low - 1, low]) if (i >= 0 && i < xs.length) least = Math.min(least, finite(pixels(xs[i], ys[i])));
  if (low > 0 && low < xs.length) { // between two points it is the line that is seen
    const part = (x - xs[low - 1]) / (xs[low] - xs[low - 1] || 1);
    least = Math.min(least, finite(pixels(x, ys[low - 1] + part * (ys[low] - ys[low - 1]))));
  }
  return least;
}

/** @param {number} value */
const finite = (value) => (Number.isFinite(value) ? value : Infinity);

/** The index of the point of a curve that is nearest on the axis. @param {number[]} xs @param {number} x */
export function nearestPoint(xs, x) {
  let best = 0;
  for (let i = 1; i < xs.length; i++) if (Math.abs(xs[i] - x) < Math.abs(xs[best] - x)) best = i;
  return best;
}
