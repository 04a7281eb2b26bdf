"""Strokes cut into dashes, for a back end that has none of its own."""

from __future__ import annotations

import numpy as np

from trainlog.draw.drawing import FloatArray

__all__ = ["dashed"]


def dashed(points: FloatArray, pattern: tuple[float, ...]) -> list[FloatArray]:
    """The drawn parts of a path (n, 2), each (m, 2): lengths of ``pattern`` are drawn and left out in turn."""
    lengths = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate(([0.0], np.cumsum(lengths)))
    total = float(along[-1])
    turns = np.cumsum(pattern if len(pattern) % 2 == 0 else pattern * 2)
    period = float(turns[-1])
    if total == 0 or period <= 0:
        return [points]
    rounds = np.arange(np.ceil(total / period)) * period
    cuts = (rounds[:, np.newaxis] + turns).reshape(-1)
    places = np.unique(np.concatenate((along, cuts[cuts < total])))
    middles = (places[1:] + places[:-1]) / 2
    drawn = np.searchsorted(turns, middles % period, side="right") % 2 == 0
    before, after = np.append(False, drawn), np.append(drawn, False)
    path = np.stack((np.interp(places, along, points[:, 0]), np.interp(places, along, points[:, 1])), axis=1)
    kept = before | after
    starts = np.flatnonzero((after & ~before)[kept])
    return np.split(path[kept], starts[1:]) if len(starts) else []
