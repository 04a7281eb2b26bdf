"""Scans of a FLOG file, without a dict or a Python loop iteration for each frame.

The file is read in blocks. In each block, the frames are found (`scanning.chain`) and sorted by shape (`sorter`), and
their values are copied to their places in the result (`record_layout`). Anything that is not a sound frame is left to
the walk (`scanning.walk`), which continues from the same place, in the same state as if it had reached it by itself. So
the rows are those of ``frames``, on every file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.columns.frame_buffer import FrameBuffer, LastFrames
from trainlog.codecs.flog.columns.sorter import FrameSorter, SortedFrames
from trainlog.codecs.flog.columns.values import overlapping
from trainlog.codecs.flog.index.index import Candidates, FrameOffsets, IndexBuilder, likely
from trainlog.codecs.flog.integrity.seals import MAP, SEAL, SEAL_SIZE, is_seal
from trainlog.codecs.flog.scanning.chain import SLACK, Block, BlockReader, Octets
from trainlog.codecs.flog.scanning.walk import FrameWalk, Record, ignore_gap, may_begin
from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.codecs.flog.wire.run_state import STATE, is_about_run
from trainlog.codecs.frame_payload import decode, decode_flat
from trainlog.model import Kind
from trainlog.scan import Batch, Gap, Place, Scan, stretch
from trainlog.storage.source import Source
from trainlog.table.builder import TableBuilder
from trainlog.table.table import Table
from trainlog.table.values import STEP, in_range

__all__ = ["ColumnScanner", "StaleIndex"]

_HEAD: Final = FRAME.size

_ENOUGH: Final = 2048  # frames that are gathered from several blocks, where frames of the kind are rare
_FULL: Final = 1 << 20  # bytes; a larger buffer would use fresh memory, which is slower

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class StaleIndex(Exception):
    """An index led to bytes that are not a whole frame; no batch was yielded yet."""


class _BrokenFrame(Exception):
    """A requested frame cannot be decoded.

    Attributes:
        at: where it begins.

    """

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class _KindRows:
    """The rows of one kind, gathered for a batch."""

    def __init__(self, kind: int, scan: Scan) -> None:
        self.builder = TableBuilder(Kind(kind), scan.columns)
        self.last = None if scan.last is None else LastFrames(scan.last)
        self._offsets: list[Ints] = []
        self._size = 0

    def add(self, frames: SortedFrames, offset: Ints, length: Ints, chosen: Mask | None) -> None:
        """Add *frames*, which begin at the bytes *offset* of the file; only those that are *chosen*."""
        frames.add_to(self.builder, chosen)
        self._offsets.append(offset if chosen is None else offset[chosen])
        self._size += int((length if chosen is None else length[chosen]).sum()) - _HEAD * len(self._offsets[-1])

    def finish(self, sorter: FrameSorter) -> tuple[Table, Ints, int]:
        """The table, the places of its rows in the file, and the size of their payloads in bytes."""
        if self.last is not None:
            for block, offset, length, place in self.last.take():
                self.add(sorter.sort(block, offset, length), place, length, None)
        return self.builder.finish(), np.concatenate([np.empty(0, np.int64), *self._offsets]), self._size


class ColumnScanner:
    """One scan of one file."""

    def __init__(
        self, source: Source, scan: Scan, sorter: FrameSorter, place: Place | None = None, *, lists_frames: bool = False
    ) -> None:
        """Prepare to answer *scan*.

        Args:
            source: the file.
            scan: the query.
            sorter: knows the shapes of earlier frames.
            place: which part of the answer was returned before.
            lists_frames: whether to fill ``frames``; then the frames of all kinds are read.

        """
        self._source = source
        self._scan = scan
        self._sorter = sorter
        self._needed = None if scan.columns is None else frozenset(scan.columns) | ({STEP} if scan.steps else set())
        self._place = place
        self._alone = next(iter(scan.wanted)) if scan.wanted is not None and len(scan.wanted) == 1 else None
        kinds = None if lists_frames else scan.wanted
        self._wanted = np.ones(256, np.bool_)
        if kinds is not None:
            self._wanted = np.zeros(256, np.bool_)
            self._wanted[list(kinds)] = True
        self._only = None if lists_frames else self._alone
        self._kinds: frozenset[int] | None = kinds
        self._rows: dict[int, _KindRows] = {}
        self._count = 0  # rows that are gathered for the next batch
        self._given = False  # whether a batch was yielded already
        self._blocks = BlockReader(source)
        self._few = FrameBuffer()
        self._begin = -1
        self._proven = 0
        self._proving = False
        self._index: IndexBuilder | None = None
        self.steps: dict[int, list[tuple[Ints, npt.NDArray[np.float64]]]] = {}
        """By kind: offsets of frames and their steps, when the scan has a range of steps."""
        self._lists_frames = lists_frames
        self.frames: list[FrameOffsets] = []
        """The frames of all kinds, in and outside the ranges of the scan."""

    def batches(
        self,
        start: int,
        on_gap: Callable[[Gap], object],
        candidates: Candidates | None = None,
        index: IndexBuilder | None = None,
    ) -> Iterator[Batch]:
        """Yield the answer.

        Args:
            start: the byte from which on all frames are read.
            on_gap: called with bytes that are not a frame.
            candidates: the frames before *start* that an index leads to; they are read first, all at once.
            index: is extended by the frames from *start* on, as far as they are sound.

        Raises:
            StaleIndex: when the index was wrong.

        """
        self._index = index
        begin = start
        if candidates is not None:
            self._read_candidates(candidates)
            begin = candidates.begin if candidates.begin >= 0 else start
        walk = FrameWalk(self._source, start, self._kinds, on_gap)
        ahead, done = -1, frozenset[int]()
        if self._place is not None:
            begin, ahead = self._resume(walk)
            done = self._place.done
        most = self._scan.batch_rows if self._scan.last is None else None
        while not walk.ended:
            if walk.at >= walk.careful:
                for _ in self._read_blocks(walk, ahead if walk.at < ahead and done else self._source.size):
                    if most is not None and self._count >= most and not done:
                        yield from self._flush(begin, walk.at, walk.proven)
                        begin = walk.at
                self._prove_last_header(walk)
            if done and walk.at >= ahead:  # a partly returned stretch ends where it ended before
                yield from self._flush(begin, walk.at, walk.proven, done)
                begin, done, self._place = walk.at, frozenset(), None
                continue
            if walk.at == self._source.size:  # there is nothing for the walk to judge
                break
            for record in walk.read_block():
                if done and record.offset >= ahead:  # the walk is already past the record
                    yield from self._flush(begin, record.offset, record.offset, done)
                    begin, done, self._place = record.offset, frozenset(), None
                self._add_record(record)
                if most is not None and self._count >= most and not done:
                    yield from self._flush(begin, walk.at, walk.proven)
                    begin = walk.at
        if self._count or not self._given:
            yield from self._flush(begin, walk.at, walk.proven, done)

    def _resume(self, walk: FrameWalk) -> tuple[int, int]:
        """Continue where an earlier scan ended; return its proven place, and how far it came.

        The earlier scan skipped the frames between the two undecoded, or returned only some kinds of them.
        """
        assert self._place is not None
        start, ahead = map(self._source.from_file_offset, (self._place.start, self._place.ahead))
        walk.at = walk.proven = walk.careful = start
        if not self._place.done and start < ahead:
            if self._prove(start, ahead):
                walk.at = walk.proven = walk.careful = ahead
            else:
                walk.careful = ahead
        return walk.proven, ahead

    def _flush(self, begin: int, end: int, proven: int, done: frozenset[int] = frozenset()) -> Iterator[Batch]:
        """Yield the batches of the stretch from byte *begin* to *end*; *proven* is the walk's proven place there."""
        rows, self._rows, self._count, self._given = self._rows, {}, 0, True
        found = {Kind(kind): one.finish(self._sorter) for kind, one in rows.items()}
        checksum = self._source.checksum(end)
        begin, end, proven = map(self._source.to_file_offset, (begin, end, proven))
        behind = Place.behind(begin, end, checksum, proven)
        yield from stretch(found, self._scan, behind, done)

    def _read_candidates(self, candidates: Candidates) -> None:
        for begin, end in candidates.spans:
            walk = FrameWalk(self._source, begin, None, ignore_gap)
            for _ in self._read_blocks(walk, end):
                pass
            if walk.at != end:
                raise StaleIndex
        if candidates.offsets is not None:
            self._read_single(candidates.offsets)

    def _read_single(self, frames: FrameOffsets) -> None:
        """Add *frames*, each read separately.

        Raises:
            StaleIndex: when one of them is not there.

        """
        ends = np.cumsum(frames.length)
        first = 0
        while first < len(ends):
            begin = int(ends[first] - frames.length[first])
            last = max(first + 1, min(first + _ENOUGH, int(np.searchsorted(ends, begin + _FULL, "right"))))
            place, length, kind = frames.offset[first:last], frames.length[first:last], frames.kind[first:last]
            offset = ends[first:last] - length - begin
            block = np.empty(int(ends[last - 1]) - begin + SLACK, np.uint8)
            view = block.data
            for at, size, where in zip(offset.tolist(), length.tolist(), place.tolist(), strict=True):
                if self._source.fill(view[at : at + size], where) < size:
                    raise StaleIndex
            sizes = overlapping(block, "<u4")[offset + (_HEAD - 4)]
            if (sizes != length - _HEAD).any() or (block[offset + (_HEAD - 5)] != kind).any():
                raise StaleIndex
            try:
                self._put(block, offset, length, place, kind)
            except _BrokenFrame:
                raise StaleIndex from None
            first = last

    def _read_blocks(self, walk: FrameWalk, stop: int) -> Iterator[None]:
        """Add the sound frames from the place of *walk* up to byte *stop*; pause whenever a batch may be full.

        At the first doubtful frame it stops, and leaves the walk there.
        """
        if self._begin < 0:
            self._begin = walk.at
        proven = self._proven = walk.proven
        try:
            while walk.at + _HEAD < stop:
                block = self._blocks.read(walk.at, stop)
                at, links = block.at, block.links
                wanted = self._wanted.take(links.kind)
                good = self._sound(block, wanted, proven, stop)
                reached = int(links.offset[good]) if good < len(links.kind) else links.next
                if self._index is not None and not self._proving:
                    self._index.see(at, links, good)
                rows = np.flatnonzero(wanted[:good])
                if len(rows):
                    offset, length = links.offset[rows], links.length[rows]
                    proven = at + int(offset[-1] + length[-1])
                    is_last = at + reached + _HEAD >= stop
                    self._gather(block, offset, length, links.kind[rows], is_last=is_last)
                walk.at = at + reached
                if (links.broken and good == len(links.kind)) or not (reached or self._blocks.enlarge(links)):
                    break
                if self._scan.batch_rows is not None and self._count + self._few.rows >= self._scan.batch_rows:
                    self._put_few()
                    walk.proven = self._proven
                    yield
            self._put_few()
            walk.proven = self._proven
        except _BrokenFrame as broken:
            walk.at, walk.proven = broken.at, self._proven
            if self._index is not None and not self._proving:
                self._index.break_at(broken.at)

    def _prove_last_header(self, walk: FrameWalk) -> None:
        """Judge a lone header at the end, which a killed writer may leave, faster than the walk would.

        The walk would decode every skipped frame, to be sure that a header belongs here.
        """
        left = self._source.size - walk.at
        if walk.proven < walk.at and 0 < left <= _HEAD and self._prove(walk.proven, walk.at):
            walk.proven = walk.at

    def _prove(self, begin: int, end: int) -> bool:
        """Whether the bytes from *begin* to *end* are whole frames, of any kinds, and another frame may follow them.

        A frame that was cut short may be decodable, with bytes of the frame after it. Then none begins at *end*.
        """
        if not may_begin(self._source, end):
            return False
        walk = FrameWalk(self._source, begin, None, ignore_gap)
        wanted, self._wanted, self._proving = self._wanted, np.ones(256, np.bool_), True
        for _ in self._read_blocks(walk, end):
            pass
        self._wanted, self._proving = wanted, False
        return walk.at == end

    def _gather(self, block: Block, offset: Ints, length: Ints, kind: Octets, *, is_last: bool) -> None:
        """Add the frames at *offset* of *block*, now or together with later ones."""
        if is_last or len(offset) >= _ENOUGH // 4 or int(length.sum()) > len(block.data) // 4:
            self._put_few()
            self._put(block.data, offset, length, offset + block.at, kind)
            return
        self._few.add(block.data, offset, length, offset + block.at, kind)
        if self._few.rows >= _ENOUGH or self._few.size >= _FULL:
            self._put_few()

    def _put_few(self) -> None:
        if self._few.rows:
            few, self._few = self._few, FrameBuffer()
            self._put(*few.joined())

    def _put(self, block: Octets, offset: Ints, length: Ints, place: Ints, kind: Octets) -> None:
        """Add frames to their tables; *offset* is where they begin in *block*, *place* where they begin in the file.

        Raises:
            _BrokenFrame: when one of them cannot be decoded; the frames before it were added.

        """
        if not len(offset):
            return
        frames = self._sorter.sort(block, offset, length, self._needed)
        whole = len(offset) if frames.broken is None else frames.broken
        if whole:
            self._proven = int(place[whole - 1] + length[whole - 1])
            if not self._proving:
                self._collect(frames, block, offset[:whole], length[:whole], place[:whole], kind[:whole])
        if frames.broken is not None:
            raise _BrokenFrame(int(place[whole]))

    def _collect(
        self, frames: SortedFrames, block: Octets, offset: Ints, length: Ints, place: Ints, kind: Octets
    ) -> None:
        """Add the requested ones of the whole *frames* to the rows of their kinds."""
        places = self._source.to_file_offsets(place)
        hidden = _hidden(block, offset, length, kind, self._alone)
        if self._lists_frames:
            shown = slice(None) if hidden is None else ~hidden
            self.frames.append(FrameOffsets(places[shown], length[shown], _times(block, offset)[shown], kind[shown]))
        in_time = None if self._scan.time is None else in_range(_times(block, offset), self._scan.time)
        for one in [int(self._only)] if self._only is not None else np.unique(kind).tolist():
            if not self._scan.wants(one):
                continue
            chosen = self._chosen(one, frames, in_time, places, kind)
            if hidden is not None:
                chosen = ~hidden if chosen is None else chosen & ~hidden
            count = len(offset) if chosen is None else int(np.count_nonzero(chosen))
            if not count:
                continue
            self._count += count
            rows = self._rows.get(one)
            if rows is None:
                rows = self._rows[one] = _KindRows(one, self._scan)
            if rows.last is None:
                if len(offset) > 1:
                    self._expect(rows.builder, count)
                rows.add(frames, places, length, chosen)
            elif chosen is None:
                rows.last.add(block, offset, length, places)
            else:
                rows.last.add(block, offset[chosen], length[chosen], places[chosen])

    def _chosen(
        self, kind: int, frames: SortedFrames, in_time: Mask | None, places: Ints, kinds: Octets
    ) -> Mask | None:
        """Which of the frames are of *kind* and requested; None when all are."""
        scan = self._scan
        masks = [] if self._only is not None else [kinds == kind]
        if in_time is not None:
            masks.append(in_time)
        if scan.steps is not None:
            steps = frames.numbers(len(places), STEP)
            mine = slice(None) if self._only is not None else kinds == kind
            self.steps.setdefault(kind, []).append((places[mine], steps[mine]))
            masks.append(in_range(steps, scan.steps))
        if self._place is not None and kind in self._place.done:
            masks.append(places >= self._place.ahead)
        return np.logical_and.reduce(masks) if masks else None

    def _add_record(self, record: Record) -> None:
        """Add a frame that the walk decoded."""
        if self._proving or not self._wanted[record.kind]:
            return
        raw = self._source.read(record.offset, record.size)
        frames = SortedFrames([], [(0, record.time, decode_flat(raw[_HEAD:]))], None)
        block = np.frombuffer(raw + bytes(SLACK), np.uint8)
        one = np.array([record.size])
        self._collect(frames, block, one - record.size, one, one - one + record.offset, block[8:9])

    def _sound(self, block: Block, wanted: Mask, proven: int, stop: int) -> int:
        """How many of the frames, from the first one on, can be used without examining the bytes around them."""
        at, _, count, links = block
        good = len(links.kind)
        if not good:
            return 0
        end = links.next
        if end > count and (wanted[-1] or at + end > stop):
            good, end = good - 1, int(links.offset[-1])  # the last frame is incomplete
        elif end <= count and wanted[-1] and (links.broken or count <= end + _HEAD < stop - at):
            good, end = good - 1, int(links.offset[-1])  # it is not known whether a frame follows the last one
        # The walk doubts a place without a likely header when it came there over frames that it did not decode.
        doubtful = np.empty(good, np.bool_)
        doubtful[:1] = proven < at
        np.logical_not(wanted[: good - 1], out=doubtful[1:])
        places = np.flatnonzero(doubtful)
        if len(places):
            found = likely(links.time[places], links.kind[places])
            if not found.all():
                good = int(places[found.argmin()])
        return good

    def _expect(self, builder: TableBuilder, count: int) -> None:
        """Guess how many rows there will be, once *count* more are added."""
        done = max(self._proven - self._begin, 1)
        left = max(self._source.size - self._proven, 0)
        rows = builder.rows + count
        expected = rows + int(rows * left / done * 1.01) + 16
        most = self._scan.batch_rows
        builder.expected = expected if most is None else min(expected, 2 * max(most, rows))


def _times(block: Octets, offset: Ints) -> npt.NDArray[np.float64]:
    return overlapping(block, "<f8")[offset]


def _hidden(block: Octets, offset: Ints, length: Ints, kind: Octets, only: int | None) -> Mask | None:
    """Which frames are checksums or states of the run, not frames of the run itself; None when there are none.

    They are not hidden when *only* frames of their kind are requested.
    """
    seals = None if only == SEAL else _seals(block, offset, length, kind)
    about: Mask = kind == STATE
    if only == STATE or not about.any():
        return seals
    for row in np.flatnonzero(about).tolist():
        start, end = int(offset[row]) + _HEAD, int(offset[row] + length[row])
        about[row] = is_about_run(STATE, decode(block[start:end].data))
    return about if seals is None else about | seals


def _seals(block: Octets, offset: Ints, length: Ints, kind: Octets) -> Mask | None:
    """Which frames are checksums; None when there are none."""
    found: Mask = length == SEAL_SIZE
    if not found.any():
        return None
    found &= (kind == SEAL) | (overlapping(block, f"V{len(MAP)}")[offset + _HEAD] == np.void(MAP))
    for row in np.flatnonzero(found).tolist():
        start, end = int(offset[row]) + _HEAD, int(offset[row] + length[row])
        found[row] = is_seal(int(kind[row]), decode_flat(block[start:end].data), SEAL_SIZE)
    return found
