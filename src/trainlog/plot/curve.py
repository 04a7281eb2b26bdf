"""One metric of one or more runs as a chart."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from trainlog.draw import Band, Chart, Line, VLine, moving_average
from trainlog.draw.chart import ChartMark
from trainlog.draw.theme import find_theme
from trainlog.errors import PlotError
from trainlog.model import Kind
from trainlog.plot.axes import Axis, Floats
from trainlog.plot.options import Group, PlotOptions, tasks_note
from trainlog.plot.picture import Block
from trainlog.plot.run import Metric, Run
from trainlog.plot.seeds import aggregate
from trainlog.plot.smoothing import default_window, round_window, smoothed, window_extremes, window_std

__all__ = ["MetricChart", "band_label"]

_DASHES: Final = (None, (7.0, 4.0), (2.0, 4.0))
_MAX_RAW: Final = 4  # curves with all values drawn faintly behind the smoothed curve
_MAX_MARKS: Final = 40  # events of a type that are marked
_MAX_EPISODES: Final = 20
_MAX_TYPES: Final = 6
_LONG_GAP: Final = 20.0  # times the median distance between two frames
_MAX_PIECES: Final = 500
_SPREADS: Final = {"std": "mean ± standard deviation", "minmax": "lowest to highest"}


def band_label(options: PlotOptions) -> str:
    """The text of the legend for the band around the center of several runs."""
    return _SPREADS.get(options.band or "ci", f"95 % interval of the {_center_name(options)}")


class MetricChart:
    """The chart of a metric: marks, the numbers behind them, and notes for the caption."""

    def __init__(self, metric: Metric, groups: Sequence[Group], axis: Axis, options: PlotOptions) -> None:
        """Draw *metric* of *groups*; groups that lack it are skipped.

        Raises:
            PlotError: when the band cannot be drawn.

        """
        self.metric, self.axis, self.options = metric, axis, options
        self.blocks: list[Block] = []
        self._marks: list[ChartMark] = []
        self._notes: dict[str, None] = {}
        self._palette = find_theme(options.theme).palette
        self._drawn = 0
        curves = [(group, part, points) for group in groups for part, points in _curves(group, metric, axis).items()]
        self._several = len(curves) > 1
        self._many = len(curves) > _MAX_RAW
        self._smooth = self._smoothing([(run, y) for group, _, points in curves for run, (_, y) in points])
        for group, part, points in curves:
            label = ", ".join(filter(None, (group.label, part)))
            if len(group.runs) > 1:
                self._add_group(group, label, [one for _, one in points], [run.task for run, _ in points])
            else:
                self._add_run(label, *points[0][1])
            self._drawn += 1
        runs = [run for group in groups for run in group.runs]
        if len(runs) == 1 and self._marks:
            self._add_events(runs[0])
        self._unit = runs[0].unit(metric) if runs else None

    @property
    def is_empty(self) -> bool:
        """Whether no run has a value of the metric."""
        return not self.blocks

    def chart(self, title: str, extra: Sequence[ChartMark] = ()) -> Chart:
        """The chart as a figure of its own, with *extra* marks."""
        return self._chart(title, _y_label(self.metric), [*self._marks, *extra], "; ".join(self._notes))

    def panel(self, extra: Sequence[ChartMark] = (), *, events: bool = True) -> Chart:
        """The chart as a part of a sheet, titled by the metric; *events* are named only with *events*."""
        name = _y_label(self.metric)
        marks: list[ChartMark] = []
        for mark in self._marks:
            if isinstance(mark, VLine) and not events:
                mark = VLine(mark.x, "", mark.color)
            elif isinstance(mark, Line) and mark.label == name:
                mark = Line(mark.x, mark.y, "", mark.color, mark.width, mark.opacity, mark.dash)
            marks.append(mark)
        unit = self._unit if self._unit != "s" else None  # the ticks show seconds
        chart = self._chart(name, unit or "", [*marks, *extra], "")
        return dataclasses.replace(chart, y_unit=None) if unit else chart

    def _chart(self, title: str, y_label: str, marks: Sequence[ChartMark], caption: str) -> Chart:
        return Chart(
            title=title,
            x_label=self.axis.label,
            x_unit=self.axis.unit,
            y_label=y_label,
            y_unit=self._unit,
            y_log=self.options.log_y,
            caption=caption,
            marks=marks,
        )

    def _style(self) -> tuple[str, tuple[float, ...] | None]:
        turn, index = divmod(self._drawn, len(self._palette))
        return self._palette[index], _DASHES[turn % len(_DASHES)]

    def _add_run(self, label: str, x: Floats, y: Floats) -> None:
        color, dash = self._style()
        band = self.options.band or "none"
        if band == "ci" and self._several:
            band = "none"  # it applies to groups of several runs
        if band == "ci":
            raise PlotError(
                "a 95 % interval is one over several logs, and there is only one; --band std and minmax work"
            )
        smooth = smoothed(y, self._smooth)
        columns = {self.axis.name: x, "value": y}
        if smooth is None:
            for part in _segments(x) if self.metric.kind == Kind.CREATURE else [slice(None)]:
                self._marks.append(Line(x[part], y[part], label or _y_label(self.metric), color, dash=dash))
        else:
            columns["smoothed"] = smooth.values
            if band != "none":
                low, high = _window_band(band, y, smooth.window)
                columns |= {"low": low, "high": high}
                name = "lowest to highest" if band == "minmax" else "± standard deviation"
                text = "" if self._drawn else f"{name} of {smooth.window:,}"
                self._marks.append(Band(x, low, high, text, color))
            elif not self._many:
                raw = "" if self._several else _y_label(self.metric)
                self._marks.append(Line(x, y, raw, color, width=1.25, opacity=0.3, dash=dash))
            known = np.isfinite(smooth.values)  # gaps are counted once, in the curve of the values
            mean = (x[known], smooth.values[known]) if band == "none" and not self._many else (x, smooth.values)
            self._marks.append(Line(*mean, label or smooth.label, color, width=2.25, dash=dash))
            if self._several:
                faint = "" if self._many or band != "none" else ", faint: every value"
                self._notes[f"lines: {smooth.label}{faint}"] = None
        self.blocks.append(Block(label or str(self.metric), columns))

    def _smoothing(self, curves: Sequence[tuple[Run, Floats]]) -> float:
        """The smoothing of all curves: one for all, so that they can be compared."""
        if self.options.smooth is not None:
            return self.options.smooth
        if len(curves) == 1 and self.options.band not in (None, "none"):
            return round_window(len(curves[0][1]))  # the band is that of a window
        return max((0 if run.is_sampled(self.metric) else default_window(y) for run, y in curves), default=0)

    def _add_group(
        self, group: Group, label: str, curves: Sequence[tuple[Floats, Floats]], tasks: Sequence[str]
    ) -> None:
        color, dash = self._style()
        smoothed_curves = []
        for x, y in curves:
            smooth = smoothed(y, self._smooth)
            smoothed_curves.append((x, y if smooth is None else smooth.values))
            if smooth is not None:
                self._notes[f"each smoothed, {smooth.label}"] = None
        one = aggregate(smoothed_curves, self.options.center or "mean", self.options.band or "ci", tasks)
        if (different := len(set(tasks))) > 1:
            self._notes[tasks_note(different) if len(one.x) else "not drawn: no point has runs of all tasks"] = None
        count = len(curves)
        what = f"{_center_name(self.options)} of {count} {group.noun if count > 1 else 'run'}"
        bands = _true_ranges(np.isfinite(one.low))
        for part in bands:
            text = band_label(self.options) if not self._drawn and part is bands[0] else ""
            self._marks.append(Band(one.x[part], one.low[part], one.high[part], text, color))
        text = f"{label} ({what})" if label else what
        for part in _true_ranges(one.runs == count):
            self._marks.append(Line(one.x[part], one.center[part], text, color, width=2.25, dash=dash))
        for part in _true_ranges(one.runs < count):
            joined = slice(max(part.start - 1, 0), part.stop + 1)
            self._marks.append(Line(one.x[joined], one.center[joined], "", color, width=1.5, dash=(5.0, 3.0)))
            self._notes[f"dashed: not all {group.noun} reach so far"] = None
        columns = {self.axis.name: one.x, _center_name(self.options): one.center}
        columns |= {"low": one.low, "high": one.high} if bands else {}
        self.blocks.append(Block(label or str(self.metric), {**columns, "runs": one.runs}))

    def _add_events(self, run: Run) -> None:
        for number, (name, places) in enumerate(run.events_at(self.metric.kind, self.axis.name).items()):
            if len(places) > _MAX_MARKS or number >= _MAX_TYPES:
                self._notes[f"not marked: {name} ({len(places):,} times)"] = None
            else:
                self._marks.append(VLine(places, name, self._palette[number] if number else None))
        starts = run.episode_starts
        if self.metric.kind == Kind.CREATURE and 1 < len(starts) <= _MAX_EPISODES:
            self._marks.append(VLine(run.at(starts[1:], self.metric.kind, self.axis.name), "episode"))


def _curves(group: Group, metric: Metric, axis: Axis) -> dict[str, list[tuple[Run, tuple[Floats, Floats]]]]:
    """The curves of the runs of a group by type of episode, such as evaluation and training."""
    found: dict[str, list[tuple[Run, tuple[Floats, Floats]]]] = {}
    for run in group.runs:
        if metric.key in run.columns(metric.kind).table and run.has_axis(metric.kind, axis.name):
            for part, points in run.points(metric, axis.name).items():
                found.setdefault(part, []).append((run, points))
    return found


def _true_ranges(mask: npt.NDArray[np.bool_]) -> list[slice]:
    """The ranges where *mask* is true. A mark with NaN outside of them would count those as gaps of the data."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _segments(x: Floats) -> list[slice]:
    """The parts between long gaps; no line is drawn across a gap."""
    steps = np.diff(x)
    median = np.median(steps[steps > 0]) if (steps > 0).any() else 0.0
    breaks = np.flatnonzero(steps > _LONG_GAP * median) + 1
    if not len(breaks) or len(breaks) > _MAX_PIECES:
        return [slice(None)]
    ends = [0, *breaks.tolist(), len(x)]
    return [slice(start, stop) for start, stop in itertools.pairwise(ends)]


def _window_band(band: str, values: Floats, window: int) -> tuple[Floats, Floats]:
    if band == "minmax":
        return window_extremes(values, window)
    mean, std = moving_average(values, window), window_std(values, window)
    return mean - std, mean + std


def _center_name(options: PlotOptions) -> str:
    return {"iqm": "IQM", "median": "median"}.get(options.center or "mean", "mean")


def _y_label(metric: Metric) -> str:
    return metric.key if metric.part is None else f"{metric.key}[{metric.part}]"
