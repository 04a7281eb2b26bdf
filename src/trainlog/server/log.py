"""One log as the server knows it: what was read of it so far, and the place after that."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainlog import registry
from trainlog.codec import Reader
from trainlog.errors import CorruptLog
from trainlog.model import Frame, Kind
from trainlog.server.cursor import Cursor, FileState, fingerprint
from trainlog.server.feed import Feed, Rows, feed_of

__all__ = ["Log"]


class Log:
    """A log that somebody looks at. ``advance`` is called by one thread; all else from any.

    Attributes:
        id: as in the catalog.
        name: its path relative to the served folder.
        reader: the log.
        feed: what was read of it.
        version: grows when there is something new.
        error: why it cannot be read on, or empty.
        used: when it was last asked for, monotonic seconds.

    """

    def __init__(self, id: str, name: str, path: Path) -> None:
        """Open the log at *path*.

        Raises:
            TrainlogError: as `trainlog.open`.

        """
        self.id = id
        self.name = name
        self.reader: Reader = registry.open(path)
        self.feed: Feed = feed_of(self.reader)
        self._file = FileState.of(self.feed.path)
        self._prefix = 0
        self._checksum = fingerprint(self.feed.path, 0)
        self._seen_size = -1
        self._more = True
        self.version = 0
        self.error = ""
        self.used = time.monotonic()
        self.changed = threading.Condition()

    @property
    def meta(self) -> dict[str, Any]:
        """What the trainer said of the run."""
        return dict(self.reader.header.meta)

    def advance(self, deadline: float) -> bool:
        """Read on until *deadline*; True when there is more to read at once.

        Raises:
            CorruptLog: when the file was replaced or cut: this is another log now.

        """
        state = FileState.of(self.feed.path)
        if not self._more and state.size == self._seen_size and state[:2] == self._file[:2]:
            return bool(self.feed.lagging(self.feed.wanted)) and self._go_on(deadline)
        if state[:2] != self._file[:2] or state.size < self._seen_size:
            raise CorruptLog("the file was replaced or cut", path=self.feed.path)
        if self._prefix and fingerprint(self.feed.path, self._prefix) != self._checksum:
            raise CorruptLog("the file was written anew", path=self.feed.path)
        self._seen_size = state.size
        return self._go_on(deadline)

    def _go_on(self, deadline: float) -> bool:
        before = self.feed.at, self.total(), self.values()
        self._more = self.feed.advance(deadline)
        if not self._prefix and self.feed.rows:
            self._prefix = min(self.feed.settled(self._seen_size), 4095)
            self._checksum = fingerprint(self.feed.path, self._prefix)
        if before != (self.feed.at, self.total(), self.values()) or not self._more:
            self.version += 1
            with self.changed:
                self.changed.notify_all()
        return self._more

    def wait_for(self, kinds: set[Kind], seconds: float) -> None:
        """Wait until the values of *kinds* are read as far as the file goes, at most *seconds*."""
        end = time.monotonic() + seconds
        with self.changed:
            while not self.is_complete(kinds) and not self.error and (left := end - time.monotonic()) > 0:
                self.changed.wait(min(left, 0.1))

    def is_complete(self, kinds: set[Kind]) -> bool:
        """Whether the values of *kinds* are read as far as the file goes."""
        return bool(self.version) and not self._more and not self.feed.lagging(kinds)

    def progress(self, kinds: set[Kind]) -> float:
        """How much is read, 0 to 1."""
        if self.is_complete(kinds):
            return 1.0
        done = self.feed.progress()
        rows = [self.feed.rows[kind] for kind in kinds if kind in self.feed.rows]
        total = sum(map(len, rows))
        read = sum(one.columns.rows for one in rows)
        return min(0.999, done * (read / total if total else 1.0))

    def total(self) -> int:
        """Frames of all kinds."""
        return sum(map(len, self.feed.rows.values()))

    def values(self) -> int:
        """Frames whose values were read."""
        return sum(rows.columns.rows for rows in self.feed.rows.values())

    def size(self) -> int:
        """Bytes of the file that grows."""
        return self._file.size

    def duration(self) -> float:
        """Time of the last frame that was seen."""
        times = [float(rows.time.read(len(rows) - 1)[0]) for rows in self.feed.rows.values() if len(rows)]
        return max(times, default=0.0)

    def rows(self, kind: Kind) -> Rows | None:
        """The rows of *kind*, or None when there are none."""
        return self.feed.rows.get(kind)

    def want(self, kind: Kind) -> None:
        """Have the values of *kind* read."""
        self.feed.wanted.add(kind)

    def frames(self, kind: Kind, rows: Sequence[int]) -> list[Frame]:
        """The whole frames of *kind* at *rows*, which rise."""
        return self.feed.frames(kind, rows) if kind in self.feed.rows else []

    def cursor(self) -> Cursor:
        """The place after all that was read."""
        return Cursor(self.feed.at, self._file.inode, self._prefix, self._checksum)

    def settled(self, kinds: set[Kind]) -> Cursor:
        """The place before which the values of *kinds* are all read."""
        cursor = self.cursor()
        for kind in self.feed.lagging(kinds):
            rows = self.feed.rows[kind]
            first = rows.where.read(rows.columns.rows, rows.columns.rows + 1)
            if len(first):
                cursor = cursor._replace(offset=min(cursor.offset, int(first[0])))
        return cursor

    def holds(self, cursor: Cursor) -> bool:
        """Whether *cursor* is a place in this very file, and nothing before it was superseded since."""
        if any(start < cursor.offset <= stop for start, stop in self.feed.cuts):
            return False
        if cursor.inode != self._file.inode or (self.is_complete(set()) and cursor.offset > self.feed.at):
            return False
        if (cursor.prefix, cursor.checksum) == (self._prefix, self._checksum):
            return True
        return fingerprint(self.feed.path, cursor.prefix) == cursor.checksum

    def row_after(self, kind: Kind, cursor: Cursor) -> int:
        """The first row of *kind* that is not before *cursor*."""
        rows = self.rows(kind)
        return 0 if rows is None or cursor.offset <= 0 else rows.where.search(cursor.offset - 1)

    def close(self) -> None:
        """Let go of the file."""
        self.feed.close()
