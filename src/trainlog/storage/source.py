"""The one place where bytes are taken from a log's file (Source), and from one beside it (read_beside)."""

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
_PAGE: Final = 4096  # bytes that a disk fails to give together
_MOST_UNREADABLE: Final = 64  # pages; a disk that gives less than that is gone
_UNREADABLE: Final = b"\xc1"  # what stands for an unreadable byte: the one that msgpack never uses


def never() -> bool:
    """The ``wait`` of a plain read: bytes that are not there do not come."""
    return False


def growing() -> bool:
    """The ``wait`` of who looks again and again: bytes that are not there are seen at a later look."""
    return False


def follow(interval: float = 0.1, *, until: Callable[[], bool] = never) -> Wait:
    """A ``wait`` that sleeps *interval* seconds and tries again, until ``until()`` is true, and then once more.

    So what was written before ``until()`` became true is seen in any case.
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
    """A descriptor to read the file at *path*; a pipe or a device, at which a reader might wait for ever, is refused.

    Raises:
        LogNotFound: when there is no such file.
        UnknownFormat: when it may not be read, or is no regular file.

    """
    try:
        mode = path.stat().st_mode  # before it is opened, which alone does things to some devices
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
    """What the file at *path* holds, which stands beside the log *source*; None when it is not to be trusted.

    Only a regular file of at most *most* bytes is read, no link, that belongs to this user, to the log's owner or to
    root, and that nobody may write who may not write the log.
    """
    if isinstance(path, RemotePath):
        return None  # no storage says who could have written it
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
    """The bytes of a log that may still be growing. Holds one open file; close it, or use it in a ``with``.

    Allocates no more than the file really holds, whatever length a damaged record claims. Without a *wait* it sees what
    the file holds when it is opened, however it grows.

    Bytes that the disk cannot give (EIO) are skipped like damage: `block` has others in their place, `fill` ends before
    them, and `is_readable` tells.

    Attributes:
        offset: of the next byte that ``take`` or ``line`` will return.

    """

    CHUNK = 1 << 20
    _limit: int | None = None  # no more than this is seen of the file

    def __new__(cls, path: object = None, *args: object, **settings: object) -> Self:
        """A URL is read by a subclass."""
        if cls is Source and not isinstance(path, Path) and isinstance(location(path), RemotePath):
            from trainlog.storage.remote import RemoteSource

            return object.__new__(RemoteSource)  # type: ignore[return-value]
        return object.__new__(cls)

    def __init__(self, path: str | os.PathLike[str], wait: Wait = never) -> None:
        """Open *path*.

        Raises:
            LogNotFound: when there is no such file.
            UnknownFormat: when it may not be read, or is no regular file.

        """
        self.path = path if isinstance(path, Path) else location(path)
        self.offset = 0
        self._wait = wait
        self._ahead = b""
        self._ahead_from = 0
        self._unreadable: set[int] = set()  # pages, by their offset
        self._fd = open_regular(self.path)
        if wait is never:
            self.freeze()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; may be called again."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    @property
    def status(self) -> os.stat_result:
        """What the system knows of the open file."""
        return os.fstat(self._fd)

    @property
    def size(self) -> int:
        """Bytes in the file now; no more than there were at the time of ``freeze``."""
        size = os.fstat(self._fd).st_size
        return size if self._limit is None else min(size, self._limit)

    def freeze(self, size: int | None = None) -> Self:
        """See no more of the file than it has now, however it grows; or of that the first *size* bytes."""
        self._limit = self.size if size is None else min(size, self.size)
        return self

    def left(self, offset: int) -> int:
        """How many bytes there are from *offset* on.

        Raises:
            CorruptLog: when the file has become shorter than *offset*.

        """
        left = self.size - offset
        if left < 0:
            raise CorruptLog("the file became shorter while it was read", path=self.path, offset=offset)
        return left

    def block(self, offset: int, need: int = 1, most: int = sys.maxsize) -> bytes:
        """The bytes from *offset* on: a chunk of them, or *need* if that is more and the file holds as many.

        Where nothing is needed for sure, a chunk is of *most* bytes, if that is less.

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
            return b"".join(parts)
        except OSError as error:
            return self._by_pages(offset, count, error)

    def is_at_hand(self, start: int, stop: int) -> bool:
        """Whether the bytes from *start* to *stop* are read without a request to a storage."""
        return True

    def _by_pages(self, offset: int, count: int, error: OSError) -> bytes:
        """*count* bytes from *offset* on, which could not be read at once; what the disk cannot give is replaced.

        Raises:
            LogReadError: when it is not that some places of the disk cannot be read.

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
        """Whether none of the bytes from *start* to *stop*, which were read, were found to be unreadable."""
        return not self._unreadable or not any(start < page + _PAGE and page < stop for page in self._unreadable)

    def read(self, offset: int, size: int) -> bytes:
        """At most *size* bytes from *offset* on, as many as there are."""
        end = self.size if self._limit is None else self._limit
        buffer = bytearray(max(min(size, end - offset), 0))
        if self.fill(memoryview(buffer), offset) < len(buffer):
            return self.block(offset, size)[:size]  # which says what the disk cannot give
        return bytes(buffer)

    def data_from(self, offset: int) -> int:
        """Where from *offset* on the file holds something else than a hole, as far as the system tells."""
        try:
            return os.lseek(self._fd, offset, os.SEEK_DATA)
        except OSError as error:
            return self.size if error.errno == errno.ENXIO else offset
        except AttributeError:  # not every system knows of holes
            return offset

    def fill(self, buffer: memoryview, offset: int) -> int:
        """Put the bytes from *offset* on into *buffer*; how many there were: fewer than it holds at the end, and where
        the disk cannot give them.

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
        if not done and offset > self.size:
            raise CorruptLog("the file became shorter while it was read", path=self.path, offset=offset)
        return done

    def checksum(self, end: int) -> str:
        """A checksum of what is before byte *end*: of the first 4096 bytes, and of the last."""
        sample = memoryview(bytearray(min(_SAMPLE, end)))
        crc = 0
        for offset in (0, end - len(sample)):
            crc = zlib.crc32(sample[: self.fill(sample, offset)], crc)
        return f"{crc:08x}" if end else ""

    def check(self, end: int, checksum: str) -> None:
        """Make sure that the file still holds what it held before byte *end* when `checksum` was asked.

        Raises:
            InvalidPosition: when it is shorter by now, or another file.

        """
        if end > self.size:
            raise InvalidPosition("the log is shorter than what was read of it; read it anew", path=self.path)
        if self.checksum(end) != checksum:
            raise InvalidPosition("the log is another than the one that was read; read it anew", path=self.path)

    def from_file_offset(self, offset: int) -> int:
        """Where the byte is read that stands at *offset* of the file."""
        return offset

    def to_file_offset(self, offset: int) -> int:
        """Where in the file the byte stands that is read at *offset*."""
        return offset

    def to_file_offsets(self, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """`to_file_offset` of many."""
        return offsets

    def wait(self, at: int) -> bool:
        """Ask the caller whether to try again for bytes that are not there yet, from byte *at* on.

        A log that was written anew meanwhile, with all that was read of it, is followed in its new file.

        Raises:
            InvalidPosition: when the log was replaced by another, or cut before *at*, meanwhile.

        """
        if self._wait is never:
            return False
        before = self.checksum(at)
        if not self._wait():
            return False
        self.renew(at, before)
        return True

    def renew(self, at: int, before: str) -> None:
        """Look again at a log whose `checksum` until byte *at* was *before*; see `wait`.

        Raises:
            InvalidPosition: as `wait`.

        """
        if self.size < at or self.checksum(at) != before:
            raise InvalidPosition("the log was cut or written over while it was followed; read it anew", path=self.path)
        try:
            there, here = self.path.stat(), self.status
            if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
                return
            other = Source(self.path, self._wait)
        except (OSError, TrainlogError):
            return  # deleted, or just being replaced: the next look tells
        with other:
            known = min(at, other.size)
            # A shorter one that begins alike may be a copy that is still being written.
            sample = min(known, _SAMPLE)
            if (other.checksum(at) != before) if known == at else (other.read(0, sample) != self.read(0, sample)):
                why = "the log was replaced by another while it was followed; read it anew"
                raise InvalidPosition(why, path=self.path)
            if known == at:
                self._fd, other._fd = other._fd, self._fd

    def take(self, size: int) -> bytes:
        """The next *size* bytes, waiting for them; ``b""`` when the file ends before the first of them.

        Raises:
            TruncatedLog: when the file ends inside of them.

        """
        while not self._ahead_from <= self.offset <= self._ahead_from + len(self._ahead) - size:
            if self.size - self.offset >= size:
                ahead = max(size, min(4 * len(self._ahead), self.CHUNK), _FIRST_TAKE)
                self._ahead_from, self._ahead = self.offset, self.read(self.offset, ahead)
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
                searched = min(searched, len(self._ahead))
            elif not self.wait(self.offset):
                return self._ended()

    def _advance(self, size: int) -> bytes:
        if not self.is_readable(self.offset, self.offset + size):
            raise LogReadError("cannot read: the disk does not give these bytes", path=self.path, offset=self.offset)
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
        """Read, and at the end close, *source*."""
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
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to *offset*."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._source.size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read as many bytes as there are, and *buffer* takes."""
        view = memoryview(buffer).cast("B")
        count = self._source.fill(view, self._at) if self._at < self._source.size else 0
        self._at += count
        return count

    def close(self) -> None:
        """Close the log."""
        self._source.close()
        super().close()
