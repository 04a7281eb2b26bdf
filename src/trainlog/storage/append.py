"""The one place where a growing log's bytes are put into a file (AppendFile), and who else is doing so (lock_owner)."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import threading
import warnings
import weakref
from pathlib import Path
from typing import Final, Self

from trainlog.errors import FORKED, ClosedLog, LogExists, LogInUse, LogNotFound, LogWriteError, LogWriteWarning

__all__ = ["AppendFile", "lock_owner"]

# Readable as well, so that a log that was deleted under its writer can be written anew from what is still open.
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
_COPIED: Final = 1 << 20

# What flock says on file systems that have no locks; there the log is written without one.
_NO_LOCKS: Final = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)

_fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter


class AppendFile:
    """A file to which whole records are appended, each by one unbuffered write.

    When ``append`` returns, the record is in the keeping of the kernel, so that the death of the process does not
    lose it. May be used from several threads. A child that was forked while it was open cannot write to it, and
    another process cannot open it for writing.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Create *path*, and the folders above it.

        Raises:
            LogExists: when there is something at *path* already.
            LogWriteError: when it cannot be created.

        """
        self._begin(Path(path))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LogWriteError(f"cannot create its folder: {error.strerror}", path=path) from error
        try:
            self._fd = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError as error:
            who = lock_owner(self.path)
            why = f"{who} is writing it" if who else "an existing log is never overwritten by default"
            raise LogExists(f"there is a file already, and {why}", path=path) from error
        except OSError as error:
            raise LogWriteError(f"cannot create the log: {error.strerror}", path=path) from error
        self._claim()

    @classmethod
    def reopen(cls, path: str | os.PathLike[str]) -> Self:
        """Open the file at *path*, to go on after its last byte.

        Raises:
            LogNotFound: when there is none.
            LogInUse: when another writer has it open; the error names it.
            LogWriteError: when it may not be written.

        """
        self = cls.__new__(cls)
        self._begin(Path(path))
        try:
            self._fd = os.open(path, _FLAGS)
        except FileNotFoundError as error:
            raise LogNotFound("there is no such file", path=path) from error
        except OSError as error:
            raise LogWriteError(f"cannot open the log to go on with it: {error.strerror}", path=path) from error
        self._claim()
        return self

    def _begin(self, path: Path) -> None:
        self.path = path
        self._fd = -1
        self._closed_because = ""
        self._lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._synced = -1  # the file's size when it was last known to be on the disk
        self._torn = -1  # where a part of a record stands that could not be cut off yet

    def _claim(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(self._fd)
                self._fd = -1
                who = _lock_owner(self.path) or "another process"
                raise LogInUse(f"{who} is writing this log; every process needs one of its own", path=self.path) from (
                    error
                )
        _open_files.add(self)

    def append(self, record: bytes | memoryview) -> None:
        """Write *record* at the end of the file, wholly or, when the system refuses it, not at all.

        Raises:
            ClosedLog: after ``close``, and in a forked child.
            LogWriteError: when the system does not take the bytes.

        """
        with self._lock:
            self._put(record)

    def _put(self, record: bytes | memoryview) -> None:
        try:
            if self._torn >= 0:
                self._cut()
            written = os.write(self._fd, record)
            if written != len(record):
                self._finish(record, written)
        except OSError as error:
            if self._fd < 0:
                raise ClosedLog(self._closed_because, path=self.path) from None
            raise LogWriteError(f"cannot write: {error.strerror}", path=self.path) from error

    def _finish(self, record: bytes | memoryview, written: int) -> None:
        """Write the rest of *record*; if there is no room for it, cut the file back to the last whole record."""
        start = os.lseek(self._fd, 0, os.SEEK_END) - written
        try:
            while written < len(record):
                written += os.write(self._fd, memoryview(record)[written:])
        except OSError:
            self._torn = start
            self._cut()
            raise

    def _cut(self) -> None:
        os.ftruncate(self._fd, self._torn)
        self._torn = -1

    def cut_back(self, size: int) -> None:
        """Make the file end after *size* bytes: what follows them is no whole record.

        Raises:
            LogWriteError: when the system refuses.

        """
        with self._lock:
            try:
                os.ftruncate(self._fd, size)
            except OSError as error:
                raise LogWriteError(f"cannot cut its torn tail off: {error.strerror}", path=self.path) from error

    def sync(self) -> None:
        """Wait until everything that was written is on the disk, so that it survives a power cut.

        Takes as long as the disk needs, and does not keep other threads from writing. Does nothing when nothing was
        written since the last time. A log whose file or folder was deleted in the meantime is written anew from the
        file that is still open, with a `LogWriteWarning`.

        Raises:
            LogWriteError: when the disk failed, or the deleted file could not be written anew.

        """
        with self._sync_lock:
            if self._fd < 0:
                return
            try:
                status = os.fstat(self._fd)
                if not status.st_nlink:
                    self._revive()
                elif status.st_size == self._synced:
                    return
                size = os.fstat(self._fd).st_size
                _fdatasync(self._fd)
                if self._synced < 0:
                    _sync_folder(self.path.parent)  # where a new file's name is kept
                self._synced = size
            except OSError as error:
                if isinstance(error, LogWriteError):
                    raise
                raise LogWriteError(f"cannot bring it to the disk: {error.strerror}", path=self.path) from error

    def _revive(self) -> None:
        """Write the deleted file anew, under its name or, where that is taken, one beside it."""
        gone = self.path
        try:
            gone.parent.mkdir(parents=True, exist_ok=True)
            fd = -1
            for n in itertools.count():
                path = gone.with_name(f"{gone.stem}.{n}{gone.suffix}") if n else gone
                try:
                    fd = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
                    break
                except FileExistsError:
                    continue
            try:
                done = self._copy(fd, 0)  # most of it while others go on writing
                with self._lock:
                    self._copy(fd, done)
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.dup2(fd, self._fd, inheritable=False)
            except OSError:
                path.unlink()
                raise
            finally:
                os.close(fd)
        except OSError as error:
            message = f"it was deleted while it was written, and cannot be written anew: {error.strerror}"
            raise LogWriteError(message, path=gone) from error
        self.path = path
        self._synced = -1
        where = "it" if path == gone else f"another file is in its place, and it is {path.name} now; it"
        warnings.warn(
            LogWriteWarning(f"{gone}: was deleted while it was written; {where} was written anew, with all it held"),
            stacklevel=2,
        )

    def _copy(self, fd: int, done: int) -> int:
        while block := os.pread(self._fd, _COPIED, done):
            view = memoryview(block)
            while view:
                written = os.write(fd, view)
                done += written
                view = view[written:]
        return done

    def close(self) -> None:
        """Close the file; may be called again."""
        with self._sync_lock, self._lock:
            self._leave("this log was closed")

    def _leave(self, because: str) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._closed_because = because
            os.close(fd)
        _open_files.discard(self)

    def _disown(self) -> None:
        """Called in a forked child: another thread of the parent may hold the locks, so they are not taken here."""
        self._lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._leave(FORKED)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def lock_owner(path: Path) -> str:
    """Who is writing the log at *path*, as words for a message; empty when nobody is, as far as one can tell."""
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


_open_files: weakref.WeakSet[AppendFile] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for file in list(_open_files):
        file._disown()


os.register_at_fork(after_in_child=_after_fork_in_child)
