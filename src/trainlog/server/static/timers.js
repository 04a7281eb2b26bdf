// Actions that wait: until nothing more happens, or until some time has passed.

/** Call *act* after *wait* without further calls. @param {number} wait milliseconds @param {() => void} act */
export function settled(wait, act) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(act, wait); };
}

/** Call *act* at most once per *wait*; the last call counts. @param {number | (() => number)} wait milliseconds @param {() => void} act */
export function later(wait, act) {
  let timer = 0;
  return () => { timer ||= setTimeout(() => { timer = 0; act(); }, typeof wait === "number" ? wait : wait()); };
}
