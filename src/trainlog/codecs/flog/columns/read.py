"""Tables of a FLOG file, without a dict or a step of Python for each frame.

The file is read in blocks. In each, the frames are found (`chain`), sorted by shape (`sort`), and their values copied
to where they stand in the result (`plan`, `filling`). Whatever is no sound frame is left to the walk (`scan`), which
goes on from the same place in the same state as if it had come there by itself: so the rows are those of
``frames(kind)``, on every file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from trainlog.codec import Gap
from trainlog.codecs.flog.columns.filling import Filling
from trainlog.codecs.flog.columns.frame_buffer import Gathered
from trainlog.codecs.flog.columns.sorter import Sorter
from trainlog.codecs.flog.columns.values import overlapping
from trainlog.codecs.flog.index.index import Known, Places, Survey, likely
from trainlog.codecs.flog.scanning.chain import SLACK, Chain, Links, Octets
from trainlog.codecs.flog.scanning.walk import walk
from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.model import Kind
from trainlog.storage.source import Source
from trainlog.table.table import Table

__all__ = ["Unsound", "read_table"]

_HEAD: Final = FRAME.size

# A block should fit into the processor's cache. Where frames of the kind are few, they are gathered from several.
_BLOCK: Final = 2 << 20
_LARGEST: Final = 16 << 20
_ENOUGH: Final = 2048
_FULL: Final = 1 << 20  # bytes; more would be taken from memory that nobody has touched yet

_NOTHING: Final = Known()

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Choose = Callable[[npt.NDArray[np.float64]], Mask]


class Unsound(Exception):
    """An index led to what is no whole frame."""


def read_table(
    source: Source,
    start: int,
    kind: Kind,
    *,
    keys: Sequence[str] | None = None,
    known: Known = _NOTHING,
    choose: Choose | None = None,
    survey: Survey | None = None,
    sorter: Sorter | None = None,
    on_gap: Callable[[Gap], object],
) -> Table:
    """The frames of *kind* as columns, see `trainlog.codec.Reader.table`.

    Args:
        source: the file.
        start: from where on all frames are read.
        kind: of which frames.
        keys: only these columns.
        known: what is known of the file before *start*, which is read first.
        choose: says by their times which frames to take; it is asked for one batch after another.
        survey: is shown the chain of frames from *start* on, as far as it is sound.
        sorter: that has seen such frames before.
        on_gap: told of what is no frame.

    Raises:
        Unsound: when what is *known* is not so.

    """
    filling = Filling(kind, keys)
    sweep = _Sweep(source, kind, filling, choose, survey, sorter or Sorter())
    for begin, end in known.spans:
        if sweep.leap(begin, begin, end)[0] != end:
            raise Unsound
    if known.places is not None:
        sweep.pick(known.places)
    for record in walk(source, start, kind=kind, on_gap=on_gap, leap=sweep.leap):
        if choose is None or choose(np.array([record.time]))[0]:
            filling.add_frame(record.time, record.data)
    return filling.table()


class _Broken(Exception):
    """A frame of the kind cannot be decoded."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class _Sweep:
    """Takes the frames of one kind, block by block, as long as all is sound."""

    def __init__(
        self,
        source: Source,
        kind: Kind,
        filling: Filling,
        choose: Choose | None,
        survey: Survey | None,
        sorter: Sorter,
    ) -> None:
        self._source = source
        self._survey = survey
        self._choose = choose
        self._kind = kind
        self._filling = filling
        self._chain = Chain()
        self._sorter = sorter
        self._block = np.empty(0, np.uint8)
        self._size = _BLOCK
        self._few = Gathered()
        self._begun = -1
        self._proven = 0
        self._proving = False

    def leap(self, at: int, proven: int, stop: int | None = None) -> tuple[int, int]:
        """Take the frames from byte *at* on, up to *stop*; see `trainlog.codecs.flog.scanning.walk.walk`."""
        if self._begun < 0:
            self._begun = at
        at, proven = self._take(at, proven, self._source.size if stop is None else stop)
        if stop is not None:
            return at, proven
        # A header alone at the end, as killed writers leave it: the walk would now decode what was left out, to be sure
        # that this is the place of a header. So is this, and faster.
        left = self._source.size - at
        if proven < at and 0 < left <= _HEAD and self._take(proven, proven, at, prove=True)[0] == at:
            proven = at
        return at, proven

    def pick(self, places: Places) -> None:
        """Take the frames at *places*, each read by itself.

        Raises:
            Unsound: when one of them is not there.

        """
        ends = np.cumsum(places.length)
        first = 0
        while first < len(ends):
            begin = int(ends[first] - places.length[first])
            last = max(first + 1, min(first + _ENOUGH, int(np.searchsorted(ends, begin + _FULL, "right"))))
            place, length = places.offset[first:last], places.length[first:last]
            offset = ends[first:last] - length - begin
            block = np.empty(int(ends[last - 1]) - begin + SLACK, np.uint8)
            view = block.data
            for at, size, where in zip(offset.tolist(), length.tolist(), place.tolist(), strict=True):
                if self._source.fill(view[at : at + size], where) < size:
                    raise Unsound
            sizes = overlapping(block, "<u4")[offset + (_HEAD - 4)]
            if (sizes != length - _HEAD).any() or (block[offset + (_HEAD - 5)] != self._kind).any():
                raise Unsound
            try:
                self._put(block, offset, length, place)
            except _Broken:
                raise Unsound from None
            first = last

    def _take(self, at: int, proven: int, stop: int, *, prove: bool = False) -> tuple[int, int]:
        """Take the frames between *at* and *stop*, or make sure that those of all kinds can be decoded."""
        self._proven, self._proving = proven, prove
        try:
            at = self._follow(at, proven, stop)
            self._put(*self._few.take())
        except _Broken as broken:
            at = broken.at
        return at, self._proven

    def _follow(self, at: int, proven: int, stop: int) -> int:
        """Follow the chain from *at* to *stop*, and put the frames that are wanted; where it ends to be sound."""
        while at + _HEAD < stop:
            count = self._fill(at, stop)
            links = self._chain.follow(self._block, count)
            wanted = np.ones(len(links.kind), np.bool_) if self._proving else links.kind == self._kind
            good = self._sound(links, wanted, count, at, proven, stop)
            if self._survey is not None and not self._proving:
                self._survey.see(at, self._block, links, good)
            rows = np.flatnonzero(wanted[:good])
            if len(rows):
                offset, length = links.offset[rows], links.length[rows]
                proven = at + int(offset[-1] + length[-1])
                self._sort_in(offset, length, at)
            reached = int(links.offset[good]) if good < len(links.kind) else links.next
            if links.broken and good == len(links.kind):
                return at + reached
            if not reached and not self._enlarged(links):
                return at
            at += reached
        return at

    def _sort_in(self, offset: Ints, length: Ints, at: int) -> None:
        """Put the frames at *offset* of the block, which begins at byte *at*, now or together with later ones."""
        if len(offset) >= _ENOUGH // 4 or int(length.sum()) > self._size // 4:
            self._put(*self._few.take())
            self._put(self._block, offset, length, offset + at)
            return
        self._few.add(self._block, offset, length, offset + at)
        if self._few.rows >= _ENOUGH or self._few.size >= _FULL:
            self._put(*self._few.take())

    def _put(self, block: Octets, offset: Ints, length: Ints, place: Ints) -> None:
        """Add frames to the table; *offset* says where in *block* they begin, *place* where in the file.

        Raises:
            _Broken: when one of them cannot be decoded; those before it were added.

        """
        if not len(offset):
            return
        batch = self._sorter.sort(block, offset, length)
        whole = len(offset) if batch.broken is None else batch.broken
        if whole:
            self._proven = int(place[whole - 1] + length[whole - 1])
            if not self._proving:
                self._expect(whole)
                chosen = None if self._choose is None else self._choose(overlapping(block, "<f8")[offset[:whole]])
                self._filling.add(batch, chosen)
        if batch.broken is not None:
            raise _Broken(int(place[whole]))

    def _sound(self, links: Links, wanted: npt.NDArray[np.bool_], count: int, at: int, proven: int, stop: int) -> int:
        """How many of the frames, from the first one on, can be taken without a second look at what is around them."""
        good = len(links.kind)
        if not good:
            return 0
        end = links.next
        if end > count and (wanted[-1] or at + end > stop):
            good, end = good - 1, int(links.offset[-1])  # it is not all there
        elif end <= count and wanted[-1] and (links.broken or count <= end + _HEAD < stop - at):
            good, end = good - 1, int(links.offset[-1])  # nobody knows whether a frame follows it
        # The walk doubts a place that it came to by frames that it did not decode, when there is no likely header.
        doubtful = np.empty(good, np.bool_)
        doubtful[:1] = proven < at
        np.logical_not(wanted[: good - 1], out=doubtful[1:])
        places = np.flatnonzero(doubtful)
        if len(places):
            found = likely(overlapping(self._block, "<f8")[links.offset[places]], links.kind[places])
            if not found.all():
                good = int(places[found.argmin()])
        return good

    def _enlarged(self, links: Links) -> bool:
        """Make the block large enough for the first frame, and the head of the next one, if that is all it takes."""
        need = int(links.length[0]) + _HEAD + 1 if len(links.length) else 0
        if not self._size < need <= _LARGEST:
            return False
        self._size = min(_LARGEST, 2 * need)
        return True

    def _fill(self, at: int, stop: int) -> int:
        """Read the block that begins at byte *at*; how much of it is there."""
        if len(self._block) < self._size + SLACK:
            self._block = np.empty(self._size + SLACK, np.uint8)
        return self._source.fill(self._block.data[: min(self._size, stop - at)], at)

    def _expect(self, count: int) -> None:
        """Guess how many rows there will be, when so many are added."""
        done = max(self._proven - self._begun, 1)
        left = max(self._source.size - self._proven, 0)
        rows = self._filling.rows + count
        self._filling.expected = rows + int(rows * left / done * 1.01) + 16
