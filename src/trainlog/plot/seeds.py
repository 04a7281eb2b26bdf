"""Several runs as one curve: their center, and a band around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.plot.axes import Floats

__all__ = ["BANDS", "CENTERS", "BandName", "CenterName", "Aggregate", "center_of", "aggregate", "bootstrap"]

CenterName = Literal["mean", "iqm", "median"]
BandName = Literal["ci", "std", "minmax", "none"]

CENTERS: Final[tuple[CenterName, ...]] = ("mean", "iqm", "median")
BANDS: Final[tuple[BandName, ...]] = ("ci", "std", "minmax", "none")

_MAX_POINTS: Final = 500
_RESAMPLES: Final = 2000
_CHUNK: Final = 2_000_000  # numbers in memory while resampling
_QUANTILES: Final = (0.025, 0.975)


class Aggregate(NamedTuple):
    """Several runs as one curve; arrays are float64 of shape (n,), *runs* is int64.

    Attributes:
        x: the points.
        center: the mean, interquartile mean or median of the runs.
        low, high: the band; NaN where there are fewer than two runs.
        runs: the number of runs at each point.

    """

    x: Floats
    center: Floats
    low: Floats
    high: Floats
    runs: npt.NDArray[np.int64]


def aggregate(curves: Sequence[tuple[Floats, Floats]], center: CenterName, band: BandName) -> Aggregate:
    """Aggregate *curves* (x, y) of any lengths.

    Each curve is interpolated between its own points, and not extrapolated. Points that are not finite are left out.

    The band is the 95 % percentile bootstrap interval of the center over the runs (``ci``), one standard deviation of
    the sample around the mean of the runs (``std``), or from the lowest to the highest run (``minmax``).
    The random numbers are always the same.
    """
    cleaned = [one for one in map(_clean, curves) if len(one[0])]
    if not cleaned:
        nothing = np.empty(0)
        return Aggregate(nothing, nothing, nothing, nothing, np.empty(0, np.int64))
    x = _common_points([one[0] for one in cleaned])
    values = np.full((len(cleaned), len(x)), np.nan)
    for row, (places, numbers) in enumerate(cleaned):
        inside = (x >= places[0]) & (x <= places[-1])
        values[row, inside] = np.interp(x[inside], places, numbers)
    low, high, centers = (np.full(len(x), np.nan) for _ in range(3))
    reached = ~np.isnan(values)
    patterns, which = np.unique(reached, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        columns = np.flatnonzero(which.reshape(-1) == number)
        present = values[np.ix_(np.flatnonzero(pattern), columns)]
        if len(present):
            centers[columns] = center_of(present, center)
        if len(present) > 1 and band != "none":
            low[columns], high[columns] = _band(present, center, band)
    return Aggregate(x, centers, low, high, reached.sum(axis=0, dtype=np.int64))


def _clean(curve: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Sort a curve by x; of several values at one x the last, newest one is kept."""
    x, y = curve
    good = np.isfinite(x) & np.isfinite(y)
    x, y = x[good], y[good]
    if len(x) > 1 and not (x[1:] > x[:-1]).all():
        backwards = x[::-1]
        places, last = np.unique(backwards, return_index=True)
        return places, y[::-1][last]
    return x, y


def _common_points(columns: Sequence[Floats]) -> Floats:
    """The common points of all curves: their own points if they are few, otherwise an even grid."""
    union = columns[0] if len(columns) == 1 else np.unique(np.concatenate(columns))
    if len(union) <= _MAX_POINTS:
        return union
    ends = {float(end) for column in columns for end in (column[0], column[-1])}
    return np.union1d(np.linspace(union[0], union[-1], _MAX_POINTS), list(ends))


def center_of(values: Floats, center: CenterName) -> Floats:
    """The center along the first axis: mean, median, or interquartile mean.

    The interquartile mean leaves out the lowest and the highest quarter, each rounded down to whole runs, as
    ``scipy.stats.trim_mean(values, 0.25)`` does: of fewer than four it is the mean.
    """
    if center == "median":
        return np.asarray(np.median(values, axis=0), np.float64)
    if center == "iqm" and (cut := len(values) // 4):
        values = np.sort(values, axis=0)[cut : len(values) - cut]
    return np.asarray(values.mean(axis=0), np.float64)


def _band(values: Floats, center: CenterName, band: BandName) -> tuple[Floats, Floats]:
    if band == "minmax":
        return values.min(axis=0), values.max(axis=0)
    if band == "std":
        mean, std = values.mean(axis=0), values.std(axis=0, ddof=1)
        return mean - std, mean + std
    low, high = np.quantile(bootstrap(values, lambda some: center_of(some, center)), _QUANTILES, axis=0)
    return low, high


def bootstrap(values: Floats, statistic: Callable[[Floats], Floats], *, seed: int = 0) -> Floats:
    """The bootstrap distribution of a *statistic* (k, ...) -> (...): runs are drawn with replacement.

    Args:
        values: float64, shape (runs, n).
        statistic: reduces the first axis.
        seed: of the random numbers; two distributions that are compared need different ones.

    Returns:
        float64, shape (2000, n).

    """
    runs, n = values.shape
    chosen = np.random.default_rng(seed).integers(runs, size=(_RESAMPLES, runs))
    found = np.empty((_RESAMPLES, n))
    rows = max(_CHUNK // max(runs * n, 1), 1)
    for start in range(0, _RESAMPLES, rows):
        some = values[chosen[start : start + rows]]  # (rows, runs, n)
        found[start : start + rows] = statistic(np.moveaxis(some, 1, 0))
    return found
