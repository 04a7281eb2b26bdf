"""The only place where a file is replaced as a whole: readers see the old file or the new one, nothing in between."""

from __future__ import annotations

import functools
import itertools
import os
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from trainlog.errors import LogExists, LogWriteError, TrainlogError
from trainlog.storage.location import local_path

__all__ = [
    "NEVER_OVERWRITTEN",
    "atomic_write",
    "check_replaceable",
    "delete_leftovers",
    "errors_name",
    "put_new",
    "sync_folder",
    "temporary_beside",
    "temporary_name",
    "write_errors",
]

NEVER_OVERWRITTEN: Final = "there is a file already, and a log is never overwritten by default"

_numbers: Final = itertools.count()
_LONGEST_NAME: Final = 200  # bytes; most file systems allow 255
_TEMPORARY: Final = re.compile(r"\..*\.([0-9a-f]{8})-([1-9][0-9]{0,8})-[0-9]+", re.DOTALL)
_tidied: set[Path] = set()


def temporary_name(name: str, suffix: str = "") -> str:
    """A hidden name like *name* that only this process uses, within the longest possible length."""
    name = os.fsdecode(os.fsencode(name)[: _LONGEST_NAME - len(suffix)])
    return f".{name}.{_process_space()}-{os.getpid()}-{next(_numbers)}{suffix}"


def temporary_beside(path: Path, suffix: str = "") -> Path:
    """An unused `temporary_name` next to *path*.

    Files that killed processes of this machine have left under such names in the folder are deleted, once per folder,
    except those with a *suffix*, which are logs.
    """
    if path.parent not in _tidied:
        _tidied.add(path.parent)
        delete_leftovers(path.parent)
    while os.path.lexists(found := path.with_name(temporary_name(path.name, suffix))):
        pass  # left by an earlier process with this number
    return found


@contextmanager
def write_errors(what: str, path: str | os.PathLike[str]) -> Iterator[None]:
    """Make errors of the system in the block a `LogWriteError` that says *what* failed; errors of trainlog stay."""
    try:
        yield
    except TrainlogError:
        raise
    except OSError as error:
        raise LogWriteError(f"{what}: {error.strerror or error}", path=path) from error


@contextmanager
def errors_name(target: Path, temporary: Path) -> Iterator[None]:
    """Make errors raised in the block name *target* where they name *temporary* or a file in it."""
    try:
        yield
    except TrainlogError as error:
        if isinstance(error.path, Path) and error.path.is_relative_to(temporary):
            error.path = target
        raise


def delete_leftovers(folder: Path) -> None:
    """Delete what killed processes of this machine have left in *folder* under a `temporary_name` without a suffix."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            if match is None or match[1] != _process_space() or _is_running(int(match[2])):
                continue
            if entry.is_dir(follow_symlinks=False):
                from shutil import rmtree  # it imports much, and is rarely needed

                rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)


@functools.cache
def _process_space() -> str:
    """An identifier of the machine or container, because process numbers are only unique within one."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not on Linux
        namespace = ""
    return f"{zlib.crc32(f'{os.uname().nodename} {namespace}'.encode()):08x}"


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it belongs to another user
    return True


def check_replaceable(path: Path) -> None:
    """Refuse to replace a device, a pipe, a socket, or a link to one of these or to nothing.

    The link ``/dev/stdout`` is refused as well; it leads to a file when the output is redirected to one. If there is
    nothing or a folder at *path*, that is left to the caller that puts the file there.

    Raises:
        LogWriteError: when *path* must not be replaced.

    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise LogWriteError("this link leads to nothing, and is not replaced by a file", path=path) from None
        return
    except OSError:
        return  # the caller that puts the file there gets the same error
    is_open_file = path.is_symlink() and path.readlink().is_relative_to("/proc")
    if is_open_file or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise LogWriteError("this is not a regular file, and is not replaced by one", path=path)


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, sync: bool = True, new: bool = False) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces *path* when the block ends without an error.

    It is in the same folder and is renamed at the end, so no reader ever sees an incomplete file.

    Args:
        path: the file.
        sync: whether to wait until the file is on the disk. Otherwise a power cut may lose it, which is acceptable for
            a copy.
        new: whether *path* must not exist; then nothing is replaced.

    Raises:
        LogExists: when *path* exists and must not; the file at *path* is unchanged.
        LogWriteError: when it cannot be written, or *path* exists and is not a regular file.
        CodecError: when *path* is a URL.

    """
    target = local_path(path)
    temporary = temporary_beside(target)
    with write_errors("cannot write", target):
        check_replaceable(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            if new:
                put_new(temporary, target)
            else:
                temporary.replace(target)
            if sync:
                sync_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


def put_new(temporary: Path, target: Path) -> None:
    """Give the file *temporary* the unused name *target*; afterwards its own name may still exist.

    Raises:
        LogExists: when *target* exists, even if it was created a moment ago: a rename would replace it.
        OSError: when the file system refuses.

    """
    try:
        os.link(temporary, target)
    except OSError as error:
        if isinstance(error, FileExistsError) or os.path.lexists(target):
            raise LogExists(NEVER_OVERWRITTEN, path=target) from error
        temporary.replace(target)  # the file system has no links


def sync_folder(folder: Path) -> None:
    """Wait until the names in *folder* are on the disk.

    Raises:
        OSError: when the disk failed.

    """
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
