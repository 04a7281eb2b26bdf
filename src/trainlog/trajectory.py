"""The position of the robot in each frame: the columns that have it, and their values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from trainlog.table.column import Column, SparseColumn
from trainlog.table.table import Table
from trainlog.table.values import number

__all__ = ["Extent", "coordinates_of", "sample_of"]

Floats = npt.NDArray[np.float64]


class Extent:
    """The extent of a path; one without any extent is not drawn, like a metric that never changes."""

    def __init__(self) -> None:
        self._low, self._high = np.full(2, np.inf), np.full(2, -np.inf)

    def add(self, x: Floats, y: Floats) -> None:
        """Add the positions (x, y), both of shape (rows,); those that are not finite do not count."""
        places = np.stack((x, y))
        places = places[:, np.isfinite(places).all(axis=0)]
        self._low = np.minimum(self._low, places.min(axis=1, initial=np.inf))
        self._high = np.maximum(self._high, places.max(axis=1, initial=-np.inf))

    @property
    def is_path(self) -> bool:
        """Whether there are two different positions."""
        return bool((self._low < self._high).any())


def sample_of(table: Table) -> dict[str, float | list[float]]:
    """An example frame for `Conventions.position`: the first finite number or vector of each column.

    It is made from the whole table, because single frames can lack a key that others have.
    """
    found: dict[str, float | list[float]] = {}
    for key in table:
        one = table.stored(key)
        first = _first_of(one.held if isinstance(one, SparseColumn) else one)
        if first is not None:
            found[key] = first
    return found


def _first_of(column: Column) -> float | list[float] | None:
    values = column.values if column.state is None else column.values[column.valid]
    if values.dtype == object:
        return next((one for value in values if (one := _finite(value)) is not None), None)
    if values.dtype.kind not in "iuf" or values.ndim > 2:
        return None
    rows = np.flatnonzero(np.isfinite(values if values.ndim == 2 else values[:, None]).all(axis=1))
    first: float | list[float] | None = values[rows[0]].astype(np.float64).tolist() if len(rows) else None
    return first


def _finite(value: Any) -> float | list[float] | None:
    """*value*, which can have any type, as a finite number or a vector of finite numbers."""
    if isinstance(value, list | np.ndarray):
        numbers = [number(one) for one in value]
        return numbers if all(map(math.isfinite, numbers)) else None
    if isinstance(value, bool) or (isinstance(value, str) and value[:1].isalpha()):
        return None
    found = number(value)
    return found if math.isfinite(found) else None


def coordinates_of(table: Table, keys: tuple[str, ...]) -> tuple[Floats, Floats]:
    """The x and y of every row in *keys*, from `Conventions.position`: float64, shape (rows,); NaN if there is none."""
    if len(keys) == 2:
        x, y = (table.numbers(key) if key in table else np.full(table.rows, np.nan) for key in keys)
        return x, y
    values = table[keys[0]] if keys[0] in table else np.empty(table.rows, object)
    if values.ndim == 2 and values.shape[1] > 1 and values.dtype != object:
        return values[:, 0].astype(np.float64), values[:, 1].astype(np.float64)
    places = np.full((table.rows, 2), np.nan)
    if values.dtype == object:  # vectors of different lengths, or with elements that are not numbers
        for row, value in enumerate(values):
            if isinstance(value, list | np.ndarray) and len(value) > 1:
                places[row] = number(value[0]), number(value[1])
    return places[:, 0], places[:, 1]
