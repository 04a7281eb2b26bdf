"""Many runs as a Ray Data dataset."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from trainlog.catalog.fragments import Fragment, OnError
from trainlog.catalog.plan import Plan
from trainlog.catalog.runs import Which, selected
from trainlog.model import KindLike
from trainlog.table.arrow import extra
from trainlog.table.values import Range

if TYPE_CHECKING:
    import ray.data

__all__ = ["read_runs"]


def read_runs(
    where: Which,
    kind: KindLike = "stats",
    *,
    filter: str = "",
    keys: Sequence[str] | None = None,
    time: Range | None = None,
    steps: Range | None = None,
    last: int | None = None,
    on_error: OnError = "report",
    **options: Any,
) -> ray.data.Dataset:
    """The rows of all runs as a dataset: ``run``, ``task``, ``seed``, ``time``, then the columns of the logs.

    The plan is made in this process, where the catalog is; the Ray tasks read the logs, which their machines must see
    under the same paths. A failed task is retried according to the settings of Ray.

    Args:
        where: folders, patterns and logs, or the result of `trainlog.runs`.
        kind: the kind of the frames.
        filter: which runs, see docs/runs.md.
        keys: only these columns of the logs.
        time: only rows in this range of seconds.
        steps: only rows in this range of steps.
        last: of those, only the last N of each run.
        on_error: as for `trainlog.runs`.
        options: options of `ray.data.read_datasource`: ``override_num_blocks``, ``concurrency``, ``ray_remote_args``.

    Raises:
        MissingExtra: without Ray Data and pyarrow.
        LogNotFound, ExpressionError, DamagedLog: as `trainlog.runs` and `Runs.filter`.
        KeyError: when no run has one of *keys*.

    """
    data = extra("ray.data", '"trainlog[ray]"')
    chosen = selected(where, filter, on_error)
    plan = chosen.plan(kind, keys=keys, time=time, steps=steps, last=last)
    found: ray.data.Dataset = data.read_datasource(_source(data, plan), **options)
    return found


def _source(data: Any, plan: Plan) -> Any:
    class RunsDatasource(data.Datasource):  # type: ignore[misc]  # Ray is imported only here
        """Reads fragments."""

        def get_name(self) -> str:
            return "Runs"

        def estimate_inmemory_data_size(self) -> int:
            return plan.size

        def get_read_tasks(self, parallelism: int, *more: Any, **options: Any) -> list[Any]:
            fragments = plan.fragments(max(plan.size // max(parallelism, 1), 1))
            return [data.ReadTask(partial(_read, one), self._about(one), plan.arrow()) for one in fragments]

        def _about(self, fragment: Fragment) -> Any:
            from ray.data.block import BlockMetadata

            files = tuple(str(member.path) for member in fragment.members)
            return BlockMetadata(num_rows=None, size_bytes=fragment.size, input_files=files, exec_stats=None)

    return RunsDatasource()


def _read(fragment: Fragment) -> list[Any]:
    """The blocks of a Ray task."""
    return [fragment.arrow()]
