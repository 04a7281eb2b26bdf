"""The one place where bytes are taken from a log's file (Source), and where a file is replaced (atomic_write)."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from trainlog.errors import (
    CorruptLog,
    InvalidPosition,
    LogNotFound,
    LogWriteError,
    TrainlogError,
    TruncatedLog,
    UnknownFormat,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Source", "Wait", "follow", "never", "atomic_write", "sync_folder"]

Wait = Callable[[], bool]

_SAMPLE = 4096  # bytes


def never() -> bool:
    """The ``wait`` of a plain read: bytes that are not there do not come."""
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


class Source:
    """The bytes of a log that may still be growing. Holds one open file; close it, or use it in a ``with``.

    Allocates no more than the file really holds, whatever length a damaged record claims.

    Attributes:
        offset: of the next byte that ``take`` or ``line`` will return.

    """

    CHUNK = 1 << 20

    def __init__(self, path: str | os.PathLike[str], wait: Wait = never) -> None:
        """Open *path*.

        Raises:
            LogNotFound: when there is no such file.

        """
        self.path = Path(path)
        self.offset = 0
        self._wait = wait
        self._ahead = b""
        self._ahead_from = 0
        self._limit: int | None = None
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise LogNotFound("there is no such file", path=path) from error
        except OSError as error:
            raise UnknownFormat(f"cannot read it: {error.strerror}", path=path) from error
        if stat.S_ISDIR(os.fstat(self._fd).st_mode):
            self.close()
            raise UnknownFormat("this is a folder, not a log", path=path)

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
    def size(self) -> int:
        """Bytes in the file now; no more than there were at the time of ``freeze``."""
        size = os.fstat(self._fd).st_size
        return size if self._limit is None else min(size, self._limit)

    def freeze(self) -> Self:
        """See no more of the file than it has now, however it grows."""
        self._limit = self.size
        return self

    def block(self, offset: int, need: int = 1) -> bytes:
        """The bytes from *offset* on: a chunk of them, or *need* if that is more and the file holds as many.

        Raises:
            CorruptLog: when the file has become shorter than *offset*.

        """
        left = self.size - offset
        if left < 0:
            raise CorruptLog("the file became shorter while it was read", path=self.path, offset=offset)
        count = min(left, self.CHUNK if need > left else max(need, self.CHUNK))
        part = os.pread(self._fd, count, offset)
        if len(part) == count:
            return part
        parts = [part]
        while part and (count := count - len(part)):
            offset += len(part)
            part = os.pread(self._fd, count, offset)
            parts.append(part)
        return b"".join(parts)

    def read(self, offset: int, size: int) -> bytes:
        """At most *size* bytes from *offset* on, as many as there are."""
        buffer = bytearray(max(min(size, self.size - offset), 0))
        return bytes(buffer[: self.fill(memoryview(buffer), offset)])

    def data_from(self, offset: int) -> int:
        """Where from *offset* on the file holds something else than a hole, as far as the system tells."""
        try:
            return os.lseek(self._fd, offset, os.SEEK_DATA)
        except OSError as error:
            return self.size if error.errno == errno.ENXIO else offset
        except AttributeError:  # not every system knows of holes
            return offset

    def fill(self, buffer: memoryview, offset: int) -> int:
        """Put the bytes from *offset* on into *buffer*; how many there were: fewer than it holds only at the end.

        Raises:
            CorruptLog: when the file has become shorter than *offset*.

        """
        done = 0
        while done < len(buffer) and (count := os.preadv(self._fd, [buffer[done:]], offset + done)):
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

    def wait(self) -> bool:
        """Ask the caller whether to try again for bytes that are not there yet."""
        return self._wait()

    def take(self, size: int) -> bytes:
        """The next *size* bytes, waiting for them; ``b""`` when the file ends before the first of them.

        Raises:
            TruncatedLog: when the file ends inside of them.

        """
        while not self._ahead_from <= self.offset <= self._ahead_from + len(self._ahead) - size:
            if self.size - self.offset >= size:
                self._ahead_from, self._ahead = self.offset, self.block(self.offset, size)
            elif not self.wait():
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
            elif not self.wait():
                return self._ended()

    def _advance(self, size: int) -> bytes:
        start = self.offset - self._ahead_from
        self.offset += size
        return self._ahead[start : start + size]

    def _ended(self) -> bytes:
        if self.size > self.offset:
            raise TruncatedLog("the file ends inside a record", path=self.path, offset=self.offset)
        return b""


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces *path* when the block ends without an error.

    It is in the same folder and is renamed at the end, so no reader ever sees an incomplete file.

    Raises:
        LogWriteError: when it cannot be written.

    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
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
