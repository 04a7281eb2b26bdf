"""The runs and what their catalogs know about them: everything that is available without reading their rows."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from trainlog.catalog.digest import Digest
from trainlog.catalog.facts import LAST
from trainlog.catalog.filter import PREFIXES, check_keys, resolve
from trainlog.catalog.fragments import Member, OnError, Schema, seconds_to_read
from trainlog.catalog.index import Catalog
from trainlog.catalog.inspection import facts_of
from trainlog.catalog.progress import progress_bar
from trainlog.catalog.run_info import KnownRun, of_metric, row_of
from trainlog.catalog.workers import run_all
from trainlog.errors import DamagedLog, DamagedLogWarning
from trainlog.find_logs import real_path
from trainlog.model import Kind, KindLike

__all__ = ["KnownRuns", "Reached", "warn_of"]

_FEW: Final = 16  # logs that a process gets at a time
_NAMED: Final = 3  # damaged logs that a warning names
_OF_FRAMES: Final = frozenset(["duration", "frames", "damage"])  # columns that only runs whose frames were read have


class Reached(NamedTuple):
    """How far a run has come.

    Attributes:
        rows: the number of rows of one kind.
        time: the time of the last of them.
        position: the position after the last frame, to scan from; empty for a small log, which is read from its start.

    """

    rows: int = 0
    time: float = 0.0
    position: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class KnownRuns:
    """Some runs of several catalogs. They are looked at on first access, and the result is kept.

    Attributes:
        catalogs: the catalogs with the runs.
        on_error: what to do about damaged logs.
        progress: whether to show a bar on a terminal, or a function to call instead.
        workers: the number of processes that read; None means one per core.
        names: the names of the chosen runs, in their order; None means all, in the natural order.

    """

    catalogs: tuple[Catalog, ...]
    on_error: OnError
    progress: bool | Callable[[int, int], object]
    workers: int | None
    names: tuple[str, ...] | None = None
    # All runs of the catalogs, without and with what is in their frames; shared with all results of `only`.
    _looked: dict[bool, dict[str, KnownRun]] = field(default_factory=dict)

    def only(self, names: Iterable[str]) -> KnownRuns:
        """The runs with these *names*, in this order."""
        return replace(self, names=tuple(names))

    def refreshed(self) -> KnownRuns:
        """All runs, to be looked at again."""
        return replace(self, names=None, _looked={})

    @property
    def is_looked_at(self) -> bool:
        """Whether the runs were looked at."""
        return bool(self._looked)

    @property
    def is_read(self) -> bool:
        """Whether their frames were read."""
        return True in self._looked

    def _all(self, *, read: bool) -> dict[str, KnownRun]:
        if self.is_read or read in self._looked:
            return self._looked[read or self.is_read]
        found: dict[str, KnownRun] = {}
        for catalog in self.catalogs:
            with progress_bar("looking at logs", self.progress) as progress:
                entries = catalog.entries(read=read, progress=progress, workers=self.workers)
            if len(self.catalogs) > 1:
                found |= {catalog.path(name).as_posix(): KnownRun(catalog, one) for name, one in entries.items()}
            else:
                root = catalog.root.name if catalog.root.name not in entries else "."
                found = {name or root: KnownRun(catalog, one) for name, one in entries.items()}
        self._looked[read] = _each_once(found)
        return self._looked[read]

    def _chosen(self, *, read: bool) -> dict[str, KnownRun]:
        """The chosen runs, including damaged ones."""
        found = self._all(read=read)
        return found if self.names is None else {name: found[name] for name in self.names if name in found}

    def entries(self, *, read: bool) -> dict[str, KnownRun]:
        """The runs by name, without those that `on_error` leaves out; with *read*, their frames are read, too.

        Raises:
            LogNotFound: if there are no runs.
            DamagedLog: with ``on_error="raise"``, for a damaged log.

        """
        found = self._chosen(read=read)
        bad = _problems(found) if self.on_error != "report" else {}
        if bad and self.on_error == "raise":
            first = next(iter(bad))
            raise DamagedLog(bad[first], path=found[first].path)
        return {name: one for name, one in found.items() if name not in bad} if bad else found

    def damaged(self) -> dict[str, str]:
        """The problems of damaged runs, by name; reads the logs."""
        return _problems(self._chosen(read=True))

    def warn(self) -> None:
        """Warn of damaged logs, unless they are left out."""
        warn_of(self.damaged(), len(self._chosen(read=True)), self.on_error)

    def members(self) -> list[Member]:
        """The runs as members of fragments."""
        return [one.member(name) for name, one in self.entries(read=False).items() if one.facts.state != "unreadable"]

    def stamps(self) -> dict[str, str]:
        """The stamps of the files of each run, by name; a stamp differs if its files have changed."""
        return {name: one.entry.stamp for name, one in self.entries(read=False).items()}

    def steps_and_rewards(self) -> list[tuple[str, str]]:
        """The keys of the step and of the reward of each run, by its own conventions; empty for none."""
        return [(one.facts.step, one.facts.reward) for one in self.entries(read=True).values()]

    def rows(self, *, read: bool, metrics: Iterable[str] = (), with_provenance: bool = False) -> list[dict[str, Any]]:
        """The rows of the table, including the *metrics* other than last values, such as ``best/reward``."""
        entries = self.entries(read=read)
        rows = [row_of(name, one.facts) for name, one in entries.items()]
        if with_provenance:
            for row, one in zip(rows, entries.values(), strict=True):
                row.update({name: value for key, value in one.facts.run.items() if (name := f"run/{key}") not in row})
        wanted = {key: key.partition("/") for key in metrics if key.partition("/")[0] in PREFIXES[1:]}
        if wanted:
            digests = self._digests(entries)
            for row, name in zip(rows, entries, strict=True):
                for key, (prefix, _, metric) in wanted.items():
                    value = of_metric(digests[name][0], prefix, metric) if name in digests else None
                    if value is not None:
                        row.setdefault(key, value)
        return rows

    def rows_for(self, keys: Iterable[str], *, read: bool = False) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The rows of the runs with what *keys* name, and all column names, each mapped to None; for filters and lists.

        The logs are read if *read* is set or one of *keys* is not a column from the headers, because a metric of that
        name has priority over the end of a nested key. That a catalog has read some of them before is not enough. The
        provenance (``run/host``) is in the rows only if a key names a part of it.

        Raises:
            ExpressionError: if there are runs, but none has one of *keys*.

        """
        keys = list(keys)
        rows = self.rows(read=read, metrics=keys if read else ())
        columns = _columns_of(rows)
        entries = self.entries(read=read).values()
        unread = [one.facts for one in entries if not one.facts.read]
        unknown = {name for name in columns if _is_of_frames(name)} if unread else set()
        if any(facts.state == "ended" for facts in unread):  # it is killed if the log ends inside a record
            unknown.add("state")
        if missing := {key for key in keys if key not in columns or key in unknown}:
            provenance = {f"run/{key}": None for one in entries for key in one.facts.run}
            if not read and not missing <= provenance.keys():
                rows = self.rows(read=True, metrics=keys)
                columns = _columns_of(rows)
            if any(resolve(key, columns) is None and resolve(key, provenance) is not None for key in missing):
                rows = self.rows(read=self.is_read, metrics=keys if self.is_read else (), with_provenance=True)
                columns = _columns_of(rows)
        if rows:
            check_keys(keys, columns)
        return rows, columns

    def _digests(self, entries: Mapping[str, KnownRun]) -> dict[str, tuple[Digest, str]]:
        """The digest and the end position of each log; logs whose digest is not in a catalog are read."""
        found: dict[str, tuple[Digest, str]] = {}
        for catalog in self.catalogs:
            names = {one.entry.path: name for name, one in entries.items() if one.catalog is catalog}
            found |= {names[path]: (digest, position) for path, _, digest, position in catalog.store.digests(names)}
        missing = [name for name in entries if name not in found and entries[name].facts.state != "unreadable"]
        parts = [missing[start : start + _FEW] for start in range(0, len(missing), _FEW)]
        seconds = seconds_to_read(len(missing), sum(entries[name].facts.size for name in missing))
        tasks = [[entries[name].path for name in part] for part in parts]
        for number, digests in run_all(_digests_of, tasks, seconds=seconds, workers=self.workers):
            found |= zip(parts[number], digests, strict=True)
        return found

    def reached(self, kind: KindLike) -> dict[str, Reached]:
        """The progress of each run with rows of *kind*, by name."""
        entries = self.entries(read=True)
        number = int(Kind.of(kind))
        known = self._digests(entries)
        spans = {name: (digest.spans.get(number), position) for name, (digest, position) in known.items()}
        return {name: Reached(int(span[0]), span[2], position) for name, (span, position) in spans.items() if span}

    def schema(self, kind: KindLike) -> Schema:
        """The columns of the rows of *kind* in all runs; a log that the catalog does not know is read."""
        entries = self.entries(read=True)
        self.warn()
        found = self._digests(entries)
        return Schema.of((found[name][0] for name in entries if name in found), Kind.of(kind), self.members())


def warn_of(damaged: Mapping[str, str], total: int, on_error: OnError) -> None:
    """Warn of *damaged* logs, out of *total* logs, with ``on_error="report"``."""
    if not damaged or on_error != "report":
        return
    names = ", ".join(f"{name} ({problem})" for name, problem in list(damaged.items())[:_NAMED])
    more = f" and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
    warnings.warn(
        DamagedLogWarning(f"{len(damaged):,} of {total:,} logs are damaged: {names}{more}; `Runs.damaged` lists them"),
        stacklevel=3,
    )


def _each_once(found: dict[str, KnownRun]) -> dict[str, KnownRun]:
    """The runs, without links to others of them, and without those that an earlier catalog has under another path."""
    inodes = {name: one.entry.stamp.rpartition(":")[2] for name, one in found.items()}  # a stamp ends with it
    count = Counter(inodes.values())
    several = sorted(
        (name for name in found if count[inodes[name]] > 1), key=lambda name: found[name].path.is_symlink()
    )
    kept: dict[Path | str, str] = {}
    left_out = {name for name in several if kept.setdefault(real_path(found[name].path), name) != name}
    return {name: one for name, one in found.items() if name not in left_out}


def _problems(known: Mapping[str, KnownRun]) -> dict[str, str]:
    return {name: problem for name, one in known.items() if (problem := one.facts.problem)}


def _is_of_frames(column: str) -> bool:
    return column in _OF_FRAMES or column.startswith(LAST)


def _columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return dict.fromkeys((name for row in rows for name in row), None)


def _digests_of(paths: list[Path]) -> list[tuple[Digest, str]]:
    return [facts_of(path, read=True)[1:] for path in paths]
