"""Access to object storages by fsspec: file information, bytes, contents of folders; failures as typed errors.

Needs the extra ``remote``, and the package of each storage (s3fs, gcsfs, huggingface_hub, ...).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from trainlog.errors import LogNotFound, LogReadError, MissingExtra, TrainlogError
from trainlog.storage.location import RemotePath

__all__ = [
    *("Info", "Range", "connect", "fetch", "fetch_each", "find", "info_of", "is_refusal", "list_folder", "modified_of"),
    *("name_of", "reason", "start_of", "typed"),
]

_VERSIONS: Final = (
    "ETag",
    "etag",
    "e_tag",
    "generation",
    "md5Hash",
    "md5",
    "content_md5",
    "blob_id",
    "oid",
    "checksum",
)
_TIMES: Final = ("LastModified", "last_modified", "mtime", "updated", "modified", "Last-Modified", "created")
_ABSENT: Final = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
_REFUSALS: Final = re.compile("Credential|Authentic|ProfileNotFound|SSOToken|TokenRetrieval")  # in names of errors
_LONGEST: Final = 300  # characters of a storage's error text

Range = tuple[str, int, int]
"""The name of an object in its file system, and the first byte and the end."""


class Info(NamedTuple):
    """What a storage reports about one object.

    Attributes:
        name: its name in the file system.
        size: the number of bytes.
        version: the version of the content, which reveals a change; empty if the storage has none.
        modified: seconds since 1970; 0.0 if the storage does not say.

    """

    name: str
    size: int
    version: str = ""
    modified: float = 0.0

    @classmethod
    def of(cls, name: str, found: Mapping[str, Any]) -> Info | None:
        """The same from fsspec's answer *found*; None if it has no size."""
        size = found.get("size")
        modified = modified_of(found)
        versions = [str(found[key]) for key in _VERSIONS if found.get(key)] or [str(modified) if modified else ""]
        return cls(name, size, versions[0], modified) if isinstance(size, int) else None


def modified_of(found: Mapping[str, Any]) -> float:
    """When an object was written, in seconds since 1970, from fsspec's answer *found*; 0.0 if it does not say."""
    return next((seconds for key in _TIMES if (seconds := _seconds(found.get(key)))), 0.0)


def _seconds(value: Any) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, str):
        for parse in (datetime.fromisoformat, parsedate_to_datetime):  # the latter for HTTP headers
            with suppress(ValueError):
                return parse(value).timestamp()
    return float(value) if isinstance(value, int | float) else 0.0


class _LocalFiles:
    """Local files with the few methods of fsspec that are used here: for logs in parts."""

    def invalidate_cache(self, path: str) -> None:
        """Do nothing: nothing is cached."""

    def info(self, path: str) -> dict[str, Any]:
        found = Path(path).stat()
        kind = "directory" if stat.S_ISDIR(found.st_mode) else "file"
        return {"name": path, "type": kind, "size": found.st_size, "mtime": found.st_mtime}

    def ls(self, path: str, detail: bool) -> list[dict[str, Any]]:
        return [self.info(one.path) for one in os.scandir(path)]

    def cat_file(self, path: str, start: int, end: int) -> bytes:
        with Path(path).open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def cat_ranges(self, paths: list[str], starts: list[int], ends: list[int], on_error: str) -> list[bytes]:
        return [self.cat_file(*one) for one in zip(paths, starts, ends, strict=True)]


_local: Final = _LocalFiles()


def _storage(path: RemotePath) -> tuple[Any, str]:
    """The file system of *path*, and the path's name in it.

    Raises:
        MissingExtra: without fsspec, or the package of that storage.
        LogReadError: when it cannot be created, for example for a storage that fsspec does not know.

    """
    if path.scheme == "file":
        return _local, str(path).removeprefix("file://")
    try:
        return connect(str(path), path.options)
    except Exception as error:
        raise typed(error, path) from error


def connect(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    """The file system of *url*, and the name in it; also raises whatever the file system's library raises.

    Raises:
        MissingExtra: without fsspec, or the package of that storage.

    """
    try:
        from fsspec import url_to_fs
    except ImportError as error:
        raise MissingExtra(f'a URL needs an extra: pip install "trainlog[remote]" ({error})') from error
    try:
        fs, name = url_to_fs(url, **options)
    except ImportError as error:
        raise MissingExtra(f"{url.partition('://')[0]}:// needs its own package: {error}") from error
    return fs, name


def reason(error: BaseException) -> str:
    """The text of *error* in one line."""
    return " ".join(str(error).split())[:_LONGEST] or type(error).__name__


def is_refusal(error: BaseException) -> bool:
    """Whether *error* means that there are no credentials, or that they are not sufficient."""
    return isinstance(error, PermissionError) or _REFUSALS.search(type(error).__name__) is not None


def typed(error: BaseException, path: RemotePath) -> TrainlogError:
    """*error*, raised by a file system, as an error of trainlog."""
    if isinstance(error, TrainlogError):
        return error
    if isinstance(error, _ABSENT):
        return LogNotFound("there is no such file", path=path)
    why = f"{type(error).__name__}: {reason(error)}" if str(error) else type(error).__name__
    if is_refusal(error):
        return LogReadError(f"the storage refuses access ({why}); check the credentials that fsspec uses", path=path)
    return LogReadError(
        f"cannot read it ({why}); check the address, the network, and fsspec's settings for retries", path=path
    )


@contextmanager
def _typing(path: RemotePath) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - each file system raises what its library does
        found = typed(error, path)
        raise found from (None if found is error else error)


def _ask(path: RemotePath, question: Callable[[Any, str], Any]) -> tuple[str, Any]:
    """The name of *path* in its file system, and the answer of that to *question*; None if there is nothing there."""
    fs, name = _storage(path)
    with _typing(path):
        fs.invalidate_cache(name)
        try:
            return name, question(fs, name)
        except _ABSENT:
            return name, None


def info_of(path: RemotePath) -> Info | None:
    """What the storage currently reports about one object; None if there is none.

    Raises:
        LogReadError: when the storage does not say.

    """
    name, found = _ask(path, lambda fs, name: fs.info(name))
    if found is None or found.get("type") == "directory":
        return None
    info = Info.of(name, found)
    if info is None:
        text = "cannot read it: the server does not say how large it is; copy it, and open the copy"
        raise LogReadError(text, path=path)
    return info


def start_of(path: RemotePath, most: int) -> tuple[str, bytes] | None:
    """The name of an object with its first *most* bytes, or all if it has fewer; None if there is no object.

    Raises:
        LogReadError: when the storage does not return them.

    """
    fs, name = _storage(path)
    try:
        return name, bytes(fs.cat_file(name, start=0, end=most))
    except _ABSENT:
        return None
    except Exception as error:  # some storages fail for an empty object, or for a folder
        found = typed(error, path)
        with suppress(TrainlogError):
            info = info_of(path)
            if info is None or not info.size:
                return None if info is None else (name, b"")
        raise found from error


def name_of(path: RemotePath) -> str:
    """The name of *path* in its file system."""
    return _storage(path)[1]


def fetch(path: RemotePath, ranges: Sequence[Range]) -> list[bytes]:
    """The bytes of *ranges*, which are requested concurrently if the file system can do that.

    Raises:
        LogNotFound: when an object no longer exists.
        LogReadError: when the storage does not return all of them.

    """
    found = fetch_each(path, ranges)
    for data, (_, start, end) in zip(found, ranges, strict=True):
        if isinstance(data, BaseException):
            raise typed(data, path) from data
        if len(data) > end - start:
            text = "cannot read it: the server returns the whole file for a part of it; copy it, and open the copy"
            raise LogReadError(text, path=path)
        if len(data) < end - start:
            text = f"cannot read it: the storage returned {len(data):,} of {end - start:,} bytes; try again"
            raise LogReadError(text, path=path, offset=start)
    return [bytes(data) for data in found if not isinstance(data, BaseException)]


def fetch_each(path: RemotePath, ranges: Sequence[Range]) -> list[bytes | BaseException]:
    """The bytes of *ranges*, all in the file system of *path*, or for each the error that occurred."""
    fs, _ = _storage(path)
    with _typing(path):
        names, starts, ends = map(list, zip(*ranges, strict=True))
        if len(ranges) == 1:
            return [fs.cat_file(names[0], start=starts[0], end=ends[0])]
        return list(fs.cat_ranges(names, starts, ends, on_error="return"))


def list_folder(folder: RemotePath) -> dict[str, Info | None] | None:
    """The contents of a folder: by name, what the storage reports about each file; None if there is no such folder.

    Raises:
        LogReadError: when the storage does not say.

    """
    name, found = _ask(folder, lambda fs, name: fs.ls(name, detail=True))
    if found is None:
        return None
    inside: dict[str, Info | None] = {}
    for one in found:
        inner = _below(one["name"], name)
        if not inner and one["type"] == "file" and one["size"]:
            return None  # it is a file
        if inner:
            inside[inner] = None if one["type"] == "directory" else Info.of(_join(name, inner), one)
    return inside


def find(folder: RemotePath) -> dict[str, Info | None]:
    """All files below a folder, by their paths relative to it; raises as `list_folder` does."""
    name, found = _ask(folder, lambda fs, name: fs.find(name, detail=True))
    every = (found or {}).items()
    files = {_below(full, name): one for full, one in every if one["type"] == "file" and full[-1:] != "/"}
    return {inner: Info.of(_join(name, inner), one) for inner, one in files.items() if inner}


def _below(full: str, folder: str) -> str:
    """The path of an object below *folder*; some file systems omit the bucket in their answers."""
    folder = folder.rstrip("/")
    for base in (folder, folder.partition("/")[2]):
        if base and (full.rstrip("/") == base or full.startswith(f"{base}/")):
            return full[len(base) + 1 :].rstrip("/")
    return full.strip("/")


def _join(folder: str, inner: str) -> str:
    return f"{folder.rstrip('/')}/{inner}" if folder else inner
