"""The frames of a FLOG file by an index of their headers, taken up again where it ended, however large the file is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codec import Gap
from trainlog.codecs.flog.integrity.rewinds import History
from trainlog.codecs.flog.integrity.seals import SEAL, SEAL_SIZE
from trainlog.codecs.flog.scanning.chain import Chain, Links
from trainlog.codecs.flog.scanning.walk import walk
from trainlog.codecs.flog.wire.header import take_header
from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.codecs.frame_payload import decode
from trainlog.storage.source import Source

__all__ = ["Headers", "Heads", "read_frame", "read_frames"]

_HEAD: Final = FRAME.size
_PAD: Final = bytes(16)
_BLOCK: Final = 4 << 20

Ints = npt.NDArray[np.int64]


class Heads(NamedTuple):
    """The headers of frames that follow one another: where each begins, its time, its kind."""

    offset: Ints
    time: npt.NDArray[np.float64]
    kind: npt.NDArray[np.uint8]


class Headers:
    """Reads headers on, from where it stopped the last time; payloads are decoded only where there is doubt.

    Attributes:
        at: the byte where the next frame should begin.
        start: where the first one began.
        gaps: bytes that are no frame.

    Checksums are left out, and frames that are superseded, because training went back to a checkpoint.

    """

    def __init__(self, path: Path) -> None:
        self._source = Source(path)
        self.header, self.at = take_header(self._source)
        self.start = self.at
        self.gaps: list[Gap] = []
        self._unsealed = self.header.meta.get("checksums") is False
        self._history = History().updated(self._source, self.start, unsealed=self._unsealed)
        self._chain = Chain()
        self._searched = 0

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    @property
    def cuts(self) -> tuple[tuple[int, int], ...]:
        """The ranges of bytes whose frames are superseded."""
        return self._history.cuts

    def went_back(self) -> bool:
        """Whether frames that were given before are superseded by now."""
        before = self.cuts
        self._history = self._history.updated(self._source, self.start, unsealed=self._unsealed)
        return self.cuts != before

    def _shown(self, heads: Heads, length: Ints) -> Heads:
        """Those that are data, and count."""
        shown = (heads.kind != SEAL) | (length != SEAL_SIZE)
        for start, stop in self.cuts:
            shown &= (heads.offset < start) | (heads.offset >= stop)
        return Heads(*(part[shown] for part in heads))

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._source.size

    def next(self) -> Iterator[Heads]:
        """Yield what is new, a few megabytes at a time."""
        while (size := self._source.size) - self.at > _HEAD:
            at = self.at
            block = self._read(at, min(size - at, _BLOCK))
            octets = np.frombuffer(block + _PAD, np.uint8)
            links = self._chain.follow(octets, len(block))
            whole = _whole(links, size - at)
            if whole < len(links.offset) or not links.broken:
                # The last of them may be bytes that only look like a frame; all before it lead to it.
                sound = self._sound(block, at, links, whole)
                if sound == whole and whole:
                    yield self._taken(octets, at, links, whole)
                    if whole == len(links.offset) and not links.broken:
                        self.at = at + links.next
                        continue
                elif whole == 0 and not self._is_stuck(size):
                    return
            yield from self._carefully(size)
            if self.at == at:
                return

    def _read(self, at: int, size: int) -> bytes:
        buffer = bytearray(size)
        return bytes(buffer[: self._source.fill(memoryview(buffer), at)])

    def _sound(self, block: bytes, base: int, links: Links, whole: int) -> int:
        """How many of the frames are sound: all when the last one can be decoded, else none."""
        if not whole:
            return 0
        at, length = int(links.offset[whole - 1]), int(links.length[whole - 1])
        payload = block[at + _HEAD : at + length]
        if len(payload) < length - _HEAD:
            payload = self._source.block(base + at + _HEAD, length - _HEAD)[: length - _HEAD]
        try:
            decode(payload)
        except ValueError:
            return 0
        return whole

    def _taken(self, octets: npt.NDArray[np.uint8], base: int, links: Links, count: int) -> Heads:
        offset = links.offset[:count]
        time = octets[offset[:, np.newaxis] + np.arange(8)].view("<f8").reshape(-1)
        self.at = int(base + offset[-1] + links.length[count - 1])
        self._searched = 0
        return self._shown(Heads(base + offset, time, links.kind[:count]), links.length[:count])

    def _is_stuck(self, size: int) -> bool:
        """Whether the unfinished frame at the end has been followed by so much that it will not be finished."""
        return size - self.at > max(2 * self._searched, Source.CHUNK)

    def _carefully(self, size: int) -> Iterator[Heads]:
        """Decode frame by frame, beyond what is damaged, until the way is clear again."""
        gaps: list[Gap] = []
        began = self.at
        found: list[tuple[int, float, int, int]] = []
        for record in walk(self._source, began, on_gap=gaps.append):
            found.append((record.offset, record.time, record.kind, record.size))
            self.at = record.offset + record.size
            if (gaps and len(found) > 1) or len(found) >= 4096:
                break
        self._searched = size - self.at
        self.gaps += [gap for gap in gaps if not gap.torn and gap.offset < self.at]
        if found:
            offset, time, kind, length = zip(*found, strict=True)
            heads = Heads(np.array(offset, np.int64), np.array(time), np.array(kind, np.uint8))
            yield self._shown(heads, np.array(length, np.int64))


def _whole(links: Links, left: int) -> int:
    """How many of the frames are all there."""
    if not len(links.offset):
        return 0
    ends = links.offset + links.length
    return int(np.searchsorted(ends, left, "right"))


def read_frames(source: Source, offsets: Sequence[int]) -> list[dict[Any, Any]]:
    """The payloads of the frames that begin at *offsets*, which rise; an empty one where it cannot be decoded."""
    block, base = b"", 0
    frames = []
    for at in offsets:
        if not (base <= at and at + _HEAD <= base + len(block)):
            block, base = source.block(at, _HEAD), at
        size = FRAME.unpack_from(block, at - base)[2]
        stop = at + _HEAD + size
        if stop > base + len(block):
            block, base = source.block(at, _HEAD + size), at
        try:
            frames.append(decode(block[at + _HEAD - base : stop - base]))
        except ValueError:
            frames.append({})
    return frames


def read_frame(source: Source, at: int) -> dict[Any, Any]:
    """The payload of the frame that begins at *at*, reading no more than it; an empty one when it cannot be decoded."""
    head = bytearray(_HEAD)
    source.fill(memoryview(head), at)
    payload = bytearray(min(FRAME.unpack(head)[2], source.size))
    source.fill(memoryview(payload), at + _HEAD)
    try:
        return decode(bytes(payload))
    except ValueError:
        return {}
