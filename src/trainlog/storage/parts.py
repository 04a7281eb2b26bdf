"""Logs in a bucket: a folder on any file system of fsspec (RemoteFolder), and the parts of a log in it.

The log ``run.flog`` is the folder ``run.flog.parts/``. Each object in it is named by the byte of the log where it
begins, in 20 digits, and is never changed. The log is their chain: the part at byte 0, then the part named by the byte
where the first one ends, and so on. Objects outside the chain are not part of the log.
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from trainlog.errors import LogExists, LogWriteError, MissingExtra, TrainlogError, UnknownFormat
from trainlog.redaction import without_passwords
from trainlog.storage.filesystem import connect, is_refusal, modified_of, reason
from trainlog.storage.location import LOCAL, PARTS, file_of, is_collapsed, is_url
from trainlog.storage.replace import temporary_name

__all__ = [
    "PART",
    "RemoteFolder",
    "Stored",
    "chain",
    "chain_end",
    "is_leftover",
    "is_part",
    "part_name",
    "part_offsets",
    "split_url",
]

PART: Final = re.compile(r"[0-9]{20}")
"""The name of a part within its folder."""

# File systems where an object appears as a whole or not at all; on others it is renamed once it is whole.
_WHOLE_AT_ONCE: Final = frozenset(
    ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "r2", "hf", "memory"),
)
_ABANDONED: Final = 3600.0  # seconds since the last write after which nobody continues a hidden object
_READ_ONLY: Final = frozenset(("http", "https"))


def split_url(url: str) -> tuple[str, str, str]:
    """The scheme, folder and name of the log at *url*; the folder is without its scheme.

    Raises:
        UnknownFormat: when the URL has no name, or leads to a parent folder.

    """
    scheme, _, rest = url.partition("://")
    if scheme in LOCAL:
        rest = file_of(url)
    folder, _, name = without_passwords(f"//{rest}")[2:].rpartition("/")
    if not name or not (folder or scheme == "memory") or ".." in rest.split("/"):
        raise UnknownFormat(f"{url!r} is not the address of a log, such as s3://bucket/folder/run.flog")
    return scheme, folder, name


def part_name(log: str, offset: int) -> str:
    """The name of the object with the part of *log* that begins at byte *offset*."""
    return f"{log}{PARTS}/{offset:020d}"


def is_part(name: str) -> bool:
    """Whether a file of that name is a part of a log."""
    folder, _, last = name.rpartition("/")
    return folder.endswith(PARTS) and PART.fullmatch(last) is not None


def is_leftover(name: str) -> bool:
    """Whether a file of that name is hidden, as those are that uploads write before they rename them."""
    return name.rpartition("/")[2].startswith(".")


def part_offsets(log: str, listed: Mapping[str, Stored]) -> dict[int, int]:
    """The offsets of the parts of *log* among the objects *listed*, and the bytes of each."""
    start = len(log) + len(PARTS) + 1
    found = {name[start:]: stored.size for name, stored in listed.items() if name.startswith(f"{log}{PARTS}/")}
    return {int(name): size for name, size in found.items() if PART.fullmatch(name)}


def chain(parts: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """Yield those of *parts* that make up the log, each as its begin and end."""
    end = 0
    while size := parts.get(end, 0):
        yield end, end + size
        end += size


def chain_end(parts: Mapping[int, int]) -> int:
    """Where the log that consists of *parts* ends."""
    return max((end for _, end in chain(parts)), default=0)


class Stored(NamedTuple):
    """What is known about an object: its bytes, and when it was written, in seconds since 1970 (0.0 if unknown)."""

    size: int
    modified: float


class RemoteFolder:
    """A folder of a bucket, or on another file system of fsspec. Can be used from several threads.

    Every error of the file system, whatever its type, becomes a `LogWriteError`. Its ``errno`` is EACCES if only other
    credentials will help, and ENOENT if there is no such bucket.

    Attributes:
        url: its address, without a password.
        local: its path if it is on this machine, otherwise None.
        at_once: whether an object appears as a whole, and only one of two processes can create it.

    """

    def __init__(self, url: str) -> None:
        """Name the folder, without any access to it.

        Raises:
            UnknownFormat: when there is no file system of this scheme, or it is read-only.
            MissingExtra: when fsspec, or what it needs for this scheme, is not installed.

        """
        begin, mark, path = without_passwords(url).rpartition("://")
        self.url = begin + mark + path.rstrip("/")
        scheme = url.partition("://")[0] if is_url(url) else "file"
        if not url:
            raise UnknownFormat("the address is empty; the current folder is '.'")
        if is_collapsed(url):
            raise UnknownFormat(f"{self.url!r} is not an address: it has one slash where s3://bucket/runs has two")
        if "::" in url:
            raise UnknownFormat(f"{self.url!r} is several file systems in a row; logs cannot be written there")
        if scheme in _READ_ONLY:
            raise UnknownFormat(f"{self.url!r} can only be read; logs are written to s3://, gs://, file:// and others")
        self._fs, self._root = _connect(f"file://{file_of(url)}" if scheme in LOCAL and is_url(url) else url)
        self.at_once = scheme in _WHOLE_AT_ONCE
        if self.at_once and scheme != "memory" and not self._root.strip("/"):
            raise UnknownFormat(f"{self.url!r} names no bucket: an address is like s3://bucket/runs")
        self.local = Path(self._root) if scheme in LOCAL else None

    def address(self, name: str) -> str:
        """The URL of an object."""
        return f"{self.url}{'' if self.url.endswith('://') else '/'}{name}"

    def find(self, below: str = "") -> dict[str, Stored]:
        """All objects below a folder, or the object of that name, by their names relative to this folder."""
        root = self._path(below) if below else self._root
        with self._named("list", below):
            self._fs.invalidate_cache()
            found = self._fs.find(root, detail=True)
        start = len(self._root.rstrip("/")) + 1
        return {name[start:]: Stored(int(info["size"] or 0), modified_of(info)) for name, info in found.items()}

    def find_log(self, name: str) -> dict[str, Stored]:
        """The parts of a log, and any object with the log's own name, as `find` returns them."""
        return self.find(name) | self.find(name + PARTS)

    def read(self, name: str, start: int, stop: int) -> bytes:
        """The bytes of an object from *start* up to *stop*, exclusive."""
        with self._named("read", name):
            data: bytes = self._fs.cat_file(self._path(name), start=start, end=stop)
            return data

    def create(self, name: str, data: bytes) -> None:
        """Create an object, which appears as a whole.

        Raises:
            LogExists: when there is already an object of that name.

        """
        with self._named("write", name):
            if self.at_once:
                self._fs.pipe_file(self._path(name), data, mode="create")
                return
            if self._fs.exists(self._path(name)):
                raise FileExistsError
            with self._renamed(name) as temporary:
                self._fs.pipe_file(temporary, data)

    def put(self, name: str, file: Path) -> None:
        """Create an object from *file*, or replace an existing one, as a whole."""
        with self._named("write", name):
            if self.at_once:
                self._fs.put_file(str(file), self._path(name))
                return
            with self._renamed(name) as temporary:
                self._fs.put_file(str(file), temporary)

    def delete(self, name: str) -> None:
        """Delete an object; a missing object is not an error."""
        with self._named("delete", name), suppress(FileNotFoundError):
            self._fs.rm_file(self._path(name))

    def clean(self, listed: Mapping[str, Stored]) -> None:
        """Delete hidden objects that uploads killed long ago have left before renaming them."""
        for name, stored in listed.items():
            if is_leftover(name) and 0 < stored.modified < time.time() - _ABANDONED:
                self.delete(name)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    @contextmanager
    def _renamed(self, name: str) -> Iterator[str]:
        """A hidden name to write to, next to the object *name*, which it becomes."""
        path = self._path(name)
        folder, _, last = path.rpartition("/")
        temporary = f"{folder}/{temporary_name(last)}"
        self._fs.makedirs(folder, exist_ok=True)
        try:
            yield temporary
            self._fs.mv(temporary, path)
        except BaseException:
            with suppress(OSError):
                self._fs.rm_file(temporary)
            raise

    @contextmanager
    def _named(self, what: str, name: str) -> Iterator[None]:
        where = self.address(name) if name else self.url
        try:
            yield
        except TrainlogError:
            raise
        except FileExistsError as error:
            raise LogExists(f"there is already an object at {where}") from error
        except Exception as error:  # each file system has its own errors, not all of them OSError
            failed = LogWriteError(f"cannot {what} {where}: {reason(error)}")
            failed.errno = _errno(error)
            raise failed from error


def _connect(url: str) -> tuple[Any, str]:
    try:
        return connect(url, {})
    except MissingExtra:
        raise
    except ValueError as error:
        raise UnknownFormat(f"{url!r} is on an unknown file system: {error}") from error
    except Exception as error:
        raise LogWriteError(f"cannot connect to {url}: {reason(error)}") from error


def _errno(error: BaseException) -> int | None:
    if is_refusal(error):
        return errno.EACCES
    if isinstance(error, FileNotFoundError):
        return errno.ENOENT
    return error.errno if isinstance(error, OSError) else None
