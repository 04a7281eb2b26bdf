"""Frames of one kind as numpy columns."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from trainlog.model import Frame, Kind
from trainlog.table.arrow import arrow_table, pandas_frame, polars_frame, with_time
from trainlog.table.column import ABSENT, NULL, VALUE, Column, SparseColumn, have_same_columns
from trainlog.table.values import BATCH, number, unknown_key

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

__all__ = ["Table"]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]


class Table(Mapping[str, Array]):
    """Columns by name, all of one length, and the time of each row.

    It is a mapping: ``table["reward"]``, ``dict(table)``, ``np.savez("stats.npz", **table)``. Tables with the same
    content are equal.

    A column is an array of shape (rows, ...). Its dtype and shape follow from the values, by rules that every codec's
    faster path must also follow:

    - A nested map is flattened, its keys joined by ``/``. An empty map is a value like any other.
    - Numbers are int64 (uint64, or objects, where they do not fit) or float64; ints and floats together are float64.
    - Bools stay bools, strings are objects. A column of mixed types is an object column and keeps each value.
    - Lists of numbers that all have the same shape form one array with one more dimension. Other lists are objects. In
      a list, ints and floats together are floats; an array that was logged as float32 may be float32.
    - Arrays that only a few frames have are objects if the column would take more than 64 MiB.
    - Absent (the frame lacks the key), null (``None``) and NaN are three different things, which `Table.column`
      distinguishes. In the plain array ``table[key]``, a column of floats has NaN for all three. Ints with gaps become
      floats there, and all other columns with gaps become objects, with NaN for absent and ``None`` for null.
    - Keys that are not strings are named by ``str()``; a name that occurs twice in a frame is numbered, ``key#2``.

    Attributes:
        kind: the kind of the frames.
        time: float64, shape (rows,); seconds since the run began.

    """

    __slots__ = ("_arrays", "_columns", "kind", "time")

    def __init__(
        self, kind: Kind, time: npt.NDArray[np.float64], columns: Mapping[str, Array | Column | SparseColumn]
    ) -> None:
        """Make a table of *columns*: arrays with a value in every row, or `Column`, which marks the rows with a value.

        Raises:
            ValueError: when a column and *time* differ in their number of rows.

        """
        self.kind = kind
        self.time = time
        self._columns: dict[str, Column | SparseColumn] = {
            key: Column(one) if isinstance(one, np.ndarray) else one for key, one in columns.items()
        }
        self._arrays: dict[str, Array] = {}
        for key, column in self._columns.items():
            rows = column.total if isinstance(column, SparseColumn) else len(column.values)
            if rows != len(time):
                raise ValueError(f"column {key!r} has {rows} rows, the table {len(time)}")

    @property
    def rows(self) -> int:
        """The number of frames."""
        return len(self.time)

    def __getitem__(self, key: str) -> Array:
        array = self._arrays.get(key)
        if array is None:
            array = self.column(key).array()
            if not isinstance(self._columns[key], SparseColumn):
                self._arrays[key] = array  # the expanded array of a sparse column is not cached
        return array

    def __contains__(self, key: object) -> bool:
        return key in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __eq__(self, other: object) -> bool:
        """Whether *other* has the same kind, times, columns (in any order) and values; NaN equals NaN."""
        if not isinstance(other, Table):
            return NotImplemented
        return (
            self.kind == other.kind
            and np.array_equal(self.time, other.time, equal_nan=True)
            and have_same_columns(self, other)
        )

    __hash__ = None  # type: ignore[assignment]  # as of every mapping

    def __repr__(self) -> str:
        return f"<Table {self.kind}: {self.rows} rows × {len(self)} columns>"

    def _repr_html_(self) -> str:
        """The first and last rows, and the first columns, for a notebook."""
        from trainlog.table.html import html_of

        return html_of(self)

    def column(self, key: str) -> Column:
        """A column with its validity: which rows have a value, which are null, which lack the key.

        Raises:
            KeyError: when there is no such column.

        """
        one = self.stored(key)
        return one.expand() if isinstance(one, SparseColumn) else one

    def stored(self, key: str) -> Column | SparseColumn:
        """A column as the table stores it: a `SparseColumn` where few rows have the key; raises as `column`."""
        try:
            return self._columns[key]
        except KeyError:
            raise KeyError(unknown_key(key, self._columns, self.kind)) from None

    def valid(self, key: str) -> Bools:
        """Which rows have a value of *key*, NaN included: bools, shape (rows,); raises as `column`."""
        return self.column(key).valid

    def numbers(self, key: str) -> npt.NDArray[np.float64]:
        """A column as float64, whatever it was logged as; anything that is not a number is NaN.

        Bools are 1 and 0. Strings that spell a number (``"1.5"``), ``True`` or ``False`` are converted to that number,
        as the original FLOG writer stored numpy scalars as strings.

        Raises:
            KeyError: when there is no such column.

        """
        values, state = self.column(key)
        if values.dtype == object:
            return np.fromiter(map(number, values), np.float64, len(values))
        if state is None or values.dtype.kind == "f":
            return values.astype(np.float64, copy=False)
        numbers = values.astype(np.float64)
        numbers[state != VALUE] = np.nan
        return numbers

    def select(self, keys: Sequence[str] | None) -> Table:
        """The columns *keys*, in this order; None means all. A table without rows has every requested column, empty.

        Raises:
            KeyError: when there is no such column.

        """
        if keys is None:
            return self
        nothing = Column(np.empty(0))
        columns = {key: self.stored(key) if self.rows else self._columns.get(key, nothing) for key in keys}
        return Table(self.kind, self.time, columns)

    def rows_where(self, mask: Array | slice) -> Table:
        """The rows selected by *mask* (bools, indices or a slice), as in numpy."""
        return Table(self.kind, self.time[mask], {key: column.take(mask) for key, column in self._columns.items()})

    def to_arrow(self) -> pyarrow.Table:
        """The table as an Arrow table, with ``time`` as its first column; see `trainlog.table.arrow.arrow_table`.

        Raises:
            MissingExtra: without pyarrow: ``pip install "trainlog[arrow]"``.

        """
        return arrow_table(with_time(self.time, {key: self.column(key) for key in self}))

    def to_polars(self) -> polars.DataFrame:
        """The table as a polars frame, with ``time`` as its first column; it shares the memory of the numbers.

        Absent and null values become null; NaN stays NaN.

        Raises:
            MissingExtra: without polars and pyarrow: ``pip install polars "trainlog[arrow]"``.

        """
        return polars_frame(with_time(self.time, {key: self.column(key) for key in self}))

    def to_pandas(self) -> pandas.DataFrame:
        """The table as a pandas frame, with ``time`` as its first column; it shares the memory of the numbers.

        Columns with gaps have pandas' nullable dtypes: absent and null values become ``NA``, NaN stays NaN. A column of
        more dimensions is split into one per element, ``pos/0``, ``pos/1`` and so on.

        Raises:
            MissingExtra: without pandas: ``pip install pandas``.

        """
        return pandas_frame(with_time(self.time, {key: self.column(key) for key in self}))

    def frames(self) -> Iterator[Frame]:
        """Yield the rows as frames, under the columns' names: absent values are left out, null is ``None``."""
        keys = tuple(self._columns)
        for start in range(0, self.rows, BATCH):
            rows = slice(start, start + BATCH)
            parts = [column.take(rows) for column in self._columns.values()]
            times = self.time[rows].tolist()
            if all(isinstance(part, Column) and part.state is None for part in parts):
                lists = (part.values.tolist() for part in parts if isinstance(part, Column))
                values = zip(*lists, strict=True) if parts else itertools.repeat(())
                for time, row in zip(times, values, strict=False):
                    yield Frame(time, self.kind, dict(zip(keys, row, strict=True)))
                continue
            data: list[dict[str, Any]] = [{} for _ in times]
            for key, part in zip(keys, parts, strict=True):
                held, some = (
                    (part.held, [data[row] for row in part.rows]) if isinstance(part, SparseColumn) else (part, data)
                )
                array, state = held
                states = itertools.repeat(0) if state is None else state.tolist()
                for one, value, what in zip(some, array.tolist(), states, strict=False):
                    if what != ABSENT:
                        one[key] = None if what == NULL else value
            for time, one in zip(times, data, strict=True):
                yield Frame(time, self.kind, one)
