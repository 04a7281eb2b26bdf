// Numbers, sizes and times for people; ticks for axes.

export function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-3)) return value.toExponential(2).replace("e+", "e");
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  return value.toLocaleString("en-US", { maximumSignificantDigits: size < 1 ? 3 : 4 });
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${number(seconds)} s`;
  if (seconds < 90) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

export function size(bytes) {
  for (const unit of ["B", "KB", "MB"]) {
    if (bytes < 1000) return `${unit === "B" ? bytes : bytes.toFixed(1)} ${unit}`;
    bytes /= 1000;
  }
  return `${bytes.toFixed(1)} GB`;
}

// Round places from low to high, about `count` of them.
export function ticks(low, high, count) {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) return [low];
  const rough = span / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((each) => each * power >= rough * 0.999);
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) found.push(n * step);
  return found;
}

export function logTicks(low, high) {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const every = Math.max(1, Math.ceil((last - first) / 6));
  const found = [];
  for (let power = first; power <= last; power++) {
    for (const times of last - first <= 2 ? [1, 2, 5] : [1]) {
      const value = times * 10 ** power;
      if (value >= low * 0.999 && value <= high * 1.001 && (power - first) % every === 0) found.push(value);
    }
  }
  return found;
}

// Labels of ticks, with as many digits as tell them apart.
export function labels(values) {
  const largest = Math.max(...values.map(Math.abs), 0);
  const step = values.length > 1 ? Math.abs(values[1] - values[0]) : largest;
  if (largest >= 1e5 || (largest > 0 && largest < 1e-3)) {
    for (const [unit, name] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
      if (largest >= unit) {
        const digits = Math.min(Math.max(0, -Math.floor(Math.log10(step / unit) + 1e-9)), 6);
        return values.map((value) => (value === 0 ? "0" : (value / unit).toFixed(digits) + name));
      }
    }
    return values.map((value) => (value === 0 ? "0" : value.toExponential(1).replace("e+", "e")));
  }
  const digits = step > 0 ? Math.min(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), 8) : 2;
  return values.map((value) => (Math.abs(value) < step * 1e-6 ? 0 : value).toFixed(digits));
}
