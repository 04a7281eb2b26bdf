"""The marks of a chart with their colours, ready to draw: each knows its extent, its legend entry and its shape."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from trainlog.draw.axes import Axes
from trainlog.draw.chart import Band, Chart, HLine, Line, Scatter, StateTimeline, VLine
from trainlog.draw.color import Color
from trainlog.draw.data import Series, Skipped, split_series, stairs
from trainlog.draw.downsample import column_extremes, merge_dots
from trainlog.draw.drawing import Box, Dots, FloatArray, IntArray, Mark, Polygon, Polyline
from trainlog.draw.legend import LegendEntry
from trainlog.draw.paths import clip_path
from trainlog.draw.theme import Theme
from trainlog.draw.timeline import TimelineRow

__all__ = ["Layer", "ScatterLayer", "SeriesLayer", "chart_layers", "piece_starts"]

_Dash = tuple[float, ...]

_DASHES: tuple[_Dash, ...] = ((), (7.0, 4.0), (2.0, 4.0), (10.0, 3.0, 2.0, 3.0))
_THRESHOLD_DASH = (6.0, 4.0)
_EVENT_DASH = (4.0, 3.0)
_CLIP_MARGIN = 1010.0  # how far outside the plot a path is clipped: more than the width of any stroke
_MAX_LONE_DOTS = 200
_MIN_DENSE_POINTS = 8
_BLOCK = 1 << 16
_EDGE_MARK_LENGTH = 7.0
_MAX_EVENT_LINES = 12  # more events of a type are a rug
_RUG_HEIGHT = 8.0
# A spike of a band becomes a stroke if it is steeper than this, higher than this share of the plot, and higher than
# this many times the usual step.
_NEEDLE_SLOPE, _NEEDLE_HEIGHT, _NEEDLE_NOISE = 4.0, 0.1, 8.0
_NEEDLE_WIDTH, _NEEDLE_OPACITY = 1.5, 0.7


class Layer(ABC):
    """A mark of a chart with its colour. All arrays hold values that the axes can show.

    Attributes:
        zorder: layers with a higher number cover those with a lower one.
        entry: the entry in the legend.
        skipped: how many values cannot be drawn.
        x_values: arrays that the x axis must show.

    """

    zorder: ClassVar[int]
    entry: LegendEntry
    skipped: Skipped
    x_values: Sequence[FloatArray] = ()

    def y_values(self, low: float, high: float) -> Sequence[FloatArray]:
        """Arrays that the y axis must show when the x axis runs from ``low`` to ``high``."""
        return ()

    @abstractmethod
    def marks(self, axes: Axes) -> list[Mark]:
        """The marks, in pixels."""

    def edge_marks(self, axes: Axes) -> list[Mark]:
        """Marks at the edge of the plot for values that are not finite."""
        return []


class SeriesLayer(Layer):
    """A mark made of points."""

    def __init__(self, series: Series, entry: LegendEntry) -> None:
        self.series, self.entry, self.skipped = series, entry, series.skipped
        self.x_values = [series.x, series.nan_x, series.positive_infinity_x, series.negative_infinity_x]

    def y_values(self, low: float, high: float) -> Sequence[FloatArray]:
        """Arrays that the y axis must show when the x axis runs from ``low`` to ``high``."""
        x, y = self.series.x, self.series.y
        return [y if low == -np.inf and high == np.inf else y[(x >= low) & (x <= high)]]

    def edge_marks(self, axes: Axes) -> list[Mark]:
        """A tick at the lower edge for NaN, and an arrow at the upper or lower edge for an infinity."""
        plot, color = axes.plot, self.entry.color
        marks: list[Mark] = []
        if len(x := axes.pixel_columns(self.series.nan_x)):
            marks.append(_vertical_lines(x, plot.bottom, plot.bottom - _EDGE_MARK_LENGTH, color))
        for values, tip, base in (
            (self.series.positive_infinity_x, plot.y, plot.y + _EDGE_MARK_LENGTH),
            (self.series.negative_infinity_x, plot.bottom, plot.bottom - _EDGE_MARK_LENGTH),
        ):
            if len(x := axes.pixel_columns(values)):
                half = _EDGE_MARK_LENGTH / 2
                corners_x = np.repeat(x, 3) + np.tile((-half, 0.0, half), len(x))
                corners = np.stack((corners_x, np.tile((base, tip, base), len(x))), axis=1)
                marks.append(Polygon(corners, color, starts=np.arange(0, 3 * len(x), 3)))
        return marks

    def path_marks(self, points: FloatArray, starts: IntArray | None, plot: Box, opacity: float = 1.0) -> list[Mark]:
        """A path in pixels as marks; dots make single points visible."""
        entry, opacity = self.entry, self.entry.opacity * opacity
        if not len(points):
            return []
        bounds = np.append(np.array([0]) if starts is None else starts, len(points))
        lone = bounds[:-1][np.diff(bounds) == 1]
        dots = [Dots(points[lone], max(entry.width, 2.5), entry.color, opacity)] if len(lone) else []
        points, starts = clip_path(points, starts, plot.expanded(_CLIP_MARGIN))
        line = Polyline(points, entry.color, entry.width, opacity, entry.dash, starts)
        return [line, *dots] if len(lone) <= _MAX_LONE_DOTS else [line]


def _vertical_lines(
    x: FloatArray, start: float, end: float, color: Color, width: float = 1.5, opacity: float = 1.0, dash: _Dash = ()
) -> Polyline:
    points = np.stack((np.repeat(x, 2), np.tile((start, end), len(x))), axis=1)
    return Polyline(points, color, width, opacity, dash, np.arange(0, 2 * len(x), 2))


def piece_starts(gap_before: NDArray[np.bool_], keep: IntArray) -> IntArray:
    """The starts of the pieces of the points whose indices are kept; ``gap_before`` is for all points."""
    piece = np.cumsum(gap_before)[keep]
    return np.concatenate(([0], np.flatnonzero(np.diff(piece)) + 1)).astype(np.intp)


def _column_indices(axes: Axes, x: FloatArray) -> tuple[IntArray, int]:
    """The pixel column of every x (n,), -1 or the number of columns outside the plot; and the number of columns."""
    count = max(int(axes.plot.width), 1)
    columns = np.empty(len(x), dtype=np.intp)
    for first in range(0, len(x), _BLOCK):  # blocks stay in the processor's cache
        place = axes.x.position(x[first : first + _BLOCK])
        place *= count
        place += 1e-9
        columns[first : first + _BLOCK] = np.clip(np.floor(place, out=place), -1, count, out=place)
    return columns, count


def _center_dense_columns(points: FloatArray, columns: IntArray, keep: IntArray, left: float) -> None:
    """Move points that stand for many points of a column to its middle, so that the filled area looks even."""
    column = columns[keep]
    firsts = np.concatenate(([0], np.flatnonzero(np.diff(column)) + 1))
    lasts = np.append(firsts[1:], len(keep)) - 1
    dense = np.repeat(np.abs(keep[lasts] - keep[firsts]) >= _MIN_DENSE_POINTS, lasts - firsts + 1)
    dense[[0, -1]] = False  # the ends of a line stay where they are
    points[dense, 0] = left + column[dense] + 0.5


class _LineLayer(SeriesLayer):
    zorder = 3

    def __init__(self, line: Line, color: Color, dash: _Dash, x_log: bool, y_log: bool) -> None:
        dash = dash if line.dash is None else line.dash
        entry = LegendEntry(line.label, "line", color, line.width, line.opacity, dash)
        series = split_series(line.x, line.y, x_log=x_log, y_log=y_log)
        super().__init__(stairs(series) if line.stairs else series, entry)

    def marks(self, axes: Axes) -> list[Mark]:
        series = self.series
        columns, count = _column_indices(axes, series.x)
        keep = column_extremes(columns, series.y, count)
        points = axes.to_points(series.x[keep], series.y[keep])
        if len(keep) < len(series.x):
            _center_dense_columns(points, columns, keep, axes.plot.x)
        ordered = bool((keep[1:] > keep[:-1]).all())
        starts = piece_starts(series.gap_before, keep) if series.gap_before is not None and ordered else None
        return self.path_marks(points, starts, axes.plot)


class ScatterLayer(SeriesLayer):
    """A `Scatter` with its colour."""

    zorder = 4

    def __init__(self, scatter: Scatter, color: Color, x_log: bool = False, y_log: bool = False) -> None:
        entry = LegendEntry(scatter.label, "dot", color, scatter.size, scatter.opacity)
        super().__init__(split_series(scatter.x, scatter.y, x_log=x_log, y_log=y_log), entry)

    def marks(self, axes: Axes) -> list[Mark]:
        """The dots, or strokes that cover the same area if there are many dots."""
        entry = self.entry
        points = axes.to_points(self.series.x, self.series.y)
        visible = axes.plot.expanded(entry.width)
        inside = (points >= (visible.x, visible.y)) & (points <= (visible.right, visible.bottom))
        points = points[inside.all(axis=1)]
        if not len(points):
            return []
        strokes, radius = merge_dots(points, entry.width / 2)
        if len(strokes) == len(points):
            return [Dots(points, radius, entry.color, entry.opacity)]
        starts = np.arange(0, 2 * len(strokes), 2)
        return [Polyline(strokes.reshape(-1, 2), entry.color, 2 * radius, entry.opacity, starts=starts)]


class _BandLayer(Layer):
    """On a log axis, a band that begins at or below zero continues to the lower edge."""

    zorder = 0

    def __init__(self, band: Band, color: Color, x_log: bool, y_log: bool) -> None:
        self.entry = LegendEntry(band.label, "block", color, opacity=band.opacity)
        order = np.argsort(band.x, kind="stable") if (band.x[1:] < band.x[:-1]).any() else slice(None)
        x, low, high = band.x[order], band.low[order], band.high[order]
        upper = split_series(x, high, x_log=x_log, y_log=y_log).skipped
        lower = split_series(x, low, x_log=x_log).skipped
        drawable = np.isfinite(x) & np.isfinite(low) & np.isfinite(high)
        if x_log:
            drawable &= x > 0
        if y_log:
            drawable &= high > 0
        kept = np.flatnonzero(drawable)
        self.gap_before = np.diff(kept, prepend=-1) > 1
        self.x, self.low, self.high = x[kept], low[kept], high[kept]
        self.fit = band.fit[order][kept]
        self.to_edge = (self.low <= 0) & y_log
        skipped = Skipped(*map(max, upper, lower))
        self.skipped = skipped._replace(not_positive=skipped.not_positive + int(np.count_nonzero(self.to_edge)))
        self.x_values = [self.x]

    def y_values(self, low: float, high: float) -> Sequence[FloatArray]:
        inside = (self.x >= low) & (self.x <= high) & self.fit
        return [self.low[inside & ~self.to_edge], self.high[inside]]

    def marks(self, axes: Axes) -> list[Mark]:
        if not len(self.x):
            return []
        plot = axes.plot
        columns, count = _column_indices(axes, self.x)
        keep = np.union1d(column_extremes(columns, self.low, count), column_extremes(columns, self.high, count))
        x, high = axes.to_x(self.x[keep]), axes.to_y(self.high[keep])
        low = np.full(len(keep), plot.bottom + _CLIP_MARGIN)
        on_axis = ~self.to_edge[keep]
        low[on_axis] = axes.to_y(self.low[keep][on_axis])
        rings, needles = [], []
        starts = piece_starts(self.gap_before, keep)[1:]
        for piece_x, piece_low, piece_high, fit in zip(
            *(np.split(values, starts) for values in (x, low, high, self.fit[keep])), strict=True
        ):
            if len(piece_x) == 1:  # a single point becomes an area as wide as a stroke
                piece_x = piece_x + np.array([-1.0, 1.0])
                piece_low, piece_high = np.repeat(piece_low, 2), np.repeat(piece_high, 2)
            needles += [_needles(piece_x, piece_high, fit, plot), _needles(piece_x, -piece_low, fit, plot) * (1, -1)]
            upper, lower = np.stack((piece_x, piece_high), axis=1), np.stack((piece_x, piece_low), axis=1)
            ring = np.concatenate((upper, lower[::-1], upper[:1]))
            rings.append(clip_path(ring, None, plot.expanded(_CLIP_MARGIN))[0])
        ring_starts = np.cumsum([0, *map(len, rings[:-1])]).astype(np.intp)
        area = Polygon(np.concatenate(rings), self.entry.color, self.entry.opacity, ring_starts)
        if not len(ends := np.concatenate(needles)):
            return [area]
        strokes, stroke_starts = clip_path(ends, np.arange(0, len(ends), 2), plot.expanded(_CLIP_MARGIN))
        return [area, Polyline(strokes, self.entry.color, _NEEDLE_WIDTH, _NEEDLE_OPACITY, starts=stroke_starts)]


def _needles(x: FloatArray, y: FloatArray, fit: NDArray[np.bool_], plot: Box) -> FloatArray:
    """The ends (2 n, 2) of strokes for spikes of the edge (x, y), with y downwards: as an area they fade to nothing.

    Spikes outside of ``fit`` get none, as the y axis is not made for them.
    """
    if len(x) < 3:
        return np.empty((0, 2))
    rise = np.minimum(y[:-2], y[2:]) - y[1:-1]
    least = max(_NEEDLE_HEIGHT * plot.height, _NEEDLE_NOISE * float(np.median(np.abs(np.diff(y)))))
    at = np.flatnonzero(fit[1:-1] & (rise > np.maximum(_NEEDLE_SLOPE * (x[2:] - x[:-2]), least)))
    tips, bases = (np.stack((x[at + 1], height), axis=1) for height in (y[at + 1], y[at + 1] + rise[at]))
    return np.stack((tips, bases), axis=1).reshape(-1, 2)


class _HLineLayer(Layer):
    zorder = 2

    def __init__(self, line: HLine, color: Color, y_log: bool) -> None:
        self.entry = LegendEntry(line.label, "line", color, 1.5, dash=_THRESHOLD_DASH)
        series = split_series(np.zeros(1), np.array([line.value]), y_log=y_log)
        self.value, self.skipped = series.y, series.skipped

    def y_values(self, low: float, high: float) -> Sequence[FloatArray]:
        return [self.value]

    def marks(self, axes: Axes) -> list[Mark]:
        plot = axes.plot
        return [
            Polyline(np.array([[plot.x, y], [plot.right, y]]), self.entry.color, 1.5, dash=_THRESHOLD_DASH)
            for y in axes.to_y(self.value).tolist()
            if plot.y - 1 <= y <= plot.bottom + 1
        ]


class _VLineLayer(Layer):
    zorder = 1

    def __init__(self, line: VLine, color: Color, row: int, x_log: bool) -> None:
        self._row = row  # of the rug, from the top
        self.entry = LegendEntry(line.label, "event", color, 1.25, dash=_EVENT_DASH)
        series = split_series(line.x, np.ones(len(line.x)), x_log=x_log)
        self.x, self.skipped = series.x, series.skipped
        self.x_values = [self.x]

    def marks(self, axes: Axes) -> list[Mark]:
        plot, color = axes.plot, self.entry.color
        x = axes.pixel_columns(self.x)
        if not len(x):
            return []
        if len(x) > _MAX_EVENT_LINES:
            top = plot.y + self._row * (_RUG_HEIGHT + 2)
            return [_vertical_lines(x, top + _RUG_HEIGHT, top, color, 1.0)]
        return [_vertical_lines(x, plot.bottom, plot.y, color, 1.25, 0.9, _EVENT_DASH)]


def chart_layers(chart: Chart, theme: Theme) -> tuple[list[Layer], list[TimelineRow]]:
    """The marks of a chart with their colours and dashes assigned."""
    used_colors = 0

    def next_style() -> tuple[Color, _Dash]:
        nonlocal used_colors
        turn, place = divmod(used_colors, len(theme.palette))
        used_colors += 1
        return theme.palette[place], _DASHES[turn % len(_DASHES)]

    # Lines and dots get their colours first, so that bands and timelines between them do not affect these.
    styles = {
        n: next_style() if mark.color is None else (mark.color, ())
        for n, mark in enumerate(chart.marks)
        if isinstance(mark, Line | Scatter)
    }
    band_colors = [styles[n][0] for n, mark in enumerate(chart.marks) if isinstance(mark, Line)][::-1]
    x_log, y_log = chart.x_log, chart.y_log
    layers: list[Layer] = []
    timelines: list[TimelineRow] = []
    events = 0
    for n, mark in enumerate(chart.marks):
        match mark:
            case Line():
                layers.append(_LineLayer(mark, *styles[n], x_log, y_log))
            case Scatter():
                layers.append(ScatterLayer(mark, styles[n][0], x_log, y_log))
            case Band():
                color = mark.color or (band_colors.pop() if band_colors else next_style()[0])
                layers.append(_BandLayer(mark, color, x_log, y_log))
            case HLine():
                layers.append(_HLineLayer(mark, mark.color or theme.muted, y_log))
            case VLine():
                color = mark.color or theme.events[events % len(theme.events)]
                layers.append(_VLineLayer(mark, color, events, x_log))
                events += mark.color is None
            case StateTimeline():
                timelines.append(TimelineRow(mark, used_colors, x_log, theme))
                used_colors += len(mark.colors)
    return layers, timelines
