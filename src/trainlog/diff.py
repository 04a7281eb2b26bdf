"""Compares two runs: metadata, keys, last values, and where their metrics diverge."""

from __future__ import annotations

import fnmatch
import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import numpy as np

from trainlog.model import Header, Kind
from trainlog.plot import Metric, Run
from trainlog.plot.axes import Floats
from trainlog.statistics import scaled, student_quantile, unscaled
from trainlog.table.column import different_rows
from trainlog.table.values import flatten

__all__ = ["Change", "Diff", "LeftOut", "MetricDiff", "diff"]

_OF_ONE_RUN: Final = frozenset({"began", "wall", "pid"})  # facts of the provenance that differ between any two runs
_BLOCKS: Final = 50  # parts of training whose means are compared
_VALUES: Final = 8  # values of a run in each part; means of fewer are not normal enough
_FEWEST: Final = 3  # values of a run that are needed to estimate its noise
_SERIES: Final = 20  # means of parts that are needed to estimate the scatter of their differences
_FALSE_ALARMS: Final = 0.05  # probability that a metric of two equal runs is reported to differ
_ROUNDING: Final = 1e-9  # relative; metrics without noise can differ by this


class Change(NamedTuple):
    """A fact that differs, such as a key of the metadata.

    Attributes:
        name: the name of the fact.
        a, b: its value in each run; None if it is absent, see ``only``.
        only: ``a`` or ``b`` when only that run has it; otherwise empty.

    """

    name: str
    a: Any
    b: Any
    only: str = ""


class LeftOut(NamedTuple):
    """A column of both runs that could not be compared.

    Attributes:
        name: the name of the column, with the type of the episodes.
        reason: why it was left out.

    """

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class MetricDiff:
    """A metric of both runs.

    Attributes:
        metric: the column.
        part: the type of the episodes, if there are several.
        a, b: the last values, even if NaN or infinite; None for a column of words or vectors, and for no value.
        axis: the name of the x axis; ``time`` if there is no better one.
        first: the first x at which the runs differ; None when they do not, or share no x.
        noise: the standard deviation of the noise of the difference between two values; 0 for an exact comparison.
        largest: the largest difference: of the means of the compared parts, or of two values; for a vector that of the
            element that differs most.
        note: what differs, if it is not a finite number: ``not finite in b``, ``in [2]`` for an element of a vector,
            ``no common steps`` and ``only in a`` if nothing could be compared.

    """

    metric: Metric
    part: str
    a: float | None
    b: float | None
    axis: str
    first: float | None
    noise: float
    largest: float
    note: str = ""

    @property
    def differs(self) -> bool:
        """Whether the runs differ, or have no part of this metric in common."""
        return self.first is not None or bool(self.note)

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
        run: what differs in the provenance of the runs, and in how they ended.
        frames: kinds with different numbers of frames.
        keys: keys that only one run has.
        metrics: all metrics of both runs; those that differ come first, ordered by where they differ.
        left_out: columns of both runs that could not be compared, with the reason.

    """

    a: str
    b: str
    exact: bool
    meta: tuple[Change, ...]
    run: tuple[Change, ...]
    frames: tuple[Change, ...]
    keys: tuple[Change, ...]
    metrics: tuple[MetricDiff, ...] = field(default=())
    left_out: tuple[LeftOut, ...] = ()

    @property
    def differing(self) -> tuple[MetricDiff, ...]:
        """The metrics that differ."""
        return tuple(one for one in self.metrics if one.differs)

    @property
    def same(self) -> bool:
        """Whether no metric differs and both runs have the same keys; if exact, also the same numbers of frames."""
        return not self.differing and not self.keys and not (self.exact and self.frames)


def diff(a: Run, b: Run, *, exact: bool = False, ignore: Sequence[str] = ()) -> Diff:
    """Compare two runs.

    By default a metric differs if the means of a part of training differ by more than the noise of both runs: the
    x axis is cut into at most 50 parts of at least 8 values, and a difference counts when it is improbable (5 % for the
    whole metric, by Student's t and Bonferroni). The noise is estimated from the second differences of successive
    values, for the whole run and for the part, and the larger estimate is used. With at least 20 parts, the noise is at
    least that of the differences of the means, so that noise correlated over less than a part is not a difference.
    Noise correlated over longer times is; docs/plot.md says how often.

    A value that is not finite is a difference if the other run has only finite values; if both have such values, they
    count when they differ by more than chance. A vector is compared by its elements. Other columns, such as words, are
    compared step by step, without any noise. Clocks and counters are the x axis, and are not compared.

    With *exact*, every value of every column of every frame is compared, in the order of the frames, as for two runs of
    the same seed. Times of the frames are not compared, because they come from a clock.

    Source of the estimate of the noise: Gasser, Sroka & Jennen-Steinmetz 1986, "Residual variance and residual pattern
    in nonlinear regression".

    Args:
        a: a run.
        b: the run to compare it with.
        exact: compare values, not means of parts.
        ignore: patterns of keys that are left out, such as ``time/*``.

    """
    names = [run.label for run in (a, b)]
    sides = [{kind: run.columns(kind).table for kind in Kind} for run in (a, b)]
    meta = [flatten(run.reader.header.meta) for run in (a, b)]
    frames = [Change(str(kind), sides[0][kind].rows, sides[1][kind].rows) for kind in Kind]
    keys: list[Change] = []
    metrics: list[MetricDiff] = []
    left_out: list[LeftOut] = []
    for kind in Kind:
        columns = [[key for key in side[kind] if not _fits(key, ignore)] for side in sides]
        # A run without events does not log any; a run without frames of another kind has lost what the other one has.
        if kind != Kind.EVENT or all(side[kind].rows for side in sides):
            keys += [Change(f"{kind}:{key}", key, None, "a") for key in columns[0] if key not in sides[1][kind]]
            keys += [Change(f"{kind}:{key}", None, key, "b") for key in columns[1] if key not in sides[0][kind]]
        both = [key for key in columns[0] if key in sides[1][kind]]
        for found in _exact(a, b, kind, both) if exact else _by_noise(a, b, kind, both):
            if isinstance(found, LeftOut):
                left_out.append(found)
            else:
                metrics.append(found)
    metrics.sort(key=lambda one: (not one.differs, one.first or 0.0))
    return Diff(
        a=names[0],
        b=names[1],
        exact=exact,
        meta=tuple(_changes(meta[0], meta[1])),
        run=tuple(_changes(*(_provenance(run.reader.header) for run in (a, b)))),
        frames=tuple(one for one in frames if one.a != one.b),
        keys=tuple(keys),
        metrics=tuple(metrics),
        left_out=tuple(left_out),
    )


def _provenance(header: Header) -> dict[str, Any]:
    """Where a run comes from, without the facts that no two runs share; the patch is reduced to size and hash."""
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
        elif repr(a[key]) != repr(b[key]):  # so that NaN equals NaN
            yield Change(key, a[key], b[key])


def _axis(a: Run, b: Run, kind: Kind) -> Any:
    other = b.default_axes(kind)
    return next((name for name in a.default_axes(kind) if name in other), "time")


def _by_noise(a: Run, b: Run, kind: Kind, keys: Sequence[str]) -> Iterator[MetricDiff | LeftOut]:
    if kind == Kind.EVENT:
        return
    axis = _axis(a, b, kind)
    for key in keys:
        if any(run.conventions.is_clock(key) for run in (a, b)):
            continue
        columns = [run.columns(kind) for run in (a, b)]
        lengths = {one.parts(key) for one in columns}
        if all(one.is_number(key) for one in columns):
            yield from _numbers(a, b, Metric(kind, key), axis, _FALSE_ALARMS)
        elif len(lengths) == 1 and lengths != {0} and all(one.table[key].dtype.kind in "biuf" for one in columns):
            yield from _vector(a, b, Metric(kind, key), axis, lengths.pop())
        else:
            yield _by_step(a, b, Metric(kind, key), axis)


def _numbers(a: Run, b: Run, metric: Metric, axis: Any, alarms: float) -> Iterator[MetricDiff | LeftOut]:
    """Compare a metric for each type of episodes."""
    points = [run.points(metric, axis) for run in (a, b)]
    for part in dict.fromkeys([*points[0], *points[1]]):
        last = [float(side[part][1][-1]) if part in side else None for side in points]
        one = MetricDiff(metric, part, last[0], last[1], axis, None, 0.0, 0.0)
        if not all(part in side for side in points):
            yield replace(one, note=f"only in {'a' if part in points[0] else 'b'}")
            continue
        curves = [_in_order(*side[part]) for side in points]
        low, high = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
        if high < low:
            yield replace(one, note="no common steps")
            continue
        odd, note = _not_finite(curves, low, high, alarms)
        finite = [(x[np.isfinite(y)], y[np.isfinite(y)]) for x, y in curves]
        if not all(((x >= low) & (x <= high)).any() for x, _ in finite):
            yield replace(one, first=odd, note=note)
            continue
        first, noise, largest = _part_ways(*finite[0], *finite[1], alarms)
        few = min(len(y) for _, y in finite) < _FEWEST
        if few and odd is None and largest > _ROUNDING * max(float(np.abs(y).max()) for _, y in finite):
            yield LeftOut(one.name, f"a difference of {largest:.4g}, and too few values to know the noise")
            continue
        if first is None or (odd is not None and odd <= first):
            first = odd
        else:
            note = ""
        yield replace(one, first=first, noise=noise, largest=largest, note=note)


def _vector(a: Run, b: Run, metric: Metric, axis: Any, length: int) -> Iterator[MetricDiff | LeftOut]:
    """Compare a column of vectors by its elements, with the same false alarm rate for the whole as for a number."""
    found: dict[str, list[MetricDiff]] = {}
    for number in range(length):
        for one in _numbers(a, b, metric._replace(part=number), axis, _FALSE_ALARMS / length):
            if isinstance(one, LeftOut):
                yield one
            else:
                found.setdefault(one.part, []).append(one)
    for every in found.values():
        first = min(every, key=lambda one: (not one.differs, one.first or 0.0))
        most = max(every, key=lambda one: one.largest)
        where = f"in [{first.metric.part}]" if first.first is not None else ""
        note = ": ".join(filter(None, (where, first.note)))
        yield replace(first, metric=metric, a=None, b=None, noise=most.noise, largest=most.largest, note=note)


def _by_step(a: Run, b: Run, metric: Metric, axis: Any) -> MetricDiff | LeftOut:
    """Compare the values of a column of non-numbers at each x that both runs have."""
    places = [run.axis_values(metric.kind, axis) for run in (a, b)]
    known = [np.flatnonzero(np.isfinite(x)) for x in places]
    x_a, x_b = (x[own] for x, own in zip(places, known, strict=True))
    common, *rows = np.intersect1d(x_a, x_b, return_indices=True)
    if not len(common):
        return LeftOut(str(metric), "its values are not numbers, and the runs have no step in common")
    one, two = (
        run.columns(metric.kind).table.column(metric.key).take(own[chosen])
        for run, own, chosen in zip((a, b), known, rows, strict=True)
    )
    different = np.flatnonzero(different_rows(one, two))
    first = float(common[different[0]]) if len(different) else None
    return MetricDiff(metric, "", None, None, axis, first, 0.0, math.nan)


def _in_order(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """A curve sorted by x."""
    order = np.argsort(x, kind="stable")
    return x[order], y[order]


def _not_finite(
    curves: Sequence[tuple[Floats, Floats]], low: float, high: float, alarms: float
) -> tuple[float | None, str]:
    """The first x at which one run is NaN or infinite and the other is not, and a note that names the run."""
    odd = [(x, (~np.isfinite(y)).astype(np.float64)) for x, y in curves]
    places = [x[(y > 0) & (x >= low) & (x <= high)] for x, y in odd]
    for name, own, other in (("a", places[0], places[1]), ("b", places[1], places[0])):
        if len(own) and not len(other):
            return float(own[0]), f"not finite in {name}"
    first = _part_ways(*odd[0], *odd[1], alarms)[0]
    return (None, "") if first is None else (first, "not finite at different steps")


def _variance(y: Floats) -> tuple[float, float]:
    """The variance of the noise of a curve, and its degrees of freedom; 0 and 1 for fewer than three values.

    It uses second differences, so that a slope is not noise; those of independent values have six times their variance,
    and are correlated by -2/3 and 1/6 with the next ones, which leaves about half as many degrees of freedom.
    """
    count = len(y) - _FEWEST + 1
    if count < 1:
        return 0.0, 1.0
    df = count**2 / (count + (count - 1) * 8 / 9 + max(count - 2, 0) / 18)
    return float(np.mean(np.diff(y, 2) ** 2) / 6), df


def _part_ways(
    x_a: Floats, y_a: Floats, x_b: Floats, y_b: Floats, alarms: float = _FALSE_ALARMS
) -> tuple[float | None, float, float]:
    """The first x at which two curves differ by more than their noise, that noise, and the largest difference.

    They have common x, and finite values. Curves of fewer than three values never differ by more than their noise.
    """
    [[y_a, y_b]], exponent = scaled([y_a, y_b])
    first, *sizes = _part_ways_scaled(x_a, y_a, x_b, y_b, alarms)
    noise, largest = (float(unscaled(size, exponent)) for size in sizes)
    return first, noise, largest


def _part_ways_scaled(
    x_a: Floats, y_a: Floats, x_b: Floats, y_b: Floats, alarms: float
) -> tuple[float | None, float, float]:
    low, high = max(x_a[0], x_b[0]), min(x_a[-1], x_b[-1])
    variances = [_variance(y) for y in (y_a, y_b)]
    noise = math.sqrt(sum(variance for variance, _ in variances))
    blocks = max(min(_BLOCKS, len(x_a) // _VALUES, len(x_b) // _VALUES), 1)
    edges = np.linspace(low, high, blocks + 1)
    means, errors = [], []
    for x, y, variance in ((x_a, y_a, variances[0][0]), (x_b, y_b, variances[1][0])):
        inside = (x >= low) & (x <= high)
        number = np.clip(np.searchsorted(edges, x[inside], side="right") - 1, 0, blocks - 1)
        count = np.bincount(number, minlength=blocks)
        with np.errstate(invalid="ignore", divide="ignore"):
            means.append(np.bincount(number, y[inside], minlength=blocks) / count)
            # A part with more noise than the whole, as at the start of a training or at an outlier, uses its own noise.
            squares = np.diff(y[inside], 2) ** 2 / 6
            own = np.bincount(number[1:-1], squares, minlength=blocks) / np.bincount(number[1:-1], minlength=blocks)
            errors.append(np.fmax(own, variance) / count)
    known = np.isfinite(means[0]) & np.isfinite(means[1])
    if not known.any():
        return None, noise, 0.0
    difference = (means[0] - means[1])[known]
    largest = float(np.abs(difference).max())
    if min(len(y_a), len(y_b)) < _FEWEST:
        return None, noise, largest
    share = 1 - alarms / 2 / len(difference)
    weights = sum(variance**2 / df for variance, df in variances)
    df = noise**4 / weights if weights else math.inf
    limit = float(student_quantile(min(df, 1e6), share)) * np.sqrt(errors[0] + errors[1])[known]
    if len(difference) >= _SERIES:
        variance, df = _variance(difference)
        limit = np.maximum(limit, float(student_quantile(df, share)) * math.sqrt(variance))
    apart = np.flatnonzero(np.abs(difference) > limit + _ROUNDING * np.fmax(*np.abs(means))[known])
    first = float(edges[:-1][known][apart[0]]) if len(apart) else None
    return first, noise, largest


def _exact(a: Run, b: Run, kind: Kind, keys: Sequence[str]) -> Iterator[MetricDiff | LeftOut]:
    tables = [run.columns(kind).table for run in (a, b)]
    rows = min(table.rows for table in tables)
    if not rows:
        return
    axis = _axis(a, b, kind)
    places = a.axis_values(kind, axis)
    for key in keys:
        one, two = (table.column(key) for table in tables)
        different = np.flatnonzero(different_rows(one.take(slice(rows)), two.take(slice(rows))))
        last: tuple[float | None, float | None] = None, None
        largest = math.nan
        if all(run.columns(kind).is_number(key) for run in (a, b)):
            ours, theirs = (run.columns(kind).numbers(key) for run in (a, b))
            last = float(ours[-1]), float(theirs[-1])
            with np.errstate(invalid="ignore", over="ignore"):  # infinities of one sign, and sums beyond all floats
                gaps = np.abs(ours[:rows] - theirs[:rows])
            largest = float(np.max(gaps[np.isfinite(gaps)], initial=0.0))
        first = float(places[different[0]]) if len(different) else None
        if first is not None and math.isnan(first):
            first = float(tables[0].time[different[0]])  # a frame without a value of the axis
        yield MetricDiff(Metric(kind, key), "", *last, axis, first, 0.0, largest)
