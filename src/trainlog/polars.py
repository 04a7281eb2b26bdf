"""Many runs as a Polars LazyFrame, and so for everything that reads one (DuckDB, for example)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from trainlog.catalog.fragments import LABELS, Fragment, Member, OnError, Schema, arrow_module
from trainlog.catalog.runs import Which, selected
from trainlog.catalog.workers import in_order, run_all
from trainlog.model import KindLike
from trainlog.table.arrow import extra

if TYPE_CHECKING:
    import polars

__all__ = ["scan_runs"]

_RANGES: Final = ("time", "step")
_EXACT: Final = 1 << 53  # floats hold all ints up to this one


def scan_runs(
    where: Which,
    kind: KindLike = "stats",
    *,
    filter: str = "",
    on_error: OnError = "report",
    workers: int | None = None,
) -> polars.LazyFrame:
    """The rows of all runs as a lazy frame: ``run``, ``task``, ``seed``, ``time``, then the columns of the logs.

    Only the columns that the query needs are read. Conditions on ``run``, ``task`` and ``seed`` skip whole logs, a
    range of ``time`` or ``step`` skips rows before they are decoded, and ``head`` ends the read early. The logs are
    read by new processes; none is forked.

    Args:
        where: folders, patterns and logs, or the result of `trainlog.runs`.
        kind: the kind of the frames.
        filter: which runs, see docs/runs.md.
        on_error: as for `trainlog.runs`.
        workers: as for `trainlog.runs`.

    Raises:
        MissingExtra: without polars and pyarrow.
        LogNotFound, ExpressionError, DamagedLog: as `trainlog.runs` and `Runs.filter`.

    """
    pl = extra("polars", '"trainlog[polars]"')
    arrow_module()
    from polars.io.plugins import register_io_source

    chosen = selected(where, filter, on_error, workers)
    plan = chosen.plan(kind)
    names = pl.from_arrow(plan.arrow().empty_table()).schema

    def read(
        with_columns: list[str] | None, predicate: polars.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[polars.DataFrame]:
        columns = None if with_columns is None else [name for name in names if name in with_columns]
        needed = None if columns is None else list(columns)
        if needed is not None and predicate is not None:
            needed += [name for name in predicate.meta.root_names() if name not in needed]
        parts = [] if predicate is None else _conjunction(predicate)
        ranges = _ranges(parts, plan.schema.types)
        of_labels = [part for part in parts if part.meta.root_names() and {*part.meta.root_names()} <= {*LABELS}]
        members = _pruned(pl, plan.members, of_labels, plan.schema)
        part = plan.narrowed(members, needed, time=ranges.get("time"), steps=ranges.get("step"))
        fragments = part.fragments(min(8 << 20, max(part.size // 16, 1 << 16)))
        left = n_rows
        for frame in _in_order(pl, fragments, 1 if left is not None and predicate is None else chosen.known.workers):
            rows = frame if predicate is None else frame.filter(predicate)
            rows = rows if columns is None else rows.select(columns)
            if left is not None:
                rows = rows.head(left)
                left -= len(rows)
            yield rows
            if left == 0:
                return

    frame: polars.LazyFrame = register_io_source(read, schema=names, validate_schema=True)
    return frame


def _in_order(pl: Any, fragments: Sequence[Fragment], workers: int | None) -> Iterator[polars.DataFrame]:
    seconds = sum(fragment.seconds for fragment in fragments)
    results = in_order(run_all(Fragment.tables, fragments, seconds=seconds, workers=workers))
    for fragment, (tables, _) in zip(fragments, results, strict=True):
        yield pl.from_arrow(fragment.encoded(tables))


def _pruned(pl: Any, members: Sequence[Member], parts: Sequence[polars.Expr], schema: Schema) -> list[Member]:
    """The logs whose run, task and seed match all of *parts*."""
    if not parts:
        return list(members)
    types = {name: pl.Int64 if name == "seed" and schema.seed else pl.String for name in LABELS}
    frame = pl.DataFrame([schema.labels(member) for member in members], schema=types, orient="row")
    kept = frame.with_row_index("#").filter(*parts)["#"].to_list()
    return [members[place] for place in kept]


def _conjunction(predicate: polars.Expr) -> list[polars.Expr]:
    """The conditions that must all be true; *predicate* itself if it cannot be split."""
    if _tree(predicate).get("BinaryExpr", {}).get("op") != "And":
        return [predicate]
    return [part for side in reversed(predicate.meta.pop()) for part in _conjunction(side)]


def _tree(expression: polars.Expr) -> dict[str, Any]:
    """An expression as Polars serializes it; empty if it cannot be serialized, such as a Python function."""
    pl = extra("polars", '"trainlog[polars]"')
    try:
        tree = json.loads(expression.meta.serialize(format="json"))
    except (ValueError, pl.exceptions.PolarsError):
        return {}
    return tree if isinstance(tree, dict) else {}


def _ranges(parts: Iterable[polars.Expr], types: Mapping[str, frozenset[str]]) -> dict[str, tuple[float, float]]:
    """The ranges of time and step in *parts*; they can be too wide, because rows are filtered again.

    A NaN time is above all others for Polars, and in no range for a scan, so a range of times needs an upper limit. A
    step must be an integer in all logs.
    """
    low, high = (dict.fromkeys(_RANGES, math.inf * sign) for sign in (-1, 1))
    for part in parts:
        try:
            binary = _tree(part)["BinaryExpr"]
            left, operator, right = binary["left"], binary["op"], binary["right"]
            if "Literal" in left:
                left, operator, right = right, _MIRRORED[operator], left
            name, limit = left["Column"], _number(right["Literal"])
            if name in _RANGES and operator in ("Lt", "LtEq", "Eq"):
                # As floats, a large step and a limit above it can be equal.
                is_open = operator == "Lt" and abs(limit) < _EXACT
                high[name] = min(high[name], limit if is_open else math.nextafter(limit, math.inf))
            if name in _RANGES and operator in ("Gt", "GtEq", "Eq"):
                low[name] = max(low[name], limit)
        except (KeyError, TypeError):
            continue
    found = {name: (low[name], high[name]) for name in _RANGES}
    if high["time"] == math.inf:
        del found["time"]
    if types.get("step", frozenset()) != {"i"}:
        del found["step"]
    return {name: limits for name, limits in found.items() if limits != (-math.inf, math.inf)}


_MIRRORED: Final = {"Lt": "Gt", "LtEq": "GtEq", "Gt": "Lt", "GtEq": "LtEq", "Eq": "Eq"}


def _number(literal: Any) -> float:
    """The number in a literal of any type; raises TypeError if it is not a number."""
    while isinstance(literal, dict) and len(literal) == 1:
        (literal,) = literal.values()
    if isinstance(literal, bool) or not isinstance(literal, int | float) or math.isnan(literal):
        raise TypeError
    return float(literal)
