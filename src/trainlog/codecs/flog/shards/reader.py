"""Several FLOG files as one log (FlogShards)."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainlog.codec import Reader, Summary
from trainlog.codecs.flog.reader import FlogReader
from trainlog.codecs.flog.shards.cursor import ShardCursor
from trainlog.codecs.flog.shards.files import Shard, shard_files
from trainlog.codecs.flog.shards.rows import BEGIN, ShardRows, keep_last, merged
from trainlog.errors import InvalidPosition, LogNotFound, TruncatedLog
from trainlog.model import End, Frame, Kind, KindLike
from trainlog.scan import Batch, Gap, OnDamage, Place, Position, Scan, damage_handler, stretch
from trainlog.storage.source import Wait, never

if TYPE_CHECKING:
    from trainlog.verify_report import Verdict

__all__ = ["FlogShards"]


class FlogShards(Reader):
    """The frames of several FLOG files in the order of their times.

    Each file's times are shifted by the start time of its writer, which is in its header; without it they are used
    unchanged. Every frame gets a key ``rank``, the number of the writer, unless it already has one. Files that appear
    while the log is followed are followed as well.
    """

    keeps_order = False

    def __init__(self, path: Path) -> None:
        self._shards: dict[Path, Shard] = {}
        torn: TruncatedLog | None = None
        for n, file in enumerate(shard_files(path)):
            try:
                self._shards[file] = Shard(FlogReader(file), n)
            except TruncatedLog as error:
                torn = torn or error
        if not self._shards:
            why = "there are no FLOG files in it" if path.is_dir() else "no file has this name"
            raise torn or LogNotFound(why, path=path)
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

        While the log is followed, only the frames that arrive between two calls of *wait* are in this order.
        """
        wanted = None if kind is None else Kind.of(kind)
        cursors: dict[Path, ShardCursor] = {}
        try:
            while True:
                shards, torn = self._look()
                for file, shard in shards.items():
                    if file not in cursors:
                        follows = wait is not never
                        cursors[file] = ShardCursor(shard, self._zero, wanted, on_damage, follows=follows)
                for _, frame in heapq.merge(*(one.available() for one in cursors.values()), key=lambda pair: pair[0]):
                    yield frame
                if not wait():
                    break
            for cursor in cursors.values():
                cursor.end()
            _report(torn, on_damage)
        finally:
            for cursor in cursors.values():
                cursor.close()

    def _look(self) -> tuple[dict[Path, Shard], list[tuple[Path, Gap]]]:
        """The files that can be read, and those that end inside their headers.

        The writers of the latter were killed, or are still writing them: the next look will show.
        """
        shards: dict[Path, Shard] = {}
        torn: list[tuple[Path, Gap]] = []
        for n, file in enumerate(shard_files(self.path)):
            with suppress(LogNotFound, FileNotFoundError):  # a new shard can be deleted again
                if file not in self._shards and (size := file.stat().st_size):
                    try:
                        shard = Shard(FlogReader(file), n)
                        self._shards[file] = shard if self._hides else shard.with_superseded()
                    except TruncatedLog:
                        torn.append((file, Gap(0, size, torn=True, file=file.name)))
            if file in self._shards:
                shards[file] = self._shards[file]
        return shards, torn

    def scan(self, scan: Scan = Scan()) -> Iterator[Batch]:  # noqa: B008 - it is frozen
        """Yield the answer to *scan*, one batch for each kind; see `trainlog.codec.Reader.scan`.

        The files are merged by the times of all their frames, so a scan of one kind reads the others too. A scan after
        a position yields the frames that were written since, in the order of their times; ``take`` accepts only the
        orders of scans from the beginning. If columns are named, a frame whose own ``rank`` is a map gets a rank too.
        """
        count, before = _parse(scan.after)
        found, torn = self._look()
        shards = {file.name: shard for file, shard in found.items()}
        _report(torn, scan.on_damage)
        if gone := before.keys() - shards.keys():
            raise InvalidPosition(f"{min(gone)} is gone, but was read before; read it again", path=self.path)
        done = frozenset[int]().union(*(Place.parse(one).done for one in before.values()))
        if done:  # a partly returned stretch ends where it ended before, and new files are not part of it
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
        shards: Mapping[str, Shard],
        count: int,
        before: Mapping[str, str],
        done: frozenset[int] = frozenset(),
    ) -> Iterator[Batch]:
        """Yield the batches of one stretch of the log after *count* earlier frames, without the kinds in *done*."""
        looks = [
            ShardRows(shard, shard.began - self._zero, scan, before.get(name, BEGIN) if scan.after else None)
            for name, shard in shards.items()
        ]
        latest = np.concatenate([np.empty(0), *(look.latest for look in looks)])
        number = np.empty(len(latest), np.int64)
        number[np.argsort(latest, kind="stable")] = np.arange(count, count + len(latest))
        ends = np.cumsum([len(look.latest) for look in looks])
        for look, end in zip(looks, ends.tolist(), strict=True):
            look.number = number[end - len(look.latest) : end]
        if scan.last is not None:
            keep_last(looks, scan.last)
        kinds = {kind for look in looks for kind in look.tables}
        found = {kind: merged(kind, [look for look in looks if kind in look.tables], scan) for kind in kinds}

        def behind(done: frozenset[int]) -> Position:
            after = {look.shard.reader.path.name: look.position(done) for look in looks}
            return Position(json.dumps([count if done else count + len(latest), after], separators=(",", ":")))

        yield from stretch(found, scan, behind, done)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the shards that exist so far."""
        return tuple(self._look()[0])

    def summary(self, progress: Callable[[int], object] | None = None) -> Summary:
        """Report what the files hold, and their damage; see `trainlog.codec.Reader.summary`."""
        summary = super().summary(progress)
        if self._hides:
            summary.superseded = sum(shard.reader.superseded for shard in self._look()[0].values())
        return summary

    def verify(self, progress: Callable[[int], object] | None = None) -> Verdict:
        """Read all files completely, verify their checksums, and report their problems."""
        from trainlog.verify_report import Problem, Verdict

        total = Verdict(self.path)
        shards, torn = self._look()
        for shard in shards.values():
            one = shard.reader.verify()
            total.size += one.size
            total.sealed += one.sealed
            total.kinds.update(one.kinds)
            total.problems += [replace(problem, file=shard.reader.path.name) for problem in one.problems]
            if progress is not None:
                progress(total.size)
        for _, gap in torn:
            total.size += gap.size
            total.problems.append(Problem("torn tail", 0, gap.size, "it ends inside its header", file=gap.file))
        return total


def _report(torn: Sequence[tuple[Path, Gap]], on_damage: OnDamage) -> None:
    for file, gap in torn:
        damage_handler(on_damage, file)(gap)


def _end_of_all(ends: Sequence[End | None]) -> End | None:
    """How a run of several processes ended: the first that failed or was interrupted; finished when all have."""
    for state in ("failed", "interrupted"):
        if found := [end for end in ends if end is not None and end.state == state]:
            return min(found, key=lambda end: end.wall)
    return None if None in ends else max(filter(None, ends), key=lambda end: end.wall)


def _parse(position: str | None) -> tuple[int, dict[str, str]]:
    """The number of frames returned so far, and the position in each file.

    Raises:
        InvalidPosition: when the text is not a position in such a log.

    """
    if position is None:
        return 0, {}
    try:
        count, after = json.loads(position)
        if type(count) is int and all(isinstance(one, str) for one in after.values()):
            return count, after
    except (ValueError, TypeError, AttributeError):
        pass
    raise InvalidPosition(f"{position[:80]!r} is not a position in a log of several files")
