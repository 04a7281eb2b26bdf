"""Logs in object storages: which exist, and their bytes.

An answer of the storage is valid for two seconds, and the bytes that were read of a file are shared by all its readers:
a small log takes one request. A file that has grown is followed if a sample of its bytes shows that it is the same;
reading a file that was replaced raises `InvalidPosition`.

A log that is being uploaded is a folder ``run.flog.parts`` of objects that never change, each named by the byte of the
log at which it begins, in 20 digits. It is read as the file ``run.flog``: the part at byte 0, then the part named by
the byte where the first one ends, and so on.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from trainlog.errors import InvalidPosition, LogNotFound, LogReadError, TrainlogError, UnknownFormat
from trainlog.storage.filesystem import Info, Range, fetch, fetch_each, find, info_of, list_folder, name_of, start_of
from trainlog.storage.location import PARTS, RemotePath, location
from trainlog.storage.parts import PART, chain, is_part
from trainlog.storage.snapshot import Snapshot, forget_bytes, lock
from trainlog.storage.source import Source, Wait, never

__all__ = [
    *("Listing", "RemoteSource", "forget", "list_tree", "look", "names_in", "prefetch", "status"),
    "status_of",
]

FIRST: Final = 1 << 20
"""Bytes to request of a file about which nothing is known: all of a small one."""

_FRESH: Final = 2.0  # seconds for which an answer of the storage is valid
_LISTED: Final = 30.0  # seconds for which a listing of a tree is valid
_KNOWN: Final = 1 << 15  # files and folders whose answers are kept
_WINDOW: Final = 64 << 20  # the most bytes that are read ahead
_LEAST: Final = 1 << 18  # bytes to read after a seek
_TRIES: Final = 4  # how often reading a file that grows meanwhile is tried


# --- what is there ---

_files: Final[OrderedDict[RemotePath, tuple[float, Snapshot | None]]] = OrderedDict()
_folders: Final[OrderedDict[RemotePath, tuple[float, tuple[str, ...] | None]]] = OrderedDict()
_asking: Final = [
    threading.RLock() for _ in range(64)
]  # each for some of the files, so that threads do not send the same request at once


def _after_fork() -> None:
    """Replace the locks: other threads of the parent may hold them, and do not exist here."""
    _asking[:] = [threading.RLock() for _ in _asking]


os.register_at_fork(after_in_child=_after_fork)


def forget() -> None:
    """Drop everything known about all files, as in a new process."""
    with lock:
        _files.clear()
        _folders.clear()
        forget_bytes()


def _remember(cache: OrderedDict[RemotePath, tuple[float, Any]], path: RemotePath, answer: Any) -> None:
    with lock:
        cache[path] = time.monotonic(), answer
        cache.move_to_end(path)
        while len(cache) > _KNOWN:
            cache.popitem(last=False)


def look(path: RemotePath, age: float = _FRESH, before: Snapshot | None = None) -> Snapshot | None:
    """The file at *path* as it was at most *age* seconds ago, or when it was listed; None if there is no file.

    Args:
        path: the path of the file.
        age: the age; 0 to ask the storage in any case.
        before: the file as it was when the caller last looked.

    Raises:
        LogReadError: when the storage does not say.

    """
    with _asking[hash(path) % len(_asking)]:
        with lock:
            asked, known = _files.get(path, (-_FRESH, before))
        if age and (listing := path.known_listing) is not None and listing.knows(path):
            found = listing.snapshot(path)
            if known is not None and found is not None and known is not found:
                found = _after(path, known, found)
        elif time.monotonic() - asked < age:
            return known
        else:
            began = time.monotonic()
            found = _first_look(path) if known is None else _another_look(path, known)
            if found is not None:
                found.taken = began
        _remember(_files, path, found)
        return found


def _first_look(path: RemotePath) -> Snapshot | None:
    """The file with its first bytes; a small file with all."""
    start = None if path.name.endswith(PARTS) else start_of(path, FIRST)
    if start is None:
        return _in_parts(path)
    name, data = start
    found = Snapshot([Info(name, len(data))], None)
    found.keep(0, data[:FIRST])
    if len(data) < FIRST:
        return found
    found.version = ""  # the current version, if the sample is the same
    return _another_look(path, found)


def _another_look(path: RemotePath, known: Snapshot) -> Snapshot | None:
    """The file as it is now, which was *known*: the same snapshot if it has not changed."""
    if known.is_immutable:
        found = _in_parts(path)
        return _first_look(path) if found is None else _after(path, known, found)
    info = info_of(path)
    return _in_parts(path) if info is None else _after(path, known, Snapshot([info], info.version))


def _after(path: RemotePath, known: Snapshot, found: Snapshot) -> Snapshot:
    """*found*, which replaces *known*, and follows it if the file has grown; *known* if it is the same."""
    if known.is_same(found):
        return known
    if known.is_immutable or found.is_immutable:
        may_follow = found.parts[: len(known.parts)] == known.parts
    else:
        may_follow = known.size < found.size or (known.version is None and known.size == found.size)
        may_follow = may_follow and _has_sample(path, found.parts[0].name, known)
    if may_follow:
        found.follow(known)
    return found


def _has_sample(path: RemotePath, name: str, known: Snapshot) -> bool:
    """Whether the file still holds what was read of it, judging by a sample: the last bytes."""
    start, sample = known.sample
    return not sample or fetch(path, [(name, start, start + len(sample))]) == [sample]


def _in_parts(path: RemotePath) -> Snapshot | None:
    """The log that was uploaded in parts; None if there are no parts."""
    folder = path if path.name.endswith(PARTS) else path.with_name(path.name + PARTS)
    return _joined(list_folder(folder) or {})


def _joined(objects: Mapping[str, Info | None]) -> Snapshot | None:
    """The chain of the objects that are parts, by their names; None if there is none."""
    found = {int(name): info for name, info in objects.items() if info is not None and PART.fullmatch(name)}
    parts = [found[start] for start, _ in chain({start: info.size for start, info in found.items()})]
    return Snapshot(parts, "/".join(part.version for part in parts), is_immutable=True) if parts else None


def names_in(path: RemotePath) -> tuple[str, ...] | None:
    """The names in a folder as it was two seconds ago, or when it was listed; None if there is no such folder.

    A log in parts appears under the name of the log.

    Raises:
        LogReadError: when the storage does not say.

    """
    if (listing := path.known_listing) is not None:
        return listing.names_in(path)
    with lock:
        asked, names = _folders.get(path, (-_FRESH, None))
    if time.monotonic() - asked >= _FRESH:
        found = list_folder(path)
        names = None if found is None else tuple(dict.fromkeys(name.removesuffix(PARTS) or name for name in found))
        _remember(_folders, path, names)
    return names


def status(path: RemotePath) -> os.stat_result:
    """What `os.stat` would return for the file; raises as `trainlog.storage.location.RemotePath.stat` does."""
    found = look(path)
    if found is None:
        raise LogNotFound("there is no such file", path=path)
    if found.version is None and not found.modified and (info := info_of(path)) is not None:
        found.modified = info.modified  # the only thing that was not known
    return status_of(found)


def status_of(found: Snapshot) -> os.stat_result:
    """The same for a snapshot; ``st_ino`` is its lineage."""
    whole, exact = int(found.modified), int(found.modified * 1e9)
    numbers = (stat.S_IFREG | 0o444, found.lineage, 0, 1, 0, 0, found.size, whole, whole, whole)
    times = dict.fromkeys(("st_atime", "st_mtime", "st_ctime"), found.modified)
    exactly = dict.fromkeys(("st_atime_ns", "st_mtime_ns", "st_ctime_ns"), exact)
    return os.stat_result(numbers, times | exactly)


class Listing:
    """The files below a folder as they were at most half a minute ago, without hidden ones.

    A log in parts is one file.
    """

    def __init__(self, root: RemotePath, files: Mapping[str, Info | Snapshot | None]) -> None:
        self._root = root
        self._taken = time.monotonic()
        self._files = dict(files)
        self._folders: dict[str, dict[str, None]] = {}
        for inner in self._files:
            below, is_new = inner, True
            while below and is_new:
                folder = below.rpartition("/")[0].rstrip("/")  # of two successive slashes, one belongs to the name
                is_new = folder not in self._folders
                self._folders.setdefault(folder, {})[below[len(folder) + bool(folder) :]] = None
                below = folder

    def covers(self, path: RemotePath) -> bool:
        """Whether the listing is still valid, and *path* is the folder or below it."""
        return time.monotonic() - self._taken < _LISTED and path.below(self._root) is not None

    def _inner(self, path: RemotePath) -> str:
        return path.below(self._root) or ""

    def knows(self, path: RemotePath) -> bool:
        """Whether the listing determines if there is a file at *path*, and which."""
        return self._files.get(self._inner(path), True) is not None

    def snapshot(self, path: RemotePath) -> Snapshot | None:
        """The file at *path*; None if there is none."""
        inner = self._inner(path)
        found = self._files.get(inner)
        if isinstance(found, Info):
            found = self._files[inner] = Snapshot([found], found.version)
        return found

    def info(self, path: RemotePath) -> Info | None:
        """What is known about the object at *path*, if the file is a single object; otherwise None."""
        found = self.snapshot(path)
        return None if found is None or found.is_immutable else found.parts[0]

    def names_in(self, path: RemotePath) -> tuple[str, ...] | None:
        """The names in a folder; None if there is no such folder."""
        found = self._folders.get(self._inner(path))
        return None if found is None else tuple(found)

    def names(self) -> Iterator[str]:
        """Yield the paths of all files and folders below the root."""
        yield from self._files
        yield from filter(None, self._folders)

    def files(self) -> Iterator[tuple[str, Info]]:
        """Yield the paths of all known objects and what is known about them; for a log in parts, of all its parts."""
        for inner, found in self._files.items():
            if isinstance(found, Snapshot):
                yield inner, Info(inner, found.size, found.version or "", found.modified)
            elif found is not None:
                yield inner, found


def list_tree(root: RemotePath) -> Listing:
    """List everything below *root*.

    Raises:
        LogReadError: when the storage does not say.

    """
    files: dict[str, Info | Snapshot | None] = {}
    parts: dict[str, dict[str, Info | None]] = {}
    for inner, info in find(root).items():
        folder, _, last = inner.rpartition("/")
        if any(part.startswith(".") for part in inner.split("/")):
            continue
        if is_part(inner):
            parts.setdefault(folder.removesuffix(PARTS), {})[last] = info
        else:
            files[inner] = info
    for inner, some in parts.items():
        if inner not in files and (joined := _joined(some)) is not None:
            files[inner] = joined
    return Listing(root, files)


def prefetch(paths: Iterable[Path], most: int = FIRST) -> None:
    """Fetch the beginnings of files concurrently; errors are raised when the files are read.

    Args:
        paths: the files. Paths that are not URLs, or are on another storage than the first, are skipped; of files that
            were not listed, only small ones are kept.
        most: the number of bytes of each.

    """
    wanted: list[tuple[RemotePath, Snapshot | None, Range]] = []
    with suppress(TrainlogError):
        for path in paths:
            if not isinstance(path, RemotePath) or (wanted and not path.shares_storage(wanted[0][0])):
                continue
            if path.known_listing is None and not _is_known(path):
                wanted.append((path, None, (name_of(path), 0, FIRST)))
            elif (found := look(path)) is not None and not found.chunks:
                ranges = [one for _, one in found.ranges(0, min(most, FIRST))]
                wanted += [(path, found, one) for one in ranges if len(ranges) == 1]
        answers = fetch_each(wanted[0][0], [one for _, _, one in wanted]) if wanted else []
        for (path, found, (name, start, end)), data in zip(wanted, answers, strict=True):
            if isinstance(data, BaseException):
                continue
            if found is None and len(data) < end:  # the whole file
                found = Snapshot([Info(name, len(data))], None)
                _remember(_files, path, found)
            if found is not None and len(data) == min(end - start, found.size):
                found.keep(0, bytes(data))


def _is_known(path: RemotePath) -> bool:
    with lock:
        return time.monotonic() - _files.get(path, (-_FRESH, None))[0] < _FRESH


# --- reading ---


class RemoteSource(Source):
    """The bytes of a log in an object storage; see `Source` for the methods.

    Sequential reads read ahead by growing amounts. A file that changes while it is read is noticed by its version,
    which is requested after each further read: bytes of two contents are never mixed.
    """

    def __init__(self, path: str | os.PathLike[str], wait: Wait = never) -> None:
        """Look at *path*.

        Raises:
            LogNotFound: when there is no such file.
            UnknownFormat: when it is a folder.
            LogReadError: when the storage does not say.

        """
        url = location(path)
        assert isinstance(url, RemotePath)
        self.path = self._url = url
        self.offset = 0
        self._wait = wait
        self._ahead, self._ahead_from = b"", 0
        self._unreadable = set()
        found = look(url)
        if found is None:
            if names_in(url) is not None:
                raise UnknownFormat("this is a folder, not a log", path=url)
            raise LogNotFound("there is no such file", path=url)
        self._found = found
        self._window = FIRST  # bytes of the last sequential read
        self._limit = found.size if wait is never else None

    def close(self) -> None:
        """Do nothing; nothing is open."""

    @property
    def status(self) -> os.stat_result:
        """What is known about the file."""
        return status_of(self._found)

    @property
    def size(self) -> int:
        """The size of the file at most two seconds ago; without a *wait*, never larger than when it was opened."""
        if self._limit is not None:
            return min(self._found.size, self._limit)
        if self._wait is not never and time.monotonic() - self._found.taken > _FRESH:
            self._look(_FRESH)
        return self._found.size

    def _look(self, age: float) -> bool:
        """Look at the file again; return whether it is unchanged.

        Raises:
            InvalidPosition: when it is another file.

        """
        found = look(self._url, age, self._found)
        if found is self._found:
            return True
        if found is None or found.lineage != self._found.lineage:
            raise InvalidPosition("the log was replaced or cut while it was read; read it again", path=self.path)
        self._found = found
        return False

    def block(self, offset: int, need: int = 1, most: int = sys.maxsize) -> bytes:
        """The bytes from *offset* on; see `Source.block`."""
        left = self.left(offset)
        chunk = min(most, self.CHUNK)
        stop = offset + min(left, chunk if need > left else max(need, chunk))
        return b"".join(data[max(offset - at, 0) : stop - at] for at, data in self._pieces(offset, stop))

    def is_at_hand(self, start: int, stop: int) -> bool:
        """Whether the bytes are in memory."""
        return not self._found.chunks.cover(start, min(stop, self.size))[1]

    def fill(self, buffer: memoryview, offset: int) -> int:
        """Put the bytes from *offset* on into *buffer*; see `Source.fill`."""
        stop = offset + min(len(buffer), self.left(offset))
        for at, data in self._pieces(offset, stop):
            first, last = max(offset, at), min(stop, at + len(data))
            buffer[first - offset : last - offset] = memoryview(data)[first - at : last - at]
        return stop - offset

    def data_from(self, offset: int) -> int:
        """*offset* itself: object storages do not report holes."""
        return offset

    def renew(self, at: int, before: str) -> None:
        """Look again at a log whose `checksum` up to byte *at* was *before*; see `Source.wait`."""
        self._look(_FRESH)
        if self.size < at or self.checksum(at) != before:
            raise InvalidPosition("the log was cut or overwritten while it was followed; read it again", path=self.path)

    def _pieces(self, start: int, stop: int) -> list[tuple[int, bytes]]:
        """Pieces that cover the bytes from *start* to *stop*, in order, each with its offset."""
        for _ in range(_TRIES):
            found = self._found
            pieces, missing = found.chunks.cover(start, stop)
            if not missing:
                return pieces
            missing[-1] = self._widened(*missing[-1])
            ranges = [one for first, last in missing for one in found.ranges(first, last)]
            read = fetch(self._url, [one for _, one in ranges])
            is_one_content = len(ranges) == 1 and not found.chunks
            # New parts leave the others unchanged.
            if is_one_content or self._look(0) or found.is_immutable:
                for (at, _), data in zip(ranges, read, strict=True):
                    found.keep(at, data)
                    if at < stop and start < at + len(data):
                        pieces.append((at, data))
                return sorted(pieces, key=lambda piece: piece[0])
        raise LogReadError("cannot read it: it changes faster than it can be read; try again", path=self.path)

    def _widened(self, first: int, last: int) -> tuple[int, int]:
        """The range to read if the bytes from *first* to *last* are missing."""
        chunks, size = self._found.chunks, self._found.size
        ahead = _LEAST
        if first < FIRST and chunks.has_end_at(first):  # the first MiB, of which a prefix is at hand
            ahead = FIRST - first
        elif chunks.has_end_at(first):  # sequential read; if the file can be kept as a whole, up to its end
            ahead = self._window = _WINDOW if size <= 2 * _WINDOW else min(16 * self._window, _WINDOW)
        elif behind := chunks.run_from(last):  # backward read: as much as was read of the end
            return max(first - min(behind, _WINDOW // 4), chunks.end_before(first)), last
        return first, max(last, min(first + ahead, size, chunks.next_after(first)))
