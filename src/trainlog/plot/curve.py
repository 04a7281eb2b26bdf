"""One metric of one or more runs as a chart."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from trainlog.conventions import Conventions
from trainlog.draw import Band, Chart, HLine, Line, Scatter, VLine, centered_average
from trainlog.draw.chart import ChartMark
from trainlog.draw.color import Color, with_contrast
from trainlog.draw.data import distinct
from trainlog.draw.theme import find_theme
from trainlog.errors import PlotError
from trainlog.model import Kind
from trainlog.plot.axes import Axis, Floats
from trainlog.plot.options import Group, PlotOptions, normalized, tasks_note
from trainlog.plot.picture import Block
from trainlog.plot.run import Metric, Run
from trainlog.plot.seeds import aggregate
from trainlog.plot.smoothing import (
    MIN_POINTS,
    default_window,
    is_count,
    round_window,
    smoothed,
    window_extremes,
    window_std,
)
from trainlog.plot.styles import Style, Styles

__all__ = ["MetricChart"]

_MAX_RAW: Final = 4  # curves with all values drawn behind the smoothed curve
_MAX_EPISODES: Final = 20
_MAX_TYPES: Final = 6
_MAX_STYLES: Final = 24  # more curves cannot be told apart by color and dashes
_LONG_GAP: Final = 20.0  # times the median distance between two frames
_MAX_PIECES: Final = 500
_MAX_DOTS: Final = 30  # evaluations that are each drawn as a dot
_MAX_LEVELS: Final = 8  # distinct whole numbers that are drawn as stairs
_RAW_CONTRAST: Final = 3.0  # of a curve of all values against the background
_MEAN_CONTRAST: Final = 4.5  # of the smoothed curve against it
_SPREADS: Final = {"std": "mean ± standard deviation", "minmax": "lowest to highest value"}

_Points = tuple[Floats, Floats]
_Curve = tuple[Group, str, list[tuple[Run, _Points]]]


class MetricChart:
    """The chart of a metric: marks, the numbers behind them, and notes for the caption."""

    def __init__(
        self,
        metric: Metric,
        groups: Sequence[Group],
        axis: Axis,
        options: PlotOptions,
        styles: Styles | None = None,
        name: str = "",
    ) -> None:
        """Draw *metric* of *groups*; groups that lack it are skipped.

        Args:
            metric: a metric of the runs.
            groups: the groups of runs, one curve each.
            axis: the x axis of the figure.
            options: the options of the figure.
            styles: the styles of a figure with several charts, so that each curve has one color in all of them.
            name: the name of the metric in the names of curves, when a chart has the curves of several metrics.

        Raises:
            PlotError: when the band cannot be drawn.

        """
        self.metric, self.axis, self.options = metric, axis, options
        self.blocks: list[Block] = []
        self.notes: dict[str, None] = {}
        self._marks: list[ChartMark] = []
        self._theme = find_theme(options.theme)
        self._styles = styles or Styles(options, groups)
        self._name = name
        curves = [
            (group, part, self._scaled(points)) for group in groups for part, points in _curves(group, metric, axis)
        ]
        if options.until == "common":
            curves = self._cut(curves)
        self._several = len(curves) > 1
        self._is_shared = self._several or bool(name)  # with the curves of other groups, or of other metrics
        self._many = len(curves) > _MAX_RAW
        self._counts: dict[str, int] = {}
        self._left_out = 0  # values that are not finite, and that no mark shows as a gap
        self._thin: list[_Points] = []
        self._crowd = len(curves) > _MAX_STYLES and all(len(group.runs) == 1 for group, _, _ in curves)
        self._windows: dict[tuple[Run, str], float] = {}
        for part in {part for _, part, _ in curves}:
            self._choose_windows(part, [one for _, other, points in curves if other == part for one in points])
        for group, part, points in curves:
            label = ", ".join(filter(None, (group.label, name, part)))
            if len(group.runs) > 1:
                self._add_group(group, label, part, points)
            else:
                self._add_run(label, self._styles.of(group.label, name, part), part, *points[0])
        if self._crowd:
            self._add_median(self._thin)
        elif len(self._styles) > _MAX_STYLES:
            alike = f"{len(self._styles)} curves, of which those with one color and dash are not told apart"
            self.notes[alike] = None
        if self._left_out:
            of = f"{self._name}: " if self._name else ""
            self.notes[f"{of}left out: {self._left_out:,} NaN or infinite"] = None
        self._note_counts(groups)
        runs = [run for group in groups for run in group.runs]
        if len(runs) == 1 and self._marks:
            self._add_events(runs[0])
        self._unit = runs[0].unit(metric) if runs and options.normalize is None else None

    @property
    def units(self) -> str:
        """The text after the name of the metric."""
        return " (normalised)" if self.options.normalize is not None else ""

    @property
    def is_empty(self) -> bool:
        """Whether no run has a value of the metric."""
        return not self.blocks

    def chart(self, title: str, extra: Sequence[ChartMark] = (), notes: Sequence[str] = ()) -> Chart:
        """The chart as a separate figure, with *extra* marks, and with *notes* below its own."""
        return self._chart(title, _y_label(self.metric) + self.units, [*self._marks, *extra], [*self.notes, *notes])

    def panel(self, extra: Sequence[ChartMark] = (), *, events: bool = True, title: str | None = None) -> Chart:
        """The chart as a part of a sheet, titled by the metric; *events* are named only with *events*."""
        name = _y_label(self.metric)
        marks: list[ChartMark] = []
        for mark in self._marks:
            if (isinstance(mark, VLine) and not events) or (isinstance(mark, Line) and mark.label == name):
                mark = copy.copy(mark)
                mark.label = ""
            marks.append(mark)
        unit = self._unit if self._unit != "s" else None  # the ticks show seconds
        return self._chart(
            name + self.units if title is None else title, unit or "", [*marks, *extra], list(self.notes), unit
        )

    def _chart(
        self, title: str, y_label: str, marks: Sequence[ChartMark], notes: Sequence[str], shown: str | None = None
    ) -> Chart:
        return Chart(
            title=title,
            x_label=self.axis.label,
            x_unit=self.axis.unit,
            y_label=y_label,
            y_unit=None if shown else self._unit,
            y_log=self.options.log_y,
            x_range=self.options.xlim,
            y_range=self.options.ylim,
            caption="; ".join(notes),
            marks=[*marks, *(HLine(y, f"{y:g}") for y in self.options.lines)],
        )

    def _scaled(self, curves: Sequence[tuple[Run, _Points]]) -> list[tuple[Run, _Points]]:
        return [(run, (x, normalized(y, run, self.options))) for run, (x, y) in curves]

    def _cut(self, curves: Sequence[_Curve]) -> list[_Curve]:
        """The curves up to the end of the shortest."""
        every = [one for _, _, points in curves for _, one in points]
        end = min((float(x.max()) for x, _ in every if len(x)), default=np.inf)
        if any(len(x) and x.max() > end for x, _ in every):
            self.notes[f"cut where the shortest run ends, at {end:,g}"] = None
        cut = [(g, part, [(run, (x[x <= end], y[x <= end])) for run, (x, y) in points]) for g, part, points in curves]
        return [(g, part, kept) for g, part, points in cut if (kept := [one for one in points if len(one[1][0])])]

    def _choose_windows(self, part: str, curves: Sequence[tuple[Run, _Points]]) -> None:
        """Choose the smoothing of curves, by the option or by their noise; 0 for evaluations and samples of a motion.

        Several curves are all smoothed if at least half of them are noisy, otherwise none: they are compared, and the
        caption applies to all.
        """
        chosen = self.options.smooth
        if chosen is None and Conventions.is_evaluation(f"{self.metric.key} {part}"):
            chosen = 0
        if chosen is not None:
            self._windows |= {(run, part): chosen for run, _ in curves}
            return
        found = {run: 0 if run.is_sampled(self.metric) else default_window(y) for run, (_, y) in curves}
        are_noisy = 2 * np.count_nonzero([*found.values()]) >= len(found)
        for run, (_, y) in curves:
            is_short = len(y) < MIN_POINTS
            if is_short and are_noisy:
                self.notes[f"fewer than {MIN_POINTS} values are not smoothed"] = None
            is_smooth = are_noisy and not is_short and not run.is_sampled(self.metric)
            self._windows[run, part] = (found[run] or round_window(len(y))) if is_smooth else 0

    def _add_run(self, label: str, style: Style, part: str, run: Run, points: _Points) -> None:
        x, y = points
        if run.is_added_up(self.metric.kind, self.axis.name):
            self.notes[f"{self.axis.label}: of the logged episodes, added up"] = None
        color, dash, legend = style.color, style.dash, style.legend
        band = self.options.band or "none"
        if band == "ci" and self._several:
            band = "none"  # bands apply to groups of several runs
        if band == "ci":
            raise PlotError(
                "a 95 % interval is one over several logs, and there is only one; --band std and minmax work"
            )
        window = self._windows[run, part]
        if band != "none" and self.options.smooth is None:
            window = window or round_window(len(y))  # the band is that of a window
        smooth = smoothed(y, window)
        columns = {self.axis.name: x, "value": y}
        if self._crowd:
            color = color if style.is_chosen else self._theme.palette[0]
            y = y if smooth is None else smooth.values
            thin = with_contrast(color, self._theme.background, _RAW_CONTRAST, fade=True)
            self._marks.append(Line(x, y, legend if style.is_chosen else "", thin, width=1.0))
            self._thin.append((x, y))
        elif smooth is None:
            stairs = _is_stairs(y)
            for piece in self._segments(x, self._wraps(run, y)):
                name = legend or _y_label(self.metric)
                self._marks.append(Line(x[piece], y[piece], name, color, dash=dash, stairs=stairs))
            if len(x) <= _MAX_DOTS and Conventions.is_evaluation(f"{self.metric.key} {part}"):
                self._marks.append(Scatter(x, y, "", color, size=6))  # a line without dots looks measured everywhere
        else:
            raw, color = self._shades(color)
            columns["smoothed"] = smooth.values
            if band != "none":
                low, high = _window_band(band, y, smooth.window)
                columns |= {"low": low, "high": high}
                name = "lowest to highest value" if band == "minmax" else "± standard deviation"
                self._marks.append(Band(x, low, high, f"{name} of {smooth.window:,}" if not self.blocks else "", color))
            elif not self._many:
                text = "" if self._is_shared else _y_label(self.metric)
                for piece in self._segments(x):
                    self._marks.append(Line(x[piece], y[piece], text, raw, width=1.0, dash=dash))
            # Gaps are counted once, in the curve of the values if there is one.
            known = np.isfinite(smooth.values) | (band != "none" or self._many)
            mean_x, mean = x[known], smooth.values[known]
            for piece in self._segments(mean_x, np.diff(np.flatnonzero(known)) > 1):
                self._marks.append(
                    Line(mean_x[piece], mean[piece], legend or smooth.label, color, width=2.25, dash=dash)
                )
        hidden = self._many or self._crowd or band != "none"
        if smooth is not None and hidden:
            self._left_out += int(np.count_nonzero(~np.isfinite(points[1]) & np.isfinite(smooth.values)))
        if smooth is not None and (self._is_shared or self._crowd):
            of = "each run" if self._crowd else self._name or "lines"
            self.notes[
                f"{of}: {smooth.label}{', single values are not drawn' if hidden else '; thin: every value'}"
            ] = None
        self.blocks.append(Block(label or str(self.metric), columns))

    def _wraps(self, run: Run, y: Floats) -> npt.NDArray[np.bool_] | None:
        """Where a sampled angle jumps by more than half a turn, from one end of its range to the other."""
        if self.metric.kind != Kind.CREATURE or not run.is_angle(self.metric):
            return None
        half_turn = 180 if (run.unit(self.metric) or "rad").startswith(("deg", "°")) else np.pi
        with np.errstate(invalid="ignore"):
            jumps: npt.NDArray[np.bool_] = np.abs(np.diff(y)) > half_turn
        return jumps

    def _segments(self, x: Floats, breaks: npt.NDArray[np.bool_] | None = None) -> list[slice]:
        """The parts of a curve without a line between them: split where x goes back, states pause, and at *breaks*."""
        steps = np.diff(x)
        back = steps < 0
        if count := int(np.count_nonzero(back)):
            self.notes[f"{self.axis.name} goes back {f'{count:,} times' if count > 1 else 'once'}"] = None
        if self.metric.kind == Kind.CREATURE and (steps > 0).any():
            back |= steps > _LONG_GAP * np.median(steps[steps > 0])
        if breaks is not None:
            back |= breaks
        starts = np.flatnonzero(back) + 1
        if not len(starts) or len(starts) > _MAX_PIECES:
            return [slice(None)]
        return [slice(start, stop) for start, stop in itertools.pairwise([0, *starts.tolist(), len(x)])]

    def _shades(self, color: Color) -> tuple[Color, Color]:
        """The colors of a curve of all values and of its mean."""
        background = self._theme.background
        raw = with_contrast(color, background, _RAW_CONTRAST, fade=True)
        # If there are several curves, each has one color in all figures, smoothed or not.
        return raw, color if self._is_shared else with_contrast(color, background, _MEAN_CONTRAST)

    def _add_median(self, curves: Sequence[_Points]) -> None:
        """Add the median of more runs than can be told apart, smoothed like the runs."""
        one = aggregate(curves, "median", "none")
        known = one.runs * 2 >= len(curves)
        text = f"median of {len(curves)} runs"
        self._marks.append(Line(one.x[known], one.center[known], text, self._theme.text, width=2.5))
        self.notes[f"thin: {len(curves)} runs, not told apart"] = None
        self.blocks.append(Block(text, {self.axis.name: one.x, "median": one.center, "runs": one.runs}))

    def _add_group(self, group: Group, label: str, part: str, points: Sequence[tuple[Run, _Points]]) -> None:
        style = self._styles.of(group.label, self._name, part)
        color, dash = style.color, style.dash
        raw = [one for _, one in points]
        self._left_out += sum(int(np.count_nonzero(~np.isfinite(y))) for _, y in raw)
        curves = []
        for run, (x, y) in points:
            smooth = smoothed(y, self._windows[run, part])
            curves.append((x, y if smooth is None else smooth.values))
            if smooth is not None:
                of = f"{self._name}: " if self._name else ""
                self.notes[f"{of}each {group.noun.removesuffix('s')} smoothed, {smooth.label}"] = None
        center, band = self.options.center or "mean", self.options.band or "ci"
        one = aggregate(curves, center, band, [run.task for run, _ in points])
        if band == "minmax":  # of all values, smoothed or not
            spread = aggregate(raw, center, band, [run.task for run, _ in points])
            low, high = spread.low, spread.high
            if len(one.x) != len(spread.x):
                low, high = (np.interp(one.x, spread.x, values) for values in (low, high))
            one = one._replace(low=low, high=high)
        count, tasks = len(curves), len({run.task for run, _ in points})
        if tasks > 1:
            note = tasks_note(tasks, center=center, normalized=self.options.normalize is not None)
            self.notes[note if len(one.x) else "not drawn: no point has runs of all tasks"] = None
        self._counts[label] = count
        bands = _true_ranges(np.isfinite(one.low))
        fit = one.runs >= one.enough
        for piece in bands:
            self._marks.append(Band(one.x[piece], one.low[piece], one.high[piece], "", color, fit=fit[piece]))
        if bands:
            text = _SPREADS.get(band, f"95 % interval of the {_center_name(self.options)}")
            self.notes[f"band: {text}"] = None
            if not fit[np.isfinite(one.low)].all():
                self.notes[f"where few {group.noun} reach, the axis may cut it off"] = None
        if one.bins:
            self.notes[f"means of {one.bins} bins"] = None
        text = label or f"{_center_name(self.options)} of {count} {group.noun if count > 1 else 'run'}"
        for piece in _true_ranges(one.runs == count):
            self._marks.append(Line(one.x[piece], one.center[piece], text, color, width=2.25, dash=dash))
        for piece in _true_ranges(one.runs < count):
            joined = slice(max(piece.start - 1, 0), piece.stop + 1)
            self._marks.append(Line(one.x[joined], one.center[joined], "", color, width=1.5, dash=(5.0, 3.0)))
            self.notes[f"dashed: not all {group.noun} reach so far"] = None
        columns = {self.axis.name: one.x, _center_name(self.options): one.center}
        columns |= {"low": one.low, "high": one.high} if bands else {}
        self.blocks.append(Block(label or str(self.metric), {**columns, "runs": one.runs}))

    def _note_counts(self, groups: Sequence[Group]) -> None:
        """Note once how many runs a curve stands for."""
        named = {label: count for label, count in self._counts.items() if label}
        if not named:
            return
        nouns = {group.noun for group in groups if len(group.runs) > 1}
        noun = nouns.pop() if len(nouns) == 1 else "runs"
        if len(set(named.values())) == 1:
            text = f"{_center_name(self.options)} of n={next(iter(named.values()))} {noun}"
        else:
            text = f"{_center_name(self.options)} of n {noun}: " + ", ".join(f"{k} {v}" for k, v in named.items())
        self.notes = {text: None, **self.notes}

    def _add_events(self, run: Run) -> None:
        for number, (name, places) in enumerate(run.events_at(self.metric.kind, self.axis.name).items()):
            if number >= _MAX_TYPES:
                self.notes[f"not marked: {name} ({len(places):,} times)"] = None
            else:
                self._marks.append(VLine(places, name))
        starts = run.episode_starts
        if self.metric.kind == Kind.CREATURE and 1 < len(starts) <= _MAX_EPISODES:
            self._marks.append(VLine(run.at(starts[1:], self.metric.kind, self.axis.name), "episode"))


def _curves(group: Group, metric: Metric, axis: Axis) -> Iterable[tuple[str, list[tuple[Run, _Points]]]]:
    """The curves of the runs of a group by type of episode, such as evaluation and training."""
    found: dict[str, list[tuple[Run, _Points]]] = {}
    for run in group.runs:
        if metric.key in run.columns(metric.kind).table and run.has_axis(metric.kind, axis.name):
            for part, points in run.points(metric, axis.name).items():
                found.setdefault(part, []).append((run, points))
    return found.items()


def _is_stairs(values: Floats) -> bool:
    """Whether the values are those of a flag, a counter, or a few whole numbers that each hold until the next."""
    finite = values[np.isfinite(values)]
    if is_count(finite):
        return True
    whole = bool(len(finite)) and bool((finite == np.floor(finite)).all())
    return whole and len(distinct(finite)) <= min(_MAX_LEVELS, len(finite) // 2)


def _true_ranges(mask: npt.NDArray[np.bool_]) -> list[slice]:
    """The ranges where *mask* is true. A single mark with NaN elsewhere would count as gaps in the data."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _window_band(band: str, values: Floats, window: int) -> tuple[Floats, Floats]:
    if band == "minmax":
        return window_extremes(values, window)
    mean, std = centered_average(values, window), window_std(values, window)
    return mean - std, mean + std


def _center_name(options: PlotOptions) -> str:
    return {"iqm": "IQM", "median": "median"}.get(options.center or "mean", "mean")


def _y_label(metric: Metric) -> str:
    return metric.key if metric.part is None else f"{metric.key}[{metric.part}]"
