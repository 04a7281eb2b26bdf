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
from trainlog.codecs.flog.chain import SLACK, Chain, Links
from trainlog.codecs.flog.filling import Filling
from trainlog.codecs.flog.index import likely
from trainlog.codecs.flog.layout import FRAME
from trainlog.codecs.flog.plan import overlapping
from trainlog.codecs.flog.scan import walk
from trainlog.codecs.flog.sort import Sorter
from trainlog.files import Source
from trainlog.model import Kind
from trainlog.table import Table

__all__ = ["Unsound", "read_table"]

_HEAD: Final = FRAME.size

# A block should fit into the processor's cache; but where frames of the kind are few, it should hold enough of them.
_SMALLEST: Final = 2 << 20
_LARGEST: Final = 16 << 20
_ENOUGH: Final = 2048

Mask = npt.NDArray[np.bool_]
Choose = Callable[[npt.NDArray[np.float64]], Mask]


class Unsound(Exception):
    """An index led to what is no whole frame."""


def read_table(
    source: Source,
    start: int,
    kind: Kind,
    *,
    keys: Sequence[str] | None = None,
    spans: Sequence[tuple[int, int]] = (),
    choose: Choose | None = None,
    on_gap: Callable[[Gap], object],
) -> Table:
    """The frames of *kind* as columns, see `trainlog.codec.Reader.table`.

    Args:
        source: the file.
        start: from where on all frames are read.
        kind: of which frames.
        keys: only these columns.
        spans: parts of the file before *start*, that are whole frames, which are read first.
        choose: says by their times which frames to take; it is asked for one batch after another.
        on_gap: told of what is no frame.

    Raises:
        Unsound: when what is in *spans* is not whole frames.

    """
    filling = Filling(kind, keys)
    sweep = _Sweep(source, kind, filling, choose)
    for begin, end in spans:
        if sweep.leap(begin, begin, end)[0] != end:
            raise Unsound
    for record in walk(source, start, kind=kind, on_gap=on_gap, leap=sweep.leap):
        if choose is None or choose(np.array([record.time]))[0]:
            filling.add_frame(record.time, record.data)
    return filling.table()


class _Sweep:
    """Takes the frames of one kind, block by block, as long as all is sound."""

    def __init__(self, source: Source, kind: Kind, filling: Filling, choose: Choose | None) -> None:
        self._source = source
        self._choose = choose
        self._kind = kind
        self._filling = filling
        self._chain = Chain()
        self._sorter = Sorter()
        self._block = np.empty(0, np.uint8)
        self._size = _SMALLEST
        self._begun = -1

    def leap(self, at: int, proven: int, stop: int | None = None) -> tuple[int, int]:
        """Take the frames from byte *at* on, up to *stop*; see `trainlog.codecs.flog.scan.walk`."""
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

    def _take(self, at: int, proven: int, stop: int, *, prove: bool = False) -> tuple[int, int]:
        """Take the frames between *at* and *stop*, or make sure that those of all kinds can be decoded."""
        while at + _HEAD < stop:
            count = self._fill(at, stop)
            links = self._chain.follow(self._block, count)
            wanted = np.ones(len(links.kind), np.bool_) if prove else links.kind == self._kind
            good = self._sound(links, wanted, count, at, proven, stop)
            rows = np.flatnonzero(wanted[:good])
            if len(rows):
                offset, length = links.offset[rows], links.length[rows]
                batch = self._sorter.sort(self._block, offset, length)
                whole = len(rows) if batch.broken is None else batch.broken
                if whole:
                    proven = at + int(offset[whole - 1] + length[whole - 1])
                    if not prove:
                        self._expect(proven, whole)
                        self._filling.add(batch, self._chosen(offset[:whole]))
                if batch.broken is not None:
                    return at + int(offset[whole]), proven
            if good < len(links.kind):
                reached = int(links.offset[good])
            else:
                reached = links.next
            if reached == 0:
                if not self._enlarged(links):
                    return at, proven
            elif links.broken and good == len(links.kind):
                return at + reached, proven
            else:
                self._adapt(reached, len(rows))
            at += reached
        return at, proven

    def _chosen(self, offset: npt.NDArray[np.int64]) -> Mask | None:
        return None if self._choose is None else self._choose(overlapping(self._block, "<f8")[offset])

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

    def _adapt(self, size: int, found: int) -> None:
        """Choose the size of the next block by what was found in the last one."""
        wish = size * _ENOUGH // max(found, 1)
        self._size = max(_SMALLEST, min(_LARGEST, wish // _SMALLEST * _SMALLEST))

    def _expect(self, at: int, count: int) -> None:
        """Guess how many rows there will be, from the *count* that begin before byte *at*."""
        filling = self._filling
        done = max(at - self._begun, 1)
        left = self._source.size - at
        filling.expected = filling.rows + count + int((filling.rows + count) * left / done * 1.01) + 16
