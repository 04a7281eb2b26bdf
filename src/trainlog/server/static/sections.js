// The charts of the page: first those that the server names, then every other metric by group.

/** @typedef {import("./card.js").Spec} Spec @typedef {import("./net.js").Info} Info @typedef {import("./net.js").Key} Key */
/** @typedef {{id: string, title: string, cards: Spec[], special?: "episodes" | "functions", variables?: boolean, closed?: boolean,
 *   hidden?: {id: string, title: string}[]}} Section */

/** @type {Record<string, string>} */
const KINDS = { stats: "", evolution: "evolution: ", creature: "creature: " };
/** @type {Record<string, string>} */
const OF_EPISODES = { stats: "episode: ", evolution: "evolution: ", creature: "" };

/** The sections of the page for these runs. @param {Info[]} infos @returns {Section[]} */
export function sections(infos) {
  /** @type {Record<string, Record<string, Key>>} */
  const keys = Object.create(null); // by kind
  for (const info of infos) {
    for (const [kind, { keys: known }] of Object.entries(info.kinds)) {
      if (kind === "event") continue;
      keys[kind] ??= Object.create(null); // a key can be called constructor or __proto__
      for (const [key, about] of Object.entries(known)) {
        if (about.shape !== "list") keys[kind][key] ??= about;
        if (about.shape === "text") keys[kind][key] = about;
      }
    }
  }
  /** @type {Section[]} */
  const found = [];
  const episodes = infos.some((info) => info.episodes);
  const first = merged(infos.filter((info) => Boolean(info.episodes) === episodes).flatMap((info) => info.cards));
  const used = new Set(first.flatMap(({ series }) => series.map(({ key }) => key)));
  if (episodes) found.push({ id: "episodes", title: "Episodes", cards: first, special: "episodes" });
  else if (first.length) found.push({ id: "six", title: "", cards: first });
  if (infos.some((info) => info.functions)) {
    found.push({ id: "functions", title: "Learned functions", cards: [], special: "functions" });
  }
  for (const kind of episodes ? ["creature", "evolution", "stats"] : ["evolution", "stats", "creature"]) {
    const known = keys[kind] ?? {};
    for (const [group, names] of grouped(known, kind === "stats" ? used : new Set())) {
      found.push({
        id: `${kind}-${group}`, title: (episodes ? OF_EPISODES : KINDS)[kind] + group, variables: kind === "creature" && episodes,
        closed: kind === "creature" && !episodes,
        cards: names.map((key) => metric(kind, key, known[key])),
      });
    }
  }
  return found;
}

/** The first charts of several runs: one of each kind, with the curves that any of the runs has. @param {any[]} cards @returns {Spec[]} */
function merged(cards) {
  /** @type {Map<string, any>} */
  const found = new Map();
  for (const { series, ...rest } of cards) {
    const one = found.get(rest.id) ?? { ...rest, series: [] };
    const labels = new Set(one.series.map((/** @type {{label: string}} */ { label }) => label));
    one.series.push(...series.filter((/** @type {{label: string}} */ { label }) => !labels.has(label)));
    found.set(rest.id, one);
  }
  return [...found.values()].map(({ most, title, ...rest }) => {
    const alone = rest.series.length === 1 && most > 1;
    return { ...rest, title: alone ? rest.series[0].label.replace(/^./, (/** @type {string} */ letter) => letter.toUpperCase()) : title };
  });
}

/** @param {string} kind @param {string} key @param {Key} about @returns {Spec} */
function metric(kind, key, { shape, unit }) {
  return { id: `${kind}/${key}`, title: key, unit, kind, strip: shape === "text", series: [{ key, label: key }] };
}

/** Keys by group, those without a group first. @param {Record<string, Key>} known @param {Set<string>} used @returns {[string, string[]][]} */
function grouped(known, used) {
  /** @type {Map<string, string[]>} */
  const groups = new Map();
  for (const [key, { clock, group }] of Object.entries(known)) {
    if (clock || used.has(key)) continue;
    groups.set(group, [...(groups.get(group) ?? []), key]);
  }
  const rest = groups.get("");
  groups.delete("");
  return rest ? [["general", rest], ...groups] : [...groups];
}
