"""One log as the server knows it: what was read of it so far, by scans that go on where the last one ended."""

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

_LAZY: Final = frozenset([Kind.CREATURE])  # nine frames of ten, and seldom looked at: their values are read on demand
_EAGER: Final = frozenset(map(Kind, range(256))) - _LAZY
_FEWEST_ROWS: Final = 256  # of a batch, until it is known how many columns there are ...
_MOST_ROWS: Final = 1 << 14  # ... and then
_TIMES_ROWS: Final = 1 << 17  # of a batch without values
_VALUES: Final = 1 << 20  # of a batch, about
_MOST_ISSUED: Final = 1024  # positions that need no check
_MOST_GAPS: Final = 1000
_CHEAP: Final = 0.01  # seconds of a poll that nobody minds
_REST: Final = 10  # times as long as a poll took, the next one waits

Stamp = Mapping[Path, "FileState"]


class FileState(NamedTuple):
    """What ``stat`` says of a file; a size of -1 when there is none."""

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
            raise  # an object storage that gives no answer does not say that the file has gone
        except OSError:
            return cls(0, 0, -1, 0)
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class _Part:
    """Kinds of frames that are read together, by one scan after another. Only the poller's thread calls ``advance``.

    Attributes:
        kinds: which.
        wants_values: whether anybody wants more than times and clocks; may be set by any thread.
        mark: how far they were read, in the present mode: times and clocks, or all values.
        known: as ``mark``, in any mode.
        is_current: whether they were read as far as the log went at the last look.
        knows_times: whether that was so at any time, in any mode.

    """

    def __init__(self, log: Log, kinds: frozenset[Kind], *, wants_values: bool) -> None:
        self._log = log
        self.kinds = kinds
        self.wants_values = self._reads_values = wants_values
        self.mark = self.known = START
        self.is_current = self.knows_times = False
        self._batches: Iterator[Batch] | None = None
        self._batch_rows = 0
        self._stamp: Stamp | None = None  # of the files when the last scan began
        self._began = 0.0  # when the scan did, where it looks for more rather than reads what is known to be there
        self._not_before = 0.0

    @property
    def has_values(self) -> bool:
        """Whether what is wanted was read as far as the log goes."""
        return self.is_current and self._reads_values == self.wants_values

    def advance(self, stamp: Stamp, deadline: float) -> bool:
        """Read on until *deadline* (monotonic seconds); True when there is more to read at once.

        Raises:
            InvalidPosition: when the log is another than the one that was read.

        """
        if self.wants_values and not self._reads_values:
            if not self._log.reader.keeps_order:
                self._log.forget(self.kinds)  # read at once, they come in another order than in several looks
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
        """How many rows a batch should have: in a hostile log every frame has keys of its own."""
        if not self._reads_values:
            return _TIMES_ROWS
        rows = [rows for kind, rows in self._log.rows.items() if kind in self.kinds]
        columns = max((len(one.columns.series) for one in rows), default=0)
        return min(max(_VALUES // columns, _FEWEST_ROWS), _MOST_ROWS) if columns else _FEWEST_ROWS

    def _next_stretch(self) -> list[Batch]:
        """The next batches up to one after which all kinds were read equally far; none at the end of the log."""
        assert self._batches is not None
        stretch: list[Batch] = []
        for batch in self._batches:
            stretch.append(batch)
            if not batch.more:
                break
        if self._began and sum(batch.table.rows for batch in stretch) < self._batch_rows:
            # Some readers pass all that comes before a position, which must not become the only work.
            now = time.monotonic()
            self._not_before = now + _REST * max(now - self._began - _CHEAP, 0)
        self._began = 0.0
        return stretch


class Log:
    """A log that somebody looks at. ``advance`` is called by one thread; all else from any.

    Attributes:
        id: as in the catalog.
        name: its path relative to the served folder.
        reader: the log.
        conventions: what its keys mean.
        identity: changes when a file of the log is replaced by another one.
        rows: by kind.
        gaps: bytes that are no record, by file and place.
        version: grows when there is something new.
        error: why it cannot be read on, or empty.
        is_replaced: whether that is because it is another log by now.
        used: when it was last asked for, monotonic seconds.
        due: when it need be looked at again, monotonic seconds.

    """

    def __init__(self, id: str, name: str, path: Path, files: Sequence[Path] = ()) -> None:
        """Open the log at *path*, which consists of *files*; by default of those that its reader names.

        Raises:
            TrainlogError: as `trainlog.open`.

        """
        self.id = id
        self.name = name
        self._files = tuple(files) or (path,)
        # Or a pattern, which is no file's name.
        self._is_folder = not isinstance(path, RemotePath) and (path.is_dir() or not path.exists())
        before: Stamp = {} if self._is_folder else self._stat()  # so that a replacement from now on is seen
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
        """What the trainer said of the run."""
        return dict(self.reader.header.meta)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(max(state.size, 0) for state in self._stamp.values())

    @property
    def damage(self) -> list[str]:
        """What is wrong with the files, one sentence each."""
        return [f"skipped {gap}" for gap in list(self.gaps.values())]

    @property
    def clock_keys(self) -> tuple[str, ...]:
        """The columns that are read where nobody wants values."""
        own = self.conventions.axis_keys
        return own if self.reader.keeps_order else (*own, RANK)

    # --- for the poller's thread ---

    def advance(self, deadline: float) -> bool:
        """Read on until *deadline* (monotonic seconds); True when there is more to read at once.

        Raises:
            InvalidPosition: when the log was replaced or cut, or training went back: it is another log now.

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
        """The rows of *kind*, to be extended."""
        if kind not in self.rows:
            self.rows = dict(sorted({**self.rows, kind: Rows(self._file)}.items()))
        return self.rows[kind]

    def forget(self, kinds: Collection[Kind]) -> None:
        """Have no rows of *kinds*, which are read afresh."""
        self.rows = {kind: rows for kind, rows in self.rows.items() if kind not in kinds}

    def note_damage(self, gap: Gap) -> None:
        """Remember bytes that are no record; an unfinished one at the end is no damage."""
        if not gap.torn and len(self.gaps) < _MOST_GAPS:
            self.gaps[gap.file, gap.offset] = gap

    def issue(self, position: str) -> None:
        """Remember a position of this very log, so that cursors made of it need no check."""
        self._issued[position] = None
        if len(self._issued) > _MOST_ISSUED:
            del self._issued[next(iter(self._issued))]

    def _stat(self) -> Stamp:
        files = self.reader.files if self._is_folder else self._files  # a folder may get more of them
        return {file: FileState.of(file) for file in files}

    def _state(self) -> list[tuple[Any, ...]]:
        return [(part.mark, part.is_current) for part in self._parts]

    # --- how much was read ---

    def want(self, kinds: Collection[Kind]) -> None:
        """Have the values of *kinds* read, and the log looked at as soon as can be."""
        self.due = 0.0
        for part in self._parts:
            part.wants_values |= not part.kinds.isdisjoint(kinds)

    def is_complete(self, kinds: Collection[Kind], *, times: Collection[Kind] = ()) -> bool:
        """Whether the values of *kinds*, and the times of *times*, were read as far as the log goes."""
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

    def progress(self, kinds: Collection[Kind]) -> float:
        """How much of *kinds* is read, 0 to 1."""
        if self.is_complete(kinds):
            return 1.0
        # An order is a byte in most formats; where it counts frames this is too little, until it is all.
        ends = [part.mark.end for part in self._parts if not part.has_values and not part.kinds.isdisjoint(kinds)]
        return min(0.999, min(ends, default=0) / max(self.size, 1))

    def duration(self) -> float:
        """Time of the last frame that was seen."""
        times = [float(rows.time.read(len(rows) - 1)[0]) for rows in self.rows.values() if len(rows)]
        return max(times, default=0.0)

    def frames(self, kind: Kind, rows: Sequence[int]) -> list[Frame]:
        """The whole frames of *kind* at *rows*, which rise.

        Raises:
            InvalidPosition: when they are not there any more.

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
        """Where the frames of *kind* at *rows*, which rise, stand for `Reader.take`; in any order unless it is kept.

        Raises:
            InvalidPosition: when they are not there any more.

        """
        here = self.rows[kind]
        if self.reader.keeps_order:
            return here.order.pick(rows)
        # Looks have merged what each of them found; within each file the frames of a kind stay in their order.
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
        """The place after all that is known, be it by its times alone."""
        return Cursor(self.identity, tuple(part.known for part in self._parts))

    def settled(self) -> Cursor:
        """The place before which all that is wanted is read."""
        return Cursor(self.identity, tuple(part.mark for part in self._parts))

    def beginning(self) -> Cursor:
        """The place before the first frame."""
        return Cursor(self.identity, (START,) * len(self._parts))

    def holds(self, cursor: Cursor) -> bool:
        """Whether *cursor* is a place in this very log, and nothing before it was superseded since; may take long."""
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
        except Exception:  # noqa: BLE001 - the text is a client's, and a plug-in's reader may raise anything for it
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
    rank[codes_of(rank) >= 0] = np.nan  # texts have numbers of their own in each
    return np.stack((rows.time.read(0, count), rank), axis=1).view(np.int64)
