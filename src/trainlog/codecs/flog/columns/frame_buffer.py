"""Frames gathered from several blocks, so that few and far ones can be taken together."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.columns.values import overlapping
from trainlog.codecs.flog.scanning.chain import SLACK, Octets

__all__ = ["Gathered"]

Ints = npt.NDArray[np.int64]

_PIECE: Final = 64  # bytes that are copied at once; a block has as many behind its last frame


class Gathered:
    """Copies of frames, and where they are from.

    Attributes:
        rows: how many.
        size: bytes that they take.

    """

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.rows = self.size = 0
        self._parts: list[Octets] = []
        self._offset: list[Ints] = []
        self._length: list[Ints] = []
        self._place: list[Ints] = []

    def add(self, block: Octets, offset: Ints, length: Ints, place: Ints) -> None:
        """Copy the frames at *offset* of *block*; *place* says where in the file they are."""
        pieces = -(-length // _PIECE)
        ends = np.cumsum(pieces)
        starts = ends - pieces
        within = np.arange(int(ends[-1])) - np.repeat(starts, pieces)
        source = np.repeat(offset, pieces) + within * _PIECE
        self._parts.append(overlapping(block, f"V{_PIECE}")[source].view(np.uint8))
        self._offset.append(starts * _PIECE + self.size)
        self._length.append(length)
        self._place.append(place)
        self.rows += len(offset)
        self.size += len(self._parts[-1])

    def take(self) -> tuple[Octets, Ints, Ints, Ints]:
        """All of them: a block with slack behind it, where each begins, its length, and where it is in the file."""
        none = np.empty(0, np.int64)
        found = (
            np.concatenate([*self._parts, np.zeros(SLACK, np.uint8)]),
            np.concatenate([none, *self._offset]),
            np.concatenate([none, *self._length]),
            np.concatenate([none, *self._place]),
        )
        self._clear()
        return found
