"""Smoothing of whole curves, in time that does not depend on the window."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from trainlog.draw.data import as_column
from trainlog.draw.drawing import FloatArray

__all__ = ["centered_average", "ema", "moving_average", "over_windows"]


def moving_average(values: ArrayLike, window: int) -> FloatArray:
    """The mean of each value and the ``window - 1`` before it, (n,) float64 from (n,).

    The first windows hold only the existing values. NaN and infinities do not count; the average of a window without
    other values is NaN. O(n). Values before the window leave no rounding error, because nothing is added and subtracted
    again.

    Raises:
        ValueError: when ``window`` is smaller than 1 or ``values`` is not one-dimensional.

    """
    column = as_column(values, "values")
    if window < 1:
        raise ValueError(f"the window of a moving average must be at least 1, not {window}")
    if not len(column):
        return column.copy()
    window = min(int(window), len(column))
    finite = np.isfinite(column)
    whole = bool(finite.all())
    scaled, exponent = _scaled(column if whole else np.where(finite, column, 0.0))
    averages = over_windows(scaled, window, np.add, 0.0)
    with np.errstate(invalid="ignore", under="ignore"):
        if whole:
            averages[:window] /= np.arange(1.0, window + 1)
            averages[window:] /= window
        else:
            averages /= over_windows(finite.astype(np.float64), window, np.add, 0.0)
        return np.ldexp(averages, exponent) if exponent else averages


def centered_average(values: ArrayLike, window: int) -> FloatArray:
    """The mean of each value and equally many before and after it, (n,) float64 from (n,).

    The window has ``window`` values, or one more if that is even. It shrinks at both ends, where one side has fewer
    values: there the result is the least squares line through the values, at the place of the average, and within their
    lowest and highest. So a straight line is unchanged, nothing is shifted in x, and the ends are not single values.
    NaN and infinities do not count; before the first and after the last finite value, and in a window without finite
    values, the average is NaN. O(n).

    Raises:
        ValueError: as for `moving_average`.

    """
    column = as_column(values, "values")
    half = min(max(int(window), 1) // 2, (len(column) - 1) // 2)
    if window < 1 or half < 1:
        return moving_average(column, min(window, 1))
    averages = np.empty(len(column))
    averages[half : len(column) - half] = moving_average(column, 2 * half + 1)[2 * half :]
    for side, edge in ((slice(None), averages[:half]), (slice(None, None, -1), averages[::-1][:half])):
        edge[:] = _line_at_start(column[side][: 2 * half])
    known = np.isfinite(column)
    averages[: known.argmax()] = np.nan
    averages[len(column) - known[::-1].argmax() :] = np.nan
    return averages


def _line_at_start(values: FloatArray) -> FloatArray:
    """The lines through the first n + 1, n + 2, ... 2 n of 2 n values, at the first, second, ... place, (n,)."""
    half = len(values) // 2
    finite = np.isfinite(values)
    if not finite.any():
        return np.full(half, np.nan)
    scaled, exponent = _scaled(np.where(finite, values, 0.0))
    middle = float(np.median(scaled[finite]))
    y = np.where(finite, scaled - middle, 0.0)
    x = np.where(finite, np.arange(float(len(values))), 0.0)
    count, sum_x, sum_y, sum_xx, sum_xy = (np.cumsum(part)[half:] for part in (finite * 1.0, x, y, x * x, x * y))
    lowest, highest = (
        reach(np.where(finite, y, nothing))[half:]
        for reach, nothing in ((np.minimum.accumulate, np.inf), (np.maximum.accumulate, -np.inf))
    )
    spread = count * sum_xx - sum_x**2
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
        slope = np.where(spread > 0, (count * sum_xy - sum_x * sum_y) / spread, 0.0)
        line: FloatArray = sum_y / count + slope * (np.arange(half) - sum_x / count)
        line = np.clip(line, lowest, highest) + middle
        return np.ldexp(line, exponent) if exponent else line


def _scaled(values: FloatArray) -> tuple[FloatArray, int]:
    """The values scaled so that sums neither overflow nor lose digits, and the power of two that divided them."""
    largest = max(float(values.max()), -float(values.min()))
    if 1e-200 < largest < 1e200 or largest == 0:
        return values, 0
    exponent = math.frexp(largest)[1]
    with np.errstate(under="ignore"):
        return np.ldexp(values, -exponent), exponent


def over_windows(values: FloatArray, window: int, combine: np.ufunc, nothing: float) -> FloatArray:
    """Each value combined with the ``window - 1`` before it, (n,): their sum (``np.add``) or least (``np.minimum``).

    Values before the first count as *nothing*. The values are cut into blocks of one window. A window is the tail of
    one block and the head of the next, and heads and tails are accumulated within their block. O(n).
    """
    before, after = np.full(window, nothing), np.full(-len(values) % window, nothing)
    padded = np.concatenate((before, values, after)).reshape(-1, window)
    heads: FloatArray = combine.accumulate(padded[1:], axis=1)
    tails = padded[:-1, ::-1]
    combine.accumulate(tails, axis=1, out=tails)  # in place, because new memory costs more than the sums
    combine(heads[:, :-1], padded[:-1, 1:], out=heads[:, :-1])
    return heads.reshape(-1)[: len(values)]


def ema(values: ArrayLike, alpha: float) -> FloatArray:
    """The exponential moving average, (n,) float64 from (n,): a new value has the weight ``alpha``, the past the rest.

    The average is debiased: the weights of the values so far sum to one, so that it begins at the first value and
    not at zero. NaN and infinities do not count, and the average does not change there; before the first finite
    value it is NaN. O(n log(1 / alpha)).

    Raises:
        ValueError: unless ``0 < alpha <= 1``, or when ``values`` is not one-dimensional.

    """
    column = as_column(values, "values")
    if not 0 < alpha <= 1:
        raise ValueError(f"the alpha of an exponential moving average must lie in (0, 1], not {alpha}")
    finite = np.isfinite(column)
    scaled, exponent = _scaled(column[finite]) if finite.any() else (column[:0], 0)
    sums, decay, length = scaled * alpha, 1.0 - alpha, 1
    with np.errstate(under="ignore"):
        # The sum of the last 2m values is the sum of the last m plus the decayed sum of m values ago.
        while length < len(sums) and decay > 2.0**-70:
            sums[length:] += decay * sums[:-length]
            length, decay = 2 * length, decay * decay
        if alpha < 1:
            sums /= -np.expm1(np.arange(1, len(sums) + 1) * math.log1p(-alpha))
        sums = np.ldexp(sums, exponent)
    averages: FloatArray = np.concatenate(([np.nan], sums))[np.cumsum(finite)]
    return averages
