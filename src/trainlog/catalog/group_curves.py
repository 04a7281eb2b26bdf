"""A metric of many runs as curves of groups, by the code of the figures; what was read of the runs is remembered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple

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

_BYTES: Final = 32 << 20  # of curves that are remembered

_Points = dict[str, tuple[Floats, Floats]]


class Member(NamedTuple):
    """A run of a group.

    Attributes:
        path: of the log.
        stamp: changes when the log does.
        task: tasks count alike in a center, see `trainlog.statistics`.

    """

    path: Path
    stamp: str
    task: str


@dataclass(frozen=True)
class GroupCurves:
    """How runs become curves.

    Attributes:
        kind: of the frames.
        axis: what the metric is drawn over.
        center, band: see `trainlog.plot.seeds.aggregate`.
        smooth: of each run, see `trainlog.plot.smoothing.smoothed`; 0 for the values as they are.
        part: the type of the episodes, where there are several; the first one for an empty text.

    """

    kind: Kind
    axis: AxisName
    center: CenterName
    band: BandName
    smooth: float | None = 0.0
    part: str = ""

    def of(
        self, members: Sequence[Member | None], key: str, groups: Sequence[Sequence[int]]
    ) -> list[dict[str, Any] | None]:
        """The curve of the metric *key* of each group, given by the numbers of its *members*.

        Returns:
            for each group ``x``, ``center``, ``low``, ``high``, ``runs`` (how many at each point) as lists; ``bins``,
            see `trainlog.plot.seeds.Aggregate`; ``n``, how many runs have the metric, and of how many ``tasks``. None
            for a group without any.

        Raises:
            PlotError: for a smoothing that is none.

        """
        curves = [None if one is None else self._curve(one, key) for one in members]
        tasks = ["" if one is None else one.task for one in members]
        return [self._aggregate([(c, tasks[n]) for n in group if (c := curves[n]) is not None]) for group in groups]

    def _aggregate(self, curves: Sequence[tuple[tuple[Floats, Floats], str]]) -> dict[str, Any] | None:
        if not curves:
            return None
        tasks = [task for _, task in curves]
        found = aggregate([one for one, _ in curves], self.center, self.band, tasks)
        numbers = {name: getattr(found, name).tolist() for name in ("x", "center", "low", "high", "runs")}
        return {**numbers, "bins": found.bins, "n": len(curves), "tasks": len(set(tasks))}

    def _curve(self, member: Member, key: str) -> tuple[Floats, Floats] | None:
        points = _points_of(member, self.kind, key, self.axis)
        found = points.get(self.part) or (next(iter(points.values()), None) if not self.part else points.get(""))
        smooth = None if found is None or self.smooth == 0 else smoothed(found[1], self.smooth)
        return found if found is None or smooth is None else (found[0], smooth.values)


_cache: OrderedDict[tuple[Any, ...], _Points] = OrderedDict()
_lock = Lock()


def _points_of(member: Member, kind: Kind, key: str, axis: AxisName) -> _Points:
    """The metric of a run, by the type of its episodes; nothing where it has no such metric or axis."""
    place = (member.path, member.stamp, kind, key, axis)
    with _lock:
        if place in _cache:
            _cache.move_to_end(place)
            return _cache[place]
    try:
        run = Run(registry.open(member.path), only=[key])
        columns = run.columns(kind)
        points = run.points(Metric(kind, key), axis) if key in columns.table and columns.is_number(key) else {}
    except (TrainlogError, OSError):  # it has gone meanwhile, or has no such axis
        points = {}
    with _lock:
        _cache[place] = points
        size = sum(map(_size, _cache.values()))
        while size > _BYTES and len(_cache) > 1:
            size -= _size(_cache.popitem(last=False)[1])
    return points


def _size(points: _Points) -> int:
    return 1000 + sum(x.nbytes + y.nbytes for x, y in points.values())
