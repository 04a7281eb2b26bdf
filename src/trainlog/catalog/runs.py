"""Many logs as one value: `runs`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Unpack, overload

from trainlog import registry
from trainlog.catalog.filter import Filter
from trainlog.catalog.fragments import LABELS, Fragment, Member, OnError, Schema, arrow_module, labels_of
from trainlog.catalog.index import Catalog
from trainlog.catalog.known_runs import KnownRuns, Reached, warn_of
from trainlog.catalog.plan import Plan, RowChoice, by_bytes
from trainlog.catalog.progress import progress_bar
from trainlog.catalog.run_info import RunInfo, row_of
from trainlog.catalog.run_table import RunTable
from trainlog.catalog.workers import in_order, run_all
from trainlog.conventions import AxisName
from trainlog.errors import LogNotFound
from trainlog.model import Kind, KindLike
from trainlog.scan import Scan
from trainlog.storage.location import local_path, location
from trainlog.table.arrow import extra
from trainlog.table.table import Table
from trainlog.table.values import Range, column_name

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

_FRAGMENT: Final = 8 << 20  # bytes of logs that a process reads at a time


def runs(
    where: Where | Iterable[Where],
    *,
    on_error: OnError = "report",
    progress: bool | Callable[[int, int], object] = True,
    workers: int | None = None,
) -> Runs:
    """The runs of a folder, of a pattern (``sweep/*/run.flog``), or of several of these; nothing is read yet.

    Each log is one run, also if several of the places lead to it; the shards of a log together are one, too, see
    `trainlog.find_logs.find_logs`. The facts about the runs are stored in a catalog, a SQLite file in that folder or in
    the user's cache, so that only changed files are looked at again. The catalog can be deleted at any time.

    Args:
        where: folders, patterns and logs, on this machine or as URLs of an object storage (``s3://bucket/sweep``).
        on_error: what to do about damaged logs: ``report`` reads their whole frames and warns, ``skip`` leaves them
            out, ``raise`` raises. `Runs.damaged` lists them in any case.
        progress: whether to show a bar on a terminal when a call takes more than a second; or a function that is called
            with the number of logs done and the total.
        workers: the number of processes that read; by default one per core.

    Raises:
        LogNotFound: if there is no such file or folder. If there are no logs, it is raised when the runs are accessed.
        ValueError: for any other *on_error*.

    """
    if on_error not in ("raise", "skip", "report"):
        raise ValueError(f"on_error is 'raise', 'skip' or 'report', not {on_error!r}")
    several = [where] if isinstance(where, str | os.PathLike) or hasattr(where, "as_uri") else list(where)
    if not several:
        raise LogNotFound("no folder and no log was named")
    return Runs(KnownRuns(tuple(Catalog(location(one)) for one in several), on_error, progress, workers))


class Runs(Sequence[RunInfo]):
    """Many runs, in the natural order of their paths, or in that of a slice of them; created by `trainlog.runs`.

    Creating it is cheap. Headers are read when the runs are counted or named, and whole logs when the answer depends on
    their frames. Both happen once, as the catalog stores the result. The object itself keeps what it has found;
    `refresh` looks again.

    Attributes:
        known: what the catalogs know about the runs, for other modules.

    """

    def __init__(self, known: KnownRuns) -> None:
        """Wrap the *known* runs."""
        self.known = known

    @property
    def damaged(self) -> dict[str, str]:
        """The problems of damaged runs, by name: bytes that are not a record, or a log that cannot be read."""
        return self.known.damaged()

    def refresh(self) -> Runs:
        """All runs as they are now, including new ones; the caller applies a filter again."""
        return Runs(self.known.refreshed())

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
        """The runs, their states and metadata, for a notebook; no frames are read."""
        return RunTable.of_rows(self.known.rows(read=False))._repr_html_()

    def __repr__(self) -> str:
        if not self.known.is_looked_at and self.known.names is None:
            return "<Runs: not looked at yet>"
        bad = f", {len(self.damaged)} of all damaged" if self.known.is_read and self.damaged else ""
        return f"<Runs: {len(self):,} runs{bad}>"

    # --- facts about the runs ---

    @cached_property
    def config(self) -> RunTable:
        """One row per run.

        The columns are ``run`` (name), ``state``, ``reason`` (what ended it), ``task``, ``duration`` (s), ``frames``,
        ``size`` (bytes), ``changed`` (seconds since 1970), ``damage`` (bytes that are not a record), ``error`` (why a
        log cannot be read), each key of the metadata, and the last finite number of each metric of stats or generations
        as ``last/reward``. Values that a run does not have are absent.

        Raises:
            LogNotFound: if there are no runs.
            DamagedLog: with ``on_error="raise"``, for a damaged log.

        """
        entries = self.known.entries(read=True)
        self.known.warn()
        return RunTable.of_rows(row_of(name, one.facts) for name, one in entries.items())

    def filter(self, text: str) -> Runs:
        """The runs that match *text*, such as ``"lr == 3e-4 and task ~ 'ant'"`` or ``"algo:sac -td3 reward>150"``.

        docs/runs.md describes the language. If the metadata are enough, no frames are read.

        Raises:
            ExpressionError: if *text* is not a filter, or no run has a key that it names.

        """
        wanted = Filter.of(text)
        rows, columns = self.known.rows_for(wanted.keys)
        return Runs(self.known.only(row["run"] for row in rows if wanted(columns | row)))

    # --- rows of the logs ---

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

        Columns whose types differ between logs are joined like the rows of one log, see `trainlog.Table`.

        Args:
            kind: the kind of the frames.
            keys: only these columns, in this order; a run that lacks one has gaps there.
            time: only rows within this half-open range, in seconds.
            steps: the same for the ``step`` of the rows.
            last: of those rows, only this many from the end of each run.

        Raises:
            KeyError: if no run has one of *keys*.
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
        own = [*LABELS, "time"]
        return whole.select([*own, *(name for key in keys if (name := column_name(key, own)) in whole)])

    def episodes(self) -> RunTable:
        """One row per episode of all runs: ``run``, ``task``, ``seed``, then as `trainlog.episode.episode_table`.

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
        """The curves of a metric over groups of runs, computed by the same code as in `plot`, without smoothing.

        Args:
            metric: the name, such as ``reward`` or ``creature:speed``.
            by: a key of the metadata; runs with the same value form one curve. Without it, all runs form one.
            x: the axis; by default the best one that all runs have.
            center: the center of the runs: ``mean``, ``iqm`` or ``median``.
            band: the band around it: ``ci`` (the 95 % interval), ``std``, ``minmax`` or ``none``.

        Returns:
            The columns ``curve``, the axis, the center, ``low`` and ``high`` (if there is a band), and ``runs``: the
            number of runs at that point. A group of one run has its values as ``value``.

        Raises:
            PlotError: if the runs do not have that metric, key or axis.

        """
        pictures = self.plot(y=(metric,), by=by, x=x, center=center, band=band, smooth=0.0, facet="")
        blocks = [block for picture in pictures for block in picture.blocks]
        tables = [Table(Kind.STATS, next(iter(block.columns.values())), block.columns) for block in blocks]
        whole = RunTable.of_tables(tables, {"curve": [block.label for block in blocks]})
        return whole.select([name for name in whole if name != "time"])

    def plot(self, **options: Unpack[PlotChoice]) -> list[Picture]:
        """The figures of the runs, for `trainlog.plot.save_pictures`; *options* as in `trainlog.plot.PlotOptions`.

        Raises:
            PlotError: if the logs lack what the options name.

        """
        from trainlog.plot import PlotOptions, pictures, runs_of

        readers = [registry.open(member.path) for member in self.known.members()]
        chosen = PlotOptions(**options)
        return pictures(runs_of(readers, chosen.y), chosen)

    # --- for other libraries ---

    def plan(
        self,
        kind: KindLike = "stats",
        *,
        keys: Sequence[str] | None = None,
        time: Range | None = None,
        steps: Range | None = None,
        last: int | None = None,
    ) -> Plan:
        """A plan to read the rows of *kind*, for engines: fragments that their workers can read anywhere.

        Raises:
            MissingExtra, KeyError: as `to_arrow`.

        """
        schema = self.schema(kind)
        columns = None if keys is None else schema.columns_of(keys, kind)
        scan = Scan(kinds=kind, time=time, steps=steps, last=last, batch_rows=None)
        return Plan(self.known.members(), schema, scan, self.known.on_error, columns)

    def reached(self, kind: KindLike = "stats") -> dict[str, Reached]:
        """The progress of each run with rows of *kind*, by name; for streams."""
        return self.known.reached(kind)

    def schema(self, kind: KindLike = "stats") -> Schema:
        """The columns of the rows of *kind* in all runs; a log that the catalog does not know is read."""
        return self.known.schema(kind)

    def to_arrow(self, kind: KindLike = "stats", **rows: Unpack[RowChoice]) -> pyarrow.Table:
        """`table` as an Apache Arrow table; the types of the columns fit all runs, see `Schema`.

        Args:
            kind: the kind of the frames.
            rows: which rows and columns to read: ``keys``, ``time``, ``steps``, ``last``; see `table`.

        Raises:
            MissingExtra: without pyarrow: ``pip install "trainlog[arrow]"``.
            KeyError: if no run has one of *keys*.

        """
        pa = arrow_module()
        plan = self.plan(kind, **rows)
        fragments = plan.fragments(_FRAGMENT)
        read = in_order(self._read(Fragment.tables, fragments, "reading"))
        parts = [fragment.encoded(tables) for fragment, (tables, _) in zip(fragments, read, strict=True)]
        return pa.concat_tables(parts) if parts else plan.arrow().empty_table()

    def to_polars(self, kind: KindLike = "stats", **rows: Unpack[RowChoice]) -> polars.DataFrame:
        """`to_arrow` as a polars data frame; raises the same. `trainlog.polars.scan_runs` is the lazy version."""
        frame: polars.DataFrame = extra("polars", '"trainlog[polars]"').from_arrow(self.to_arrow(kind, **rows))
        return frame

    def to_pandas(self, kind: KindLike = "stats", **rows: Unpack[RowChoice]) -> pandas.DataFrame:
        """`table` as a pandas data frame; raises as `to_arrow`, but does not need pyarrow."""
        return self.table(kind, **rows).to_pandas()

    def to_duckdb(self, kind: KindLike = "stats", **rows: Unpack[RowChoice]) -> duckdb.DuckDBPyRelation:
        """`to_arrow` as a DuckDB relation; raises the same."""
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

    # --- reading ---

    def _read_each(
        self, function: Callable[[Fragment], Any], scan: Scan, what: str
    ) -> list[tuple[Member, list[Table]]]:
        """Each log with its tables, in the order of the runs, read by a method of `Fragment`; warns of damaged logs."""
        members = self.known.members()
        size = min(_FRAGMENT, max(sum(member.size for member in members) // 16, 1 << 16))
        fragments = [Fragment(group, scan, self.known.on_error) for group in by_bytes(members, size)]
        found: list[tuple[Member, list[Table]]] = []
        damaged: dict[str, str] = {}
        read = in_order(self._read(function, fragments, what))
        for fragment, (logs, bad) in zip(fragments, read, strict=True):
            found += [(fragment.members[place], tables) for place, tables in logs]
            damaged |= bad
        warn_of(damaged, len(members), self.known.on_error)
        return found

    def _read(
        self, function: Callable[[Fragment], Any], fragments: Sequence[Fragment], what: str
    ) -> Iterator[tuple[int, Any]]:
        """Yield the number of each fragment with ``function(fragment)``, in the order in which they finish."""
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
"""Folders, patterns and logs, or the result of `runs`."""


def selected(where: Which, filter: str, on_error: OnError = "report", workers: int | None = None) -> Runs:
    """The runs of *where* that match *filter*; for the adapters of engines."""
    found = where if isinstance(where, Runs) else runs(where, on_error=on_error, workers=workers)
    return found.filter(filter) if filter else found
