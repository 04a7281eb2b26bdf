"""Several FLOG files as one log: a run of several processes, each of which writes a file of its own.

Nothing is shared between the writers, no lock and no database, so that it works on any file system. What belongs
together is told by the path: a folder that is named like a log (``run.flog/``), or a pattern (``run-*.flog``).
"""

from __future__ import annotations

import dataclasses
import heapq
import re
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from pathlib import Path
from typing import Any, Final

from trainlog.codec import Gap, OnDamage, Reader
from trainlog.codecs.flog.integrity.rewinds import placed
from trainlog.codecs.flog.integrity.seals import SEAL, is_seal
from trainlog.codecs.flog.reader import FlogReader
from trainlog.codecs.flog.scanning.walk import Record, walk
from trainlog.errors import LogNotFound
from trainlog.model import Frame, Header, Kind, KindLike
from trainlog.scan import damage_handler
from trainlog.storage.source import Wait, never
from trainlog.verify_report import Verdict

__all__ = ["FlogShards", "is_several"]

RANK: Final = "rank"

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
        first = next(iter(self._shards.values())).reader.header
        self._zero = min(shard.began for shard in self._shards.values())
        self._hides = True
        meta = {key: value for key, value in first.meta.items() if key != "shard"}
        super().__init__(path, Header({**meta, "shards": len(self._shards)}, first.phase, first.variables))

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

    def _size(self) -> int:
        return sum(file.stat().st_size for file, _ in self._known())

    def verify(self, progress: Callable[[int], object] | None = None) -> Verdict:
        """Read all of the files, with their checksums, and say what is wrong with them."""
        total = Verdict(self.path)
        for _, shard in self._known():
            one = shard.reader.verify()
            total.size += one.size
            total.sealed += one.sealed
            total.kinds.update(one.kinds)
            total.problems += [dataclasses.replace(problem, file=shard.reader.path.name) for problem in one.problems]
            if progress is not None:
                progress(total.size)
        return total


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
        told = reader.header.meta.get("shard")
        shard: Mapping[str, Any] = told if isinstance(told, dict) else {}
        number = re.findall(r"\d+", reader.path.stem)
        self.rank = shard.get(RANK, int(number[-1]) if number else position)
        began = shard.get("began", 0.0)
        self.began = began if isinstance(began, int | float) else 0.0

    def with_superseded(self) -> _Shard:
        other = copy(self)
        other.reader = self.reader.with_superseded()
        return other


class _Cursor:
    """Reads one of the files, as far as it goes, again and again."""

    def __init__(self, shard: _Shard, zero: float, kind: Kind | None, on_damage: OnDamage, *, follows: bool) -> None:
        self._rank = shard.rank
        self._shift = shard.began - zero
        self._kind = kind
        self._tell = damage_handler(on_damage, shard.reader.path)
        self._follows = follows
        self._source, self._at = shard.reader._open()
        self._latest = float("-inf")
        self._gaps: dict[int, Gap] = {}

    def available(self) -> Iterator[tuple[float, Frame]]:
        """Yield what was written since the last time, each with a time that never steps back."""
        self._gaps = {offset: gap for offset, gap in self._gaps.items() if offset < self._at}
        # Who follows decodes all, so as not to pass the same frames of other kinds at each look.
        for record in walk(self._source, self._at, kind=None if self._follows else self._kind, on_gap=self._on_gap):
            self._at = record.offset + record.size
            if self._kind is None:
                if record.kind == SEAL and is_seal(record.data):
                    continue
            elif record.kind != self._kind:
                continue
            frame = self._frame(record)
            self._latest = max(self._latest, frame.time)
            yield self._latest, frame

    def _frame(self, record: Record) -> Frame:
        data = record.data
        if RANK not in data:
            data = {**data, RANK: self._rank}
        return Frame(record.time + self._shift, Kind(record.kind), data)

    def _on_gap(self, gap: Gap) -> None:
        # The end of a file that is being written may look damaged, until the rest is there.
        self._gaps[gap.offset] = gap

    def end(self) -> None:
        """Tell of what is damaged.

        Raises:
            DamagedLog: strictly.

        """
        for gap in self._gaps.values():
            placed(self._source, self._tell)(gap)

    def close(self) -> None:
        self._source.close()
