"""Paths cut off where they leave what can be seen, without changing their slope inside."""

from __future__ import annotations

import numpy as np

from trainlog.draw.drawing import Box, FloatArray, IntArray

__all__ = ["clip_path", "clip_ring"]


def clip_path(points: FloatArray, starts: IntArray | None, box: Box) -> tuple[FloatArray, IntArray | None]:
    """A path (n, 2) and the starts of its pieces, moved onto the edge of the box where it lies outside.

    Where a segment crosses an edge, a point is added. What then runs along the edge is not part of the path:
    the box must be larger than what is seen of it.
    """
    for axis, edge, outward in (
        (0, box.x, -1.0),
        (0, box.right, 1.0),
        (1, box.y, -1.0),
        (1, box.bottom, 1.0),
    ):
        beyond = (points[:, axis] - edge) * outward
        if not (beyond > 0).any():
            continue
        crossing = beyond[1:] * beyond[:-1] < 0
        if starts is not None:
            crossing[starts[starts > 0] - 1] = False
        before = np.flatnonzero(crossing)
        share = beyond[before] / (beyond[before] - beyond[before + 1])
        added = points[before] + share[:, np.newaxis] * (points[before + 1] - points[before])
        points = np.insert(points, before + 1, added, axis=0)
        if starts is not None:
            starts = starts + np.searchsorted(before, starts)
        points[:, axis] = np.maximum(points[:, axis] * outward, -np.inf)  # a copy of our own
        points[:, axis] = np.minimum(points[:, axis], edge * outward) * outward
    return points, starts


def clip_ring(points: FloatArray, box: Box) -> FloatArray:
    """A closed ring (n, 2), moved onto the edge of the box where it lies outside."""
    closed, _ = clip_path(np.concatenate((points, points[:1])), None, box)
    return closed
