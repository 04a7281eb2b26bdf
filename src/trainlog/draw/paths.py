"""The geometry of paths: clipping that keeps slopes, and dashes."""

from __future__ import annotations

import numpy as np

from trainlog.draw.data import distinct
from trainlog.draw.drawing import Box, FloatArray, IntArray

__all__ = ["clip_path", "dashed"]


def clip_path(points: FloatArray, starts: IntArray | None, box: Box) -> tuple[FloatArray, IntArray | None]:
    """A path (n, 2) and the starts of its pieces, with parts outside the box moved onto its edge.

    A point is added where a segment crosses an edge. The parts along the edge do not belong to the path, so the box
    must be larger than the visible area.
    """
    edges = ((0, box.x, -1.0), (0, box.right, 1.0), (1, box.y, -1.0), (1, box.bottom, 1.0))
    for axis, edge, outward in edges:
        beyond = (points[:, axis] - edge) * outward
        if not (beyond > 0).any():
            continue
        crossing = beyond[1:] * beyond[:-1] < 0
        if starts is not None:
            crossing[starts[starts > 0] - 1] = False
        before = np.flatnonzero(crossing)
        fraction = beyond[before] / (beyond[before] - beyond[before + 1])
        added = points[before] + fraction[:, np.newaxis] * (points[before + 1] - points[before])
        points = np.insert(points, before + 1, added, axis=0)  # a copy, which can be modified
        if starts is not None:
            starts = starts + np.searchsorted(before, starts)
        points[:, axis] = np.minimum(points[:, axis] * outward, edge * outward) * outward
    return points, starts


def dashed(points: FloatArray, pattern: tuple[float, ...]) -> list[FloatArray]:
    """The drawn parts of a path (n, 2), each (m, 2): lengths of ``pattern`` are alternately drawn and left out."""
    lengths = np.hypot(*np.diff(points, axis=0).T)
    distance = np.concatenate(([0.0], np.cumsum(lengths)))
    total = float(distance[-1])
    ends = np.cumsum(pattern if len(pattern) % 2 == 0 else pattern * 2)
    period = float(ends[-1])
    if total == 0 or period <= 0:
        return [points]
    periods = np.arange(np.ceil(total / period)) * period
    cuts = (periods[:, np.newaxis] + ends).reshape(-1)
    stops = distinct(np.concatenate((distance, cuts[cuts < total])))
    middles = (stops[1:] + stops[:-1]) / 2
    drawn = np.searchsorted(ends, middles % period, side="right") % 2 == 0
    before, after = np.append(False, drawn), np.append(drawn, False)
    path = np.stack((np.interp(stops, distance, points[:, 0]), np.interp(stops, distance, points[:, 1])), axis=1)
    kept = before | after
    starts = np.flatnonzero((after & ~before)[kept])
    return np.split(path[kept], starts[1:]) if len(starts) else []
