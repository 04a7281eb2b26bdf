"""Reading a FLOG file."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from trainlog.codec import Reader, Summary
from trainlog.codecs.flog.columns.scanner import ColumnScanner, StaleIndex
from trainlog.codecs.flog.columns.sorter import FrameSorter
from trainlog.codecs.flog.index.index import Candidates, FrameOffsets, Index, IndexBuilder
from trainlog.codecs.flog.index.index_file import finish, load_or_start
from trainlog.codecs.flog.integrity.find_header import take_header
from trainlog.codecs.flog.integrity.last_state import last_state
from trainlog.codecs.flog.integrity.rewinds import FilteredSource, History
from trainlog.codecs.flog.integrity.seals import EVERY, SEAL, SEAL_SIZE, has_seals, is_seal, newest_seal, sealed_ranges
from trainlog.codecs.flog.scanning.walk import ignore_gap, last_end, walk
from trainlog.codecs.flog.wire.header import parse_fixed_header
from trainlog.codecs.flog.wire.layout import FRAME, HEADER, MAX_PAYLOAD
from trainlog.codecs.flog.wire.run_state import STATE, is_about_run, merged
from trainlog.codecs.frame_payload import decode
from trainlog.errors import InvalidPosition
from trainlog.model import Frame, Kind, KindLike
from trainlog.scan import Batch, Gap, OnDamage, Place, Scan, damage_handler, stretches
from trainlog.storage.compressed import CompressedSource, open_source
from trainlog.storage.source import Source, Wait, never

if TYPE_CHECKING:
    from trainlog.verify_report import Repair, Verdict

__all__ = ["FlogReader"]

_KINDS: Final = tuple(map(Kind, range(256)))
_SHARE: Final = 8  # the last rows are searched for in at most 1/8 of a file, before an index of it is built
_NEAR: Final = 1 << 14  # bytes that are read at once, as requested frames may be close to one another
_NO_FRAMES: Final = FrameOffsets(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint8))


class FlogReader(Reader):
    """A reader of one FLOG file; see `trainlog.codec.Reader` for its methods.

    ``Batch.order`` is the byte where each frame begins. Ranges are found through an index of the file, without decoding
    the frames before them; any full read builds the index as a side effect. For logs above 256 MB, the index is kept in
    a small hidden file next to the log, if the folder is writable.
    """

    def __init__(self, path: Path) -> None:
        with open_source(path) as source:
            header, self._start = take_header(source)
            self._has_seals = has_seals(header)
            seal = newest_seal(source, self._start) if self._has_seals else None
            state = last_state(source, self._start, seal)
            header = header if state is None else merged(header, state)
            self._history = History.start(source, self._start, seal)
            self._head = self._history.head[: HEADER.size]
        super().__init__(path, header)
        self._hides = True
        self._index: Index | None = None  # what is known about the file so far
        self._sorter = FrameSorter()

    def with_superseded(self) -> FlogReader:
        """The same log with the frames that a rewind has superseded; see `trainlog.codec.Reader.with_superseded`."""
        other = copy(self)
        other._hides = False
        return other

    def _open(self, wait: Wait | None, *, hides: bool = True) -> tuple[Source, int]:
        """The visible part of the file, and the offset of its first frame.

        Without *wait* the visible part does not grow: frames that are written during the read belong to the next scan.
        """
        source = open_source(self.path, wait or never)
        hides = hides and self._hides
        try:
            head = source.take(min(HEADER.size, source.size) if wait is None else HEADER.size)
            start = self._start if head == self._head else parse_fixed_header(head, self.path)[1]
            if wait is not None:
                source.take(start - source.offset)  # the metadata may not be written yet
            if hides:
                self._history = self._history.updated(source, start, has_seals=self._has_seals)
        except BaseException:
            source.close()
            raise
        if not (hides and self._history.cuts):
            return source, start
        return FilteredSource(source, self._history.cuts), start

    def frames(
        self, kind: KindLike | None = None, *, wait: Wait = never, on_damage: OnDamage = "warn"
    ) -> Iterator[Frame]:
        """Yield the frames in the file's order; see `trainlog.codec.Reader.frames`.

        Checksums and states of the run are not frames of the run; ``kind=67`` and ``kind=82`` yield them.
        """
        wanted = None if kind is None else int(Kind.of(kind))
        source, start = self._open(wait)
        with source:
            for record in walk(source, start, kind=wanted, on_gap=self._on_gap(source, on_damage)):
                _, size, time, number, data = record
                if size == SEAL_SIZE and wanted != SEAL and is_seal(number, data, size):
                    continue
                if number == STATE != wanted and is_about_run(number, data):
                    continue
                yield Frame(time, _KINDS[number], data)

    def _on_gap(self, source: Source, on_damage: OnDamage) -> Callable[[Gap], object]:
        """*on_damage* as a function that is called with the gap's place in the file."""
        handle = damage_handler(on_damage, self.path)
        return lambda gap: handle(replace(gap, offset=source.to_file_offset(gap.offset)))

    def scan(self, scan: Scan = Scan()) -> Iterator[Batch]:  # noqa: B008 - it is frozen
        """Yield the answer to *scan*; see `trainlog.codec.Reader.scan`."""
        place = None if scan.after is None else Place.parse(scan.after)
        source, start = self._open(None, hides=not scan.superseded)
        with source:
            on_gap = self._on_gap(source, scan.on_damage)
            if place is not None:
                place = self._checked(source, place, start)
            elif not isinstance(source, FilteredSource):  # an index describes the whole file
                if scan.last is not None and (found := self._from_the_end(source, start, scan, scan.last, on_gap)):
                    yield from found
                    return
                try:
                    done = yield from self._indexed(source, start, scan, on_gap)
                except StaleIndex:
                    self._index, done = None, False
                if done:
                    return
            yield from ColumnScanner(source, scan, self._sorter, place).batches(start, on_gap)

    def scan_with_frames(self, scan: Scan) -> tuple[list[Batch], FrameOffsets]:
        """Answer *scan* in one stretch, and also return where the frames of all kinds are.

        If the scan's position is in the middle of a stretch, the answer is the rest of that stretch. The frames are all
        after the position, inside and outside the ranges of the scan, in the order of the file.
        """
        place = None if scan.after is None else Place.parse(scan.after)
        source, start = self._open(None, hides=not scan.superseded)
        with source:
            place = None if place is None else self._checked(source, place, start)
            scanner = ColumnScanner(source, scan, self._sorter, place, lists_frames=True)
            batches = next(stretches(scanner.batches(start, self._on_gap(source, scan.on_damage))))
        frames = FrameOffsets(*map(np.concatenate, zip(_NO_FRAMES, *scanner.frames, strict=True)))
        if place is not None and not place.done:
            frames = frames.take(frames.offset >= place.ahead)
        return list(batches.values()), frames

    def scan_frames(self, frames: FrameOffsets, scan: Scan) -> Batch:
        """Answer *scan* from these *frames* alone, which are of one kind.

        Raises:
            InvalidPosition: when they are not there anymore.

        """
        with open_source(self.path) as source:
            scanner = ColumnScanner(source, scan, self._sorter)
            try:
                return next(scanner.batches(source.size, ignore_gap, Candidates(offsets=frames)))
            except StaleIndex:
                raise InvalidPosition("the log was replaced or cut; read it again", path=self.path) from None

    def _checked(self, source: Source, place: Place, start: int) -> Place:
        """*place*, verified against *source*, which may leave out parts of the file."""
        whole = source.whole if isinstance(source, FilteredSource) else source
        whole.check(place.ahead, place.check)
        if place.start < start:
            place = place._replace(start=start, ahead=max(start, place.ahead))
        if not isinstance(source, FilteredSource):
            return place
        if any(first < place.ahead <= last for first, last in self._history.cuts):
            raise InvalidPosition("training went back to a checkpoint before it; read the log again", path=self.path)
        return place

    def _from_the_end(
        self, source: Source, start: int, scan: Scan, last: int, on_gap: Callable[[Gap], object]
    ) -> list[Batch] | None:
        """The *last* rows of each requested kind, found through the checksums; None where these do not help.

        Everything before those rows stays unread, so a scan that must report all damage is not answered here.
        """
        if scan.wanted is None or scan.on_damage not in ("warn", "ignore"):
            return None
        if scan.has_ranges and self._index is not None:
            return None
        reached, enough = 0, EVERY
        for begin, end in sealed_ranges(source, start):
            reached = reached or end
            if begin > start and reached - begin < enough:
                continue
            gaps: list[Gap] = []
            scanner = ColumnScanner(source, scan, self._sorter)
            try:
                batches = list(scanner.batches(reached, gaps.append, Candidates([(begin, reached)], None, start)))
            except StaleIndex:
                return None
            rows = [batch.table.rows for batch in batches]
            if begin == start or (len(rows) == len(scan.wanted) and min(rows) >= last):
                for gap in gaps:
                    on_gap(gap)
                return batches
            enough = (reached - begin) * min(2 + last // max(min(rows), 1), 16)
            if enough > (source.size - start) // _SHARE:
                return None
        return None

    def _indexed(
        self, source: Source, start: int, scan: Scan, on_gap: Callable[[Gap], object]
    ) -> Generator[Batch, None, bool]:
        """Yield the answer with the help of an index; yield nothing and return False where an index does not help."""
        before = load_or_start(source, start, self._index)
        is_range = scan.has_ranges or scan.last is not None
        index = before if before is None or not is_range else finish(source, before, before)
        if before is None or index is None:
            return False
        if is_range:
            self._index = index  # also for a caller that takes only the first batch
        builder = None if is_range else IndexBuilder(index)
        candidates = index.candidates(scan)
        if scan.batch_rows is not None and not is_range and candidates.spans:
            return False  # an index leads to a single batch, not to batches of *batch_rows*
        scanner = ColumnScanner(source, scan, self._sorter)
        yield from scanner.batches(index.end, on_gap, candidates, builder)
        found = index if builder is None else builder.index()
        if found is not None and scan.time is None:
            for kind, parts in scanner.steps.items():
                offset, steps = map(np.concatenate, zip(*parts, strict=True))
                found = found.with_steps(kind, offset, steps)
        self._index = finish(source, index, found)
        return True

    def take(self, orders: Iterable[int]) -> Iterator[Frame]:
        """Yield the frames that begin at these bytes; see `trainlog.codec.Reader.take`."""
        with open_source(self.path) as source:
            block, base = b"", 0
            for at in orders:
                if not base <= at <= base + len(block) - FRAME.size:
                    block, base = source.read(at, _NEAR), at
                if len(block) - (at - base) < FRAME.size:
                    return
                time, kind, size = FRAME.unpack_from(block, at - base)
                end = at - base + FRAME.size + size
                if size > MAX_PAYLOAD:
                    continue
                if end > len(block):
                    block, base = source.read(at, FRAME.size + size), at
                    end = FRAME.size + size
                try:
                    data = decode(block[end - size : end])
                except ValueError:
                    continue
                yield Frame(time, _KINDS[kind], data)

    def summary(self, progress: Callable[[int], object] | None = None) -> Summary:
        """Report what the file holds, and its damage; see `trainlog.codec.Reader.summary`."""
        summary = super().summary(progress)
        summary.superseded = self.superseded
        return summary

    @property
    def superseded(self) -> int:
        """Bytes of the hidden frames, as far as the file was read."""
        return sum(stop - start for start, stop in self._history.cuts) if self._hides else 0

    def verify(self, progress: Callable[[int], object] | None = None) -> Verdict:
        """Read the whole file, verify its checksums, and report its problems."""
        from trainlog.codecs.flog.integrity.check import check

        with open_source(self.path) as source:
            return check(source, progress)

    def frame_end(self, start: int, most: int) -> int | None:
        """Where the whole frames end, by their headers; see `trainlog.codec.Reader.frame_end`."""
        with open_source(self.path) as source:
            if isinstance(source, CompressedSource):
                return None
            return last_end(source, max(start, self._start), start + most)

    def salvage(self, target: Path) -> Repair:
        """Copy every whole frame, unchanged, into the new FLOG file *target*."""
        from trainlog.codecs.flog.integrity.salvage import salvage

        with open_source(self.path) as source:
            return salvage(source, target)
