"""How the rows of many logs are read: a plan, which is split into fragments of about equal size in bytes.

Everything that runs elsewhere starts here: a pool of processes, Polars, Ray Data, Dask and Spark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from trainlog.catalog.fragments import Fragment, Member, OnError, Schema
from trainlog.scan import Scan
from trainlog.table.values import Range

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Plan", "RowChoice", "by_bytes"]


class RowChoice(TypedDict, total=False):
    """Which rows and columns of the logs to read.

    Attributes:
        keys: only these columns, in this order; a run that lacks one has gaps there.
        time: only rows within this half-open range, in seconds.
        steps: the same for the ``step`` of the rows.
        last: of those rows, only this many from the end of each run.

    """

    keys: Sequence[str] | None
    time: Range | None
    steps: Range | None
    last: int | None


@dataclass(frozen=True)
class Plan:
    """Some runs and the query for them; created by `trainlog.catalog.runs.Runs.plan`.

    Attributes:
        members: the logs.
        schema: the schema of all their rows.
        scan: the query for each log; of one kind, and for all columns.
        on_error: what to do about damaged logs.
        columns: the columns of the result, by their names in the schema; None means all.

    """

    members: Sequence[Member]
    schema: Schema
    scan: Scan
    on_error: OnError = "report"
    columns: Sequence[str] | None = None

    @property
    def size(self) -> int:
        """The bytes of all logs."""
        return sum(member.size for member in self.members)

    def arrow(self) -> pyarrow.Schema:
        """The schema of the result."""
        return self.schema.arrow(self.columns)

    def narrowed(self, members: Sequence[Member], columns: Sequence[str] | None, **rows: Any) -> Plan:
        """The plan for some of the logs, other *columns*, and other ranges (``time``, ``steps``)."""
        return replace(self, members=members, columns=columns, scan=replace(self.scan, **rows))

    def fragments(self, size: int) -> list[Fragment]:
        """Fragments of about *size* bytes of logs; a log is never split."""
        whole = Fragment((), self.scan, self.on_error, self.schema)
        each = whole if self.columns is None else whole.select(self.columns)
        return [replace(each, members=group) for group in by_bytes(self.members, size)]


def by_bytes(members: Sequence[Member], most: int) -> list[tuple[Member, ...]]:
    """*members*, in their order, in groups of about *most* bytes each; a log is never split."""
    if not members:
        return []
    sizes = np.cumsum([max(member.size, 1 << 12) for member in members])  # opening a small log has a cost, too
    count = max(1, round(int(sizes[-1]) / most))
    number = np.minimum((sizes - 1) * count // int(sizes[-1]), count - 1)
    groups: dict[int, list[Member]] = {}
    for member, group in zip(members, number.tolist(), strict=True):
        groups.setdefault(group, []).append(member)
    return [tuple(group) for group in groups.values()]
