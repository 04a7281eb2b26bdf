"""Checksums in a FLOG file: frames of kind 67, which other readers skip as a kind that they do not know.

Such a *seal* is a frame like any other, 64 bytes long. Its payload is the map ``{"from": u64, "to": u64, "rewinds":
u32, "crc32": u32}``: the CRC-32 (zlib's) of the file's bytes from ``from`` up to ``to``, which is where the four bytes
of the checksum itself begin. The next seal's range begins right behind them. So every byte of a sealed file
either is under a checksum or is part of one. ``rewinds`` is how many there have been so far, so that a reader need not
search a large file for none.

A seal that covers nothing but itself, right behind another one, is the *end mark* of a log that was closed.

Where the log has a state of the run (see `trainlog.codecs.flog.wire.run_state`), a pointer to the last one stands
before each seal but the end mark, and is written with it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from zlib import crc32

from trainlog.codecs.flog.scanning.walk import walk
from trainlog.codecs.flog.wire.header import parse_fixed_header
from trainlog.codecs.flog.wire.layout import FRAME, HEADER
from trainlog.codecs.flog.wire.run_state import MARK, POINTER_SIZE, STATE, is_state, pack_pointer, pointed_state
from trainlog.storage.append import AppendFile
from trainlog.storage.source import Source

__all__ = [
    *("AT_ONCE", "EVERY", "MAP", "REWIND", "SEAL", "SEAL_SIZE", "Seal", "SealedFile"),
    *("checksum", "contains", "is_end_mark", "is_seal", "last_seal", "resembles_seal"),
]

SEAL: Final = 67  # "C"

# msgpack's bytes, of fixed width, so that all seals are alike.
_PAYLOAD: Final = struct.Struct(">7sQ4sQ9sI7s")
MAP: Final = b"\x84\xa4from\xcf"  # with which the payload of each begins
_TO, _REWINDS, _CRC = b"\xa2to\xcf", b"\xa7rewinds\xce", b"\xa5crc32\xce"
_ALL_KEYS: Final = (_TO, _REWINDS, _CRC)
_CHECKSUM: Final = 4
_SIZE: Final = _PAYLOAD.size + _CHECKSUM
_TIME: Final = 8  # bytes of a frame's time, with which it begins
SEAL_SIZE: Final = FRAME.size + _SIZE
_BLANK: Final = FRAME.pack(0.0, SEAL, _SIZE) + _PAYLOAD.pack(MAP, 0, _TO, 0, _REWINDS, 0, _CRC)
_FIXED: Final = {at: byte for at, byte in enumerate(_BLANK) if byte}  # the bytes that are the same in each, by place
_KEYS: Final = frozenset(["from", "to", "rewinds", "crc32"])
_STATE_HEAD: Final = 2 + len(MARK)  # bytes by which the payload of a state is known

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
    """An `AppendFile` of frames that puts a seal behind the first one, every 64 KB, at each ``sync``, and at the end.

    What is under no seal yet is read back from the file when a seal is due. So an append has nothing to remember that
    an interrupt could leave half done. `_sealed` is replaced as a whole, by a statement that calls nothing.
    """

    def _begin(self, path: Path) -> None:
        super()._begin(path)
        self._sealed = _Sealed()
        self._seal: bytes | None = None  # that was written last
        self._behind = _Sealed()  # what is under seals when that is in the file
        self._rewinds = 0  # in the file so far, or more: a reader searches for them then
        self._states = 0  # of the run, in the file so far, or more: they are searched for then
        self._due = 0  # with a seal so early, a log that was cut is known from one that never had any

    def begin_anew(self, header: bytes) -> None:
        """Write *header* into the file, which is empty; raises as ``append``."""
        with self.lock:
            self._due = len(header) + 1  # no seal before the first frame, whose time it takes
            self.append(header)
            self._first, self._last = header, b""

    def counted(self, frame: bytes) -> bytes:
        """Say that this *frame* comes, which may be a rewind, or a state of the run.

        Returns:
            The frame as it is to be written: a state has the time of the frame before it, as seals have.

        """
        self._rewinds += REWIND in frame
        if not frame[FRAME.size + 1 :].startswith(MARK):
            return frame
        self._states += 1
        return bytes(self._last[:_TIME] or frame[:_TIME]) + frame[_TIME:]

    def extend(self, frames: bytes | memoryview, last: int) -> None:
        """Write *frames*, which are whole; the last one begins at byte *last*. Raises as ``append``."""
        raw = bytes(frames)
        self._rewinds += raw.count(REWIND)
        self._states += raw.count(MARK)
        self.append(frames, bytes(frames[last : last + _TIME]))

    def go_on(self, seal: Seal, end: int, time: float) -> None:
        """Take the bytes behind *seal*, which the file holds already, under the next one.

        Args:
            seal: the last one of the file.
            end: the end of the file.
            time: of the last frame in it.

        """
        with Source(self.path) as source:
            crc = checksum(source, seal.end, end)
            self._rewinds = seal.rewinds + contains(source, REWIND, seal.end, end)
            self._first = self._first or source.read(0, parse_fixed_header(source.read(0, HEADER.size), self.path)[1])
            found = [
                record.offset
                for record in walk(source, max(seal.end, len(self._first)), kind=STATE, on_gap=_ignore)
                if is_state(record.kind, record.data)
            ]
        self._states = len(found)
        self._sealed = _Sealed(seal.end, end, crc, (seal.state_at, *found)[-1], self._states)
        self._end = end
        self._due = end + EVERY if seal.end else 0
        self._last = struct.pack("<d", time)

    def _look_after(self) -> None:
        super()._look_after()
        self._put_seal()

    def _put_seal(self) -> None:
        """Put a seal behind the last frame; where the system takes none, the next one covers what this one would."""
        try:
            if self._record is not None:  # a seal of which a part was written, and could not be cut off yet
                self._recover()
            while (seal := self._next_seal()) is None:
                pass  # a signal handler wrote meanwhile
            self._record = self._seal = seal
            written = os.write(self._fd, seal)
            if self._record is not seal:  # a handler wrote; if it did before this write, the seal is out of place
                if os.fstat(self._fd).st_size - self._end == written:
                    os.ftruncate(self._fd, self._end)
            else:
                self._recover()
        except OSError:
            with contextlib.suppress(OSError):
                self._recover()

    def _next_seal(self) -> bytes | None:
        sealed, end = self._sealed, self._end
        crc, at = sealed.crc, sealed.at
        while at < end:
            block = os.pread(self._fd, min(end - at, AT_ONCE), at)
            if not block:
                raise OSError(errno.EIO, "the file was cut")
            crc = crc32(block, crc)
            at += len(block)
        time, state_at, states = bytes(self._last[:_TIME]), sealed.state_at, sealed.states
        if self._states > states:
            found = self._states_in(max(sealed.start, len(self._first)), end)
            state_at, states = (state_at, *found)[-1], states + len(found)
        pointer = pack_pointer(time, state_at) if state_at and end > sealed.start else b""
        seal = pointer + _pack_seal(sealed.start, end + len(pointer), time, self._rewinds, crc32(pointer, crc))
        behind = _Sealed(end + len(seal), end + len(seal), 0, state_at, states)
        if self._end != end or self._sealed is not sealed:
            return None
        self._behind = behind
        return seal

    def _states_in(self, at: int, end: int) -> list[int]:
        """Where among the frames from byte *at* to *end*, which are whole, the states of the run begin."""
        found = []
        while end - at > FRAME.size:
            head = os.pread(self._fd, FRAME.size + _STATE_HEAD, at)
            if len(head) < FRAME.size:
                break
            _, kind, size = FRAME.unpack_from(head)
            if kind == STATE and head[FRAME.size + 1 :] == MARK + b"\x01":
                found.append(at)
            at += FRAME.size + size
        return found

    def _adopt(self, record: bytes | memoryview, size: int) -> None:
        if self._record is record:
            self._end = size
            if record is self._seal:
                self._sealed = self._behind
            self._record = None

    def _continue(self, *, was_cut: bool) -> None:
        if not was_cut:
            return  # a copy, byte by byte
        with Source(self.path) as source:
            _, start = parse_fixed_header(source.read(0, HEADER.size), self.path)
            self.go_on(last_seal(source, start), self._end, struct.unpack("<d", self._last[:_TIME])[0])

    def _settle(self) -> str:
        message = super()._settle()
        if self._end > self._sealed.start:
            self._put_seal()
        return message

    def _settle_at_end(self) -> str:
        message = self._settle()
        if self._end:
            self._put_seal()  # of nothing but itself: the end mark
        return message

    def leave(self) -> None:
        """Close the file as it is, without a seal."""
        with self.lock:
            self._leave("this log was closed")


class _Sealed(NamedTuple):
    """What is under seals.

    Attributes:
        start: where the next seal's range begins.
        at: up to where its checksum is known.
        crc: of the bytes from *start* to *at*.
        state_at: where the last state of the run begins; 0 when there is none.
        states: how many were found so far.

    """

    start: int = 0
    at: int = 0
    crc: int = 0
    state_at: int = 0
    states: int = 0


def _pack_seal(start: int, end: int, time: bytes, rewinds: int, crc: int) -> bytes:
    """The seal at byte *end* of the range from *start*; *crc* is of the bytes between the two."""
    to = end + FRAME.size + _PAYLOAD.size
    places = _PAYLOAD.pack(MAP, start, _TO, to, _REWINDS, rewinds, _CRC)
    seal = time.ljust(_TIME, b"\0") + FRAME.pack(0.0, SEAL, _SIZE)[_TIME:] + places
    return seal + crc32(seal, crc).to_bytes(_CHECKSUM, "big")


def is_end_mark(data: Mapping[Any, Any]) -> bool:
    """Whether this seal covers nothing but itself, which only the last one of a closed log does."""
    start, to = data["from"], data["to"]
    return type(start) is int and type(to) is int and to - start == FRAME.size + _PAYLOAD.size


def checksum(source: Source, start: int, end: int, crc: int = 0) -> int:
    """The CRC-32 of the file's bytes from *start* to *end*, behind others of which it is *crc*."""
    while start < end and (block := source.block(start)[: end - start]):
        crc = crc32(block, crc)
        start += len(block)
    return crc


def contains(source: Source, needle: bytes, start: int, end: int) -> bool:
    """Whether *needle* is among the file's bytes from *start* to *end*."""
    while start < end:
        block = source.block(start, most=end - start)
        if block[: end - start].rfind(needle) >= 0:  # which takes a third of the time of ``in``
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
        state_at: where the last state of the run before it begins; 0 when there is none.

    """

    end: int = 0
    time: float = 0.0
    rewinds: int = 0
    state_at: int = 0


def last_seal(source: Source, start: int) -> Seal:
    """The last seal behind byte *start*."""
    end, piece = source.size, 2 * EVERY  # in which there nearly always is one
    while end > start:
        begin = max(end - piece, start)
        piece = min(4 * piece, 1 << 20)
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
        end = begin + SEAL_SIZE - 1  # one that began before this block is all in the next
    return Seal()


def _state_before(source: Source, at: int, first: int) -> int:
    """Where the last state begins, by the pointer before the seal at byte *at*, whose range begins at byte *first*."""
    if first == at:  # the end mark
        at -= SEAL_SIZE
    found = pointed_state(source.read(at - POINTER_SIZE, POINTER_SIZE)) if at > POINTER_SIZE else 0
    return found if found < at else 0


def _ignore(gap: object) -> None:
    """Damage is reported by those who read frames."""
