// Which charts there are: the six of the first dashboard where their keys are, and every other metric by its prefix.

const first = (...keys) => keys;

const SIX = [
  // A trainer without a ball logs a distance of -1.
  { id: "ball", title: "Ball distance", unit: "m", wide: true, range: [0, 0], floor: 0,
    thresholds: [{ y: 1, label: "1.0 m" }, { y: 0.5, label: "0.5 m" }],
    series: [{ keys: first("ball_dist", "ball_distance"), label: "distance", color: "blue" }] },
  { id: "actor", title: "SNN actor vs CPG", range: [0, 1],
    series: [{ keys: first("actor_competence"), label: "actor competence", color: "green" }, { keys: first("cpg_weight"), label: "CPG weight", color: "orange" }] },
  { id: "learning", title: "Task PE & reward",
    series: [{ keys: first("reward"), label: "reward", color: "cyan" }, { keys: first("task_pe"), label: "task PE", color: "red" }, { keys: first("pred_error", "prediction_error"), label: "prediction error", color: "violet" }] },
  { id: "cerebellum", title: "Cerebellum",
    series: [{ keys: first("pf_pkc_weight"), label: "PF→PkC weight", color: "gold" }, { keys: first("correction_mag"), label: "correction", color: "pink" }, { keys: first("grc_sparseness"), label: "GrC sparseness", color: "teal" }] },
  { id: "stability", title: "Stability & speed",
    series: [{ keys: first("upright"), label: "upright", color: "green" }, { keys: first("vel_mps", "velocity", "speed"), label: "velocity (m/s)", color: "blue" }] },
  { id: "behavior", title: "Behavior timeline", wide: true, strip: true,
    series: [{ keys: first("behavior", "behaviour"), label: "behavior" }] },
];

// Keys that are places on an axis rather than something to look at.
const AXES = new Set(["step", "episode", "gen", "index", "sub_index"]);
const KINDS = { stats: "", evolution: "evolution: ", creature: "creature: " };
const OF_EPISODES = { stats: "episode: ", evolution: "evolution: ", creature: "" };

// The sections of the page for what is known of the runs: [{id, title, cards: [spec]}]
export function sections(infos) {
  const keys = {}; // kind -> key -> {shape, texts}
  const units = {};
  for (const info of infos) {
    for (const [kind, { keys: known }] of Object.entries(info.kinds)) {
      if (kind === "event") continue;
      keys[kind] ??= {};
      for (const [key, about] of Object.entries(known)) {
        if (about.shape !== "list") keys[kind][key] ??= about;
        if (about.shape === "text") keys[kind][key] = about;
      }
    }
    for (const { key, unit } of info.variables) if (unit) units[key] = unit;
  }
  const found = [];
  const used = new Set();
  const episodes = infos.some((info) => info.episodes);
  const six = episodes ? [] : sixOf(keys.stats ?? {}, used);
  if (six.length) found.push({ id: "six", title: "", cards: six });
  if (episodes) found.push({ id: "episodes", title: "Episodes", cards: ofEpisodes(keys.stats ?? {}, used), special: "episodes" });
  if (infos.some((info) => Object.keys(info.kinds.event?.keys ?? {}).includes("function"))) {
    found.push({ id: "functions", title: "Learned functions", cards: [], special: "functions" });
  }
  for (const kind of episodes ? ["creature", "evolution", "stats"] : ["evolution", "stats", "creature"]) {
    for (const [prefix, names] of grouped(Object.keys(keys[kind] ?? {}).filter((key) => !(kind === "stats" && used.has(key))))) {
      found.push({
        id: `${kind}-${prefix}`, title: (episodes ? OF_EPISODES : KINDS)[kind] + prefix, variables: kind === "creature" && episodes,
        closed: kind === "creature" && !episodes,
        cards: names.map((key) => metric(kind, key, keys[kind][key], units[key.replace(/^mean\//, "")])),
      });
    }
  }
  return found;
}

function sixOf(known, used) {
  const cards = [];
  for (const { series, ...rest } of SIX) {
    const present = series.flatMap(({ keys, ...one }) => {
      const key = keys.find((each) => known[each]);
      return key ? [{ key, ...one }] : [];
    });
    if (!present.length) continue;
    for (const { key } of present) used.add(key);
    const alone = present.length === 1 && series.length > 1;
    cards.push({ kind: "stats", ...rest, ...(alone ? { title: present[0].label.replace(/^./, (letter) => letter.toUpperCase()) } : {}), series: present });
  }
  return cards;
}

function ofEpisodes(known, used) {
  const titles = { return: "Return", reward: "Mean reward of a step", length: "Length of an episode" };
  return Object.keys(titles).filter((key) => known[key]).map((key) => {
    used.add(key);
    const series = [["evaluation", "blue"], ["training", "orange"]].map(([type, color]) => (
      { key, label: type, color, where: `episode_type:${type}` }));
    return { id: `episodes-${key}`, title: titles[key], kind: "stats", series, unit: key === "length" ? "steps" : "" };
  });
}

function metric(kind, key, about, unit) {
  return { id: `${kind}/${key}`, title: key, unit, kind, strip: about.shape === "text", series: [{ key, label: key }] };
}

// Of an RLSimion log what was done and what came of it, before its clocks.
const RANKS = ["state", "action", "reward", "stat"];
const rank = (prefix) => (RANKS.includes(prefix) ? RANKS.indexOf(prefix) - RANKS.length : 0);

// Keys by what stands before their first / or _; those that are alone go together.
export function grouped(keys) {
  const groups = new Map();
  for (const key of keys) {
    if (AXES.has(key)) continue;
    const prefix = /^([^/]+)\//.exec(key)?.[1] ?? /^([^_]+)_/.exec(key)?.[1] ?? key;
    groups.set(prefix, [...(groups.get(prefix) ?? []), key]);
  }
  const rest = [];
  for (const [prefix, names] of groups) {
    if (names.length < 2 && !names[0].includes("/")) { rest.push(...names); groups.delete(prefix); }
  }
  return [...(rest.length ? [["general", rest]] : []), ...groups].sort(([a], [b]) => (rank(a) - rank(b)));
}
