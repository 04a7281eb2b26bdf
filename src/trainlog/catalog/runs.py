"""Many logs as one value: `runs`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Unpack, overload

from trainlog import registry
from trainlog.catalog.filter import Filter
from trainlog.catalog.fragments import Fragment, Member, OnError, Schema, arrow_module, labels_of
from trainlog.catalog.index import Catalog
from trainlog.catalog.known_runs import KnownRuns, Reached, warn_of
from trainlog.catalog.plan import Plan, RowChoice, by_bytes
from trainlog.catalog.progress import progress_bar
from trainlog.catalog.run_info import RunInfo, row_of
from trainlog.catalog.run_table import RunTable
from trainlog.catalog.workers import run_all
from trainlog.conventions import AxisName
from trainlog.errors import LogNotFound
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
    from trainlog.plot.options import PlotChoice

__all__ = ["Reached", "Runs", "Where", "Which", "runs", "selected"]

Where = str | os.PathLike[str]

_FRAGMENT: Final = 8 << 20  # bytes of the logs that a process reads at a time


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
    return Runs(KnownRuns(tuple(Catalog(location(one)) for one in several), on_error, progress, workers))


class Runs(Sequence[RunInfo]):
    """Many runs, in the natural order of their paths; made by `trainlog.runs`.

    It is cheap to make. Headers are read when the runs are counted or named, and all of the logs when something is
    asked that stands in their frames: both once, as the catalog keeps it. The value keeps what it has found: `refresh`
    looks again.

    Attributes:
        known: what the catalogs know of them, for other modules.

    """

    def __init__(self, known: KnownRuns) -> None:
        """Make a value of the runs that are *known*."""
        self.known = known

    @property
    def damaged(self) -> dict[str, str]:
        """What is wrong with which run, by name: bytes that are no record, or a log that cannot be read."""
        return self.known.damaged()

    def refresh(self) -> Runs:
        """The same runs as they are now, with those that have come since; a filter is applied anew by the caller."""
        return Runs(self.known.anew())

    def __len__(self) -> int:
        return len(self.known.entries(read=False))

    def __iter__(self) -> Iterator[RunInfo]:
        for name, one in self.known.entries(read=False).items():
            yield one.info(name)

    @overload
    def __getitem__(self, index: int) -> RunInfo: ...
    @overload
    def __getitem__(self, index: slice) -> Runs: ...

    def __getitem__(self, index: int | slice) -> RunInfo | Runs:
        entries = self.known.entries(read=False)
        names = list(entries)[index]
        return entries[names].info(names) if isinstance(names, str) else Runs(self.known.only(names))

    def _repr_html_(self) -> str:
        """The runs, their states and metadata in a notebook; no frames are read for it."""
        return RunTable.of_rows(self.known.rows(read=False))._repr_html_()

    def __repr__(self) -> str:
        if not self.known.is_looked_at and self.known.names is None:
            return "<Runs: not looked at yet>"
        bad = f", {len(self.damaged)} of all damaged" if self.known.is_read and self.damaged else ""
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
        entries = self.known.entries(read=True)
        self.known.warn()
        return RunTable.of_rows(row_of(name, one.facts) for name, one in entries.items())

    def filter(self, text: str) -> Runs:
        """The runs that fit, such as ``"lr == 3e-4 and task ~ 'ant'"`` or ``"algo:sac -td3 reward>150"``.

        docs/runs.md describes the language. Where the metadata answer it, no frame is read.

        Raises:
            ExpressionError: when it is no filter, or when no run has a key that it names.

        """
        wanted = Filter.of(text)
        rows, columns = self.known.rows_for(wanted.keys)
        return Runs(self.known.only(row["run"] for row in rows if wanted(columns | row)))

    # --- what is in them ---

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

        Columns of logs that disagree are joined as rows of one log are, see `trainlog.Table`.

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
        pairs = self._read_each(Fragment.tables, scan, "reading")
        whole = _long_form(pairs)
        if keys is None:
            return whole
        rows = [table for _, tables in pairs for table in tables]
        if rows and (missing := [key for key in keys if not any(key in table for table in rows)]):
            raise KeyError(f"no run has {missing[0]!r} in its {Kind.of(kind)} frames")
        names = {key: f"{key}#2" if key in ("run", "task", "seed", "time") else key for key in keys}
        return whole.select(["run", "task", "seed", "time", *(names[key] for key in keys if names[key] in whole)])

    def episodes(self) -> RunTable:
        """The episodes of all runs, a row each: ``run``, ``task``, ``seed``, then as `trainlog.episode.episode_table`.

        Raises:
            DamagedLog: with ``on_error="raise"``, for a damaged log.

        """
        return _long_form(self._read_each(Fragment.episodes, Scan(kinds=("event", "creature")), "reading episodes"))

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

    def plot(self, **options: Unpack[PlotChoice]) -> list[Picture]:
        """The figures of the runs, for `trainlog.plot.save_pictures`; *options* as of `trainlog.plot.PlotOptions`.

        Raises:
            PlotError: when the logs lack what the options name.

        """
        from trainlog.plot import PlotOptions, pictures, runs_of

        readers = [registry.open(member.path) for member in self.known.members()]
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
        return Plan(self.known.members(), schema, scan, self.known.on_error, columns)

    def reached(self, kind: KindLike = "stats") -> dict[str, Reached]:
        """How far each run has come that has rows of *kind*, by name; for streams."""
        return self.known.reached(kind)

    def schema(self, kind: KindLike = "stats") -> Schema:
        """The columns that the rows of *kind* have in all runs; where the catalog does not know a log, it is read."""
        return self.known.schema(kind)

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
        read = self._read(Fragment.tables, fragments, "reading")
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

    def _read_each(
        self, function: Callable[[Fragment], Any], scan: Scan, what: str
    ) -> list[tuple[Member, list[Table]]]:
        """Each log with its tables, in the order of the runs, by a method of `Fragment`; warns of damaged logs."""
        members = self.known.members()
        size = min(_FRAGMENT, max(sum(member.size for member in members) // 16, 1 << 16))
        fragments = [Fragment(group, scan, self.known.on_error) for group in by_bytes(members, size)]
        found: dict[int, list[tuple[int, list[Table]]]] = {}
        damaged: dict[str, str] = {}
        for number, (tables, bad) in self._read(function, fragments, what):
            found[number] = tables
            damaged |= bad
        warn_of(damaged, len(members), self.known.on_error)
        return [
            (fragments[number].members[place], tables) for number in sorted(found) for place, tables in found[number]
        ]

    def _read(
        self, function: Callable[[Fragment], Any], fragments: Sequence[Fragment], what: str
    ) -> Iterator[tuple[int, Any]]:
        """Yield the number of each fragment with ``function(fragment)``, as they are finished."""
        seconds = sum(fragment.seconds for fragment in fragments)
        with progress_bar(what, self.known.progress) as progress:
            for done, result in enumerate(run_all(function, fragments, seconds=seconds, workers=self.known.workers), 1):
                progress(done, len(fragments))
                yield result


def _long_form(pairs: Sequence[tuple[Member, list[Table]]]) -> RunTable:
    """The rows of all tables, each with the labels of its run."""
    owners = [member for member, tables in pairs for _ in tables]
    return RunTable.of_tables([table for _, tables in pairs for table in tables], labels_of(owners))


Which = Runs | Where | Iterable[Where]
"""Folders, patterns and logs, or what `runs` gave."""


def selected(where: Which, filter: str, on_error: OnError = "report", workers: int | None = None) -> Runs:
    """The runs of *where* that fit *filter*; for the adapters of engines."""
    found = where if isinstance(where, Runs) else runs(where, on_error=on_error, workers=workers)
    return found.filter(filter) if filter else found
