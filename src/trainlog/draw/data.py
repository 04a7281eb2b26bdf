"""The caller's numbers as arrays of floats, and the points that can be drawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainlog.draw.drawing import FloatArray

__all__ = ["Series", "Skipped", "as_column", "as_points", "caption_lines", "distinct", "split_series", "stairs"]

Value = TypeVar("Value", bound=np.generic)


def as_column(values: ArrayLike, name: str) -> FloatArray:
    """A one-dimensional float64 array; a masked value or ``None`` becomes NaN, a number that is too large infinite.

    Raises:
        ValueError: when the values are not numbers or not one-dimensional; the message calls them ``name``.

    """
    try:
        # The first use of np.ma imports it, which costs more than a small figure.
        if isinstance(values, np.ndarray) and type(values) is not np.ndarray and isinstance(values, np.ma.MaskedArray):
            values = np.ma.filled(values.astype(np.float64), np.nan)
        array = np.asarray(values)
        if array.size and array.dtype.kind not in "biufO":
            raise TypeError
        with np.errstate(all="ignore"):
            column = np.asarray(array, dtype=np.float64)
    except OverflowError:
        column = np.array([_clamped(value) for value in np.asarray(values, dtype=object).ravel()])
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a sequence of real numbers") from None
    if column.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, but has the shape {column.shape}")
    return column


def _clamped(value: float) -> float:
    """The value as a float; whole numbers beyond the range of floats become infinite."""
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def as_points(x: ArrayLike | None, y: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Two columns of equal length; an ``x`` of ``None`` is the index.

    Raises:
        ValueError: as for `as_column`, and when the lengths differ.

    """
    y_column = as_column(y, "y")
    x_column = np.arange(len(y_column), dtype=np.float64) if x is None else as_column(x, "x")
    if len(x_column) != len(y_column):
        raise ValueError(f"x has {len(x_column)} values and y has {len(y_column)}: they must have the same length")
    return x_column, y_column


class Skipped(NamedTuple):
    """How many values cannot be drawn, by reason."""

    nan: int = 0
    positive_infinity: int = 0
    negative_infinity: int = 0
    no_finite_x: int = 0
    not_positive: int = 0


class Series(NamedTuple):
    """The points (x, y) that can be drawn, and where the others are.

    Attributes:
        x, y: the coordinates (n,) of the points that can be drawn.
        gap_before: (n,), true for a point before which points were skipped; None if none were.
        nan_x, positive_infinity_x, negative_infinity_x: the x of NaN, +inf and -inf.
        skipped: how many points cannot be drawn.

    """

    x: FloatArray
    y: FloatArray
    gap_before: NDArray[np.bool_] | None
    nan_x: FloatArray
    positive_infinity_x: FloatArray
    negative_infinity_x: FloatArray
    skipped: Skipped


def split_series(x: FloatArray, y: FloatArray, *, x_log: bool = False, y_log: bool = False) -> Series:
    """Separate the points (n,) that can be drawn on the axes from those that cannot."""
    has_x = np.isfinite(x)
    drawable = has_x & np.isfinite(y)
    if x_log:
        drawable &= x > 0
    if y_log:
        drawable &= y > 0
    if drawable.all():
        return Series(x, y, None, x[:0], x[:0], x[:0], Skipped())
    no_finite_x = int(np.count_nonzero(~has_x))
    if x_log:
        has_x &= x > 0
    nan, positive, negative = (x[has_x & condition] for condition in (np.isnan(y), y == np.inf, y == -np.inf))
    kept = np.flatnonzero(drawable)
    not_positive = len(x) - len(kept) - no_finite_x - len(nan) - len(positive) - len(negative)
    skipped = Skipped(len(nan), len(positive), len(negative), no_finite_x, not_positive)
    return Series(x[kept], y[kept], np.diff(kept, prepend=-1) > 1, nan, positive, negative, skipped)


def stairs(series: Series) -> Series:
    """The points as stairs: each value holds until the next point, but not across a gap."""
    if len(series.x) < 2:
        return series
    x, y = np.repeat(series.x, 2)[1:], np.repeat(series.y, 2)[:-1]
    gap_before = series.gap_before
    if gap_before is not None:
        before = np.flatnonzero(gap_before[1:])
        x[2 * before + 1] = series.x[before]  # the end of the step before a gap
        gap_before = np.repeat(gap_before, 2)[1:]
        gap_before[1::2] = False
    return series._replace(x=x, y=y, gap_before=gap_before)


def caption_lines(caption: str, counts: Iterable[Skipped], where: str = "marked at the edge") -> list[str]:
    """The caption and a line about the skipped values, if they are not empty.

    ``where`` says how the picture shows values that are not finite.
    """
    total = Skipped(*(sum(column) for column in zip(Skipped(), *counts, strict=True)))
    marked = [f"{count:,} {name}" for count, name in zip(total, ("NaN", "+inf", "−inf"), strict=False) if count]
    reasons = [", ".join(marked) + f" ({where})"] if marked else []
    if total.not_positive:
        reasons.append(f"{total.not_positive:,} not above zero (log axis)")
    if total.no_finite_x:
        reasons.append(f"{total.no_finite_x:,} without a finite x")
    return [line for line in (caption, f"Not drawn: {'; '.join(reasons)}." if reasons else "") if line]


def distinct(values: NDArray[Value]) -> NDArray[Value]:
    """The values (n,), each once, sorted. ``np.unique`` would import ``numpy.ma``, which takes 10 ms."""
    ordered = np.sort(values)
    return ordered[:1] if len(ordered) < 2 else ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]
