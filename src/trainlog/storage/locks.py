"""One writer for each file: its lock, and who holds it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from trainlog.errors import LogInUse
from trainlog.storage.location import RemotePath

__all__ = ["lock", "lock_owner", "one_at_a_time", "open_locked", "unlock"]

# What flock says on file systems that have no locks; there the log is written without one.
_NO_LOCKS: Final = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)

# Seconds between attempts to lock: whoever asks if a log is in use, holds its lock for a moment.
_PAUSES: Final = (0.001, 0.004, 0.016, None)

_LONGEST_WAIT: Final = 2.0  # seconds


def open_locked(path: Path, flags: int, mode: int = 0o666) -> int:
    """Open *path* for one writer alone, and be sure that it is still that file when the lock is had.

    Raises:
        LogInUse: when another writer has it.
        OSError: as `os.open`.

    """
    while True:
        fd = os.open(path, flags, mode)
        try:
            lock(fd, path)
            if os.path.samestat(os.fstat(fd), path.stat()):
                return fd
        except FileNotFoundError:
            pass  # it was deleted or replaced between the two
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def lock(fd: int, path: Path) -> None:
    """Lock the open file *fd*, which is at *path*; where the file system has no locks, do nothing.

    Raises:
        LogInUse: when another writer has it; the error names it.

    """
    for pause in _PAUSES:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return
            if pause is None:
                who = _lock_owner(path) or "another process"
                message = f"{who} is writing this log; every process needs one of its own"
                raise LogInUse(message, path=path) from error
            time.sleep(pause)


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Let one thread of all processes at a time change what is in *folder*, as far as its file system has locks.

    Who has waited for long goes on all the same: the lock may be held for another purpose, and for hours.
    """
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # of which who changes something is told
        yield
        return
    try:
        end = time.monotonic() + _LONGEST_WAIT
        while time.monotonic() < end:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.002)
            except OSError:
                break
            else:
                break
        yield
    finally:
        os.close(fd)


def unlock(fd: int) -> None:
    """Give the lock back."""
    with contextlib.suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_UN)


def lock_owner(path: Path) -> str:
    """Who is writing the log at *path*, as words for a message; empty when nobody is, as far as one can tell."""
    if isinstance(path, RemotePath):
        return ""  # no storage knows of locks
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return "" if error.errno in _NO_LOCKS else _lock_owner(path) or "another process"
    finally:
        os.close(fd)
    return ""


def _lock_owner(path: Path) -> str:
    """The process that holds the lock on *path*, where the system tells: Linux does of those on the same machine."""
    try:
        status = path.stat()
        file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5] == file:
                return _process(int(words[4]))
    except (OSError, ValueError, IndexError):
        pass
    return ""


def _process(pid: int) -> str:
    if pid == os.getpid():
        return f"process {pid} (this one)"
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").split()
    except OSError:
        return f"process {pid}"
    command = " ".join(words)[:80]
    return f"process {pid} ({command})" if command else f"process {pid}"
