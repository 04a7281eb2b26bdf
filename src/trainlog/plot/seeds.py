"""Several runs as one curve: their center and a band around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.plot.axes import Floats
from trainlog.statistics import CenterName, center_of, interval, scaled, unscaled

__all__ = ["BANDS", "Aggregate", "BandName", "aggregate"]

BandName = Literal["ci", "std", "minmax", "none"]

BANDS: Final[tuple[BandName, ...]] = ("ci", "std", "minmax", "none")

_MAX_POINTS: Final = 500


class Aggregate(NamedTuple):
    """Several runs as one curve; arrays are float64 of shape (n,), *runs* is int64.

    Attributes:
        x: the points.
        center: the mean, interquartile mean or median of the runs.
        low, high: the band; NaN where there are fewer than two runs.
        runs: the number of runs at each point.
        bins: the number of bins whose means are the values; 0 if the values are those of the points themselves.
        enough: where fewer runs are, the band tells little and may leave the y axis: the interval of two runs is 13
            times their standard error, and would make the axis many times as long as the curves.

    """

    x: Floats
    center: Floats
    low: Floats
    high: Floats
    runs: npt.NDArray[np.int64]
    bins: int = 0
    enough: int = 0


def aggregate(
    curves: Sequence[tuple[Floats, Floats]], center: CenterName, band: BandName, tasks: Sequence[str] | None = None
) -> Aggregate:
    """Aggregate *curves* (x, y) of any lengths.

    Each curve is interpolated between its own points and not extrapolated. If all curves together have more than 500
    points, they are divided into 500 even bins: the value of a curve is the mean of its points in a bin, and ``minmax``
    is from the lowest to the highest of all points in it. Points that are not finite are left out.
    Runs of several tasks are aggregated over the tasks (see `trainlog.statistics`); the aggregate begins and ends where
    each task has a run.

    The band is the 95 % interval of the center (``ci``), one standard deviation of the sample around the mean of the
    runs (``std``), or from the lowest to the highest run (``minmax``). An interval needs two runs of each task.

    Args:
        curves: the curve of each run.
        center: the center of the runs.
        band: the band around it.
        tasks: the task of each run; None for a single task.

    """
    tasks = tasks or [""] * len(curves)
    known = [(curve, task) for curve, task in zip(map(_clean, curves), tasks, strict=True) if len(curve[0])]
    if not known:
        nothing = np.empty(0)
        return Aggregate(nothing, nothing, nothing, nothing, np.empty(0, np.int64))
    cleaned = [curve for curve, _ in known]
    task_of = np.array([task for _, task in known])
    x, edges = _common_points([places for places, _ in cleaned])
    values, lowest, highest = (np.full((len(cleaned), len(x)), np.nan) for _ in range(3))
    for row, (places, numbers) in enumerate(cleaned):
        if edges is None:
            inside = (x >= places[0]) & (x <= places[-1])
            values[row, inside] = np.interp(x[inside], places, numbers)
            lowest[row] = highest[row] = values[row]
        else:
            values[row], lowest[row], highest[row] = _binned(places, numbers, x, edges)
    low, high, centers = (np.full(len(x), np.nan) for _ in range(3))
    reached = ~np.isnan(values)
    all_tasks = dict.fromkeys(tasks)
    patterns, which = np.unique(reached, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        columns = np.flatnonzero(which == number)
        rows = [np.flatnonzero(pattern & (task_of == task)) for task in all_tasks]
        if all(map(len, rows)):
            present = [values[np.ix_(own, columns)] for own in rows]
            centers[columns] = center_of(present, center)
            if pattern.sum() > 1 and band != "none":
                every = np.flatnonzero(pattern)
                if band == "minmax":
                    low[columns] = lowest[np.ix_(every, columns)].min(axis=0)
                    high[columns] = highest[np.ix_(every, columns)].max(axis=0)
                else:
                    low[columns], high[columns] = _band(present, center, band)
    known_centers = np.flatnonzero(~np.isnan(centers))
    kept = slice(known_centers[0], known_centers[-1] + 1) if len(known_centers) else slice(0)
    counts = reached.sum(axis=0, dtype=np.int64)[kept]
    most = int(counts.max(initial=0))
    enough = max(most // 2 + 1, min(most, 3)) if band == "ci" else 0
    return Aggregate(x[kept], centers[kept], low[kept], high[kept], counts, 0 if edges is None else len(x), enough)


def _clean(curve: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Sort a curve by x; of several values at one x, the last (newest) one is kept."""
    x, y = curve
    good = np.isfinite(x) & np.isfinite(y)
    x, y = x[good], y[good]
    if len(x) > 1 and not (x[1:] > x[:-1]).all():
        backwards = x[::-1]
        places, last = np.unique(backwards, return_index=True)
        return places, y[::-1][last]
    return x, y


def _common_points(columns: Sequence[Floats]) -> tuple[Floats, Floats | None]:
    """The points of all curves if they are few, otherwise the middles of even bins and their edges."""
    union = columns[0] if len(columns) == 1 else np.unique(np.concatenate(columns))
    if len(union) <= _MAX_POINTS:
        return union, None
    edges = np.linspace(union[0], union[-1], _MAX_POINTS + 1)
    return (edges[1:] + edges[:-1]) / 2, edges


def _binned(x: Floats, y: Floats, middles: Floats, edges: Floats) -> Floats:
    """The mean, the lowest and the highest value of each bin, (3, n); without points, the curve at its middle."""
    found = np.full((3, len(middles)), np.nan)
    number = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(middles) - 1)
    reached = slice(number[0], number[-1] + 1)
    found[:, reached] = np.interp(middles[reached], x, y)
    starts = np.flatnonzero(np.concatenate(([True], number[1:] != number[:-1])))
    filled = number[starts]
    found[0, filled] = np.add.reduceat(y, starts) / np.diff(np.append(starts, len(x)))
    found[1, filled], found[2, filled] = np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)
    return found


def _band(tasks: list[Floats], center: CenterName, band: BandName) -> tuple[Floats, Floats]:
    if band == "ci":
        found = interval(tasks, center)
        return found.low, found.high
    [own], exponent = scaled(tasks)
    middle, std = center_of(own, "mean"), np.concatenate(own).std(axis=0, ddof=1)
    return unscaled(middle - std, exponent), unscaled(middle + std, exponent)
