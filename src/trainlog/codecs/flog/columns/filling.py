"""A table as it is filled, batch after batch, without ever being held twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.columns.record_layout import Match
from trainlog.codecs.flog.columns.sorter import Sorted
from trainlog.codecs.flog.wire.payload import decode
from trainlog.model import Kind
from trainlog.table.table import Column, Table, flatten, unknown_key

__all__ = ["Filling"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Rows = Array | slice

# So many bytes of a table may be reserved in vain, when more rows come than were expected.
_SPARE: Final = 16 << 20
_CHUNK: Final = 1 << 16

_TYPES: Final = {"f": np.float64, "i": np.int64, "u": np.int64, "b": np.bool_}


class Filling:
    """The table of one kind of frame, which grows by batches.

    Attributes:
        rows: how many it has by now.
        expected: how many it will have at the end, as far as one can tell. Memory that is reserved and not used is
            never touched, so that it costs nothing.

    """

    def __init__(self, kind: Kind, keys: Sequence[str] | None) -> None:
        self.rows = 0
        self.expected = 0
        self._kind = kind
        self._keys = keys
        self._wanted = None if keys is None else frozenset(keys)
        self._names: dict[str, None] = {}
        self._columns: dict[str, _FilledColumn] = {}
        self._capacity = 0
        self._time = _FilledColumn(self._reserved)

    def add(self, batch: Sorted, chosen: npt.NDArray[np.bool_] | None = None) -> None:
        """Add the frames of *batch*, in the file's order; only those that are *chosen*, when that is given."""
        matches, decoded = batch.matches, batch.decoded
        total = sum(len(rows) for rows, _ in matches) + len(decoded)
        number = np.arange(self.rows, self.rows + total)
        if chosen is not None:
            number = self.rows - 1 + np.cumsum(chosen)
            total = int(chosen.sum())
            matches = [(rows[some], match.take(some)) for rows, match in matches if (some := chosen[rows]).any()]
            decoded = [entry for entry in decoded if chosen[entry[0]]]
        self.rows += total
        flat = [(row, flatten(data)) for row, _, data in decoded]
        self._meet([(int(rows[0]), match.plan.names) for rows, match in matches] + flat)
        for rows, match in matches:
            self._add_match(_tight(number[rows]), match)
        if decoded:
            rows = number[[row for row, _, _ in decoded]]
            self._time.extend(rows, [time for _, time, _ in decoded])
            self._add_flat(rows, [data for _, data in flat])

    def add_frame(self, time: float, data: Any) -> None:
        """Add one frame."""
        self.add(Sorted([], [(0, time, data)], None))

    def table(self) -> Table:
        """All that was added, as columns. The filling is spent.

        Raises:
            KeyError: when there are rows, and none of them has one of the keys.

        """
        if self._keys is not None:
            if not self.rows:
                return Table(self._kind, np.empty(0), {key: np.empty(0) for key in self._keys})
            for key in self._keys:
                if key not in self._names:
                    raise KeyError(unknown_key(key, self._names, self._kind))
        names = self._names if self._keys is None else dict.fromkeys(self._keys)
        columns = {name: self._columns.pop(name).array(self.rows) for name in names}
        return Table(self._kind, self._time.array(self.rows) if self.rows else np.empty(0), columns)

    def _meet(self, frames: list[tuple[int, Any]]) -> None:
        """Note the names of columns in the order of first sight; *frames* are rows, each with its names."""
        for _, names in sorted(frames, key=lambda frame: frame[0]):
            for name in names:
                if name not in self._names:
                    self._names[name] = None
                    if self._wanted is None or name in self._wanted:
                        self._columns[name] = _FilledColumn(self._reserved)

    def _add_match(self, rows: Rows, match: Match) -> None:
        self._time.put(rows, match.time)
        for name in self._keys or match.plan.names:
            field = match.plan.fields.get(name)
            if field is None or name not in self._columns:
                continue
            column = self._columns[name]
            pieces = match.pieces(field)
            if pieces is None:
                column.extend(rows, [flatten(decode(match.payload(i)))[name] for i in range(len(match))])
                continue
            for some, block in pieces:
                these = rows if some is None else _picked(rows, some)
                if block is None:
                    column.put_none(these)
                else:
                    column.put(these, block)

    def _add_flat(self, rows: Array, frames: list[dict[str, Any]]) -> None:
        first = frames[0].keys()
        if all(frame.keys() == first for frame in frames):
            for name in first if self._wanted is None else self._wanted & first:
                self._columns[name].extend(rows, [frame[name] for frame in frames])
            return
        for name, column in self._columns.items():
            some = [i for i, frame in enumerate(frames) if name in frame]
            if some:
                column.extend(rows[some], [frames[i][name] for i in some])

    def _reserved(self) -> int:
        """For how many rows a column should have room."""
        if self.rows > self._capacity:
            if not self._capacity:
                self._capacity = max(self.rows, self.expected)
            else:
                row = 8 + sum(column.row_size for column in self._columns.values())
                self._capacity = max(self.rows, min(self.expected, self._capacity + _SPARE // row))
        return self._capacity


class _FilledColumn(Column):
    """A column whose values mostly are of one type: they go to their place in the result at once."""

    def __init__(self, reserved: Callable[[], int]) -> None:
        super().__init__()
        self._reserved = reserved
        self._main: Array | None = None
        self._count = 0  # how many rows of the main array are set
        self._set: list[Rows] = []  # and which

    @property
    def row_size(self) -> int:
        """Bytes of a row."""
        return 0 if self._main is None else self._main.itemsize * int(np.prod(self._main.shape[1:]))

    def put_none(self, rows: Rows) -> None:
        """Set *rows* to ``None``."""
        self._none.append(rows)

    def put(self, rows: Rows, block: Array) -> None:
        """Set *rows* to a copy of *block*."""
        main = self._main
        dtype = _TYPES.get(block.dtype.kind)
        if dtype is None or block.dtype == np.uint64:
            super().put(rows, block)
            return
        if main is None:
            main = self._main = np.empty((self._reserved(), *block.shape[1:]), dtype)
        if main.dtype != dtype or main.shape[1:] != block.shape[1:]:
            super().put(rows, block.astype(dtype))
            return
        if len(main) < (capacity := self._reserved()):
            main.resize((capacity, *main.shape[1:]), refcheck=False)
        main[rows] = block
        self._count += len(block)
        last = self._set[-1] if self._set else None
        if isinstance(rows, slice) and isinstance(last, slice) and last.stop == rows.start:
            self._set[-1] = slice(last.start, rows.stop)
        else:
            self._set.append(rows)

    def array(self, total: int) -> Array:
        """The column of *total* rows, by the rules of `trainlog.table.table`."""
        main, self._main = self._main, None
        if main is None:
            return super().array(total)
        main.resize((total, *main.shape[1:]), refcheck=False)
        if self._count == total:
            return main
        others = [block for _, block in self._blocks]
        if main.dtype.kind == "b" or any(
            block.dtype.kind not in "fi" or block.shape[1:] != main.shape[1:] for block in others
        ):
            self._blocks[:0] = [(rows, main[rows]) for rows in self._set]
            return super().array(total)
        out = _as_floats(main)
        if self._count + sum(map(len, others)) < total:
            empty = np.ones(total, np.bool_)
            for rows in (*self._set, *(rows for rows, _ in self._blocks)):
                empty[rows] = False
            out[empty] = np.nan
        for rows, block in self._blocks:
            out[rows] = block
        return out


def _as_floats(array: Array) -> Array:
    """*array*, which is of int64 or float64, as float64 in the same memory."""
    if array.dtype == np.float64:
        return array
    ints = array.reshape(-1)
    floats = ints.view(np.float64)
    for start in range(0, len(ints), _CHUNK):
        floats[start : start + _CHUNK] = ints[start : start + _CHUNK].astype(np.float64)
    return floats.reshape(array.shape)


def _tight(rows: Ints) -> Rows:
    """Ascending row numbers as a slice, where they have no holes: that is faster, and takes no memory."""
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows


def _picked(rows: Rows, some: Ints) -> Array:
    return some + int(rows.start) if isinstance(rows, slice) else np.asarray(rows[some])
