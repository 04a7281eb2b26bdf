"""Writing a FLOG file: one unbuffered write for each frame."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import time as wall_time
from typing import Any

from trainlog.codec import Gap, Writer
from trainlog.codecs.flog.columns.table_packer import TablePacker
from trainlog.codecs.flog.integrity.find_header import take_header
from trainlog.codecs.flog.integrity.last_state import last_state
from trainlog.codecs.flog.integrity.sealed_file import SealedFile
from trainlog.codecs.flog.integrity.seals import has_seals, last_seal
from trainlog.codecs.flog.scanning.walk import ignore_gap, walk
from trainlog.codecs.flog.wire.header import pack_header
from trainlog.codecs.flog.wire.layout import FRAME, MAX_PAYLOAD
from trainlog.codecs.flog.wire.run_state import STATE, is_about_run, merged
from trainlog.codecs.frame_payload import encode
from trainlog.conventions import RUN_STATE, WALL
from trainlog.errors import UnsupportedFrame
from trainlog.model import Frame, Header, Kind
from trainlog.storage.source import Source
from trainlog.table.table import Table

__all__ = ["FlogWriter"]

_pack = FRAME.pack
_KIND_AT = 8  # the place of the kind in a frame's header
_COUNTED = frozenset([int(Kind.EVENT), STATE])  # kinds of frames whose rewinds and states the checksums record


class FlogWriter(Writer):
    """A writer of a FLOG file.

    ``write`` passes each frame to the kernel with one ``os.write``: after it returns, SIGKILL does not lose the frame.
    It can be called from several threads; in a forked child it raises `ClosedLog`. Every 64 KB, and at the end, a
    checksum is written after the frames; see docs/formats/flog.md. If the metadata have ``"checksums": False``, as
    those of a converted RLSimion log do, there are no checksums, and the file holds only the frames that were written.
    """

    keeps_run_state = writes_together = True

    def __init__(self, path: Path, header: Header, *, replace: bool = False) -> None:
        """Create the file; with *replace*, replace the existing file once the new header is on the disk."""
        file = SealedFile(path, pack_header(header), replace=replace)
        file.seals = has_seals(header)
        self._use(file)

    @classmethod
    def resumed(cls, path: Path, note: Mapping[str, Any]) -> FlogWriter:
        """Resume the FLOG file at *path*; see `trainlog.codec.Codec.resume`."""
        self = cls.__new__(cls)
        file = SealedFile.reopen(path)
        try:
            cut, self.resumed_at, state = _go_to_the_end(file)
        except BaseException:
            file.leave()
            raise
        self._use(file)
        who = {"host": os.uname().nodename, "pid": os.getpid(), WALL: wall_time()}
        event = {"type": "resume", "by": "trainlog", "cut": cut, **who, **note}
        self.write(Frame(self.resumed_at, Kind.EVENT, event))
        if state is not None:
            self.write(Frame(self.resumed_at, RUN_STATE, state))
        return self

    def _use(self, file: SealedFile) -> None:
        self._file = file
        self._append = file.append
        self._packer = TablePacker()
        self.lock = file.lock

    def write(self, frame: Frame) -> None:
        """Write one frame; see `trainlog.codec.Writer.write`."""
        self.put(*frame)

    def put(self, time: float, kind: Kind, data: Mapping[Any, Any]) -> None:
        """Write one frame; see `trainlog.codec.Writer.put`."""
        payload = encode(data)  # the same as `_record`, without the cost of another call
        size = len(payload)
        try:
            record = _pack(time, kind, size) + payload
        except struct.error as error:
            raise UnsupportedFrame(_why(time, kind, size)) from error
        if size > MAX_PAYLOAD:
            raise UnsupportedFrame(_why(time, kind, size))
        if record[_KIND_AT] in _COUNTED:
            record = self._file.counted(record)
        self._append(record)

    def put_many(self, frames: Sequence[Frame]) -> None:
        """Write all *frames* or none, with one system call; see `trainlog.codec.Writer.put_many`."""
        if frames:
            records = [self._record(*frame) for frame in frames]
            kinds = {record[_KIND_AT] for record in records}
            self._put_many(memoryview(b"".join(records)), len(records[-1]), kinds)

    def check(self, frame: Frame) -> None:
        """Raise what ``write`` would raise for *frame*."""
        super().check(frame)
        self._record(*frame)

    def size(self) -> int:
        """The current size of the log in bytes."""
        return self._file.size()

    def _record(self, time: float, kind: Kind, data: Mapping[Any, Any]) -> bytes:
        payload = encode(data)
        try:
            record = _pack(time, kind, len(payload)) + payload
        except struct.error as error:
            raise UnsupportedFrame(_why(time, kind, len(payload))) from error
        if len(payload) > MAX_PAYLOAD:
            raise UnsupportedFrame(_why(time, kind, len(payload)))
        return record

    def write_table(self, table: Table) -> None:
        """Write the rows of *table* as frames; a table of numbers is written a few thousand rows at a time."""
        if not self._packer.pack(table, self._put_alike):
            super().write_table(table)

    def _put_alike(self, frames: memoryview) -> None:
        """Write *frames*, which are all of one length."""
        self._put_many(frames, FRAME.size + FRAME.unpack_from(frames)[2], {frames[_KIND_AT]})

    def _put_many(self, frames: memoryview, last: int, kinds: set[int]) -> None:
        """Write *frames* of these *kinds*, the last of which has *last* bytes."""
        self._file.extend(frames, len(frames) - last, counted=not _COUNTED.isdisjoint(kinds))

    def sync(self) -> None:
        """Wait until all frames are on the disk; see `trainlog.storage.append.AppendFile.sync`."""
        self._file.sync()

    def close(self) -> None:
        """Write a checksum after the last frame, and close the file; no frame is still buffered."""
        self._file.close()


def _go_to_the_end(file: SealedFile) -> tuple[int, float, dict[str, Any] | None]:
    """Cut off a torn tail.

    Returns:
        The size of the tail in bytes, the time of the last whole frame whose time is finite, and a state that says that
        the run has not ended; None instead of a state where the log does not say that the run has ended.

    """
    gaps: list[Gap] = []
    with Source(file.path) as source:
        header, start = take_header(source)
        seal = last_seal(source, start)
        file.seals = has_seals(header)
        known = seal if file.seals else None
        state = last_state(source, start, known) or {"trainlog": 1, "meta": {}}
        has_ended = merged(header, state).end is not None
        end = source.size
        seconds = _last_time(source, max(seal.end, start), seal.time, gaps.append)
        if not math.isfinite(seconds):  # nor is that of the frame before the checksum
            seconds = _last_time(source, start, 0.0, ignore_gap)
    if not end:
        file.restart(pack_header(Header()))  # its writer was killed before it wrote anything
        return 0, 0.0, None
    cut = 0
    if gaps and gaps[-1].torn:
        end, cut = gaps[-1].offset, gaps[-1].size
        file.cut_back(end)
    file.go_on(seal, end, seconds)
    return cut, seconds, {**state, "end": None} if has_ended else None


def _last_time(source: Source, start: int, seconds: float, on_gap: Callable[[Gap], object]) -> float:
    """The time of the last frame of the run from byte *start* on whose time is finite; *seconds* if there is none."""
    for record in walk(source, start, on_gap=on_gap):
        if not is_about_run(record.kind, record.data) and math.isfinite(record.time):
            seconds = record.time
    return seconds


def _why(seconds: object, kind: object, size: int) -> str:
    if size > MAX_PAYLOAD:
        return f"a frame holds at most {MAX_PAYLOAD:,} bytes, this one has {size:,}"
    return f"a frame has a time in seconds and a kind from 0 to 255, not {seconds!r} and {kind!r}"
