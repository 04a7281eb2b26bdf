"""The walk over the frames of a FLOG file that may be damaged, and may still be growing.

FLOG has no checksum and no index: a frame is found by the length of the one before it. So the walk decodes the frames
that it passes. Where that fails, the bytes are not a frame, and the walk searches for the next place where a whole
frame is followed by another one, or by the end of the file.
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

__all__ = [
    *("FrameWalk", "Record", "ignore_gap", "is_frame_at", "is_likely", "last_end", "may_begin", "next_frame", "walk"),
]

_HEAD: Final = FRAME.size
_FIRST_PIECE: Final = 1 << 14  # bytes
_FIRST_SEARCHED: Final = 1 << 12  # bytes
_unpack = FRAME.unpack_from


class Record(NamedTuple):
    """A frame, and its place in the file."""

    offset: int
    size: int
    time: float
    kind: int
    data: dict[Any, Any]


def ignore_gap(gap: Gap) -> None:
    """The *on_gap* of a walk that leaves it to another one to report damage."""


def walk(source: Source, start: int, *, kind: int | None = None, on_gap: Callable[[Gap], object]) -> Iterator[Record]:
    """Yield the frames from byte *start* on; those of other kinds than *kind* are skipped undecoded.

    ``source.wait`` is called when the next frame is incomplete; when it returns False, the walk ends. Bytes that are
    not a frame are reported to *on_gap*, in the file's order, as is the unfinished frame at the end (``torn``).
    """
    steps = FrameWalk(source, start, None if kind is None else frozenset([kind]), on_gap)
    while not steps.ended:
        yield from steps.read_block()


class FrameWalk:
    """Reads a file frame by frame, and continues after damage; see `walk`.

    A faster reader may take over where the walk need not be ``careful``, and move ``at`` and ``proven``. It stops
    at anything doubtful, and leaves the judgment to `read_block`.

    Attributes:
        at: where the next frame should begin.
        proven: the end of the last frame that was decoded: a frame certainly begins there.
        careful: frames that begin before this byte are decoded whatever their kind.
        ended: whether the walk is over.

    """

    def __init__(
        self, source: Source, start: int, wanted: frozenset[int] | None, on_gap: Callable[[Gap], object]
    ) -> None:
        """Start at byte *start*; frames of kinds that are not *wanted* are skipped undecoded; None wants every kind."""
        self._source = source
        self._wanted = wanted
        self._on_gap = on_gap
        self._searched = 0  # bytes of an unfinished frame that were already searched for whole frames
        self._piece = _FIRST_PIECE  # size of the next block, small at first as many walks end at their first frame
        self.at = self.proven = self.careful = start
        self.ended = False

    def read_block(self) -> Iterator[Record]:
        """Yield the wanted frames of one block of the file, and decide what follows the last of them."""
        source, wanted = self._source, self._wanted
        block, base = source.block(self.at, most=self._piece), self.at
        self._piece = min(4 * self._piece, Source.CHUNK)
        readable = source.is_readable(base, base + len(block))
        broken = endless = False
        end = 0  # the end of a broken frame, according to its header
        at = self.at
        while at + _HEAD - base < len(block):
            time, number, size = _unpack(block, at - base)
            stop = at + _HEAD + size
            possible = block[at + _HEAD - base] in FIRST_BYTES and 0 < size <= MAX_PAYLOAD
            if not possible or (at > self.proven and not is_likely(time, number)):
                broken = True
                # It can never become complete; but if nothing follows, it counts as an unfinished frame.
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
            # A frame that was skipped undecoded may be the broken one, and this place may be inside another frame.
            self._go_back()
        elif self.at == base or broken:  # otherwise only the block has ended
            self._look_for_the_next(broken=broken, endless=endless, end=end)

    def _go_back(self) -> None:
        """Decode everything that was skipped undecoded since the last proven place."""
        self.at, self.careful = self.proven, self.at + 1

    def _look_for_the_next(self, *, broken: bool, endless: bool, end: int) -> None:
        """Decide how to continue where there is no whole frame: search, wait, or end.

        A frame right after a broken one, at *end*, is accepted even if no other frame follows it.
        """
        source, at = self._source, self.at
        left = source.size - at
        if 0 < left <= _HEAD and self.proven < at:  # too few bytes to recognize the beginning of a header
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
        if self.proven < at:  # not the end of the file after all, so the same doubt as above applies
            self._go_back()
            self._searched = 0
            return
        self._on_gap(Gap(at, found - at))
        self.at = self.proven = found
        self._searched = 0


def _swallows_a_frame(source: Source, at: int, stop: int) -> bool:
    """Whether the frame from *at* to *stop* was cut short, and its length reaches into the frame that follows.

    It may be decodable all the same. Where no frame follows it, a frame that begins inside it is the real one.
    """
    if may_begin(source, stop):
        return False
    found = next_frame(source, at + 1)
    return found is not None and found < stop


def may_begin(source: Source, at: int) -> bool:
    """Whether the first payload byte of a frame that begins at byte *at* is possible, or is not in the file yet."""
    return at + _HEAD >= source.size or source.read(at + _HEAD, 1)[0] in FIRST_BYTES


def is_likely(time: float, number: int) -> bool:
    """Whether these may be the time and the kind of a real frame's header, rather than arbitrary bytes read as one."""
    return number > 0 and (time == 0 or (math.isfinite(time) and 2.0**-63 < abs(time) < 2.0**41))


_IS_FIRST: Final = np.isin(np.arange(256), list(FIRST_BYTES))


def next_frame(source: Source, start: int) -> int | None:
    """The first offset from *start* on where a whole frame is followed by another, or by the end of the file."""
    total, piece = source.size, _FIRST_SEARCHED  # most searches soon find a frame
    while total - start > _HEAD:
        block = source.block(start, most=piece)
        piece = min(4 * piece, Source.CHUNK)
        for i in _candidates(block):
            if _is_whole(source, start + i, *_unpack(block, i)):
                return start + i
        following = start + max(len(block) - _HEAD, 1)
        if not block.strip(b"\0"):  # perhaps a hole of many gigabytes in a sparse file
            following = max(following, source.data_from(start + len(block)) - _HEAD)
        start = following
    return None


def last_end(source: Source, start: int, stop: int) -> int:
    """The end of the last frame, from byte *start* on, that ends at byte *stop* or before; else of the first frame.

    Returns *start* when no frame is whole. Payloads are not decoded, except to find the next frame after damage.
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
    """Whether a whole frame begins at byte *at*, and is followed by another frame or by the end of the file."""
    head = source.read(at, _HEAD + 1)
    return len(head) > _HEAD and head[_HEAD] in FIRST_BYTES and _is_whole(source, at, *_unpack(head))


def _is_whole(source: Source, at: int, time: float, number: int, size: int) -> bool:
    """`is_frame_at` for a frame with these values in its header."""
    total, stop = source.size, at + _HEAD + size
    if not 0 < size <= min(total - (stop - size), MAX_PAYLOAD) or not is_likely(time, number):
        return False
    after = source.read(stop, _HEAD + 1) if total - stop > _HEAD else b""
    if after and (after[_HEAD] not in FIRST_BYTES or not is_likely(*_unpack(after)[:2])):
        return False
    return _is_payload(source, at + _HEAD, stop)


def _decodes(source: Source, at: int) -> bool:
    """Whether the bytes at byte *at* can be read as a frame, whatever follows it."""
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
    """Yield the places in *block* where the bytes for a frame's kind, time and first payload byte are possible."""
    octets = np.frombuffer(block, np.uint8)
    places = np.flatnonzero(_IS_FIRST.take(octets[_HEAD:]) & (octets[8 : 8 - _HEAD] > 0))
    # The exponent of a likely time (see is_likely): this rejects nearly all chance hits.
    exponent = ((octets[places + 7].astype(np.uint16) & 0x7F) << 4) | (octets[places + 6] >> 4)
    yield from places[((exponent >= 0x3C0) & (exponent <= 0x428)) | (exponent == 0)].tolist()
