"""Which logs there are below the served folders: found by content, again and again, and never outside of them."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from trainlog import registry
from trainlog.errors import LogNotFound, LogReadError, TrainlogError, UnknownFormat
from trainlog.plugins import accepts
from trainlog.server.log import FileState
from trainlog.server.summary import Digest
from trainlog.storage.location import PARTS, RemotePath
from trainlog.storage.source import Source

__all__ = ["Catalog", "Entry"]

LIVE: Final = 20.0  # a log that grew within so many seconds is being written
DEPTH: Final = 16
MOST: Final = 20_000  # files that are looked at
_HEAD: Final = 4096
_TOGETHER: Final = 64  # files in an object storage of which the beginnings are read together
_BEGINNING: Final = 1 << 16  # bytes of each
_REMOTE_PAUSE: Final = 5.0  # seconds between two listings of an object storage, each of which costs money


@dataclass(slots=True)
class Entry:
    """A log that was found.

    Attributes:
        id: made of its place, so that it is the same after a restart.
        name: its path below the served folder, with ``/``.
        path: the file; only for this server's own eyes.
        codec: the name of its format.
        stamp: of the file when it was last looked at.
        grown: when it was last seen to grow, by the clock of this machine; 0 when that was not seen.
        digest: what the list tells of it.
        error: why it cannot be read, or empty.

    """

    id: str
    name: str
    path: Path
    codec: str
    stamp: FileState
    files: tuple[Path, ...] = ()
    size: int = 0
    modified: float = 0.0
    grown: float = 0.0
    digest: Digest | None = None
    error: str = ""
    meta: dict[str, Any] = field(default_factory=dict)

    def is_live(self) -> bool:
        """Whether somebody writes it."""
        now = time.time()
        return now - self.grown < LIVE or 0 <= now - self.modified < LIVE


class Catalog:
    """All logs below the served folders, looked for by a thread of its own.

    Attributes:
        entries: by id.
        version: grows with every change.
        on_change: called when there is one.

    """

    def __init__(self, roots: list[Path], pause: float = 1.0) -> None:
        """Serve *roots*, folders and files.

        Raises:
            LogNotFound: when one of them does not exist.

        """
        self.roots = []
        for root in roots:
            if not root.exists():
                raise LogNotFound("there is no such file or folder", path=root)
            self.roots.append(root.resolve())
        self._codecs = [one for one in registry.list_codecs() if one.reads]
        self._several = len(self.roots) > 1
        is_remote = any(isinstance(root, RemotePath) for root in self.roots)
        self._pause = max(pause, _REMOTE_PAUSE) if is_remote else pause
        self.entries: dict[str, Entry] = {}
        self._foreign: dict[Path, FileState] = {}  # files that are no logs
        self._stamps: dict[Path, FileState] = {}  # of files in object storages
        self.version = 0
        self.left_out = 0
        self.on_change: Callable[[], object] = lambda: None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="catalog", daemon=True)

    def start(self) -> None:
        """Look once, quickly, and go on in the background."""
        self.scan()
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def find(self, id: str) -> Entry | None:
        """The log of that id; only ids that were given out lead to a file."""
        return self.entries.get(id)

    def named(self, name: str) -> Entry | None:
        """The log that the list calls by that name; never is a path made of what a client sends."""
        entry = next((entry for entry in list(self.entries.values()) if entry.name == name), None)
        if entry is None and not self._closed:
            self.scan()
            entry = next((entry for entry in list(self.entries.values()) if entry.name == name), None)
        return entry

    def is_inside(self, path: Path) -> bool:
        """Whether *path*, with all symbolic links followed, is one of the served files, or in a served folder."""
        if isinstance(path, RemotePath):
            return any(path.below(root) is not None for root in self.roots)
        real = Path(os.path.realpath(path))
        return any(real == root or (root in real.parents and root.is_dir()) for root in self.roots) or any(
            root.is_file() and real.parent == root.parent and real.name.startswith(root.name) for root in self.roots
        )

    def opened(self, entry: Entry) -> Path:
        """The file of *entry*, after another look at where it leads.

        Raises:
            LogNotFound: when it has gone, or has become a link that leads out.

        """
        for path in (entry.path, *entry.files):
            if path.exists() and not self.is_inside(path):
                raise LogNotFound("it is not in the served folder any more")
        if not entry.path.is_file():
            raise LogNotFound("the file is not there any more")
        return entry.path

    def _run(self) -> None:
        while not self._closed:
            began = time.monotonic()
            with suppress(LogReadError):  # of an object storage; the next look may have an answer
                self.scan()
                self._digest()
            self._wake.wait(max(self._pause, 5 * (time.monotonic() - began)))

    def scan(self) -> None:
        """Look for new logs, changed ones, and ones that have gone."""
        with self._lock:
            seen: dict[str, Entry] = {}
            taken: set[Path] = set()
            changed = False
            for root, path, status in self._files():
                if path in taken:
                    continue
                stamp = FileState.of_status(status)
                name = self._name(root, path)
                id = hashlib.blake2b(f"{root}\0{name}".encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
                old = self.entries.get(id)
                if old is not None and old.stamp == stamp:
                    entry: Entry | None = old
                elif old is not None and not old.error and old.stamp[:2] == stamp[:2]:
                    entry = old
                    self._touch(old, stamp)
                    changed = True
                elif self._foreign.get(path) == stamp:
                    continue
                else:
                    entry = self._look(id, name, path, stamp)
                    changed = True
                if entry is None:
                    self._foreign[path] = stamp
                    continue
                self._measure(entry, path)
                taken.update(entry.files)
                seen[id] = entry
            for entry in list(seen.values()):
                if any(entry.path in other.files[1:] for other in seen.values() if other is not entry):
                    del seen[entry.id]
            changed |= seen.keys() != self.entries.keys()
            self.entries = seen
            if changed:
                self.version += 1
        if changed:
            self.on_change()

    def _files(self) -> Iterator[tuple[Path, Path, os.stat_result]]:
        count = 0
        for root in self.roots:
            if isinstance(root, RemotePath):
                found: Iterable[tuple[Path, os.stat_result]] = self._listed(root)
            else:
                found = [(root, root.stat())] if root.is_file() else _walk(root)
            for path, status in found:
                if path.is_symlink() and not self.is_inside(path):
                    continue
                count += 1
                if count > MOST:
                    self.left_out = count - MOST
                    return
                yield root, path, status
        self.left_out = 0

    def _listed(self, root: RemotePath) -> Iterator[tuple[Path, os.stat_result]]:
        """The files below *root* by one listing, which answers what is asked of them meanwhile."""
        from trainlog.storage.remote import prefetch

        whole = root.listed()
        paths = [whole / name for name, _ in sorted(whole.listing.files())] or [root]
        for start in range(0, len(paths), _TOGETHER):
            some = [(path, path.stat()) for path in paths[start : start + _TOGETHER] if path.is_file()]
            stamps: dict[Path, FileState] = {path: FileState.of_status(status) for path, status in some}
            prefetch((path for path in stamps if self._stamps.get(path) != stamps[path]), _BEGINNING)
            self._stamps |= stamps
            yield from some

    def _name(self, root: Path, path: Path) -> str:
        if root == path:
            return path.name
        name = path.relative_to(root).as_posix()
        return f"{root.name}/{name}" if self._several else name

    def _look(self, id: str, name: str, path: Path, stamp: FileState) -> Entry | None:
        """A new or changed file: the log that it is, or None."""
        try:
            with Source(path) as source:
                head = source.read(0, _HEAD)
            found = (one for one in self._codecs if accepts(one.codec, one.distribution, path, head))
            codec = next((one.codec for one in found), None)
        except (OSError, TrainlogError):
            return None
        if codec is None:
            return None
        entry = Entry(id, name, _alone(path), codec.name, stamp, files=tuple(codec.files(path)))
        if path not in self.roots and entry.files[0] != path and entry.files[0].is_file():
            return None  # another file, which will be met too, is the one that names all the others
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                reader = codec.read(path)
            entry.meta = dict(reader.header.meta)
            entry.files = tuple(map(_alone, reader.files))
        except UnknownFormat:
            if not head:
                return None
            entry.error = f"this version of {codec.name} is not known"
        except TrainlogError as error:
            entry.error = error.message
        except Exception as error:  # noqa: BLE001 - a plug-in's reader may raise anything; the page shows it
            entry.error = f"{type(error).__name__}: {error}"
        return entry

    def _touch(self, entry: Entry, stamp: FileState) -> None:
        if stamp.size < entry.stamp.size:
            entry.digest = None
        if stamp.size > entry.stamp.size:
            entry.grown = time.time()
        entry.stamp = stamp

    def _measure(self, entry: Entry, path: Path) -> None:
        """Size and time of change of all files of a log; a descriptor does not grow while the data do."""
        files = entry.files or (entry.path,)
        if isinstance(path, RemotePath):
            files = tuple(path.with_name(file.name) for file in files)  # which the listing knows
        states = [state for state in map(FileState.of, files) if state.size >= 0]
        size = sum(state.size for state in states)
        if entry.size and size > entry.size:
            entry.grown = time.time()
        entry.size, entry.modified = size, max((state.modified / 1e9 for state in states), default=0.0)

    def _digest(self) -> None:
        """Bring up to date what the list tells of each log, the newest first."""
        changed = False
        for entry in sorted(self.entries.values(), key=lambda entry: -entry.modified):
            if self._closed:
                return
            if entry.error or (entry.digest is not None and entry.digest.size == entry.size):
                continue
            try:
                if entry.digest is None:
                    entry.digest = Digest(self.opened(entry))
                changed |= entry.digest.update(entry.size)
            except (TrainlogError, OSError, ValueError) as error:
                entry.error = getattr(error, "message", None) or str(error)
            except Exception as error:  # noqa: BLE001 - as above
                entry.error = f"{type(error).__name__}: {error}"
        if changed:
            self.version += 1
            self.on_change()


def _alone(path: Path) -> Path:
    return path.alone() if isinstance(path, RemotePath) else path


def _walk(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The files below *root*, sorted, hidden ones and links to folders left out."""
    for name, folders, files in os.walk(root):
        folder = Path(name)
        is_deep = len(folder.relative_to(root).parts) >= DEPTH
        # Logs in parts are opened by name; one part of them is no log.
        folders[:] = [] if is_deep else sorted(one for one in folders if one[0] != "." and not one.endswith(PARTS))
        for path in (folder / one for one in sorted(files) if not one.startswith(".")):
            try:
                status = path.stat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield path, status
