"""RLSimion: an XML descriptor, a data file of episodes and steps, a function log. See docs/formats/simion.md."""

from __future__ import annotations

from pathlib import Path

from trainlog.codec import Codec, Reader
from trainlog.codecs.simion.declare_columns import declare_columns
from trainlog.codecs.simion.descriptor import is_descriptor
from trainlog.codecs.simion.layout import EXPERIMENT, FunctionMagic, Magic
from trainlog.codecs.simion.log_files import SUFFIXES, names_of
from trainlog.codecs.simion.reader import SimionReader
from trainlog.codecs.simion.writer import SimionWriter
from trainlog.model import Header

__all__ = ["SimionCodec", "SimionReader", "SimionWriter"]

_MAGICS = tuple(int(magic).to_bytes(8, "little") for magic in (Magic.EXPERIMENT, FunctionMagic.HEADER))


class SimionCodec(Codec):
    """Logs of RLSimion (SimionZoo), opened by the path of any of their files."""

    name = "simion"
    suffixes = SUFFIXES
    description = "RLSimion: descriptor (.simion.log), data (.bin), learned functions (.functions)"

    def accepts(self, path: Path, head: bytes) -> bool:
        """Whether the file is a descriptor, a data file or a function log; an empty file is judged by its name."""
        if is_descriptor(head):
            return True
        if len(head) >= EXPERIMENT.size:
            return head.startswith(_MAGICS) and head[9:16] == bytes(7)
        return path.name.lower().endswith(SUFFIXES) and (
            any(magic.startswith(head[:8]) for magic in _MAGICS) or head.lstrip()[:1] in (b"", b"<")
        )

    def read(self, path: Path) -> SimionReader:
        """Open the log."""
        return SimionReader(path)

    def write(self, path: Path, header: Header) -> SimionWriter:
        """Create a log whose descriptor is at *path*."""
        return SimionWriter(path, header)

    def files(self, path: Path) -> tuple[Path, ...]:
        """The descriptor, the data, the functions."""
        return names_of(path)

    def declare_columns(self, header: Header, reader: Reader) -> Header:
        """Return *header* with one column for each number under the named keys; see `declare_columns`."""
        return declare_columns(header, reader)
