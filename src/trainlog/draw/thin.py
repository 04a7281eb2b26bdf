"""Honest downsampling: what is left out could not have been seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from trainlog.draw.drawing import FloatArray, IntArray
from trainlog.draw.scale import Scale
from trainlog.draw.values import as_points

__all__ = ["column_extremes", "dot_rows", "path_corners", "thin"]

# Where x runs back and forth so often that its runs are no help, the points are taken column by column.
_RUNS_PER_COLUMN = 4


def thin(x: ArrayLike | None, y: ArrayLike, columns: int) -> tuple[FloatArray, FloatArray]:
    """The points (x, y) that a picture ``columns`` pixels wide needs: at most a few for every column.

    Of each of the ``columns`` equal parts of the range of x, the first, the last, the lowest and the highest
    point are kept, and they keep their order. Points of which x or y is not finite are dropped. ``x`` of
    ``None`` is the index; it need not be sorted. Only where it jumps about so much that keeping the order
    would keep nearly every point, those that are kept come column by column.

    Raises `ValueError` when x and y are not one-dimensional and of one length, or ``columns`` is not positive.
    """
    if columns < 1:
        raise ValueError(f"columns must be at least 1, not {columns}")
    places, values = as_points(x, y)
    good = np.isfinite(places) & np.isfinite(values)
    places, values = places[good], values[good]
    if not len(places):
        return places, values
    scale = Scale.around(float(places.min()), float(places.max()))
    column = np.minimum(scale.position(places) * columns, columns - 1).astype(np.intp)
    keep = column_extremes(column, values, columns)
    return places[keep], values[keep]


def column_extremes(column: IntArray, values: FloatArray, columns: int) -> IntArray:
    """Indices of the first, last, lowest and highest value of every column.

    ``column`` (n,) is the pixel column of each of the finite ``values`` (n,), about ``columns`` different
    ones. The indices increase, unless the columns alternate too often for that to save anything.
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
    found = [starts, ends - 1]
    for extreme in (np.minimum, np.maximum):
        reached = np.flatnonzero(values == np.repeat(extreme.reduceat(values, starts), lengths))
        found.append(reached[np.searchsorted(reached, starts)])
    return np.unique(np.concatenate(found))


def path_corners(points: FloatArray, most: int = 12000) -> IntArray:
    """Increasing indices of the points (n, 2), in pixels, that a path through all of them needs.

    Of points that follow each other within one cell, the first and the last stay, as do the outermost of the
    path. Cells are half a pixel wide, and wider for a path that would keep more than ``most`` points.
    """
    keep = np.arange(len(points))
    if len(points) <= 2:
        return keep
    outermost = np.concatenate((points.argmin(axis=0), points.argmax(axis=0), [0, len(points) - 1]))
    size = 0.5
    while len(keep) > most or size == 0.5:
        cells = np.floor(points[keep] / size)
        new = (cells[1:] != cells[:-1]).any(axis=1)
        corner = np.concatenate(([True], new)) | np.concatenate((new, [True]))
        keep = keep[corner]
        size *= 2
    return np.union1d(keep, outermost)


def dot_rows(points: FloatArray, radius: float, most: int = 8000) -> tuple[FloatArray, float]:
    """Strokes that cover what dots of ``radius`` around points (n, 2), in pixels, cover: (m, 2, 2), and their radius.

    Every stroke runs from the first to the last dot of a row of dots that touch. Up to ``most`` points are
    strokes of no length, exactly where they are; more are moved to the middle of cells of half their radius.
    Cells grow, and in the end the radius with them, for a cloud that needs more than ``most`` strokes.
    """
    if len(points) <= most:
        return np.repeat(points[:, np.newaxis], 2, axis=1), radius
    size, centers = radius / 2, points
    while True:
        cells = np.floor(centers / size).astype(np.int64)
        left, top = cells.min(axis=0)
        width = int(cells[:, 0].max() - left) + 2  # one empty column, so that no row runs on into the next
        filled = np.unique((cells[:, 1] - top) * width + cells[:, 0] - left)
        breaks = np.flatnonzero(np.diff(filled) > 1)
        first, last = filled[np.append(0, breaks + 1)], filled[np.append(breaks, len(filled) - 1)]
        if len(first) <= most:
            break
        size *= 1.25
    ends = np.stack((first, last), axis=1)
    strokes = np.stack((ends % width + left + 0.5, ends // width + top + 0.5), axis=2) * size
    return strokes, max(radius, 0.55 * size)
