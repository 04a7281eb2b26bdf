"""Checksums in a FLOG file: frames of kind 67, which other readers skip as a kind that they do not know.

Such a *seal* is a frame like any other, 64 bytes long. Its payload is the map ``{"from": u64, "to": u64, "rewinds":
u32, "crc32": u32}``: the CRC-32 (zlib's) of the file's bytes from ``from`` up to ``to``, which is where the four bytes
of the checksum itself begin. The next seal's range begins right behind them. So every byte of a sealed file
either is under a checksum or is part of one. ``rewinds`` is how many there have been so far, so that a reader need not
search a large file for none.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, NamedTuple
from zlib import crc32

from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.errors import LogWriteError
from trainlog.model import Kind
from trainlog.storage.append import AppendFile
from trainlog.storage.source import Source

__all__ = [
    *("AT_ONCE", "EVERY", "MAP", "REWIND", "SEAL", "SEAL_SIZE", "Seal", "SealedFile"),
    *("checksum", "contains", "is_seal", "last_seal", "resembles_seal"),
]

SEAL: Final = 67  # "C"

# msgpack's bytes, of fixed width, so that all seals are alike.
_PAYLOAD: Final = struct.Struct(">7sQ4sQ9sI7s")
MAP: Final = b"\x84\xa4from\xcf"  # with which the payload of each begins
_TO, _REWINDS, _CRC = b"\xa2to\xcf", b"\xa7rewinds\xce", b"\xa5crc32\xce"
_ALL_KEYS: Final = (_TO, _REWINDS, _CRC)
_CHECKSUM: Final = 4
_SIZE: Final = _PAYLOAD.size + _CHECKSUM
_KIND_AT: Final = 8  # in a frame's header
_EVENT: Final = int(Kind.EVENT)
SEAL_SIZE: Final = FRAME.size + _SIZE
_BLANK: Final = FRAME.pack(0.0, SEAL, _SIZE) + _PAYLOAD.pack(MAP, 0, _TO, 0, _REWINDS, 0, _CRC)
_FIXED: Final = {at: byte for at, byte in enumerate(_BLANK) if byte}  # the bytes that are the same in each, by place
_KEYS: Final = frozenset(["from", "to", "rewinds", "crc32"])

REWIND: Final = b"\xa4type\xa6rewind"  # in the payload of an event, see `trainlog.codecs.flog.integrity.rewinds`

# After how many bytes a seal is due: it costs one write more, and what is behind the last one cannot be checked.
EVERY: Final = 1 << 16

# The most that is written at once, before a seal is put behind it; a single frame may be larger.
AT_ONCE: Final = 1 << 19


def is_seal(kind: int, keys: Collection[Any], size: int) -> bool:
    """Whether a frame of *size* bytes with these *keys* is a seal, of which a bit may have flipped.

    Another program may mean something else by kind 67. Seals have numbers of a fixed width, which is not how msgpack
    packs small ones, so that frames with the same keys are not as long.
    """
    if size != SEAL_SIZE:
        return False
    return len(_KEYS.intersection(keys)) >= (2 if kind == SEAL else len(_KEYS))


def resembles_seal(raw: bytes) -> bool:
    """Whether *raw*, which cannot be read as a frame, may have been a seal: few of the bytes that all have differ."""
    if len(raw) < SEAL_SIZE:
        return False
    return sum(raw[at] != byte for at, byte in _FIXED.items()) <= 2


class SealedFile(AppendFile):
    """An `AppendFile` of frames that puts a seal behind every 64 KB, at each ``sync``, and at the end."""

    def _begin(self, path: Path) -> None:
        super()._begin(path)
        self._from = 0  # where the next seal's range begins
        self._crc = 0  # of the bytes from there to ``_at``
        self._at = 0
        self._pending: list[bytes | memoryview] = []  # what is behind, as records, of which the last is one frame
        self._size = 0  # how many bytes that are
        self._rewinds = 0  # in the file so far
        self._time = b"\0" * 8  # of the last frame, as the file has it

    def append(self, record: bytes | memoryview) -> None:
        """Write *record*, which is one frame, or the file's header; raises as `AppendFile.append`."""
        with self._lock:
            self._put(record)
            self._pending.append(record)
            self._size += len(record)
            if record[_KIND_AT] == _EVENT and REWIND in record:
                self._rewinds += 1
            if self._size >= EVERY:
                self._seal()

    def extend(self, records: bytes | memoryview, last: int) -> None:
        """Write *records*, which are whole frames; the last one begins at byte *last*. Raises as ``append``."""
        with self._lock:
            self._put(records)
            parts = [bytes(records[:last]), bytes(records[last:])]
            self._pending += parts
            self._size += len(records)
            self._rewinds += sum(part.count(REWIND) for part in parts)
            if self._size >= EVERY:
                self._seal()

    def go_on(self, seal: Seal, end: int, time: float) -> None:
        """Take the bytes behind *seal*, which the file holds already, under the next one.

        Args:
            seal: the last one of the file.
            end: the end of the file.
            time: of the last frame in it.

        """
        with Source(self.path) as source:
            self._crc = checksum(source, seal.end, end)
            self._rewinds = seal.rewinds + contains(source, REWIND, seal.end, end)
        self._from, self._at = seal.end, end
        self._time = struct.pack("<d", time)

    def _seal(self) -> None:
        data = b"".join(self._pending)
        if len(self._pending) > (not self._at):  # the first record of all is no frame but the file's header
            self._time = bytes(self._pending[-1][:8])
        to = self._at + len(data) + FRAME.size + _PAYLOAD.size
        places = _PAYLOAD.pack(MAP, self._from, _TO, to, _REWINDS, self._rewinds, _CRC)
        seal = self._time + FRAME.pack(0.0, SEAL, _SIZE)[8:] + places
        self._crc = crc32(data, self._crc)
        self._at += len(data)
        self._pending.clear()
        self._size = 0
        try:
            self._put(seal + crc32(seal, self._crc).to_bytes(_CHECKSUM, "big"))
        except LogWriteError:
            return  # the frame before it is in the log, and the next seal covers what this one would have
        self._from = self._at = to + _CHECKSUM
        self._crc = 0

    def sync(self) -> None:
        """Put a seal behind the last frame, and wait until all of it is on the disk; raises as `AppendFile.sync`."""
        with self._lock:
            self._seal_rest()
        super().sync()

    def close(self) -> None:
        """Put a seal behind the last frame, and close the file; may be called again."""
        with self._sync_lock, self._lock:
            self._seal_rest()
            self._leave("this log was closed")

    def leave(self) -> None:
        """Close the file as it is, without a seal."""
        super().close()

    def _seal_rest(self) -> None:
        if self._fd >= 0 and self._at + self._size > self._from:
            self._seal()


def checksum(source: Source, start: int, end: int, crc: int = 0) -> int:
    """The CRC-32 of the file's bytes from *start* to *end*, behind others of which it is *crc*."""
    while start < end and (block := source.block(start)[: end - start]):
        crc = crc32(block, crc)
        start += len(block)
    return crc


def contains(source: Source, needle: bytes, start: int, end: int) -> bool:
    """Whether *needle* is among the file's bytes from *start* to *end*."""
    while start < end:
        block = source.block(start)
        if needle in block[: end - start]:
            return True
        if start + len(block) >= end:
            break
        start += max(len(block) - len(needle), 1)
    return False


class Seal(NamedTuple):
    """What a seal says.

    Attributes:
        end: the byte behind it; 0 when there is none.
        time: of the frame before it.
        rewinds: how many there are before it.

    """

    end: int = 0
    time: float = 0.0
    rewinds: int = 0


def last_seal(source: Source, start: int) -> Seal:
    """The last seal behind byte *start*."""
    end = source.size
    while end > start:
        begin = max(end - source.CHUNK, start)
        block = source.block(begin)[: end - begin]
        found = len(block)
        while (found := block.rfind(MAP, 0, found)) >= FRAME.size:
            if len(block) - found < _SIZE:
                continue
            time, kind, size = FRAME.unpack_from(block, found - FRAME.size)
            _, _, to_key, to, rewinds_key, rewinds, crc_key = _PAYLOAD.unpack_from(block, found)
            keys = to_key, rewinds_key, crc_key
            if (kind, size, keys) == (SEAL, _SIZE, _ALL_KEYS) and to == begin + found + _PAYLOAD.size:
                return Seal(to + _CHECKSUM, time, rewinds)
        if begin == start:
            break
        end = begin + SEAL_SIZE - 1  # one that began before this block is all in the next
    return Seal()
