"""Many runs as a Dask DataFrame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

from trainlog.catalog.fragments import Fragment, OnError
from trainlog.catalog.plan import RowChoice
from trainlog.catalog.runs import Which, selected
from trainlog.cores import core_count
from trainlog.model import KindLike
from trainlog.table.arrow import extra

if TYPE_CHECKING:
    import dask.dataframe
    import pandas

__all__ = ["read_runs"]

_BYTES = 32 << 20  # size of the logs of a partition


def read_runs(
    where: Which,
    kind: KindLike = "stats",
    *,
    filter: str = "",
    on_error: OnError = "report",
    partition_bytes: int = _BYTES,
    **rows: Unpack[RowChoice],
) -> dask.dataframe.DataFrame:
    """The rows of all runs as a Dask DataFrame: ``run``, ``task``, ``seed``, ``time``, then the columns of the logs.

    The columns have pandas' Arrow types. Columns that a query does not need are not read. The plan is made in this
    process, where the catalog is; the workers must see the logs under the same paths.

    Args:
        where: folders, patterns and logs, or the result of `trainlog.runs`.
        kind: the kind of the frames.
        filter: which runs, see docs/runs.md.
        on_error: as for `trainlog.runs`.
        partition_bytes: the approximate size of the logs of a partition, in bytes.
        rows: which rows and columns: ``keys``, ``time``, ``steps``, ``last``, as for `Runs.table`.

    Raises:
        MissingExtra: without Dask DataFrame and pyarrow.
        LogNotFound, ExpressionError, DamagedLog: as `trainlog.runs` and `Runs.filter`.
        KeyError: when no run has one of *keys*.

    """
    frames = extra("dask.dataframe", '"trainlog[dask]"')
    chosen = selected(where, filter, on_error)
    plan = chosen.plan(kind, **rows)
    fragments = plan.fragments(max(min(partition_bytes, plan.size // core_count()), 1))
    meta = _pandas(plan.arrow().empty_table())
    if not fragments:
        empty: dask.dataframe.DataFrame = frames.from_pandas(meta, npartitions=1)
        return empty
    found: dask.dataframe.DataFrame = frames.from_map(_read, fragments, meta=meta)
    return found


def _read(fragment: Fragment, columns: Sequence[str] | None = None) -> pandas.DataFrame:
    """The rows of a fragment, in a Dask task; Dask requests fewer columns by `columns`, as with its own readers."""
    return _pandas((fragment if columns is None else fragment.select(columns)).arrow())


def _pandas(table: Any) -> pandas.DataFrame:
    pd = extra("pandas", "pandas")
    frame: pandas.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame
