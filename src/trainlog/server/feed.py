"""Where a log's frames come from: one feed for FLOG, by byte offsets, and one for whatever a codec can iterate."""

from __future__ import annotations

import itertools
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from trainlog.codec import Reader
from trainlog.codecs.flog.reader import FlogReader
from trainlog.codecs.simion import SimionReader
from trainlog.errors import CorruptLog, TrainlogWarning
from trainlog.model import Frame, Kind
from trainlog.server.column_file import Column, ColumnFile
from trainlog.server.columns import Columns
from trainlog.server.flog_feed import Headers, read_frame, read_frames
from trainlog.storage.source import Source

__all__ = ["Feed", "Rows", "feed_of"]

_BATCH: Final = 256  # frames that are decoded between two looks at the clock


class Rows:
    """The frames of one kind: how many there are, when, where; and their values, as far as they have been read.

    Attributes:
        time: of each frame.
        where: the cursor's offset at which each frame begins.
        columns: the values; ``columns.rows`` may lag behind ``len(time)``.

    """

    def __init__(self, spool: ColumnFile) -> None:
        self.time = Column(spool)
        self.where = Column(spool, np.int64)
        self.columns = Columns(spool)

    def __len__(self) -> int:
        return len(self.where)

    def at(self, moment: float) -> int:
        """The last frame that is not after *moment*; the first one when all are. Times may step back."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self.time.read(middle, middle + 1)[0] <= moment:
                low = middle + 1
            else:
                high = middle
        return max(low - 1, 0)


class Feed(ABC):
    """Takes what is new in a file, in slices, from one thread.

    Attributes:
        reader: the log.
        path: the file that grows.
        at: the cursor's offset after all that was taken.
        rows: by kind.
        wanted: kinds whose values are to be read; of others only times and places are known, where that is cheaper.
        damage: what is wrong with the file, one sentence each.
        cuts: ranges of bytes whose frames are superseded, each up to the event that says so.

    """

    def __init__(self, reader: Reader, path: Path) -> None:
        self.reader = reader
        self.path = path
        self.at = 0
        self.spool = ColumnFile()
        self.rows: dict[Kind, Rows] = {}
        self.wanted = set(map(Kind, range(256)))
        self.damage: list[str] = []
        self.cuts: tuple[tuple[int, int], ...] = ()

    @abstractmethod
    def advance(self, deadline: float) -> bool:
        """Take what is there until *deadline* (monotonic seconds); True when there is more."""

    @abstractmethod
    def frames(self, kind: Kind, rows: Sequence[int]) -> list[Frame]:
        """The whole frames of *kind* at *rows*, which rise; may be called from any thread."""

    @abstractmethod
    def progress(self) -> float:
        """How much of the file was taken, 0 to 1."""

    def settled(self, size: int) -> int:
        """How many of the first *size* bytes will never change."""
        return size

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""

    def rows_of(self, kind: Kind) -> Rows:
        """The rows of *kind*, which may be none yet."""
        if kind not in self.rows:
            self.rows = dict(sorted({**self.rows, kind: Rows(self.spool)}.items()))
        return self.rows[kind]

    def lagging(self, kinds: set[Kind]) -> list[Kind]:
        """Those of *kinds* whose values are not all read."""
        return [kind for kind, rows in self.rows.items() if kind in kinds and rows.columns.rows < len(rows)]


class FlogFeed(Feed):
    """By an index of all headers: frames of a kind that nobody wants to see are not decoded."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader, reader.path)
        self.wanted.discard(Kind.CREATURE)  # nine frames of ten, and seldom looked at
        self._headers = Headers(reader.path)
        self._source = Source(reader.path)
        self.at = self._headers.at
        self.cuts = self._headers.cuts

    def advance(self, deadline: float) -> bool:
        if self._headers.size < self.at:
            raise CorruptLog("the file became shorter", path=self.path)
        if self._headers.went_back():
            raise CorruptLog("training went back to a checkpoint", path=self.path)
        new = self._headers.next()
        more = False
        for heads in new:
            for number in np.unique(heads.kind).tolist():
                chosen = heads.kind == number
                rows = self.rows_of(Kind(number))
                rows.time.extend(heads.time[chosen])
                rows.where.extend(heads.offset[chosen])
            self.at = self._headers.at
            self._read_values(deadline)
            if more := time.monotonic() > deadline:
                break
        self.damage = [f"skipped {gap}" for gap in self._headers.gaps]
        return self._read_values(deadline) or more

    def _read_values(self, deadline: float) -> bool:
        # What was taken before the index knew of more: the newest values of other kinds must not wait for it.
        while kinds := self.lagging(
            self.wanted | {kind for kind in self.rows if kind not in Kind.__members__.values()}
        ):
            for kind in kinds:
                rows = self.rows[kind]
                first = rows.columns.rows
                offsets = rows.where.read(first, first + _BATCH)
                rows.columns.extend(read_frames(self._source, offsets.tolist()))
            if time.monotonic() > deadline:
                return bool(self.lagging(self.wanted))
        return False

    def frames(self, kind: Kind, rows: Sequence[int]) -> list[Frame]:
        mine = self.rows[kind]
        frames = []
        with Source(self.path) as source:
            for row in rows:
                offset, moment = mine.where.read(row, row + 1), mine.time.read(row, row + 1)
                if len(offset):
                    frames.append(Frame(float(moment[0]), kind, read_frame(source, int(offset[0]))))
        return frames

    def progress(self) -> float:
        size = max(self._headers.size, 1)
        return 1.0 if size - self.at < 1 << 20 else self.at / size

    def settled(self, size: int) -> int:
        return min(self.at, size)

    def close(self) -> None:
        self._headers.close()
        self._source.close()


class IterationFeed(Feed):
    """By iterating the reader in a thread of its own, which runs only while ``advance`` lets it.

    A reader cannot be told to go on from a byte; but one that waits for more goes on by itself.
    """

    def __init__(self, reader: Reader, path: Path) -> None:
        super().__init__(reader, path)
        self._turn = threading.Condition()
        self._running = False
        self._closed = False
        self._ended = False
        self._waits = False
        self._deadline = 0.0
        self._error: Exception | None = None
        self._pending: dict[Kind, list[Frame]] = {}
        self._thread = threading.Thread(target=self._iterate, name=f"feed {path.name}", daemon=True)
        self._thread.start()

    def advance(self, deadline: float) -> bool:
        if self._ended:
            return False
        with self._turn:
            self._deadline, self._running = deadline, True
            self._turn.notify_all()
            while self._running:
                self._turn.wait()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return not self._waits

    def _iterate(self) -> None:
        try:
            self._pause()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", TrainlogWarning)
                for count, frame in enumerate(self.reader.frames(wait=self._wait)):
                    self._pending.setdefault(frame.kind, []).append(frame)
                    if count % _BATCH == 0 and time.monotonic() > self._deadline:
                        self._hand_over(caught)
                        self._pause()
                    if self._closed:
                        return
                self._hand_over(caught)
        except Exception as error:  # noqa: BLE001 - a plug-in's reader may raise anything; it is told to who asked
            self._error = error
        self._ended = self._waits = True
        with self._turn:
            self._running = False
            self._turn.notify_all()

    def _wait(self) -> bool:
        self._hand_over([])
        self._waits = True
        self._pause()
        self._waits = False
        return not self._closed

    def _pause(self) -> None:
        with self._turn:
            self._running = False
            self._turn.notify_all()
            while not (self._running or self._closed):
                self._turn.wait()

    def _hand_over(self, caught: Sequence[warnings.WarningMessage]) -> None:
        self.damage += [str(one.message) for one in caught[len(self.damage) :]]
        for kind, frames in self._pending.items():
            rows = self.rows_of(kind)
            rows.time.extend(np.array([frame.time for frame in frames]))
            rows.where.extend(np.arange(self.at, self.at + len(frames)))
            self.at += len(frames)
            rows.columns.extend([frame.data for frame in frames])
        self._pending.clear()

    def frames(self, kind: Kind, rows: Sequence[int]) -> list[Frame]:
        found = []
        wanted = iter(rows)
        row = next(wanted, None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrainlogWarning)
            for n, frame in enumerate(itertools.islice(self.reader.frames(kind), (rows[-1] + 1) if rows else 0)):
                if n == row:
                    found.append(frame)
                    row = next(wanted, None)
        return found

    def progress(self) -> float:
        return 1.0 if self._waits else 0.5

    def close(self) -> None:
        with self._turn:
            self._closed = True
            self._turn.notify_all()


def feed_of(reader: Reader) -> Feed:
    """The feed that fits *reader*."""
    if isinstance(reader, FlogReader):
        return FlogFeed(reader)
    path = reader.path
    if isinstance(reader, SimionReader) and reader.parts.data is not None:
        path = reader.parts.data
    return IterationFeed(reader, path)
