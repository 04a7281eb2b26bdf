"""verify and repair: what is wrong with a log, and what can be kept of it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from trainlog import registry
from trainlog.codec import Reader
from trainlog.errors import CodecError, DamagedLog, LogExists, LogWriteError, TrainlogError, TruncatedLog
from trainlog.storage.append import AppendFile
from trainlog.verify_report import Problem, Repair, Verdict

__all__ = ["repair", "repair_in_place", "verify"]


def verify(path: str | os.PathLike[str], progress: Callable[[int], object] | None = None) -> Verdict:
    """Read all of a log, and say what is wrong with it; nothing is written.

    Args:
        path: the log, of any format.
        progress: called with the number of bytes that are done, now and then.

    Raises:
        LogNotFound: when there is nothing at *path*.
        UnknownFormat: when it is no log of any format that is installed.

    """
    try:
        return registry.open(path).verify(progress)
    except DamagedLog as error:
        size, at = Path(path).stat().st_size, error.offset or 0
        torn = isinstance(error, TruncatedLog)
        text = "the file ends inside its header" if torn else error.message
        return Verdict(Path(path), size, problems=[Problem("torn tail" if torn else "hole", at, size - at, text)])


def repair(source: str | os.PathLike[str] | Reader, target: str | os.PathLike[str]) -> Repair:
    """Write a new log with everything of *source* that is whole; the source stays as it is.

    Every whole frame is kept, behind every damaged place as well. The target is complete or absent.

    Args:
        source: the damaged log.
        target: where to, in the same format.

    Raises:
        LogNotFound, UnknownFormat, DamagedLog: for the source; when it ends inside its header, there is nothing to
            keep.
        LogExists, LogWriteError: for the target.

    """
    reader = source if isinstance(source, Reader) else registry.open(source)
    target = Path(target)
    if target.exists():
        raise LogExists("there is a file already, and a log is never overwritten unasked", path=target)
    aside = target.with_name(f".{target.stem}.repairing-{os.getpid()}{target.suffix}")
    try:
        done = reader.salvage(aside)
        if done is None:
            return _converted(reader, target)
        os.link(aside, target)  # unlike a rename, it does not replace what came there in the meantime
    except FileExistsError as error:
        raise LogExists("there is a file by now, and a log is never overwritten unasked", path=target) from error
    except OSError as error:
        if isinstance(error, TrainlogError):
            raise
        raise LogWriteError(f"cannot write: {error.strerror}", path=target) from error
    finally:
        aside.unlink(missing_ok=True)
    return dataclasses.replace(done, target=target)


def _converted(reader: Reader, target: Path) -> Repair:
    """The repair of a format that has no way of its own: its frames, written anew."""
    before = reader.verify()
    registry.convert(reader, target)
    damage = [problem for problem in before.problems if problem.damage]
    lost = {"unknown": len(damage)} if damage else {}
    return Repair(target, dict(before.kinds), lost, sum(problem.size for problem in damage))


def repair_in_place(path: str | os.PathLike[str]) -> Repair:
    """Cut the torn tail off a log: the only damage that can be undone without a copy.

    Raises:
        CodecError: when something else is damaged as well; use `repair`.
        LogInUse: when it is being written: its tail is not torn, but not yet there.
        LogNotFound, UnknownFormat, LogWriteError: as they say.

    """
    path = Path(path)
    verdict = verify(path)
    damage = [problem for problem in verdict.problems if problem.damage]
    if any(problem.what != "torn tail" for problem in damage) or len(damage) > 1:
        raise CodecError("more than its tail is damaged; repair it into another file", path=path)
    for problem in damage:
        file = AppendFile.reopen(path.parent / problem.file if problem.file else path)
        try:
            file.cut_back(problem.offset)
            file.sync()
        finally:
            file.close()
    lost = {"unknown": 1} if damage else {}
    return Repair(path, dict(verdict.kinds), lost, sum(problem.size for problem in damage))
