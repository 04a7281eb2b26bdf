"""What the creature did: words that say what was the case when, and its path seen from above."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from trainlog.draw import Chart, Line, Scatter, Scene, StateTimeline
from trainlog.draw.color import mix
from trainlog.draw.theme import find_theme
from trainlog.model import Kind
from trainlog.plot.axes import Axis, Floats, is_clock
from trainlog.plot.picture import Block, Picture
from trainlog.plot.run import Run
from trainlog.table.table import Table

__all__ = ["behavior_strip", "episode_strip", "path_picture", "states_picture"]

# The column that tells most of what a creature did, the best first.
_BEHAVIOR: Final = (
    "behavior",
    "behaviour",
    "skill",
    "phase",
    "stage",
    "gait",
    "mode",
    "posture_state",
    "state",
    "action",
)
_MOST_STRIPS: Final = 12
_MOST_EPISODES: Final = 200
_STILL: Final = 1e-3  # of the path's length: a creature that moves sideways no more than that runs along a line


def behavior_strip(run: Run, kind: Kind, axis: Axis) -> StateTimeline | None:
    """The most telling column of words, as a strip over that axis."""
    columns = run.columns(kind)
    for key in _BEHAVIOR:
        if key in columns.table and (words := columns.words(key)) is not None:
            return StateTimeline(*_told(run, kind, key, axis, words), label=_short(key))
    return None


def episode_strip(run: Run, kind: Kind, axis: Axis) -> StateTimeline | None:
    """Which episodes were evaluations, where there are others too."""
    types = run.episode_types
    if len(set(types)) < 2:
        return None
    return StateTimeline(run.at(run.episode_starts, kind, axis.name), types, label="episodes")


def states_picture(run: Run, axis: Axis, title: str, theme: str) -> Picture | None:
    """All columns of words of the statistics as strips below each other; None when there are none."""
    columns = run.columns(Kind.STATS)
    found = {key: words for key in columns.table if not is_clock(key) and (words := columns.words(key)) is not None}
    found.pop("episode_type", None)
    if not found:
        return None
    order = sorted(found, key=lambda key: _BEHAVIOR.index(key) if key in _BEHAVIOR else len(_BEHAVIOR))[:_MOST_STRIPS]
    told = {key: _told(run, Kind.STATS, key, axis, found[key]) for key in order}
    colors = _colors([found[key] for key in order], theme)
    chart = Chart(
        title=title,
        x_label=axis.label,
        x_unit=axis.unit,
        marks=[StateTimeline(*told[key], colors, _short(key)) for key in order],
        caption="" if len(order) == len(found) else f"not shown: {', '.join(key for key in found if key not in order)}",
    )
    blocks = tuple(Block(key, {axis.name: told[key][0], "value": told[key][1]}) for key in order)
    return Picture("states", "what was the case when", chart, blocks=blocks)


def _told(
    run: Run, kind: Kind, key: str, axis: Axis, words: Sequence[str | None]
) -> tuple[Floats, npt.NDArray[np.object_]]:
    """Where the column says something, and what; frames that lack it do not end what was said before."""
    x, present = run.places(kind, axis.name), run.columns(kind).present(key)
    keep = present & np.isfinite(x)
    return x[keep], np.fromiter(words, object, len(words))[keep]


def _short(key: str) -> str:
    return key.replace("_", " ")


def _colors(columns: Sequence[Sequence[str | None]], theme: str) -> Mapping[str, str]:
    """One colour for each word, whichever strip it stands in."""
    look = find_theme(theme)
    colors: dict[str, str] = {}
    for words in columns:
        for word in dict.fromkeys(words):
            if word is not None and word not in colors:
                turn, place = divmod(len(colors), len(look.palette))
                colors[word] = mix(look.palette[place], look.background, min(0.25 + 0.25 * turn, 0.75))
    return colors


def path_picture(run: Run, title: str, theme: str) -> Picture | None:
    """Where the creature went, seen from above; None when the log does not say, or it moves along a line only.

    Of several episodes the last is shown, with those before it faintly.
    """
    table = run.columns(Kind.CREATURE).table
    path = _path(table)
    if path is None or not _spreads(*path):
        return None
    x, y = path
    others = _others(table)
    starts = _starts(run, table, x, y)
    marks: list[Line | Scatter] = []
    for start, stop in list(zip(starts, [*starts[1:], len(x)], strict=True))[-_MOST_EPISODES:-1]:
        muted = find_theme(theme).muted
        marks.append(Line(x[start:stop], y[start:stop], "earlier episodes", muted, width=1.25, opacity=0.3))
    last = slice(starts[-1], len(x))
    for name, (other_x, other_y) in others.items():
        moves = np.ptp(other_x[last]) > 0 or np.ptp(other_y[last]) > 0
        line = Line(other_x[last], other_y[last], name, width=1.5)
        marks.append(line if moves else Scatter(other_x[-1:], other_y[-1:], name, size=8))
    scene = Scene(
        x[last],
        y[last],
        title=title,
        label=str(run.reader.header.meta.get("creature", "")) or "creature",
        x_unit="m",
        y_unit="m",
        marks=marks,
        caption=f"the last of {len(starts):,} episodes" if len(starts) > 1 else "",
    )
    blocks = [Block("path", {"time": table.time, "x": x, "y": y})]
    blocks += [Block(name, {"time": table.time, "x": a, "y": b}) for name, (a, b) in others.items()]
    return Picture("trajectory", "path seen from above", scene, blocks=tuple(blocks))


def _spreads(x: Floats, y: Floats) -> bool:
    """Whether it is a path in a plane, and not one along a line."""
    good = np.isfinite(x) & np.isfinite(y)
    if not good.any():
        return False
    reach = np.ptp(x[good]), np.ptp(y[good])
    return bool(min(reach) > _STILL * max(reach))


def _starts(run: Run, table: Table, x: Floats, y: Floats) -> list[int]:
    """The rows at which episodes begin."""
    for key in ("episode", "gen", "generation"):
        if key in table and table[key].ndim == 1:
            numbers = table.numbers(key)
            return [0, *(np.flatnonzero(numbers[1:] != numbers[:-1]) + 1).tolist()]
    rows = np.searchsorted(table.time, run.episode_starts)
    return sorted({0, *rows[rows < table.rows].tolist(), *_jumps(x, y)})


def _jumps(x: Floats, y: Floats) -> list[int]:
    """Rows before which the creature was put elsewhere: far, and much farther than it ever goes in one frame."""
    with np.errstate(invalid="ignore"):
        moved = np.hypot(np.diff(x), np.diff(y))
    known = moved[np.isfinite(moved) & (moved > 0)]
    if not len(known):
        return []
    far = max(0.1 * float(np.hypot(np.ptp(x[np.isfinite(x)]), np.ptp(y[np.isfinite(y)]))), 10 * float(np.median(known)))
    with np.errstate(invalid="ignore"):
        return (np.flatnonzero(moved > far) + 1).tolist()


def _others(table: Table) -> dict[str, tuple[Floats, Floats]]:
    """Other things whose place was logged, ``ball_pos`` and the like."""
    found = {}
    for key in table:
        column = table[key]
        if key.endswith("_pos") and column.ndim == 2 and column.shape[1] in (2, 3) and column.dtype != object:
            found[key.removesuffix("_pos")] = (column[:, 0].astype(np.float64), column[:, 1].astype(np.float64))
    return found


def _path(table: Table) -> tuple[Floats, Floats] | None:
    if "x" in table and "y" in table and table["x"].ndim == table["y"].ndim == 1:
        return table.numbers("x"), table.numbers("y")
    for key in ("pos", "qpos", "com"):
        if key in table and table[key].ndim == 2 and table[key].shape[1] > 1 and table[key].dtype != object:
            return table[key][:, 0].astype(np.float64), table[key][:, 1].astype(np.float64)
    return None
