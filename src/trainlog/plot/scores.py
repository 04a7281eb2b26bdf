"""Scores of runs over tasks: the four figures of Agarwal et al., "Deep Reinforcement Learning at the Edge", 2021.

The score of a run is the mean of a metric over the last tenth of its x axis, normalised as the options say. If there
are several types of episodes, the score is that of the evaluations.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from trainlog.conventions import Conventions
from trainlog.draw import Band, Chart, Grid, Line, Scatter, VLine
from trainlog.draw.theme import find_theme
from trainlog.errors import PlotError
from trainlog.model import Kind
from trainlog.plot.axes import Axis, Floats
from trainlog.plot.options import Group, KindName, PlotOptions, normalized
from trainlog.plot.picture import Block, Picture
from trainlog.plot.run import Metric, Run
from trainlog.plot.styles import values_of
from trainlog.statistics import Interval, gap_interval, improvement_interval, interval, profile_interval

__all__ = ["scores_picture"]

_THRESHOLDS: Final = 101
_LAST: Final = 10  # the score is of one of this many parts of a run, the last
_BAR: Final = 0.4  # of the distance between two rows
_DOT: Final = 7.0
_MAX_PAIRS: Final = 4  # in a picture of the usual height
_LOWER: Final = "optimality gap"
_ENOUGH: Final = 20  # runs whose interval of the optimality gap holds even if most of them reach the target

Scores = list[Floats]  # one array of runs for each task


def scores_picture(
    kind: KindName, metric: Metric, groups: Sequence[Group], axis: Axis, options: PlotOptions, name: str
) -> Picture:
    """Make the figure of a kind from the scores of *groups*.

    Raises:
        PlotError: when a group lacks a task that another has, and when there are too few groups.

    """
    tasks = list(dict.fromkeys(task for group in groups for task in group.tasks))
    types = dict.fromkeys(name for group in groups for run in group.runs for name in _by_type(metric, run, axis))
    wanted = next(filter(Conventions.is_evaluation, types), next(iter(types), ""))
    scores = {group.label or str(metric): _scores(metric, group, tasks, axis, options, wanted) for group in groups}
    counts = {len(runs) for own in scores.values() for runs in own}
    n = f"n={counts.pop()}" if len(counts) == 1 else f"n={min(counts)} to {max(counts)}"
    over = f" on each of {len(tasks)} tasks" if len(tasks) > 1 else ""
    units = " (normalised)" if options.normalize is not None else ""
    of_type = f" of the episodes of type {wanted}" if len(types) > 1 else ""
    note = f"score: mean of the last {100 // _LAST} % of {metric}{of_type}{units}; {n} run{'s' * (n != 'n=1')}{over}"
    left = sum(len(group.runs) for group in groups) - sum(len(runs) for own in scores.values() for runs in own)
    if left:
        note += f"; {left} without a finite score left out"
    if kind == "intervals" and any(len({len(runs) for runs in own}) > 1 for own in scores.values()):
        note += "; IQM: of all runs together, a task with more runs weighs more"
    if len(tasks) > 1 and options.normalize is None:
        note += "; returns of tasks in their own units: use --normalize"
    draw: Callable[..., tuple[Chart | Grid, tuple[Block, ...]]]
    draw = _intervals if kind == "intervals" else _profile if kind == "profile" else _improvement
    figure, blocks = draw(scores, options, _colors(scores, groups, options))
    caption = f"{figure.caption}; {note}" if figure.caption else note
    picture = Picture(f"{name}-{kind}", f"{metric}: {kind}", dataclasses.replace(figure, caption=caption), "", blocks)
    if kind == "improvement" and len(scores) * (len(scores) - 1) // 2 > _MAX_PAIRS:
        return picture._replace(rows=2)
    if isinstance(figure, Grid):
        return picture._replace(columns=figure.columns, rows=-(-len(figure.figures) // figure.columns))
    return picture


def _by_type(metric: Metric, run: Run, axis: Axis) -> dict[str, tuple[Floats, Floats]]:
    """The points of each type of episode. A single type is named too; an empty name means an unknown type."""
    columns = run.columns(metric.kind)
    if metric.key not in columns.table:
        return {}
    points = run.points(metric, axis.name)
    if "" in points and metric.kind == Kind.STATS and "episode_type" in columns.table:
        names = dict.fromkeys(name for name in columns.table["episode_type"].tolist() if isinstance(name, str))
        return {next(iter(names)): points[""]} if len(names) == 1 else points
    return points


def _scores(
    metric: Metric, group: Group, tasks: Sequence[str], axis: Axis, options: PlotOptions, wanted: str
) -> Scores:
    by_task: dict[str, list[float]] = {task: [] for task in tasks}
    for run in group.runs:
        points = _by_type(metric, run, axis)
        if (found := points.get(wanted, points.get(""))) is None:
            continue
        x, y = found
        last = y[np.isfinite(y) & (x >= x.max() - np.ptp(x) / _LAST)]
        if len(last):
            by_task[run.task].append(float(normalized(last, run, options).mean()))
    if missing := [task for task, found in by_task.items() if not found]:
        raise PlotError(f"{group.label or 'the logs'} has no run with {metric} of the task {missing[0]!r}")
    return [np.array(found) for found in by_task.values()]


def _colors(scores: Mapping[str, Scores], groups: Sequence[Group], options: PlotOptions) -> dict[str, str]:
    palette = find_theme(options.theme).palette
    values = dict(zip(scores, values_of(groups, options).values(), strict=False))  # a single group has no label
    named = {label: values.get(label, label) for label in scores}
    usual = {name: palette[n % len(palette)] for n, name in enumerate(dict.fromkeys(named.values()))}
    return {label: options.colors.get(label, options.colors.get(name, usual[name])) for label, name in named.items()}


def _rows(
    found: Mapping[str, Interval], title: str, colors: Mapping[str, str], limits: tuple[float, float] | None = None
) -> Chart:
    """Intervals below each other, each with its value."""
    marks: list[Band | Scatter] = []
    for row, (label, one) in enumerate(found.items()):
        y, color = -float(row), colors[label]
        if np.isfinite([one.low, one.high]).all():
            ends = [float(one.low), float(one.high)]  # the round ends of a line would add to its length
            marks.append(Band(ends, [y - _BAR / 2] * 2, [y + _BAR / 2] * 2, "", color, opacity=0.45))
        marks.append(Scatter([float(one.value)], [y], "", color, size=_DOT, opacity=1.0))
    ticks = [(-float(row), label) for row, label in enumerate(found)]
    return Chart(title=title, marks=marks, y_ticks=ticks, y_range=(-len(found) + 0.4, 0.6), x_range=limits)


def _shown(one: Interval) -> Interval:
    """An interval without its ends if they are equal: scores that are all alike do not show how much they scatter."""
    return one if one.low < one.high else Interval(one.value, np.asarray(np.nan), np.asarray(np.nan))


def _bars(scores: Iterable[Scores], found: Iterable[Interval]) -> str:
    """What bars mean, and why some are missing."""
    drawn = [bool(np.isfinite(one.low)) for one in found]
    few = any(len(runs) < 2 for own in scores for runs in own)
    why = "each task has two runs or more" if few else "the scores are not all alike"
    if all(drawn):
        return "bars: 95 % intervals"
    return f"bars: 95 % intervals, where {why}" if any(drawn) else f"no bars: there is an interval only where {why}"


def _intervals(
    scores: Mapping[str, Scores], options: PlotOptions, colors: Mapping[str, str]
) -> tuple[Grid, tuple[Block, ...]]:
    """The median, the IQM, the mean and the optimality gap of each group."""
    estimates: dict[str, Callable[[Scores], Interval]] = {
        "median": lambda own: interval(own, "median"),
        "IQM": lambda own: interval(own, "iqm"),
        "mean": lambda own: interval(own, "mean"),
    }
    if options.normalize is not None:  # the gap is the distance to a score of 1
        estimates[_LOWER] = gap_interval
    charts, blocks = [], []
    for name, estimate in estimates.items():
        found = {label: _shown(estimate(own)) for label, own in scores.items()}
        charts.append(_rows(found, name, colors))
        blocks.append(_block(name, found))
    caption = _bars(scores.values(), found.values())
    if _LOWER in estimates:
        caption += f"; of the {_LOWER}, less is better"
        if min(sum(map(len, own)) for own in scores.values()) < _ENOUGH:
            caption += f", and bars of fewer than {_ENOUGH} runs are too short where most reach 1"
    return Grid(charts, 2, "", caption=caption), tuple(blocks)


def _profile(
    scores: Mapping[str, Scores], options: PlotOptions, colors: Mapping[str, str]
) -> tuple[Chart, tuple[Block, ...]]:
    """The share of runs above each score."""
    every = np.concatenate([runs for own in scores.values() for runs in own])
    thresholds = np.linspace(min(float(every.min()), 0.0), float(every.max()), _THRESHOLDS)
    marks: list[Line | Band] = []
    blocks, banded = [], 0
    for label, own in scores.items():
        value, low, high = profile_interval(own, thresholds)
        if np.isfinite(low).all():
            marks.append(Band(thresholds, low, high, "", colors[label]))
            banded += 1
        marks.append(Line(thresholds, value, label, colors[label], 2.25))
        blocks.append(Block(label, {"score": thresholds, "share": value, "low": low, "high": high}))
    chart = Chart(
        title="performance profile",
        x_label="score τ",
        y_label="share of runs with a score > τ",
        y_range=options.ylim or (0.0, 1.0),
        x_range=options.xlim,
        marks=marks,
        caption="band: 95 % interval at each score" + (", where each task has two runs" if banded < len(scores) else "")
        if banded
        else "no band: an interval needs two runs of each task",
    )
    return chart, tuple(blocks)


def _improvement(
    scores: Mapping[str, Scores], options: PlotOptions, colors: Mapping[str, str]
) -> tuple[Chart, tuple[Block, ...]]:
    """The probability that a run of one group is better than a run of another, for each pair."""
    if len(scores) < 2:
        raise PlotError("a probability of improvement needs two groups or more: use --by")
    found: dict[str, Interval] = {}
    for (first, new), (second, old) in itertools.combinations(scores.items(), 2):
        found[f"{first} > {second}"] = improvement_interval(new, old)
    color = find_theme(options.theme).palette[0]
    chart = _rows(found, "probability of improvement", dict.fromkeys(found, color), (-0.03, 1.03))
    chart = dataclasses.replace(
        chart, x_label="P(X > Y)", caption=f"{_bars(scores.values(), found.values())}; line: no difference"
    )
    return dataclasses.replace(chart, marks=[*chart.marks, VLine([0.5])]), (_block("improvement", found),)


def _block(name: str, found: Mapping[str, Interval]) -> Block:
    columns = {"group": np.array(list(found), object)}
    for part in ("value", "low", "high"):
        columns[part] = np.array([float(getattr(one, part)) for one in found.values()])
    return Block(name, columns)
