"""What the files of a log have that a scan asks for, and the rows of one kind as one table.

The files are merged by the latest time until each frame, as times may step back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.reader import FlogReader
from trainlog.codecs.flog.shards.files import Shard
from trainlog.conventions import RANK
from trainlog.model import Kind
from trainlog.scan import Batch, Place, Position, Scan, damage_handler, stretches
from trainlog.storage.compressed import open_source
from trainlog.table.builder import TableBuilder
from trainlog.table.table import Table

__all__ = ["BEGIN", "Ints", "ShardRows", "keep_last", "latest_times", "merged"]

BEGIN: Final = "0-"  # the position before the first frame
_NO_KIND: Final = frozenset([256])  # what is done of a stretch of which all is to be given once more
_NO_ROWS: Final = np.empty(0, np.int64)

Ints = npt.NDArray[np.int64]


class ShardRows:
    """What one file has that was asked for.

    Attributes:
        shard: the file.
        latest: float64, shape (frames,): of every frame, of all kinds, the latest time until it. The files are merged
            by that, as times may step back.
        number: int64, shape (frames,): the place of every frame among those of all files.
        tables: by kind: the rows, the times moved, and where in the file they stand.

    """

    def __init__(self, shard: Shard, shift: float, scan: Scan, after: str | None) -> None:
        self.shard = shard
        self.number = np.empty(0, np.int64)
        self._after = Place.parse(after or BEGIN)
        with open_source(shard.reader.path) as source:
            self._size = source.size  # the file may grow from one scan of it to the next
        every = after if not self._after.done else self._after._replace(done=_NO_KIND).position
        self._offset, self.latest, self._end = latest_times(
            shard.reader, shift, every, superseded=scan.superseded, size=self._size
        )
        self._asked = replace(
            scan,
            columns=scan.columns if scan.columns is None or RANK in scan.columns else (*scan.columns, RANK),
            time=None if scan.time is None else (_as_logged(scan.time[0], shift), _as_logged(scan.time[1], shift)),
            after=after,
            batch_rows=None,
            on_damage=lambda gap: damage_handler(scan.on_damage, shard.reader.path)(replace(gap, file=gap_file)),
        )
        gap_file = shard.reader.path.name
        self._shift = shift
        self.tables: dict[Kind, tuple[Table, Ints, int]] = {}
        self.read(self._asked)

    def read(self, scan: Scan) -> None:
        """Read what *scan* asks of the file."""
        for batch in _first_stretch(self.shard.reader, scan, self._size):
            table = batch.table
            if table.rows:
                moved = Table(table.kind, table.time + self._shift, {key: table.stored(key) for key in table})
                self.tables[table.kind] = moved, batch.order, batch.size

    def keep_last(self, kind: Kind, count: int) -> None:
        """Keep of one kind the last *count* rows only, as if nothing else had been read."""
        if kind in self.tables and count < self.tables[kind][0].rows:
            del self.tables[kind]
            if count:
                self.read(replace(self._asked, kinds=kind, last=count, on_damage="ignore"))

    def numbers(self, offset: Ints) -> Ints:
        """The places of the frames that begin at these bytes."""
        return self.number[np.searchsorted(self._offset, offset)]

    def position(self, done: frozenset[int]) -> str:
        """Where the next scan of the file goes on, when this one gave only the kinds that are *done*."""
        if not done:
            return self._end
        end = Place.parse(self._end)
        return Place(self._after.start, end.ahead, done, end.check).position


def _first_stretch(reader: FlogReader, scan: Scan, size: int | None) -> list[Batch]:
    """The rest of the stretch that was given in part, if one was; else all that *scan* asks for, in one."""
    return list(next(stretches(reader.scan_until(scan, size))).values())


def latest_times(
    reader: FlogReader, shift: float, after: str | None = None, *, superseded: bool = False, size: int | None = None
) -> tuple[Ints, npt.NDArray[np.float64], Position]:
    """Where the frames of all kinds begin, the latest time until each, moved by *shift*; and the position behind."""
    every = Scan(columns=(), after=after, superseded=superseded, on_damage="ignore", batch_rows=None)
    found = _first_stretch(reader, every, size)
    offset = np.concatenate([batch.order for batch in found])
    rising = np.argsort(offset)
    time = np.concatenate([batch.table.time for batch in found])[rising] + shift
    return offset[rising], np.maximum.accumulate(np.where(np.isnan(time), -np.inf, time)), found[-1].position


def _as_logged(limit: float | None, shift: float) -> float | None:
    """The least time that is *limit* or more once it is moved by *shift*, exactly: sums are rounded."""
    if limit is None or not math.isfinite(limit) or not math.isfinite(shift):
        return limit
    around = 4 * math.ulp(max(abs(limit), abs(shift)))
    low, high = limit - shift - around, limit - shift + around
    while low < (middle := low + (high - low) / 2) < high:
        low, high = (low, middle) if middle + shift >= limit else (middle, high)
    return high


def keep_last(looks: Sequence[ShardRows], last: int) -> None:
    """Keep the last rows of each kind, of all files together."""
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
    """Whether *column*, made of those of *tables*, is what it would be if it had been made of the frames.

    Floats may have been ints that stood beside floats: such are ints among objects, or beside ints above 2**63.
    """
    kinds = {table.column(name).values.dtype.kind for table in tables if name in table}
    if len(tables) == 1 or "f" not in kinds:
        return True
    return kinds <= {"i", "u", "f"} and column.dtype != object and not ((column >= 2**63) & (column <= 2**64)).any()


def _from_frames(kind: Kind, looks: Sequence[ShardRows], scan: Scan) -> Table:
    """The same table, made of the frames one by one."""
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
    """The columns that some row has, as they come up in the rows; or those of *columns*, in that order.

    Args:
        table: the rows.
        columns: those that are asked for.
        which: of each row, the number of its file.
        places: of each file, the order of its columns.

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
