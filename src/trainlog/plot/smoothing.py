"""Smoothing of one curve, by the option of the user or by its noise."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from trainlog.draw import ema, moving_average
from trainlog.errors import PlotError
from trainlog.plot.axes import Floats

__all__ = ["Smoothed", "round_window", "default_window", "smoothed", "window_extremes", "window_std"]

_MIN_POINTS: Final = 40  # a shorter curve is not smoothed by default
_NOISY: Final = 6.0  # a curve is noisy when its total variation is more than this times its range
_WINDOW_SHARE: Final = 30  # the default window is this part of the points


class Smoothed(NamedTuple):
    """A smoothed curve.

    Attributes:
        values: float64, of the shape of the curve.
        label: the method, for the legend.
        window: values in each average; for an exponential average its effective number.

    """

    values: Floats
    label: str
    window: int


def smoothed(values: Floats, smooth: float | None) -> Smoothed | None:
    """Smooth *values*; None when they are not smoothed.

    Args:
        values: float64, shape (n,).
        smooth: a whole number is the window of a moving average, 0 and 1 for none; a number between 0 and 1 is the
            weight of the past in an exponential average; None smooths noisy curves.

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
    """The window for a noisy curve, 0 for others and for short ones."""
    finite = values[np.isfinite(values)]
    if len(finite) < _MIN_POINTS:
        return 0
    with np.errstate(over="ignore", invalid="ignore"):
        value_range = finite.max() - finite.min()
        variation = np.abs(np.diff(finite)).sum()
    if not variation > _NOISY * value_range:
        return 0
    return round_window(len(finite))


def round_window(count: int) -> int:
    """The window for *count* values: at least a thirtieth of them, rounded up to 5, 10, 20, 50, 100, ..."""
    least = max(count / _WINDOW_SHARE, 5.0)
    power = 10.0 ** np.floor(np.log10(least))
    return int(next(step * power for step in (1, 2, 5, 10) if step * power >= least))


def window_extremes(values: Floats, window: int) -> tuple[Floats, Floats]:
    """Running minimum and maximum over *window* values, float64 (n,); NaN without finite values. O(n)."""
    finite = np.isfinite(values)
    low = _running(np.where(finite, values, np.inf), window, np.minimum)
    high = -_running(np.where(finite, -values, np.inf), window, np.minimum)
    nothing = np.isinf(low)
    return np.where(nothing, np.nan, low), np.where(nothing, np.nan, high)


def _running(values: Floats, window: int, least: np.ufunc) -> Floats:
    """Running extreme, from blocks of one window: each window is the tail of a block and the head of the next."""
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
    """Running standard deviation over *window* values, float64 (n,). O(n)."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.full(len(values), np.nan)
    around = values - np.median(finite)  # avoids the cancellation of large squares
    with np.errstate(over="ignore", invalid="ignore"):
        variance = moving_average(around**2, window) - moving_average(around, window) ** 2
    deviation: Floats = np.sqrt(np.maximum(variance, 0.0))
    return deviation
