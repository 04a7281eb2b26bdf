"""Compressed FLOG files, ``.flog.zst``: made from a finished log, and read like any log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from trainlog.codec import Archive, Codec, Reader, Writer
from trainlog.codecs.flog.integrity.find_header import take_header
from trainlog.codecs.flog.reader import FlogReader
from trainlog.codecs.flog.scanning.chain import SLACK, Chain
from trainlog.codecs.spool import SpooledWriter
from trainlog.errors import LogExists, LogInUse, LogWriteError, UnknownFormat
from trainlog.model import Header
from trainlog.storage.compressed import LARGEST, MAGIC, CompressedSource, CompressedWriter
from trainlog.storage.locks import lock_owner
from trainlog.storage.replace import NEVER_OVERWRITTEN, atomic_write
from trainlog.storage.source import Source

__all__ = ["FlogArchiveCodec", "compact"]

LEVEL: Final = 3
_USUAL: Final = 1 << 20  # bytes of the log in a zstd frame


def compact(
    log: Path,
    target: Path,
    *,
    level: int = LEVEL,
    overwrite: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Archive:
    """Compress the FLOG file *log* into *target*, and verify the result against it. The log is not changed.

    Args:
        log: a FLOG file that no process is writing, damaged or not: every byte of it is kept.
        target: the archive; it is complete or absent.
        level: the zstd level, 1 (fast) to 22 (small).
        overwrite: replace an existing file. Otherwise an existing file is an error.
        progress: called with the number of bytes compressed so far.

    Raises:
        LogNotFound, DamagedLog: when there is no FLOG file at *log*.
        LogInUse: when the log is being written.
        LogExists: when there is a file at *target*.
        LogWriteError: when the archive cannot be written, or reads back differently from what was written.
        MissingExtra: without zstandard.

    """
    if owner := lock_owner(log):
        raise LogInUse(f"{owner} is writing this log; compact it when it is finished", path=log)
    if target.exists() and not overwrite:
        raise LogExists(NEVER_OVERWRITTEN, path=target)
    with Source(log) as source, atomic_write(target) as file:
        if source.read(0, len(MAGIC)) == MAGIC:
            raise UnknownFormat("this is already compressed", path=log)
        _pack(source, CompressedWriter(file, level), progress)
        file.flush()
        with CompressedSource(Source(file.name)) as packed:
            if not _same(source, packed):
                raise LogWriteError("the archive reads back differently from the log; the log is kept", path=target)
            return Archive(target, source.size, packed.whole.size)


def _pack(source: Source, writer: CompressedWriter, progress: Callable[[int], object] | None) -> None:
    """Compress *source*. Where possible, no frame of the log spans two zstd frames, so that damage stays local."""
    _, at = take_header(source)
    writer.write(source.read(0, at))
    chain, size = Chain(), _USUAL
    block = np.empty(size + SLACK, np.uint8)
    while at < source.size:
        if len(block) < size + SLACK:
            block = np.empty(size + SLACK, np.uint8)
        count = source.fill(block.data[:size], at)
        links = chain.follow(block, count)
        ends = (links.offset + links.length)[: len(links.kind)]
        end = int(ends[ends <= count].max(initial=0))
        if not end and not links.broken and at + count < source.size and size < LARGEST:
            size = min(2 * size, LARGEST)  # one frame fills the block
            continue
        writer.write(block.data[: end or count])
        at += end or count
        size = _USUAL
        if progress is not None:
            progress(at)
    writer.finish()


def _same(one: Source, other: Source) -> bool:
    """Whether both hold the same bytes."""
    at = 0
    while one.size == other.size and at < one.size:
        block = one.block(at)
        if other.block(at)[: len(block)] != block:
            return False
        at += len(block)
    return one.size == other.size


class FlogArchiveCodec(Codec):
    """Compressed FLOG files."""

    name = "flog_zst"
    suffixes = (".flog.zst",)
    description = "compressed FLOG file, for finished logs (needs trainlog[zstd])"

    def __init__(self, spool: Codec) -> None:
        """*spool* is the format of a log until it is closed."""
        self._spool = spool

    def accepts(self, path: Path, head: bytes) -> bool:
        """Whether it is a zstd file."""
        return head.startswith(MAGIC)

    def read(self, path: Path) -> Reader:
        """Open the log at *path*.

        Raises:
            MissingExtra: without zstandard.

        """
        return FlogReader(path)

    def write(self, path: Path, header: Header) -> Writer:
        """Start a log for *path*; the file appears there when the writer is closed."""
        return SpooledWriter(path, header, self._spool, compact)
