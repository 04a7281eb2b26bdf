"""The behavior of the robot: its states in words as strips, and its path from above."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from trainlog.draw import Chart, Line, Scatter, Scene, StateTimeline
from trainlog.draw.color import mix
from trainlog.draw.theme import find_theme
from trainlog.model import Kind
from trainlog.plot.axes import Axis, Floats
from trainlog.plot.columns import Columns
from trainlog.plot.picture import Block, Picture
from trainlog.plot.run import Run

__all__ = ["behavior_strip", "episode_strip", "path_picture", "states_picture"]

_MAX_STRIPS: Final = 12
_MAX_EPISODES: Final = 200
_LINE_WIDTH: Final = 1e-3  # a path that is narrower than this share of its length is a line


def behavior_strip(run: Run, kind: Kind, axis: Axis) -> StateTimeline | None:
    """The behavior as a strip; None when the frames of *kind* do not have it in words."""
    columns = run.columns(kind)
    key = run.conventions.behavior(columns.table, lambda key: columns.words(key) is not None)
    return None if key is None else StateTimeline(*_words_over(run, kind, key, axis), label=_label(key))


def episode_strip(run: Run, kind: Kind, axis: Axis) -> StateTimeline | None:
    """The types of the episodes as a strip; None unless there are several, such as evaluation and training."""
    types = run.episode_types
    if len(set(types)) < 2:
        return None
    return StateTimeline(run.at(run.episode_starts, kind, axis.name), types, label="episodes")


def states_picture(run: Run, axis: Axis, title: str, theme: str) -> Picture | None:
    """The columns of words of the stats frames as strips; None when there are none."""
    columns = run.columns(Kind.STATS)
    behaviors = {key: rank for rank, key in enumerate(run.conventions.keys["behavior"])}
    keys = [key for key in columns.table if not run.conventions.is_clock(key) and columns.words(key) is not None]
    keys = sorted((key for key in keys if key != "episode_type"), key=lambda key: behaviors.get(key, len(behaviors)))
    if not keys:
        return None
    data = {key: _words_over(run, Kind.STATS, key, axis) for key in keys[:_MAX_STRIPS]}
    colors = _colors((words for _, words in data.values()), theme)
    chart = Chart(
        title=title,
        x_label=axis.label,
        x_unit=axis.unit,
        marks=[StateTimeline(x, words, colors, _label(key)) for key, (x, words) in data.items()],
        caption=f"not shown: {', '.join(keys[_MAX_STRIPS:])}" if len(keys) > _MAX_STRIPS else "",
    )
    blocks = tuple(Block(key, {axis.name: x, "value": words}) for key, (x, words) in data.items())
    return Picture("states", "states in words", chart, blocks=blocks)


def _words_over(run: Run, kind: Kind, key: str, axis: Axis) -> tuple[Floats, npt.NDArray[np.object_]]:
    """The words of a column over an axis; a frame without a word continues the previous one."""
    columns = run.columns(kind)
    x, words = run.axis_values(kind, axis.name), columns.words(key) or []
    keep = columns.present(key) & np.isfinite(x)
    return x[keep], np.fromiter(words, object, len(words))[keep]


def _label(key: str) -> str:
    return key.replace("_", " ")


def _colors(columns: Iterable[npt.NDArray[np.object_]], theme: str) -> Mapping[str, str]:
    """Choose one color for each word, the same in every strip."""
    palette, background = find_theme(theme).palette, find_theme(theme).background
    colors: dict[str, str] = {}
    for words in columns:
        for word in dict.fromkeys(words.tolist()):
            if word is not None and word not in colors:
                turn, index = divmod(len(colors), len(palette))
                colors[word] = mix(palette[index], background, min(0.25 + 0.25 * turn, 0.75))
    return colors


def path_picture(run: Run, title: str, theme: str) -> Picture | None:
    """The path of the robot from above; None when the log has no positions, or they are on one line.

    The last episode is emphasised; earlier ones are faint.
    """
    columns = run.columns(Kind.CREATURE)
    table, sample = columns.table, columns.sample()
    keys = run.conventions.position(sample)
    if not keys:
        return None
    x, y = _xy(columns, keys)
    if not _is_plane(x, y):
        return None
    objects = {name: _xy(columns, (key,)) for name, key in run.conventions.objects(sample).items()}
    starts = _episode_rows(run, x, y)
    marks: list[Line | Scatter] = []
    for start, stop in list(zip(starts, [*starts[1:], len(x)], strict=True))[-_MAX_EPISODES:-1]:
        muted = find_theme(theme).muted
        marks.append(Line(x[start:stop], y[start:stop], "earlier episodes", muted, width=1.25, opacity=0.3))
    last = slice(starts[-1], len(x))
    for name, (other_x, other_y) in objects.items():
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
    blocks += [Block(name, {"time": table.time, "x": a, "y": b}) for name, (a, b) in objects.items()]
    return Picture("trajectory", "path seen from above", scene, blocks=tuple(blocks))


def _xy(columns: Columns, keys: tuple[str, ...]) -> tuple[Floats, Floats]:
    """The coordinates in one column of vectors, or in two columns of numbers."""
    if len(keys) == 1:
        return columns.numbers(keys[0], 0), columns.numbers(keys[0], 1)
    return columns.numbers(keys[0]), columns.numbers(keys[1])


def _is_plane(x: Floats, y: Floats) -> bool:
    """Whether a path is in a plane, and not on a line."""
    good = np.isfinite(x) & np.isfinite(y)
    if not good.any():
        return False
    reach = np.ptp(x[good]), np.ptp(y[good])
    return bool(min(reach) > _LINE_WIDTH * max(reach))


def _episode_rows(run: Run, x: Floats, y: Floats) -> list[int]:
    """The first row of each episode."""
    columns = run.columns(Kind.CREATURE)
    table = columns.table
    if (episode := run.conventions.axis("episode", table, columns.is_number)) is not None:
        numbers = columns.numbers(episode.key)
        return [0, *(np.flatnonzero(np.abs(np.diff(numbers)) > 0) + 1).tolist()]
    rows = np.searchsorted(table.time, run.episode_starts)
    return sorted({0, *rows[rows < table.rows].tolist(), *_jumps(x, y)})


def _jumps(x: Floats, y: Floats) -> list[int]:
    """Rows where the position jumps: far, and much farther than in the usual frame."""
    with np.errstate(invalid="ignore"):
        moved = np.hypot(np.diff(x), np.diff(y))
    known = moved[np.isfinite(moved) & (moved > 0)]
    if not len(known):
        return []
    far = max(0.1 * float(np.hypot(np.ptp(x[np.isfinite(x)]), np.ptp(y[np.isfinite(y)]))), 10 * float(np.median(known)))
    with np.errstate(invalid="ignore"):
        return (np.flatnonzero(moved > far) + 1).tolist()
