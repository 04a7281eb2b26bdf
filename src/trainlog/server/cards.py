"""Which charts the page shows first, and what it has to know of each key: the page itself knows no names of keys."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from trainlog.conventions import Meaning
from trainlog.episode import EpisodeType
from trainlog.model import Kind
from trainlog.server.curves import has_episodes
from trainlog.server.log import Log

__all__ = ["FUNCTION", "cards_of", "episode_keys", "has_functions", "keys_of"]

FUNCTION: Final = "function"
"""The key of the name of a learned function, in the events that have a sample of it."""


class _Curve(NamedTuple):
    """One curve of a chart: its label and color, and the keys that it may have, the best first."""

    label: str
    color: str
    keys: tuple[str, ...] = ()
    meaning: Meaning | None = None


class _Card(NamedTuple):
    """A chart of stats: its title, its curves, and how it looks where that is not the usual way."""

    id: str
    title: str
    curves: tuple[_Curve, ...]
    look: dict[str, Any]


# The charts of the dashboard of the first FLOG trainer. A trainer without a ball logs a distance of -1.
_CARDS: Final = (
    _Card(
        "ball",
        "Ball distance",
        (_Curve("distance", "blue", ("ball_dist", "ball_distance")),),
        {
            "unit": "m",
            "wide": True,
            "range": [0, 0],
            "floor": 0,
            "thresholds": [{"y": 1, "label": "1.0 m"}, {"y": 0.5, "label": "0.5 m"}],
        },
    ),
    _Card(
        "actor",
        "SNN actor vs CPG",
        (
            _Curve("actor competence", "green", ("actor_competence",)),
            _Curve("CPG weight", "orange", ("cpg_weight",)),
        ),
        {"range": [0, 1]},
    ),
    _Card(
        "learning",
        "Task PE & reward",
        (
            _Curve("reward", "cyan", meaning="reward"),
            _Curve("task PE", "red", ("task_pe",)),
            _Curve("prediction error", "violet", ("pred_error", "prediction_error")),
        ),
        {},
    ),
    _Card(
        "cerebellum",
        "Cerebellum",
        (
            _Curve("PF→PkC weight", "gold", ("pf_pkc_weight",)),
            _Curve("correction", "pink", ("correction_mag",)),
            _Curve("GrC sparseness", "teal", ("grc_sparseness",)),
        ),
        {},
    ),
    _Card(
        "stability",
        "Stability & speed",
        (_Curve("upright", "green", ("upright",)), _Curve("velocity (m/s)", "blue", meaning="speed")),
        {},
    ),
    _Card(
        "behavior",
        "Behavior timeline",
        (_Curve("behavior", "", meaning="behavior"),),
        {"wide": True, "strip": True},
    ),
)

# Of the summaries of episodes, see `trainlog.episode.Tally.summary`.
_EPISODE_TITLES: Final = {"return": "Return", "reward": "Mean reward of a step", "length": "Length of an episode"}
_EPISODE_COLORS: Final = {EpisodeType.EVALUATION: "blue", EpisodeType.TRAINING: "orange"}
_MEAN: Final = "mean/"


def cards_of(log: Log) -> list[dict[str, Any]]:
    """The charts that come first, where their keys are."""
    rows = log.rows.get(Kind.STATS)
    shapes = {} if rows is None else {key: series.shape for key, series in rows.columns.series.items()}
    if has_episodes(log):
        return [_episode_card(key, title) for key, title in _EPISODE_TITLES.items() if key in shapes]
    cards = []
    for card in _CARDS:
        shape = "text" if card.look.get("strip") else "number"
        keys = [key for key, one in shapes.items() if one == shape]
        series = []
        for curve in card.curves:
            if curve.meaning is not None:
                key = log.conventions.find(curve.meaning, keys)
            else:
                key = next((one for one in curve.keys if one in keys), None)
            if key is not None:
                series.append({"key": key, "label": curve.label, "color": curve.color})
        if series:
            cards.append(
                {
                    "id": card.id,
                    "title": card.title,
                    "kind": str(Kind.STATS),
                    "most": len(card.curves),
                    "series": series,
                    **card.look,
                }
            )
    return cards


def _episode_card(key: str, title: str) -> dict[str, Any]:
    series = [
        {"key": key, "label": str(type), "color": color, "where": f"episode_type:{type}"}
        for type, color in _EPISODE_COLORS.items()
    ]
    unit = "steps" if key == "length" else ""
    return {
        "id": f"episodes-{key}",
        "title": title,
        "kind": str(Kind.STATS),
        "most": len(series),
        "series": series,
        "unit": unit,
    }


def episode_keys(log: Log) -> dict[str, str] | None:
    """The keys of a summary of an episode; None for a log whose stats are no summaries."""
    if not has_episodes(log):
        return None
    return {
        "number": "episode",
        "type": "episode_type",
        "return": "return",
        "length": "length",
    }


def has_functions(log: Log) -> bool:
    """Whether samples of learned functions were logged."""
    return Kind.EVENT in log.rows and FUNCTION in log.rows[Kind.EVENT].columns.series


def keys_of(log: Log, kind: Kind, shapes: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """*shapes* by key with what the conventions and the log's declarations say of each, the most important first."""
    units = {variable.key: variable.unit for variable in log.reader.header.variables if variable.unit}
    found = {}
    for key, about in log.conventions.describe(kind, shapes).items():
        unit = units.get(key.removeprefix(_MEAN) if kind == Kind.STATS else key)
        found[key] = {**shapes[key], **about, **({"unit": unit} if unit else {})}
    return found
