"""The runs of several folders and logs, followed by threads while a program runs."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from trainlog.catalog.digest import Digest
from trainlog.catalog.facts import Facts
from trainlog.catalog.files import leads_out
from trainlog.catalog.filter import searched
from trainlog.catalog.follow import CatalogFollower
from trainlog.catalog.notes import Notes
from trainlog.catalog.run_info import row_of
from trainlog.catalog.store import Entry
from trainlog.errors import LogNotFound, TrainlogError
from trainlog.find_logs import distinct_ends
from trainlog.storage.location import RemotePath

__all__ = ["LiveCatalog", "LiveRun"]

_FIRST: Final = 4.0  # seconds that `start` waits for the first look at most
REMOTE_PAUSE: Final = 5.0  # seconds between listings of an object storage, which cost money


@dataclass(frozen=True, eq=False)
class LiveRun:
    """A log that was found.

    Attributes:
        id: derived from its path, so that it is the same after a restart.
        name: its path below the folder, with ``/``; it starts with the name of the folder if there are several. If the
            folder itself is the log, it is that name. Folders of one name have the names of those above them, too.
        root: the folder, or the log itself.
        path: the log.
        known: what the catalog knows about it.
        notes: what users have noted about it.

    """

    id: str
    name: str
    root: Path
    path: Path
    known: Entry
    notes: Mapping[str, Any]

    @property
    def facts(self) -> Facts:
        """What is known about its content."""
        return self.known.facts

    @property
    def files(self) -> tuple[Path, ...]:
        """Its files, if it has several in one folder."""
        if len(self.facts.files) < 2:
            return ()
        folder = self.path if self.path.is_dir() else self.path.parent
        return tuple(folder / one for one in self.facts.files)

    @cached_property
    def row(self) -> dict[str, Any]:
        """Its row for the table and for filters; see `trainlog.catalog.runs.Runs.config`."""
        return row_of(self.name, self.facts, self.notes)

    @cached_property
    def searched(self) -> str:
        """See `trainlog.catalog.filter.searched`."""
        return searched(self.row)


class LiveCatalog:
    """All runs below some folders; one thread finds them, another reads them.

    Attributes:
        entries: the runs by id.
        version: increases with every change.
        left_out: the number of folders that have more files than the limit.
        is_complete: whether all headers have been looked at once.
        on_change: called after a change.

    """

    def __init__(self, roots: list[Path], pause: float = 1.0, *, read_only: bool = False) -> None:
        """Follow *roots*, folders and logs.

        Args:
            roots: where the runs are.
            pause: the minimum number of seconds between two looks.
            read_only: whether to refuse to store notes on runs.

        Raises:
            LogNotFound: if one of *roots* does not exist.

        """
        self.roots = []
        for root in roots:
            if not root.exists():
                raise LogNotFound("there is no such file or folder", path=root)
            self.roots.append(root.resolve())
        self._names = _names(self.roots)
        self._followers = {root: CatalogFollower(root) for root in self.roots}
        self.notes = {root: Notes(root if root.is_dir() else root.parent, read_only=read_only) for root in self.roots}
        self._found: dict[Path, dict[str, LiveRun]] = {root: {} for root in self.roots}
        is_remote = any(isinstance(root, RemotePath) for root in self.roots)
        self._pause = max(pause, REMOTE_PAUSE) if is_remote else pause
        self.entries: dict[str, LiveRun] = {}
        self.version = self.left_out = 0
        self.is_complete = False
        self.on_change: Callable[[], object] = lambda: None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._begun = threading.Event()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, args=(act,), name=f"catalog, {act.__name__}", daemon=True)
            for act in (self.scan, self.read)
        ]

    def start(self) -> None:
        """Start the threads, and wait for the first look, but no longer than a user of a browser would."""
        for thread in self._threads:
            thread.start()
        self._begun.wait(_FIRST)

    def close(self) -> None:
        """End the threads; one that waits for a reading process ends with this process."""
        self._closed = True
        self._wake.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(1)

    def _run(self, act: Callable[[], bool]) -> None:
        while not self._closed:
            began = time.monotonic()
            is_more = False
            with suppress(TrainlogError, OSError):  # of an object storage or a disk; the next look may succeed
                is_more = act()
            pause = 0.0 if is_more else self._pause
            self._wake.wait(pause if act == self.read else max(pause, 5 * (time.monotonic() - began)))

    def named(self, name: str) -> LiveRun | None:
        """The run of that name, after another look if it is not known; *name* is never used as a path."""

        def find() -> LiveRun | None:
            return next((run for run in list(self.entries.values()) if run.name == name), None)

        if (run := find()) is None and not self._closed:
            self.scan()
            run = find()
        return run

    @staticmethod
    def path_of(run: LiveRun) -> Path:
        """The path of the log of *run*, after checking again where it leads.

        Raises:
            LogNotFound: if it is gone, or has become a link that leads out of the folder.

        """
        for path in (run.path, *run.files):
            if path.exists() and (not _is_inside(path, run.root) or (path.is_dir() and leads_out(path, run.root))):
                raise LogNotFound("it is no longer in the served folder")
        if not run.path.exists() and run.path.name in run.facts.files:
            raise LogNotFound("the file is gone")
        return run.path

    def scan(self) -> bool:
        """Look for new, changed and removed logs."""
        for root, follower in self._followers.items():
            if not self._closed:
                self.notes[root].refresh()
                self._publish(root, follower.look(), is_all=True)
        self.left_out = sum(follower.left_out for follower in self._followers.values())
        self.is_complete = True
        self._begun.set()
        for entry in list(self.entries.values()):
            _ = entry.searched  # computed now, so that typing a filter does not have to wait for it
        return False

    def read(self) -> bool:
        """Update what the list shows from the frames of some logs; return whether there may be more."""
        found = False
        for root, follower in self._followers.items():
            if not self._closed and (runs := follower.read()):
                found = True
                self._publish(root, runs, is_all=False)
        return found

    def annotate(self, entry: LiveRun, fields: Mapping[str, Any]) -> None:
        """Store a user's notes on a run.

        Raises:
            TrainlogError: if they cannot be stored.

        """
        self.notes[entry.root].annotate(entry.known.path, fields)
        self._publish(entry.root, {entry.known.path: entry.known}, is_all=False)

    def _publish(self, root: Path, runs: Mapping[str, Entry], *, is_all: bool) -> None:
        with self._lock:
            before, notes = self._found[root], self.notes[root].runs
            found = {} if is_all else dict(before)
            for name, known in runs.items():
                old, said = before.get(name), notes.get(name, {})
                if old is not None and old.known is known and old.notes == said:
                    found[name] = old
                elif is_all or name in before:
                    found[name] = self._entry(root, name, known, said)
            if found == before:
                return
            self._found[root] = found
            self.entries = {entry.id: entry for each in self._found.values() for entry in each.values()}
            self.version += 1
        self.on_change()

    def _entry(self, root: Path, name: str, known: Entry, notes: Mapping[str, Any]) -> LiveRun:
        shown = name or self._names[root]  # a folder that is one log has no further name
        if name and len(self.roots) > 1:
            shown = f"{self._names[root]}/{name}" if root.is_dir() else self._names[root]
        id = hashlib.blake2b(f"{root}\0{shown}".encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
        path = self._followers[root].path(name)
        if isinstance(path, RemotePath):
            path = path.alone()  # the listing is only a snapshot
        return LiveRun(id, shown, root, path, known, notes)

    def digests(self, entries: Iterable[LiveRun]) -> Iterator[tuple[LiveRun, Digest]]:
        """Yield the digests of the runs that were read, one by one, as all of them together would be large."""
        for root, follower in self._followers.items():
            mine = {entry.known.path: entry for entry in entries if entry.root == root}
            unread = {name for name, entry in mine.items() if entry.facts.read}
            for name, _, digest, _ in follower.store.digests(mine):
                unread.discard(name)
                yield mine[name], digest
            follower.read_again(unread)  # the catalog was deleted


def _names(paths: Iterable[Path]) -> dict[Path, str]:
    """The names of *paths*, with as many folders above them as tell all of them apart."""
    paths = list(paths)
    ends = distinct_ends([[*(one.name for one in reversed(path.parents)), path.name] for path in paths])
    return {path: "/".join(end).lstrip("/") for path, end in zip(paths, ends, strict=True)}


def _is_inside(path: Path, root: Path) -> bool:
    """Whether *path*, with all symbolic links resolved, is *root*, in that folder, or another file of that log."""
    if isinstance(path, RemotePath):
        return path.below(root) is not None
    real = Path(os.path.realpath(path))
    if root.is_dir():
        return root in (real, *real.parents)
    return real.parent == root.parent and real.name.startswith(root.name)
