"""The rows that a scan selects from each file of a log, and the rows of one kind of all files as one table.

The files are merged by the latest time up to each frame, as times may step back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.shards.files import Shard
from trainlog.conventions import RANK
from trainlog.model import Kind
from trainlog.scan import Batch, Ints, Place, Scan, damage_handler
from trainlog.table.builder import TableBuilder
from trainlog.table.table import Table

__all__ = ["BEGIN", "Floats", "ShardRows", "keep_last", "latest_times", "merged"]

BEGIN: Final = "0-"  # the position before the first frame
_NO_ROWS: Final = np.empty(0, np.int64)

Floats = npt.NDArray[np.float64]


class ShardRows:
    """The requested rows of one file.

    Attributes:
        shard: the file.
        latest: float64, shape (frames,): for every frame, of all kinds, the latest time up to it. The files are merged
            by this, as times may step back.
        number: int64, shape (frames,): the place of every frame among those of all files.
        tables: by kind: the rows, with shifted times, their places in the file, and the size of their payloads.

    """

    def __init__(self, shard: Shard, shift: float, scan: Scan, after: str | None) -> None:
        self.shard = shard
        self.number = np.empty(0, np.int64)
        self.tables: dict[Kind, tuple[Table, Ints, int]] = {}
        self._shift = shift
        self._after = Place.parse(after or BEGIN)
        self._columns = scan.columns if scan.columns is None or RANK in scan.columns else (*scan.columns, RANK)
        path = shard.reader.path
        tell = damage_handler(scan.on_damage, path)
        asked = replace(
            scan,
            columns=self._columns,
            time=None if scan.time is None else (_as_logged(scan.time[0], shift), _as_logged(scan.time[1], shift)),
            after=after,
            batch_rows=None,
            on_damage=lambda gap: tell(replace(gap, file=path.name)),
        )
        batches, self._frames = shard.reader.scan_with_frames(asked)
        self.latest = latest_times(self._frames.time, shift)
        self._end = batches[-1].position
        for batch in batches:
            self._add(batch)

    def _add(self, batch: Batch) -> None:
        table = batch.table
        if table.rows:
            moved = Table(table.kind, table.time + self._shift, {key: table.stored(key) for key in table})
            self.tables[table.kind] = moved, batch.order, batch.size

    def keep_last(self, kind: Kind, count: int) -> None:
        """Keep only the last *count* rows of one kind, as columns that are made from these alone."""
        if kind not in self.tables or count >= self.tables[kind][0].rows:
            return
        _, offset, _ = self.tables.pop(kind)
        if count:
            frames = self._frames.take(np.searchsorted(self._frames.offset, offset[-count:]))
            scan = Scan(kinds=kind, columns=self._columns, batch_rows=None)
            self._add(self.shard.reader.scan_frames(frames, scan))

    def numbers(self, offset: Ints) -> Ints:
        """The places of the frames that begin at these bytes."""
        return self.number[np.searchsorted(self._frames.offset, offset)]

    def position(self, done: frozenset[int]) -> str:
        """Where the next scan of the file continues, when this one returned only the kinds in *done*."""
        if not done:
            return self._end
        end = Place.parse(self._end)
        return Place(self._after.start, end.ahead, done, end.check).position


def latest_times(time: Floats, shift: float) -> Floats:
    """For each frame the latest time up to it, shifted by *shift*."""
    moved = time + shift
    return np.maximum.accumulate(np.where(np.isnan(moved), -np.inf, moved))


def _as_logged(limit: float | None, shift: float) -> float | None:
    """The smallest time that, shifted by *shift*, is at least *limit*, exactly, although float sums are rounded."""
    if limit is None or not math.isfinite(limit) or not math.isfinite(shift):
        return limit
    around = 4 * math.ulp(max(abs(limit), abs(shift)))
    low, high = limit - shift - around, limit - shift + around
    while low < (middle := low + (high - low) / 2) < high:
        low, high = (low, middle) if middle + shift >= limit else (middle, high)
    return high


def keep_last(looks: Sequence[ShardRows], last: int) -> None:
    """Keep the last rows of each kind, counted over all files."""
    for kind in {kind for look in looks for kind in look.tables}:
        numbers = [look.numbers(look.tables[kind][1]) if kind in look.tables else _NO_ROWS for look in looks]
        merged = np.sort(np.concatenate(numbers))
        first = merged[-last] if 0 < last < len(merged) else merged[0] if last else merged[-1] + 1
        for look, number in zip(looks, numbers, strict=True):
            look.keep_last(kind, int(np.count_nonzero(number >= first)))


def merged(kind: Kind, looks: Sequence[ShardRows], scan: Scan) -> tuple[Table, Ints, int]:
    """The rows of one kind of all files as one table, in the order of their times."""
    builder = TableBuilder(kind)
    for look in looks:
        table, rank = look.tables[kind][0], look.shard.rank
        own = [table.column(key).present for key in table if key == RANK or key.startswith(f"{RANK}/")]
        rows = np.flatnonzero(~np.any(own, axis=0)) if own else np.arange(table.rows)
        builder.add_table(table)
        builder.column(RANK).extend(rows + builder.rows - table.rows, [rank] * len(rows))
    size = sum(look.tables[kind][2] for look in looks)
    numbers = np.concatenate([look.numbers(look.tables[kind][1]) for look in looks])
    order = np.argsort(numbers)
    table = builder.finish()
    if not all(_is_settled(table[name], [look.tables[kind][0] for look in looks], name) for name in table):
        return _from_frames(kind, looks, scan), numbers[order], size
    which = np.repeat(np.arange(len(looks)), [look.tables[kind][0].rows for look in looks])[order]
    places = [{name: n for n, name in enumerate(look.tables[kind][0])} for look in looks]
    return _in_order_of_sight(table.rows_where(order), scan.columns, which, places), numbers[order], size


def _is_settled(column: npt.NDArray[Any], tables: Sequence[Table], name: str) -> bool:
    """Whether *column*, built from the columns of *tables*, is the same as if it had been built from the frames.

    Floats may have been ints among floats; from the frames, these would stay ints if the column holds objects, or ints
    above 2**63.
    """
    kinds = {table.column(name).values.dtype.kind for table in tables if name in table}
    if len(tables) == 1 or "f" not in kinds:
        return True
    return kinds <= {"i", "u", "f"} and column.dtype != object and not ((column >= 2**63) & (column <= 2**64)).any()


def _from_frames(kind: Kind, looks: Sequence[ShardRows], scan: Scan) -> Table:
    """The same table, built from the frames one by one."""
    rows: list[tuple[int, float, Mapping[Any, Any]]] = []
    for look in looks:
        table, offset, _ = look.tables[kind]
        frames = look.shard.reader.take(offset.tolist())
        for number, time, frame in zip(look.numbers(offset).tolist(), table.time.tolist(), frames, strict=False):
            rows.append((number, time, look.shard.with_rank(frame.data)))
    rows.sort(key=lambda row: row[0])
    builder = TableBuilder(kind, scan.columns)
    builder.add_frames([time for _, time, _ in rows], [data for _, _, data in rows])
    return builder.finish()


def _in_order_of_sight(
    table: Table, columns: Sequence[str] | None, which: Ints, places: Sequence[Mapping[str, int]]
) -> Table:
    """*table* with the columns that some row has, in the order of first occurrence, or in the order of *columns*.

    Args:
        table: the rows.
        columns: the requested columns.
        which: for each row, the number of its file.
        places: for each file, the order of its columns.

    """
    if columns is not None:
        names = [name for name in dict.fromkeys(columns) if name in table and table.column(name).present.any()]
        return table.select(names)
    present = {name: table.column(name).present for name in table}
    first = {name: int(rows.argmax()) for name, rows in present.items() if rows.any()}
    own = {
        name: places[which[row]].get(name, len(table)) for name, row in first.items()
    }  # a rank that was added is last
    return table.select(sorted(first, key=lambda name: (first[name], own[name])))
