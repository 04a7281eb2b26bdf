"""Many logs as one value: `runs`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Unpack, overload

from trainlog import registry
from trainlog.catalog.digest import Digest
from trainlog.catalog.filter import PREFIXES, Filter, check_keys
from trainlog.catalog.fragments import Fragment, Member, OnError, Schema, arrow_module, labels_of, seconds_to_read
from trainlog.catalog.index import Catalog
from trainlog.catalog.inspection import facts_of
from trainlog.catalog.plan import Plan, RowChoice, by_bytes
from trainlog.catalog.progress import progress_bar
from trainlog.catalog.run_info import KnownRun, RunInfo, of_metric, row_of
from trainlog.catalog.run_table import RunTable
from trainlog.catalog.workers import run_all
from trainlog.conventions import AxisName
from trainlog.errors import DamagedLog, DamagedLogWarning, LogNotFound
from trainlog.model import Kind, KindLike
from trainlog.scan import Scan
from trainlog.storage.location import local_path, location
from trainlog.table.arrow import extra
from trainlog.table.table import Table
from trainlog.table.values import Range

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars
    import pyarrow

    from trainlog.catalog.compaction import Compaction
    from trainlog.plot import BandName, CenterName, Picture

__all__ = ["Reached", "Runs", "Where", "Which", "runs", "selected"]

Where = str | os.PathLike[str]

_FRAGMENT: Final = 8 << 20  # bytes of the logs that a process reads at a time
_FEW: Final = 16  # logs that a process is given at a time
_NAMED: Final = 3  # damaged logs that a warning names


class Reached(NamedTuple):
    """How far a run has come.

    Attributes:
        rows: so many of one kind.
        time: of the last of them.
        position: behind the last frame, to scan from; empty where a small log is read from its beginning.

    """

    rows: int = 0
    time: float = 0.0
    position: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Settings:
    catalogs: tuple[Catalog, ...]
    on_error: OnError
    progress: bool | Callable[[int, int], object]
    workers: int | None
    known: dict[bool, dict[str, KnownRun]] = field(default_factory=dict)  # without, and with what is in their frames


def runs(
    where: Where | Iterable[Where],
    *,
    on_error: OnError = "report",
    progress: bool | Callable[[int, int], object] = True,
    workers: int | None = None,
) -> Runs:
    """The runs of a folder, of a pattern (``sweep/*/run.flog``), or of several; nothing is read yet.

    Each log is one run, and so are the shards of a log, see `trainlog.find_logs.find_logs`. What is found out about
    them is kept in a catalog, one SQLite file in that folder or in the user's cache, so that only what has changed is
    looked at again. It may be deleted.

    Args:
        where: folders, patterns and logs, on this machine or as URLs of an object storage (``s3://bucket/sweep``).
        on_error: what to do about damaged logs: ``report`` reads their whole frames and warns, ``skip`` leaves them
            out, ``raise`` raises. `Runs.damaged` lists them in any case.
        progress: whether a terminal shows a bar for what takes more than a second; or a function that is called with
            how many logs are done, of how many.
        workers: processes that read; by default one for each core.

    Raises:
        LogNotFound: when there is no such file or folder. When there are no logs, once the runs are asked for.
        ValueError: for another *on_error*.

    """
    if on_error not in ("raise", "skip", "report"):
        raise ValueError(f"on_error is 'raise', 'skip' or 'report', not {on_error!r}")
    several = [where] if isinstance(where, str | os.PathLike) or hasattr(where, "as_uri") else list(where)
    if not several:
        raise LogNotFound("no folder and no log was named")
    return Runs(_Settings(tuple(Catalog(location(one)) for one in several), on_error, progress, workers))


class Runs(Sequence[RunInfo]):
    """Many runs, in the natural order of their paths; made by `trainlog.runs`.

    It is cheap to make. Headers are read when the runs are counted or named, and all of the logs when something is
    asked that stands in their frames: both once, as the catalog keeps it. The value keeps what it has found: `refresh`
    looks again.
    """

    def __init__(self, settings: _Settings, names: frozenset[str] | None = None) -> None:
        self._settings = settings
        self._chosen = names

    # --- which runs ---

    def _all(self, *, read: bool) -> dict[str, KnownRun]:
        known = self._settings.known
        if read not in known and not (not read and True in known):
            found: dict[str, KnownRun] = {}
            catalogs = self._settings.catalogs
            for catalog in catalogs:
                with progress_bar("looking at logs", self._settings.progress) as progress:
                    entries = catalog.entries(read=read, progress=progress, workers=self.workers)
                if len(catalogs) > 1:
                    found |= {catalog.path(name).as_posix(): KnownRun(catalog, one) for name, one in entries.items()}
                else:
                    found = {name or catalog.root.name: KnownRun(catalog, one) for name, one in entries.items()}
            known[read] = found
        return known[read] if read in known else known[True]

    def _mine(self, *, read: bool) -> dict[str, KnownRun]:
        """The runs that were chosen, the damaged ones among them."""
        found = self._all(read=read)
        return found if self._chosen is None else {name: one for name, one in found.items() if name in self._chosen}

    def _entries(self, *, read: bool) -> dict[str, KnownRun]:
        found = self._mine(read=read)
        bad = _problems(found) if self.on_error != "report" else {}
        if bad and self.on_error == "raise":
            first = next(iter(bad))
            raise DamagedLog(bad[first], path=found[first].path)
        return {name: one for name, one in found.items() if name not in bad} if bad else found

    @property
    def damaged(self) -> dict[str, str]:
        """What is wrong with which run, by name: bytes that are no record, or a log that cannot be read."""
        return _problems(self._mine(read=True))

    def steps_and_rewards(self) -> list[tuple[str, str]]:
        """The keys of the step and of the reward of each run, by its own conventions; empty for none."""
        return [(one.facts.step, one.facts.reward) for one in self._entries(read=True).values()]

    def known_damage(self) -> dict[str, str]:
        """`damaged`, as far as the logs were read by now; nothing is read for it."""
        return self.damaged if True in self._settings.known else {}

    def refresh(self) -> Runs:
        """The same runs as they are now, with those that have come since; a filter is applied anew by the caller."""
        return Runs(
            _Settings(*(getattr(self._settings, name) for name in ("catalogs", "on_error", "progress", "workers")))
        )

    def __len__(self) -> int:
        return len(self._entries(read=False))

    def __iter__(self) -> Iterator[RunInfo]:
        for name, one in self._entries(read=False).items():
            yield one.info(name)

    @overload
    def __getitem__(self, index: int) -> RunInfo: ...
    @overload
    def __getitem__(self, index: slice) -> Runs: ...

    def __getitem__(self, index: int | slice) -> RunInfo | Runs:
        entries = self._entries(read=False)
        names = list(entries)[index]
        return entries[names].info(names) if isinstance(names, str) else Runs(self._settings, frozenset(names))

    def _repr_html_(self) -> str:
        """The runs, their states and metadata in a notebook; no frames are read for it."""
        return RunTable.of_rows(self._rows(read=False))._repr_html_()

    def __repr__(self) -> str:
        if not self._settings.known and self._chosen is None:
            return "<Runs: not looked at yet>"
        bad = f", {len(self.damaged)} of all damaged" if True in self._settings.known and self.damaged else ""
        return f"<Runs: {len(self):,} runs{bad}>"

    # --- what is known of them ---

    @cached_property
    def config(self) -> RunTable:
        """One row for each run.

        Its columns: ``run`` (name), ``state``, ``reason`` (what ended it), ``task``,
        ``duration`` (s), ``frames``, ``size`` (bytes), ``changed`` (seconds since 1970), ``damage`` (bytes that are no
        record), ``error`` (why a log cannot be read), each key of the metadata, and the last finite number of each
        metric of stats or generations as ``last/reward``. What a run does not have is absent.

        Raises:
            LogNotFound: when there are no runs.
            DamagedLog: with ``on_error="raise"``, for a damaged log.

        """
        entries = self._entries(read=True)
        self._warn()
        return RunTable.of_rows(row_of(name, one.facts) for name, one in entries.items())

    def _rows(self, *, read: bool, metrics: Iterable[str] = (), with_provenance: bool = False) -> list[dict[str, Any]]:
        """The rows of the table; with those of *metrics* (``best/reward``) that are no last values, too."""
        entries = self._entries(read=read)
        rows = [row_of(name, one.facts) for name, one in entries.items()]
        if with_provenance:
            for row, one in zip(rows, entries.values(), strict=True):
                row.update({name: value for key, value in one.facts.run.items() if (name := f"run/{key}") not in row})
        wanted = {key: key.partition("/") for key in metrics if key.partition("/")[0] in PREFIXES[1:]}
        if wanted:
            digests = self._digests(entries)
            for row, name in zip(rows, entries, strict=True):
                for key, (prefix, _, metric) in wanted.items():
                    value = of_metric(digests.get(name), prefix, metric)
                    if value is not None:
                        row.setdefault(key, value)
        return rows

    def _digests(self, entries: Mapping[str, KnownRun]) -> dict[str, Digest]:
        found: dict[str, Digest] = {}
        for catalog in self._settings.catalogs:
            names = {one.entry.path: name for name, one in entries.items() if one.catalog is catalog}
            found |= {names[path]: digest for path, digest, _ in catalog.store.digests(names)}
        return found

    def filter(self, text: str) -> Runs:
        """The runs that fit, such as ``"lr == 3e-4 and task ~ 'ant'"`` or ``"algo:sac -td3 reward>150"``.

        docs/runs.md describes the language. Where the metadata answer it, no frame is read.

        Raises:
            ExpressionError: when it is no filter, or when no run has a key that it names.

        """
        wanted = Filter.of(text)
        rows, columns = self.rows_for(wanted.keys)
        chosen = {row["run"] for row in rows if wanted(columns | row)}
        return Runs(self._settings, frozenset(chosen))

    def rows_for(self, keys: Iterable[str], *, read: bool = False) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The runs as rows that have what *keys* name, and all of their columns, each None: for filters and lists.

        The logs are read where the headers do not answer all of *keys*, or with *read*. Where runs come from
        (``run/host``) is in the rows only where a key names something of it.

        Raises:
            ExpressionError: when there are runs, and none has one of *keys*.

        """
        keys = list(keys)
        rows = self._rows(read=read, metrics=keys if read else ())
        columns = _columns_of(rows)
        if any(_is_lacking(key, columns) for key in keys):
            with_provenance = self._rows(read=read, metrics=keys if read else (), with_provenance=True)
            more = _columns_of(with_provenance)
            if has_any := any(_is_lacking(key, columns) and not _is_lacking(key, more) for key in keys):
                rows, columns = with_provenance, more
            if not read and any(_is_lacking(key, columns) for key in keys):
                rows = self._rows(read=True, metrics=keys, with_provenance=has_any)
                columns = _columns_of(rows)
        if rows:
            check_keys(keys, columns)
        return rows, columns

    def stamps(self) -> dict[str, str]:
        """What tells whether the files of a run have changed, by name."""
        return {name: one.entry.stamp for name, one in self._entries(read=False).items()}

    @property
    def workers(self) -> int | None:
        """How many processes read; None for one for each core."""
        return self._settings.workers

    @property
    def on_error(self) -> OnError:
        """What is done about damaged logs."""
        return self._settings.on_error

    @property
    def progress(self) -> bool | Callable[[int, int], object]:
        """Whether a terminal shows a bar, or what is called instead."""
        return self._settings.progress

    # --- what is in them ---

    def members(self) -> list[Member]:
        """The runs as fragments have them."""
        return [one.member(name) for name, one in self._entries(read=False).items() if one.facts.state != "unreadable"]

    def table(
        self,
        kind: KindLike = "stats",
        *,
        keys: Sequence[str] | None = None,
        time: Range | None = None,
        steps: Range | None = None,
        last: int | None = None,
    ) -> RunTable:
        """The rows of all runs in long form: ``run``, ``task``, ``seed``, ``time``, then the columns of the logs.

        Columns of logs that disagree are joined as rows of one log are, see `trainlog.table.table`.

        Args:
            kind: of which frames.
            keys: only these columns, in this order; a run that lacks one has gaps there.
            time: only rows from the first to before the second, in seconds.
            steps: the same for the rows' ``step``.
            last: of those, only so many from the end of each run.

        Raises:
            KeyError: when no run has one of *keys*.
            DamagedLog: with ``on_error="raise"``, for a damaged log.

        """
        scan = Scan(kinds=kind, columns=keys, time=time, steps=steps, last=last, batch_rows=None)
        members = self.members()
        fragments = [Fragment(group, scan, self.on_error) for group in self._groups(members)]
        found: dict[int, list[tuple[int, list[Table]]]] = {}
        damaged: dict[str, str] = {}
        for number, (tables, bad) in self._run(Fragment.tables, fragments, "reading"):
            found[number] = tables
            damaged |= bad
        rows: list[Table] = []
        owners: list[Member] = []
        for number in sorted(found):
            for place, tables in found[number]:
                rows += tables
                owners += [fragments[number].members[place]] * len(tables)
        _warn_of(damaged, len(members), self.on_error)
        whole = RunTable.of_tables(rows, labels_of(owners))
        if keys is None:
            return whole
        if rows and (missing := [key for key in keys if not any(key in table for table in rows)]):
            raise KeyError(f"no run has {missing[0]!r} in its {Kind.of(kind)} frames")
        names = {key: f"{key}#2" if key in ("run", "task", "seed", "time") else key for key in keys}
        return whole.select(["run", "task", "seed", "time", *(names[key] for key in keys if names[key] in whole)])

    def episodes(self) -> RunTable:
        """The episodes of all runs, a row each: ``run``, ``task``, ``seed``, then as `trainlog.episode.episode_table`.

        Raises:
            DamagedLog: with ``on_error="raise"``, for a damaged log.

        """
        members = self.members()
        scan = Scan(kinds=("event", "creature"))
        fragments = [Fragment(group, scan, self.on_error) for group in self._groups(members)]
        found: dict[int, list[tuple[int, list[Table]]]] = {}
        damaged: dict[str, str] = {}
        for number, (of_fragment, bad) in self._run(Fragment.episodes, fragments, "reading episodes"):
            found[number] = of_fragment
            damaged |= bad
        pairs = [
            (fragments[number].members[place], table) for number in sorted(found) for place, (table,) in found[number]
        ]
        _warn_of(damaged, len(members), self.on_error)
        return RunTable.of_tables([table for _, table in pairs], labels_of([member for member, _ in pairs]))

    def aggregate(
        self,
        metric: str,
        *,
        by: str | None = None,
        x: AxisName | None = None,
        center: CenterName = "iqm",
        band: BandName = "ci",
    ) -> RunTable:
        """The curves of a metric over groups of runs, as `plot` draws them, and by the same code; not smoothed.

        Args:
            metric: its name, ``reward`` or ``creature:speed``.
            by: a key of the metadata: runs of one value are one curve. One curve for all without it.
            x: the axis; the best one that all runs have without it.
            center: the middle of the runs: ``mean``, ``iqm`` or ``median``.
            band: around it: ``ci`` (the 95 % interval), ``std``, ``minmax`` or ``none``.

        Returns:
            columns ``curve``, the axis, the center, ``low`` and ``high`` (where there is a band), and ``runs``: how
            many there are at that point. A group of one run has its values as ``value``.

        Raises:
            PlotError: when the runs do not have that metric, key or axis.

        """
        pictures = self.plot(y=(metric,), by=by, x=x, center=center, band=band, smooth=0.0, facet="")
        blocks = [block for picture in pictures for block in picture.blocks]
        tables = [Table(Kind.STATS, next(iter(block.columns.values())), block.columns) for block in blocks]
        whole = RunTable.of_tables(tables, {"curve": [block.label for block in blocks]})
        return whole.select([name for name in whole if name != "time"])

    def plot(self, **options: Any) -> list[Picture]:
        """The figures of the runs, for `trainlog.plot.save_pictures`; *options* as of `trainlog.plot.PlotOptions`.

        Raises:
            PlotError: when the logs lack what the options name.

        """
        from trainlog.plot import PlotOptions, pictures, runs_of

        readers = [registry.open(member.path) for member in self.members()]
        chosen = PlotOptions(**options)
        return pictures(runs_of(readers, chosen.y), chosen)

    # --- for other programs ---

    def plan(
        self,
        kind: KindLike = "stats",
        *,
        keys: Sequence[str] | None = None,
        time: Range | None = None,
        steps: Range | None = None,
        last: int | None = None,
    ) -> Plan:
        """How the rows of *kind* are read, for engines: fragments, which their workers read where they like.

        Raises:
            MissingExtra, KeyError: as `to_arrow`.

        """
        schema = self.schema(kind)
        columns = None if keys is None else schema.columns_of(keys, kind)
        scan = Scan(kinds=kind, time=time, steps=steps, last=last, batch_rows=None)
        return Plan(self.members(), schema, scan, self.on_error, columns)

    def reached(self, kind: KindLike = "stats") -> dict[str, Reached]:
        """How far each run has come that has rows of *kind*, by name; for streams."""
        entries = self._entries(read=True)
        known: dict[str, tuple[Digest, str]] = {}
        for catalog in self._settings.catalogs:
            names = {one.entry.path: name for name, one in entries.items() if one.catalog is catalog}
            known |= {names[path]: (digest, position) for path, digest, position in catalog.store.digests(names)}
        for name, one in entries.items():
            if name not in known and one.facts.state != "unreadable":  # no catalog is kept
                known[name] = facts_of(one.path, read=True)[1:]
        number = int(Kind.of(kind))
        spans = {name: (digest.spans.get(number), position) for name, (digest, position) in known.items()}
        return {name: Reached(int(span[0]), span[2], position) for name, (span, position) in spans.items() if span}

    def schema(self, kind: KindLike = "stats") -> Schema:
        """The columns that the rows of *kind* have in all runs; where the catalog does not know a log, it is read."""
        entries = self._entries(read=True)
        self._warn()
        found = self._digests(entries)
        missing = [name for name in entries if name not in found and entries[name].facts.state != "unreadable"]
        parts = [missing[start : start + _FEW] for start in range(0, len(missing), _FEW)]
        seconds = seconds_to_read(len(missing), sum(entries[name].facts.size for name in missing))
        tasks = [[entries[name].path for name in part] for part in parts]
        for number, digests in run_all(_digests_of, tasks, seconds=seconds, workers=self.workers):
            found |= zip(parts[number], digests, strict=True)
        return Schema.of((found[name] for name in entries if name in found), Kind.of(kind), self.members())

    def to_arrow(self, kind: KindLike = "stats", **rows: Unpack[RowChoice]) -> pyarrow.Table:
        """`table` as Apache Arrow; the types of the columns are those of all runs, see `Schema`.

        Args:
            kind: of which frames.
            rows: which of them, and which of their columns: ``keys``, ``time``, ``steps``, ``last``.

        Raises:
            MissingExtra: without pyarrow: ``pip install "trainlog[arrow]"``.
            KeyError: when no run has one of *keys*.

        """
        pa = arrow_module()
        plan = self.plan(kind, **rows)
        fragments = plan.fragments(_FRAGMENT)
        read = self._run(Fragment.tables, fragments, "reading")
        found = {number: fragments[number].encoded(tables) for number, (tables, _) in read}
        parts = [found[number] for number in sorted(found)]
        return pa.concat_tables(parts) if parts else plan.arrow().empty_table()

    def to_polars(self, kind: KindLike = "stats", **rows: Unpack[RowChoice]) -> polars.DataFrame:
        """`to_arrow` as a polars frame, raises likewise; `trainlog.polars.scan_runs` is the lazy one."""
        frame: polars.DataFrame = extra("polars", '"trainlog[polars]"').from_arrow(self.to_arrow(kind, **rows))
        return frame

    def to_pandas(self, kind: KindLike = "stats", **rows: Unpack[RowChoice]) -> pandas.DataFrame:
        """`table` as a pandas frame; raises as `to_arrow`, and needs no pyarrow."""
        return self.table(kind, **rows).to_pandas()

    def to_duckdb(self, kind: KindLike = "stats", **rows: Unpack[RowChoice]) -> duckdb.DuckDBPyRelation:
        """`to_arrow` as a relation of DuckDB; raises likewise."""
        relation: duckdb.DuckDBPyRelation = extra("duckdb", '"trainlog[duckdb]"').from_arrow(
            self.to_arrow(kind, **rows)
        )
        return relation

    def to_parquet(
        self, target: Where, *, partition_by: str | Sequence[str] = (), kinds: Iterable[KindLike] = ("stats",)
    ) -> Compaction:
        """Copy the rows of all runs to Parquet files below *target*; see `trainlog.catalog.compaction.compact`."""
        from trainlog.catalog.compaction import compact

        return compact(self, local_path(target), partition_by=partition_by, kinds=kinds)

    # --- how ---

    def _groups(self, members: Sequence[Member]) -> list[tuple[Member, ...]]:
        total = sum(member.size for member in members)
        return by_bytes(members, min(_FRAGMENT, max(total // 16, 1 << 16)))

    def _run(
        self, function: Callable[[Any], Any], fragments: Sequence[Fragment], what: str
    ) -> Iterator[tuple[int, Any]]:
        seconds = sum(fragment.seconds for fragment in fragments)
        with progress_bar(what, self._settings.progress) as progress:
            for done, result in enumerate(run_all(function, fragments, seconds=seconds, workers=self.workers), 1):
                progress(done, len(fragments))
                yield result

    def _warn(self) -> None:
        _warn_of(self.damaged, len(self._mine(read=True)), self.on_error)


Which = Runs | Where | Iterable[Where]
"""Folders, patterns and logs, or what `runs` gave."""


def selected(where: Which, filter: str, on_error: OnError = "report", workers: int | None = None) -> Runs:
    """The runs of *where* that fit *filter*; for the adapters of engines."""
    found = where if isinstance(where, Runs) else runs(where, on_error=on_error, workers=workers)
    return found.filter(filter) if filter else found


def _warn_of(damaged: Mapping[str, str], total: int, on_error: OnError) -> None:
    if not damaged or on_error != "report":
        return
    names = ", ".join(f"{name} ({problem})" for name, problem in list(damaged.items())[:_NAMED])
    more = f" and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
    warnings.warn(
        DamagedLogWarning(f"{len(damaged):,} of {total:,} logs are damaged: {names}{more}; `Runs.damaged` lists them"),
        stacklevel=3,
    )


def _problems(known: Mapping[str, KnownRun]) -> dict[str, str]:
    return {name: one.facts.problem for name, one in known.items() if (facts := one.entry.facts).error or facts.holes}


def _columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return dict.fromkeys((name for row in rows for name in row), None)


def _is_lacking(key: str, columns: Mapping[str, Any]) -> bool:
    """Whether no column is called so, or ends so; a metric of that name does not count."""
    return key not in columns and not any(name.endswith(f"/{key}") for name in columns)


def _digests_of(paths: list[Path]) -> list[Digest]:
    return [facts_of(path, read=True)[1] for path in paths]
