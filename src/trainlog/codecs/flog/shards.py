"""Several FLOG files as one log: a run of several processes, each of which writes a file of its own.

Nothing is shared between the writers, no lock and no database, so that it works on any file system. The path says
what belongs together: a folder that is named like a log (``run.flog/``), or a pattern (``run-*.flog``).
"""

from __future__ import annotations

import heapq
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.codec import Reader, Summary
from trainlog.codecs.flog.integrity.seals import SEAL, is_seal
from trainlog.codecs.flog.reader import FlogReader
from trainlog.codecs.flog.scanning.walk import Record, walk
from trainlog.codecs.flog.wire.run_state import STATE, is_about_run
from trainlog.conventions import RANK
from trainlog.errors import InvalidPosition, LogNotFound
from trainlog.model import End, Frame, Kind, KindLike
from trainlog.scan import Batch, Gap, OnDamage, Place, Position, Scan, damage_handler, stretch, stretches
from trainlog.storage.source import Wait, growing, never
from trainlog.table.builder import TableBuilder
from trainlog.table.table import Table

if TYPE_CHECKING:
    from trainlog.verify_report import Verdict

__all__ = ["FlogShards", "is_several"]

_BEGIN: Final = "0-"  # the position before the first frame
_NO_KIND: Final = frozenset([256])  # what is done of a stretch of which all is to be given once more
_NO_ROWS: Final = np.empty(0, np.int64)

Ints = npt.NDArray[np.int64]

_SUFFIXES: Final = (".flog", ".bin")


def is_several(path: Path) -> bool:
    """Whether *path* is a folder, or a pattern."""
    return path.is_dir() or ("*" in path.name and not path.exists())


class FlogShards(Reader):
    """The frames of several FLOG files in the order of their times.

    Each file's times are moved by when its writer began, which its header says; without that they are taken as they
    are. Every frame has a key ``rank``, unless it has one already: the number of the writer. Files that appear while
    somebody follows the log are followed as well.
    """

    def __init__(self, path: Path) -> None:
        self._shards = {file: _Shard(FlogReader(file), n) for n, file in enumerate(_files(path))}
        if not self._shards:
            raise LogNotFound("there are no FLOG files in it" if path.is_dir() else "no file is named so", path=path)
        headers = [shard.reader.header for shard in self._shards.values()]
        first = headers[0]
        self._zero = min(shard.began for shard in self._shards.values())
        self._hides = True
        meta = {key: value for key, value in first.meta.items() if key != "shard"}
        end = _end_of_all([header.end for header in headers])
        super().__init__(path, replace(first, meta={**meta, "shards": len(self._shards)}, end=end))

    def with_superseded(self) -> FlogShards:
        """The same log with superseded frames; see `trainlog.codec.Reader.with_superseded`."""
        other = copy(self)
        other._hides = False
        other._shards = {file: shard.with_superseded() for file, shard in self._shards.items()}
        return other

    def frames(
        self, kind: KindLike | None = None, *, wait: Wait = never, on_damage: OnDamage = "warn"
    ) -> Iterator[Frame]:
        """Yield the frames in the order of their times; see `trainlog.codec.Reader.frames`.

        While it is followed, that is the order of those that were written between two looks.
        """
        wanted = None if kind is None else Kind.of(kind)
        cursors: dict[Path, _Cursor] = {}
        try:
            while True:
                for file, shard in self._known():
                    if file not in cursors:
                        follows = wait is not never
                        cursors[file] = _Cursor(shard, self._zero, wanted, on_damage, follows=follows)
                for _, frame in heapq.merge(*(one.available() for one in cursors.values()), key=lambda pair: pair[0]):
                    yield frame
                if not wait():
                    break
            for cursor in cursors.values():
                cursor.end()
        finally:
            for cursor in cursors.values():
                cursor.close()

    def _known(self) -> Iterator[tuple[Path, _Shard]]:
        for n, file in enumerate(_files(self.path)):
            if file not in self._shards and file.stat().st_size:
                shard = _Shard(FlogReader(file), n)
                self._shards[file] = shard if self._hides else shard.with_superseded()
            if file in self._shards:
                yield file, self._shards[file]

    def scan(self, scan: Scan = Scan()) -> Iterator[Batch]:  # noqa: B008 - it is frozen
        """Yield what is asked for, one batch for each kind; see `trainlog.codec.Reader.scan`.

        Each file is scanned twice: for the times of all its frames, by which they are merged, and for what is asked
        for. A scan after a position gives what was written since, in the order of its times; ``take`` knows the orders
        of scans from the beginning only. Where columns are named, a frame whose own ``rank`` is a map gets one all the
        same.
        """
        count, before = _parse(scan.after)
        shards = {file.name: shard for file, shard in self._known()}
        if gone := before.keys() - shards.keys():
            raise InvalidPosition(f"{min(gone)} is gone, of which frames were read; read it anew", path=self.path)
        done = frozenset[int]().union(*(Place.parse(one).done for one in before.values()))
        if done:  # a stretch that was given in part ends where it ended before, and files that are new are none of it
            for batch in self._stretch(scan, {name: shards[name] for name in before}, count, before, done):
                yield batch
            scan = replace(scan, after=batch.position)
            count, before = _parse(scan.after)
        for batch in self._stretch(scan, shards, count, before):
            if batch.table.rows or not done:
                yield batch

    def _stretch(
        self,
        scan: Scan,
        shards: Mapping[str, _Shard],
        count: int,
        before: Mapping[str, str],
        done: frozenset[int] = frozenset(),
    ) -> Iterator[Batch]:
        """The batches of one stretch of the log, before which there are *count* frames; without the kinds *done*."""
        looks = [
            _Look(shard, shard.began - self._zero, scan, before.get(name, _BEGIN) if scan.after else None)
            for name, shard in shards.items()
        ]
        latest = np.concatenate([np.empty(0), *(look.latest for look in looks)])
        number = np.empty(len(latest), np.int64)
        number[np.argsort(latest, kind="stable")] = np.arange(count, count + len(latest))
        ends = np.cumsum([len(look.latest) for look in looks])
        for look, end in zip(looks, ends.tolist(), strict=True):
            look.number = number[end - len(look.latest) : end]
        if scan.last is not None:
            _keep_last(looks, scan.last)
        kinds = {kind for look in looks for kind in look.tables}
        found = {kind: _merged(kind, [look for look in looks if kind in look.tables], scan) for kind in kinds}

        def behind(done: frozenset[int]) -> Position:
            after = {look.shard.reader.path.name: look.position(done) for look in looks}
            return Position(json.dumps([count if done else count + len(latest), after], separators=(",", ":")))

        yield from stretch(found, scan, behind, done)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the shards that have begun."""
        return tuple(file for file, _ in self._known())

    def summary(self, progress: Callable[[int], object] | None = None) -> Summary:
        """What there is, what is damaged, and where; see `trainlog.codec.Reader.summary`."""
        summary = super().summary(progress)
        if self._hides:
            summary.superseded = sum(shard.reader.superseded for _, shard in self._known())
        return summary

    def verify(self, progress: Callable[[int], object] | None = None) -> Verdict:
        """Read all of the files, with their checksums, and say what is wrong with them."""
        from trainlog.verify_report import Verdict

        total = Verdict(self.path)
        for _, shard in self._known():
            one = shard.reader.verify()
            total.size += one.size
            total.sealed += one.sealed
            total.kinds.update(one.kinds)
            total.problems += [replace(problem, file=shard.reader.path.name) for problem in one.problems]
            if progress is not None:
                progress(total.size)
        return total


def _end_of_all(ends: Sequence[End | None]) -> End | None:
    """How a run of several processes ended: the first that failed or was interrupted; finished when all have."""
    for state in ("failed", "interrupted"):
        if found := [end for end in ends if end is not None and end.state == state]:
            return min(found, key=lambda end: end.wall)
    return None if None in ends else max(filter(None, ends), key=lambda end: end.wall)


def _files(path: Path) -> list[Path]:
    """The files of the log, by the numbers in their names."""
    found = path.iterdir() if path.is_dir() else path.parent.glob(path.name)
    files = [
        file for file in found if file.name.endswith(_SUFFIXES) and not file.name.startswith(".") and file.is_file()
    ]
    return sorted(files, key=lambda file: ([int(number) for number in re.findall(r"\d+", file.stem)], file.name))


class _Shard:
    """One of the files.

    Attributes:
        reader: its reader.
        rank: the number of its writer.
        began: when that began, seconds since 1970; 0.0 when the file does not say.

    """

    def __init__(self, reader: FlogReader, position: int) -> None:
        self.reader = reader
        declared = reader.header.meta.get("shard")
        shard: Mapping[str, Any] = declared if isinstance(declared, dict) else {}
        number = re.findall(r"\d+", reader.path.stem)
        self.rank = shard.get(RANK, int(number[-1]) if number else position)
        began = shard.get("began", 0.0)
        self.began = began if isinstance(began, int | float) else 0.0

    def with_rank(self, data: Mapping[Any, Any]) -> Mapping[Any, Any]:
        """The *data* of a frame, with the rank where it brings none."""
        return data if RANK in data else {**data, RANK: self.rank}

    def with_superseded(self) -> _Shard:
        other = copy(self)
        other.reader = self.reader.with_superseded()
        return other


class _Look:
    """What one file has that was asked for.

    Attributes:
        shard: the file.
        latest: float64, shape (frames,): of every frame, of all kinds, the latest time until it. The files are merged
            by that, as times may step back.
        number: int64, shape (frames,): the place of every frame among those of all files.
        tables: by kind: the rows, the times moved, and where in the file they stand.

    """

    def __init__(self, shard: _Shard, shift: float, scan: Scan, after: str | None) -> None:
        self.shard = shard
        self.number = np.empty(0, np.int64)
        self._after = Place.parse(after or _BEGIN)
        every = after if not self._after.done else self._after._replace(done=_NO_KIND).position
        self._offset, self.latest, self._end = _latest_times(shard.reader, shift, every, superseded=scan.superseded)
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
        for batch in _first_stretch(self.shard.reader, scan):
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


def _first_stretch(reader: FlogReader, scan: Scan) -> list[Batch]:
    """The rest of the stretch that was given in part, if one was; else all that *scan* asks for, in one."""
    return list(next(stretches(reader.scan(scan))).values())


def _latest_times(
    reader: FlogReader, shift: float, after: str | None = None, *, superseded: bool = False
) -> tuple[Ints, npt.NDArray[np.float64], Position]:
    """Where the frames of all kinds begin, the latest time until each, moved by *shift*; and the position behind."""
    every = Scan(columns=(), after=after, superseded=superseded, on_damage="ignore", batch_rows=None)
    found = _first_stretch(reader, every)
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


def _keep_last(looks: Sequence[_Look], last: int) -> None:
    """Keep the last rows of each kind, of all files together."""
    for kind in {kind for look in looks for kind in look.tables}:
        numbers = [look.numbers(look.tables[kind][1]) if kind in look.tables else _NO_ROWS for look in looks]
        merged = np.sort(np.concatenate(numbers))
        first = merged[-last] if 0 < last < len(merged) else merged[0] if last else merged[-1] + 1
        for look, number in zip(looks, numbers, strict=True):
            look.keep_last(kind, int(np.count_nonzero(number >= first)))


def _merged(kind: Kind, looks: Sequence[_Look], scan: Scan) -> tuple[Table, Ints, int]:
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


def _from_frames(kind: Kind, looks: Sequence[_Look], scan: Scan) -> Table:
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


def _parse(position: str | None) -> tuple[int, dict[str, str]]:
    """How many frames were given, and the position in each file.

    Raises:
        InvalidPosition: for a text that is no position in such a log.

    """
    if position is None:
        return 0, {}
    try:
        count, after = json.loads(position)
        if type(count) is int and all(isinstance(one, str) for one in after.values()):
            return count, after
    except (ValueError, TypeError, AttributeError):
        pass
    raise InvalidPosition(f"{position[:80]!r} is no position in a log of several files")


class _Cursor:
    """Reads one of the files, as far as it goes, again and again."""

    def __init__(self, shard: _Shard, zero: float, kind: Kind | None, on_damage: OnDamage, *, follows: bool) -> None:
        self._shard = shard
        self._shift = shard.began - zero
        self._kind = kind
        self._follows = follows
        self._source, self._at = shard.reader._open(growing if follows else never)
        self._before = self._source.checksum(self._at)
        self._tell = shard.reader._on_gap(self._source, on_damage)
        self._latest = float("-inf")
        # The frames of one kind come as they stand among all: the times of others count, though they are passed.
        self._until: tuple[Ints, npt.NDArray[np.float64]] | None = None
        if kind is not None and not follows:
            self._until = _latest_times(shard.reader, self._shift)[:2]
        self._gaps: dict[int, Gap] = {}

    def available(self) -> Iterator[tuple[float, Frame]]:
        """Yield what was written since the last time, each with a time that never steps back.

        Raises:
            InvalidPosition: when the file was replaced or cut meanwhile.

        """
        if self._follows:
            self._source.renew(self._at, self._before)
        self._gaps = {offset: gap for offset, gap in self._gaps.items() if offset < self._at}
        # Who follows decodes all, so as not to pass the same frames of other kinds at each look.
        for record in walk(self._source, self._at, kind=None if self._follows else self._kind, on_gap=self._on_gap):
            self._at = record.offset + record.size
            if self._kind != SEAL and is_seal(record.kind, record.data, record.size):
                continue
            if record.kind == STATE != self._kind and is_about_run(record.kind, record.data):
                continue
            frame = self._frame(record)
            self._latest = max(self._latest, frame.time, self._latest_at(record.offset))
            if self._kind in (None, record.kind):
                yield self._latest, frame
        self._before = self._source.checksum(self._at)

    def _frame(self, record: Record) -> Frame:
        return Frame(record.time + self._shift, Kind(record.kind), self._shard.with_rank(record.data))

    def _latest_at(self, at: int) -> float:
        """The latest time of any frame until the one at byte *at*; -inf where only the wanted ones are known."""
        if self._until is None:
            return -math.inf
        offset, latest = self._until
        i = int(np.searchsorted(offset, self._source.to_file_offset(at), "right"))
        return float(latest[i - 1]) if i else -math.inf

    def _on_gap(self, gap: Gap) -> None:
        # The end of a file that is being written may look damaged, until the rest is there.
        self._gaps[gap.offset] = gap

    def end(self) -> None:
        """Tell of what is damaged.

        Raises:
            DamagedLog: strictly.

        """
        for gap in self._gaps.values():
            self._tell(gap)

    def close(self) -> None:
        self._source.close()
