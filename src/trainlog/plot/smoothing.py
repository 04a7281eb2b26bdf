"""Smoothing of one curve, by the user's option or by its noise."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from trainlog.draw import centered_average, ema, moving_average
from trainlog.draw.smooth import over_windows
from trainlog.errors import PlotError
from trainlog.plot.axes import Floats

__all__ = [
    "MIN_POINTS",
    "Smoothed",
    "default_window",
    "is_count",
    "round_window",
    "smoothed",
    "window_extremes",
    "window_std",
]

MIN_POINTS: Final = 100  # a shorter curve is not smoothed by default
_NOISY: Final = 6.0  # a curve is noisy when its total variation is more than this times its range
_TURNS: Final = 0.4  # and when more than this share of its points are turning points; in pure noise two thirds are
_PERIODIC: Final = 0.5  # a correlation with itself, shifted by a period, that noise does not have
_WINDOW_SHARE: Final = 30  # the default window is one of this many parts of the points
_MAX_TESTED: Final = 1 << 15  # points


class Smoothed(NamedTuple):
    """A smoothed curve.

    Attributes:
        values: float64, of the shape of the curve.
        label: the method, for the legend.
        window: the number of values in each average; the effective number for an exponential average.

    """

    values: Floats
    label: str
    window: int


def smoothed(values: Floats, smooth: float | None) -> Smoothed | None:
    """Smooth *values*; None when they are not smoothed.

    Args:
        values: float64, shape (n,).
        smooth: a whole number is the window of a centred moving average (0 and 1 mean none); a number between 0 and 1
            is the weight of the past in an exponential average, which trails; None smooths noisy curves.

    Raises:
        PlotError: for any other number.

    """
    if smooth is None:
        smooth = default_window(values)
    if 0 < smooth < 1:
        label = f"exponential mean, {smooth:g}, trailing"
        return Smoothed(ema(values, 1 - smooth), label, round(1 / (1 - smooth)))
    if not (0 <= smooth < 2**53 and smooth == int(smooth)):
        raise PlotError(f"smoothing takes a whole number of values, or a weight between 0 and 1, not {smooth:g}")
    window = int(smooth) // 2 * 2 + 1
    if smooth < 2 or len(values) < 2:
        return None
    return Smoothed(centered_average(values, window), f"centred mean of {window:,}", window)


def default_window(values: Floats) -> int:
    """The window for a noisy curve; 0 for other curves: short, smooth or periodic ones, counters, and flags."""
    finite = values[np.isfinite(values)]
    if len(finite) < MIN_POINTS or is_count(finite):
        return 0
    with np.errstate(over="ignore", invalid="ignore"):
        value_range = finite.max() - finite.min()
        steps = np.diff(finite)
        variation = np.abs(steps).sum()
    turns = np.count_nonzero(np.signbit(steps[1:]) != np.signbit(steps[:-1]))
    if not (variation > _NOISY * value_range and turns > _TURNS * len(steps)):
        return 0
    window = round_window(len(finite))
    return 0 if _is_periodic(finite[:_MAX_TESTED], window) else window


def is_count(values: Floats) -> bool:
    """Whether the finite *values* are of a counter that is never reset, or of a flag: stairs, not a curve."""
    if not len(values) or (values != np.floor(values)).any():
        return False
    return bool((values[1:] >= values[:-1]).all()) or bool(((values == 0) | (values == 1)).all())


def _is_periodic(values: Floats, window: int) -> bool:
    """Whether the part that a window would remove is periodic."""
    rest = values - centered_average(values, window)
    scale = np.abs(rest).max()
    if not 0 < scale < np.inf:
        return False
    spectrum = np.abs(np.fft.rfft(rest / scale, 2 * len(rest))) ** 2
    correlation = np.fft.irfft(spectrum)[: len(rest) // 3]
    below = np.flatnonzero(correlation < 0)
    return len(below) > 0 and bool(correlation[below[0] :].max() > _PERIODIC * correlation[0])


def round_window(count: int) -> int:
    """The window for *count* values: at least a thirtieth of them, rounded up to 5, 10, 20, 50, 100, ..., and odd."""
    least = max(count / _WINDOW_SHARE, 5.0)
    power = 10.0 ** np.floor(np.log10(least))
    return int(next(step * power for step in (1, 2, 5, 10) if step * power >= least)) // 2 * 2 + 1


def window_extremes(values: Floats, window: int) -> tuple[Floats, Floats]:
    """Minimum and maximum over *window* values around each, float64 (n,); NaN without finite values. O(n)."""
    finite = np.isfinite(values)
    low = _extreme(np.where(finite, values, np.inf), window)
    high = -_extreme(np.where(finite, -values, np.inf), window)
    nothing = np.isinf(low)
    return np.where(nothing, np.nan, low), np.where(nothing, np.nan, high)


def _extreme(values: Floats, window: int) -> Floats:
    """Minimum around each value. At the ends the window holds only existing values: no extreme is left out."""
    half = max(min(window // 2, len(values) - 1), 0)
    longer = np.concatenate((values, np.full(half, np.inf)))
    return over_windows(longer, 2 * half + 1, np.minimum, np.inf)[half:]


def window_std(values: Floats, window: int) -> Floats:
    """Standard deviation of the sample of *window* values around each, float64 (n,). O(n).

    At the ends it is that of the existing values. It is 0 where there is only one value, and NaN where there is none.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.full(len(values), np.nan)
    half = min(window // 2, (len(values) - 1) // 2)
    around = np.append(values - np.median(finite), np.full(half, np.nan))  # avoids the cancellation of large squares
    with np.errstate(over="ignore", invalid="ignore"):
        square, mean = (moving_average(part, 2 * half + 1)[half:] for part in (around**2, around))
        count = over_windows(np.isfinite(around).astype(np.float64), 2 * half + 1, np.add, 0.0)[half:]
        deviation: Floats = np.sqrt(np.maximum(square - mean**2, 0.0) * (count / np.maximum(count - 1, 1)))
    return deviation
