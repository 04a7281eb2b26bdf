"""One log as the server knows it: what was read so far, by scans that continue where the last one ended."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np

from trainlog import registry
from trainlog.codec import Batch, Gap, Reader
from trainlog.conventions import RANK, Conventions
from trainlog.errors import InvalidPosition, LogReadError
from trainlog.live_log.column_file import ColumnFile, codes_of, no_numbers
from trainlog.live_log.columns import Rows
from trainlog.live_log.cursor import START, Cursor, Mark
from trainlog.model import Frame, Kind
from trainlog.scan import Ints, Scan
from trainlog.storage.location import RemotePath

__all__ = ["FileState", "Log"]

_LAZY: Final = frozenset([Kind.CREATURE])  # nine of ten frames, but rarely looked at: their values are read on demand
_EAGER: Final = frozenset(map(Kind, range(256))) - _LAZY
_FEWEST_ROWS: Final = 256  # rows of a batch until the number of columns is known, and at least ...
_MOST_ROWS: Final = 1 << 14  # ... and at most after that
_TIMES_ROWS: Final = 1 << 17  # rows of a batch without values
_VALUES: Final = 1 << 20  # approximate number of values in a batch
_MOST_ISSUED: Final = 1024  # positions that need no check
_MOST_GAPS: Final = 1000
_CHEAP: Final = 0.01  # seconds of a poll that cause no delay of the next one
_REST: Final = 10  # the next poll waits for this multiple of the time beyond that

Stamp = Mapping[Path, "FileState"]


class FileState(NamedTuple):
    """The result of ``stat`` for a file; the size is -1 if there is none."""

    device: int
    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """The state of the file at *path* now."""
        try:
            status = path.stat()
        except LogReadError:
            raise  # no answer from an object storage does not mean that the file is gone
        except OSError:
            return cls(0, 0, -1, 0)
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class _Part:
    """Kinds of frames that are read together, by one scan after another. Only the poller's thread calls ``advance``.

    Attributes:
        kinds: the kinds.
        wants_values: whether a client wants more than times and clocks; can be set by any thread.
        mark: how far they were read in the current mode: times and clocks, or all values.
        known: how far they were read in any mode.
        is_current: whether they were read up to the end that the log had at the last look.
        knows_times: whether that was the case at any time, in any mode.

    """

    def __init__(self, log: Log, kinds: frozenset[Kind], *, wants_values: bool) -> None:
        self._log = log
        self.kinds = kinds
        self.wants_values = self._reads_values = wants_values
        self.mark = self.known = START
        self.is_current = self.knows_times = False
        self._batches: Iterator[Batch] | None = None
        self._batch_rows = 0
        self._stamp: Stamp | None = None  # of the files when the last scan started
        self._began = 0.0  # when the scan started, if it looks for new frames and does not read known ones
        self._not_before = 0.0

    @property
    def has_values(self) -> bool:
        """Whether the wanted values were read to the end of the log."""
        return self.is_current and self._reads_values == self.wants_values

    def advance(self, stamp: Stamp, deadline: float) -> bool:
        """Continue reading until *deadline* (monotonic seconds); True if there is more to read immediately.

        Raises:
            InvalidPosition: if the log is not the one that was read before.

        """
        if self.wants_values and not self._reads_values:
            if not self._log.reader.keeps_order:
                self._log.forget(self.kinds)  # one scan returns them in another order than several scans
                self.knows_times = False
            self._batches, self._stamp, self._not_before = None, None, 0.0
            self._reads_values, self.mark, self.is_current = True, START, False
        if self._batches is None:
            if stamp == self._stamp or time.monotonic() < self._not_before:
                return False
            self._stamp = stamp
            self._began = time.monotonic() if self.mark.position else 0.0
            self._begin()
        while stretch := self._next_stretch():
            for batch in stretch:
                if batch.table.rows:
                    self._log.rows_of(batch.table.kind).extend(batch, with_values=self._reads_values)
            ends = [int(batch.order[-1]) + 1 for batch in stretch if len(batch.order)]
            self.mark = Mark(max(self.mark.end, *ends, 0), stretch[-1].position)
            if self.mark.end >= self.known.end:
                self.known = self.mark
            self._log.issue(self.mark.position)
            if self._rows_wanted() > 2 * self._batch_rows or 2 * self._rows_wanted() < self._batch_rows:
                self._begin()
            if time.monotonic() > deadline:
                self.is_current = False
                return True
        self._batches = None
        self.is_current = self.knows_times = True
        return False

    def _begin(self) -> None:
        self._batch_rows = self._rows_wanted()
        scan = Scan(
            kinds=self.kinds,
            columns=None if self._reads_values else self._log.clock_keys,
            after=self.mark.position or None,
            on_damage=self._log.note_damage,
            batch_rows=self._batch_rows,
        )
        self._batches = self._log.reader.scan(scan)

    def _rows_wanted(self) -> int:
        """The number of rows for a batch; in a hostile log, every frame can have different keys."""
        if not self._reads_values:  # the first few show whether the frames hold one environment or many
            return _TIMES_ROWS if any(kind in self._log.rows for kind in self.kinds) else _FEWEST_ROWS
        rows = [rows for kind, rows in self._log.rows.items() if kind in self.kinds]
        columns = max((len(one.columns.series) for one in rows), default=0)
        return min(max(_VALUES // columns, _FEWEST_ROWS), _MOST_ROWS) if columns else _FEWEST_ROWS

    def _next_stretch(self) -> list[Batch]:
        """The next batches, up to a point where all kinds were read equally far; empty at the end of the log."""
        assert self._batches is not None
        stretch: list[Batch] = []
        for batch in self._batches:
            stretch.append(batch)
            if not batch.more:
                break
        if self._began and sum(batch.table.rows for batch in stretch) < self._batch_rows:
            # Some readers scan everything before a position, which must not take up all the time.
            now = time.monotonic()
            self._not_before = now + _REST * max(now - self._began - _CHEAP, 0)
        self._began = 0.0
        return stretch


class Log:
    """A log that clients look at. One thread calls ``advance``; everything else can be called from any thread.

    Attributes:
        id: the id in the catalog.
        name: its path relative to the served folder.
        reader: the reader of the log.
        conventions: the meanings of its keys.
        identity: changes when a file of the log is replaced by another one.
        rows: the rows by kind.
        gaps: bytes that are not a record, by file and offset.
        version: increases when there is new data.
        error: why reading cannot continue, or empty.
        is_replaced: whether that is because it is another log now.
        used: when it was last requested, in monotonic seconds.
        due: when it must be looked at again, in monotonic seconds.

    """

    def __init__(self, id: str, name: str, path: Path, files: Sequence[Path] = ()) -> None:
        """Open the log at *path*, which consists of *files*; by default those that its reader names.

        Raises:
            TrainlogError: as `trainlog.open`.

        """
        self.id = id
        self.name = name
        self._files = tuple(files) or (path,)
        # A pattern is not the name of a file.
        self._is_folder = not isinstance(path, RemotePath) and (path.is_dir() or not path.exists())
        before: Stamp = {} if self._is_folder else self._stat()  # so that a replacement from now on is noticed
        self.reader: Reader = registry.open(path)
        if not files:
            self._files = self.reader.files
        self._stamp: Stamp = {file: before.get(file, state) for file, state in self._stat().items()}
        self.conventions = Conventions.of(self.reader.header)
        inodes = [state.inode for state in self._stamp.values() if state.size >= 0]
        self.identity = f"{zlib.crc32(repr(inodes).encode()):08x}"
        self.rows: dict[Kind, Rows] = {}
        self._file = ColumnFile()
        self._parts = (_Part(self, _EAGER, wants_values=True), _Part(self, _LAZY, wants_values=False))
        self._issued: dict[str, None] = {}
        self.gaps: dict[tuple[str, int], Gap] = {}
        self.version = 0
        self.error = ""
        self.is_replaced = False
        self.used = time.monotonic()
        self.due = 0.0
        self.changed = threading.Condition()

    @property
    def meta(self) -> dict[str, Any]:
        """The metadata from the trainer."""
        return dict(self.reader.header.meta)

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(max(state.size, 0) for state in self._stamp.values())

    @property
    def damage(self) -> list[str]:
        """The damaged places of the files, one sentence each."""
        return [f"skipped {gap}" for gap in list(self.gaps.values())]

    @property
    def clock_keys(self) -> tuple[str, ...]:
        """The columns that are read if no values are wanted."""
        series = [rows.clocks.series for rows in self.rows.values()]
        env = [
            key for key in self.conventions.keys["env"] if not any(one[key].has_lists for one in series if key in one)
        ]
        return (*self.conventions.axis_keys, *env, RANK)

    # --- for the poller's thread ---

    def advance(self, deadline: float) -> bool:
        """Continue reading until *deadline* (monotonic seconds); True if there is more to read immediately.

        Raises:
            InvalidPosition: if the log was replaced or cut, or training was rewound: it is another log now.

        """
        stamp = self._stat()
        if stamp != self._stamp:
            for file, old in self._stamp.items():
                new = stamp.get(file) or FileState.of(file)
                if old.size >= 0 and (new[:2] != old[:2] or new.size < old.size):
                    raise InvalidPosition("the file was replaced or cut", path=self.reader.path)
            self._stamp = stamp
        before = self._state()
        more = False
        for part in self._parts:
            if not (more and time.monotonic() > deadline):
                more |= part.advance(stamp, deadline)
        if not self.version or self._state() != before:
            self.version += 1
            with self.changed:
                self.changed.notify_all()
        return more

    def rows_of(self, kind: Kind) -> Rows:
        """The rows of *kind*, to extend them."""
        if kind not in self.rows:
            self.rows = dict(sorted({**self.rows, kind: Rows(self._file)}.items()))
        return self.rows[kind]

    def forget(self, kinds: Collection[Kind]) -> None:
        """Drop the rows of *kinds*, which are read again."""
        self.rows = {kind: rows for kind, rows in self.rows.items() if kind not in kinds}

    def note_damage(self, gap: Gap) -> None:
        """Record bytes that are not a record; an unfinished record at the end is not damage."""
        if not gap.torn and len(self.gaps) < _MOST_GAPS:
            self.gaps[gap.file, gap.offset] = gap

    def issue(self, position: str) -> None:
        """Remember a position of this log, so that cursors with it need no check."""
        self._issued[position] = None
        if len(self._issued) > _MOST_ISSUED:
            del self._issued[next(iter(self._issued))]

    def _stat(self) -> Stamp:
        files = self.reader.files if self._is_folder else self._files  # a folder can get more files
        return {file: FileState.of(file) for file in files}

    def _state(self) -> list[tuple[Any, ...]]:
        return [(part.mark, part.is_current) for part in self._parts]

    # --- reading progress ---

    def want(self, kinds: Collection[Kind]) -> None:
        """Request the values of *kinds*, and a look at the log as soon as possible."""
        self.due = 0.0
        for part in self._parts:
            part.wants_values |= not part.kinds.isdisjoint(kinds)

    def is_complete(self, kinds: Collection[Kind], *, times: Collection[Kind] = ()) -> bool:
        """Whether the values of *kinds* and the times of *times* were read to the end of the log."""
        return bool(self.version) and all(
            (part.has_values or part.kinds.isdisjoint(kinds)) and (part.knows_times or part.kinds.isdisjoint(times))
            for part in self._parts
        )

    def wait_for(self, kinds: Collection[Kind], seconds: float, *, times: Collection[Kind] = ()) -> None:
        """Wait until `is_complete`, at most *seconds*."""
        end = time.monotonic() + seconds
        with self.changed:
            while not (self.is_complete(kinds, times=times) or self.error) and (left := end - time.monotonic()) > 0:
                self.changed.wait(min(left, 0.1))

    def progress(self, kinds: Collection[Kind], *, times: Collection[Kind] = ()) -> float:
        """The part of the values of *kinds* and of the times of *times* that is read, from 0 to 1."""
        if self.is_complete(kinds, times=times):
            return 1.0
        # An order is a byte in most formats; if it counts frames, the result is too low until everything is read.
        ends = [
            part.mark.end
            for part in self._parts
            if not (part.has_values or part.kinds.isdisjoint(kinds))
            or not (part.knows_times or part.kinds.isdisjoint(times))
        ]
        return min(0.999, min(ends, default=0) / max(self.size, 1))

    def duration(self) -> float:
        """The time of the last known frame."""
        times = [float(rows.time.read(len(rows) - 1)[0]) for rows in self.rows.values() if len(rows)]
        return max(times, default=0.0)

    def frames(self, kind: Kind, rows: Sequence[int]) -> list[Frame]:
        """The whole frames of *kind* at *rows*, which must increase.

        Raises:
            InvalidPosition: if they are no longer there.

        """
        if kind not in self.rows or not len(rows):
            return []
        orders = self.orders(kind, np.asarray(rows, np.int64))
        rising = np.argsort(orders)
        frames = list(self.reader.take(orders[rising].tolist()))
        if len(frames) < len(orders):
            raise InvalidPosition("the file was replaced or cut", path=self.reader.path)
        return [frames[place] for place in np.argsort(rising).tolist()]

    def orders(self, kind: Kind, rows: Ints) -> Ints:
        """The orders for `Reader.take` of the frames of *kind* at the ascending *rows*; not always sorted.

        Raises:
            InvalidPosition: when the frames are gone.

        """
        here = self.rows[kind]
        if self.reader.keeps_order:
            return here.order.pick(rows)
        # Each look has merged only its own rows. Within each file the frames of a kind stay in their order.
        count = here.clocks.rows
        known = _who_and_when(here, count)
        there = Rows(ColumnFile())
        for batch in self.reader.scan(Scan(kinds=kind, columns=(RANK,), on_damage="ignore")):
            there.extend(batch, with_values=True)
        group = np.unique(np.concatenate((known, _who_and_when(there, len(there)))), axis=0, return_inverse=True)[1]
        mine, others = group.reshape(-1)[:count], group.reshape(-1)[count:]
        by_group, other_by_group = np.argsort(mine, kind="stable"), np.argsort(others, kind="stable")
        wanted = mine[rows[rows < count]]
        number = np.argsort(by_group)[rows[rows < count]] - np.searchsorted(mine[by_group], wanted)
        place = np.searchsorted(others[other_by_group], wanted) + number
        if len(wanted) < len(rows) or (place >= len(others)).any() or (others[other_by_group[place]] != wanted).any():
            raise InvalidPosition("the file was replaced or cut", path=self.reader.path)
        orders: Ints = there.order.read()[other_by_group[place]]
        return orders

    # --- cursors ---

    def cursor(self) -> Cursor:
        """The place after everything that is known, even if only by its times."""
        return Cursor(self.identity, tuple(part.known for part in self._parts))

    def settled(self) -> Cursor:
        """The place before which everything that is wanted was read."""
        return Cursor(self.identity, tuple(part.mark for part in self._parts))

    def beginning(self) -> Cursor:
        """The place before the first frame."""
        return Cursor(self.identity, (START,) * len(self._parts))

    def holds(self, cursor: Cursor) -> bool:
        """Whether *cursor* is a place in this log, and nothing before it was superseded since; can be slow."""
        if cursor.identity != self.identity or len(cursor.marks) != len(self._parts):
            return False
        return all(self._is_valid(part.kinds, mark) for part, mark in zip(self._parts, cursor.marks, strict=True))

    def _is_valid(self, kinds: frozenset[Kind], mark: Mark) -> bool:
        if not mark.position:
            return mark == START
        if mark.position in self._issued:
            return True
        if not self.reader.keeps_order:
            return False
        try:
            scan = Scan(kinds=kinds, columns=(), after=mark.position, on_damage="ignore", batch_rows=1)
            next(self.reader.scan(scan), None)
        except Exception:  # noqa: BLE001 - the text is from a client, and a plug-in's reader can raise anything for it
            return False
        return True

    def row_after(self, kind: Kind, cursor: Cursor) -> int:
        """The first row of *kind* that is not before *cursor*."""
        if kind not in self.rows:
            return 0
        ends = (mark.end for part, mark in zip(self._parts, cursor.marks, strict=True) if kind in part.kinds)
        return self.rows[kind].order.search(next(ends) - 1)


def _who_and_when(rows: Rows, count: int) -> Ints:
    """The bits of the time and the rank of the first *count* rows, shape (count, 2)."""
    series = rows.clocks.series.get(RANK)
    rank = no_numbers(np.full(count, -1)) if series is None else series.numbers(0, count)
    rank[codes_of(rank) >= 0] = np.nan  # texts have different numbers in each
    return np.stack((rows.time.read(0, count), rank), axis=1).view(np.int64)
