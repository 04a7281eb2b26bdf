"""The options of figures, and the groups of runs that are one curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from trainlog.conventions import AxisName
from trainlog.errors import PlotError
from trainlog.plot.run import Run
from trainlog.plot.seeds import BandName
from trainlog.statistics import CenterName
from trainlog.table.values import flatten

__all__ = ["Group", "PlotOptions", "groups_of", "tasks_note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotOptions:
    """The options of figures; the defaults show the most important first.

    Attributes:
        y: names of metrics, or patterns; all that vary when it is empty.
        x: the x axis; None for the best one that all logs have.
        smooth: see `trainlog.plot.smoothing.smoothed`.
        log_y: a logarithmic y axis.
        by: a key of the logs' metadata (``seed``, ``task``, ``args/lr``): logs of one value are one curve. With
            ``log`` each log is a curve.
        center: the middle of several logs.
        band: the band around it. With a center or a band, and without ``by``, all logs are one curve.
        theme: ``light`` or ``dark``.

    """

    y: tuple[str, ...] = ()
    x: AxisName | None = None
    smooth: float | None = None
    log_y: bool = False
    by: str | None = None
    center: CenterName | None = None
    band: BandName | None = None
    theme: str = "light"


class Group(NamedTuple):
    """Runs that are drawn as one curve.

    Attributes:
        label: their name in the legend.
        runs: one or more.

    """

    label: str
    runs: tuple[Run, ...]

    @property
    def tasks(self) -> list[str]:
        """The task of each run."""
        return [run.task for run in self.runs]

    @property
    def noun(self) -> str:
        """``seeds`` when the runs have different seeds in their metadata, otherwise ``runs``."""
        seeds = [run.reader.header.meta.get("seed") for run in self.runs]
        return "seeds" if None not in seeds and len(set(map(str, seeds))) == len(seeds) > 1 else "runs"


def groups_of(runs: Sequence[Run], options: PlotOptions) -> list[Group]:
    """Group *runs* into curves, in the order of their first log.

    Raises:
        PlotError: when a log has no such key in its metadata.

    """
    if options.by is None and len(runs) > 1 and (options.band or options.center):
        return [Group("", tuple(runs))]
    if options.by is None or options.by == "log":
        return [Group(run.label if len(runs) > 1 else "", (run,)) for run in runs]
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(_value_of(run, options.by), []).append(run)
    return [Group(label, tuple(members)) for label, members in found.items()]


def tasks_note(count: int) -> str:
    """What a figure or a table says of values that are averaged over several tasks."""
    return f"averaged over {count} tasks with equal weight, in their own units: compare tasks one by one"


def _value_of(run: Run, key: str) -> str:
    meta: Mapping[str, Any] = flatten(run.reader.header.meta)
    if key not in meta:
        known = ", ".join(map(str, meta)) or "nothing"
        raise PlotError(f"the metadata of {run.label} has no {key!r}; it has {known}")
    value = str(meta[key])
    return value if isinstance(meta[key], str) else f"{key.rpartition('/')[2]} {value}"
