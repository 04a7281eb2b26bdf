// @ts-check
// Which charts there are: those that the server names come first, then every other metric by its group.

const KINDS = { stats: "", evolution: "evolution: ", creature: "creature: " };
const OF_EPISODES = { stats: "episode: ", evolution: "evolution: ", creature: "" };

// The sections of the page for what is known of the runs: [{id, title, cards: [spec]}]
export function sections(infos) {
  const keys = Object.create(null); // kind -> key -> {shape, clock, group, unit}
  for (const info of infos) {
    for (const [kind, { keys: known }] of Object.entries(info.kinds)) {
      if (kind === "event") continue;
      keys[kind] ??= Object.create(null); // a key may be called constructor, or __proto__
      for (const [key, about] of Object.entries(known)) {
        if (about.shape !== "list") keys[kind][key] ??= about;
        if (about.shape === "text") keys[kind][key] = about;
      }
    }
  }
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

// The first charts of several runs: one of each, with the curves that any of the runs has.
function merged(cards) {
  const found = new Map();
  for (const { series, ...rest } of cards) {
    const one = found.get(rest.id) ?? { ...rest, series: [] };
    one.series.push(...series.filter(({ label }) => !one.series.some((other) => other.label === label)));
    found.set(rest.id, one);
  }
  return [...found.values()].map(({ most, title, ...rest }) => {
    const alone = rest.series.length === 1 && most > 1;
    return { ...rest, title: alone ? rest.series[0].label.replace(/^./, (letter) => letter.toUpperCase()) : title };
  });
}

function metric(kind, key, { shape, unit }) {
  return { id: `${kind}/${key}`, title: key, unit, kind, strip: shape === "text", series: [{ key, label: key }] };
}

// Keys by their group, those without one first.
function grouped(known, used) {
  const groups = new Map();
  for (const [key, { clock, group }] of Object.entries(known)) {
    if (clock || used.has(key)) continue;
    groups.set(group, [...(groups.get(group) ?? []), key]);
  }
  const rest = groups.get("");
  groups.delete("");
  return [...(rest ? [["general", rest]] : []), ...groups];
}
