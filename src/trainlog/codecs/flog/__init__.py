"""FLOG: a header, then msgpack frames with a time, a kind and a length. See docs/formats/flog.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainlog.codec import Archive, Codec, Reader
from trainlog.codecs.flog.integrity.find_header import looks_damaged
from trainlog.codecs.flog.wire.layout import MAGIC
from trainlog.model import Header

if TYPE_CHECKING:
    from trainlog.codecs.flog.writer import FlogWriter

__all__ = ["FlogCodec"]


class FlogCodec(Codec):
    """Files that begin with ``FLOG``; the original trainer calls them ``training_log.bin``."""

    name = "flog"
    suffixes = (".flog", ".bin")
    description = "binary file of msgpack frames: evolution, stats, event, creature"
    archive_suffix = ".flog.zst"
    reads_folders = True

    def accepts(self, path: Path, head: bytes) -> bool:
        """Whether the file begins with the magic, or with a header that may be damaged.

        An empty file, or a file that begins with zeros, must be named like a FLOG file.
        """
        if head.startswith(MAGIC):
            return True
        if MAGIC.startswith(head):
            return super().accepts(path, head)
        return looks_damaged(head, named_so=path.name.lower().endswith(self.suffixes[0]))

    def read(self, path: Path) -> Reader:
        """Open the FLOG file at *path*; an empty file is a log without frames.

        A folder of FLOG files, or a pattern of their names, is opened as one log.
        """
        from trainlog.codecs.flog.reader import FlogReader
        from trainlog.codecs.flog.shards.files import is_several
        from trainlog.codecs.flog.shards.reader import FlogShards

        return FlogShards(path) if is_several(path) else FlogReader(path)

    def write(self, path: Path, header: Header) -> FlogWriter:
        """Create a FLOG file at *path*."""
        return _writer()(path, header)

    def replace(self, path: Path, header: Header) -> FlogWriter:
        """Replace the FLOG file at *path* with a new one, by one rename."""
        return _writer()(path, header, replace=True)

    def resume(self, path: Path, note: Mapping[str, Any]) -> FlogWriter:
        """Resume the FLOG file at *path* after its last whole frame."""
        return _writer().resumed(path, note)

    def compact(self, log: Path, target: Path, **options: Any) -> Archive:
        """Compress a FLOG file; see `trainlog.codecs.flog.archive.compact`."""
        from trainlog.codecs.flog.archive import compact

        return compact(log, target, **options)


# The reader and the writer are imported where they are used, as each import delays a training script that only writes,
# or a command that only reads.
def _writer() -> type[FlogWriter]:
    from trainlog.codecs.flog.writer import FlogWriter

    return FlogWriter
