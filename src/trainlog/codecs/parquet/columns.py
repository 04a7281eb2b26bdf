"""Tables out of Parquet: only the columns and the row groups that are wanted, without a Python loop per row.

Frames of which the columns do not tell all are in the column ``frame`` as well. They are decoded one by one, but only
where what is wanted of them is not plain from the columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.wire.payload import decode
from trainlog.codecs.parquet.layout import column_name, pyarrow_modules
from trainlog.model import Kind
from trainlog.table.rows import STEP, Range, Rows, inside
from trainlog.table.table import Column, Table, flatten, number, unknown_key

__all__ = ["groups_of", "read_columns"]

Array = npt.NDArray[Any]

_FRAME: Final = "frame"


def groups_of(file: Any, kind: Kind | None, rows: Rows) -> list[int]:
    """The row groups of the Parquet *file* that may hold such *rows*, by their statistics."""
    places = _places(file)
    step = None if kind is None else places.get(column_name(kind, STEP))
    found = []
    for n in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(n)
        # A step that its column cannot hold is in `frame` alone.
        steps = rows.steps if step is not None and _is_null(group, places[_FRAME]) else None
        if _meets(group, places["time"], rows.time) and _meets(group, step, steps):
            found.append(n)
    return found


def _places(file: Any) -> dict[str, int]:
    """By which numbers the metadata know the columns; one of lists is not called by its name there."""
    return {file.metadata.schema.column(i).path: i for i in range(file.metadata.num_columns)}


def _meets(group: Any, column: int | None, limits: Range | None) -> bool:
    """Whether that column of a row group may have numbers inside of *limits*; its statistics leave NaN out."""
    if column is None or limits is None:
        return True
    if _is_null(group, column):
        return False
    statistics = group.column(column).statistics
    if statistics is None or not statistics.has_min_max or not isinstance(statistics.min, int | float):
        return True
    low, high = limits
    return (low is None or float(statistics.max) >= low) and (high is None or float(statistics.min) < high)


def _is_null(group: Any, column: int) -> bool:
    """Whether that column of a row group is known to be null in every row."""
    statistics = group.column(column).statistics
    return bool(statistics is not None and statistics.has_null_count and statistics.null_count == group.num_rows)


def read_columns(file: Any, kind: Kind, rows: Rows, keys: Sequence[str] | None) -> Table:
    """The *rows* of one kind in the Parquet *file* as a table.

    Args:
        file: the file.
        kind: of which frames.
        rows: only these.
        keys: only these columns, in this order; None for all.

    Raises:
        KeyError: for a key that none of these frames has.

    """
    parts = _parts_of(file, kind, rows, keys)
    if keys is not None and not parts:
        return Table(kind, np.empty(0), {key: np.empty(0) for key in keys})
    if keys is None or not all(_is_plain(parts, key) for key in keys):
        parts = [part.with_frames(file) for part in parts]
    columns: dict[str, Column] = {}
    first: dict[str, tuple[int, int]] = {}
    done = 0
    for part in parts:
        part.put(columns, first, done, keys)
        done += part.rows
    for key in keys or ():
        if key not in columns:
            raise KeyError(unknown_key(key, [*first, *_keys_of(file, kind)], kind))
    names = sorted(first, key=first.__getitem__) if keys is None else keys
    time = np.concatenate([part.time for part in parts]) if parts else np.empty(0)
    return Table(kind, time, {name: columns[name].array(done) for name in names})


def _keys_of(file: Any, kind: Kind) -> list[str]:
    """The keys of a kind that have columns."""
    prefix = column_name(kind, "")
    return [name.removeprefix(prefix) for name in file.schema_arrow.names if name.startswith(prefix)]


def _parts_of(file: Any, kind: Kind, rows: Rows, keys: Sequence[str] | None) -> list[_Part]:
    """The *rows*, by row group. Of the last ones, only the groups at the end are read, until there are enough."""
    groups = groups_of(file, kind, rows)
    if rows.last is None:
        parts = [_Part.read(file, group, kind, rows, keys) for group in groups]
        return [part for part in parts if part.rows]
    parts, missing = [], rows.last
    while groups and missing:
        part = _Part.read(file, groups.pop(), kind, rows, keys)
        if part.rows:
            parts.insert(0, part.take(np.arange(part.rows)[-missing:]))
            missing -= parts[0].rows
    return parts


def _is_plain(parts: Sequence[_Part], key: str) -> bool:
    """Whether the column of *key* tells all of its values, also those of frames that are in ``frame`` as well.

    It does not tell whether a null is a value that it could not hold, nor whether what it has as 2.0 was 2.
    """
    if any(key not in part.arrays or part.arrays[key].null_count for part in parts if part.has_frames):
        return False
    arrays = [part.arrays[key] for part in parts if key in part.arrays]
    # An int beside a float becomes one in the table anyway.
    return not any(str(array.type) == "double" for array in arrays) or any(map(_has_fraction, arrays))


def _has_fraction(array: Any) -> bool:
    values = array.drop_null().to_numpy()
    return bool((np.trunc(values) != values).any())


@dataclass(frozen=True)
class _Part:
    """Rows out of one row group.

    Attributes:
        group: its number.
        places: of the rows in the group.
        time: of each row.
        arrays: the values by key, null where a frame has none, or one that the column cannot hold.
        has_frames: whether there are frames in the group that are in ``frame`` as well.
        frames: such frames' data, by row, once they were read.

    """

    group: int
    places: npt.NDArray[np.intp]
    time: npt.NDArray[np.float64]
    arrays: dict[str, Any]
    has_frames: bool
    frames: dict[int, dict[Any, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Any, group: int, kind: Kind, rows: Rows, keys: Sequence[str] | None) -> _Part:
        """The rows of one row group that are in the ranges of *rows*."""
        wanted = [key for key in _keys_of(file, kind) if keys is None or key in keys]
        more = [STEP] if rows.steps is not None and STEP in _keys_of(file, kind) and STEP not in wanted else []
        names = {key: column_name(kind, key) for key in (*wanted, *more)}
        pa, _ = pyarrow_modules()
        table = file.read_row_group(group, columns=["time", "kind", *names.values()])
        kinds = table["kind"].cast(pa.string()).to_numpy()
        part = cls(
            group,
            np.arange(table.num_rows),
            table["time"].to_numpy(),
            {key: table[name].combine_chunks() for key, name in names.items()},
            not _is_null(file.metadata.row_group(group), _places(file)[_FRAME]),
        ).take(np.flatnonzero(kinds == str(kind)))
        if rows.time is not None:
            part = part.take(np.flatnonzero(inside(part.time, rows.time)))
        if rows.steps is not None:
            part = part.take(np.flatnonzero(inside(part.steps(file), rows.steps)))
        return replace(part, arrays={key: part.arrays[key] for key in wanted})

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.places)

    def take(self, chosen: Array) -> _Part:
        """The rows with these numbers."""
        if len(chosen) == self.rows:
            return self
        arrays = {key: array.take(chosen) for key, array in self.arrays.items()}
        return replace(self, places=self.places[chosen], time=self.time[chosen], arrays=arrays)

    def with_frames(self, file: Any) -> _Part:
        """The same, with the data of those that are in ``frame`` as well."""
        if not (self.has_frames and self.rows):
            return self
        packed = file.read_row_group(self.group, columns=[_FRAME])[_FRAME].take(self.places).to_pylist()
        return replace(self, frames={row: decode(one) for row, one in enumerate(packed) if one is not None})

    def steps(self, file: Any) -> npt.NDArray[np.float64]:
        """The step of each row as a number; NaN where it is none."""
        array = self.arrays.get(STEP)
        steps = np.full(self.rows, np.nan)
        if array is not None and str(array.type) in ("double", "int64"):
            steps[:] = array.to_numpy(zero_copy_only=False)
        elif array is not None:
            steps[:] = [number(value) for value in array.to_pylist()]
        if array is None or array.null_count:
            for row, data in self.with_frames(file).frames.items():
                steps[row] = number(data.get(STEP))
        return steps

    def put(
        self,
        columns: dict[str, Column],
        first: dict[str, tuple[int, int]],
        start: int,
        keys: Sequence[str] | None,
    ) -> None:
        """Add the rows to *columns*, from row *start* on; *first* says where each key was met first: row and place."""
        told = np.ones(self.rows, np.bool_)
        told[list(self.frames)] = False
        for place, (key, array) in enumerate(self.arrays.items()):
            rows = np.flatnonzero(told & array.is_valid().to_numpy(zero_copy_only=False))
            if len(rows):
                first.setdefault(key, (start + int(rows[0]), place))
                some = array if len(rows) == self.rows else array.take(rows)
                _put(columns.setdefault(key, Column()), rows + start, some)
        values: dict[str, dict[int, Any]] = {}
        for row, data in self.frames.items():
            for place, (key, value) in enumerate(flatten(data).items()):
                first[key] = min(first.get(key, (start + row, place)), (start + row, place))
                if keys is None or key in keys:
                    values.setdefault(key, {})[start + row] = value
        for key, by_row in values.items():
            columns.setdefault(key, Column()).extend(np.fromiter(by_row, np.intp), list(by_row.values()))


def _put(column: Column, rows: npt.NDArray[np.intp], array: Any) -> None:
    """Set *rows* of *column* to the values of *array*, none of which is null."""
    pa, _ = pyarrow_modules()
    leaf, shape = array, []
    while pa.types.is_fixed_size_list(leaf.type):
        shape.append(leaf.type.list_size)
        leaf = leaf.flatten()
    if str(leaf.type) in ("double", "int64", "bool") and len(leaf) == len(array) * math.prod(shape):
        column.put(rows, np.array(leaf.to_numpy(zero_copy_only=False)).reshape(len(array), *shape))
    else:
        column.extend(rows, array.to_pylist())
