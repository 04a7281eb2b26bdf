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
from trainlog.codecs.flog.chain import Chain
from trainlog.codecs.flog.filling import Filling
from trainlog.codecs.flog.layout import FRAME
from trainlog.codecs.flog.scan import walk
from trainlog.codecs.flog.sort import Sorter
from trainlog.files import Source
from trainlog.model import Kind
from trainlog.table import Table

__all__ = ["read_table"]

_HEAD: Final = FRAME.size
_SLACK: Final = 64  # bytes behind the last frame that numpy may look at, but does not use

# A block should fit into the processor's cache; but where frames of the kind are few, it should hold enough of them.
_SMALLEST: Final = 1 << 20
_LARGEST: Final = 16 << 20
_ENOUGH: Final = 1024

Choose = Callable[[int, npt.NDArray[np.float64]], npt.NDArray[np.bool_]]


def read_table(
    source: Source, start: int, kind: Kind, *, keys: Sequence[str] | None, on_gap: Callable[[Gap], object]
) -> Table:
    """The frames of *kind* from byte *start* on, as `trainlog.codec.Reader.table` gives them."""
    filling = Filling(kind, keys)
    sweep = _Sweep(source, kind, filling)
    for record in walk(source, start, kind=kind, on_gap=on_gap, leap=sweep.leap):
        filling.add_frame(record.time, record.data)
    return filling.table()


class _Sweep:
    """Takes the frames of one kind, block by block, as long as all is sound."""

    def __init__(self, source: Source, kind: Kind, filling: Filling) -> None:
        self._source = source
        self._kind = kind
        self._filling = filling
        self._chain = Chain()
        self._sorter = Sorter()
        self._block = np.empty(0, np.uint8)
        self._size = _SMALLEST
        self._begun = -1

    def leap(self, at: int, proven: int) -> tuple[int, int]:
        """Take the frames from byte *at* on; see `trainlog.codecs.flog.scan.walk`."""
        end = self._source.size
        if self._begun < 0:
            self._begun = at
        while at + _HEAD < end:
            count = self._fill(at)
            links = self._chain.follow(self._block, count)
            offset, length = links.offset, links.length
            next_at, torn = at + links.next, False
            if links.next > count:  # the last frame goes on behind the block
                last = int(offset[-1])
                if links.kind[-1] == self._kind or next_at > end:
                    offset, length, next_at = offset[:-1], length[:-1], at + last
                    torn = next_at + int(links.length[-1]) > end
            wanted = np.flatnonzero(links.kind[: len(offset)] == self._kind)
            if len(wanted):
                offset, length = offset[wanted], length[wanted]
                batch = self._sorter.sort(self._block, offset, length)
                good = len(offset) if batch.broken is None else batch.broken
                if good:
                    self._expect(at + int(offset[good - 1]), good)
                    self._filling.add(batch)
                    proven = at + int(offset[good - 1] + length[good - 1])
                if batch.broken is not None:
                    return at + int(offset[good]), proven
            if links.broken or torn:
                return next_at, proven
            if next_at == at:
                # One frame is larger than the block.
                need = int(links.length[0]) if len(links.length) else 0
                if need <= self._size or need > _LARGEST:
                    return at, proven
                self._size = min(_LARGEST, 2 * need)
                continue
            self._adapt(next_at - at, len(wanted))
            at = next_at
        return at, proven

    def _fill(self, at: int) -> int:
        if len(self._block) < self._size + _SLACK:
            self._block = np.empty(self._size + _SLACK, np.uint8)
        return self._source.fill(self._block.data[: self._size], at)

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
