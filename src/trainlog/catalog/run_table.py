"""Columns of many runs: one row per run, or one per row of their logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.model import Kind
from trainlog.table.arrow import arrow_column, extra, pandas_frame, utf8
from trainlog.table.builder import ColumnBuilder, TableBuilder, batched
from trainlog.table.column import Column, SparseColumn, have_same_columns
from trainlog.table.html import rows_html
from trainlog.table.table import Table
from trainlog.table.values import column_name

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars
    import pyarrow

__all__ = ["Labels", "RunTable"]

Array = npt.NDArray[Any]

_ROWS: Final = 512  # rows built at a time


class Labels(NamedTuple):
    """A column with few distinct values, such as the run name of each row.

    Attributes:
        codes: int32, shape (rows,): for each row, the index of its value.
        values: the distinct values.

    """

    codes: npt.NDArray[np.int32]
    values: Column

    @classmethod
    def of(cls, codes: npt.NDArray[np.int32], values: Sequence[Any]) -> Labels:
        """The column with these Python *values*."""
        builder = ColumnBuilder()
        builder.extend(slice(0, len(values)), list(values))
        one = builder.finish(len(values))
        return cls(codes, one.expand() if isinstance(one, SparseColumn) else one)


class RunTable(Mapping[str, Array]):
    """Columns by name, all of equal length; numpy arrays that follow the rules of `trainlog.Table`."""

    __slots__ = ("_columns", "rows")

    def __init__(self, rows: int, columns: Mapping[str, Column | SparseColumn | Labels]) -> None:
        """Make a table of *rows* rows."""
        self.rows = rows
        self._columns = dict(columns)

    @classmethod
    def of_rows(cls, rows: Iterable[dict[str, Any]]) -> RunTable:
        """A table with one row for each of *rows*, which are flat; a key that a row lacks is absent there.

        The rows are consumed in small batches, so that those of many thousand runs never exist all at once.
        """
        builder = TableBuilder(Kind.STATS)
        for some in batched(rows, _ROWS):
            builder.add_frames([0.0] * len(some), some, flat=True)
        table = builder.finish()
        return cls(table.rows, {key: table.stored(key) for key in table})

    @classmethod
    def of_tables(cls, tables: Sequence[Table], labels: Mapping[str, Sequence[Any]]) -> RunTable:
        """The rows of *tables*, one after another: first the *labels* of each, then the time, then its columns."""
        builder = TableBuilder(tables[0].kind if tables else Kind.STATS)
        counts = [table.rows for table in tables]
        builder.expected = sum(counts)
        for table in tables:
            builder.add_table(table)
        whole = builder.finish()
        codes = np.repeat(np.arange(len(tables), dtype=np.int32), counts)
        columns: dict[str, Column | SparseColumn | Labels] = {
            name: Labels.of(codes, values) for name, values in labels.items()
        }
        columns["time"] = Column(whole.time)
        for key in whole:
            columns[column_name(key, columns)] = whole.stored(key)
        return cls(whole.rows, columns)

    def __getitem__(self, key: str) -> Array:
        return self.column(key).array()

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __contains__(self, key: object) -> bool:
        return key in self._columns

    def __eq__(self, other: object) -> bool:
        """Whether *other* has the same columns (in any order) and values; NaN equals NaN."""
        return have_same_columns(self, other) if isinstance(other, RunTable) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as of every mapping

    def __repr__(self) -> str:
        return f"<RunTable: {self.rows:,} rows × {len(self)} columns>"

    def _repr_html_(self) -> str:
        """The first and last rows, for a notebook."""
        names = list(self)[:20]
        columns = {name: self.column(name) for name in names}

        def row(number: int) -> list[Any]:
            return [one.values[number] if one.valid[number] else None for one in columns.values()]

        return rows_html("", names, self.rows, row, columns=len(self))

    def column(self, key: str) -> Column:
        """A column with its validity; see `trainlog.table.column.Column`.

        Raises:
            KeyError: if there is no such column.

        """
        one = self._columns[key]
        if isinstance(one, Labels):
            return one.values.take(one.codes)
        return one.expand() if isinstance(one, SparseColumn) else one

    def select(self, keys: Sequence[str]) -> RunTable:
        """The columns *keys*, in this order.

        Raises:
            KeyError: if there is no such column.

        """
        return RunTable(self.rows, {key: self._columns[key] for key in keys})

    def take(self, rows: Any) -> RunTable:
        """The rows that *rows* (bools, indices or a slice) selects, as in numpy."""
        taken: dict[str, Column | SparseColumn | Labels] = {
            key: Labels(one.codes[rows], one.values) if isinstance(one, Labels) else one.take(rows)
            for key, one in self._columns.items()
        }
        return RunTable(len(np.arange(self.rows)[rows]), taken)

    def to_arrow(self) -> pyarrow.Table:
        """As an Apache Arrow table; absent and null values become null, see `trainlog.Table.to_arrow`.

        Raises:
            MissingExtra: without pyarrow: ``pip install "trainlog[arrow]"``.

        """
        pa = extra("pyarrow", '"trainlog[arrow]"')
        columns = {}
        for key, one in self._columns.items():
            if isinstance(one, Labels):
                columns[key] = arrow_column(one.values).take(pa.array(one.codes))
            else:
                columns[key] = arrow_column(self.column(key))
        return pa.table({utf8(key): column for key, column in columns.items()})

    def to_polars(self) -> polars.DataFrame:
        """As a polars data frame.

        Raises:
            MissingExtra: without polars and pyarrow.

        """
        frame: polars.DataFrame = extra("polars", '"trainlog[polars]"').from_arrow(self.to_arrow())
        return frame

    def to_pandas(self) -> pandas.DataFrame:
        """As a pandas data frame.

        Raises:
            MissingExtra: without pandas.

        """
        return pandas_frame({key: self.column(key) for key in self})

    def to_duckdb(self, connection: duckdb.DuckDBPyConnection | None = None) -> duckdb.DuckDBPyRelation:
        """As a DuckDB relation, on the default connection or on *connection*.

        Raises:
            MissingExtra: without duckdb and pyarrow.

        """
        duck = extra("duckdb", '"trainlog[duckdb]"')
        relation: duckdb.DuckDBPyRelation = (connection or duck).from_arrow(self.to_arrow())
        return relation
