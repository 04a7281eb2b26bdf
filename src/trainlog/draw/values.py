"""What a caller gives as numbers, as a column of floats."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from trainlog.draw.drawing import FloatArray

__all__ = ["as_column", "as_points"]


def as_column(values: ArrayLike, name: str) -> FloatArray:
    """A one-dimensional float64 array; a masked value or ``None`` becomes NaN, what is too large infinite.

    Raises `ValueError`, which calls the values ``name``, when they are no numbers or not one-dimensional.
    """
    try:
        if isinstance(values, np.ma.MaskedArray):
            values = np.ma.filled(values.astype(np.float64), np.nan)
        array = np.asarray(values)
        if array.dtype.kind not in "biufO":
            if array.size:
                raise TypeError
            array = array.astype(np.float64)
        with np.errstate(all="ignore"):
            column = np.asarray(array, dtype=np.float64)
    except OverflowError:
        column = np.array([_clamped(value) for value in np.asarray(values, dtype=object).ravel()])
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a sequence of real numbers") from None
    if column.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, and has the shape {column.shape}")
    return column


def _clamped(value: float) -> float:
    """The value as a float; whole numbers beyond all floats are infinite."""
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def as_points(x: ArrayLike | None, y: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Two columns of one length; an ``x`` of ``None`` is the index. Raises `ValueError` like `as_column`."""
    values = as_column(y, "y")
    places = np.arange(len(values), dtype=np.float64) if x is None else as_column(x, "x")
    if len(places) != len(values):
        raise ValueError(f"x has {len(places)} values and y has {len(values)}: they must be of one length")
    return places, values
