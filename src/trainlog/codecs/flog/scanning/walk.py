"""The walk over the frames of a FLOG file that may be damaged, and may still be growing.

FLOG has no checksum and no index: a frame is found by the length of the one before it. So the walk decodes what it
passes; where that fails, the bytes are no frame, and the walk searches for the next place where a whole frame is
followed by another one, or by the end of the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from trainlog.codecs.flog.scanning.chain import BlockReader
from trainlog.codecs.flog.wire.layout import FIRST_BYTES, FRAME, MAX_PAYLOAD
from trainlog.codecs.frame_payload import decode
from trainlog.scan import Gap
from trainlog.storage.source import Source

__all__ = ["FrameWalk", "Record", "is_frame_at", "is_likely", "last_end", "next_frame", "walk"]

_HEAD: Final = FRAME.size
_FIRST_PIECE: Final = 1 << 14  # bytes
_unpack = FRAME.unpack_from


class Record(NamedTuple):
    """A frame, and where in the file it stands."""

    offset: int
    size: int
    time: float
    kind: int
    data: dict[Any, Any]


def walk(source: Source, start: int, *, kind: int | None = None, on_gap: Callable[[Gap], object]) -> Iterator[Record]:
    """Yield the frames from byte *start* on; those of other kinds than *kind* are left out undecoded.

    ``source.wait`` is asked when the next frame is not all there; when it says no, the walk is over. What is no
    frame is reported to *on_gap*, in the file's order; the unfinished frame at the end of the file (``torn``) as well.
    """
    steps = FrameWalk(source, start, None if kind is None else frozenset([kind]), on_gap)
    while not steps.ended:
        yield from steps.read_block()


class FrameWalk:
    """Reads a file frame by frame, and finds its way behind damage; see `walk`.

    A faster reader may take over where the walk ``is_sure`` of its place, and move ``at`` and ``proven``. It stops
    where anything is doubtful, and leaves the judgement to `read_block`.

    Attributes:
        at: where the next frame should begin.
        proven: the end of the last frame that was decoded: there is no doubt that a frame begins there.
        careful: frames that begin before here are decoded whatever their kind.
        ended: whether the walk is over.

    """

    def __init__(
        self, source: Source, start: int, wanted: frozenset[int] | None, on_gap: Callable[[Gap], object]
    ) -> None:
        """Begin at byte *start*; frames of other kinds than those *wanted* are passed undecoded; None for none."""
        self._source = source
        self._wanted = wanted
        self._on_gap = on_gap
        self._searched = 0  # how much of an unfinished frame was searched for whole ones already
        self._piece = _FIRST_PIECE  # bytes of the next block: many a walk ends at its first frame
        self.at = self.proven = self.careful = start
        self.ended = False

    @property
    def is_sure(self) -> bool:
        """Whether frames of other kinds may be passed undecoded from here on."""
        return self.at >= self.careful

    def read_block(self) -> Iterator[Record]:
        """Yield the wanted frames of one block of the file, and judge the place where they end."""
        source, wanted = self._source, self._wanted
        block, base = source.block(self.at, most=self._piece), self.at
        self._piece = min(4 * self._piece, Source.CHUNK)
        readable = source.is_readable(base, base + len(block))
        broken = endless = False
        end = 0  # of a broken frame, as its header says
        at = self.at
        while at + _HEAD - base < len(block):
            time, number, size = _unpack(block, at - base)
            stop = at + _HEAD + size
            possible = block[at + _HEAD - base] in FIRST_BYTES and 0 < size <= MAX_PAYLOAD
            if not possible or (at > self.proven and not is_likely(time, number)):
                broken = True
                # It will never be all there; but should nothing follow, it is an unfinished frame like any other.
                endless = size > MAX_PAYLOAD and stop > source.size and block[at + _HEAD - base] in FIRST_BYTES
                break
            if stop - base > len(block):
                if stop > source.size:
                    break
                block, base = source.block(at, _HEAD + size), at
                readable = source.is_readable(base, base + len(block))
            if wanted is None or number in wanted or at < self.careful:
                try:
                    data = decode(block[at + _HEAD - base : stop - base])
                    broken = not (readable or source.is_readable(at, stop))
                    after = stop + _HEAD - base
                    if after >= len(block) or block[after] not in FIRST_BYTES:  # else a frame follows
                        broken = broken or _swallows_a_frame(source, at, stop)
                except ValueError:
                    broken = True
                if broken:
                    end = stop
                    break
                self.at = self.proven = stop
                if wanted is None or number in wanted:
                    yield Record(at, stop - at, time, number, data)
            at = stop
        self.at = at
        if broken and self.proven < self.at:
            # A frame that was left out undecoded may be the broken one, and this a place inside of another.
            self._go_back()
        elif self.at == base or broken:  # else it was only the block that ended
            self._look_for_the_next(broken=broken, endless=endless, end=end)

    def _go_back(self) -> None:
        """Decode from the last proven place on all that was passed undecoded."""
        self.at, self.careful = self.proven, self.at + 1

    def _look_for_the_next(self, *, broken: bool, endless: bool, end: int) -> None:
        """Decide how to go on where no whole frame stands: search, wait, or end.

        A frame right behind a broken one, at *end*, need not be followed by another to be taken for one.
        """
        source, at = self._source, self.at
        left = source.size - at
        if 0 < left <= _HEAD and self.proven < at:  # too little to tell whether it is the beginning of a header
            self._go_back()
            return
        found = None
        if broken or left > max(2 * self._searched, Source.CHUNK):
            self._searched = left
            found = next_frame(source, at + 1)
            if end and (found is None or end < found) and _decodes(source, end):
                found = end
        if found is None:
            if source.wait(at):
                return
            if not broken and left > self._searched:
                found = next_frame(source, at + 1)
            if found is None:
                if left:
                    self._on_gap(Gap(at, left, torn=endless or not broken))
                self.ended = True
                return
        if self.proven < at:  # not the end of the file after all: the same doubt as above
            self._go_back()
            self._searched = 0
            return
        self._on_gap(Gap(at, found - at))
        self.at = self.proven = found
        self._searched = 0


def _swallows_a_frame(source: Source, at: int, stop: int) -> bool:
    """Whether the frame from *at* to *stop*, though it could be decoded, was cut and continues in the next one.

    Where no frame follows it, one that begins inside of it is the real one.
    """
    if stop + _HEAD >= source.size or source.read(stop + _HEAD, 1)[0] in FIRST_BYTES:
        return False
    found = next_frame(source, at + 1)
    return found is not None and found < stop


def is_likely(time: float, number: int) -> bool:
    """Whether these may be the time and the kind in a real frame's header, rather than any bytes read as such."""
    return number > 0 and (time == 0 or (math.isfinite(time) and 2.0**-63 < abs(time) < 2.0**41))


_IS_FIRST: Final = np.isin(np.arange(256), list(FIRST_BYTES))


def next_frame(source: Source, start: int) -> int | None:
    """The first offset from *start* on where a whole frame is followed by another, or by the end of the file."""
    total, piece = source.size, _FIRST_PIECE  # most searches find one soon
    while total - start > _HEAD:
        block = source.block(start, most=piece)
        piece = min(4 * piece, Source.CHUNK)
        for i in _candidates(block):
            if _is_whole(source, start + i, *_unpack(block, i)):
                return start + i
        following = start + max(len(block) - _HEAD, 1)
        if not block.strip(b"\0"):  # perhaps a hole of many gigabytes
            following = max(following, source.data_from(start + len(block)) - _HEAD)
        start = following
    return None


def last_end(source: Source, start: int, stop: int) -> int:
    """Where, of the frames from byte *start* on, the last one ends that does so until byte *stop*, or the first one.

    Returns *start* when none is whole. Payloads are not decoded, except to find the next frame behind damage.
    """
    blocks, at, end = BlockReader(source), start, start
    while at < source.size:
        links = blocks.read(at, source.size).links
        ends = at + links.offset + links.length
        ends = ends[ends <= source.size]
        if not len(ends):
            found = next_frame(source, at + 1)
            if found is None:
                return end
            at = found
            continue
        fitting = ends[ends <= stop]
        if not len(fitting):
            return end if end > start else int(ends[0])
        at = end = int(fitting[-1])
        if len(fitting) < len(ends):
            return end
    return end


def is_frame_at(source: Source, at: int) -> bool:
    """Whether a whole frame begins at byte *at*, and another, or the end of the file, is behind it."""
    head = source.read(at, _HEAD + 1)
    return len(head) > _HEAD and head[_HEAD] in FIRST_BYTES and _is_whole(source, at, *_unpack(head))


def _is_whole(source: Source, at: int, time: float, number: int, size: int) -> bool:
    """The same, of a frame with these values in its header."""
    total, stop = source.size, at + _HEAD + size
    if not 0 < size <= min(total - (stop - size), MAX_PAYLOAD) or not is_likely(time, number):
        return False
    after = source.read(stop, _HEAD + 1) if total - stop > _HEAD else b""
    if after and (after[_HEAD] not in FIRST_BYTES or not is_likely(*_unpack(after)[:2])):
        return False
    return _is_payload(source, at + _HEAD, stop)


def _decodes(source: Source, at: int) -> bool:
    """Whether what begins at byte *at* can be read as a frame, whatever is behind it."""
    head = source.read(at, _HEAD)
    if len(head) < _HEAD:
        return False
    time, number, size = _unpack(head)
    fits = 0 < size <= min(source.size - at - _HEAD, MAX_PAYLOAD)
    return fits and is_likely(time, number) and _is_payload(source, at + _HEAD, at + _HEAD + size)


def _is_payload(source: Source, start: int, stop: int) -> bool:
    try:
        decode(source.read(start, stop - start))
    except ValueError:
        return False
    return source.is_readable(start - _HEAD, stop)


def _candidates(block: bytes) -> Iterator[int]:
    """Where in *block* the bytes of a frame's kind, and of the beginning of its payload, are possible ones."""
    octets = np.frombuffer(block, np.uint8)
    places = np.flatnonzero(_IS_FIRST[octets[_HEAD:]] & (octets[8 : 8 - _HEAD] > 0))
    # The exponent of a likely time (see is_likely): nearly all chance hits end here.
    exponent = ((octets[places + 7].astype(np.uint16) & 0x7F) << 4) | (octets[places + 6] >> 4)
    yield from places[((exponent >= 0x3C0) & (exponent <= 0x428)) | (exponent == 0)].tolist()
