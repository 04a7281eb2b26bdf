"""The file that a FLOG writer appends to; it writes a seal after the frames, see `seals`."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from pathlib import Path
from typing import Final, NamedTuple

from isal.isal_zlib import crc32

from trainlog.codecs.flog.integrity.seals import (
    AT_ONCE,
    EVERY,
    REWIND,
    TIME_SIZE,
    Seal,
    checksum,
    contains,
    last_seal,
    pack_seal,
)
from trainlog.codecs.flog.scanning.walk import ignore_gap, walk
from trainlog.codecs.flog.wire.header import parse_fixed_header
from trainlog.codecs.flog.wire.layout import FRAME, HEADER
from trainlog.codecs.flog.wire.run_state import MARK, STATE, is_state, pack_pointer
from trainlog.storage.append import AppendFile
from trainlog.storage.source import Source

__all__ = ["SealedFile"]

_IS_STATE: Final = MARK + b"\x01"  # after the first payload byte of a state


class SealedFile(AppendFile):
    """An `AppendFile` of frames that writes a seal after the first frame, every 64 KB, at each ``sync`` and at the end.

    When a seal is due, the bytes that no seal covers yet are read back from the file. So an append has no state that an
    interrupt could leave half updated. `_sealed` is replaced as a whole, by a statement that calls nothing.

    Attributes:
        seals: False for a log without seals, see `has_seals`.

    """

    def _begin(self, path: Path) -> None:
        super()._begin(path)
        self.seals = True
        self._sealed = _Sealed()
        self._seal: bytes | None = None  # the seal that was written last
        self._behind = _Sealed()  # what is sealed once that seal is in the file
        self._rewinds = 0  # rewinds in the file so far, or more: above 0, a reader searches for them
        self._states = 0  # states of the run in the file so far, or more: they are searched for before a seal
        self._due = 0  # an early seal distinguishes a log that was cut from one that never had a seal

    def restart(self, header: bytes) -> None:
        """Write *header* into the file, which is empty; raises as ``append``."""
        with self.lock:
            self._due = len(header) + 1  # no seal before the first frame, as a seal takes its time from a frame
            self.append(header)
            self._first, self._last = header, b""

    def counted(self, frame: bytes) -> bytes:
        """Count *frame*, which is about to be written, if it is a rewind or a state of the run.

        Returns:
            The frame as it must be written: a state gets the time of the frame before it, as seals do.

        """
        self._rewinds += REWIND in frame
        if frame[TIME_SIZE] != STATE or frame[FRAME.size + 1 :][: len(_IS_STATE)] != _IS_STATE:
            return frame
        self._states += 1
        return bytes(self._last[:TIME_SIZE] or frame[:TIME_SIZE]) + frame[TIME_SIZE:]

    def extend(self, frames: bytes | memoryview, last: int, *, counted: bool = True) -> None:
        """Write *frames*, which are whole; the last one begins at byte *last*. Raises as ``append``.

        Rewinds and states of the run among them are *counted*; False means that there are none.
        """
        if counted:
            raw = bytes(frames)
            self._rewinds += raw.count(REWIND)
            self._states += raw.count(MARK)
        self.append(frames, bytes(frames[last : last + TIME_SIZE]))

    def go_on(self, seal: Seal, end: int, time: float) -> None:
        """Let the next seal cover the bytes that the file already has after *seal*.

        Args:
            seal: the last seal of the file.
            end: the end of the file.
            time: the time of the last frame in it.

        """
        with Source(self.path) as source:
            crc = checksum(source, seal.end, end)
            self._rewinds = seal.rewinds + contains(source, REWIND, seal.end, end)
            self._first = self._first or source.read(0, parse_fixed_header(source.read(0, HEADER.size), self.path)[1])
            found = [
                record.offset
                for record in walk(source, max(seal.end, len(self._first)), kind=STATE, on_gap=ignore_gap)
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
        """Write a seal after the last frame; if the system does not accept it, the next seal covers its range too."""
        if not self.seals:
            return
        try:
            if self._record is not None:  # a partly written seal that could not be cut off yet
                self._recover()
            while (seal := self._next_seal()) is None:
                pass  # a signal handler wrote meanwhile
            self._record = self._seal = seal
            written = os.write(self._fd, seal)
            if self._record is not seal:  # a handler wrote; if it did so before this write, the seal is misplaced
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
        time, state_at, states = bytes(self._last[:TIME_SIZE]), sealed.state_at, sealed.states
        if self._states > states:
            found = self._states_in(max(sealed.start, len(self._first)), end)
            state_at, states = (state_at, *found)[-1], states + len(found)
        pointer = pack_pointer(time, state_at) if state_at and end > sealed.start else b""
        seal = pointer + pack_seal(sealed.start, end + len(pointer), time, self._rewinds, crc32(pointer, crc))
        behind = _Sealed(end + len(seal), end + len(seal), 0, state_at, states)
        if self._end != end or self._sealed is not sealed:
            return None
        self._behind = behind
        return seal

    def _states_in(self, at: int, end: int) -> list[int]:
        """The offsets of the states of the run among the frames from byte *at* to *end*, which are whole."""
        found = []
        while end - at > FRAME.size:
            head = os.pread(self._fd, FRAME.size + 1 + len(_IS_STATE), at)
            if len(head) < FRAME.size:
                break
            _, kind, size = FRAME.unpack_from(head)
            if kind == STATE and head[FRAME.size + 1 :] == _IS_STATE:
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
            return  # the new file is a byte-by-byte copy
        with Source(self.path) as source:
            _, start = parse_fixed_header(source.read(0, HEADER.size), self.path)
            while True:
                self.go_on(last_seal(source, start), self._end, struct.unpack("<d", self._last[:TIME_SIZE])[0])
                if (size := self._size_now()) == self._end:
                    break
                self._end = size  # a signal handler wrote meanwhile

    def _settle(self) -> str:
        message = super()._settle()
        if self._end > self._sealed.start:
            self._put_seal()
        return message

    def _settle_at_end(self) -> str:
        message = self._settle()
        if self._end:
            self._put_seal()  # a seal that covers only itself: the end mark
        return message

    def leave(self) -> None:
        """Close the file without a seal."""
        with self.lock:
            self._leave()


class _Sealed(NamedTuple):
    """What is sealed so far.

    Attributes:
        start: where the next seal's range begins.
        at: the byte up to which its checksum is known.
        crc: the checksum of the bytes from *start* to *at*.
        state_at: where the last state of the run begins; 0 when there is none.
        states: the number of states found so far.

    """

    start: int = 0
    at: int = 0
    crc: int = 0
    state_at: int = 0
    states: int = 0
