"""Checksums in a FLOG file: frames of kind 67, which other readers skip as an unknown kind.

Such a *seal* is a frame like any other, 64 bytes long. Its payload is the map ``{"from": u64, "to": u64, "rewinds":
u32, "crc32": u32}``: the CRC-32 (zlib's, which isal computes in less time) of the file's bytes from ``from`` up to
``to``, which is where the four bytes of the checksum itself begin. The next seal's range begins right after them. So
every byte of a sealed file is either covered by a checksum or part of one. ``rewinds`` is the number of rewinds so far,
so that a reader need not search a large file that has none.

A seal that covers only itself, right after another seal, is the *end mark* of a closed log.

If the log has a state of the run (see `trainlog.codecs.flog.wire.run_state`), a pointer to the last state precedes each
seal except the end mark, and is written together with the seal.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, NamedTuple

from isal.isal_zlib import crc32

from trainlog.codecs.flog.scanning.chain import BlockReader
from trainlog.codecs.flog.scanning.walk import next_frame
from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.codecs.flog.wire.run_state import POINTER_SIZE, pointed_state
from trainlog.model import Header
from trainlog.storage.source import Source

__all__ = [
    *("AT_ONCE", "EVERY", "MAP", "REWIND", "SEAL", "SEALED_WITHIN", "SEAL_SIZE", "TIME_SIZE", "Seal"),
    *("checksum", "contains", "has_seals", "is_end_mark", "is_seal", "last_seal", "newest_seal", "pack_seal"),
    *("resembles_seal", "sealed_ranges"),
]

SEAL: Final = 67  # "C"

# The msgpack bytes have a fixed width, so that all seals have the same layout.
_PAYLOAD: Final = struct.Struct(">7sQ4sQ9sI7s")
MAP: Final = b"\x84\xa4from\xcf"  # the beginning of every seal's payload
_TO, _REWINDS, _CRC = b"\xa2to\xcf", b"\xa7rewinds\xce", b"\xa5crc32\xce"
_ALL_KEYS: Final = (_TO, _REWINDS, _CRC)
_CHECKSUM: Final = 4
_SIZE: Final = _PAYLOAD.size + _CHECKSUM
TIME_SIZE: Final = 8  # bytes of the time at the beginning of a frame
SEAL_SIZE: Final = FRAME.size + _SIZE
_BLANK: Final = FRAME.pack(0.0, SEAL, _SIZE) + _PAYLOAD.pack(MAP, 0, _TO, 0, _REWINDS, 0, _CRC)
_FIXED: Final = {at: byte for at, byte in enumerate(_BLANK) if byte}  # the bytes that all seals share, by place
_KEYS: Final = frozenset(["from", "to", "rewinds", "crc32"])

REWIND: Final = b"\xa4type\xa6rewind"  # in the payload of an event, see `trainlog.codecs.flog.integrity.rewinds`

# A seal is due after this many bytes: it costs one more write, but bytes after the last seal cannot be verified.
EVERY: Final = 1 << 16

# The most bytes that are written at once before a seal follows; a single frame may be larger.
AT_ONCE: Final = 1 << 19

# A file of this library has a seal in this many last bytes, unless large frames are at its end.
SEALED_WITHIN: Final = 768 << 10
_PAGE: Final = 1 << 12  # is read first: the end of a closed log is a seal, and a seal follows the first frame
_PIECE: Final = 1 << 18  # fresh memory for all that is examined would take longer than to examine it
_SEALS_WITHIN: Final = 2 * EVERY, SEALED_WITHIN, 16 << 20


def has_seals(header: Header) -> bool:
    """Whether this library writes seals into a log with this header; its metadata can ask for none."""
    return header.meta.get("checksums") is not False


def is_seal(kind: int, keys: Collection[Any], size: int) -> bool:
    """Whether a frame of *size* bytes with these *keys* is a seal, even if a bit of it has flipped.

    Another program may use kind 67 for something else. The numbers of a seal have a fixed width, while msgpack packs
    small numbers into fewer bytes, so that other frames with the same keys have another length.
    """
    if size != SEAL_SIZE:
        return False
    return len(_KEYS.intersection(keys)) >= (2 if kind == SEAL else len(_KEYS))


def resembles_seal(raw: bytes) -> bool:
    """Whether *raw*, which cannot be read as a frame, may have been a seal: it has nearly all bytes that they share."""
    if len(raw) < SEAL_SIZE:
        return False
    return sum(raw[at] != byte for at, byte in _FIXED.items()) <= 2


def pack_seal(start: int, end: int, time: bytes, rewinds: int, crc: int) -> bytes:
    """The seal at byte *end* for the range from *start*; *crc* is the checksum of the bytes between the two."""
    to = end + FRAME.size + _PAYLOAD.size
    places = _PAYLOAD.pack(MAP, start, _TO, to, _REWINDS, rewinds, _CRC)
    seal = time.ljust(TIME_SIZE, b"\0") + FRAME.pack(0.0, SEAL, _SIZE)[TIME_SIZE:] + places
    return seal + crc32(seal, crc).to_bytes(_CHECKSUM, "big")


def is_end_mark(data: Mapping[Any, Any]) -> bool:
    """Whether this seal covers only itself, which only the last seal of a closed log does."""
    start, to = data["from"], data["to"]
    return type(start) is int and type(to) is int and to - start == FRAME.size + _PAYLOAD.size


def checksum(source: Source, start: int, end: int, crc: int = 0) -> int:
    """The CRC-32 of the file's bytes from *start* to *end*, continued from *crc*, that of the bytes before them."""
    while start < end and (block := source.block(start, most=end - start)[: end - start]):
        crc = crc32(block, crc)
        start += len(block)
    return crc


def contains(source: Source, needle: bytes, start: int, end: int) -> bool:
    """Whether *needle* is among the file's bytes from *start* to *end*."""
    while start < end:
        block = source.block(start, most=end - start)
        if block[: end - start].rfind(needle) >= 0:  # takes a third of the time of ``in``
            return True
        if start + len(block) >= end:
            break
        start += max(len(block) - len(needle), 1)
    return False


class Seal(NamedTuple):
    """The content of a seal.

    Attributes:
        end: the byte after the seal; 0 when there is no seal.
        time: the time of the frame before it.
        rewinds: the number of rewinds before it.
        state_at: where the last state of the run before it begins; 0 when there is none.

    """

    end: int = 0
    time: float = 0.0
    rewinds: int = 0
    state_at: int = 0


def last_seal(source: Source, start: int) -> Seal:
    """The last seal after byte *start*."""
    end, piece = source.size, _PAGE
    while end > start:
        begin = max(end - piece, start)
        piece = min(_SEALS_WITHIN[0] if piece == _PAGE else 4 * piece, 1 << 20)
        block = source.block(begin, end - begin, end - begin)
        found = len(block)
        while (found := block.rfind(MAP, 0, found)) >= FRAME.size:
            if len(block) - found < _SIZE:
                continue
            time, kind, size = FRAME.unpack_from(block, found - FRAME.size)
            _, first, to_key, to, rewinds_key, rewinds, crc_key = _PAYLOAD.unpack_from(block, found)
            keys = to_key, rewinds_key, crc_key
            if (kind, size, keys) == (SEAL, _SIZE, _ALL_KEYS) and to == begin + found + _PAYLOAD.size:
                return Seal(to + _CHECKSUM, time, rewinds, _state_before(source, to + _CHECKSUM - SEAL_SIZE, first))
        if begin == start:
            break
        end = begin + SEAL_SIZE - 1  # the next block holds the whole of a seal that begins before this one
    return Seal()


def newest_seal(source: Source, start: int) -> Seal:
    """The last seal of a log whose frames begin at byte *start*.

    Like `last_seal`, but it does not search through the whole log of another program, which has no seals.
    """
    size = source.size
    near, tail, far = (max(size - within, start) for within in _SEALS_WITHIN)
    if tail == start:
        return last_seal(source, start)
    # In object storage, one request fetches everything that is examined of a log of another program.
    seal = Seal() if _seems_foreign(source, start) else last_seal(source, near)
    if seal.end or _is_foreign(source, tail):
        return seal
    seal = last_seal(source, far)
    if seal.end or far == start or not contains(source, MAP, start, start + SEALED_WITHIN):
        return seal
    return last_seal(source, start)


def _seems_foreign(source: Source, start: int) -> bool:
    """Whether no seal follows the first frame, or the first few, as far as this is seen without a request."""
    end = start + _PAGE
    if not source.is_at_hand(start, end):
        return False
    page = source.read(start, _PAGE)
    if MAP in page:
        return False
    _, _, size = FRAME.unpack_from(page)
    first = start + min(FRAME.size + size + SEAL_SIZE, _SEALS_WITHIN[0])
    return first <= end or (source.is_at_hand(end, first) and not contains(source, MAP, end - len(MAP), first))


def sealed_ranges(source: Source, start: int) -> Iterator[tuple[int, int]]:
    """Yield the range of each seal of a log whose frames begin at byte *start*, from the last seal backward.

    Each range includes the seal that ends it, and begins where the range before it ends. The iteration stops at the
    first seal that is missing or wrong.
    """
    end = last_seal(source, max(start, source.size - _SEALS_WITHIN[0])).end
    while end > start:
        at = end - SEAL_SIZE
        seal = source.read(at, SEAL_SIZE)
        _, kind, size = FRAME.unpack_from(seal)
        _, first, _, to, *_ = _PAYLOAD.unpack_from(seal, FRAME.size)
        crc = int.from_bytes(seal[-_CHECKSUM:], "big")
        if (kind, size, to) != (SEAL, _SIZE, end - _CHECKSUM) or first > at or checksum(source, first, to) != crc:
            return
        yield max(first, start), end
        end = first


def _is_foreign(source: Source, start: int) -> bool:
    """Whether a writer without seals wrote the frames after byte *start*: none is where one would have to be."""
    if not source.is_at_hand(start, source.size):
        source.read(start, source.left(start))  # all at once, before any of it is examined
    found = next_frame(source, start)
    if found is None:
        return False
    blocks, at, largest = BlockReader(source, _PIECE), found, 0
    while at < source.size and at - found < EVERY + AT_ONCE + largest:
        links = blocks.read(at, source.size).links
        if links.broken or not len(links.kind) or SEAL in links.kind:
            return False
        largest = max(largest, int(links.length.max()))
        at += links.next
    return at - found >= EVERY + AT_ONCE + largest


def _state_before(source: Source, at: int, first: int) -> int:
    """Where the last state begins, by the pointer before the seal at byte *at*, whose range begins at byte *first*."""
    if first == at:  # the end mark
        at -= SEAL_SIZE
    found = pointed_state(source.read(at - POINTER_SIZE, POINTER_SIZE)) if at > POINTER_SIZE else 0
    return found if found < at else 0
