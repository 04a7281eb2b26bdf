"""One column: its values, and which rows have one."""

from __future__ import annotations

from collections.abc import Iterator, KeysView
from typing import Any, Final, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

__all__ = ["ABSENT", "NULL", "VALUE", "Column", "SparseColumn", "different_rows", "have_same_columns"]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]

VALUE: Final = 0
NULL: Final = 1
ABSENT: Final = 2


class Column(NamedTuple):
    """The values of a column, and the state of each row.

    Absent (the frame has no such key), null (the frame has ``None`` under the key) and NaN (a value like any other) are
    three different things.

    Attributes:
        values: shape (rows, ...), of the dtype that was logged. A row without a value has NaN among floats, 0 among
            ints, False among bools, and None or NaN among objects.
        state: uint8, shape (rows,): ``VALUE``, ``NULL`` or ``ABSENT``; None when every row has a value.

    """

    values: Array
    state: npt.NDArray[np.uint8] | None = None

    @property
    def valid(self) -> Bools:
        """Which rows have a value: bools, shape (rows,)."""
        return np.ones(len(self.values), np.bool_) if self.state is None else self.state == VALUE

    @property
    def present(self) -> Bools:
        """Which rows have the key, even if its value is ``None``: bools, shape (rows,)."""
        return np.ones(len(self.values), np.bool_) if self.state is None else self.state != ABSENT

    @property
    def rows_present(self) -> int:
        """The number of rows that have the key."""
        return len(self.values) if self.state is None else int(np.count_nonzero(self.state != ABSENT))

    def take(self, rows: Any) -> Self:
        """The rows selected by *rows* (bools, indices or a slice), as in numpy."""
        state = None if self.state is None else self.state[rows]
        return self._replace(values=self.values[rows], state=state if state is not None and state.any() else None)

    def array(self) -> Array:
        """The column as one numpy array, with NaN where there is no value: ints with gaps become floats, bools objects.

        In an object array, null is ``None``.
        """
        if self.state is None or self.values.dtype.kind in "fO":
            return self.values
        if self.values.dtype.kind == "b":
            out = self.values.astype(object)
            out[self.state == ABSENT] = np.nan
            out[self.state == NULL] = None
            return out
        out = self.values.astype(np.float64)
        out[self.state != VALUE] = np.nan
        return out


def different_rows(one: Column, two: Column) -> Bools:
    """The rows in which two columns of the same length differ: bools, shape (rows,).

    NaN equals NaN, and absent is not null.
    """
    a, b = one.values, two.values
    if a.dtype == object or b.dtype == object or a.shape != b.shape:
        pairs = zip(a.tolist(), b.tolist(), strict=True)
        unequal = np.fromiter((_text(x) != _text(y) for x, y in pairs), np.bool_, len(a))
    else:
        unequal = a != b
        if a.dtype.kind in "fc" and b.dtype.kind in "fc":
            unequal &= ~(np.isnan(a) & np.isnan(b))
        unequal = unequal.any(axis=tuple(range(1, unequal.ndim)))
    different: Bools = (one.valid != two.valid) | (one.present != two.present) | (one.valid & two.valid & unequal)
    return different


def _text(value: Any) -> str:
    return repr(value.tolist() if isinstance(value, np.ndarray | np.generic) else value)


class HasColumns(Protocol):
    """A table."""

    @property
    def rows(self) -> int:
        """The number of rows."""

    def __iter__(self) -> Iterator[str]: ...

    def keys(self) -> KeysView[str]:
        """The names of the columns."""

    def column(self, key: str) -> Column:
        """A column with its validity."""


def have_same_columns(one: HasColumns, two: HasColumns) -> bool:
    """Whether two tables have the same columns in any order, with the same values; see `different_rows`."""
    return (
        one.rows == two.rows
        and one.keys() == two.keys()
        and not any(different_rows(one.column(key), two.column(key)).any() for key in one)
    )


class SparseColumn(NamedTuple):
    """A column that keeps only the few rows that have the key, so that ten thousand rare keys do not fill memory.

    Attributes:
        rows: int64, ascending: the rows that have the key.
        held: the column of those rows; each is a value or null, none is absent.
        total: the number of rows of the column, with and without the key.

    """

    rows: npt.NDArray[np.int64]
    held: Column
    total: int

    @property
    def rows_present(self) -> int:
        """The number of rows that have the key."""
        return len(self.rows)

    def take(self, rows: Any) -> SparseColumn:
        """The rows selected by *rows* (bools, indices or a slice), as in numpy."""
        chosen = np.arange(self.total)[rows]
        if not len(self.rows):
            return SparseColumn(self.rows, self.held, len(chosen))
        places = np.minimum(np.searchsorted(self.rows, chosen), len(self.rows) - 1)
        found = self.rows[places] == chosen
        return SparseColumn(np.flatnonzero(found), self.held.take(places[found]), len(chosen))

    def expand(self) -> Column:
        """The same column as a `Column`."""
        values, own = self.held
        out = np.zeros((self.total, *values.shape[1:]), values.dtype)
        if values.dtype.kind in "fO":
            out[...] = np.nan
        out[self.rows] = values
        state = np.full(self.total, ABSENT, np.uint8)
        state[self.rows] = VALUE if own is None else own
        return Column(out, state)
