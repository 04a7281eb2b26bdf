"""The numbers of logs and their metrics, and their format as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainlog.model import Kind
from trainlog.plot import Metric, Run
from trainlog.plot.axes import Floats

__all__ = ["LogFacts", "MetricFacts", "facts_of", "human", "sparkline", "values_of"]

_BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """A metric of one log.

    Attributes:
        count: the number of logged values.
        odd: how many of them are NaN or infinite. The statistics ignore those, and are NaN without finite values.
        first, last, lowest, highest, mean, std: statistics of the finite values.
        final: the mean of the last tenth.
        values: float64, shape (count,).

    """

    count: int
    odd: int
    first: float
    last: float
    lowest: float
    highest: float
    mean: float
    std: float
    final: float
    values: Floats

    @classmethod
    def of(cls, values: Floats) -> MetricFacts:
        """Compute the statistics of all logged values."""
        finite = values[np.isfinite(values)]
        odd = len(values) - len(finite)
        if not len(finite):
            nan = math.nan
            return cls(len(values), odd, nan, nan, nan, nan, nan, nan, nan, values)
        tail = values[-max(math.ceil(len(values) / 10), 1) :]
        with np.errstate(all="ignore"):
            ends = (float(finite[0]), float(finite[-1]), float(finite.min()), float(finite.max()))
            mean, std, final = float(finite.mean()), float(finite.std()), _mean(tail[np.isfinite(tail)])
        return cls(len(values), odd, *ends, mean, std, final, values)

    def as_json(self) -> dict[str, Any]:
        """For summary.json."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "values"}


@dataclass(frozen=True, slots=True)
class LogFacts:
    """A log.

    Attributes:
        name: its name, as in legends.
        meta: the strings and numbers of its metadata.
        frames: the number of frames of each kind.
        duration: time of the last frame, in seconds.
        metrics: the metrics by name; with several types of episodes one for each, such as ``return (evaluation)``.
        end: how the run ended, according to its log; empty if it does not say.

    """

    name: str
    meta: dict[str, Any]
    frames: dict[str, int]
    duration: float
    metrics: dict[str, MetricFacts]
    end: str = ""

    def as_json(self) -> dict[str, Any]:
        """For summary.json."""
        facts = {name: getattr(self, name) for name in self.__slots__}
        return {**facts, "metrics": {name: metric.as_json() for name, metric in self.metrics.items()}}


def facts_of(run: Run, metrics: Sequence[Metric]) -> LogFacts:
    """Compute the facts of *run*; *metrics* that it lacks are left out."""
    tables = {kind: run.columns(kind).table for kind in (Kind.STATS, Kind.EVOLUTION, Kind.EVENT, Kind.CREATURE)}
    meta = {str(key): value for key, value in run.reader.header.meta.items() if isinstance(value, str | int | float)}
    found: dict[str, MetricFacts] = {}
    for metric in metrics:
        found |= {name: MetricFacts.of(values) for name, values in values_of(run, metric).items()}
    return LogFacts(
        run.label,
        meta,
        {str(kind): table.rows for kind, table in tables.items() if table.rows},
        max((float(table.time[-1]) for table in tables.values() if table.rows), default=0.0),
        found,
        _end(run),
    )


def values_of(run: Run, metric: Metric) -> dict[str, Floats]:
    """The logged values of a metric, with NaN, by its name; with several types of episodes, by the name of each."""
    if metric.key not in run.columns(metric.kind).table:
        return {}
    points = run.points(metric, "time")
    return {f"{metric} ({part})" if part else str(metric): values for part, (_, values) in points.items()}


def _end(run: Run) -> str:
    end = run.reader.end
    return "" if end is None else f"{end.state}: {end.reason}" if end.reason else end.state


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else math.nan


def human(value: float) -> str:
    """Format a number with four significant digits."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    text = f"{value:,.4g}" if 1e-4 <= abs(value) < 1e5 or value == 0 else f"{value:.4g}"
    if 1e3 <= abs(value) < 1e5:
        text = f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:,.1f}"
    return text.replace("-", "−") if "e" not in text else text


def sparkline(values: Floats, width: int = 16) -> str:
    """Draw a curve with block characters: each is the mean of a part of the finite values."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return ""
    scaled = finite / max(float(np.abs(finite).max()), 1.0) / 2  # so that sums and differences stay finite
    parts = [float(part.mean()) for part in np.array_split(scaled, min(width, len(scaled)))]
    low, high = min(parts), max(parts)
    if not high > low:
        return _BLOCKS[3] * len(parts)
    return "".join(_BLOCKS[min(int((part - low) / (high - low) * len(_BLOCKS)), len(_BLOCKS) - 1)] for part in parts)
