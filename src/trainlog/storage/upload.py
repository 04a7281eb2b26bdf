"""Uploading the files of a folder to a bucket: logs as parts that end at a frame, all other files whole.

The contents of the bucket are found by listing it, so that an upload continues after any kill, and does nothing the
second time. The local files are authoritative, and are only read.

A log in the bucket is only ever continued. If its bytes are not the first ones of the local log (which was replaced, or
cut and continued), the upload of that log is refused. With *overwrite* its parts are deleted, the last one first, and
new ones are sent when none are left. So the parts are always the first bytes of one log, never a mix of two.
"""

from __future__ import annotations

import os
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from trainlog.errors import InvalidPosition, LogExists, LogWriteError, TrainlogError
from trainlog.storage.location import PARTS
from trainlog.storage.locks import lock_owner
from trainlog.storage.parts import RemoteFolder, Stored, chain, chain_end, is_part, part_name, part_offsets
from trainlog.storage.source import Source, growing

__all__ = ["FrameEnd", "Sent", "Upload", "Waiting"]

FrameEnd = Callable[[int, int], int | None]
"""`trainlog.codec.Reader.frame_end` of a log."""

_LARGEST: Final = 16 << 20  # bytes of a part, which is held in memory; one frame alone may be larger
_SAMPLE: Final = 4096  # bytes at the beginning and at the end that are compared to distinguish two logs
_QUIET: Final = 10.0  # seconds since the last write after which a file counts as complete
_MOST_PAUSE: Final = 60.0  # between two parts of a log
_PAUSE_RATIO: Final = 0.01  # of the time since the first part, so that a long run has few parts
_GIVE_UP: Final = 8  # successive files that fail before the rest is not tried


class Waiting(NamedTuple):
    """Why bytes of a file are not in the bucket; ``failed`` if waiting does not help."""

    size: int
    why: str
    failed: bool = False


class Sent(NamedTuple):
    """What was sent of a file: the number of objects, and their bytes."""

    objects: int
    size: int


class _Different(LogExists):
    """The bucket has another log of that name."""


class _Log:
    """A log whose parts are uploaded."""

    def __init__(self, path: Path, name: str, target: RemoteFolder, listed: Mapping[str, Stored] | None) -> None:
        self._path = path
        self._name = name
        self._target = target
        self._listed = listed  # this log's objects in a fresh listing of the bucket; None without one
        self._parts: dict[int, int] = {}  # in the bucket: the offset and the size of each
        self._end: int | None = None  # of the compared bytes in the bucket; None before a comparison
        self._checksum = ""  # of the local file up to there
        self._first = time.monotonic()
        self._next = 0.0  # when the next small part is due

    def send(self, frame_end: FrameEnd, *, overwrite: bool, finish: bool, dry: bool) -> tuple[Sent, Waiting | None]:
        """Send the new whole frames, all of them if *finish*; return what was sent and what is left.

        Raises:
            _Different: when the bucket has a log that is not the beginning of this one.
            LogWriteError, LogReadError: when writing to the bucket or reading fails.

        """
        objects = size = 0
        with Source(self._path, growing) as source:
            limit = source.size  # what is written meanwhile is left to the next call: this one might never end
            end = self._compared(source, overwrite=overwrite, dry=dry)
            if dry:
                left = (frame_end(end, source.size) or end) - end
                return Sent(-(-left // _LARGEST), left), None
            while end < limit and (stop := self._stop(frame_end, end)) > end:
                if not finish and limit - end < _LARGEST and time.monotonic() < self._next:
                    return Sent(objects, size), Waiting(stop - end, "the next part is not due yet")
                if self._create(source, end, stop):
                    objects, size, end = objects + 1, size + stop - end, self._advanced(source)
                elif (other := self._compared(source)) == end:
                    raise self.different("an object that is not a part of it where its next part belongs")
                else:
                    end = other
                if end >= limit and not self._target.at_once:  # another process may have replaced a part
                    self._end = None
                    end = self._compared(source)
        return Sent(objects, size), None

    def _stop(self, frame_end: FrameEnd, end: int) -> int:
        """Where the part that begins at *end* stops: at a frame, and before the next existing part."""
        later = min((offset for offset in self._parts if offset > end), default=None)
        stop = frame_end(end, _LARGEST if later is None else min(_LARGEST, later - end)) or end
        if later is not None and stop > later:
            raise self.different("a part begins inside a frame")
        return stop

    def _create(self, source: Source, start: int, stop: int) -> bool:
        """Create the part; False if another process was faster."""
        data = source.read(start, stop - start)
        if len(data) < stop - start or source.status.st_size < stop:
            raise LogWriteError("it was cut while it was read", path=self._path)
        end, self._end = self._end, None  # unknown until the part has been created
        try:
            self._target.create(part_name(self._name, start), data)
        except LogExists:
            return False
        self._parts[start], self._end = len(data), end
        self._next = time.monotonic() + min(_PAUSE_RATIO * (time.monotonic() - self._first), _MOST_PAUSE)
        return True

    def _advanced(self, source: Source) -> int:
        """Note where the log in the bucket ends now."""
        self._end = end = self.end
        self._checksum = source.checksum(end)
        return end

    @property
    def end(self) -> int:
        """Where the log in the bucket ends, as far as known."""
        return chain_end(self._parts)

    def compare(self) -> None:
        """Compare with the bucket without changing anything.

        Raises:
            _Different: as for `send`.

        """
        with Source(self._path) as source:
            self._compared(source, dry=True)

    def _compared(self, source: Source, *, overwrite: bool = False, dry: bool = False) -> int:
        """Where the log in the bucket, which is the beginning of the local one, ends."""
        if self._end is not None:
            try:
                source.check(self._end, self._checksum)
            except InvalidPosition:
                self._end = None  # it was cut or replaced
        if self._end is None:
            listed, self._listed = self._listed, None
            if listed is None:
                listed = self._target.find_log(self._name)
            self._parts = part_offsets(self._name, listed)
            try:
                self._compare(source, is_whole=self._name in listed)
            except _Different:
                if not overwrite:
                    self._parts = {}  # they are of another log
                    raise
                if dry:
                    return 0
                self._delete(self._parts)  # the last one first: what is left is the beginning of one log
                self._target.delete(self._name)
            if not dry:
                self._tidy(listed)
            return self._advanced(source)
        return self._end

    def _tidy(self, listed: Mapping[str, Stored]) -> None:
        """Delete leftovers of killed uploads, and bytes that two uploads sent where creation is not exclusive."""
        self._target.clean(listed)
        chained, end = dict(chain(self._parts)), self.end
        self._delete(
            [offset for offset, size in self._parts.items() if offset not in chained and (offset < end or not size)]
        )

    def _compare(self, source: Source, *, is_whole: bool) -> None:
        end = self.end
        if is_whole:
            raise self.different("an object of that name, which is not one of its parts")
        if end > source.size:
            raise self.different(f"{end:,} bytes of it, and the local file has {source.size:,}")
        size = min(_SAMPLE, end)
        remote = zlib.crc32(self._read(end - size, end), zlib.crc32(self._read(0, size)))
        if end and f"{remote:08x}" != source.checksum(end):
            raise self.different("other bytes than the local file")
        for offset, size in self._parts.items():
            if offset > end and size and not self._is_same(source, offset, size):
                raise self.different("other bytes than the local file after a missing part")

    def _is_same(self, source: Source, offset: int, size: int) -> bool:
        """Whether a part after a gap that will be filled is the same as in the local file, byte for byte."""
        if offset + size > source.size:
            return False
        return self._target.read(part_name(self._name, offset), 0, size) == source.read(offset, size)

    def _read(self, start: int, stop: int) -> bytes:
        found = b""
        for offset, end in chain(self._parts):
            if offset < stop and start < end:
                name = part_name(self._name, offset)
                first, last = max(start, offset) - offset, min(stop, end) - offset
                data = self._target.read(name, first, last)
                if len(data) != last - first:
                    raise LogWriteError(f"{self._target.address(name)} was changed by another process")
                found += data
        return found

    def _delete(self, offsets: Iterable[int]) -> None:
        """Delete these parts, the last one first."""
        for offset in sorted(offsets, reverse=True):
            self._target.delete(part_name(self._name, offset))
            del self._parts[offset]

    def different(self, what: str) -> _Different:
        """The error that says *what* differs."""
        where = self._target.address(self._name)
        return _Different(
            f"the log at {where} is not the beginning of this one ({what}); it is only sent if you overwrite that one",
            path=self._path,
        )


class _File:
    """A file that is uploaded as a whole."""

    def __init__(self, path: Path, name: str, target: RemoteFolder, stored: Stored | None) -> None:
        self._path = path
        self._name = name
        self._target = target
        self._stored = stored

    def send(self, *, finish: bool, dry: bool) -> tuple[Sent, Waiting | None]:
        """Send the file if it has changed and nobody is writing it."""
        before = self._path.stat()
        stored, size = self._stored, before.st_size
        if stored is not None and stored.size == size and _last_write(before) <= stored.modified:
            return Sent(0, 0), None
        if owner := lock_owner(self._path):
            return Sent(0, 0), Waiting(size, f"{owner} is writing it, and it can only be sent as a whole")
        if not finish and 0 <= time.time() - before.st_mtime < _QUIET:
            return Sent(0, 0), Waiting(size, "it was written a moment ago, and can only be sent as a whole")
        if not dry:
            self._target.put(self._name, self._path)
            after = self._path.stat()
            if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                return Sent(1, size), Waiting(after.st_size, "it was written while it was sent")
            self._stored = Stored(size, _last_write(before))
        return Sent(1, size), None


def _last_write(status: os.stat_result) -> float:
    """When the file was last written; ``st_mtime`` can be set to any time, also in the future, ``st_ctime`` cannot."""
    return min(status.st_mtime, status.st_ctime)


@dataclass
class Upload:
    """Uploads a folder, or one log in it, to a folder of a bucket, by repeated calls of `step`.

    Attributes:
        source: the folder.
        target: the folder of the bucket.
        frame_end: returns `trainlog.codec.Reader.frame_end` of a file; None for a file that is uploaded whole.
        only: the name of the log in *source*; files whose names begin with its name and a dot are uploaded as well.
        overwrite: whether to replace a log of the bucket that is not the local one.
        jobs: how many files are uploaded at once.
        listed: the contents of the bucket, as returned by `RemoteFolder.find`; None to list them.
        sent: what the last step has sent, by file name.
        waiting: what the last step has not sent, by file name.
        left_out: links, anything that is not a regular file, and parts next to their log; these are not uploaded.

    """

    source: Path
    target: RemoteFolder
    frame_end: Callable[[Path], FrameEnd | None]
    only: str | None = None
    overwrite: bool = False
    jobs: int = 1
    listed: Mapping[str, Stored] | None = None
    sent: dict[str, Sent] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    _logs: dict[str, _Log] = field(default_factory=dict)
    _files: dict[str, _File] = field(default_factory=dict)
    _done: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # their states when all of each was sent
    _known: dict[str, dict[str, Stored]] | None = None  # the listed objects, by file name
    _failures: int = 0  # in succession
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def step(self, *, finish: bool = True, dry: bool = False) -> None:
        """Send what is new.

        Args:
            finish: send everything. Otherwise small parts wait until they are due, and files until nobody writes them.
            dry: only report in ``sent`` what would be sent.

        Raises:
            LogWriteError: when the bucket cannot be listed. Errors with single files are in ``waiting``.

        """
        self.sent, self.waiting, self.left_out, self._failures = {}, {}, [], 0
        names = list(self._names())
        if self.only is not None and self.only not in names:
            self.waiting[self.only] = Waiting(0, "there is no regular file of this name yet")
        if self._known is None:
            self._known = _grouped(self._list() if self.listed is None else self.listed)
        if self.jobs == 1 or len(names) < 2:
            for name in names:
                self._send(name, finish=finish, dry=dry)
            return
        with ThreadPoolExecutor(self.jobs, "trainlog upload") as pool:
            for _ in pool.map(lambda name: self._send(name, finish=finish, dry=dry), names):
                pass
        self.sent, self.waiting = dict(sorted(self.sent.items())), dict(sorted(self.waiting.items()))

    def end(self, name: str) -> int:
        """Where the log *name* ends in the bucket, as far as known."""
        return self._logs[name].end if name in self._logs else 0

    def compare(self, name: str) -> None:
        """Check that the log *name* in the bucket, if there is one, is the beginning of the local one.

        Raises:
            LogExists: when it is not.
            LogWriteError: when the bucket cannot be read.

        """
        listed = None if self.listed is None else _grouped(self.listed).get(name, {})
        log = self._logs[name] = _Log(self.source / name, name, self.target, listed)
        log.compare()

    def _list(self) -> dict[str, Stored]:
        return self.target.find() if self.only is None else self.target.find_log(self.only)

    def _send(self, name: str, *, finish: bool, dry: bool) -> None:
        path = self.source / name
        try:
            status = path.stat()
        except OSError:
            return  # it was deleted meanwhile; the bucket keeps its objects
        identity = status.st_ino, status.st_size, status.st_mtime_ns
        if self._done.get(name) == identity:
            return
        try:
            if self._failures >= _GIVE_UP:
                raise LogWriteError("it was not tried, as all files before it failed")
            sent, waiting = self._sent(path, name, finish=finish, dry=dry)
            self._failures = 0
        except (TrainlogError, OSError) as error:
            self._failures += isinstance(error, LogWriteError)
            left = max(status.st_size - self.end(name), 0)
            sent, waiting = Sent(0, 0), Waiting(left, str(error), failed=True)
        with self._lock:
            if sent.objects:
                self.sent[name] = sent
            if waiting is not None:
                self.waiting[name] = waiting
            elif not dry:
                self._done[name] = identity

    def _sent(self, path: Path, name: str, *, finish: bool, dry: bool) -> tuple[Sent, Waiting | None]:
        frame_end = None if is_part(name) else self.frame_end(path)
        listed = (self._known or {}).pop(name, {})
        if frame_end is not None:
            log = self._logs.setdefault(name, _Log(path, name, self.target, listed))
            return log.send(frame_end, overwrite=self.overwrite, finish=finish, dry=dry)
        if not self.overwrite and (name in self._logs or any(map(is_part, listed))):
            # A power cut took its header, or another file is in its place. Sent as a whole, it would hide the parts.
            raise self._logs.setdefault(name, _Log(path, name, self.target, listed)).different("this file is not a log")
        file = self._files.setdefault(name, _File(path, name, self.target, listed.get(name)))
        return file.send(finish=finish, dry=dry)

    def _names(self) -> Iterator[str]:
        """The names of the files relative to the folder, without hidden ones and links; *only* may be either."""
        for entry in self._entries(self.source):
            if self.only is None or entry.name == self.only or entry.name.startswith(f"{self.only}."):
                yield from self._files_of(entry, entry.name)

    def _files_of(self, entry: os.DirEntry[str], name: str) -> Iterator[str]:
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_folder and name.endswith(PARTS) and Path(entry.path.removesuffix(PARTS)).exists():
            self.left_out.append(name)  # of the log next to it, whose parts have these names in the bucket
        elif is_folder:
            for inside in self._entries(Path(entry.path), name):
                yield from self._files_of(inside, f"{name}/{inside.name}")
        elif entry.is_file(follow_symlinks=name == self.only):
            yield name
        else:
            self.left_out.append(name)

    def _entries(self, folder: Path, name: str = ".") -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                shown = [one for one in entries if one.name[0] != "." or one.name == self.only]
            return sorted(shown, key=lambda one: one.name)
        except OSError as error:
            self.waiting[name] = Waiting(0, f"cannot list it: {error.strerror}", failed=True)
            return []


def _grouped(listed: Mapping[str, Stored]) -> dict[str, dict[str, Stored]]:
    """The *listed* objects, grouped by the file that they belong to; parts are in a folder named after it."""
    found: dict[str, dict[str, Stored]] = {}
    for name, stored in listed.items():
        folder = name.rpartition("/")[0]
        found.setdefault(folder.removesuffix(PARTS) if folder.endswith(PARTS) else name, {})[name] = stored
    return found
