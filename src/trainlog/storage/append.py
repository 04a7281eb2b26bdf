"""The only place where the bytes of a growing log are written to a file (AppendFile)."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import threading
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from trainlog.errors import (
    FORKED,
    ClosedLog,
    LogExists,
    LogNotFound,
    LogWriteError,
    LogWriteWarning,
)
from trainlog.storage.location import local_path
from trainlog.storage.locks import lock, lock_owner, open_locked, unlock
from trainlog.storage.replace import check_replaceable, sync_folder, temporary_beside, write_errors

__all__ = ["AppendFile", "keep_owner", "set_aside"]

# Readable as well, so that a log that was deleted under its writer can be written again from the open file.
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
_COPIED: Final = 1 << 20

# The number of bytes after which a file checks whether it is still in its place.
_CHECK_EVERY: Final = 1 << 16

_fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS has only fsync


class AppendFile:
    """A file to which whole records are appended, each by one unbuffered write.

    When ``append`` returns, the kernel has the record, so that the death of the process does not lose it. It can be
    used from several threads, and from signal handlers and finalizers that interrupt one of its own calls. A call that
    ends with an exception of the caller (KeyboardInterrupt) leaves the record whole or absent. A child that was forked
    while the file was open cannot write to it, and another process cannot open it for writing.

    A call can be interrupted anywhere. ``_record`` is set before the write and cleared after it, both by statements
    that call nothing, and Python runs no signal handler in between. Code that finds it set, in the same call or in a
    later one, sees from the size of the file what became of that record.

    Attributes:
        path: the file.
        lock: held while anything is changed; a writer that wraps this one takes it too, so that there is only one lock.

    """

    _fd: int

    def __init__(self, path: str | os.PathLike[str], first: bytes = b"", *, replace: bool = False) -> None:
        """Create *path* and its parent folders.

        Args:
            path: the file.
            first: the beginning of the file; written before anything else, and again if the file is emptied.
            replace: replace an existing file by the new one once *first* is on the disk.

        Raises:
            LogExists: when *path* already exists and should not be replaced.
            LogInUse: when another writer has it open; the error names that writer.
            LogWriteError: when it cannot be created. A file that should be replaced is unchanged.
            CodecError: when *path* is a URL.

        """
        self._begin(local_path(path))
        self._first = first
        with write_errors("cannot create its folder", path):
            self._new_folders += _make_folders(self.path.parent)
        with write_errors("cannot create the log", path):
            try:
                fd = -1
                while fd < 0:
                    fd = self._replaced(first) if replace else self._created(first)
                self._fd = fd
            except FileExistsError as error:
                who = lock_owner(self.path)
                why = f"{who} is writing it" if who else "an existing log is never overwritten by default"
                raise LogExists(f"there is a file already, and {why}", path=path) from error
        self._end = len(first)
        _open_files.add(self)

    @classmethod
    def reopen(cls, path: str | os.PathLike[str]) -> Self:
        """Open the file at *path*, to continue after its last byte.

        Raises:
            LogNotFound: when there is no such file.
            LogInUse: when another writer has it open; the error names that writer.
            LogWriteError: when the file is not writable.

        """
        self = cls.__new__(cls)
        self._begin(Path(path))
        with write_errors("cannot open the log to continue it", path):
            try:
                self._fd = open_locked(self.path, _FLAGS)
                self._end = os.fstat(self._fd).st_size
            except FileNotFoundError as error:
                raise LogNotFound("there is no such file", path=path) from error
        _open_files.add(self)
        return self

    def _begin(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._fd = -1
        self._closed_because = ""
        self._first = b""
        self._new_folders: list[Path] = []  # their names are not on the disk yet
        self._record: bytes | memoryview | None = None  # being written, or its call was interrupted
        self._last: bytes | memoryview = b""  # the last record
        self._end = 0  # the end of the last whole record
        self._is_rescuing = False  # a call of `_rescue` has begun and not ended
        self._rescue_at = 0  # the size before which writing a deleted file again is not retried
        self._due = _CHECK_EVERY  # the size at which `_look_after` is called
        self._synced = -1  # the file's size when it was last known to be on the disk

    def _created(self, first: bytes) -> int:
        """Create the file where none exists."""
        fd = open_locked(self.path, _FLAGS | os.O_CREAT | os.O_EXCL)
        try:
            _write_all(fd, first)
        except BaseException:
            self.path.unlink(missing_ok=True)
            os.close(fd)
            raise
        return fd

    def _replaced(self, first: bytes) -> int:
        """Create the file in place of another one, which nobody else can open for writing until then."""
        check_replaceable(self.path)
        try:
            old = open_locked(self.path, _FLAGS)
        except FileNotFoundError:
            try:
                return self._created(first)
            except FileExistsError:
                return -1  # another process was faster: look again
        try:
            return _renamed(self.path, lambda fd: _write_all(fd, first), like=os.fstat(old))
        finally:
            os.close(old)

    def append(self, record: bytes | memoryview, last: bytes = b"") -> None:
        """Write *record* at the end of the file, wholly or, when the system refuses it, not at all.

        Args:
            record: the bytes.
            last: the last record, if there are several.

        Raises:
            ClosedLog: after ``close``, and in a forked child.
            LogWriteError: when the system does not accept the bytes.

        """
        with self.lock:
            try:
                if self._record is not None:
                    self._recover()
                self._record = record
                written = os.write(self._fd, record)
                if written != len(record) or self._record is not record:
                    written = self._finish(record, written)
                self._end += written
                self._record = None
                self._last = last or record
            except OSError as error:
                raise self._refused(error) from error
            if self._end >= self._due:
                self._look_after()

    def _finish(self, record: bytes | memoryview, written: int) -> int:
        """Settle a write that was short or followed by one of a signal handler; return the bytes still to count."""
        while True:
            if self._record is not record:  # the handler has kept a whole record, or cut off a partial one
                self._record = record
                self._recover()
                if written == len(record):
                    return 0
                written = 0
                self._record = record
            elif written == len(record):
                return written
            written += os.write(self._fd, memoryview(record)[written:])

    def _recover(self) -> None:
        """Settle the record of an interrupted call: it counts if it is whole, and is cut off otherwise."""
        record = self._record
        if record is None:
            return
        size, length = os.fstat(self._fd).st_size, len(record)
        if self._record is not record:  # a signal handler did it
            return
        if size - self._end == length:
            self._adopt(record, size)
            return
        if 0 < size - self._end < length:
            os.ftruncate(self._fd, self._end)
        if self._record is record:
            self._record = None

    def _adopt(self, record: bytes | memoryview, size: int) -> None:
        if self._record is record:
            self._end = size
            self._record = None

    def _refused(self, error: OSError) -> ClosedLog | LogWriteError:
        """The error to raise; a partly written record is cut off, now or by a later call."""
        if self._fd < 0:
            self._record = None
            return ClosedLog(self._closed_because, path=self.path)
        with contextlib.suppress(OSError):
            self._recover()
        return LogWriteError(f"cannot write: {error.strerror}", path=self.path)

    def _look_after(self) -> None:
        """Called after every 64 KB."""
        self._due = self._end + _CHECK_EVERY
        self._check_place()

    def overwrite(self, at: int, data: bytes) -> None:
        """Write *data* over the bytes at *at*, which are in the file; not if it is gone and cannot be written again.

        Raises:
            LogWriteError: when the system refuses.

        """
        with self.lock:
            self._check_place()
            try:
                # Through another descriptor: one that is open for appending writes only at the end.
                fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
                try:
                    if os.path.samestat(os.fstat(fd), os.fstat(self._fd)):
                        os.pwrite(fd, data, at)
                finally:
                    os.close(fd)
            except FileNotFoundError:
                pass
            except OSError as error:
                raise LogWriteError(f"cannot write: {error.strerror}", path=self.path) from error

    def size(self) -> int:
        """The size of its whole records in bytes."""
        with self.lock:
            with contextlib.suppress(OSError):
                self._recover()
            return self._end

    def cut_back(self, size: int) -> None:
        """Truncate the file to *size* bytes; the bytes after them are not a whole record.

        Raises:
            LogWriteError: when the system refuses.

        """
        with self.lock, write_errors("cannot cut off its torn tail", self.path):
            os.ftruncate(self._fd, size)
            self._end = size

    def sync(self) -> None:
        """Wait until everything that was written is on the disk, so that it survives a power cut.

        This takes as long as the disk needs, and does not block other threads from writing. It does nothing if nothing
        was written since the last call. A log that was deleted, moved or emptied in the meantime is written again from
        the file that is still open, with a `LogWriteWarning`.

        Raises:
            LogWriteError: when the disk failed, or the file could not be written again.

        """
        fd = -1
        with write_errors("cannot bring it to the disk", self.path):
            try:
                with self.lock:
                    if self._fd < 0:
                        return
                    self._recover()
                    message = self._settle()
                    end, folders = self._end, self._new_folders
                    if end != self._synced:
                        fd = os.dup(self._fd)  # a duplicate that nobody closes meanwhile
                if fd >= 0:
                    _fdatasync(fd)
                    for folder in folders:
                        sync_folder(folder)
                    self._synced = end
                    self._new_folders = [folder for folder in self._new_folders if folder not in folders]
            finally:
                if fd >= 0:
                    os.close(fd)
        _warn(message)

    def _settle(self) -> str:
        """Bring the file into its proper state before it is left alone: before a sync, and at the end."""
        return self._rescue()

    def _check_place(self) -> None:
        """Check the file while it is written; a failure is retried later, and reported by ``sync``."""
        if self._end < self._rescue_at:
            return
        try:
            message = self._rescue()
        except OSError:
            self._rescue_at = 2 * self._end
            return
        _warn(message)

    def _rescue(self) -> str:
        """Write the file again if it was deleted, moved, replaced or cut; return the warning for it."""
        if self._is_rescuing:  # a signal handler interrupted such a call
            return ""
        try:
            self._is_rescuing = True
            return self._rescued()
        finally:
            self._is_rescuing = False

    def _rescued(self) -> str:
        while True:
            end, status = self._end, os.fstat(self._fd)
            try:
                at_path = os.path.samestat(status, self.path.stat())
            except (FileNotFoundError, NotADirectoryError):
                at_path = False
            except OSError:
                at_path = True  # an error of the file system says nothing about the file
            if self._end == end:  # else a signal handler wrote meanwhile
                break
        if at_path and status.st_size >= end:
            self._end = status.st_size  # larger if another process writes where there are no locks
            return ""
        was_cut, old, done = status.st_size < end, self.path, 0
        what = "was cut" if was_cut else "was moved or replaced" if status.st_nlink else "was deleted"
        head = self._first if was_cut and os.pread(self._fd, len(self._first), 0) != self._first else b""
        with write_errors(f"it {what} while it was written, and cannot be written again", old):
            folders = _make_folders(old.parent)
            path = old if at_path else _free_name(old, status.st_mode)

            def fill(fd: int) -> None:
                nonlocal done
                _write_all(fd, head)
                done = _copy(self._fd, fd, 0)

            try:
                fd = _renamed(path, fill, like=status)
            except BaseException:
                if not at_path:
                    path.unlink()
                raise
            try:
                before = os.dup(self._fd)
                try:
                    os.dup2(fd, self._fd, inheritable=False)
                    _copy(before, self._fd, done)  # what a signal handler wrote meanwhile
                finally:
                    os.close(before)
            finally:
                os.close(fd)
        self.path, self._new_folders, self._synced = path, [*folders, path.parent], -1
        self._end = self._size_now()
        self._continue(was_cut=was_cut)
        where = "it" if path == old else f"another file is in its place, and it is {path.name} now; it"
        content = "what was left of it; the part that was cut away is gone" if was_cut else "everything it held"
        return f"{old}: {what} while it was written; {where} was written again, with {content}"

    def _size_now(self) -> int:
        """The size of the file in bytes, including what a signal handler writes meanwhile."""
        while True:
            end, size = self._end, os.fstat(self._fd).st_size
            if self._end == end:
                return size

    def _continue(self, *, was_cut: bool) -> None:
        """Called when the file was written again."""

    def close(self) -> None:
        """Close the file; can be called again, and then continues where an exception of the caller ended it.

        Raises:
            LogWriteError: when the file was deleted and cannot be written again, or when the disk failed. The file is
                closed nevertheless.

        """
        message = ""
        with self.lock:
            if self._fd < 0:
                return
            with write_errors("cannot bring its end to the disk", self.path):
                try:
                    self._recover()
                    message = self._settle_at_end()
                    if -1 < self._synced < self._end:  # the caller wants it on the disk
                        _fdatasync(self._fd)
                except OSError:
                    self._leave()
                    raise
            self._leave()
        _warn(message)

    def _settle_at_end(self) -> str:
        return self._settle()

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            try:
                self.close()
            finally:
                warnings.warn(f"the log {self.path} was not closed", ResourceWarning, source=self, stacklevel=2)

    def _leave(self, because: str = "this log was closed") -> None:
        fd, self._fd = self._fd, -1
        self._closed_because = self._closed_because or because
        if fd >= 0:
            if because is not FORKED:  # a child shares the parent's lock, and would release it
                unlock(fd)
            os.close(fd)
        _open_files.discard(self)

    def _disown(self) -> None:
        """Called in a forked child: another thread of the parent may hold the lock, so it is not taken here."""
        self.lock = threading.RLock()
        self._leave(FORKED)


def _warn(message: str) -> None:
    if message:
        warnings.warn(LogWriteWarning(message), stacklevel=3)


def _copy(source: int, target: int, at: int) -> int:
    """Copy *source* from byte *at* on to *target*, and return where it ended."""
    while block := os.pread(source, _COPIED, at):
        _write_all(target, block)
        at += len(block)
    return at


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _renamed(path: Path, fill: Callable[[int], object], like: os.stat_result) -> int:
    """Create a file with the mode and owner of *like*, *fill* it, replace *path* by it, and return it, locked."""
    temporary = temporary_beside(path, path.suffix)  # a log, never a leftover to delete: it may be the only copy
    fd = os.open(temporary, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        keep_owner(fd, like)
        lock(fd, temporary)
        fill(fd)
        os.fsync(fd)  # before the rename: after a power cut there is the old file or the whole new one
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        os.close(fd)
        raise
    return fd


def keep_owner(file: int | Path, like: os.stat_result) -> None:
    """Give *file* the mode and, if permitted, the owner of the file that it replaces."""
    with contextlib.suppress(OSError):
        os.chown(file, like.st_uid, like.st_gid)
    # After chown, which may clear bits of the mode.
    os.chmod(file, stat.S_IMODE(like.st_mode) & 0o777)  # noqa: PTH101 - it may be a descriptor


def _free_name(path: Path, mode: int) -> Path:
    """*path* or, if that is taken, another name in its folder, for which an empty file is created."""
    for n in itertools.count():
        free = path.with_name(f"{path.stem}.{n}{path.suffix}") if n else path
        try:
            os.close(os.open(free, os.O_CREAT | os.O_EXCL, stat.S_IMODE(mode)))
        except FileExistsError:
            continue
        return free
    raise AssertionError


def _make_folders(folder: Path) -> list[Path]:
    """Create *folder*, and return the folders with new entries: for the file, and for each folder that was created."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return [folder, *(one.parent for one in missing)]


def set_aside(path: Path) -> Path:
    """Rename *path*, which must have no writer, and return its new name.

    Raises:
        LogInUse: when another writer has it open; the error names that writer.
        LogWriteError: when renaming is not permitted.

    """
    with write_errors("cannot rename it", path):
        fd = open_locked(path, _FLAGS)
        try:
            aside = next(name for n in itertools.count() if not (name := _damaged_name(path, n)).exists())
            path.rename(aside)
        finally:
            os.close(fd)
    return aside


def _damaged_name(path: Path, n: int) -> Path:
    return path.with_name(f"{path.name}.damaged" + (f".{n}" if n else ""))


_open_files: weakref.WeakSet[AppendFile] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for file in list(_open_files):
        file._disown()


os.register_at_fork(after_in_child=_after_fork_in_child)
