"""A place in a log that a client can come back to: a byte offset, and what tells that it is still the same file."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Final, NamedTuple, Self

__all__ = ["Cursor", "FileState", "fingerprint"]

_PREFIX: Final = 4096
_TEXT: Final = re.compile(r"(\d{1,18})-([0-9a-f]{1,16})-(\d{1,4})-([0-9a-f]{8})", re.ASCII)


class FileState(NamedTuple):
    """What ``stat`` says of a file; a size of -1 when there is none."""

    device: int
    inode: int
    size: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """The state of the file at *path* now."""
        try:
            status = path.stat()
        except OSError:
            return cls(0, 0, -1)
        return cls(status.st_dev, status.st_ino, status.st_size)


def fingerprint(path: Path, size: int) -> str:
    """A checksum of the first *size* bytes, at most 4096: inode numbers are used again at once by many systems."""
    try:
        with path.open("rb", buffering=0) as file:
            return f"{zlib.crc32(file.read(min(size, _PREFIX))):08x}"
    except OSError:
        return f"{0:08x}"


class Cursor(NamedTuple):
    """Everything before ``offset`` has been seen.

    Attributes:
        offset: in bytes; in frames for a format whose reader does not tell where in the file they are.
        inode: of the file.
        prefix: how many of its first bytes are in ``checksum``.
        checksum: of these bytes, which never change in a file that only grows.

    """

    offset: int
    inode: int
    prefix: int
    checksum: str

    def __str__(self) -> str:
        return f"{self.offset}-{self.inode:x}-{self.prefix}-{self.checksum}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of ``str``.

        Raises:
            ValueError: for anything else.

        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError("it is no cursor of this server")
        offset, inode, prefix, checksum = match.groups()
        return cls(int(offset), int(inode, 16), min(int(prefix), _PREFIX), checksum)
