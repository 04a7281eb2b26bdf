"""The catalog of a tree of logs: which runs there are and what is known of them, looked at again only where a file has
changed.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from trainlog import registry
from trainlog.catalog.digest import Digest
from trainlog.catalog.facts import Facts
from trainlog.catalog.fragments import seconds_to_read
from trainlog.catalog.inspection import facts_of
from trainlog.catalog.states import OPEN_STATES, state_of
from trainlog.catalog.store import Entry, Store, location
from trainlog.catalog.workers import run_all
from trainlog.errors import LogNotFound
from trainlog.find_logs import Look, find_logs, matching, natural
from trainlog.storage.location import RemotePath, fixed_part

if TYPE_CHECKING:
    from trainlog.storage.filesystem import Info

__all__ = ["Catalog", "Progress"]

_CHUNK: Final = 64  # logs that a process is given at a time
_SAVE: Final = 5.0  # seconds after which what was found out is kept, so that an interrupted look is not for nothing
_RACE: Final = 2_000_000_000  # nanoseconds: what changed so shortly before the look may have changed again unseen
_DEPTH: Final = 64
_HEADER: Final = 1 << 16  # bytes of a log in an object storage that have its header, nearly always
_WHOLE: Final = 1 << 20  # bytes of one that are read together with those of others

Progress = Callable[[int, int], object]
"""Called with the number of logs that were looked at, and of all that are to be."""


class _Stamp(NamedTuple):
    """What tells that a file is as it was: its size, when its content and when anything of it changed, its place.

    It is kept as text: there is one for each of many thousand files, and few of them are ever taken apart.
    """

    size: int
    changed: int
    touched: int
    inode: int

    @classmethod
    def of(cls, stamp: str) -> _Stamp:
        return cls(*map(int, stamp.split(":")))


def _stamp_of(status: os.stat_result) -> str:
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}"


def _stamp_of_info(info: Info) -> str:
    """Of an object, whose place is its version."""
    changed = int(info.modified * 1e9)
    return f"{info.size}:{changed}:{changed}:{zlib.crc32(info.version.encode())}"


class _Files:
    """The files that may be logs: their stamps by name, and the names of those in each folder."""

    def __init__(self, stamps: dict[str, str]) -> None:
        self.stamps = stamps
        self._folders: dict[str, list[str]] | None = None

    def in_folder(self, name: str) -> list[str]:
        if self._folders is None:
            self._folders = {}
            for one in self.stamps:
                self._folders.setdefault(one.rpartition("/")[0], []).append(one)
        return self._folders.get(name, [])

    def members(self, name: str, files: Iterable[str]) -> list[str]:
        """The files of the log called *name*, which has *files* beside one another, or is a folder or a pattern."""
        folder, _, last = name.rpartition("/")
        if name in self.stamps:
            return [f"{folder}/{one}" if folder else one for one in files] or [name]
        inside = self.in_folder(name)
        return inside or [one for one in self.in_folder(folder) if fnmatch.fnmatchcase(one.rpartition("/")[2], last)]

    def stamp(self, name: str, files: list[str]) -> str:
        """The stamp of that log, as text."""
        if len(files) < 2 and name in self.stamps:
            return self.stamps[name]
        return "\n".join(f"{one}={self.stamps.get(one, '')}" for one in sorted(self.members(name, files)))

    def size(self, name: str) -> int:
        """Bytes of the file, or of the files of several."""
        return sum(one.size for one in self.of_log(name, ()))

    def of_log(self, name: str, files: Iterable[str]) -> list[_Stamp]:
        """The stamps of the files of the log."""
        return [_Stamp.of(self.stamps[one]) for one in self.members(name, files) if one in self.stamps]

    def changed(self, name: str, files: Iterable[str]) -> int:
        """When the last of them was changed in any way, in nanoseconds since 1970."""
        return max((max(one.changed, one.touched) for one in self.of_log(name, files)), default=0)


class _Look(NamedTuple):
    """What a process is asked for: logs, each with what was known of it, and whether to read their frames.

    An error that is none of ours is raised, or with *any_error* what is known of that log.
    """

    paths: list[Path]
    before: list[tuple[Facts, Digest, str] | None]
    read: bool
    any_error: bool = False


def _answer(look: _Look) -> tuple[int, list[tuple[Facts, Digest, str]]]:
    """When it was begun, in nanoseconds since 1970, and what was found out."""
    began = time.time_ns()
    if isinstance(look.paths[0], RemotePath):
        from trainlog.storage.remote import prefetch

        prefetch(look.paths, _WHOLE if look.read else _HEADER)
    pairs = zip(look.paths, look.before, strict=True)
    return began, [_known_of(path, look, known) for path, known in pairs]


def _known_of(path: Path, look: _Look, before: tuple[Facts, Digest, str] | None) -> tuple[Facts, Digest, str]:
    try:
        return facts_of(path, read=look.read, before=before)
    except Exception as error:  # a plug-in's reader may raise anything, and the other logs go on
        if not look.any_error:
            raise
        why = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        return Facts([path.name], "?", state="unreadable", error=why), Digest(), ""


class Catalog:
    """The runs of one folder, of one pattern, or one log.

    Attributes:
        root: the folder whose catalog is used.
        store: where its rows are kept.

    """

    _any_error = False

    def __init__(self, where: Path) -> None:
        """Prepare to look at *where*.

        Raises:
            LogNotFound: when there is no such file or folder.

        """
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
        self.store = Store(location(self.root) if self._is_tree or self._is_pattern else None)

    def entries(self, *, read: bool, progress: Progress | None = None, workers: int | None = None) -> dict[str, Entry]:
        """The runs by name, in natural order; with *read* all of each is read, so that its metrics are known.

        Raises:
            LogNotFound: when there are none.

        """
        self._list()
        known = self.store.entries()
        files = _Files(self._found())
        runs = self._unchanged(known, files, read=read) if self._is_tree else None
        if runs is None:
            runs = self._looked_at(known, files, read=read, progress=progress, workers=workers)
        self._renew_states(runs, files)
        return {name: runs[name] for name in sorted(runs, key=natural)}

    def _list(self) -> None:
        """List a tree that is in an object storage; the listing answers the questions of this look.

        What is beside a single log is not asked for.
        """
        if isinstance(self.root, RemotePath) and isinstance(self._where, RemotePath) and not self._is_file:
            self.root = self.root.listed()
            inner = self._where.below(self.root)
            self._where = self.root / inner if inner else self.root

    def _renew_states(self, runs: dict[str, Entry], files: _Files) -> None:
        """Look whether those that were being written still are."""
        changed = []
        for name, entry in runs.items():
            if entry.facts.state in OPEN_STATES:
                paths = [self.root / one for one in files.members(name, entry.facts.files)]
                if (state := state_of(entry.facts, paths)) != entry.facts.state:
                    changed.append(entry._replace(facts=replace(entry.facts, state=state)))
        runs |= {entry.path: entry for entry in changed}
        self.store.mark(changed)

    def path(self, name: str) -> Path:
        """The path of a run."""
        return self.root / name

    def _unchanged(self, known: dict[str, Entry], files: _Files, *, read: bool) -> dict[str, Entry] | None:
        """The runs as they are known, where no file has come, gone or changed; None otherwise."""
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
        return runs if runs and shards <= joined else None  # patterns may have met shards, and not their log

    def _looked_at(
        self,
        known: dict[str, Entry],
        files: _Files,
        *,
        read: bool,
        progress: Progress | None,
        workers: int | None,
    ) -> dict[str, Entry]:
        """The runs, after a look at what is new or has changed."""
        names = [name for name in files.stamps if not _is_second(name, files.stamps)]

        def is_fresh(name: str) -> bool:
            entry = known.get(name)
            return entry is not None and entry.is_fresh(files.stamp(name, entry.facts.files), read=read)

        every = {name: known[name] for name in names if is_fresh(name)}
        stale = [name for name in names if name not in every]
        every |= self._look(stale, known, files, read=read, progress=progress, workers=workers)

        def look(path: Path) -> tuple[tuple[Path, ...], int | None] | None:
            entry = every.get(self._name(path))
            if entry is None:
                return None
            is_one = entry.facts.files == [path.name]
            return (path,) if is_one else tuple(map(path.with_name, entry.facts.files)), entry.facts.rank

        logs = [self._name(path) for path in self._logs(look)]
        shards = [name for name in logs if name not in every]
        every |= {name: known[name] for name in shards if is_fresh(name)}
        stale = [name for name in shards if name not in every]
        every |= self._look(stale, known, files, read=read, progress=progress, workers=workers)
        if self._is_tree:
            self._settle(every, known, files, frozenset(logs))
        return {name: every[name] for name in logs}

    def _logs(self, look: Look) -> list[Path]:
        """The runs, by what is known of files; raises LogNotFound when there are none."""
        return find_logs([self._where], look)

    def _settle(self, every: dict[str, Entry], known: dict[str, Entry], files: _Files, logs: frozenset[str]) -> None:
        """Keep which files are runs, and which are not."""
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
        known: dict[str, Entry],
        files: _Files,
        *,
        read: bool,
        progress: Progress | None,
        workers: int | None,
        elsewhere: bool = False,
    ) -> dict[str, Entry]:
        """Look at logs that are new or have changed, and keep what was found out.

        Those that changed last come last: by then that may be long enough ago to be sure of them.
        """
        names = sorted(names, key=lambda name: files.changed(name, ()))
        kept = {name: (digest, position) for name, digest, position in self.store.digests(names)} if read else {}
        parts = [names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK)]
        looks = [
            _Look(
                [self.root / name for name in part],
                [(known[name].facts, *kept[name]) if name in kept and name in known else None for name in part],
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
                # What a network did not give this time, it may give the next.
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
            return path.relative_to(self.root).as_posix()
        return path.as_posix()[self._cut :]

    def _found(self) -> dict[str, str]:
        """The files that may be logs."""
        if self._is_file:
            return {self._where.name: _stamp_of(self._where.stat())} if self._where.is_file() else {}
        if isinstance(self._where, RemotePath):
            return self._found_remote(self._where)
        if not self._is_pattern:
            return self._walked()
        found: dict[str, str] = {}
        for one in glob.glob(str(self._where), recursive=True):  # noqa: PTH207 - it may be absolute
            path = Path(one)
            name = self._name(path)
            if path.is_dir():
                found.update(_walk(path, f"{name}/" if name else ""))
            elif path.is_file():
                found[name] = _stamp_of(path.stat())
        return found

    def _found_remote(self, where: RemotePath) -> dict[str, str]:
        """The same by the listing."""
        stamps = {name: _stamp_of_info(info) for name, info in where.listing.files()}
        if self._is_tree:
            return stamps
        found = matching(where) if self._is_pattern else [where]
        names = [self._name(path) for path in found]
        inside = tuple(f"{name}/" for name in names)
        return {name: stamp for name, stamp in stamps.items() if name in names or name.startswith(inside)}

    def _walked(self) -> dict[str, str]:
        return dict(_walk(self._where, ""))


def _is_second(name: str, names: Iterable[str]) -> bool:
    """Whether there is a log of which the file is a further one: ``run.simion.log.bin`` beside ``run.simion.log``."""
    stem, dot, _ = name.rpartition(".")
    return bool(dot) and stem in names


def _walk(folder: Path, prefix: str, within: Path | None = None) -> Iterator[tuple[str, str]]:
    """The regular files below *folder* with their stamps, hidden ones and links to folders left out.

    With *within*, links to files that are not in that folder are left out, too.
    """
    folders = [(os.fspath(folder), prefix, 0)]
    while folders:
        path, prefix, depth = folders.pop()
        try:
            found = list(os.scandir(path))
        except OSError:
            continue
        for one in found:
            name = one.name
            if name[0] == ".":
                continue
            try:
                if one.is_dir(follow_symlinks=False):
                    if depth < _DEPTH:
                        folders.append((one.path, f"{prefix}{name}/", depth + 1))
                elif one.is_file() and (within is None or not one.is_symlink() or is_below(one.path, within)):
                    yield prefix + name, _stamp_of(one.stat())
            except OSError:
                continue


def is_below(path: str, folder: Path) -> bool:
    """Whether *path*, with all symbolic links followed, is in *folder*, which has none in it."""
    return folder in Path(os.path.realpath(path)).parents


def leads_out(folder: Path, root: Path) -> bool:
    """Whether a link in *folder* leads to a file that is not in *root*; a log of several files would read it."""
    if isinstance(folder, RemotePath):
        return False
    with suppress(OSError), os.scandir(folder) as found:
        return any(one.is_symlink() and one.is_file() and not is_below(one.path, root) for one in found)
    return False
