"""What is wanted of figures, and which runs make one curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from trainlog.errors import PlotError
from trainlog.plot.axes import AxisName
from trainlog.plot.run import Run
from trainlog.plot.seeds import BandName, CenterName
from trainlog.table.values import flatten

__all__ = ["Group", "PlotOptions", "groups_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotOptions:
    """What is wanted of figures; the defaults are what one wants to see first.

    Attributes:
        y: names of metrics, or patterns; all that vary when it is empty.
        x: what they are drawn over; None for the best that all logs have.
        smooth: see `trainlog.plot.smoothing.smoothed`.
        log_y: a logarithmic y axis.
        by: a key of the logs' metadata (``seed``, ``task``, ``args/lr``): logs of one value are one curve. ``log``
            keeps every log apart.
        center: the middle of several logs.
        band: what is shown around it. Asked for without ``by``, it makes all logs one curve.
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
    """Runs that make one curve.

    Attributes:
        label: what the legend calls them.
        runs: one or more.

    """

    label: str
    runs: tuple[Run, ...]

    @property
    def noun(self) -> str:
        """What they are to each other: seeds, if each says another one."""
        seeds = [run.reader.header.meta.get("seed") for run in self.runs]
        return "seeds" if None not in seeds and len(set(map(str, seeds))) == len(seeds) > 1 else "runs"


def groups_of(runs: Sequence[Run], wish: PlotOptions) -> list[Group]:
    """The curves that *runs* make, in the order of their first log.

    Raises:
        PlotError: when a log does not say what it is to be grouped by.

    """
    if wish.by is None and len(runs) > 1 and (wish.band or wish.center):
        return [Group("", tuple(runs))]
    if wish.by is None or wish.by == "log":
        return [Group(run.label if len(runs) > 1 else "", (run,)) for run in runs]
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(_told(run, wish.by), []).append(run)
    return [Group(label, tuple(members)) for label, members in found.items()]


def _told(run: Run, key: str) -> str:
    meta: Mapping[str, Any] = flatten(run.reader.header.meta)
    if key not in meta:
        known = ", ".join(map(str, meta)) or "nothing"
        raise PlotError(f"{run.label} does not say its {key!r}; it says {known}")
    value = str(meta[key])
    return value if isinstance(meta[key], str) else f"{key.rpartition('/')[2]} {value}"
