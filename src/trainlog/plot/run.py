"""A log as figures need it: its metrics, what they are drawn over, and what happened meanwhile."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codec import Reader
from trainlog.episode import END, START, is_summary
from trainlog.errors import PlotError
from trainlog.model import Kind
from trainlog.plot.axes import AXES, Axis, AxisName, Floats, added_up, is_clock, progress
from trainlog.plot.columns import Columns, matches

__all__ = ["Metric", "Run", "log_name", "runs_of"]

_MEASURED: Final = (Kind.STATS, Kind.EVOLUTION, Kind.CREATURE)
_MOST_PARTS: Final = 8  # of a vector, that are drawn when it is named as a whole
_PART: Final = re.compile(r"(.+)\[(-?\d+)\]")
# Marked in their own way, or of no interest in a curve.
_QUIET: Final = frozenset({START, END, "function_sample"})


class Metric(NamedTuple):
    """A column of numbers.

    Attributes:
        kind: of which frames.
        key: the column's name in their table.
        part: which number, where the column holds vectors.

    """

    kind: Kind
    key: str
    part: int | None = None

    def __str__(self) -> str:
        name = self.key if self.kind == Kind.STATS else f"{self.kind}:{self.key}"
        return name if self.part is None else f"{name}[{self.part}]"


class Run:
    """A log, and what it is called in a legend.

    Attributes:
        reader: the log.
        label: its name.

    """

    def __init__(self, reader: Reader, label: str = "", only: Sequence[str] = ()) -> None:
        """Prepare to draw *reader*.

        Args:
            reader: a log.
            label: its name in legends; the file's name when it is left out.
            only: names of metrics; when they are all that is drawn, other columns need not be read.

        """
        self.reader = reader
        self.label = label or log_name(reader.path)
        self._columns = {kind: Columns(reader, kind, _keys_of(only)) for kind in Kind}

    def columns(self, kind: Kind) -> Columns:
        """The columns of one kind of frame."""
        return self._columns[kind]

    def metrics(self) -> list[Metric]:
        """Every column of numbers that varies, but for clocks and counters that others are drawn over."""
        found = []
        for kind in _MEASURED:
            columns = self.columns(kind)
            found += [Metric(kind, key) for key in columns.table if not is_clock(key) and columns.varies(key)]
        return found

    def constants(self) -> list[Metric]:
        """Every column of numbers that never changes."""
        found = []
        for kind in _MEASURED:
            columns = self.columns(kind)
            numbers = [key for key in columns.table if not is_clock(key) and columns.is_number(key)]
            found += [Metric(kind, key) for key in numbers if not columns.varies(key)]
        return found

    def find(self, name: str) -> list[Metric]:
        """The metrics of that name: ``reward``, ``creature:speed``, ``com[2]``, or a pattern such as ``gait_*``.

        Statistics go before generations, and these before the creature. There may be none.

        Raises:
            PlotError: for a column that is no number, or a vector too long to be drawn as a whole.

        """
        prefix, colon, key = name.partition(":")
        kinds = [kind for kind in _MEASURED if str(kind) == prefix] if colon else []
        if not kinds:
            kinds, key = list(_MEASURED), name
        part = None
        if (match := _PART.fullmatch(key)) is not None:
            key, part = match[1], int(match[2])
        for kind in kinds:
            if key in self.columns(kind).table:
                return self._named(kind, key, part)
        for kind in kinds:
            columns = self.columns(kind)
            fits = [key_ for key_ in columns.table if fnmatch.fnmatchcase(key_, key) and columns.is_number(key_)]
            if fits:
                return [Metric(kind, key_) for key_ in fits]
        return []

    def _named(self, kind: Kind, key: str, part: int | None) -> list[Metric]:
        columns = self.columns(kind)
        parts = columns.parts(key)
        if parts:
            if part is not None and not -parts <= part < parts:
                raise PlotError(f"{key!r} has {parts} parts, {key}[0] to {key}[{parts - 1}]; there is no {key}[{part}]")
            if part is None and parts > _MOST_PARTS:
                raise PlotError(f"{key!r} has {parts} parts: choose some, {key}[0] to {key}[{parts - 1}]")
            return [Metric(kind, key, n) for n in (range(parts) if part is None else [part % parts])]
        if part is not None:
            raise PlotError(f"{key!r} has no parts")
        if not columns.is_number(key):
            raise PlotError(f"{key!r} of the {kind} frames is no number")
        return [Metric(kind, key)]

    def has_axis(self, kind: Kind, name: AxisName) -> bool:
        """Whether the frames of *kind* can be drawn over that axis."""
        return self._axis_key(kind, name) is not None

    def default_axis(self, kind: Kind) -> list[AxisName]:
        """What the frames of *kind* can be drawn over, the best first."""
        order: list[AxisName] = ["step", "episode", "time"]
        if kind == Kind.STATS and is_summary(dict.fromkeys(self.columns(kind).table, None)):
            order = ["episode", "step", "time"]
        return [name for name in order if self.has_axis(kind, name)]

    def axis(self, kind: Kind, name: AxisName) -> Axis:
        """The axis of that name for the frames of *kind*."""
        return Axis.of(name, self._axis_key(kind, name) or "")

    def _axis_key(self, kind: Kind, name: AxisName) -> str | None:
        """The column of the axis; empty where there is a better way."""
        if name == "time":
            return ""
        if name == "episode" and kind != Kind.STATS and len(self.episode_starts):
            return ""
        columns = self.columns(kind)
        for key in AXES[name]:
            if key in columns.table and columns.is_number(key) and (columns.varies(key) or columns.table.rows == 1):
                return key
        return "" if name == "episode" and len(self.episode_starts) else None

    def places(self, kind: Kind, name: AxisName) -> Floats:
        """Where on that axis each frame of *kind* stands: float64, shape (rows,); NaN where it does not say.

        Counters of creature frames that begin anew with each episode are added up.

        Raises:
            PlotError: when it has no such axis.

        """
        columns = self.columns(kind)
        key = self._axis_key(kind, name)
        if key is None:
            could = ", ".join(self.default_axis(kind))
            raise PlotError(f"{self.label}: its {kind} frames say no {name}; they can be drawn over {could}")
        if key:
            numbers = columns.numbers(key)
            return added_up(numbers) if kind == Kind.CREATURE or key.startswith("episode_") else numbers
        time = columns.table.time
        if name == "time":
            return time
        number = np.searchsorted(self.episode_starts, time, side="right").astype(np.float64)
        return number + progress(number)

    def points(self, metric: Metric, name: AxisName) -> dict[str, tuple[Floats, Floats]]:
        """The metric as (x, y), both float64 of shape (n,); frames that lack it, or the axis, are left out.

        There is one such curve, called ``""``; or one for each type of episode, where there are several.
        """
        columns = self.columns(metric.kind)
        x, y = self.places(metric.kind, name), columns.numbers(metric.key, metric.part)
        keep = np.isfinite(x) & columns.present(metric.key)
        parts = {part: rows & keep for part, rows in self._split(metric.kind).items()} or {"": keep}
        return {part: (x[rows], y[rows]) for part, rows in parts.items() if rows.any()}

    def _split(self, kind: Kind) -> dict[str, npt.NDArray[np.bool_]]:
        """Which rows belong together, by what they are called: evaluation and training episodes."""
        columns = self.columns(kind)
        if kind != Kind.STATS or "episode_type" not in columns.table:
            return {}
        types = columns.table["episode_type"]
        names = dict.fromkeys(name for name in types.tolist() if isinstance(name, str))
        return {name: matches(types, name) for name in names} if len(names) > 1 else {}

    def is_sampled(self, metric: Metric) -> bool:
        """Whether its values are samples of a motion, which an average would misrepresent, not measures of learning."""
        declared = {variable.key: variable for variable in self.reader.header.variables}
        variable = declared.get(metric.key.removeprefix("mean/"))
        if variable is not None and variable.circular:
            return True
        return metric.kind == Kind.CREATURE and (variable is None or variable.role in ("state", "action"))

    def unit(self, metric: Metric) -> str | None:
        """The unit that the log declares."""
        key = metric.key.removeprefix("mean/") if metric.kind == Kind.STATS else metric.key
        declared = {variable.key: variable.unit for variable in self.reader.header.variables}
        unit = declared.get(key)
        return None if unit in ("", "unitless") else unit

    @cached_property
    def episode_starts(self) -> Floats:
        """Times when episodes began, in seconds."""
        events = self.columns(Kind.EVENT)
        if "type" not in events.table:
            return np.empty(0)
        return events.table.time[matches(events.table["type"], START)]

    @cached_property
    def episode_types(self) -> list[str]:
        """What the episodes that began are for, in the same order."""
        events = self.columns(Kind.EVENT).table
        if "episode_type" not in events:
            return [""] * len(self.episode_starts)
        types = events["episode_type"][matches(events["type"], START)].tolist()
        return [name if isinstance(name, str) else "" for name in types]

    def events(self) -> dict[str, Floats]:
        """Times of what happened, by the events' type; without starts and ends of episodes."""
        table = self.columns(Kind.EVENT).table
        return {name: table.time[rows] for name, rows in self._events.items()}

    def events_at(self, kind: Kind, name: AxisName) -> dict[str, Floats]:
        """Where on that axis of the frames of *kind* it happened: as the events say, or else by their time."""
        table = self.columns(Kind.EVENT).table
        places = self.at(table.time, kind, name)
        if not len(places):
            return {}
        for key in AXES[name]:
            if key in table and table[key].ndim == 1:
                said = table.numbers(key)
                places = np.where(self._fits(said, kind, name), said, places)
        return {name: places[rows] for name, rows in self._events.items()}

    def _fits(self, said: Floats, kind: Kind, name: AxisName) -> npt.NDArray[np.bool_]:
        """Which of *said*, the events' own places, are on the axis; none when they count something else."""
        known = np.isfinite(said)
        axis = self.places(kind, name)
        values = said[known]
        nothing = np.zeros(len(said), np.bool_)
        if not len(values) or (values[1:] < values[:-1]).any():
            return nothing  # steps of an episode, which begin anew with the next
        low, high = np.nanmin(axis), np.nanmax(axis)
        slack = 0.1 * (high - low)
        return known if low - slack <= values[0] and values[-1] <= high + slack else nothing

    @cached_property
    def _events(self) -> dict[str, npt.NDArray[np.bool_]]:
        table = self.columns(Kind.EVENT).table
        if "type" not in table:
            return {}
        types = table["type"]
        names = dict.fromkeys(name for name in types.tolist() if isinstance(name, str) and name not in _QUIET)
        return {name: matches(types, name) for name in names}

    def at(self, time: Floats, kind: Kind, name: AxisName) -> Floats:
        """Where on that axis of the frames of *kind* the moments *time* are; float64, of the same shape."""
        if name == "time":
            return time
        known, places = self.columns(kind).table.time, self.places(kind, name)
        good = np.isfinite(places)
        return np.interp(time, known[good], places[good]) if good.any() else np.empty(0)


def runs_of(readers: Iterable[Reader], only: Sequence[str] = ()) -> list[Run]:
    """The logs under the shortest names that tell them apart."""
    readers = list(readers)
    names = _distinct([reader.path.absolute() for reader in readers])
    seen: dict[str, int] = {}
    runs = []
    for reader, name in zip(readers, names, strict=True):
        seen[name] = seen.get(name, 0) + 1
        runs.append(Run(reader, name if seen[name] == 1 else f"{name} #{seen[name]}", only))
    return runs


def _distinct(paths: Sequence[Path]) -> list[str]:
    """The names of the files; with as many of the folders above them as it takes to tell them apart, and no more."""
    stems = [log_name(path) for path in paths]
    parts = [[*path.parent.parts, stem] for path, stem in zip(paths, stems, strict=True)]
    if len(paths) > 1 and len(set(stems)) == 1:
        parts = [[*path.parent.parts] for path in paths]  # all are called run.flog, say
    depth = 1
    while depth < max(map(len, parts), default=1) and len({tuple(one[-depth:]) for one in parts}) < len(parts):
        depth += 1
    return ["/".join(one[-depth:]) for one in parts]


def log_name(path: Path) -> str:
    """The file's name without its suffixes."""
    return re.sub(r"(\.simion)?\.[A-Za-z]\w*$", "", path.name.removesuffix(".log")) or path.name


def _keys_of(only: Sequence[str]) -> frozenset[str]:
    """The columns behind names of metrics; none when one of them is a pattern."""
    if any(letter in name for name in only for letter in "*?"):
        return frozenset()
    kinds = "|".join(str(kind) for kind in _MEASURED)
    return frozenset(re.sub(rf"^({kinds}):|\[-?\d+\]$", "", name) for name in only)
