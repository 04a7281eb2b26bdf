"""The one place where the bytes of a log file are read (Source), and those of a file next to it (read_beside)."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from trainlog.errors import (
    CorruptLog,
    InvalidPosition,
    LogNotFound,
    LogReadError,
    TrainlogError,
    TruncatedLog,
    UnknownFormat,
)
from trainlog.storage.location import RemotePath, location

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Source", "SourceFile", "Wait", "follow", "growing", "never", "open_regular", "read_beside"]

Wait = Callable[[], bool]

_SAMPLE: Final = 4096  # bytes
_FIRST_TAKE: Final = 4096
_PAGE: Final = 4096  # bytes; a read error of the disk affects a whole page
_MOST_UNREADABLE: Final = 64  # pages; a disk with more read errors than this has failed as a whole
_UNREADABLE: Final = b"\xc1"  # replaces an unreadable byte; msgpack never uses this one


def never() -> bool:
    """The ``wait`` of a plain read: missing bytes are not waited for."""
    return False


def growing() -> bool:
    """The ``wait`` of a caller that reads again and again: missing bytes are seen by a later read."""
    return False


def follow(interval: float = 0.1, *, until: Callable[[], bool] = never) -> Wait:
    """A ``wait`` that sleeps *interval* seconds and tries again, until ``until()`` is true, and then once more.

    The last try sees everything that was written before ``until()`` became true.
    """
    over = False

    def wait() -> bool:
        nonlocal over
        if over:
            return False
        over = until()
        if not over:
            time.sleep(interval)
        return True

    return wait


def open_regular(path: Path) -> int:
    """A descriptor to read the file at *path*; a pipe or a device, on which a reader might block forever, is refused.

    Raises:
        LogNotFound: when there is no such file.
        UnknownFormat: when the file cannot be read, or is not a regular file.

    """
    try:
        mode = path.stat().st_mode  # checked before opening, which has side effects on some devices
        if stat.S_ISREG(mode):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            mode = os.fstat(fd).st_mode
            if stat.S_ISREG(mode):
                return fd
            os.close(fd)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise LogNotFound("there is no such file", path=path) from error
    except OSError as error:
        raise UnknownFormat(f"cannot read it: {error.strerror}", path=path) from error
    what = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
    raise UnknownFormat(f"this is {what}, not a log", path=path)


def read_beside(source: Source, path: Path, most: int) -> bytes | None:
    """The content of the file at *path* next to the log *source*; None when the file cannot be trusted.

    It is trusted if it is a regular file, not a link, of at most *most* bytes, owned by this user, by the log's owner
    or by root, and writable only by users who can also write the log.
    """
    if isinstance(path, RemotePath):
        return None  # object storage does not say who could have written it
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        own, log = os.fstat(fd), source.status
        others = stat.S_IWOTH | stat.S_IWGRP
        is_ours = own.st_uid in (os.geteuid(), log.st_uid, 0)
        is_shut = not own.st_mode & others & ~log.st_mode and (own.st_gid == log.st_gid or not own.st_mode & others)
        if not (stat.S_ISREG(own.st_mode) and own.st_size <= most and is_ours and is_shut):
            return None
        parts = []
        while part := os.read(fd, most):
            parts.append(part)
            most -= len(part)
        return b"".join(parts)
    except OSError:
        return None
    finally:
        os.close(fd)


class Source:
    """The bytes of a log that may still be growing. Holds one open file; close it, or use it in a ``with`` statement.

    It never allocates more than the file holds, whatever length a damaged record claims. Without a *wait* it sees only
    the bytes that the file had when it was opened, however it grows.

    Bytes that the disk cannot read (EIO) are skipped like damage: `block` returns other bytes in their place, `fill`
    ends before them, and `is_readable` reports them.

    Attributes:
        offset: of the next byte that ``take`` or ``line`` will return.

    """

    CHUNK = 1 << 20
    _limit: int | None = None  # the visible size of the file; None means all of it

    def __new__(cls, path: object = None, *args: object, **settings: object) -> Self:
        """Make a `RemoteSource` for a URL."""
        if cls is Source and not isinstance(path, Path) and isinstance(location(path), RemotePath):
            from trainlog.storage.remote import RemoteSource

            return object.__new__(RemoteSource)  # type: ignore[return-value]
        return object.__new__(cls)

    def __init__(self, path: str | os.PathLike[str], wait: Wait = never) -> None:
        """Open *path*.

        Raises:
            LogNotFound: when there is no such file.
            UnknownFormat: when the file cannot be read, or is not a regular file.

        """
        self.path = path if isinstance(path, Path) else location(path)
        self.offset = 0
        self._wait = wait
        self._ahead = b""
        self._ahead_from = 0
        self._unreadable: set[int] = set()  # pages, by their offset
        self._fd = open_regular(self.path)
        self._limit = os.fstat(self._fd).st_size if wait is never else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; can be called more than once."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    @property
    def status(self) -> os.stat_result:
        """The ``os.fstat`` of the open file."""
        return os.fstat(self._fd)

    @property
    def size(self) -> int:
        """The current size of the file in bytes; without a *wait*, the size that it had when it was opened."""
        return os.fstat(self._fd).st_size if self._limit is None else self._limit

    def left(self, offset: int) -> int:
        """The number of bytes from *offset* on.

        Raises:
            CorruptLog: when the file has become shorter than *offset*.

        """
        left = self.size - offset
        if left < 0:
            raise self._shorter(offset)
        return left

    def _shorter(self, offset: int) -> CorruptLog:
        return CorruptLog("the file became shorter while it was read", path=self.path, offset=offset)

    def block(self, offset: int, need: int = 1, most: int = sys.maxsize) -> bytes:
        """The bytes from *offset* on: a chunk, or *need* bytes if that is more and the file holds as many.

        *most* limits the size of the chunk, but not *need*.

        Raises:
            CorruptLog: when the file has become shorter than *offset*.

        """
        left = self.left(offset)
        chunk = min(most, self.CHUNK)
        count = min(left, chunk if need > left else max(need, chunk))
        try:
            part = os.pread(self._fd, count, offset)
            if len(part) == count:
                return part
            parts, at, missing = [part], offset, count
            while part and (missing := missing - len(part)):
                at += len(part)
                part = os.pread(self._fd, missing, at)
                parts.append(part)
            if not parts[0] and count:
                raise self._shorter(offset)
            return b"".join(parts)
        except OSError as error:
            return self._by_pages(offset, count, error)

    def is_at_hand(self, start: int, stop: int) -> bool:
        """Whether the bytes from *start* to *stop* can be read without a request to object storage."""
        return True

    def _by_pages(self, offset: int, count: int, error: OSError) -> bytes:
        """*count* bytes from *offset* on, which could not be read at once; unreadable bytes are replaced.

        Raises:
            LogReadError: when the error is not that a few places of the disk are unreadable.

        """
        parts: list[bytes] = []
        at, end = offset, offset + count
        while at < end and error.errno == errno.EIO and len(self._unreadable) <= _MOST_UNREADABLE:
            page = at - at % _PAGE
            size = min(page + _PAGE, end) - at
            try:
                part = os.pread(self._fd, size, at)
            except OSError as failed:
                error = failed
                self._unreadable.add(page)
                part = _UNREADABLE * size
            if not part:
                break
            parts.append(part)
            at += len(part)
        else:
            if at < end:
                raise LogReadError(f"cannot read: {error.strerror}", path=self.path, offset=at) from error
        return b"".join(parts)

    def is_readable(self, start: int, stop: int) -> bool:
        """Whether none of the bytes from *start* to *stop*, which were read before, turned out to be unreadable."""
        return not self._unreadable or not any(start < page + _PAGE and page < stop for page in self._unreadable)

    def read(self, offset: int, size: int) -> bytes:
        """The bytes from *offset* on, *size* or as many as there are."""
        end = self.size if self._limit is None else self._limit
        buffer = bytearray(max(min(size, end - offset), 0))
        if self.fill(memoryview(buffer), offset) < len(buffer):
            return self.block(offset, size)[:size]  # replaces or reports what the disk cannot read
        return bytes(buffer)

    def data_from(self, offset: int) -> int:
        """The first place from *offset* on that is not in a hole of a sparse file, as far as the system reports it."""
        try:
            return os.lseek(self._fd, offset, os.SEEK_DATA)
        except OSError as error:
            return os.fstat(self._fd).st_size if error.errno == errno.ENXIO else offset
        except AttributeError:  # not every system reports holes
            return offset

    def fill(self, buffer: memoryview, offset: int) -> int:
        """Read the bytes from *offset* on into *buffer*, and return how many there were: fewer than *buffer* holds at
        the end of the file, and before bytes that the disk cannot read.

        Raises:
            CorruptLog: when the file has become shorter than *offset*.

        """
        done = 0
        try:
            while done < len(buffer) and (count := os.preadv(self._fd, [buffer[done:]], offset + done)):
                done += count
        except OSError as error:
            found = self._by_pages(offset + done, len(buffer) - done, error)
            bad = min((page for page in self._unreadable if page + _PAGE > offset + done), default=offset + done)
            count = max(min(len(found), bad - offset - done), 0)
            buffer[done : done + count] = found[:count]
            done += count
        if not done and offset > os.fstat(self._fd).st_size:
            raise self._shorter(offset)
        return done

    def checksum(self, end: int) -> str:
        """A checksum of the first and the last 4096 bytes before byte *end*."""
        sample = memoryview(bytearray(min(_SAMPLE, end)))
        crc = 0
        for offset in (0, end - len(sample)):
            crc = zlib.crc32(sample[: self.fill(sample, offset)], crc)
        return f"{crc:08x}" if end else ""

    def check(self, end: int, checksum: str) -> None:
        """Make sure that the bytes before *end* are still those of *checksum*.

        Raises:
            InvalidPosition: when the file is shorter now, or is another file.

        """
        if end > self.size:
            raise InvalidPosition("the log is shorter than what was read of it; read it again", path=self.path)
        if self.checksum(end) != checksum:
            raise InvalidPosition("the log is not the one that was read; read it again", path=self.path)

    def from_file_offset(self, offset: int) -> int:
        """The offset to read from for the byte that is at *offset* in the file."""
        return offset

    def to_file_offset(self, offset: int) -> int:
        """The offset in the file of the byte that is read at *offset*."""
        return offset

    def to_file_offsets(self, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """`to_file_offset` of many offsets."""
        return offsets

    def wait(self, at: int) -> bool:
        """Ask the caller whether to try again for bytes that are not there yet, from byte *at* on.

        If the log was meanwhile written to a new file, with everything that was read of it, the new file is followed.

        Raises:
            InvalidPosition: when the log was meanwhile replaced by another, or cut before *at*.

        """
        if self._wait is never:
            return False
        before = self.checksum(at)
        if not self._wait():
            return False
        self.renew(at, before)
        return True

    def renew(self, at: int, before: str) -> None:
        """Look again at a log whose `checksum` up to byte *at* was *before*; see `wait`.

        Raises:
            InvalidPosition: as `wait`.

        """
        if self.size < at or self.checksum(at) != before:
            raise InvalidPosition("the log was cut or overwritten while it was followed; read it again", path=self.path)
        try:
            there, here = self.path.stat(), self.status
            if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
                return
            other = Source(self.path, self._wait)
        except (OSError, TrainlogError):
            return  # deleted, or being replaced right now: the next call finds out
        with other:
            known = min(at, other.size)
            # A shorter file with the same beginning may be a copy that is still being written.
            sample = min(known, _SAMPLE)
            if (other.checksum(at) != before) if known == at else (other.read(0, sample) != self.read(0, sample)):
                why = "the log was replaced by another while it was followed; read it again"
                raise InvalidPosition(why, path=self.path)
            if known == at:
                self._fd, other._fd = other._fd, self._fd

    def take(self, size: int) -> bytes:
        """The next *size* bytes, waiting for them; ``b""`` when the file ends before the first of them.

        Raises:
            TruncatedLog: when the file ends inside them.

        """
        while not self._ahead_from <= self.offset <= self._ahead_from + len(self._ahead) - size:
            if self.size - self.offset >= size:
                ahead = max(size, min(4 * len(self._ahead), self.CHUNK), _FIRST_TAKE)
                self._ahead_from, self._ahead = self.offset, self.read(self.offset, ahead)
                if len(self._ahead) < size:
                    raise self._shorter(self.offset)
            elif not self.wait(self.offset):
                return self._ended()
        return self._advance(size)

    def line(self, limit: int = 1 << 26) -> bytes:
        """The next line with its newline, waiting for it; ``b""`` when the file ends before it.

        Raises:
            TruncatedLog: when the file ends without a newline.
            CorruptLog: when there is none within *limit* bytes.

        """
        searched = 0
        if self.offset < self._ahead_from:
            self._ahead_from, self._ahead = self.offset, b""
        while True:
            start = self.offset - self._ahead_from
            end = self._ahead.find(b"\n", start + searched)
            if end >= 0:
                return self._advance(end + 1 - start)
            searched = len(self._ahead) - start
            if searched > limit:
                raise CorruptLog(f"no line ends within {limit:,} bytes", path=self.path, offset=self.offset)
            left = self.size - self.offset
            if left > searched:
                need = min(left, searched + self.CHUNK)
                self._ahead_from, self._ahead = self.offset, self.block(self.offset, need)
                if len(self._ahead) <= searched:
                    raise self._shorter(self.offset)
            elif not self.wait(self.offset):
                return self._ended()

    def _advance(self, size: int) -> bytes:
        if not self.is_readable(self.offset, self.offset + size):
            raise LogReadError("cannot read: the disk reported an I/O error", path=self.path, offset=self.offset)
        start = self.offset - self._ahead_from
        self.offset += size
        return self._ahead[start : start + size]

    def _ended(self) -> bytes:
        if self.size > self.offset:
            raise TruncatedLog("the file ends inside a record", path=self.path, offset=self.offset)
        return b""


class SourceFile(io.RawIOBase):
    """The bytes of a log as a file object, for libraries that read one."""

    def __init__(self, source: Source) -> None:
        """Read *source*, and close it at the end."""
        super().__init__()
        self._source = source
        self._at = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The offset of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to *offset*."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._source.size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read bytes into *buffer*, and return how many; 0 at the end."""
        view = memoryview(buffer).cast("B")
        count = self._source.fill(view, self._at) if self._at < self._source.size else 0
        self._at += count
        return count

    def close(self) -> None:
        """Close the log."""
        self._source.close()
        super().close()
