"""Tables that grow, block by block: from frames, from columns of values, from other tables.

The rules by which values become columns are those of `trainlog.Table`; only this module implements them. Types are
kept apart until all rows are known, so that the result does not depend on where the blocks begin.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from trainlog.model import Kind
from trainlog.table.column import ABSENT, NULL, VALUE, Column, SparseColumn
from trainlog.table.table import Table
from trainlog.table.values import BATCH, blocks_of, flatten, objects

__all__ = ["ColumnBuilder", "Rows", "TableBuilder", "batched", "is_sparse", "joined", "pick_rows", "table_of"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.integer[Any]]
T = TypeVar("T")

Rows = Ints | slice
"""Row numbers, or a slice of them."""

_FLOAT, _FLOAT32, _INT, _UINT, _OBJECT = map(np.dtype, (np.float64, np.float32, np.int64, np.uint64, object))

SPARSE_BYTES: Final = 64 << 20
"""A column of arrays that would take more than this, and is empty in three rows of four, becomes an object column."""

# A column of at least _SPARSE_ROWS rows is kept as a `SparseColumn` if fewer than one row in _SPARSE has the key.
_SPARSE_ROWS: Final = 512
_SPARSE: Final = 16

# Bytes of a table that may be reserved and stay unused, when more rows come than were expected.
_SPARE: Final = 16 << 20
_DENSE: Final = 256  # a column has a main array from this many rows on


def is_sparse(count: int, total: int, size: int) -> bool:
    """Whether a dense column is too large, when *count* of its *total* rows have an array of *size* bytes."""
    return 4 * count < total and total * size > SPARSE_BYTES


def pick_rows(rows: Rows, chosen: Any) -> Ints:
    """The row numbers at the places *chosen* of *rows*."""
    if isinstance(rows, slice):
        return np.asarray(chosen, np.intp) + int(rows.start)
    return np.asarray(rows[chosen])


def _expected_nothing() -> int:
    return 0


class ColumnBuilder:
    """A growing column.

    Most columns are numbers of one type: these are written directly to their places in the result, so that they are
    never held twice. Everything else is kept as blocks, each with the rows that it fills.
    """

    def __init__(self, expected: Callable[[], int] = _expected_nothing) -> None:
        """Start empty; *expected* returns for how many rows a column should have room."""
        self._expected = expected
        self._main: Array | None = None
        self._main_rows: list[Rows] = []  # the rows that are set in the main array
        self._main_count = 0
        self._main_like: tuple[np.dtype[Any], tuple[int, ...]] | None = None  # of the last block that went there
        self._blocks: list[tuple[Rows, Array]] = []
        self._nulls: list[Rows] = []
        self._table_rows = 0  # rows of the whole table, where this column holds only the few rows that have the key

    @property
    def row_size(self) -> int:
        """The size of a row of the main array in bytes."""
        return 0 if self._main is None else self._main.itemsize * math.prod(self._main.shape[1:])

    def extend(self, rows: Rows, values: list[Any]) -> None:
        """Set *rows* to *values*, Python values of any type; None is null."""
        types = set(map(type, values))
        for one in types:
            some, these = values, rows
            if len(types) > 1:
                chosen = [i for i, value in enumerate(values) if type(value) is one]
                some, these = [values[i] for i in chosen], pick_rows(rows, chosen)
            if one is type(None):
                self._nulls.append(these)
                continue
            for places, block in blocks_of(some, one):
                self.put(these if places is None else pick_rows(these, places), block)

    def put_nulls(self, rows: Rows) -> None:
        """Set *rows* to null."""
        self._nulls.append(rows)

    def put_pieces(self, rows: Rows, pieces: Iterable[tuple[Any, Array | None]]) -> None:
        """Set *rows* to *pieces*, each with the rows among them (None for all) and their values (None for nulls)."""
        for some, block in pieces:
            these = rows if some is None else pick_rows(rows, some)
            if block is None:
                self.put_nulls(these)
            else:
                self.put(these, block)

    def put(self, rows: Rows, block: Array) -> None:
        """Set *rows* to a copy of *block*, which has as many rows.

        Single-precision floats in arrays stay float32; all other floats become float64, and all ints int64 or uint64.
        """
        end = int(rows.stop) if isinstance(rows, slice) else int(rows[-1]) + 1 if len(rows) else 0
        main, like = self._main, (block.dtype, block.shape[1:])
        # Nearly all blocks continue a dense column: like the one before, and with room for them in the main array.
        if main is None or like != self._main_like or end > min(len(main), 4 * (self._main_count + len(block))):
            dtype = _dtype_of(block)
            if dtype.kind in "Ou" or not self._fits_main(end, block, dtype):
                self._blocks.append((rows, block if dtype.hasobject else block.astype(dtype)))
                return
            self._main_like = like
        self._put_main(rows, block)

    def _put_main(self, rows: Rows, block: Array) -> None:
        assert self._main is not None
        self._main[rows] = block
        self._main_count += len(block)
        last = self._main_rows[-1] if self._main_rows else None
        if isinstance(rows, slice) and isinstance(last, slice) and last.stop == rows.start:
            self._main_rows[-1] = slice(last.start, rows.stop)
        else:
            self._main_rows.append(rows)

    def _fits_main(self, end: int, block: Array, dtype: np.dtype[Any]) -> bool:
        """Whether *block* goes to the main array; if so, the array has room for rows up to *end* afterwards."""
        main, shape, count = self._main, block.shape[1:], self._main_count + len(block)
        if main is None:
            if end < _DENSE:
                return False  # few rows need no main array
            for _, one in self._blocks:
                if (one.dtype, one.shape[1:]) != (dtype, shape):
                    return False  # the first blocks decide its type
                count += len(one)
        elif (main.dtype, main.shape[1:]) != (dtype, shape):
            return False
        if end >= _SPARSE_ROWS and _SPARSE * count < end:
            return False
        size = dtype.itemsize * math.prod(shape)
        is_dense = 4 * count >= end
        if shape and not is_dense and end * size > SPARSE_BYTES:
            return False
        if main is None or len(main) < end:
            wanted = max(end, self._expected())
            if shape and not is_dense:
                wanted = max(end, min(wanted, SPARSE_BYTES // max(size, 1)))
            if main is not None:
                main.resize((wanted, *shape), refcheck=False)
                return True
            self._main = np.empty((wanted, *shape), dtype)  # touches no memory, unlike resizing
            earlier, self._blocks = self._blocks, []
            for places, one in earlier:
                self._put_main(places, one)
        return True

    def finish(self, total: int) -> Column | SparseColumn:
        """Return the column of *total* rows; the builder cannot be used afterwards."""
        if total >= _SPARSE_ROWS:
            held = self._main_count + sum(len(block) for _, block in self._blocks) + sum(map(_count, self._nulls))
            if _SPARSE * held < total:
                return self._finish_sparse(total)
        return self._finish(total)

    def _finish_sparse(self, total: int) -> SparseColumn:
        parts = [*self._main_rows, *(rows for rows, _ in self._blocks), *self._nulls]
        rows = np.unique(np.concatenate([np.empty(0, np.int64), *map(_numbers, parts)]))
        own = ColumnBuilder()
        own._table_rows = total
        main = [(some, self._main[some]) for some in self._main_rows] if self._main is not None else []
        own._blocks = [(np.searchsorted(rows, _numbers(some)), block) for some, block in [*main, *self._blocks]]
        own._nulls = [np.searchsorted(rows, _numbers(some)) for some in self._nulls]
        return SparseColumn(rows, own._finish(len(rows)), total)

    def _finish(self, total: int) -> Column:
        blocks = self._blocks
        count = self._main_count + sum(len(block) for _, block in blocks)
        state = self._state(total) if count < total else None
        main, self._main = self._main, None
        if main is None and len(blocks) == 1 and state is None:
            block = blocks[0][1]
            if not (block.dtype.hasobject or self._is_sparse(block, count, total)):
                return Column(block)
        if main is not None:
            if not blocks and not self._is_sparse(main, count, total):
                main.resize((total, *main.shape[1:]), refcheck=False)
                return Column(_with_gaps(main, state), state)
            blocks = [*((rows, main[rows]) for rows in self._main_rows), *blocks]
        dtype, shape = _common([block for _, block in blocks])
        if dtype.hasobject:
            return Column(self._objects([(rows, _items(block)) for rows, block in blocks], total), state)
        if self._is_sparse(blocks[0][1], count, total):
            return Column(self._objects([(rows, objects(list(block))) for rows, block in blocks], total), state)
        out = np.empty((total, *shape), dtype)
        for rows, block in blocks:
            out[rows] = block
        return Column(_with_gaps(out, state), state)

    def _is_sparse(self, block: Array, count: int, total: int) -> bool:
        total = max(total, self._table_rows)
        return block.ndim > 1 and is_sparse(count, total, block.itemsize * math.prod(block.shape[1:]))

    def _state(self, total: int) -> npt.NDArray[np.uint8]:
        state = np.full(total, ABSENT, np.uint8)
        for rows in (*self._main_rows, *(rows for rows, _ in self._blocks)):
            state[rows] = VALUE
        for rows in self._nulls:
            state[rows] = NULL
        return state

    def _objects(self, blocks: list[tuple[Rows, Array]], total: int) -> Array:
        out = np.full(total, np.nan, object)
        for rows, block in blocks:
            out[rows] = block
        for rows in self._nulls:
            out[rows] = None
        return out


def _count(rows: Rows) -> int:
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def _numbers(rows: Rows) -> npt.NDArray[np.int64]:
    return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else np.asarray(rows, np.int64)


def _items(block: Array) -> Array:
    """The rows of *block* as Python values."""
    return block if block.dtype == object else objects(block.tolist())


def _dtype_of(block: Array) -> np.dtype[Any]:
    """The dtype in which a column keeps the values of *block*."""
    dtype = block.dtype
    match dtype.kind:
        case "f":
            return _FLOAT32 if dtype.itemsize == 4 and block.ndim > 1 else _FLOAT
        case "i" | "u":
            return _UINT if dtype == _UINT else _INT
        case "b":
            return dtype
    return _OBJECT


def _with_gaps(values: Array, state: npt.NDArray[np.uint8] | None) -> Array:
    """*values*, with NaN or 0 in the rows that have no value."""
    if state is not None:
        values[state != VALUE] = np.nan if values.dtype.kind == "f" else 0
    return values


def _common(blocks: list[Array]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """The dtype and the row shape that can hold all *blocks*; objects where nothing else can."""
    dtypes = {block.dtype for block in blocks}
    kinds = {dtype.kind for dtype in dtypes}
    shapes = {block.shape[1:] for block in blocks}
    nothing_else = np.dtype(object), ()
    if len(shapes) != 1 or "O" in kinds or ("b" in kinds and len(kinds) > 1):
        return nothing_else
    shape = shapes.pop()
    if len(dtypes) == 1:
        return dtypes.pop(), shape
    if kinds >= {"i", "u"} and any(block.dtype.kind == "i" and block.min() < 0 for block in blocks):
        return nothing_else
    return np.dtype(np.float64 if "f" in kinds else np.uint64), shape


class TableBuilder:
    """A growing table of one kind of frame.

    Attributes:
        rows: the number of rows so far.
        expected: the estimated final number of rows. Memory that is reserved and not used is never touched, so it costs
            nothing.
        columns: the wanted columns by name, in the order of first occurrence.

    """

    def __init__(self, kind: Kind, wanted: Sequence[str] | None = None) -> None:
        """Start a table of *kind* with all columns, or only those that are *wanted*."""
        self.kind = kind
        self.rows = 0
        self.expected = 0
        self.columns: dict[str, ColumnBuilder] = {}
        self.time = ColumnBuilder(self._reserved)
        self._wanted = None if wanted is None else list(dict.fromkeys(wanted))
        self._wanted_set = None if wanted is None else frozenset(wanted)
        self._capacity = 0

    def names(self, names: Iterable[str]) -> Iterable[str]:
        """Those of *names* that are wanted."""
        return names if self._wanted_set is None else [name for name in names if name in self._wanted_set]

    def column(self, name: str) -> ColumnBuilder:
        """The column of that name, created on first use."""
        found = self.columns.get(name)
        if found is None:
            found = self.columns[name] = ColumnBuilder(self._reserved)
        return found

    def meet(self, frames: Iterable[tuple[int, Iterable[str]]]) -> None:
        """Create the columns in the order of first occurrence.

        Args:
            frames: row numbers, in any order, each with the names that the frame has.

        """
        for _, names in sorted(frames, key=lambda frame: frame[0]):
            for name in self.names(names):
                if name not in self.columns:
                    self.column(name)

    def add_frames(self, times: Sequence[float], data: Sequence[Mapping[Any, Any]], *, flat: bool = False) -> None:
        """Add a row for each frame, from its time in seconds and its data, which may already be *flat*."""
        rows = slice(self.rows, self.rows + len(times))
        self.rows = rows.stop
        self.time.put(rows, np.fromiter(times, np.float64, len(times)))
        frames: list[Any] = list(data) if flat else [flatten(one) for one in data]
        self.put_frames(rows, frames, alike=len(set(map(tuple, frames))) == 1)

    def put_frames(self, rows: Rows, frames: Sequence[dict[str, Any]], *, alike: bool) -> None:
        """Set *rows* to the values of *frames*, which are flat; their times are not set.

        The frames are *alike* when all have the same keys in the same order.
        """
        if alike:
            columns = dict(zip(frames[0], zip(*(frame.values() for frame in frames), strict=True), strict=True))
            for name in self.names(columns):
                self.column(name).extend(rows, list(columns[name]))
            return
        found: dict[str, tuple[list[int], list[Any]]] = {}
        for i, frame in enumerate(frames):
            for name in self.names(frame):
                chosen, values = found.setdefault(name, ([], []))
                chosen.append(i)
                values.append(frame[name])
        for name, (chosen, values) in found.items():
            self.column(name).extend(pick_rows(rows, chosen), values)

    def add_table(self, table: Table) -> None:
        """Add the rows of *table*."""
        rows = slice(self.rows, self.rows + table.rows)
        self.rows = rows.stop
        self.time.put(rows, table.time)
        for name in self.names(table):
            column, one = self.column(name), table.stored(name)
            if isinstance(one, SparseColumn):
                valid = one.held.valid
                if valid.any():
                    column.put(pick_rows(rows, one.rows[valid]), one.held.values[valid])
                if not valid.all():
                    column.put_nulls(pick_rows(rows, one.rows[~valid]))
                continue
            values, state = one
            if state is None:
                column.put(rows, values)
                continue
            has, nulls = np.flatnonzero(state == VALUE), np.flatnonzero(state == NULL)
            column.put_pieces(rows, [*([(has, values[has])] if len(has) else []), (nulls, None)])

    def finish(self) -> Table:
        """Return the table; the builder cannot be used afterwards. Wanted columns that no row has are left out."""
        names = self._wanted if self._wanted is not None else list(self.columns)
        time = self.time._finish(self.rows).values if self.rows else np.empty(0)
        columns = {name: self.columns[name].finish(self.rows) for name in names if name in self.columns}
        return Table(self.kind, time, columns)

    def _reserved(self) -> int:
        """The number of rows for which a column should have room."""
        if self.rows > self._capacity:
            if not self._capacity:
                self._capacity = max(self.rows, self.expected)
            else:
                row = 8 + sum(column.row_size for column in self.columns.values())
                self._capacity = max(self.rows, min(self.expected, self._capacity + _SPARE // row))
        return self._capacity


def table_of(
    kind: Kind, frames: Iterable[tuple[float, Mapping[Any, Any]]], *, keys: Sequence[str] | None = None
) -> Table:
    """The table of *frames*, pairs of time and data. Every faster way of reading must give the same result.

    Args:
        kind: the kind of the frames.
        frames: consumed a few thousand at a time, so that they never all exist as dicts.
        keys: only these columns, in this order.

    Raises:
        KeyError: when there are rows, and none has one of *keys*.

    """
    builder = TableBuilder(kind)
    for batch in batched(frames, BATCH):
        builder.add_frames([time for time, _ in batch], [data for _, data in batch])
    return builder.finish().select(keys)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """*items* as lists of *size* each; the last may be shorter."""
    items = iter(items)
    while batch := list(itertools.islice(items, size)):
        yield batch


def joined(kind: Kind, tables: Sequence[Table]) -> Table:
    """The rows of *tables*, one after another, as one table."""
    if len(tables) == 1:
        return tables[0]
    builder = TableBuilder(kind)
    builder.expected = sum(table.rows for table in tables)
    for table in tables:
        builder.add_table(table)
    return builder.finish()
