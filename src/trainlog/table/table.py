"""Frames of one kind as numpy columns.

The rules, which every codec's faster path must keep as well:

- A nested map is flattened, its keys joined by ``/``. An empty map is a value like any other.
- Numbers are int64 (uint64, or objects, where they do not fit) or float64; ints and floats together are float64.
- Bools stay bools, strings are objects. A column of unlike values is an object column and keeps each of them.
- Lists of numbers that all have one shape are one array of one dimension more. Other lists are objects. In a list,
  ints and floats together are floats.
- Where a frame lacks the key the column holds NaN: numbers become float64, all else objects.
- ``None`` among numbers is NaN; elsewhere it stays ``None``.
- Keys that are no strings are named by ``str()``; a name that comes up twice in a frame is numbered, ``key#2``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.model import Frame, Kind
from trainlog.table.arrow import arrow_table, extra, with_time

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

__all__ = ["Table", "flatten", "joined", "table_of"]

Array = npt.NDArray[Any]

_BATCH = 4096


class _Absent:
    """The value of a key that a frame does not have; ``None`` is a value of its own."""


_ABSENT = _Absent()


class Table(Mapping[str, Array]):
    """Columns by name, all of one length, and the time of each row.

    It is a mapping: ``table["reward"]``, ``dict(table)``, ``np.savez("stats.npz", **table)``.

    Attributes:
        kind: the kind of frame that the rows were.
        time: float64, shape (rows,); seconds since the run began.
        rows: how many.

    """

    __slots__ = ("_columns", "kind", "time")

    def __init__(self, kind: Kind, time: npt.NDArray[np.float64], columns: Mapping[str, Array]) -> None:
        self.kind = kind
        self.time = time
        self._columns = dict(columns)
        for key, column in self._columns.items():
            if len(column) != len(time):
                raise ValueError(f"column {key!r} has {len(column)} rows, the table {len(time)}")

    @property
    def rows(self) -> int:
        """How many frames there were."""
        return len(self.time)

    def __getitem__(self, key: str) -> Array:
        try:
            return self._columns[key]
        except KeyError:
            raise KeyError(unknown_key(key, self._columns, self.kind)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"<Table {self.kind}: {self.rows} rows × {len(self)} columns>"

    def numbers(self, key: str) -> npt.NDArray[np.float64]:
        """A column as float64 whatever it was logged as; what is no number is NaN.

        Bools are 1 and 0. Strings that spell a number (``"1.5"``), or ``True`` and ``False``, are that number:
        the original FLOG writer stored numpy scalars so.

        Raises:
            KeyError: when there is no such column.

        """
        column = self[key]
        if column.dtype != object:
            return column.astype(np.float64, copy=False)
        return np.fromiter(map(number, column), np.float64, len(column))

    def rows_where(self, mask: Array) -> Table:
        """The rows that *mask* (bools, indices or a slice) chooses, as numpy does."""
        return Table(self.kind, self.time[mask], {key: column[mask] for key, column in self._columns.items()})

    def to_arrow(self) -> pyarrow.Table:
        """The table as Apache Arrow has it, its first column ``time``; see `trainlog.table.arrow.arrow_table`.

        Raises:
            MissingExtra: without pyarrow: ``pip install "trainlog[arrow]"``.

        """
        return arrow_table(with_time(self.time, self._columns))

    def to_polars(self) -> polars.DataFrame:
        """The table as a polars frame, its first column ``time``; it shares the memory of the numbers.

        Raises:
            MissingExtra: without polars and pyarrow: ``pip install polars "trainlog[arrow]"``.

        """
        frame: polars.DataFrame = extra("polars", 'polars "trainlog[arrow]"').from_arrow(self.to_arrow())
        return frame

    def to_pandas(self) -> pandas.DataFrame:
        """The table as a pandas frame, its first column ``time``; it shares the memory of the numbers.

        Columns of more dimensions come one by one, ``pos/0``, ``pos/1`` and so on.

        Raises:
            MissingExtra: without pandas: ``pip install pandas``.

        """
        flat: dict[str, Array] = {}
        for name, column in with_time(self.time, self._columns).items():
            for place in np.ndindex(column.shape[1:]):
                flat["/".join([name, *map(str, place)])] = column[(slice(None), *place)]
        return extra("pandas", "pandas").DataFrame(flat, copy=False)

    def frames(self) -> Iterator[Frame]:
        """The rows as frames, under the columns' names."""
        keys = tuple(self._columns)
        for start in range(0, self.rows, _BATCH):
            rows = slice(start, start + _BATCH)
            columns = [column[rows].tolist() for column in self._columns.values()]
            values = zip(*columns, strict=True) if columns else itertools.repeat(())
            for time, row in zip(self.time[rows].tolist(), values, strict=False):
                yield Frame(time, self.kind, dict(zip(keys, row, strict=True)))


def joined(kind: Kind, tables: Sequence[Table]) -> Table:
    """The rows of *tables*, one after another, as one table; by the same rules as if they had been read as one."""
    if len(tables) == 1:
        return tables[0]
    columns: dict[str, Column] = {}
    done = 0
    for table in tables:
        for key, block in table.items():
            columns.setdefault(key, Column()).put(slice(done, done + table.rows), block)
        done += table.rows
    time = np.concatenate([table.time for table in tables]) if tables else np.empty(0)
    return Table(kind, time, {key: column.array(done) for key, column in columns.items()})


def unknown_key(key: str, known: Iterable[str], kind: Kind) -> str:
    """One sentence for a key that is not there, with the nearest ones that are."""
    import difflib

    near = difflib.get_close_matches(key, list(known), 3, 0.5)
    return f"no {kind} frame has the key {key!r}" + (f"; near it: {', '.join(near)}" if near else "")


def number(value: Any) -> float:
    """*value* as `Table.numbers` takes it."""
    if isinstance(value, str) and value in ("True", "False"):
        return float(value == "True")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


_TEXT: Final = frozenset([str])


def flatten(data: Mapping[Any, Any]) -> dict[str, Any]:
    """One frame's data as a flat dict under the column names of `Table`; *data* itself where it is flat already."""
    if type(data) is dict and _TEXT.issuperset(map(type, data)):
        types = set(map(type, data.values()))
        if dict not in types and not any(issubclass(one, Mapping) for one in types):
            return data
    flat: dict[str, Any] = {}
    _flatten_into(flat, data, "")
    return flat


def _flatten_into(flat: dict[str, Any], data: Mapping[Any, Any], prefix: str) -> None:
    for key, value in data.items():
        name = prefix + key if type(key) is str else f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            _flatten_into(flat, value, f"{name}/")
            continue
        if name in flat:
            name = next(f"{name}#{n}" for n in itertools.count(2) if f"{name}#{n}" not in flat)
        flat[name] = value


def table_of(
    kind: Kind, rows: Iterable[tuple[float, Mapping[Any, Any]]], *, keys: Sequence[str] | None = None
) -> Table:
    """Gather *rows* of (time, data) as columns, a few thousand at a time, so that they never all exist as dicts.

    Raises:
        KeyError: when there are rows, and none has one of *keys*.

    """
    times: list[npt.NDArray[np.float64]] = []
    columns: dict[str, Column] = {}
    wanted = None if keys is None else frozenset(keys)
    done = 0
    rows = iter(rows)
    while batch := list(itertools.islice(rows, _BATCH)):
        times.append(np.fromiter((time for time, _ in batch), np.float64, len(batch)))
        for name, values in _transpose([flatten(data) for _, data in batch]).items():
            if name not in columns:
                columns[name] = Column()
            if wanted is None or name in wanted:
                columns[name].extend(slice(done, done + len(batch)), values)
        done += len(batch)
    time = np.concatenate(times) if times else np.empty(0)
    if keys is None:
        return Table(kind, time, {name: column.array(done) for name, column in columns.items()})
    if not done:
        return Table(kind, time, {key: np.empty(0) for key in keys})
    for key in keys:
        if key not in columns:
            raise KeyError(unknown_key(key, columns, kind))
    return Table(kind, time, {key: columns[key].array(done) for key in keys})


def _transpose(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    first = rows[0].keys()
    if all(row.keys() == first for row in rows):
        return {name: [row[name] for row in rows] for name in first}
    names = dict.fromkeys(itertools.chain.from_iterable(rows))
    return {name: [row.get(name, _ABSENT) for row in rows] for name in names}


class Column:
    """One column as it grows: blocks of values of one type, each with the rows that it fills.

    Types are kept apart until all is known, so that the result does not depend on where the blocks begin.
    """

    def __init__(self) -> None:
        self._blocks: list[tuple[Array | slice, Array]] = []
        self._none: list[Array | slice] = []

    def extend(self, rows: Array | slice, values: list[Any]) -> None:
        """Set *rows* (row numbers, or a slice) to *values*; those that are ``_ABSENT`` stay empty."""
        types = set(map(type, values))
        if len(types) == 1:
            self._put_one_type(rows, values, types.pop())
            return
        for one in types:
            chosen = [i for i, value in enumerate(values) if type(value) is one]
            self._put_one_type(_picked(rows, chosen), [values[i] for i in chosen], one)

    def _put_one_type(self, rows: Array | slice, values: list[Any], one: type) -> None:
        if one is type(None):
            self._none.append(rows)
        elif one is not _Absent:
            for chosen, block in _blocks_of(values, one):
                self.put(rows if chosen is None else _picked(rows, chosen), block)

    def put(self, rows: Array | slice, block: Array) -> None:
        """Set *rows* (row numbers, or a slice) to *block*, which has as many rows."""
        self._blocks.append((rows, block))

    def array(self, total: int) -> Array:
        """The column of *total* rows, by the rules above."""
        complete = sum(len(block) for _, block in self._blocks) == total
        dtype, shape = _common([block for _, block in self._blocks], complete=complete)
        if len(self._blocks) == 1 and complete and self._blocks[0][1].dtype == dtype:
            return self._blocks[0][1]
        if dtype.hasobject:
            return self._objects(total)
        out = np.empty((total, *shape), dtype) if complete else np.full((total, *shape), np.nan, dtype)
        for rows, block in self._blocks:
            out[rows] = block
        return out

    def _objects(self, total: int) -> Array:
        out = np.full(total, np.nan, object)
        for rows, block in self._blocks:
            out[rows] = block if block.dtype == object else objects(block.tolist())
        for rows in self._none:
            out[rows] = None
        return out


def objects(values: list[Any]) -> Array:
    """A 1-D object array of *values*, which may be lists themselves."""
    return np.fromiter(values, object, len(values))


def _picked(rows: Array | slice, chosen: list[int]) -> Array:
    """The rows that stand at the places *chosen* of *rows*."""
    if isinstance(rows, slice):
        return np.array(chosen, np.intp) + int(rows.start)
    return np.asarray(rows[chosen])


_DTYPES: Final[dict[frozenset[type], tuple[type, ...]]] = {
    frozenset(): (np.float64,),
    frozenset([float]): (np.float64,),
    frozenset([int]): (np.int64, np.uint64),
    frozenset([int, float]): (np.float64,),
    frozenset([bool]): (np.bool_,),
}


def _blocks_of(values: list[Any], one: type) -> list[tuple[list[int] | None, Array]]:
    """*values*, all of type *one*, as the tightest arrays that keep each of them; and which values each array holds.

    What a value becomes depends on itself alone, not on those that happen to stand beside it.
    """
    if one is float or one is bool:
        return [(None, np.array(values, one))]
    if one is not int and one is not list:
        return [(None, objects(values))]
    types = frozenset([int]) if one is int else frozenset(_leaf_types(values))
    if types in _DTYPES and len(types) < 2:
        try:
            return [(None, np.array(values, _DTYPES[types][0]))]
        except (ValueError, OverflowError):
            pass  # lists that are not of one shape, ints that are too large
    return _blocks_by_value(values)


def _blocks_by_value(values: list[Any]) -> list[tuple[list[int] | None, Array]]:
    alike: dict[tuple[np.dtype[Any], tuple[int, ...]], list[int]] = {}
    for i, value in enumerate(values):
        array = _tight(value)
        alike.setdefault((array.dtype, array.shape), []).append(i)
    blocks: list[tuple[list[int] | None, Array]] = []
    for (dtype, _), chosen in alike.items():
        some = [values[i] for i in chosen]
        blocks.append((chosen, objects(some) if dtype.hasobject else np.array(some, dtype)))
    return blocks


def _tight(value: Any) -> Array:
    """An int or a list as the tightest array that keeps it, of dtype object when there is none of numbers."""
    types = frozenset([int]) if type(value) is int else frozenset(_leaf_types([value]))
    for dtype in _DTYPES.get(types, ()):
        try:
            return np.array(value, dtype)
        except OverflowError:
            continue
        except ValueError:
            break
    return np.empty((), object)


def _leaf_types(values: list[list[Any]]) -> set[type]:
    types = set(map(type, itertools.chain.from_iterable(values)))
    if types == {list}:
        return _leaf_types(list(itertools.chain.from_iterable(values)))
    return types


def _common(blocks: list[Array], *, complete: bool) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """The dtype and the shape of a row that hold all of *blocks*; objects where nothing else does."""
    kinds = {block.dtype.kind for block in blocks}
    shapes = {block.shape[1:] for block in blocks}
    nothing_else = np.dtype(object), ()
    if len(shapes) != 1 or "O" in kinds:
        return nothing_else
    shape = shapes.pop()
    if "b" in kinds:
        return (np.dtype(np.bool_), shape) if complete and len(kinds) == 1 else nothing_else
    if kinds >= {"i", "u"} and any(block.dtype.kind == "i" and block.min() < 0 for block in blocks):
        return nothing_else
    if "f" in kinds or not complete:
        return np.dtype(np.float64), shape
    return np.dtype(np.uint64 if "u" in kinds else np.int64), shape
