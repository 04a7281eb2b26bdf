"""The lock that allows one writer per file, and the process that holds it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from trainlog.errors import LogInUse
from trainlog.storage.location import RemotePath

__all__ = ["check_unused", "lock", "lock_owner", "one_at_a_time", "open_locked", "unlock"]

# The errors of flock on file systems without locks; there the log is written without one. NFS cannot lock a folder.
_NO_LOCKS: Final = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF)

# Seconds between attempts to lock: checking whether a log is in use holds its lock for a moment.
_PAUSES: Final = (0.001, 0.004, 0.016, None)

_LONGEST_WAIT: Final = 2.0  # seconds


def open_locked(path: Path, flags: int) -> int:
    """Open *path* for a single writer, and make sure that it is still the same file once the lock is held.

    Raises:
        LogInUse: when another writer has it.
        OSError: as `os.open`.

    """
    while True:
        fd = os.open(path, flags, 0o666)
        try:
            lock(fd, path)
            if os.path.samestat(os.fstat(fd), path.stat()):
                return fd
        except FileNotFoundError:
            pass  # it was deleted or replaced in between
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def lock(fd: int, path: Path) -> None:
    """Lock the open file *fd*, which is at *path*; do nothing if the file system has no locks.

    Raises:
        LogInUse: when another writer has it; the error names that writer.

    """
    for pause in _PAUSES:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return
            if pause is None:
                who = _lock_owner(path)
                message = f"{who} is writing this log; each process needs its own log"
                raise LogInUse(message, path=path) from error
            time.sleep(pause)


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Let only one thread of all processes change the content of *folder* at a time, if its file system has locks.

    After two seconds the caller continues without the lock, because another program can hold it for hours.
    """
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # the change itself reports the error
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
    """Release the lock."""
    with contextlib.suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_UN)


def lock_owner(path: Path) -> str:
    """Who is writing the log at *path*, as text for a message; empty if nobody is known to."""
    if isinstance(path, RemotePath):
        return ""  # object storages have no locks
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return "" if error.errno in _NO_LOCKS else _lock_owner(path)
    finally:
        os.close(fd)
    return ""


def check_unused(files: Iterable[Path]) -> None:
    """Make sure that nobody is writing the logs in *files*, which are about to be replaced.

    Raises:
        LogInUse: when somebody is.

    """
    for file in files:
        if owner := lock_owner(file):
            raise LogInUse(f"{owner} is writing this log; it is not replaced", path=file)


def _lock_owner(path: Path) -> str:
    """The process that holds the lock on *path*: Linux names it if it runs on the same machine."""
    try:
        status = path.stat()
        file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5] == file:
                return _process(int(words[4]))
    except (OSError, ValueError, IndexError):
        pass
    return "another process"


def _process(pid: int) -> str:
    if pid == os.getpid():
        return f"process {pid} (this one)"
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").split()
    except OSError:
        return f"process {pid}"
    command = " ".join(words)[:80]
    return f"process {pid} ({command})" if command else f"process {pid}"
