"""Superseded frames: training went back to a checkpoint, and the frames after that checkpoint do not count.

An event ``{"type": "rewind", "by": "trainlog", "step": N}`` records this. It hides all frames before it, from the first
one on whose ``step`` is above N. Hidden frames are cut out of the bytes that a reader sees (`FilteredSource`), so that
every way of reading agrees.
"""

from __future__ import annotations

import os
import sys
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Any, Final, TypeGuard

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.integrity.seals import REWIND, SEALED_WITHIN, Seal, contains, newest_seal
from trainlog.codecs.flog.scanning.walk import ignore_gap, walk
from trainlog.conventions import REWIND as RULE
from trainlog.model import Kind
from trainlog.storage.source import Source

__all__ = ["FilteredSource", "History"]

_HEAD: Final = 4096

Cut = tuple[int, int]


@dataclass(frozen=True)
class History:
    """The superseded frames of a file, as far as it was searched.

    Attributes:
        cuts: their ranges of bytes, from and to.

    """

    cuts: tuple[Cut, ...] = ()
    file: tuple[int, int] = (0, 0)
    head: bytes = b""  # the first bytes: when a log is replaced, the system may reuse the numbers in ``file``
    searched: int = 0  # there is no further rewind before this byte
    walked: int = 0  # the steps of the frames up to this byte are known
    offsets: tuple[int, ...] = ()  # of the frames that raised the highest step so far
    steps: tuple[float, ...] = ()  # the steps of these frames

    @classmethod
    def start(cls, source: Source, start: int, seal: Seal | None) -> History:
        """The history according to the newest seal of a file, without reading its frames.

        Args:
            source: the file.
            start: where its first frame begins.
            seal: the newest seal; None for a log that this library wrote without checksums.

        """
        searched = start
        if seal is not None and not seal.rewinds:
            searched = seal.end or (start if source.size - start <= SEALED_WITHIN else source.size)
        return cls((), *_identity(source), searched, start)

    def updated(self, source: Source, start: int, *, has_seals: bool) -> History:
        """The history including the frames that were written since.

        Args:
            source: the file.
            start: where its first frame begins.
            has_seals: False for a log that this library wrote without checksums.

        """
        file, head = _identity(source)
        size = source.size
        old = self
        if file != self.file or size < self.searched or not head.startswith(self.head):
            old = History(file=file, searched=start, walked=start)
        old = replace(old, head=head)
        if size == old.searched:
            return old
        if not _may_rewind(source, max(old.searched - len(REWIND), start), has_seals=has_seals):
            return replace(old, searched=size)
        return old._walk_on(source)

    def _walk_on(self, source: Source) -> History:
        cuts, offsets, steps = list(self.cuts), list(self.offsets), list(self.steps)
        end = self.walked
        for record in walk(source, self.walked, on_gap=ignore_gap):
            end = record.offset + record.size
            step = record.data.get("step")
            if not _is_number(step):
                continue
            if record.kind == Kind.EVENT and RULE.items() <= record.data.items():
                first = bisect_right(steps, step)
                if first < len(steps):
                    cuts = [cut for cut in cuts if cut[1] <= offsets[first]] + [(offsets[first], record.offset)]
                    del offsets[first:], steps[first:]
            elif not steps or step > steps[-1]:
                offsets.append(record.offset)
                steps.append(step)
        return History(tuple(cuts), self.file, self.head, end, end, tuple(offsets), tuple(steps))


def _identity(source: Source) -> tuple[tuple[int, int], bytes]:
    """The identity of a file: its device and inode numbers, and its first bytes."""
    status = source.status
    head = bytearray(min(source.size, _HEAD))
    source.fill(memoryview(head), 0)
    return (status.st_dev, status.st_ino), bytes(head)


def _is_number(step: Any) -> TypeGuard[float]:
    return isinstance(step, int | float) and type(step) is not bool and abs(step) <= sys.float_info.max


def _may_rewind(source: Source, start: int, *, has_seals: bool) -> bool:
    """Whether there may be a rewind after byte *start*; the last seal shows it without reading the whole file."""
    size = source.size
    if not has_seals or size - start <= SEALED_WITHIN:
        return contains(source, REWIND, start, size)
    seal = newest_seal(source, start)
    return seal.end > 0 and (seal.rewinds > 0 or contains(source, REWIND, seal.end, size))


class FilteredSource(Source):
    """A file with some of its bytes left out; the bytes after them move up."""

    def __init__(self, whole: Source, cuts: tuple[Cut, ...]) -> None:
        """Take over *whole*, leaving *cuts* out of it."""
        self.whole = whole
        self.path = whole.path
        self.offset = 0
        self._ahead, self._ahead_from = b"", 0
        starts = [0, *(stop for _, stop in cuts)]
        self._cut = sum(stop - start for start, stop in cuts)
        self._at: list[int] = []  # where each piece begins in the visible bytes
        self._from = starts  # where each piece begins in the file
        seen = 0
        for start, stop in zip(starts, [*(start for start, _ in cuts), None], strict=True):
            self._at.append(seen)
            seen += (stop or 0) - start

    def close(self) -> None:
        """Close the file; can be called more than once."""
        self.whole.close()

    @property
    def size(self) -> int:
        """The current number of visible bytes."""
        return self.whole.size - self._cut

    @property
    def status(self) -> os.stat_result:
        """See `Source.status`."""
        return self.whole.status

    def wait(self, at: int) -> bool:
        """See `Source.wait`."""
        return self.whole.wait(self.to_file_offset(at))

    def renew(self, at: int, before: str) -> None:
        """See `Source.renew`."""
        self.whole.renew(self.to_file_offset(at), before)

    def is_readable(self, start: int, stop: int) -> bool:
        """See `Source.is_readable`."""
        return self.whole.is_readable(self.to_file_offset(start), self.to_file_offset(stop - 1) + 1)

    def to_file_offset(self, offset: int) -> int:
        """The offset in the file of the byte that is visible at *offset*."""
        piece = bisect_right(self._at, offset) - 1
        return self._from[piece] + offset - self._at[piece]

    def to_file_offsets(self, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """`to_file_offset` of many offsets."""
        piece = np.searchsorted(self._at, offsets, side="right") - 1
        moved: npt.NDArray[np.int64] = offsets + (np.array(self._from) - np.array(self._at))[piece]
        return moved

    def from_file_offset(self, offset: int) -> int:
        """The visible offset of the byte at *offset* in the file, or of the next visible byte if it is left out."""
        piece = bisect_right(self._from, offset) - 1
        seen = self._at[piece] + offset - self._from[piece]
        return min(seen, self._at[piece + 1]) if piece + 1 < len(self._at) else seen

    def checksum(self, end: int) -> str:
        """See `Source.checksum`; computed on the whole file."""
        return self.whole.checksum(self.to_file_offset(end))

    def _left(self, offset: int) -> int:
        """The number of bytes from *offset* to the end of its piece."""
        piece = bisect_right(self._at, offset)
        return self._at[piece] - offset if piece < len(self._at) else self.size - offset

    def block(self, offset: int, need: int = 1, most: int = sys.maxsize) -> bytes:
        """The bytes from *offset* on; see `Source.block`."""
        left = self.size - offset
        need = need if need <= left else 1
        count = min(left, max(need, min(most, self.CHUNK)))
        parts = []
        while count > 0:
            size = min(count, self._left(offset))
            part = self.whole.block(self.to_file_offset(offset), size, size)[:size]
            if not part:
                break
            parts.append(part)
            offset += len(part)
            count -= len(part)
        return b"".join(parts)

    def data_from(self, offset: int) -> int:
        """*offset* itself: holes are not reported."""
        return offset

    def fill(self, buffer: memoryview, offset: int) -> int:
        """Read the bytes from *offset* on into *buffer*; see `Source.fill`."""
        done = 0
        while done < len(buffer) and (most := min(len(buffer) - done, self._left(offset + done))) > 0:
            count = self.whole.fill(buffer[done : done + most], self.to_file_offset(offset + done))
            if not count:
                break
            done += count
        return done
