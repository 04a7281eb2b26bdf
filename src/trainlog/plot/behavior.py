"""The behavior of the robot: its states in words as strips, and its path from above."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from trainlog.draw import Chart, Line, Scatter, Scene, StateTimeline
from trainlog.draw.color import is_light, mix
from trainlog.draw.theme import find_theme
from trainlog.model import Kind
from trainlog.plot.axes import Axis, Floats
from trainlog.plot.columns import OTHER
from trainlog.plot.picture import Block, Picture
from trainlog.plot.run import Run
from trainlog.trajectory import Extent

__all__ = [
    "behavior_strip",
    "episode_rows",
    "episode_strip",
    "path_picture",
    "states_picture",
    "word_colors",
    "words_over",
]

_MAX_STRIPS: Final = 12
_MAX_EPISODES: Final = 200


def word_colors(run: Run, theme: str) -> dict[str, str]:
    """The color of each word in all figures of a log: first those of the behavior, then those of the other columns."""
    colors: dict[str, str] = {}
    palette, background = find_theme(theme).palette, find_theme(theme).background
    words: dict[str, None] = {}
    for kind in (Kind.STATS, Kind.CREATURE, Kind.EVOLUTION):
        for key in _word_keys(run, kind):
            known = run.columns(kind).words(key)
            words |= dict.fromkeys(word for word in known.values if word is not None) if known else {}
    words.pop(OTHER, None)
    for number, word in enumerate((*words, *dict.fromkeys(run.episode_types))):
        turn, index = divmod(number, len(palette))
        colors.setdefault(word, mix(palette[index], background, (0.35, 0.6, 0.75)[min(turn, 2)]))
    colors[OTHER] = find_theme(theme).missing
    return colors


def _word_keys(run: Run, kind: Kind) -> list[str]:
    """The columns of words of one kind of frame, with those of the behavior first."""
    columns = run.columns(kind)
    behaviors = {key: rank for rank, key in enumerate(run.conventions.keys["behavior"])}
    keys = [key for key in columns.table if not run.conventions.is_clock(key) and columns.words(key) is not None]
    return sorted((key for key in keys if key != "episode_type"), key=lambda key: behaviors.get(key, len(behaviors)))


def behavior_strip(run: Run, kind: Kind, axis: Axis, colors: Mapping[str, str]) -> tuple[StateTimeline | None, str]:
    """The behavior as a strip, and a note; None if the frames of *kind* do not have it in words."""
    columns = run.columns(kind)
    key = run.conventions.behavior(columns.table, lambda key: columns.words(key) is not None)
    if key is None or (words := columns.words(key)) is None:
        return None, ""
    note = f"{_label(key)}: {words.note}" if words.note else ""
    return StateTimeline(*words_over(run, kind, key, axis), colors, _label(key)), note


def episode_strip(run: Run, kind: Kind, axis: Axis, colors: Mapping[str, str]) -> StateTimeline | None:
    """The types of the episodes as a strip; None unless there are several, such as evaluation and training."""
    types = run.episode_types
    if len(set(types)) < 2:
        return None
    return StateTimeline(run.at(run.episode_starts, kind, axis.name), types, colors, "episodes")


def states_picture(run: Run, axis: Axis, title: str, colors: Mapping[str, str]) -> Picture | None:
    """The columns of words of the stats frames as strips; None when there are none."""
    columns = run.columns(Kind.STATS)
    keys = _word_keys(run, Kind.STATS)
    if not keys:
        return None
    hidden = [*keys[_MAX_STRIPS:], *(key for key in columns.table if columns.is_text(key))]
    notes = [f"{_label(key)}: {words.note}" for key in keys if (words := columns.words(key)) and words.note]
    notes += [f"not shown: {', '.join(hidden)}"] if hidden else []
    data = {key: words_over(run, Kind.STATS, key, axis) for key in keys[:_MAX_STRIPS]}
    chart = Chart(
        title=title,
        x_label=axis.label,
        x_unit=axis.unit,
        marks=[StateTimeline(x, words, colors, _label(key)) for key, (x, words) in data.items()],
        caption="; ".join(notes),
    )
    blocks = tuple(Block(key, {axis.name: x, "value": words}) for key, (x, words) in data.items())
    return Picture("states", "states in words", chart, blocks=blocks)


def words_over(run: Run, kind: Kind, key: str, axis: Axis) -> tuple[Floats, npt.NDArray[np.object_]]:
    """The words of a column over an axis; a frame without a word continues the previous one."""
    columns = run.columns(kind)
    x, words = run.axis_values(kind, axis.name), columns.words(key)
    keep = columns.present(key) & np.isfinite(x)
    return x[keep], np.array([] if words is None else words.values, object)[keep]


def _label(key: str) -> str:
    return key.replace("_", " ")


def path_picture(run: Run, title: str, theme: str) -> Picture | None:
    """The path of the robot from above; None when the log has no positions, or it never moves.

    The last episode is emphasised; earlier ones are faint.
    """
    run = run.one_environment
    columns = run.columns(Kind.CREATURE)
    table, sample = columns.table, columns.sample
    keys = run.conventions.position(sample)
    if not keys:
        return None
    x, y = run.place(keys)
    extent = Extent()
    extent.add(x, y)
    if not extent.is_path:
        return None
    objects = {name: run.place((key,)) for name, key in run.conventions.objects(sample).items()}
    starts = episode_rows(run, x, y)
    marks: list[Line | Scatter] = []
    muted, background = find_theme(theme).muted, find_theme(theme).background
    for start, stop in list(zip(starts, [*starts[1:], len(x)], strict=True))[-_MAX_EPISODES:-1]:
        marks.append(Line(x[start:stop], y[start:stop], "earlier episodes", muted, width=1.25, opacity=0.3))
    last = slice(starts[-1], len(x))
    for name, (other_x, other_y) in objects.items():
        moves = np.ptp(other_x[last]) > 0 or np.ptp(other_y[last]) > 0
        line = Line(other_x[last], other_y[last], name, width=1.5)
        marks.append(line if moves else Scatter(other_x[-1:], other_y[-1:], name, size=8))
    order = "dark to bright" if is_light(background) else "bright to dark"
    which = f"the last of {len(starts):,} episodes" if len(starts) > 1 else ""
    scene = Scene(
        x[last],
        y[last],
        title=title,
        label=str(run.reader.header.meta.get("creature", "")) or "creature",
        x_unit="m",
        y_unit="m",
        marks=marks,
        by_time=True,
        caption="; ".join(filter(None, (run.part, which, f"color: from {order} in time"))),
    )
    blocks = [Block("path", {"time": table.time, "x": x, "y": y})]
    blocks += [Block(name, {"time": table.time, "x": a, "y": b}) for name, (a, b) in objects.items()]
    return Picture("trajectory", "path seen from above", scene, blocks=tuple(blocks))


def episode_rows(run: Run, x: Floats | None = None, y: Floats | None = None) -> list[int]:
    """The first row of each episode, by its number or steps, or else by events and jumps of a position, x and y."""
    columns = run.columns(Kind.CREATURE)
    table = columns.table
    if (episode := run.conventions.axis("episode", table, columns.is_number)) is not None:
        numbers = columns.numbers(episode.key)
        return [0, *(np.flatnonzero(np.abs(np.diff(numbers)) > 0) + 1).tolist()]
    step = run.conventions.axis("step", table, columns.is_number)
    restarts = [] if step is None else (np.flatnonzero(np.diff(columns.numbers(step.key)) < 0) + 1).tolist()
    if restarts:  # events may have the time of the last frame of the previous episode
        return [0, *restarts]
    rows = np.searchsorted(table.time, run.episode_starts)
    jumps = [] if x is None or y is None else _jumps(x, y)
    return sorted({0, *rows[rows < table.rows].tolist(), *jumps})


def _jumps(x: Floats, y: Floats) -> list[int]:
    """The rows where the position jumps: far, and much farther than between most frames."""
    with np.errstate(invalid="ignore"):
        moved = np.hypot(np.diff(x), np.diff(y))
    known = moved[np.isfinite(moved) & (moved > 0)]
    if not len(known):
        return []
    far = max(0.1 * float(np.hypot(np.ptp(x[np.isfinite(x)]), np.ptp(y[np.isfinite(y)]))), 10 * float(np.median(known)))
    with np.errstate(invalid="ignore"):
        return (np.flatnonzero(moved > far) + 1).tolist()
