"""Digests of columns: the lowest, the highest, the mean, the first and the last number of each metric of a log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from trainlog.model import Kind
from trainlog.table.builder import TableBuilder
from trainlog.table.column import Column, SparseColumn
from trainlog.table.table import Table
from trainlog.table.values import number

__all__ = ["Digest", "Metric"]

_INT64: Final = 1 << 63
_MAY_BE_NUMBER: Final = frozenset("+-.0123456789 \t\n\r\v\fnNiITF")  # first characters of text that `number` may accept
_MOST_METRICS: Final = 4096  # per kind; in a hostile log, every frame can have different keys


@dataclass(slots=True)
class Metric:
    """The digest of one column.

    Attributes:
        types: the types of its values: letters of numpy dtypes, with the shape of arrays, such as ``f`` or ``f8(3,)``.
        rows: the number of rows that have a value.
        first, last, low, high: the first, the last, the lowest and the highest finite number; NaN if there is none.
        total: the sum of the finite numbers.
        numbers: the number of finite numbers.

    """

    types: set[str] = field(default_factory=set)
    rows: int = 0
    first: float = math.nan
    last: float = math.nan
    low: float = math.nan
    high: float = math.nan
    total: float = 0.0
    numbers: int = 0

    def add(self, column: Column) -> None:
        """Add the rows of *column*."""
        values, state = column
        if state is not None:
            values = values[column.valid]
        if not len(values):
            return
        self.rows += len(values)
        self.types |= _types_of(values)
        if values.ndim == 1 and values.dtype.kind == "O":
            values = np.fromiter(map(number, values), np.float64, len(values))
        if values.ndim > 1 or values.dtype.kind not in "fiub":
            return
        if values.dtype.kind == "f":
            values = values[np.isfinite(values)]
        if not len(values):
            return
        self.first = self.first if self.numbers else float(values[0])
        self.last = float(values[-1])
        self.low = min(float(values.min()), self.low if self.numbers else math.inf)
        self.high = max(float(values.max()), self.high if self.numbers else -math.inf)
        self.total += float(values.sum(dtype=np.float64))
        self.numbers += len(values)

    @property
    def mean(self) -> float:
        """The mean of the finite numbers; NaN if there are none."""
        return self.total / self.numbers if self.numbers else math.nan

    @property
    def varies(self) -> bool:
        """Whether there are two different finite numbers."""
        return self.low < self.high

    def packed(self) -> list[Any]:
        """As plain values."""
        return [sorted(self.types), self.rows, self.first, self.last, self.low, self.high, self.total, self.numbers]

    @classmethod
    def unpacked(cls, values: Any) -> Self:
        """The inverse of `packed`; raises TypeError or ValueError for anything else."""
        types, *rest = values
        return cls(set(types), *rest)


def _add_all(kind: str, metrics: list[Metric], values: npt.NDArray[Any]) -> None:
    """`Metric.add` for columns of one dtype at once, shape (metrics, rows): most logs are small, with many columns."""
    low, high = values.min(axis=1), values.max(axis=1)
    if kind == "f" and not np.isfinite(low + high).all():  # or only the sum is not finite
        for metric, one in zip(metrics, values, strict=True):
            metric.add(Column(one))
        return
    numbers = zip(values[:, 0], values[:, -1], low, high, values.sum(axis=1, dtype=np.float64), strict=True)
    for metric, each in zip(metrics, numbers, strict=True):
        first, last, lowest, highest, total = map(float, each)
        metric.rows += values.shape[1]
        metric.types.add(kind)
        known = metric.numbers > 0
        metric.first = metric.first if known else first
        metric.last = last
        metric.low = min(lowest, metric.low) if known else lowest
        metric.high = max(highest, metric.high) if known else highest
        metric.total += total
        metric.numbers += values.shape[1]


def _columns_of(frames: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[Any]]:
    """The values of each key, in the order of the frames."""
    keys = tuple(frames[0]) if frames else ()
    if all(tuple(one) == keys for one in frames):  # nearly always, and three times as fast
        return dict(zip(keys, zip(*(one.values() for one in frames), strict=True), strict=True))
    columns: dict[str, list[Any]] = {}
    for one in frames:
        for key, value in one.items():
            columns.setdefault(key, []).append(value)
    return columns


def _summary(values: Sequence[Any]) -> Metric | None:
    """The digest of these numbers or texts; None for any other values."""
    types = set(map(type, values))
    if types == {str}:
        return (
            None
            if any(value[:1] in _MAY_BE_NUMBER or not value.isascii() for value in values)
            else Metric({"U"}, len(values))
        )
    if types not in ({float}, {int}):
        return None
    low, high = min(values), max(values)
    if not -_INT64 <= low <= high < _INT64:  # checked before the sum, as fsum rejects infinities and huge numbers
        return None
    total = math.fsum(values) if types == {float} else sum(values)
    if not math.isfinite(total):
        return None
    first, last, total = float(values[0]), float(values[-1]), float(total)
    kind = "f" if types == {float} else "i"
    return Metric({kind}, len(values), first, last, float(low), float(high), total, len(values))


def _types_of(values: npt.NDArray[Any]) -> set[str]:
    if values.dtype.kind == "O":
        return set(map(_object_type, values.tolist()))
    return {_array_type(values[0])} if values.ndim > 1 else {values.dtype.kind}


def _object_type(one: Any) -> str:
    if type(one) is np.ndarray:
        return _array_type(one)
    if type(one) is int and not -_INT64 <= one < _INT64:
        return "u" if 0 < one < 2 * _INT64 else "O"
    return _OBJECTS.get(type(one), "O")


def _array_type(one: npt.NDArray[Any]) -> str:
    return f"{one.dtype.str[1:]}{one.shape}".replace(" ", "")


_TEXT: Final = frozenset([str])
_OBJECTS: Final[Mapping[type, str]] = {str: "U", bool: "b", int: "i", float: "f", bytes: "S"}


@dataclass(slots=True)
class Digest:
    """The metrics of a log, by kind and column."""

    kinds: dict[int, dict[str, Metric]] = field(default_factory=dict)
    spans: dict[int, list[float]] = field(default_factory=dict)  # rows, first and last time

    def add(self, table: Table) -> None:
        """Add the rows of *table*. The mean of numbers whose sum is too large for a float is infinite."""
        with np.errstate(over="ignore", invalid="ignore"):
            self._add(table)

    def _add(self, table: Table) -> None:
        span = self.spans.setdefault(int(table.kind), [0, float(table.time[0]), 0.0])
        span[0] += table.rows
        span[2] = float(table.time[-1])
        metrics = self.kinds.setdefault(int(table.kind), {})
        plain: dict[str, list[tuple[Metric, npt.NDArray[Any]]]] = {}
        for key in table:
            if key not in metrics:
                if len(metrics) >= _MOST_METRICS:
                    continue
                metrics[key] = Metric()
            one = table.stored(key)
            column = one.held if isinstance(one, SparseColumn) else one
            if column.state is None and column.values.ndim == 1 and column.values.dtype.kind in "fi" and table.rows:
                plain.setdefault(column.values.dtype.kind, []).append((metrics[key], column.values))
            else:
                metrics[key].add(column)
        for kind, columns in plain.items():
            _add_all(kind, [metric for metric, _ in columns], np.stack([values for _, values in columns]))

    def add_frames(self, kind: Kind, times: Sequence[float], frames: Sequence[Mapping[Any, Any]]) -> None:
        """Add the frames of a small log; the same as `add` of their table, but without building it, which is slow."""
        columns = _columns_of(frames)
        summaries = {key: _summary(values) for key, values in columns.items()}
        if len(columns) > _MOST_METRICS or None in summaries.values() or not _TEXT.issuperset(map(type, columns)):
            builder = TableBuilder(kind)
            builder.add_frames(times, frames)
            self.add(builder.finish())
            return
        self.spans[int(kind)] = [len(times), times[0], times[-1]]
        self.kinds[int(kind)] = {key: one for key, one in summaries.items() if one is not None}

    def end_like(self, since: Digest) -> None:
        """Correct what is first and last by *since*, the digest of all rows from some time on, in their order."""
        for kind, span in self.spans.items():
            if kind in since.spans:
                span[1:] = [min(span[1], since.spans[kind][1]), since.spans[kind][2]]
            for key, metric in self.kinds[kind].items():
                one = since.kinds.get(kind, {}).get(key)
                if one is not None and one.numbers:
                    metric.first = one.first if one.numbers == metric.numbers else metric.first
                    metric.last = one.last

    def packed(self) -> dict[str, Any]:
        """As plain values."""
        kinds = {str(kind): {key: one.packed() for key, one in metrics.items()} for kind, metrics in self.kinds.items()}
        return {"kinds": kinds, "spans": {str(kind): span for kind, span in self.spans.items()}}

    @classmethod
    def unpacked(cls, values: Any) -> Self:
        """The inverse of `packed`; raises KeyError, TypeError, ValueError or AttributeError for anything else."""
        kinds = {
            int(kind): {key: Metric.unpacked(one) for key, one in metrics.items()}
            for kind, metrics in values["kinds"].items()
        }
        return cls(kinds, {int(kind): [*span] for kind, span in values["spans"].items()})
