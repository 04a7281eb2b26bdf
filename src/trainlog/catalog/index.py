"""The catalog of a tree of logs: its runs and what is known about them; only changed files are looked at again."""

from __future__ import annotations

import glob
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from trainlog import registry
from trainlog.catalog.digest import Digest
from trainlog.catalog.facts import Facts
from trainlog.catalog.files import Files, stamp_of, stamp_of_info, walk
from trainlog.catalog.fragments import seconds_to_read
from trainlog.catalog.inspection import facts_of
from trainlog.catalog.states import OPEN_STATES, state_of
from trainlog.catalog.store import Entry, Store, location
from trainlog.catalog.workers import run_all
from trainlog.errors import LogNotFound
from trainlog.find_logs import Look, find_logs, matching, natural
from trainlog.storage.location import RemotePath, fixed_part, in_parts

__all__ = ["Catalog", "Progress"]

_CHUNK: Final = 64  # logs that a process gets at a time
_SAVE: Final = 5.0  # seconds between saves, so that an interrupted look is not wasted
_RACE: Final = 2_000_000_000  # nanoseconds: a file changed this shortly before a look may have changed again unnoticed
_HEADER: Final = 1 << 16  # first bytes of a log in an object storage, which nearly always have its header
_WHOLE: Final = 1 << 20  # bytes of such a log that are fetched together with those of others

Progress = Callable[[int, int], object]
"""Called with the number of logs looked at so far, and the total."""


class _Look(NamedTuple):
    """A task for a process: logs, what was known about each, and whether to read their frames.

    An error that is not a `TrainlogError` is raised, or with *any_error* recorded as a fact about the log.
    """

    paths: list[Path]
    before: list[tuple[Facts, Digest, str] | None]
    read: bool
    any_error: bool = False


def _answer(look: _Look) -> tuple[int, list[tuple[Facts, Digest, str]]]:
    """The start of the look, in nanoseconds since 1970, and what it found."""
    began = time.time_ns()
    if isinstance(look.paths[0], RemotePath):
        from trainlog.storage.remote import prefetch

        prefetch(look.paths, _WHOLE if look.read else _HEADER)
    pairs = zip(look.paths, look.before, strict=True)
    return began, [_known_of(path, look, known) for path, known in pairs]


def _known_of(path: Path, look: _Look, before: tuple[Facts, Digest, str] | None) -> tuple[Facts, Digest, str]:
    try:
        return facts_of(path, read=look.read, before=before)
    except Exception as error:  # a plug-in's reader can raise anything; the other logs continue
        if not look.any_error:
            raise
        why = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        return Facts([path.name], "?", state="unreadable", error=why), Digest(), ""


class Catalog:
    """The runs of one folder, one pattern, or one log.

    Attributes:
        root: the folder whose catalog is used.
        store: where its rows are stored.

    """

    _any_error = False
    _keeps_digests = False  # those that cannot be stored

    def __init__(self, where: Path) -> None:
        """Prepare to look at *where*.

        Raises:
            LogNotFound: if there is no such file or folder.

        """
        if not where.exists():
            where = in_parts(where) or where
        self._where = where
        self._is_remote = isinstance(where, RemotePath)
        self._is_tree = where.is_dir() and not registry.suffix_of(where)
        self._is_pattern = glob.has_magic(str(where)) and not where.exists()
        if self._is_pattern:
            self.root = fixed_part(where)
        elif not where.exists():
            raise LogNotFound("there is no such file or folder", path=where)
        else:
            self.root = where if where.is_dir() else where.parent
        self._is_file = not self._is_pattern and self.root != where
        root = self.root.as_posix()
        self._cut = 0 if root == "." else len(root) + (not root.endswith("/"))
        self.store = Store(location(self.root) if self._is_tree or self._is_pattern else None, keep=self._keeps_digests)

    def entries(self, *, read: bool, progress: Progress | None = None, workers: int | None = None) -> dict[str, Entry]:
        """The runs by name, in natural order; with *read*, all frames are read, so that the metrics are known.

        Raises:
            LogNotFound: if there are none.

        """
        if not (self._is_pattern or self._is_remote or self._where.exists()):
            raise LogNotFound("there is no such file or folder any more", path=self._where)
        self._list()
        known = self.store.entries()
        files = Files(self._found())
        _, runs = self._looked_at(known, files, read=read, progress=progress, workers=workers)
        self._renew_states(runs, files)
        return {name: runs[name] for name in sorted(runs, key=natural)}

    def _list(self) -> None:
        """List a tree in an object storage, once for this look.

        For a single log, the objects next to it are not listed.
        """
        if isinstance(self.root, RemotePath) and isinstance(self._where, RemotePath) and not self._is_file:
            self.root = self.root.listed()
            inner = self._where.below(self.root)
            self._where = self.root / inner if inner else self.root

    def _renew_states(self, runs: dict[str, Entry], files: Files) -> None:
        """Check whether the runs that were being written still are."""
        changed = []
        for name, entry in runs.items():
            if entry.facts.state in OPEN_STATES:
                paths = [self.root / one for one in files.members(name, entry.facts.files)]
                if (state := state_of(entry.facts, paths)) != entry.facts.state:
                    changed.append(entry._replace(facts=replace(entry.facts, state=state)))
        runs |= {entry.path: entry for entry in changed}
        self._store_states(changed)

    def _store_states(self, changed: list[Entry]) -> None:
        self.store.mark(changed)

    def path(self, name: str) -> Path:
        """The path of a run."""
        return self.root / name

    def _unchanged(self, known: dict[str, Entry], files: Files, *, read: bool) -> dict[str, Entry] | None:
        """The known runs, if no file has appeared, disappeared or changed; otherwise None."""
        if not files.stamps.keys() <= known.keys():
            return None
        runs = {}
        shards, joined = set(), set()
        for name, entry in known.items():
            if not entry.is_fresh(files.stamp(name, entry.facts.files), read=read):
                return None
            if entry.is_run:
                runs[name] = entry
                if name not in files.stamps:
                    joined.update(files.members(name, ()))
            elif entry.facts.rank is not None:
                shards.add(name)
        return runs if runs and shards <= joined else None  # a pattern may have matched shards, but not their log

    def _looked_at(
        self,
        known: dict[str, Entry],
        files: Files,
        *,
        read: bool,
        progress: Progress | None = None,
        workers: int | None = None,
    ) -> tuple[dict[str, Entry], dict[str, Entry]]:
        """All entries, and those of runs, after a look at new and changed files."""
        if self._is_tree and (runs := self._unchanged(known, files, read=read)) is not None:
            return known, runs

        def entries_of(names: Sequence[str]) -> dict[str, Entry]:
            fresh = {
                name: entry
                for name in names
                if (entry := known.get(name)) is not None
                and entry.is_fresh(files.stamp(name, entry.facts.files), read=read)
            }
            stale = [name for name in names if name not in fresh]
            return fresh | self._look(stale, files, read=read, progress=progress, workers=workers)

        every = entries_of([name for name in files.stamps if not _is_second(name, files.stamps)])

        def look(path: Path) -> tuple[tuple[Path, ...], int | None] | None:
            entry = every.get(self._name(path))
            if entry is None:
                return None
            is_one = entry.facts.files == [path.name]
            return (path,) if is_one else tuple(map(path.with_name, entry.facts.files)), entry.facts.rank

        logs = [self._name(path) for path in self._logs(look)]
        every |= entries_of([name for name in logs if name not in every])  # logs of several shards
        if self._is_tree:
            self._settle(every, known, files, frozenset(logs))
        return every, {name: every[name] for name in logs}

    def _logs(self, look: Look) -> list[Path]:
        """The runs, from what *look* knows of files; raises LogNotFound if there are none."""
        return find_logs([self._where], look)

    def _settle(self, every: dict[str, Entry], known: dict[str, Entry], files: Files, logs: frozenset[str]) -> None:
        """Store which files are runs, and which are not."""
        changed: list[Entry] = []
        for name in files.stamps.keys() | every.keys():
            entry = every.get(name) or Entry(name, files.stamps[name], True, Facts(), time.time())
            if entry.is_run != (name in logs):
                every[name] = entry._replace(is_run=name in logs)
                changed.append(every[name])
        self.store.mark(changed, gone=known.keys() - every.keys() - files.stamps.keys())

    def _look(
        self,
        names: list[str],
        files: Files,
        *,
        read: bool,
        progress: Progress | None = None,
        workers: int | None = None,
        elsewhere: bool = False,
    ) -> dict[str, Entry]:
        """Look at new and changed logs, and store what was found.

        The most recently changed ones come last: by then, the change may be old enough for a reliable stamp.
        """
        names = sorted(names, key=lambda name: files.changed(name, ()))
        stored = self.store.digests(names) if read else ()
        kept = {name: (facts, digest, position) for name, facts, digest, position in stored}
        parts = [names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK)]
        looks = [
            _Look(
                [self.root / name for name in part],
                [kept.get(name) for name in part],
                read,
                self._any_error,
            )
            for part in parts
        ]
        found: dict[str, Entry] = {}
        unsaved: list[tuple[Entry, Digest, str]] = []
        saved = time.monotonic()
        seconds = sum(seconds_to_read(1, files.size(name) if read else 0) for name in names)
        for number, (began, answers) in run_all(_answer, looks, seconds=seconds, workers=workers, elsewhere=elsewhere):
            for name, (facts, digest, position) in zip(parts[number], answers, strict=True):
                is_settled = began - files.changed(name, facts.files) > _RACE
                # An error of the network may be gone the next time.
                looked = began / 1e9 if is_settled and not (self._is_remote and facts.error) else 0.0
                stamp = files.stamp(name, facts.files)
                found[name] = Entry(name, stamp, bool(facts.format) and facts.rank is None, facts, looked)
                unsaved.append((found[name], digest, position))
            if time.monotonic() - saved > _SAVE:
                self.store.update(unsaved)
                unsaved, saved = [], time.monotonic()
            if progress is not None:
                progress(len(found), len(names))
        self.store.update(unsaved)
        return found

    def _name(self, path: Path) -> str:
        if isinstance(path, RemotePath):
            return path.below(self.root) or ""
        return path.as_posix()[self._cut :]

    def _found(self) -> dict[str, str]:
        """The files that may be logs."""
        if self._is_file:
            return {self._where.name: stamp_of(self._where.stat())} if self._where.is_file() else {}
        if isinstance(self._where, RemotePath):
            return self._found_remote(self._where)
        if not self._is_pattern:
            return self._walked()
        found: dict[str, str] = {}
        for one in glob.glob(str(self._where), recursive=True):  # noqa: PTH207 - it may be absolute
            path = Path(one)
            name = self._name(path)
            if path.is_dir():
                found.update(walk(path, f"{name}/" if name else ""))
            elif path.is_file():
                found[name] = stamp_of(path.stat())
        return found

    def _found_remote(self, where: RemotePath) -> dict[str, str]:
        """The same for an object storage, from the listing."""
        stamps = {name: stamp_of_info(info) for name, info in where.listing.files()}
        if self._is_tree:
            return stamps
        found = matching(where) if self._is_pattern else [where]
        names = [self._name(path) for path in found]
        inside = tuple(f"{name}/" for name in names)
        return {name: stamp for name, stamp in stamps.items() if name in names or name.startswith(inside)}

    def _walked(self) -> dict[str, str]:
        return dict(walk(self._where, ""))


def _is_second(name: str, names: Iterable[str]) -> bool:
    """Whether the file belongs to another log, such as ``run.simion.log.bin`` to ``run.simion.log``."""
    stem, dot, _ = name.rpartition(".")
    return bool(dot) and stem in names
