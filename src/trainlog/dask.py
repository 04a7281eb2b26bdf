"""Many runs as a frame of Dask."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from trainlog.catalog.fragments import Fragment, OnError
from trainlog.catalog.runs import Runs, selected
from trainlog.cores import core_count
from trainlog.model import KindLike
from trainlog.table.arrow import extra
from trainlog.table.values import Range

if TYPE_CHECKING:
    import dask.dataframe
    import pandas

__all__ = ["read_runs"]

_BYTES = 32 << 20  # of the logs of a partition


def read_runs(
    where: Runs | str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    kind: KindLike = "stats",
    *,
    filter: str = "",
    keys: Sequence[str] | None = None,
    time: Range | None = None,
    steps: Range | None = None,
    last: int | None = None,
    on_error: OnError = "report",
    partition_bytes: int = _BYTES,
) -> dask.dataframe.DataFrame:
    """The rows of all runs as a frame of Dask: ``run``, ``task``, ``seed``, ``time``, then the columns of the logs.

    The columns have pandas' types for Arrow. Columns that a query does not need are not read. The plan is made here,
    where the catalog is; the workers must see the logs under the same paths.

    Args:
        where: folders, patterns and logs, or what `trainlog.runs` gave.
        kind: of which frames.
        filter: which runs, see docs/runs.md.
        keys: only these columns of the logs.
        time: only rows in this range of seconds.
        steps: only rows in this range of steps.
        last: of those, only so many from the end of each run.
        on_error: as for `trainlog.runs`.
        partition_bytes: bytes of the logs of a partition, about.

    Raises:
        MissingExtra: without Dask's data frames and pyarrow.
        LogNotFound, ExpressionError, DamagedLog: as `trainlog.runs` and `Runs.filter`.
        KeyError: when no run has one of *keys*.

    """
    frames = extra("dask.dataframe", '"trainlog[dask]"')
    chosen = selected(where, filter, on_error)
    schema = chosen.schema(kind)
    names = None if keys is None else schema.columns_of(keys, kind)
    total = sum(member.size for member in chosen.members())
    size = max(min(partition_bytes, total // core_count()), 1)
    fragments = chosen.fragments(kind, columns=names, size=size, schema=schema, time=time, steps=steps, last=last)
    meta = _pandas(schema.arrow(names).empty_table())
    if not fragments:
        empty: dask.dataframe.DataFrame = frames.from_pandas(meta, npartitions=1)
        return empty
    found: dask.dataframe.DataFrame = frames.from_map(_Read(), fragments, meta=meta)
    return found


class _Read:
    """What a task of Dask calls; Dask asks for fewer columns by `columns`, as it does of its own readers."""

    def __call__(self, fragment: Fragment, columns: Sequence[str] | None = None) -> pandas.DataFrame:
        return _pandas((fragment if columns is None else fragment.select(columns)).arrow())


def _pandas(table: Any) -> pandas.DataFrame:
    pd = extra("pandas", "pandas")
    frame: pandas.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame
