"""The marks of a chart once they have been read: each knows its extent, its name in the legend, and how it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trainlog.draw.axes import Frame
from trainlog.draw.chart import Band, HLine, Line, Scatter, VLine
from trainlog.draw.clip import clip_path, clip_ring
from trainlog.draw.color import Color
from trainlog.draw.drawing import Box, Dots, FloatArray, IntArray, Mark, Polygon, Polyline
from trainlog.draw.legend import Entry
from trainlog.draw.series import Series, Tally, split_series
from trainlog.draw.thin import column_extremes, dot_rows

__all__ = ["Area", "Curve", "Events", "Layer", "Points", "Threshold", "starts_of", "stroke"]

_THRESHOLD_DASH = (6.0, 4.0)
_EVENT_DASH = (4.0, 3.0)
_SPILL = 1010.0  # how far outside of the plot a path is cut off: more than any stroke is wide
_CLEAR_DOTS = 200
_CROWD = 8
_BLOCK = 1 << 16


class Layer(Protocol):
    """What a chart asks of its marks. The arrays hold values, all finite, and positive on a log axis."""

    @property
    def tally(self) -> Tally:
        """What cannot be drawn."""

    def x_extent(self) -> Sequence[FloatArray]:
        """Arrays whose values the x axis is to show."""

    def y_extent(self, low: float, high: float) -> Sequence[FloatArray]:
        """Arrays whose values the y axis is to show, of what lies between low and high on the x axis."""

    def entries(self) -> list[Entry]:
        """What the legend says."""

    def draw(self, frame: Frame) -> list[Mark]:
        """The marks, in pixels."""


def _visible(box: Box) -> Box:
    return box.grown(_SPILL)


def _columns(frame: Frame, x: FloatArray) -> tuple[IntArray, int]:
    """The pixel column of every x (n,), and how many columns the plot has. What lies outside shares two more."""
    count = max(int(frame.plot.width), 1)
    columns = np.empty(len(x), dtype=np.intp)
    for first in range(0, len(x), _BLOCK):  # blocks stay in the processor's cache
        place = frame.x.position(x[first : first + _BLOCK])
        place *= count
        place += 1e-9
        columns[first : first + _BLOCK] = np.clip(np.floor(place, out=place), -1, count, out=place)
    return columns, count


def starts_of(begins: NDArray[np.bool_], keep: IntArray) -> IntArray:
    """Starts of the pieces of the points that are kept, when ``begins`` marks those of all points."""
    piece = np.cumsum(begins)[keep]
    return np.concatenate(([0], np.flatnonzero(np.diff(piece)) + 1)).astype(np.intp)


def stroke(
    points: FloatArray,
    starts: IntArray | None,
    plot: Box,
    color: Color,
    width: float,
    opacity: float = 1.0,
    dash: tuple[float, ...] = (),
) -> list[Mark]:
    """A path in pixels as marks: its lone points are dots that can be seen."""
    if not len(points):
        return []
    marks: list[Mark] = []
    bounds = np.append(np.array([0]) if starts is None else starts, len(points))
    lone = bounds[:-1][np.diff(bounds) == 1]
    if 0 < len(lone) <= _CLEAR_DOTS:
        marks.append(Dots(points[lone], max(width, 2.5), color, opacity))
    points, starts = clip_path(points, starts, _visible(plot))
    return [Polyline(points, color, width, opacity, dash, starts), *marks]


def _even_out(points: FloatArray, columns: IntArray, keep: IntArray, left: float) -> None:
    """Move the points that stand for a crowd to the middle of their column, so that what they fill is even."""
    column = columns[keep]
    firsts = np.concatenate(([0], np.flatnonzero(np.diff(column)) + 1))
    lasts = np.append(firsts[1:], len(keep)) - 1
    crowd = np.repeat(np.abs(keep[lasts] - keep[firsts]) >= _CROWD, lasts - firsts + 1)
    crowd[[0, -1]] = False  # the ends of a curve stay where they are
    points[crowd, 0] = left + column[crowd] + 0.5


class Curve:
    """A `Line`."""

    def __init__(self, line: Line, color: Color, dash: tuple[float, ...], x_log: bool, y_log: bool) -> None:
        self.line, self.color, self.dash = line, color, line.dash if line.dash is not None else dash
        self.series: Series = split_series(line.x, line.y, x_log=x_log, y_log=y_log)
        self.tally = self.series.tally

    def x_extent(self) -> Sequence[FloatArray]:
        """Values that the x axis is to show."""
        return self.series.places()

    def y_extent(self, low: float, high: float) -> Sequence[FloatArray]:
        """Values that the y axis is to show."""
        return [self.series.y_between(low, high)]

    def entries(self) -> list[Entry]:
        """What the legend says."""
        line = self.line
        return [Entry(line.label, "line", self.color, line.width, line.opacity, self.dash)]

    def draw(self, frame: Frame) -> list[Mark]:
        """The marks, in pixels."""
        series, line = self.series, self.line
        columns, count = _columns(frame, series.x)
        keep = column_extremes(columns, series.y, count)
        points = np.stack((frame.to_x(series.x[keep]), frame.to_y(series.y[keep])), axis=1)
        if len(keep) < len(series.x):
            _even_out(points, columns, keep, frame.plot.x)
        ordered = len(keep) < 2 or bool((keep[1:] > keep[:-1]).all())
        starts = starts_of(series.begins, keep) if series.begins is not None and ordered else None
        return stroke(points, starts, frame.plot, self.color, line.width, line.opacity, self.dash)


class Area:
    """A `Band`. On a log axis, one that begins at or below zero goes down to the edge."""

    def __init__(self, band: Band, color: Color, x_log: bool, y_log: bool) -> None:
        self.band, self.color = band, color
        order = np.argsort(band.x, kind="stable") if (band.x[1:] < band.x[:-1]).any() else slice(None)
        x, low, high = band.x[order], band.low[order], band.high[order]
        upper = split_series(x, high, x_log=x_log, y_log=y_log)
        lower = split_series(x, low, x_log=x_log, y_log=False)
        good = np.isfinite(x) & np.isfinite(low) & np.isfinite(high)
        not_positive = 0
        if x_log:
            good &= x > 0
        if y_log:
            good &= high > 0
            not_positive = int(np.count_nonzero(good & (low <= 0)))
        kept = np.flatnonzero(good)
        self.begins = np.diff(kept, prepend=-1) > 1
        self.x, self.low, self.high = x[kept], low[kept], high[kept]
        self.below = self.low <= 0 if y_log else np.zeros(len(kept), dtype=bool)
        odd = [np.maximum(a, b) for a, b in zip(upper.tally, lower.tally, strict=True)]
        self.tally = Tally(*map(int, odd))._replace(not_positive=int(odd[4]) + not_positive)

    def x_extent(self) -> Sequence[FloatArray]:
        """Values that the x axis is to show."""
        return [self.x]

    def y_extent(self, low: float, high: float) -> Sequence[FloatArray]:
        """Values that the y axis is to show."""
        inside = (self.x >= low) & (self.x <= high)
        return [self.low[inside & ~self.below], self.high[inside]]

    def entries(self) -> list[Entry]:
        """What the legend says."""
        return [Entry(self.band.label, "block", self.color, opacity=self.band.opacity)]

    def draw(self, frame: Frame) -> list[Mark]:
        """The marks, in pixels."""
        if not len(self.x):
            return []
        columns, count = _columns(frame, self.x)
        keep = np.union1d(column_extremes(columns, self.low, count), column_extremes(columns, self.high, count))
        x = frame.to_x(self.x[keep])
        low = np.full(len(keep), frame.plot.bottom + _SPILL)
        seen = ~self.below[keep]
        low[seen] = frame.to_y(self.low[keep][seen])
        high = frame.to_y(self.high[keep])
        bounds = np.append(starts_of(self.begins, keep), len(keep))
        rings = []
        for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            span = slice(first, last)
            if last - first == 1:  # one point is an area as wide as a stroke
                side = np.array([-1.0, 1.0])
                upper, lower = (
                    np.stack((x[span] + side, high[span] + 0 * side), 1),
                    np.stack((x[span] + side, low[span] + 0 * side), 1),
                )
            else:
                upper, lower = np.stack((x[span], high[span]), 1), np.stack((x[span], low[span]), 1)
            rings.append(clip_ring(np.concatenate((upper, lower[::-1])), _visible(frame.plot)))
        starts = np.cumsum([0, *map(len, rings[:-1])]).astype(np.intp)
        return [Polygon(np.concatenate(rings), self.color, self.band.opacity, starts)]


class Points:
    """A `Scatter`."""

    def __init__(self, scatter: Scatter, color: Color, x_log: bool, y_log: bool) -> None:
        self.scatter, self.color = scatter, color
        self.series = split_series(scatter.x, scatter.y, x_log=x_log, y_log=y_log)
        self.tally = self.series.tally

    def x_extent(self) -> Sequence[FloatArray]:
        """Values that the x axis is to show."""
        return self.series.places()

    def y_extent(self, low: float, high: float) -> Sequence[FloatArray]:
        """Values that the y axis is to show."""
        return [self.series.y_between(low, high)]

    def entries(self) -> list[Entry]:
        """What the legend says."""
        return [Entry(self.scatter.label, "dot", self.color, self.scatter.size, self.scatter.opacity)]

    def draw(self, frame: Frame) -> list[Mark]:
        """The marks, in pixels."""
        points = np.stack((frame.to_x(self.series.x), frame.to_y(self.series.y)), axis=1)
        seen = frame.plot.grown(self.scatter.size)
        inside = (points >= (seen.x, seen.y)).all(axis=1) & (points <= (seen.right, seen.bottom)).all(axis=1)
        points = points[inside]
        if not len(points):
            return []
        strokes, radius = dot_rows(points, self.scatter.size / 2)
        if len(strokes) == len(points):
            return [Dots(points, radius, self.color, self.scatter.opacity)]
        starts = np.arange(0, 2 * len(strokes), 2)
        return [Polyline(strokes.reshape(-1, 2), self.color, 2 * radius, self.scatter.opacity, starts=starts)]


class Threshold:
    """An `HLine`."""

    def __init__(self, line: HLine, color: Color, y_log: bool) -> None:
        self.line, self.color = line, color
        single = split_series(np.zeros(1), np.array([line.value]), x_log=False, y_log=y_log)
        self.value = single.y
        self.tally = single.tally

    def x_extent(self) -> Sequence[FloatArray]:
        """Values that the x axis is to show."""
        return []

    def y_extent(self, low: float, high: float) -> Sequence[FloatArray]:
        """Values that the y axis is to show."""
        return [self.value]

    def entries(self) -> list[Entry]:
        """What the legend says."""
        return [Entry(self.line.label, "line", self.color, 1.5, dash=_THRESHOLD_DASH)]

    def draw(self, frame: Frame) -> list[Mark]:
        """The marks, in pixels."""
        plot = frame.plot
        y = [float(place) for place in frame.to_y(self.value) if plot.y - 1 <= place <= plot.bottom + 1]
        return [
            Polyline(np.array([[plot.x, place], [plot.right, place]]), self.color, 1.5, dash=_THRESHOLD_DASH)
            for place in y
        ]


class Events:
    """A `VLine`."""

    def __init__(self, line: VLine, color: Color, x_log: bool) -> None:
        self.line, self.color = line, color
        series = split_series(line.x, np.ones(len(line.x)), x_log=x_log, y_log=False)
        self.x = series.x
        self.tally = series.tally

    def x_extent(self) -> Sequence[FloatArray]:
        """Values that the x axis is to show."""
        return [self.x]

    def y_extent(self, low: float, high: float) -> Sequence[FloatArray]:
        """Values that the y axis is to show."""
        return []

    def entries(self) -> list[Entry]:
        """What the legend says."""
        return [Entry(self.line.label, "event", self.color, 1.25, dash=_EVENT_DASH)]

    def draw(self, frame: Frame) -> list[Mark]:
        """The marks, in pixels."""
        plot = frame.plot
        x = np.unique(np.floor(frame.to_x(self.x) + 1e-6)) + 0.5
        x = x[(x >= plot.x - 1) & (x <= plot.right + 1)]
        if not len(x):
            return []
        points = np.empty((2 * len(x), 2))
        points[:, 0] = np.repeat(x, 2)
        points[0::2, 1], points[1::2, 1] = plot.bottom, plot.y
        # Where events stand closer than can be told apart, they are a tint behind the data and not a wall.
        starts = np.arange(0, 2 * len(x), 2)
        if len(x) * 8 > plot.width:
            return [Polyline(points, self.color, 1.0, 0.2, starts=starts)]
        return [Polyline(points, self.color, 1.25, 0.9, _EVENT_DASH, starts)]
