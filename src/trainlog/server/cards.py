"""The charts that the page shows first, and what it must know about each key: the page itself knows no key names."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from trainlog.conventions import Meaning
from trainlog.episode_summary import EpisodeType
from trainlog.live_log.log import Log
from trainlog.model import Kind
from trainlog.server.curves import has_episodes

__all__ = ["FUNCTION", "cards_of", "episode_keys", "has_functions", "keys_of"]

FUNCTION: Final = "function"
"""The key of the name of a learned function, in the events that have a sample of it."""


class _Card(NamedTuple):
    """A chart of stats: its curves (label, color, keys or a meaning), and where its look differs from the default."""

    id: str
    title: str
    curves: tuple[tuple[str, str, tuple[str, ...] | Meaning], ...]
    look: dict[str, Any]


_LINES: Final = ({"y": 1, "label": "1.0 m"}, {"y": 0.5, "label": "0.5 m"})

# The charts of the dashboard of the first FLOG trainer. A trainer without a ball logs a distance of -1.
# fmt: off
_CARDS: Final = (
    _Card("ball", "Ball distance", (("distance", "blue", ("ball_dist", "ball_distance")),),
          {"unit": "m", "wide": True, "range": [0, 0], "floor": 0, "absent": "There was no ball",
           "thresholds": _LINES}),
    _Card("actor", "SNN actor vs CPG", (
        ("actor competence", "green", ("actor_competence",)), ("CPG weight", "orange", ("cpg_weight",)),
    ), {"range": [0, 1]}),
    _Card("learning", "Task PE & reward", (
        ("reward", "cyan", "reward"), ("task PE", "red", ("task_pe",)),
        ("prediction error", "violet", ("pred_error", "prediction_error")),
    ), {}),
    _Card("cerebellum", "Cerebellum", (
        ("PF→PkC weight", "gold", ("pf_pkc_weight",)), ("correction", "pink", ("correction_mag",)),
        ("GrC sparseness", "teal", ("grc_sparseness",)),
    ), {}),
    _Card("stability", "Stability & speed", (
        ("upright", "green", ("upright",)), ("velocity (m/s)", "blue", "speed"),
    ), {}),
    _Card("behavior", "Behavior timeline", (("behavior", "", "behavior"),), {"wide": True, "strip": True}),
)
# fmt: on

# For summaries of episodes, see `trainlog.episode_summary.Tally.summary`.
_EPISODE_TITLES: Final = {"return": "Return", "reward": "Mean reward of a step", "length": "Length of an episode"}
_EPISODE_COLORS: Final = {EpisodeType.EVALUATION: "blue", EpisodeType.TRAINING: "orange"}


def cards_of(log: Log) -> list[dict[str, Any]]:
    """The first charts, as far as the log has their keys."""
    rows = log.rows.get(Kind.STATS)
    shapes = {} if rows is None else {key: one.shape for key, one in rows.columns.series.items() if one.is_known}
    if has_episodes(log):
        titles = {key: title for key, title in _EPISODE_TITLES.items() if key in shapes}
        return [_episode_card(key, title) for key, title in titles.items()]
    cards = []
    for id, title, curves, look in _CARDS:
        keys = [key for key, shape in shapes.items() if shape == ("text" if look.get("strip") else "number")]
        series = []
        for label, color, wanted in curves:
            if isinstance(wanted, str):
                key = log.conventions.reward(keys) if wanted == "reward" else log.conventions.find(wanted, keys)
            else:
                key = next((one for one in wanted if one in keys), None)
            if key is not None:
                series.append({"key": key, "label": label, "color": color})
        if series:
            cards.append({"id": id, "title": title, "kind": "stats", "most": len(curves), "series": series, **look})
    return cards


def _episode_card(key: str, title: str) -> dict[str, Any]:
    series = [
        {"key": key, "label": str(type), "color": color, "where": f"episode_type:{type}"}
        for type, color in _EPISODE_COLORS.items()
    ]
    unit = "steps" if key == "length" else ""
    return {"id": f"episodes-{key}", "title": title, "kind": "stats", "most": 2, "series": series, "unit": unit}


def episode_keys(log: Log) -> dict[str, str] | None:
    """The keys of episode summaries; None for a log whose stats are not summaries."""
    if not has_episodes(log):
        return None
    return {"number": "episode", "type": "episode_type", "return": "return", "length": "length"}


def has_functions(log: Log) -> bool:
    """Whether samples of learned functions were logged."""
    return Kind.EVENT in log.rows and FUNCTION in log.rows[Kind.EVENT].columns.series


def keys_of(log: Log, kind: Kind, shapes: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """*shapes* by key, with the conventions and declarations of the log for each, most important first."""
    from trainlog.plot.run import Metric, Run

    run = Run(log.reader)
    return {
        key: {**shapes[key], **about, **({"unit": unit} if (unit := run.unit(Metric(kind, key))) else {})}
        for key, about in log.conventions.describe(kind, shapes).items()
    }
