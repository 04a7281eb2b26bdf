"""``verify`` and ``repair``: find the damage in a log, and write a new log without it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from trainlog import conversion, registry
from trainlog.codec import Codec, Reader
from trainlog.errors import (
    CodecError,
    DamagedLog,
    LogExists,
    LogInUse,
    TruncatedLog,
    UnknownFormat,
)
from trainlog.model import Frame, KindLike
from trainlog.scan import OnDamage
from trainlog.storage.append import AppendFile, keep_owner
from trainlog.storage.compressed import MAGIC
from trainlog.storage.location import RemotePath, in_parts, local_path, location
from trainlog.storage.replace import (
    NEVER_OVERWRITTEN,
    errors_name,
    put_new,
    sync_folder,
    temporary_beside,
    write_errors,
)
from trainlog.storage.source import Source, Wait, never
from trainlog.verify_report import Problem, Repair, Verdict

__all__ = ["FramesOnly", "repair", "repair_in_place", "verify"]


def verify(path: str | os.PathLike[str], progress: Callable[[int], object] | None = None) -> Verdict:
    """Read a whole log and report its problems; nothing is written.

    Args:
        path: the log, of any format.
        progress: called with the number of bytes read so far.

    Raises:
        LogNotFound: when *path* does not exist.
        UnknownFormat: when it is not a log of an installed format.

    """
    try:
        return registry.open(path).verify(progress)
    except DamagedLog as error:
        where = location(path)
        if not where.exists():
            where = in_parts(where) or where
        size, offset = where.stat().st_size, error.offset or 0
        torn = isinstance(error, TruncatedLog)
        text = "the file ends inside its header" if torn else error.message
        problem = Problem("torn tail" if torn else "hole", offset, size - offset, text)
        return Verdict(where, size, problems=[problem])


def repair(source: str | os.PathLike[str] | Reader, target: str | os.PathLike[str]) -> Repair:
    """Write every whole frame of *source* to a new log; the source is not changed.

    Frames after damage are kept too. The target is complete or absent.

    Args:
        source: the damaged log.
        target: the new log, in the same format.

    Raises:
        LogNotFound, UnknownFormat, DamagedLog: for the source, also when it ends inside its header.
        LogExists, LogWriteError: for the target.
        CodecError: when the suffix of the target is that of another format.

    """
    reader = source if isinstance(source, Reader) else registry.open(source)
    target = local_path(target)
    if os.path.lexists(target):
        raise LogExists(NEVER_OVERWRITTEN, path=target)
    temporary = temporary_beside(target)
    try:
        with write_errors("cannot write", target):
            with errors_name(target, temporary):
                done = reader.salvage(temporary)
            if done is None:
                return _repair_by_conversion(reader, target)
            with suppress(UnknownFormat):  # a log of no bytes, as a killed writer may leave it, has no format yet
                _check_suffix(registry.codec_of(temporary, None), target)
            if not isinstance(reader.path, RemotePath):
                keep_owner(temporary, reader.files[0].stat())
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            put_new(temporary, target)
            sync_folder(target.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()
    return dataclasses.replace(done, target=target)


def _check_suffix(codec: Codec, target: Path) -> None:
    """Refuse a *target* whose suffix is that of another format than *codec*: no other tool would read it."""
    if registry.suffix_of(target) and registry.codec_for_writing(target, None).name != codec.name:
        suffix = codec.suffixes[0]
        raise CodecError(f"the repaired log is a {suffix} file; give it that suffix, and convert it then", path=target)


def _repair_by_conversion(reader: Reader, target: Path) -> Repair:
    """Repair a log by writing its frames again, for formats without `Reader.salvage`."""
    name = reader.codec_name or None  # None: `trainlog.open` did not make the reader, and may not know its format
    if name is not None:
        _check_suffix(registry.find_codec(name), target)
    verdict = reader.verify()
    conversion.convert(FramesOnly(reader), target, codec=name)
    return _repair_of(verdict, target)


class FramesOnly(Reader):
    """The log of another reader, read only by its ``frames``.

    It is the reference for every faster way to read. A copy of it lacks what `Reader.contents` has beyond the frames,
    such as the bytes of an unfinished record.
    """

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader.path, reader.header)
        self._reader = reader

    def frames(
        self, kind: KindLike | None = None, *, wait: Wait = never, on_damage: OnDamage = "warn"
    ) -> Iterator[Frame]:
        """The frames of the reader."""
        return self._reader.frames(kind, wait=wait, on_damage=on_damage)


def _repair_of(verdict: Verdict, target: Path) -> Repair:
    damage = verdict.damage
    lost = {"unknown": len(damage)} if damage else {}
    return Repair(target, dict(verdict.kinds), lost, sum(problem.size for problem in damage))


def repair_in_place(path: str | os.PathLike[str]) -> Repair:
    """Cut off the torn tail of a log: the only damage that can be repaired without a copy.

    Raises:
        CodecError: when there is other damage, or the log is compressed; use `repair`.
        LogInUse: when a process is writing the log, so that its last frame may be incomplete.
        LogNotFound, UnknownFormat: as `trainlog.open`.
        LogWriteError: when the log cannot be written.

    """
    path = local_path(path)
    verdict = verify(path)
    damage = verdict.damage
    if any(problem.what != "torn tail" for problem in damage) or len(damage) > 1:
        raise CodecError("more than its tail is damaged; repair it into another file", path=path)
    for problem in damage:
        where = path.parent / problem.file if problem.file else path
        with Source(where) as source:
            if source.read(0, len(MAGIC)) == MAGIC:
                raise CodecError("a compressed log is repaired into another file", path=where)
        file = AppendFile.reopen(where)
        try:
            if file.size() != problem.offset + problem.size:
                raise LogInUse("it was written meanwhile, so it is not changed", path=where)
            file.cut_back(problem.offset)
            file.sync()
        finally:
            file.close()
    return _repair_of(verdict, path)
