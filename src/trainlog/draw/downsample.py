"""Downsampling that changes nothing visible."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from trainlog.draw.data import as_points, distinct
from trainlog.draw.drawing import BoolArray, FloatArray, IntArray
from trainlog.draw.scale import Scale

__all__ = ["column_extremes", "downsample", "kept_points", "merge_dots", "simplify_path", "visible_gaps"]

# With more runs of equal columns than this, points are grouped by column and lose their order.
_RUNS_PER_COLUMN = 4


def downsample(x: ArrayLike | None, y: ArrayLike, columns: int) -> tuple[FloatArray, FloatArray]:
    """The points (x, y) that a picture ``columns`` pixels wide needs: at most a few for every column.

    The range of x is divided into equal columns. The first, last, lowest and highest point of every column are kept,
    in their order. Points with an x or y that is not finite are dropped. If x goes back and forth so often that nearly
    every point would be kept in this order, the kept points are sorted by column.

    Args:
        x: (n,), sorted or not; None for the index.
        y: (n,).
        columns: the number of columns.

    Raises:
        ValueError: when x and y are not one-dimensional and of equal length, or ``columns`` is not positive.

    """
    x, y = as_points(x, y)
    keep = kept_points(x, y, columns)
    return x[keep], y[keep]


def kept_points(x: FloatArray, y: FloatArray, columns: int) -> IntArray:
    """The indices of the points of x and y, both (n,), that `downsample` keeps.

    Raises:
        ValueError: when ``columns`` is not positive.

    """
    if columns < 1:
        raise ValueError(f"columns must be at least 1, not {columns}")
    finite = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    x, y = x[finite], y[finite]
    if not len(x):
        return finite
    scale = Scale.fit(float(x.min()), float(x.max()))
    column = np.minimum(scale.position(x) * columns, columns - 1).astype(np.intp)
    kept: IntArray = finite[column_extremes(column, y, columns)]
    return kept


def visible_gaps(x: FloatArray, known: BoolArray, lost: BoolArray, kept: IntArray, columns: int | None) -> IntArray:
    """Which of the ``kept`` points have a gap before them: numbers that were lost since the previous point.

    Args:
        x: (n,).
        known: which values (n,) are finite.
        lost: which of the others are a gap.
        kept: indices of finite values, increasing, as `kept_points` returns them.
        columns: as for `kept_points`; a gap no wider than one of them is invisible. None for every gap.

    """
    gaps = np.diff(np.cumsum(lost)[kept]) > 0
    if columns is not None:
        gaps &= (np.diff(np.cumsum(known)[kept]) == 1) & (np.diff(x[kept]) * columns > np.ptp(x[kept]))
    found: IntArray = np.flatnonzero(gaps) + 1
    return found


def column_extremes(column: IntArray, values: FloatArray, columns: int) -> IntArray:
    """The indices of the first, last, lowest and highest of the finite values (n,) of every column.

    ``column`` (n,) is the pixel column of each value, one of about ``columns`` columns. The indices increase, unless
    the columns alternate so often that nearly all values would be kept.
    """
    if len(values) <= 2 * columns:
        return np.arange(len(values))
    keep = _run_extremes(column, values)
    if len(keep) > max(4 * _RUNS_PER_COLUMN * columns, 64):
        order = np.argsort(column, kind="stable")
        return order[_run_extremes(column[order], values[order])]
    return keep


def _run_extremes(column: IntArray, values: FloatArray) -> IntArray:
    """Increasing indices of the first, last, lowest and highest value in every run of equal columns."""
    starts = np.concatenate(([0], np.flatnonzero(column[1:] != column[:-1]) + 1))
    ends = np.append(starts[1:], len(values))
    lengths = ends - starts
    kept = [starts, ends - 1]
    for extreme in (np.minimum, np.maximum):
        candidates = np.flatnonzero(values == np.repeat(extreme.reduceat(values, starts), lengths))
        kept.append(candidates[np.searchsorted(candidates, starts)])
    return distinct(np.concatenate(kept))


def simplify_path(points: FloatArray, limit: int = 12000) -> IntArray:
    """Increasing indices of the points (n, 2), in pixels, that a path through all of them needs.

    Of consecutive points within one cell, the first and the last are kept, and so are the outermost points of the
    path. Cells are half a pixel wide, and wider for a path that would keep more than ``limit`` points.
    """
    keep = np.arange(len(points))
    if len(points) <= 2:
        return keep
    outermost = np.concatenate((points.argmin(axis=0), points.argmax(axis=0), [0, len(points) - 1]))
    size = 0.5
    while len(keep) > limit or size == 0.5:
        cells = np.floor(points[keep] / size)
        changes = (cells[1:] != cells[:-1]).any(axis=1)
        keep = keep[np.concatenate(([True], changes)) | np.concatenate((changes, [True]))]
        size *= 2
    return distinct(np.concatenate((keep, outermost)))


def merge_dots(points: FloatArray, radius: float, limit: int = 8000) -> tuple[FloatArray, float]:
    """Strokes that cover the same area as dots around points (n, 2), in pixels: their ends (m, 2, 2), and their radius.

    A stroke runs from the first to the last dot of a row of touching dots. Up to ``limit`` points become strokes of
    zero length, exactly where they are; more points are moved to the middle of cells of half their radius. For a cloud
    that needs more than ``limit`` strokes, the cells grow, and in the end so does the radius.
    """
    if len(points) <= limit:
        return np.repeat(points[:, np.newaxis], 2, axis=1), radius
    size = radius / 2
    while True:
        cells = np.floor(points / size).astype(np.int64)
        left, top = cells.min(axis=0)
        width = int(cells[:, 0].max() - left) + 2  # one empty column, so that no row continues in the next
        filled = distinct((cells[:, 1] - top) * width + cells[:, 0] - left)
        breaks = np.flatnonzero(np.diff(filled) > 1)
        first, last = filled[np.append(0, breaks + 1)], filled[np.append(breaks, len(filled) - 1)]
        if len(first) <= limit:
            break
        size *= 1.25
    ends = np.stack((first, last), axis=1)
    strokes = np.stack((ends % width + left + 0.5, ends // width + top + 0.5), axis=2) * size
    return strokes, max(radius, 0.55 * size)
