"""Marks at the edge of a plot for values that are not numbers: they are missing, and it shows where."""

from __future__ import annotations

import numpy as np

from trainlog.draw.axes import Frame
from trainlog.draw.color import Color
from trainlog.draw.drawing import FloatArray, IntArray, Mark, Polygon, Polyline
from trainlog.draw.series import Series

__all__ = ["edge_marks"]

_LENGTH = 7.0


def edge_marks(series: Series, color: Color, frame: Frame) -> list[Mark]:
    """A tick at the lower edge for NaN, and an arrow at the upper or lower edge for an infinity."""
    plot = frame.plot
    marks: list[Mark] = []
    if len(x := _columns(frame, series.nan_at)):
        points = np.empty((2 * len(x), 2))
        points[:, 0] = np.repeat(x, 2)
        points[0::2, 1], points[1::2, 1] = plot.bottom, plot.bottom - _LENGTH
        marks.append(Polyline(points, color, 1.5, starts=_every(2, len(x))))
    for places, tip, base in (
        (series.up_at, plot.y, plot.y + _LENGTH),
        (series.down_at, plot.bottom, plot.bottom - _LENGTH),
    ):
        if len(x := _columns(frame, places)):
            corners = np.empty((3 * len(x), 2))
            corners[:, 0] = np.repeat(x, 3) + np.tile((-_LENGTH / 2, 0.0, _LENGTH / 2), len(x))
            corners[:, 1] = np.tile((base, tip, base), len(x))
            marks.append(Polygon(corners, color, starts=_every(3, len(x))))
    return marks


def _columns(frame: Frame, values: FloatArray) -> FloatArray:
    """The middles of the pixel columns of the values, each once."""
    x = np.unique(np.floor(frame.to_x(values) + 1e-6)) + 0.5
    return x[(x >= frame.plot.x - 1) & (x <= frame.plot.right + 1)]


def _every(size: int, count: int) -> IntArray:
    return np.arange(0, size * count, size)
