"""The options of figures, and the groups of runs that are drawn as one curve."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypedDict, get_args

from trainlog.conventions import AxisName, seed_of
from trainlog.draw.theme import ThemeName
from trainlog.errors import PlotError
from trainlog.plot.axes import Floats
from trainlog.plot.run import Run
from trainlog.plot.seeds import BandName
from trainlog.statistics import CenterName
from trainlog.table.values import flatten

__all__ = [
    "KINDS",
    "TOGETHER",
    "Group",
    "KindName",
    "PlotChoice",
    "PlotOptions",
    "TogetherName",
    "facets_of",
    "groups_of",
    "normalization_of",
    "normalized",
    "tasks_note",
    "value_of",
]


KindName = Literal["curves", "intervals", "profile", "improvement", "efficiency"]
KINDS: Final[tuple[KindName, ...]] = get_args(KindName)
TogetherName = Literal["values", "normalised"]
TOGETHER: Final[tuple[TogetherName, ...]] = get_args(TogetherName)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotOptions:
    """The options of figures; the defaults show the most important first.

    Attributes:
        y: names of metrics, or patterns; all that vary if empty.
        x: the x axis; None for the best one that all logs have.
        smooth: see `trainlog.plot.smoothing.smoothed`.
        log_y: whether the y axis is logarithmic.
        by: a key of the logs' metadata (``seed``, ``args/lr``): logs with the same value are one curve. ``task`` is the
            creature and the task, or else the environment. With ``log`` each log is a curve.
        center: the middle of several logs.
        band: the band around it. With a center or a band, and without ``by``, all logs are one curve.
        theme: ``light`` or ``dark``.
        kind: ``curves``, or a figure of the scores of the runs; see `trainlog.plot.scores`.
        facet: a key of the metadata: one chart for the logs of each value, in one figure. The default is ``task`` if
            ``by`` would average over several tasks; an empty text means no facets.
        normalize: the scores that become 0 and 1, by task; see `normalization_of`. ``""`` holds for every other task.
            Without ``y`` only rewards and returns are normalised.
        until: ``common`` cuts all runs where the shortest ends.
        xlim, ylim: the limits of the axes, ``(low, high)``; None for a limit that follows from the data.
        labels: other names of curves in the legend.
        order: the names of the curves that come first, in this order.
        colors: colors of curves by name, with or without the labels; or by a part of the name: the group, the metric
            if a chart has several, the type of the episodes.
        color_by: a key of the metadata: its value determines the color of a curve. Single runs are named by it.
        together: all metrics in one chart: unchanged (``values``), or ``normalised``, each from its lowest to its
            highest value.
        lines: y values of horizontal lines.

    Raises:
        PlotError: for a limit of a logarithmic y axis that is not above zero, and for a line that is not finite.

    """

    y: tuple[str, ...] = ()
    x: AxisName | None = None
    smooth: float | None = None
    log_y: bool = False
    by: str | None = None
    center: CenterName | None = None
    band: BandName | None = None
    theme: ThemeName = "light"
    kind: KindName = "curves"
    facet: str | None = None
    normalize: Mapping[str, tuple[float, float]] | None = None
    until: Literal["common"] | None = None
    xlim: tuple[float | None, float | None] | None = None
    ylim: tuple[float | None, float | None] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    colors: Mapping[str, str] = field(default_factory=dict)
    color_by: str | None = None
    together: TogetherName | None = None
    lines: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        low = min((limit for limit in self.ylim or () if limit is not None), default=1.0)
        if self.log_y and low <= 0:
            raise PlotError(f"the limits of a logarithmic y axis must be above zero, not {low:g}")
        if odd := [line for line in self.lines if not math.isfinite(line)]:
            raise PlotError(f"a horizontal line is at a finite number, not {odd[0]:g}")


class PlotChoice(TypedDict, total=False):
    """The options of `PlotOptions` for type checkers, in calls that take them by name."""

    y: tuple[str, ...]
    x: AxisName | None
    smooth: float | None
    log_y: bool
    by: str | None
    center: CenterName | None
    band: BandName | None
    theme: ThemeName
    kind: KindName
    facet: str | None
    normalize: Mapping[str, tuple[float, float]] | None
    until: Literal["common"] | None
    xlim: tuple[float | None, float | None] | None
    ylim: tuple[float | None, float | None] | None
    labels: Mapping[str, str]
    order: tuple[str, ...]
    colors: Mapping[str, str]
    color_by: str | None
    together: TogetherName | None
    lines: tuple[float, ...]


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
        seeds = [seed_of(run.reader.header.meta, run.reader.header.run) for run in self.runs]
        return "seeds" if None not in seeds and len(set(map(str, seeds))) == len(seeds) > 1 else "runs"


def groups_of(runs: Sequence[Run], options: PlotOptions) -> list[Group]:
    """Group *runs* into curves, in the order of the options, then of their first log.

    Raises:
        PlotError: when a log has no such key in its metadata, when a label or the order names a curve that does not
            exist, and when several curves have one label.

    """
    groups = _grouped(runs, options)
    shown = {group.label: options.labels.get(group.label, group.label) for group in groups}
    known = {shown[group.label]: group for group in groups} | {group.label: group for group in groups}
    for name in (*options.labels, *options.order):
        if name not in known:
            curves = ", ".join(group.label for group in groups if group.label)
            raise PlotError(f"there is no curve {name!r}; there are {curves or 'none with a name'}")
    for name, count in Counter(shown.values()).items():
        if count > 1:
            alike = " and ".join(label for label, other in shown.items() if other == name)
            raise PlotError(f"{alike} would all be called {name!r}: each curve needs its own name")
    first = [known[name] for name in options.order]
    ordered = [*first, *(group for group in groups if group not in first)]
    return [group._replace(label=shown[group.label]) for group in ordered]


def _grouped(runs: Sequence[Run], options: PlotOptions) -> list[Group]:
    if options.by is None and len(runs) > 1 and (options.band or options.center):
        return [Group("", tuple(runs))]
    if options.by is None or options.by == "log":
        return [Group(run.label if len(runs) > 1 else "", (run,)) for run in runs]
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(value_of(run, options.by), []).append(run)
    return [Group(label, tuple(members)) for label, members in found.items()]


def tasks_note(count: int, *, center: CenterName | None = None, normalized: bool = False) -> str:
    """The note of a figure or a table about a center over several tasks; None means the mean."""
    units = "" if normalized else ", in their own units: compare tasks one by one"
    if center == "iqm":
        return f"the IQM of all runs of {count} tasks together{units}; a task with more runs weighs more"
    how = "the median of the means of" if center == "median" else "averaged over"
    return f"{how} {count} tasks with equal weight{units}"


def facets_of(runs: Sequence[Run], groups: Sequence[Group], options: PlotOptions) -> dict[str, list[Run]]:
    """The runs of each chart of a figure, by its title; one chart without a title if the figure is not divided.

    Raises:
        PlotError: when a log has no such key in its metadata.

    """
    mixed = options.facet is None and options.normalize is None and any(len(set(group.tasks)) > 1 for group in groups)
    if not options.facet and not mixed:
        return {"": list(runs)}
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.task if mixed else value_of(run, options.facet or ""), []).append(run)
    return found


def normalization_of(text: str) -> dict[str, tuple[float, float]]:
    """Parse which scores become 0 and 1.

    Args:
        text: ``low,high`` for all tasks; ``human`` for the random and the human score of the 26 games of Atari 100k; or
            a JSON file with ``{"task": [low, high], ...}``.

    Returns:
        The scores by task; ``""`` holds for every task that has no scores of its own.

    Raises:
        PlotError: for any other text, for a file that cannot be read, and for scores that are equal or not numbers.

    """
    if text == "human":
        from trainlog.plot.atari import SCORES

        return dict(SCORES)
    low, comma, high = text.partition(",")
    scores: Any = {"": [low, high]}
    if not comma:
        try:
            scores = json.loads(Path(text).read_bytes())
        except (OSError, ValueError) as error:
            raise PlotError(
                f"{text!r} is neither low,high nor human nor a JSON file of scores by task: {error}"
            ) from None
    try:
        found = {str(task): (float(low), float(high)) for task, (low, high) in scores.items()}
    except (AttributeError, TypeError, ValueError):
        raise PlotError(f'scores are two numbers, low,high, or a file {{"task": [low, high]}}, not {text!r}') from None
    for task, (zero, one) in found.items():
        if not (math.isfinite(zero) and math.isfinite(one) and zero != one):
            raise PlotError(f"the scores {zero:g} and {one:g} {f'of {task} ' if task else ''}cannot become 0 and 1")
    return found


def normalized(values: Floats, run: Run, options: PlotOptions) -> Floats:
    """The scores of a run in units of the options, float64 of the same shape.

    Raises:
        PlotError: when the options have no scores for its task.

    """
    if options.normalize is None:
        return values
    task = re.sub(r"[^a-z0-9]", "", re.sub(r"^ALE/|NoFrameskip|-v\d+$", "", run.task).lower())
    known = options.normalize.get(run.task, options.normalize.get(task, options.normalize.get("")))
    if known is None:
        raise PlotError(f"{run.label}: there are no scores to normalise the task {run.task!r} by")
    low, high = known
    return (values - low) / (high - low)


def value_of(run: Run, key: str) -> str:
    """The value of a metadata key, along with the key if the value is not text; ``task`` always means `Run.task`."""
    if key == "task" and run.task:
        return run.task
    header = run.reader.header
    meta: dict[str, Any] = dict(flatten(header.meta))
    known = ", ".join(map(str, meta)) or "nothing"
    meta |= {f"run/{name}": value for name, value in flatten(header.run).items() if f"run/{name}" not in meta}
    if key not in meta:
        raise PlotError(f"the metadata of {run.label} has no {key!r}; it has {known}")
    value = str(meta[key])
    return value if isinstance(meta[key], str) else f"{key.rpartition('/')[2]} {value}"
