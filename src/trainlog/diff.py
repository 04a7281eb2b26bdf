"""A run beside another: metadata, keys, last values, and where their metrics part."""

from __future__ import annotations

import fnmatch
import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, Final, NamedTuple

import numpy as np

from trainlog.model import Header, Kind
from trainlog.plot import Metric, Run
from trainlog.plot.axes import Floats
from trainlog.table.column import Column
from trainlog.table.values import flatten

__all__ = ["Change", "Diff", "MetricDiff", "diff"]

_OF_ONE_RUN: Final = frozenset({"began", "wall", "pid"})  # facts of the provenance that differ in any two runs
_BLOCKS: Final = 50  # parts of training whose means are compared
_FALSE_ALARMS: Final = 0.05  # probability that a metric of two equal runs is said to differ
_ROUNDING: Final = 1e-9  # relative; metrics without noise may differ by this


class Change(NamedTuple):
    """A fact that differs, such as a key of the metadata.

    Attributes:
        name: of the fact.
        a, b: its value in each run; None where it is absent, as ``only`` says.
        only: ``a`` or ``b`` when only that run has it; else empty.

    """

    name: str
    a: Any
    b: Any
    only: str = ""


@dataclass(frozen=True, slots=True)
class MetricDiff:
    """A metric of both runs.

    Attributes:
        metric: the column.
        part: the type of the episodes, where there are several.
        a, b: the last values; NaN for a column of words or vectors.
        axis: the name of the x axis; ``time`` where there is no better one.
        first: the first x at which the runs differ; None when they do not.
        noise: the standard deviation of the noise of the difference between two values; 0 for an exact comparison.
        largest: the largest difference: of the means of the compared parts, or of two values.

    """

    metric: Metric
    part: str
    a: float
    b: float
    axis: str
    first: float | None
    noise: float
    largest: float

    @property
    def name(self) -> str:
        """The metric and the type of the episodes."""
        return f"{self.metric} ({self.part})" if self.part else str(self.metric)


@dataclass(frozen=True, slots=True)
class Diff:
    """The differences of two runs.

    Attributes:
        a, b: the names of the runs.
        exact: whether all values were compared one by one.
        meta: what differs in the metadata.
        run: what differs in where the runs come from, and in how they ended.
        frames: kinds with different numbers of frames.
        keys: keys that only one run has.
        metrics: all metrics of both runs; those that differ come first, by where.

    """

    a: str
    b: str
    exact: bool
    meta: tuple[Change, ...]
    run: tuple[Change, ...]
    frames: tuple[Change, ...]
    keys: tuple[Change, ...]
    metrics: tuple[MetricDiff, ...] = field(default=())

    @property
    def differing(self) -> tuple[MetricDiff, ...]:
        """The metrics that differ."""
        return tuple(one for one in self.metrics if one.first is not None)

    @property
    def same(self) -> bool:
        """Whether no metric differs and both runs have the same keys; exact: also the same number of frames."""
        return not self.differing and not self.keys and not (self.exact and self.frames)


def diff(a: Run, b: Run, *, exact: bool = False, ignore: Sequence[str] = ()) -> Diff:
    """Compare two runs.

    By default a metric differs where the means of a part of training differ by more than the noise of both runs: the
    x axis is cut into 50 parts (fewer for short runs), and a difference counts when it is improbable (5 % for the whole
    metric, Bonferroni) for independent noise. The noise is estimated from the second differences of successive values.

    With *exact*, every value of every column of every frame is compared, in the order of the frames, as for two runs of
    the same seed. Times of the frames are not: they are those of a clock.

    Source of the estimate of the noise: Gasser, Sroka & Jennen-Steinmetz 1986, "Residual variance and residual pattern
    in nonlinear regression".

    Args:
        a: a run.
        b: the run beside it.
        exact: compare values, not means of parts.
        ignore: patterns of keys that are left out, such as ``time/*``.

    """
    names = [run.label for run in (a, b)]
    sides = [{kind: run.columns(kind).table for kind in Kind} for run in (a, b)]
    meta = [flatten(run.reader.header.meta) for run in (a, b)]
    frames = [Change(str(kind), sides[0][kind].rows, sides[1][kind].rows) for kind in Kind]
    keys: list[Change] = []
    metrics: list[MetricDiff] = []
    for kind in Kind:
        columns = [[key for key in side[kind] if not _fits(key, ignore)] for side in sides]
        if all(side[kind].rows for side in sides):
            keys += [Change(f"{kind}:{key}", key, None, "a") for key in columns[0] if key not in sides[1][kind]]
            keys += [Change(f"{kind}:{key}", None, key, "b") for key in columns[1] if key not in sides[0][kind]]
        both = [key for key in columns[0] if key in sides[1][kind]]
        metrics += _exact(a, b, kind, both) if exact else _by_noise(a, b, kind, both)
    metrics.sort(key=lambda one: (one.first is None, one.first or 0.0))
    return Diff(
        a=names[0],
        b=names[1],
        exact=exact,
        meta=tuple(_changes(meta[0], meta[1])),
        run=tuple(_changes(*(_provenance(run.reader.header) for run in (a, b)))),
        frames=tuple(one for one in frames if one.a != one.b),
        keys=tuple(keys),
        metrics=tuple(metrics),
    )


def _provenance(header: Header) -> dict[str, Any]:
    """Where a run comes from, without what no two runs share; of the patch only which it is."""
    found = {key: value for key, value in flatten(header.run).items() if key not in _OF_ONE_RUN}
    if "git/patch" in found:
        text = str(found["git/patch"]).encode("utf-8", "surrogateescape")
        found["git/patch"] = f"{len(text):,} bytes, {hashlib.sha256(text).hexdigest()[:12]}"
    if header.end is not None:
        found |= {"end": header.end.state, **({"reason": header.end.reason} if header.end.reason else {})}
    return found


def _fits(key: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns)


def _changes(a: dict[str, Any], b: dict[str, Any]) -> Iterator[Change]:
    for key in dict.fromkeys([*a, *b]):
        if key not in b:
            yield Change(key, a[key], None, "a")
        elif key not in a:
            yield Change(key, None, b[key], "b")
        elif repr(a[key]) != repr(b[key]):  # which NaN is equal in
            yield Change(key, a[key], b[key])


def _axis(a: Run, b: Run, kind: Kind) -> Any:
    other = b.default_axes(kind)
    return next((name for name in a.default_axes(kind) if name in other), "time")


def _by_noise(a: Run, b: Run, kind: Kind, keys: Sequence[str]) -> Iterator[MetricDiff]:
    if kind == Kind.EVENT:
        return
    axis = _axis(a, b, kind)
    for key in keys:
        both = (a, b)
        if any(run.conventions.is_clock(key) or not run.columns(kind).is_number(key) for run in both):
            continue
        metric = Metric(kind, key)
        points = [run.points(metric, axis) for run in both]
        for part in points[0]:
            if part in points[1]:
                curves = [_finite(*side[part]) for side in points]
                if all(len(x) for x, _ in curves):
                    first, noise, largest = _part_ways(*curves[0], *curves[1])
                    yield MetricDiff(
                        metric, part, float(curves[0][1][-1]), float(curves[1][1][-1]), axis, first, noise, largest
                    )


def _finite(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """A curve without values that are not finite, in the order of x."""
    good = np.isfinite(x) & np.isfinite(y)
    order = np.argsort(x[good], kind="stable")
    return x[good][order], y[good][order]


def _part_ways(x_a: Floats, y_a: Floats, x_b: Floats, y_b: Floats) -> tuple[float | None, float, float]:
    """The first x at which two curves differ by more than their noise, that noise, and the largest difference."""
    low, high = max(x_a[0], x_b[0]), min(x_a[-1], x_b[-1])
    # Second differences, so that a slope is no noise; those of independent values have six times their variance.
    variances = [float(np.mean(np.diff(y, 2) ** 2) / 6) if len(y) > 2 else 0.0 for y in (y_a, y_b)]
    noise = math.sqrt(sum(variances))
    if high < low:
        return None, noise, 0.0
    blocks = max(min(_BLOCKS, len(x_a) // 4, len(x_b) // 4), 1)
    edges = np.linspace(low, high, blocks + 1)
    sums, counts = [], []
    for x, y in ((x_a, y_a), (x_b, y_b)):
        inside = (x >= low) & (x <= high)
        number = np.clip(np.searchsorted(edges, x[inside], side="right") - 1, 0, blocks - 1)
        counts.append(np.bincount(number, minlength=blocks))
        sums.append(np.bincount(number, y[inside], minlength=blocks))
    known = (counts[0] > 0) & (counts[1] > 0)
    if not known.any():
        return None, noise, 0.0
    means = [total[known] / count[known] for total, count in zip(sums, counts, strict=True)]
    error = np.sqrt(variances[0] / counts[0][known] + variances[1] / counts[1][known])
    difference = np.abs(means[0] - means[1])
    reach = NormalDist().inv_cdf(1 - _FALSE_ALARMS / 2 / known.sum())
    apart = np.flatnonzero(difference > reach * error + _ROUNDING * np.maximum(*np.abs(means)))
    first = float(edges[:-1][known][apart[0]]) if len(apart) else None
    return first, noise, float(difference.max())


def _exact(a: Run, b: Run, kind: Kind, keys: Sequence[str]) -> Iterator[MetricDiff]:
    tables = [run.columns(kind).table for run in (a, b)]
    rows = min(table.rows for table in tables)
    if not rows:
        return
    axis = _axis(a, b, kind)
    places = a.axis_values(kind, axis)
    for key in keys:
        one, two = (table.column(key) for table in tables)
        different = _different(one, two, rows)
        numbers = [run.columns(kind).numbers(key) if run.columns(kind).is_number(key) else None for run in (a, b)]
        last_a, last_b, largest = math.nan, math.nan, math.nan
        if numbers[0] is not None and numbers[1] is not None:
            last_a, last_b = (float(values[-1]) for values in numbers if values is not None)
            gaps = np.abs(numbers[0][:rows] - numbers[1][:rows])
            largest = float(np.max(gaps[np.isfinite(gaps)], initial=0.0))
        first = float(places[different[0]]) if len(different) else None
        if first is not None and math.isnan(first):
            first = float(tables[0].time[different[0]])  # a frame without a value of the axis
        yield MetricDiff(Metric(kind, key), "", last_a, last_b, axis, first, 0.0, largest)


def _different(one: Column, two: Column, rows: int) -> Any:
    """The rows, of the first *rows*, in which two columns differ; NaN equals NaN."""
    a, b = one.values[:rows], two.values[:rows]
    valid_a, valid_b = one.valid[:rows], two.valid[:rows]
    if a.dtype == object or b.dtype == object or a.shape != b.shape:
        pairs = zip(a.tolist(), b.tolist(), strict=True)
        unequal = np.array([_cell(x) != _cell(y) for x, y in pairs], np.bool_)
    else:
        unequal = a != b
        if a.dtype.kind in "fc" and b.dtype.kind in "fc":
            unequal &= ~(np.isnan(a) & np.isnan(b))
        unequal = unequal.reshape(rows, -1).any(axis=1)
    return np.flatnonzero((valid_a != valid_b) | (valid_a & valid_b & unequal))


def _cell(value: Any) -> str:
    return repr(value.tolist() if isinstance(value, np.ndarray | np.generic) else value)
