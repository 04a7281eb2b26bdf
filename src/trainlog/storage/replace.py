"""The one place where a file is replaced as a whole: readers see the old one or the new one, and nothing between."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from trainlog.errors import LogWriteError, TrainlogError
from trainlog.storage.location import local_path

__all__ = ["atomic_write", "check_replaceable", "sync_folder", "temporary_beside"]

_numbers: Final = itertools.count()
_LONGEST_NAME: Final = 200  # bytes; most file systems take 255


def temporary_beside(path: Path, suffix: str = "") -> Path:
    """A new name beside *path*, and like it, for a hidden file of this process; as long as a name can be at most."""
    name = os.fsdecode(os.fsencode(path.name)[: _LONGEST_NAME - len(suffix)])
    return path.with_name(f".{name}.{os.getpid()}-{next(_numbers)}{suffix}")


def check_replaceable(path: Path) -> None:
    """Refuse to put a file in the place of a device, a pipe, a socket, or a link to one or to nothing.

    The link ``/dev/stdout`` is refused, too, which leads to a file where the output is one. Nothing at *path*, and a
    folder, are left to whoever puts the file there.

    Raises:
        LogWriteError: when it may not be replaced.

    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise LogWriteError("this link leads to nothing, and is not replaced by a file", path=path) from None
        return
    except OSError:
        return  # which whoever puts the file there is told as well
    is_open_file = path.is_symlink() and path.readlink().is_relative_to("/proc")
    if is_open_file or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise LogWriteError("this is no regular file, and is not replaced by one", path=path)


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, sync: bool = True) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces *path* when the block ends without an error.

    It is in the same folder and is renamed at the end, so no reader ever sees an incomplete file.

    Args:
        path: the file.
        sync: whether it is on the disk at the end. Otherwise a power cut may lose it, as is enough for a copy.

    Raises:
        LogWriteError: when it cannot be written, or what is there is no regular file.
        CodecError: when *path* is a URL.

    """
    target = local_path(path)
    temporary = temporary_beside(target)
    try:
        check_replaceable(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.unlink(missing_ok=True)  # of a process that had this number before
            with temporary.open("xb") as file:
                yield file
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            temporary.replace(target)
            if sync:
                sync_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if isinstance(error, TrainlogError):
            raise
        raise LogWriteError(f"cannot write: {error.strerror or error}", path=target) from error


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
