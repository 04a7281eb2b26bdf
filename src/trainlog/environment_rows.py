"""Splits frames and events, which hold one environment or many at once, by environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.conventions import EPISODE_END, EPISODE_START, RANK, Conventions
from trainlog.table.builder import ColumnBuilder, joined
from trainlog.table.column import NULL, Column, SparseColumn
from trainlog.table.table import Table
from trainlog.table.values import objects

__all__ = [
    "EnvironmentKey",
    "EnvironmentRows",
    "EpisodeMark",
    "by_environment",
    "dense_table",
    "environment_numbers",
    "episode_marks",
    "last_environment",
    "steps_by_environment",
    "together",
]

Ints = npt.NDArray[np.int64]


class EnvironmentKey(NamedTuple):
    """Identifies an environment: the process, and the environment within it."""

    rank: Any
    env: Any

    def __str__(self) -> str:
        """Its name: its number, after the rank of its process if there is one."""
        return "/".join(str(one) for one in self if one is not None)


class EpisodeMark(NamedTuple):
    """An event that begins or ends an episode of one environment."""

    order: int
    time: float
    key: EnvironmentKey
    begins: bool
    data: Mapping[str, Any]


def episode_marks(events: Table, order: Ints, conventions: Conventions) -> Iterator[EpisodeMark]:
    """The marks among *events*, whose orders in the log are *order*; an event of N environments gives N marks."""
    kind = conventions.event_type(events)
    if kind is None:
        return
    rows = np.flatnonzero([what in (EPISODE_START, EPISODE_END) for what in events[kind].tolist()])
    env_key = conventions.find("env", events)
    for place, frame in zip(order[rows].tolist(), events.rows_where(rows).frames(), strict=True):
        begins = frame.data[kind] == EPISODE_START
        for env, data in by_environment(frame.data, env_key):
            yield EpisodeMark(place, frame.time, EnvironmentKey(_hashable(data.get(RANK)), env), begins, data)


def by_environment(data: Mapping[Any, Any], key: str | None) -> Iterator[tuple[Any, Mapping[Any, Any]]]:
    """Yield the data of one frame by environment: the environment, None if there is none, and its part of the data.

    Args:
        data: the data of a frame or event, see `episodes`.
        key: the key of the environment.

    """
    env = None if key is None else data.get(key)
    if not isinstance(env, list):
        yield _hashable(env), data
        return
    for n, one in enumerate(env):
        if not (isinstance(one, int) and one < 0):
            yield _hashable(one), _part(data, n, len(env))


def _part(data: Mapping[Any, Any], n: int, count: int) -> dict[Any, Any]:
    return {
        key: value[n]
        if isinstance(value, list) and len(value) == count
        else _part(value, n, count)
        if isinstance(value, Mapping)
        else value
        for key, value in data.items()
    }


@dataclass(slots=True)
class EnvironmentRows:
    """The rows of one environment in a batch.

    Attributes:
        table, order: the table and the orders of the batch, or of a part of it.
        rows: the indices of its rows, ascending; None means all.
        place: the index of the environment in a frame, and their number; None for frames of one environment.

    """

    table: Table
    order: Ints
    rows: Ints | None = None
    place: tuple[int, int] | None = None

    @property
    def places(self) -> Ints:
        """The orders of its rows in the log."""
        return self.order if self.rows is None else self.order[self.rows]

    def between(self, begin: int, end: int | None) -> tuple[Ints, Table] | None:
        """The orders and the table of the rows after the order *begin* and before *end*; None if there are none."""
        order = self.places
        first = int(np.searchsorted(order, begin, "right"))
        last = len(order) if end is None else int(np.searchsorted(order, end))
        if first >= last:
            return None
        rows: Any = slice(first, last) if self.rows is None else self.rows[first:last]
        if self.place is None:
            return order[first:last], self.table.rows_where(rows)
        columns = {key: _of_place(self.table.column(key), rows, *self.place) for key in self.table}
        return order[first:last], Table(self.table.kind, self.table.time[rows], columns)


def together(several: Sequence[EnvironmentRows], begin: int = -1, end: int | None = None) -> tuple[Ints, Table] | None:
    """Like `EnvironmentRows.between`, for frames of several shapes that hold the same environment."""
    parts = [part for part in (rows.between(begin, end) for rows in several) if part is not None]
    if len(parts) < 2:
        return parts[0] if parts else None
    order = np.concatenate([order for order, _ in parts])
    rows = np.argsort(order, kind="stable")
    return order[rows], joined(parts[0][1].kind, [table for _, table in parts]).rows_where(rows)


def _of_place(column: Column, rows: Ints, place: int, count: int) -> Column:
    """The values of one environment in *rows*; a value that is not a list of *count* items applies to all."""
    values, state = column.values, None if column.state is None else column.state[rows]
    if values.ndim > 1:
        return Column(values[rows, place] if values.shape[1] == count else values[rows], state)
    if values.dtype != object:
        return Column(values[rows], state)
    listed = values[rows].tolist()
    own = [one[place] if isinstance(one, list | np.ndarray) and len(one) == count else one for one in listed]
    return Column(objects(own), state)


def steps_by_environment(
    table: Table, order: Ints, conventions: Conventions
) -> Mapping[EnvironmentKey, list[EnvironmentRows]]:
    """The rows of a batch by process and environment.

    Args:
        table: the table of the batch.
        order: int64, shape (rows,), ascending: the order of each row in the log.
        conventions: the conventions of the log.

    """
    found: dict[EnvironmentKey, list[EnvironmentRows]] = {}
    name = conventions.find("env", table)
    for rank, ranked, ranked_order in _by_value(table, order, RANK):
        for count, part, places in _by_count(ranked, ranked_order, name):
            if name is None or count < 0:
                for env, own_table, own_order in _by_value(part, places, name):
                    found.setdefault(EnvironmentKey(rank, env), []).append(EnvironmentRows(own_table, own_order))
                continue
            ids = _dense(part.column(name))
            for place in range(count):
                for env, rows in _rows_by_value(ids[:, place]):
                    if not (isinstance(env, int) and env < 0):
                        found.setdefault(EnvironmentKey(rank, env), []).append(
                            EnvironmentRows(part, places, rows, (place, count))
                        )
    return found


def last_environment(grouped: Mapping[EnvironmentKey, Sequence[EnvironmentRows]]) -> EnvironmentKey | None:
    """The environment of `steps_by_environment` with the last row, the first of several; None if there are no rows.

    Its path is the one that is shown, because the paths of several environments do not make one path.
    """
    ends = {key: max(int(one.places[-1]) for one in rows) for key, rows in grouped.items()}
    return max(ends, key=lambda key: ends[key], default=None)


def _by_value(table: Table, order: Ints, name: str | None) -> Iterator[tuple[Any, Table, Ints]]:
    """The parts of *table* with the same value in the column *name*; the value is None for rows without one."""
    if name is None or name not in table:
        yield None, table, order
        return
    groups = _rows_by_value(table[name])
    for value, rows in groups:
        if len(groups) == 1:
            yield value, table, order
        else:
            yield value, table.rows_where(rows), order[rows]


def _by_count(table: Table, order: Ints, name: str | None) -> Iterator[tuple[int, Table, Ints]]:
    """The parts of *table* whose frames hold the same number of environments; -1 for frames of one environment."""
    if name is None or name not in table:
        yield -1, table, order
        return
    column = table.column(name)
    if column.values.ndim == 2 and column.state is None:
        yield column.values.shape[1], table, order
        return
    if column.values.ndim > 2 or (column.values.ndim == 1 and column.values.dtype != object):
        yield -1, table, order
        return
    valid = column.valid.tolist()
    several = [
        len(one) if known and isinstance(one, list | np.ndarray) else -1
        for one, known in zip(column.values, valid, strict=True)
    ]
    groups = _rows_by_value(np.array(several))
    for count, rows in groups:
        if len(groups) == 1:
            yield count, table, order
        else:  # converted again, because columns of lists of different lengths are objects
            part = table.rows_where(rows)
            yield count, dense_table(part), order[rows]


def _dense(column: Column) -> npt.NDArray[Any]:
    """A column of lists of the same length as an array of shape (rows, length)."""
    if column.values.ndim > 1:
        return column.values
    return np.stack([objects(list(one)) for one in column.values])


def dense_table(part: Table) -> Table:
    """*part* with arrays for columns that are objects only because of the rows that were around its own."""
    columns: dict[str, Column | SparseColumn] = {}
    for key in part:
        column = part.column(key)
        if column.values.dtype == object:
            builder, rows = ColumnBuilder(), np.flatnonzero(column.valid)
            builder.extend(rows, column.values[rows].tolist())
            if column.state is not None:
                builder.put_nulls(np.flatnonzero(column.state == NULL))
            columns[key] = builder.finish(part.rows)
        else:
            columns[key] = column
    return Table(part.kind, part.time, columns)


def _rows_by_value(values: npt.NDArray[Any]) -> list[tuple[Any, Ints]]:
    """Each value and its rows, ascending; None for NaN, which stands for an absent value."""
    is_plain = values.ndim == 1 and values.dtype.kind in "iub"
    if is_plain and len(values) and (values == values[0]).all():
        return [(values[0].item(), np.arange(len(values)))]
    names, codes = _numbered(values)
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(1, len(names)))
    return list(zip(names, np.split(order, ends), strict=True))


def _numbered(values: npt.NDArray[Any]) -> tuple[list[Any], Ints]:
    """The different values, and the number of that in each row; None for NaN, which stands for an absent value."""
    if values.ndim == 1 and values.dtype.kind in "iub":
        found, codes = np.unique(values, return_inverse=True)
        return found.tolist(), codes
    numbers: dict[Any, int] = {}
    listed = [_hashable(None if value != value else value) for value in values.tolist()]
    codes = np.array([numbers.setdefault(value, len(numbers)) for value in listed], np.int64)
    return list(numbers), codes


def environment_numbers(values: npt.NDArray[Any]) -> Ints:
    """Number the environments in a column of their ids or ranks; frames of several environments count as one."""
    if values.ndim > 1:
        return np.zeros(len(values), np.int64)
    if values.dtype == object:
        values = objects([None if isinstance(one, list | np.ndarray) else one for one in values.tolist()])
    return _numbered(values)[1]


def _hashable(value: Any) -> Any:
    """*value* as the name of an environment: an integral float becomes an int (absent rows make a column float)."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if value is None or isinstance(value, int | float | str | bytes) else str(value)
