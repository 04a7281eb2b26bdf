"""Smoothing of one curve, chosen by the user or by how noisy the curve is."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from trainlog.draw import ema, moving_average
from trainlog.errors import PlotError
from trainlog.plot.axes import Floats

__all__ = ["Smoothed", "round_window", "default_window", "smoothed", "window_extremes", "window_std"]

_FEW: Final = 40  # points that need no smoothing
_NOISY: Final = 6.0  # times its range: a curve that travels farther is noisy, and smoothed by default
_SHARE: Final = 30  # of the points: the default window of an average


class Smoothed(NamedTuple):
    """A smoothed curve.

    Attributes:
        values: float64, of the shape of the curve.
        label: how it was made, for the legend.
        window: values that each is made of; for an exponential average, those that count most.

    """

    values: Floats
    label: str
    window: int


def smoothed(values: Floats, smooth: float | None) -> Smoothed | None:
    """*values* smoothed, or None when they are to stay as they are.

    Args:
        values: float64, shape (n,).
        smooth: a whole number is the window of a moving average, 0 and 1 for none; a number between 0 and 1 is the
            weight of the past in an exponential average; None smooths what goes up and down often.

    Raises:
        PlotError: for another number.

    """
    if smooth is None:
        smooth = default_window(values)
    if 0 < smooth < 1:
        return Smoothed(ema(values, 1 - smooth), f"exponential mean, {smooth:g}", round(1 / (1 - smooth)))
    if not (0 <= smooth < 2**53 and smooth == int(smooth)):
        raise PlotError(f"smoothing takes a whole number of values, or a weight between 0 and 1, not {smooth:g}")
    window = int(smooth)
    if window < 2 or len(values) < 2:
        return None
    return Smoothed(moving_average(values, window), f"mean of {window:,}", window)


def default_window(values: Floats) -> int:
    """A round window for a curve that is noisy and long enough, otherwise 0."""
    finite = values[np.isfinite(values)]
    if len(finite) < _FEW:
        return 0
    with np.errstate(over="ignore", invalid="ignore"):
        reach = finite.max() - finite.min()
        travel = np.abs(np.diff(finite)).sum()
    if not travel > _NOISY * reach:
        return 0
    return round_window(len(finite))


def round_window(count: int) -> int:
    """A round window for so many values: the next of 5, 10, 20, 50, 100, ... after a thirtieth of them."""
    least = max(count / _SHARE, 5.0)
    power = 10.0 ** np.floor(np.log10(least))
    return int(next(step * power for step in (1, 2, 5, 10) if step * power >= least))


def window_extremes(values: Floats, window: int) -> tuple[Floats, Floats]:
    """Lowest and highest of each value and the ``window - 1`` before it, float64 (n,); NaN where none is. O(n)."""
    finite = np.isfinite(values)
    low = _running(np.where(finite, values, np.inf), window, np.minimum)
    high = -_running(np.where(finite, -values, np.inf), window, np.minimum)
    nothing = np.isinf(low)
    return np.where(nothing, np.nan, low), np.where(nothing, np.nan, high)


def _running(values: Floats, window: int, least: np.ufunc) -> Floats:
    """Blocks of one window each: a window is the tail of one block and the head of the next."""
    window = max(min(window, len(values)), 1)
    blocks = -(-len(values) // window)
    padded = np.full((blocks + 1, window), np.inf)
    padded.reshape(-1)[window : window + len(values)] = values
    heads = least.accumulate(padded[1:], axis=1)
    tails = least.accumulate(padded[:-1, ::-1], axis=1)[:, ::-1]
    heads[:, :-1] = least(heads[:, :-1], tails[:, 1:])
    found: Floats = heads.reshape(-1)[: len(values)]
    return found


def window_std(values: Floats, window: int) -> Floats:
    """Standard deviation of each value and the ``window - 1`` before it, float64 (n,). O(n)."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.full(len(values), np.nan)
    around = values - np.median(finite)  # squares of large numbers that differ little would lose the difference
    with np.errstate(over="ignore", invalid="ignore"):
        variance = moving_average(around**2, window) - moving_average(around, window) ** 2
    deviation: Floats = np.sqrt(np.maximum(variance, 0.0))
    return deviation
