"""Frames gathered from several blocks, so that rare frames can be processed together."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.columns.values import overlapping
from trainlog.codecs.flog.scanning.chain import SLACK, Octets

__all__ = ["FrameBuffer", "LastFrames"]

Ints = npt.NDArray[np.int64]

_PIECE: Final = 64  # bytes that are copied at once; a block has as many after its last frame


class FrameBuffer:
    """Copies of frames, and their places in the file.

    Attributes:
        rows: the number of frames.
        size: the bytes that they take.

    """

    def __init__(self) -> None:
        self.rows = self.size = 0
        self._blocks: list[Octets] = []
        self._columns: list[tuple[Ints, Ints, Ints, Octets]] = []

    def add(self, block: Octets, offset: Ints, length: Ints, place: Ints, kind: Octets) -> None:
        """Copy the frames at *offset* of *block*; *place* is where they are in the file."""
        copy, starts = copied(block, offset, length)
        self._blocks.append(copy)
        self._columns.append((starts + self.size, length, place, kind))
        self.rows += len(offset)
        self.size += len(copy)

    def joined(self) -> tuple[Octets, Ints, Ints, Ints, Octets]:
        """The frames, at least one: a block with slack at its end, and their offsets, lengths, places and kinds."""
        block = np.concatenate([*self._blocks, np.zeros(SLACK, np.uint8)])
        offset, length, place, kind = map(np.concatenate, zip(*self._columns, strict=True))
        return block, offset, length, place, kind


class LastFrames:
    """Copies of the last frames of one kind, so that the others need not be converted to columns."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: deque[tuple[Octets, Ints, Ints, Ints]] = deque()
        self._rows = 0

    def add(self, block: Octets, offset: Ints, length: Ints, place: Ints) -> None:
        """Copy the last of the frames at *offset* of *block*, and forget earlier ones."""
        first = max(len(offset) - self._most, 0)
        if not self._most or not len(offset):
            return
        copy, starts = copied(block, offset[first:], length[first:])
        self._parts.append((copy, starts, length[first:], place[first:]))
        self._rows += len(starts)
        while self._rows - len(self._parts[0][1]) >= self._most:
            self._rows -= len(self._parts.popleft()[1])

    def take(self) -> Iterator[tuple[Octets, Ints, Ints, Ints]]:
        """Yield blocks with slack at their ends, each with the offset, the length and the place of every frame."""
        surplus = self._rows - self._most
        for block, offset, length, place in self._parts:
            first, surplus = max(surplus, 0), 0
            block = np.concatenate([block, np.zeros(SLACK, np.uint8)])
            yield block, offset[first:], length[first:], place[first:]


def copied(block: Octets, offset: Ints, length: Ints) -> tuple[Octets, Ints]:
    """A copy of the frames at *offset* of *block*, and where in the copy each begins."""
    pieces = -(-length // _PIECE)
    ends = np.cumsum(pieces)
    starts = ends - pieces
    within = np.arange(int(ends[-1])) - np.repeat(starts, pieces)
    source = np.repeat(offset, pieces) + within * _PIECE
    return overlapping(block, f"V{_PIECE}")[source].view(np.uint8), starts * _PIECE
