"""Writing a FLOG file: one unbuffered write for each frame."""

from __future__ import annotations

import struct
from pathlib import Path

from trainlog.append import AppendFile
from trainlog.codec import Writer
from trainlog.codecs.flog.bulk import pack_table
from trainlog.codecs.flog.header import pack_header
from trainlog.codecs.flog.integrity import SealedFile
from trainlog.codecs.flog.layout import FRAME, MAX_SIZE
from trainlog.codecs.flog.payload import encode
from trainlog.errors import UnsupportedFrame
from trainlog.model import Frame, Header
from trainlog.table import Table

__all__ = ["FlogWriter"]

_pack = FRAME.pack


class FlogWriter(Writer):
    """A new FLOG file.

    ``write`` hands each frame to the kernel by one ``os.write``: when it has returned, SIGKILL does not lose the
    frame. It may be called from several threads; in a forked child it raises `ClosedLog`. Every 64 KB, and at the end,
    a checksum is put behind the frames; see docs/formats/flog.md. There are none, and the file holds only the frames
    that were written, when the metadata say ``"checksums": False``, as those of a converted RLSimion log do.
    """

    def __init__(self, path: Path, header: Header) -> None:
        first = pack_header(header)
        self._file = AppendFile(path) if header.meta.get("checksums") is False else SealedFile(path)
        self._append = self._file.append
        try:
            self._append(first)
        except OSError:
            self._file.close()
            path.unlink(missing_ok=True)
            raise

    def write(self, frame: Frame) -> None:
        """Write one frame; see `trainlog.codec.Writer.write`."""
        time, kind, data = frame
        payload = encode(data)
        try:
            self._append(_pack(time, kind, len(payload)) + payload)
        except struct.error as error:
            raise UnsupportedFrame(_why(frame, len(payload))) from error

    def write_table(self, table: Table) -> None:
        """Write the rows of *table* as frames; those of numbers some thousand at a time."""
        chunks = pack_table(table)
        if chunks is None:
            super().write_table(table)
            return
        for chunk in chunks:
            if isinstance(self._file, SealedFile):
                frame = FRAME.size + FRAME.unpack_from(chunk)[2]  # they are all of one length
                self._file.append(chunk, len(chunk) - frame)
            else:
                self._append(chunk)

    def sync(self) -> None:
        """Wait until all frames are on the disk; see `trainlog.append.AppendFile.sync`."""
        self._file.sync()

    def close(self) -> None:
        """Put a checksum behind the last frame, and close the file; nothing was kept back."""
        self._file.close()


def _why(frame: Frame, size: int) -> str:
    if size > MAX_SIZE:
        return f"a frame holds at most {MAX_SIZE:,} bytes, this one has {size:,}"
    return f"a frame has a time in seconds and a kind from 0 to 255, not {frame.time!r} and {frame.kind!r}"
