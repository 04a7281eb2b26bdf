"""A metric of many runs as one curve per group, computed by the code of the figures; what was read is cached."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple

import numpy as np

from trainlog import registry
from trainlog.conventions import AxisName
from trainlog.errors import TrainlogError
from trainlog.model import Kind
from trainlog.plot.axes import Floats
from trainlog.plot.run import Metric, Run
from trainlog.plot.seeds import BandName, aggregate
from trainlog.plot.smoothing import smoothed
from trainlog.statistics import CenterName

__all__ = ["GroupCurves", "Member"]

_BYTES: Final = 32 << 20  # of cached curves

_Points = dict[str, tuple[Floats, Floats]]


class Member(NamedTuple):
    """A run of a group.

    Attributes:
        path: the path of the log.
        stamp: changes when the log does.
        task: the task of the run; tasks have equal weight in a center, see `trainlog.statistics`.

    """

    path: Path
    stamp: str
    task: str


@dataclass(frozen=True)
class GroupCurves:
    """How runs become curves.

    Attributes:
        kind: the kind of the frames.
        axis: what the metric is drawn over.
        center, band: see `trainlog.plot.seeds.aggregate`.
        smooth: the smoothing of each run, see `trainlog.plot.smoothing.smoothed`; 0 means none.
        part: the type of the episodes, if there are several; an empty text means the first one.

    """

    kind: Kind
    axis: AxisName
    center: CenterName
    band: BandName
    smooth: float | None = 0.0
    part: str = ""

    def of(
        self, members: Sequence[Member | None], keys: Sequence[str], groups: Sequence[Sequence[int]]
    ) -> dict[str, list[dict[str, Any] | None]]:
        """The curves of the metrics *keys* for each group; a group lists indices into *members*.

        Returns:
            For each key, one dict per group, or None if no run of the group has the metric: ``x``, ``center``, ``low``,
            ``high`` and ``runs`` (the number at each point) as lists; ``bins`` and ``enough``, see
            `trainlog.plot.seeds.Aggregate`; ``n``, the number of runs that have the metric, and ``tasks``, the number
            of their tasks.

        Raises:
            PlotError: for an invalid smoothing.

        """
        tasks = ["" if one is None else one.task for one in members]
        return {
            key: [
                self._aggregate([(curve, tasks[n]) for n in group if (curve := curves[n]) is not None])
                for group in groups
            ]
            for key, curves in self._curves(members, keys).items()
        }

    def values_at(
        self, members: Sequence[Member | None], keys: Sequence[str], place: float
    ) -> dict[str, list[float | None]]:
        """The value of each of *keys* for each member, in the row nearest to *place* on the axis.

        None for a member whose curve does not reach *place*.
        """
        return {
            key: [None if one is None else _value_at(*one, place) for one in curves]
            for key, curves in self._curves(members, keys).items()
        }

    def _curves(
        self, members: Sequence[Member | None], keys: Sequence[str]
    ) -> dict[str, list[tuple[Floats, Floats] | None]]:
        points = [{} if one is None else _points_of(one, self.kind, keys, self.axis) for one in members]
        return {key: [self._curve(one.get(key, {})) for one in points] for key in keys}

    def _aggregate(self, curves: Sequence[tuple[tuple[Floats, Floats], str]]) -> dict[str, Any] | None:
        if not curves:
            return None
        tasks = [task for _, task in curves]
        found = aggregate([one for one, _ in curves], self.center, self.band, tasks)
        numbers = {name: getattr(found, name).tolist() for name in ("x", "center", "low", "high", "runs")}
        return {**numbers, "bins": found.bins, "enough": found.enough, "n": len(curves), "tasks": len(set(tasks))}

    def _curve(self, points: _Points) -> tuple[Floats, Floats] | None:
        is_any = not self.part or points.keys() == {""}
        found = next(iter(points.values()), None) if is_any else points.get(self.part)
        smooth = None if found is None or self.smooth == 0 else smoothed(found[1], self.smooth)
        return found if found is None or smooth is None else (found[0], smooth.values)


def _value_at(x: Floats, y: Floats, place: float) -> float | None:
    good = np.isfinite(x) & np.isfinite(y)
    x, y = x[good], y[good]
    if not len(x) or not x.min() <= place <= x.max():
        return None
    return float(y[np.abs(x - place).argmin()])


_cache: OrderedDict[tuple[Any, ...], _Points] = OrderedDict()
_lock = Lock()


def _points_of(member: Member, kind: Kind, keys: Sequence[str], axis: AxisName) -> dict[str, _Points]:
    """Metrics of a run, by the type of its episodes; empty for a metric that the run lacks, or without that axis."""
    places = {key: (member.path, member.stamp, kind, key, axis) for key in keys}
    with _lock:
        found = {key: _cache[place] for key, place in places.items() if place in _cache}
        for key in found:
            _cache.move_to_end(places[key])
    missing = [key for key in keys if key not in found]
    if not missing:
        return found
    found |= {key: {} for key in missing}
    with suppress(TrainlogError, OSError):  # the log is gone by now, or has no such axis
        run = Run(registry.open(member.path), only=missing)
        columns = run.columns(kind)
        for key in missing:
            if key in columns.table and columns.is_number(key):
                found[key] = run.points(Metric(kind, key), axis)
    with _lock:
        _cache.update((places[key], found[key]) for key in missing)
        size = sum(map(_size, _cache.values()))
        while size > _BYTES and len(_cache) > 1:
            size -= _size(_cache.popitem(last=False)[1])
    return found


def _size(points: _Points) -> int:
    return 1000 + sum(x.nbytes + y.nbytes for x, y in points.values())
