"""Compressed FLOG files, ``.flog.zst``: made of a log that is finished, and read as any log."""

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
from trainlog.storage.replace import atomic_write
from trainlog.storage.source import Source

__all__ = ["FlogArchiveCodec", "compact"]

LEVEL: Final = 3
_USUAL: Final = 1 << 20  # bytes of a log in a zstd frame


def compact(
    log: Path,
    target: Path,
    *,
    level: int = LEVEL,
    overwrite: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Archive:
    """Compress the FLOG file *log* into *target*, and compare what was written with it. The log stays as it is.

    Args:
        log: a FLOG file that nobody is writing, damaged or not: every byte of it is kept.
        target: the archive; it is complete or absent.
        level: of zstd, 1 (fast) to 22 (small).
        overwrite: replace an existing file. Otherwise that is an error.
        progress: called with the number of bytes compressed so far.

    Raises:
        LogNotFound, DamagedLog: when there is no FLOG file at *log*.
        LogInUse: when it is being written.
        LogExists: when there is a file at *target*.
        LogWriteError: when it cannot be written, or reads back as something else than was written.
        MissingExtra: without zstandard.

    """
    if owner := lock_owner(log):
        raise LogInUse(f"{owner} is writing this log; compact it when it is finished", path=log)
    if target.exists() and not overwrite:
        raise LogExists("there is a file already, and a log is never overwritten by default", path=target)
    with Source(log) as source, atomic_write(target) as file:
        source.freeze()
        if source.read(0, len(MAGIC)) == MAGIC:
            raise UnknownFormat("this is compressed already", path=log)
        _pack(source, CompressedWriter(file, level), progress)
        file.flush()
        with CompressedSource(Source(file.name)) as packed:
            if not _same(source, packed):
                raise LogWriteError("what was written reads back as something else; the log is kept", path=target)
            done = Archive(target, source.size, packed.whole.size)
    return done


def _pack(source: Source, writer: CompressedWriter, progress: Callable[[int], object] | None) -> None:
    """Compress *source*. Where it can be, no frame of the log is in two frames of zstd: damage to one ends there."""
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
        """*spool* is the format that a log has until it is closed."""
        self._spool = spool

    def accepts(self, path: Path, head: bytes) -> bool:
        """Whether it is a file of zstd."""
        return head.startswith(MAGIC)

    def read(self, path: Path) -> Reader:
        """Open the log at *path*.

        Raises:
            MissingExtra: without zstandard.

        """
        return FlogReader(path)

    def write(self, path: Path, header: Header) -> Writer:
        """Begin a log at *path*, which is there when the writer is closed."""
        return _ArchiveWriter(path, header, self._spool)


class _ArchiveWriter(SpooledWriter):
    def _finish(self, spool: Path, path: Path) -> None:
        compact(spool, path)
