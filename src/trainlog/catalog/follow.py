"""The runs of a tree, followed as they appear, grow and disappear, for a long-running program.

A look costs a walk of the tree and the headers of new logs. Frames are read separately, so that neither waits for the
other: the newest logs first, and only the appended part of a log that has grown.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from trainlog.catalog.files import Files, is_longer, leads_out, walk
from trainlog.catalog.index import Catalog
from trainlog.catalog.store import Entry, Store, location
from trainlog.errors import LogNotFound
from trainlog.find_logs import Look

__all__ = ["CatalogFollower"]

_AT_A_TIME: Final = 1024  # logs per read
_BYTES: Final = 1 << 26  # bytes of logs per read, unless a single one has more
_REST: Final = 10  # a growing log is left alone for this multiple of the time that it took to read,
_PAUSE: Final = 1.0  # and for at least this many seconds


class CatalogFollower(Catalog):
    """A catalog that keeps its state between looks. Two threads can call `look` and `read`.

    Links to files outside the folder are not runs.

    Attributes:
        left_out: whether there are more files than the limit.

    """

    _any_error = True
    _keeps_digests = True

    def __init__(self, where: Path, most: int = 1_000_000) -> None:
        """Prepare to follow *where*, a folder or a log, with at most *most* files.

        Raises:
            LogNotFound: if there is no such file or folder.

        """
        super().__init__(where)
        self._most = most
        self.left_out = False
        if not self._is_tree:  # so that what was read of the log is stored
            self.store = Store(location(self.root), keep=self._keeps_digests)
        self._known: dict[str, Entry] | None = None
        self._files = Files({})
        self._behind: dict[str, float] = {}  # logs whose frames are not read to the end, and when to try next
        self._files_now: dict[str, str] = {}
        self._lock = threading.Lock()
        self._looking = threading.Lock()

    def look(self) -> dict[str, Entry]:
        """The runs by name. The metrics of a run that has grown are those of the last `read`."""
        with self._looking:
            return self._looked()

    def _looked(self) -> dict[str, Entry]:
        self._list()
        self._files_now = self._found()
        files = Files(self._files_now)
        with self._lock:
            before = self._load(files) if self._known is None else self._known
            known = before | {name: _touched(before[name], files) for name in self._grown(before, files)}
            before = dict(before)
        every, runs = self._looked_at(known, files, read=False)
        self._renew_states(runs, files)
        with self._lock:
            # What was read in the meantime is newer; what has grown in the meantime is found by the next look.
            newer = {name: one for name, one in (self._known or {}).items() if one is not before.get(name)}
            self._known = {**every, **runs, **{name: one for name, one in newer.items() if name in runs}}
            self._files = files
            for name in self._behind.keys() - runs.keys():
                del self._behind[name]
            for name, entry in runs.items():
                if not (entry.facts.read or entry.facts.error):
                    self._behind.setdefault(name, 0.0)
            return {name: self._known[name] for name in runs}

    def _load(self, files: Files) -> dict[str, Entry]:
        known = self.store.entries()
        return known if self._is_tree else {name: one for name, one in known.items() if name in files.stamps}

    def _grown(self, known: dict[str, Entry], files: Files) -> list[str]:
        """The runs that have grown, or may have: their headers need no look."""
        found = []
        for name, entry in known.items():
            if not entry.is_run or entry.facts.error:
                continue
            stamp = files.stamp(name, entry.facts.files)
            if (stamp != entry.stamp and is_longer(entry.stamp, stamp)) or (stamp == entry.stamp and not entry.looked):
                found.append(name)
                self._behind.setdefault(name, 0.0)
        return found

    def read(self) -> dict[str, Entry]:
        """Read the frames of some new or grown runs, the newest first, mostly in another process."""
        with self._lock:
            known, files = dict(self._known or {}), self._files
            now = time.monotonic()
            due = [known[name] for name, when in self._behind.items() if when <= now and name in known]
        due.sort(key=lambda entry: -entry.facts.changed)
        sizes = itertools.accumulate(entry.facts.size for entry in due)
        chosen = [entry.path for entry, size in zip(due, sizes, strict=True) if size < _BYTES][:_AT_A_TIME]
        chosen = chosen or [entry.path for entry in due[:1]]
        began = time.monotonic()
        # In one other process, as this one has clients to answer in the meantime.
        found = self._look(chosen, files, read=True, workers=1, elsewhere=True)
        now = time.monotonic()
        rest = now + max(_REST * (now - began) / max(len(chosen), 1), _PAUSE)
        with self._lock:
            return {name: self._keep(entry, rest) for name, entry in found.items() if name in (self._known or {})}

    def read_again(self, names: Iterable[str]) -> None:
        """Let the next `read` read these runs, although they were read before."""
        with self._lock:
            for name in names:
                self._behind.setdefault(name, 0.0)

    def _keep(self, entry: Entry, rest: float) -> Entry:
        assert self._known is not None
        if entry.looked:
            self._behind.pop(entry.path, None)
        else:  # it changed very recently, and may have changed again unnoticed
            self._behind[entry.path] = rest
        is_run = self._known[entry.path].is_run and bool(entry.facts.format)  # an empty file became something else
        kept = entry._replace(is_run=is_run, looked=entry.looked or time.time())
        self._known[entry.path] = kept
        return kept

    # --- overridden steps of a look ---

    def _logs(self, look: Look) -> list[Path]:
        stamps = self._files_now

        def known(path: Path) -> tuple[tuple[Path, ...], int | None] | None:
            found = look(path)
            if found is None and self._name(path) not in stamps and (not path.is_dir() or leads_out(path, self.root)):
                return (), None  # it is newer than the walk, or leads out of the folder
            return found

        if not self._where.exists():  # it existed at the start, and may come back
            return []
        try:
            return super()._logs(known)
        except LogNotFound:
            return []

    def _store_states(self, changed: list[Entry]) -> None:
        # Another process may have stored what the frames of the others hold now.
        super()._store_states([entry for entry in changed if entry.path not in self._behind])

    def _walked(self) -> dict[str, str]:
        files = walk(self._where, "", within=self._where)
        found = dict(itertools.islice(files, self._most))
        self.left_out = next(files, None) is not None
        return found


def _touched(entry: Entry, files: Files) -> Entry:
    """A run that has grown; what is known of its frames stays until they are read."""
    stamps = files.of_log(entry.path, entry.facts.files)
    changed = max((one.changed for one in stamps), default=0) / 1e9
    facts = replace(entry.facts, size=sum(one.size for one in stamps), changed=changed, state="running")
    return entry._replace(facts=facts, stamp=files.stamp(entry.path, entry.facts.files), looked=time.time())
