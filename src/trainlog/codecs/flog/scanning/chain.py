"""Blocks of a FLOG file, and the chain of frames in each, found by guesses that numpy checks.

Each frame says where the next one begins, so following the chain takes one Python loop iteration per frame. But
training logs repeat themselves: a hundred frames of one length, then another frame, then a hundred again. So a run of
frames is guessed to be as long as the last run of the same frame length. A run that is longer is followed frame by
frame at first, then by guesses that double. Only where a guess ends is a header read. Then all the headers that should
be there are compared at once, and wrong guesses are dropped. Where runs are short, nothing is guessed, and each header
is read.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.wire.layout import FIRST_BYTES, FRAME, MAX_PAYLOAD
from trainlog.storage.source import Source

__all__ = ["SLACK", "Block", "BlockReader", "Chain", "Links", "Octets"]

Octets = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_HEAD: Final = FRAME.size
_unpack = struct.Struct("<I").unpack_from  # data_len
_SIZE: Final = np.uint64(0xFFFFFFFF00)  # mask of data_len, where the kind is in the lowest byte
_FIRST: Final = np.uint64(40)  # the first bit of the payload's first byte
_IS_FIRST: Final = np.isin(np.arange(256), list(FIRST_BYTES))

_BLOCK: Final = 2 << 20  # a block should fit into the CPU cache
_LARGEST: Final = 16 << 20

# Bytes after the last frame of a block that numpy may read but does not use.
SLACK: Final = 64

# A failed guess costs about as much as following the chain for this many frames.
_WORTH_GUESSING = 16
_WORTH_DOUBLING = 128
_MOST_LENGTHS = 4096
_HORIZON = 256  # runs that are guessed before the first check; the number grows while the guesses are right
_STEPS = 1024  # frames that are followed one by one before checking again whether runs are short


class Links(NamedTuple):
    """Frames that follow one another.

    Attributes:
        offset: int64, where in the block each frame begins.
        length: int64, bytes of each frame, including its header.
        time: float64, the time of each frame.
        kind: uint8, the kind of each frame.
        next: where in the block the next frame should begin; past its end when the last frame extends beyond it.
        broken: True when the bytes at ``next`` cannot be a frame.

    """

    offset: Ints
    length: Ints
    time: Floats
    kind: Octets
    next: int
    broken: bool


class Chain:
    """Follows the chain through one block after another, and learns how long runs are."""

    def __init__(self) -> None:
        self._runs: dict[int, int] = {}  # frames in the last run, by the length of a frame
        self._length = 0  # of the frames in the current run
        self._count = 0  # frames in the current run so far
        self._runs_are_short = False

    def follow(self, block: Octets, stop: int) -> Links:
        """The frames from byte 0 of *block* on whose header and first payload byte are before byte *stop*.

        Args:
            block: has at least ``SLACK`` bytes more than *stop*.
            stop: how many bytes of the block are valid.

        """
        # The first 16 bytes of a frame that begins at any byte: its time; and kind, length and first payload byte.
        heads: npt.NDArray[np.void] = np.ndarray((len(block) - 15,), "V16", block, 0, (1,))
        view = block.data
        parts: list[tuple[Ints, Ints, npt.NDArray[np.uint64], npt.NDArray[np.uint64]]] = []
        at = 0
        broken = False
        horizon = _HORIZON
        while at + _HEAD < stop and not broken:
            length = self._step(view, at, stop) if self._runs_are_short else self._guess(view, at, stop, horizon)
            ends = np.cumsum(length)
            ends += at
            offset = ends - length
            time, head = heads[offset].view("<u8").reshape(-1, 2).T
            good = (head & _SIZE == ((length - _HEAD) << 8).view(np.uint64)) & (length > _HEAD)
            good &= _IS_FIRST.take((head >> _FIRST).astype(np.uint8)) & (length <= _HEAD + MAX_PAYLOAD)
            if good.all():
                at = int(ends[-1])
                horizon *= 4
            else:
                n = int(good.argmin())
                at = int(offset[n])
                broken = not (0 < head[n] & _SIZE <= MAX_PAYLOAD << 8 and _IS_FIRST[block[at + _HEAD]])
                offset, length, time, head = offset[:n], length[:n], time[:n], head[:n]
                self._learn(length)
                horizon = _HORIZON
            parts.append((offset, length, time, head))
        if not parts:
            none = np.empty(0, np.int64)
            return Links(none, none, none.view(np.float64), none.astype(np.uint8), at, broken)
        offset, length, time, head = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
        return Links(offset, length, time.view(np.float64), head.astype(np.uint8), at, broken)

    def step_back(self) -> None:
        """Prepare for a block that begins with the last frame of the block before."""
        self._count = max(self._count - 1, 0)

    def _guess(self, view: memoryview, at: int, stop: int, horizon: int) -> Ints:
        """Guess the lengths of the next frames with headers before *stop*, at most *horizon* runs of them."""
        lengths: list[int] = []
        counts: list[int] = []
        runs, run_length, run_count = self._runs, self._length, self._count
        unpack, last = _unpack, stop - _HEAD - 1
        while at <= last and len(lengths) < horizon:
            length = _HEAD + unpack(view, at + 9)[0]
            if length == run_length:
                left = runs.get(length, 0) - run_count
                # A run that is longer than the last one is often longer by one frame.
                count = left if left > 0 else -left if -left >= _WORTH_DOUBLING else 1
            else:
                runs[run_length] = run_count
                run_length, run_count = length, 0
                count = runs.get(length, 1)
            if count < _WORTH_GUESSING:
                count = 1
            elif at + (count - 1) * length > last:
                count = (last - at) // length + 1
            lengths.append(length)
            counts.append(count)
            run_count += count
            at += count * length
        self._length, self._count = run_length, run_count
        if len(runs) > _MOST_LENGTHS:
            runs.clear()
        self._runs_are_short = len(lengths) >= _HORIZON and _WORTH_GUESSING * len(lengths) > sum(counts)
        return np.repeat(np.array(lengths, np.int64), counts)

    def _step(self, view: memoryview, at: int, stop: int) -> Ints:
        """The lengths of the next frames with headers before *stop*, read from one header after another."""
        lengths: list[int] = []
        last = stop - _HEAD - 1
        while at <= last and len(lengths) < _STEPS:
            length = _HEAD + _unpack(view, at + 9)[0]
            lengths.append(length)
            at += length
        found = np.array(lengths, np.int64)
        if len(found) == _STEPS:
            self._runs_are_short = _WORTH_GUESSING * int(np.count_nonzero(np.diff(found))) > _STEPS
        return found

    def _learn(self, length: Ints) -> None:
        """Correct the current run after a wrong guess, of which only frames of these lengths were there."""
        self._length = self._count = 0
        if len(length):
            last = int(length[-1])
            others = np.flatnonzero(length != last)
            self._length, self._count = last, len(length) - (int(others[-1]) + 1 if len(others) else 0)


class Block(NamedTuple):
    """A block of the file.

    Attributes:
        at: where in the file it begins.
        data: its bytes, followed by at least `SLACK` more; valid until the next block is read.
        size: how many of the bytes are from the file.
        links: the frames from its first byte on.

    """

    at: int
    data: Octets
    size: int
    links: Links


class BlockReader:
    """Reads blocks, and follows the chain of frames in them."""

    def __init__(self, source: Source, size: int = 0) -> None:
        """Read *source* in blocks of *size* bytes, by default as many as are read fastest."""
        self._source = source
        self._chain = Chain()
        self._size = size or _BLOCK
        self._next = 0  # where the next block should begin, if the last frame is used from this one
        self._data = np.empty(0, np.uint8)

    def read(self, at: int, stop: int) -> Block:
        """Read the block that begins at byte *at* and ends at byte *stop* at the latest.

        Raises:
            CorruptLog: when the file has become shorter than *at*.

        """
        if len(self._data) < self._size + SLACK:
            self._data = np.empty(self._size + SLACK, np.uint8)
        data = self._data
        count = self._source.fill(data.data[: min(self._size, stop - at)], at)
        if at < self._next:
            self._chain.step_back()
        links = self._chain.follow(data, count)
        self._next = at + links.next
        return Block(at, data, count, links)

    def enlarge(self, links: Links) -> bool:
        """Make blocks large enough for the first frame and the header of the next; False if that changes nothing."""
        need = int(links.length[0]) + _HEAD + 1 if len(links.length) else 0
        if not self._size < need <= _LARGEST:
            return False
        self._size = min(_LARGEST, 2 * need)
        return True
