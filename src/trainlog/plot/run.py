"""A log for figures: its metrics, their axes, and its events."""

from __future__ import annotations

import copy
import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.axis_values import (
    COMPUTED,
    axis_key,
    continued,
    episodes_by_starts,
    is_added_up,
    places_by_time,
    places_of_events,
    without_restarts,
)
from trainlog.codec import Reader
from trainlog.conventions import EPISODE_START, RANK, AxisKey, AxisName, Conventions, task_of
from trainlog.environment_rows import dense_table, episode_marks, last_environment, steps_by_environment, together
from trainlog.episode_summary import is_summary
from trainlog.errors import PlotError
from trainlog.find_logs import distinct_ends
from trainlog.model import Kind, Variable
from trainlog.plot.axes import Axis, Floats
from trainlog.plot.columns import Columns, matches
from trainlog.storage.location import RemotePath
from trainlog.trajectory import coordinates_of

__all__ = ["Metric", "Run", "log_name", "log_names", "runs_of"]

_MEASURED: Final = (Kind.STATS, Kind.EVOLUTION, Kind.CREATURE)
_MAX_PARTS: Final = 8  # elements of a vector that can be drawn as a whole
_PART: Final = re.compile(r"(.+)\[(-?\d+)\]")


class Metric(NamedTuple):
    """A metric: a column of numbers, or one element of a column of vectors.

    Attributes:
        kind: the kind of the frames.
        key: the column's name in their table.
        part: the index into the vectors of the column.

    """

    kind: Kind
    key: str
    part: int | None = None

    def __str__(self) -> str:
        name = self.key if self.kind == Kind.STATS else f"{self.kind}:{self.key}"
        return name if self.part is None else f"{name}[{self.part}]"


class Run:
    """A log and its name in a legend.

    Attributes:
        reader: the log.
        label: its name.
        conventions: the meaning of its keys.
        part: which of several environments it is; empty for a whole log.

    """

    part = ""

    def __init__(self, reader: Reader, label: str = "", only: Sequence[str] = ()) -> None:
        """Prepare to draw *reader*.

        Args:
            reader: a log.
            label: its name in legends; by default the name of the file.
            only: names of metrics; no other columns are read.

        """
        self.reader = reader
        self.label = label or log_name(reader.path)
        self.conventions = Conventions.of(reader.header)
        self._only = _keys_of(only)
        self._columns = {kind: Columns(reader, kind, self.conventions, self._only) for kind in Kind}

    @property
    def task(self) -> str:
        """The creature and the task in the metadata, or else the environment; empty if there is neither."""
        return task_of(self.reader.header.meta)

    def columns(self, kind: Kind) -> Columns:
        """The columns of one kind of frame."""
        if kind not in self._columns:  # a kind defined by the user
            self._columns[kind] = Columns(self.reader, kind, self.conventions, self._only)
        return self._columns[kind]

    @cached_property
    def one_environment(self) -> Run:
        """The same log with the creature frames and episode starts of one environment: the last one that moved."""
        table = self.columns(Kind.CREATURE).table
        if RANK not in table and self.conventions.find("env", table) is None:
            return self
        grouped = steps_by_environment(table, np.arange(table.rows), self.conventions)
        own = last_environment(grouped)
        if own is None or (found := together(grouped[own])) is None:
            return self
        if len(grouped) == 1 and all(rows.place is None for rows in grouped[own]):
            return self
        run = copy.copy(self)
        if any(rows.place is not None for rows in grouped[own]):  # then step counts all environments and is not a clock
            run.conventions = replace(self.conventions, dt=None)
        columns = Columns(self.reader, Kind.CREATURE, run.conventions)
        columns.table = dense_table(found[1])
        if self._has_summaries:
            columns.order = self.columns(Kind.CREATURE).order[found[0]]
        run._columns = {**self._columns, Kind.CREATURE: columns}
        events = self.columns(Kind.EVENT).table
        marks = episode_marks(events, np.arange(events.rows), self.conventions)
        run.episode_starts = np.array([mark.time for mark in marks if mark.begins and mark.key == own])
        run.part = f"environment {own} of {len(grouped):,}" if len(grouped) > 1 else ""
        return run

    def metrics(self) -> list[Metric]:
        """Every column of numbers that varies, except clocks and counters."""
        return [metric for metric in self._numbers() if self.columns(metric.kind).varies(metric.key)]

    def constants(self) -> list[Metric]:
        """Every column of numbers that never changes, except clocks and counters."""
        return [metric for metric in self._numbers() if not self.columns(metric.kind).varies(metric.key)]

    def _numbers(self) -> Iterator[Metric]:
        for kind in _MEASURED:
            columns = self.columns(kind)
            for key in columns.table:
                if not self.conventions.is_clock(key) and columns.is_number(key):
                    yield Metric(kind, key)

    def find(self, name: str) -> list[Metric]:
        """Find metrics by name: ``reward``, ``creature:speed``, ``com[2]``, or a pattern such as ``gait_*``.

        Stats frames are searched first, then evolution frames, then creature frames; others only if the name begins
        with their kind. A column with exactly that name comes first, also if it is called ``action[0]`` or ``stats:x``.

        Raises:
            PlotError: for a column that is not numeric, or for a vector too long to be drawn as a whole.

        """
        places = [(kind, name) for kind in _MEASURED]
        if (of_kind := _of_kind(name)) is not None:
            places.append(of_kind)
        for kind, key in places:
            if key in self.columns(kind).table:
                return self._named(kind, key, None)
        for kind, key in places:
            if (match := _PART.fullmatch(key)) is not None and match[1] in self.columns(kind).table:
                return self._named(kind, match[1], int(match[2]))
        for kind, key in places:
            columns = self.columns(kind)
            fits = [
                column for column in columns.table if fnmatch.fnmatchcase(column, key) and columns.is_number(column)
            ]
            if fits:
                return [Metric(kind, column) for column in fits]
        return []

    def _named(self, kind: Kind, key: str, part: int | None) -> list[Metric]:
        columns = self.columns(kind)
        parts = columns.parts(key)
        if parts:
            if part is not None and not -parts <= part < parts:
                raise PlotError(f"{key!r} has {parts} parts, {key}[0] to {key}[{parts - 1}]; there is no {key}[{part}]")
            if part is None and parts > _MAX_PARTS:
                raise PlotError(f"{key!r} has {parts} parts: choose some, {key}[0] to {key}[{parts - 1}]")
            return [Metric(kind, key, n) for n in (range(parts) if part is None else [part % parts])]
        if part is not None:
            raise PlotError(f"{key!r} has no parts")
        if not columns.is_number(key):
            raise PlotError(f"{key!r} of the {kind} frames is not a number")
        return [Metric(kind, key)]

    def has_axis(self, kind: Kind, name: AxisName) -> bool:
        """Whether the frames of *kind* have that axis."""
        return self._axis_key(kind, name) is not None

    def default_axes(self, kind: Kind) -> list[AxisName]:
        """The axes of the frames of *kind*, the best first."""
        summaries = kind == Kind.STATS and self._has_summaries
        return [name for name in self.conventions.axis_order(summaries=summaries) if self.has_axis(kind, name)]

    @cached_property
    def _has_summaries(self) -> bool:
        """Whether the stats frames are summaries of whole episodes."""
        return is_summary(dict.fromkeys(self.columns(Kind.STATS).table))

    def axis(self, kind: Kind, name: AxisName) -> Axis:
        """The axis of that name for the frames of *kind*."""
        return Axis.of(name, (self._axis_key(kind, name) or COMPUTED).key)

    def _axis_key(self, kind: Kind, name: AxisName) -> AxisKey | None:
        """The column of an axis; None when the frames do not have that axis."""
        return COMPUTED if self._is_continued(kind, name) else self._column_of_axis(kind, name)

    def _column_of_axis(self, kind: Kind, name: AxisName, *, within_episode: bool = False) -> AxisKey | None:
        columns = self.columns(kind)
        return axis_key(
            self.conventions,
            kind,
            name,
            columns.table,
            lambda key: columns.is_number(key) and (columns.varies(key) or columns.table.rows == 1),
            has_starts=not within_episode and len(self.episode_starts) > 0,
            has_summaries=self._has_summaries and not within_episode,
        )

    def _is_continued(self, kind: Kind, name: AxisName) -> bool:
        """Whether episode summaries place the frames of *kind* on the axis; see `trainlog.axis_values.continued`."""
        return (
            kind != Kind.STATS
            and name != "time"
            and self._has_summaries
            and self._column_of_axis(Kind.STATS, name) is not None
        )

    def _continued(self, kind: Kind, name: AxisName) -> Floats:
        columns, summaries = self.columns(kind), self.columns(Kind.STATS)
        end, value, length = self._column_of_axis(Kind.STATS, name), None, None
        ends = np.full(summaries.table.rows, np.nan) if end is None else summaries.numbers(end.key) * end.factor
        inside = self._column_of_axis(kind, "step" if name == "episode" else name, within_episode=True)
        if inside is not None and kind == Kind.CREATURE:
            value = columns.numbers(inside.key) * inside.factor
        if name == "episode":
            length = summaries.numbers("length")
        return continued(columns.order, summaries.order, ends, value, length)

    def axis_values(self, kind: Kind, name: AxisName) -> Floats:
        """The values of an axis for the frames of *kind*: float64, shape (rows,); NaN for frames without one.

        Counters that restart with each episode are made monotonic.

        Raises:
            PlotError: when the frames have no such axis.

        """
        columns = self.columns(kind)
        found = self._axis_key(kind, name)
        if found is None:
            known = ", ".join(self.default_axes(kind))
            raise PlotError(f"{self.label}: its {kind} frames have no {name}; they can be drawn over {known}")
        if self._is_continued(kind, name):
            return self._continued(kind, name)
        if found.key:
            numbers = columns.numbers(found.key) * found.factor
            is_counter = is_added_up(self.conventions, kind, found)
            return without_restarts(numbers, columns.owners) if is_counter else numbers
        time = columns.table.time
        if name == "time":
            return time
        return episodes_by_starts(self.episode_starts, time)

    def is_added_up(self, kind: Kind, name: AxisName) -> bool:
        """Whether the axis is a counter that restarts with each episode and was made monotonic."""
        found = self._axis_key(kind, name)
        if found is None or not is_added_up(self.conventions, kind, found):
            return False
        columns = self.columns(kind)
        numbers = columns.numbers(found.key)
        return without_restarts(numbers, columns.owners) is not numbers

    def points(self, metric: Metric, name: AxisName) -> dict[str, tuple[Floats, Floats]]:
        """The metric as (x, y), both float64 of shape (n,), without frames that lack the metric or the axis.

        There is one curve, named ``""``, or one per type of episode if there are several types; then ``""`` has the
        rows without a type, such as those of losses.
        """
        columns = self.columns(metric.kind)
        x, y = self.axis_values(metric.kind, name), columns.numbers(metric.key, metric.part)
        keep = np.isfinite(x) & columns.present(metric.key)
        split = self._split if metric.kind == Kind.STATS else {}
        parts = {part: rows & keep for part, rows in split.items()}
        parts[""] = keep & ~np.logical_or.reduce([*parts.values()]) if parts else keep
        if keep.all() and not split:
            return {"": (x, y)} if len(x) else {}
        return {part: (x[rows], y[rows]) for part, rows in parts.items() if rows.any()}

    @property
    def episode_parts(self) -> list[str]:
        """The types of episodes that each have their own curve of stats; empty for a single type."""
        return [*self._split]

    @cached_property
    def _split(self) -> dict[str, npt.NDArray[np.bool_]]:
        """The rows of stats of each type of episode, such as evaluation and training; empty for a single type."""
        columns = self.columns(Kind.STATS)
        if "episode_type" not in columns.table:
            return {}
        types = columns.table["episode_type"]
        names = dict.fromkeys(name for name in types.tolist() if isinstance(name, str))
        return {name: matches(types, name) for name in names} if len(names) > 1 else {}

    def is_sampled(self, metric: Metric) -> bool:
        """Whether its values are samples of a motion, or angles, which must not be averaged."""
        variable = self._declared.get(metric.key.removeprefix("mean/"))
        if self.is_angle(metric):
            return True
        return metric.kind == Kind.CREATURE and (variable is None or variable.role in ("state", "action"))

    def is_angle(self, metric: Metric) -> bool:
        """Whether the log declares its values as angles, where the largest value is next to the smallest."""
        variable = self._declared.get(metric.key.removeprefix("mean/"))
        return variable is not None and variable.circular

    @cached_property
    def _declared(self) -> dict[str, Variable]:
        """The declared variables by key."""
        return {variable.key: variable for variable in self.reader.header.variables}

    def unit(self, metric: Metric) -> str | None:
        """The declared unit."""
        key = metric.key.removeprefix("mean/") if metric.kind == Kind.STATS else metric.key
        variable = self._declared.get(key)
        return None if variable is None or variable.unit in ("", "unitless") else variable.unit

    @cached_property
    def _event_types(self) -> npt.NDArray[Any]:
        """The type of each event."""
        table = self.columns(Kind.EVENT).table
        key = self.conventions.event_type(table)
        return np.empty(table.rows, object) if key is None else table[key]

    @cached_property
    def episode_starts(self) -> Floats:
        """The start times of the episodes, in seconds."""
        return self.event_times(EPISODE_START)

    def event_times(self, event_type: str) -> Floats:
        """The times of all events of a type, in seconds, also of a type that charts leave out."""
        return self.columns(Kind.EVENT).table.time[matches(self._event_types, event_type)]

    @cached_property
    def episode_types(self) -> list[str]:
        """The type of each episode, such as evaluation or training, in the order of their starts; may be ``""``."""
        events = self.columns(Kind.EVENT).table
        if "episode_type" not in events:
            return [""] * len(self.episode_starts)
        types = events["episode_type"][matches(self._event_types, EPISODE_START)].tolist()
        return [name if isinstance(name, str) else "" for name in types]

    @cached_property
    def _events(self) -> dict[str, npt.NDArray[np.bool_]]:
        """The rows of the events of each type that is marked in charts."""
        names = dict.fromkeys(name for name in self._event_types.tolist() if isinstance(name, str))
        return {name: matches(self._event_types, name) for name in names if not self.conventions.is_quiet(name)}

    def events_at(self, kind: Kind, name: AxisName) -> dict[str, Floats]:
        """The places on an axis of the frames of *kind* of the events of each type that is marked in charts.

        Starts of episodes are not marked. See `trainlog.axis_values.places_of_events`.
        """
        table = self.columns(Kind.EVENT).table
        places = self.at(table.time, kind, name)
        if not len(places):
            return {}
        if name != "time":
            if self._is_continued(Kind.EVENT, name):
                places = self._continued(Kind.EVENT, name)
            own = [table.numbers(key) for key in self.conventions.keys[name] if key in table and table[key].ndim == 1]
            axis = self.axis_values(kind, name)
            places = places_of_events(places, own, axis[np.isfinite(axis)])
        return {name: places[rows] for name, rows in self._events.items()}

    def place(self, keys: tuple[str, ...]) -> tuple[Floats, Floats]:
        """The x and y of a position in the creature frames, given by one column of vectors or two of numbers."""
        return coordinates_of(self.columns(Kind.CREATURE).table, keys)

    def at(self, time: Floats, kind: Kind, name: AxisName) -> Floats:
        """Convert *time* to positions on an axis of the frames of *kind*; float64, of the same shape."""
        if name == "time" or not len(time):
            return time
        known, values = self.columns(kind).table.time, self.axis_values(kind, name)
        good = np.isfinite(values)
        return places_by_time(time, known[good], values[good]) if good.any() else np.empty(0)


def runs_of(readers: Iterable[Reader], only: Sequence[str] = ()) -> list[Run]:
    """Make runs with the shortest labels that distinguish the logs."""
    readers = list(readers)
    names = log_names([reader.path for reader in readers])
    return [Run(reader, name, only) for reader, name in zip(readers, names, strict=True)]


def log_names(paths: Sequence[Path]) -> list[str]:
    """The names of the files, with as many parent folders as needed to distinguish them, or else with a number."""
    names: list[str] = []
    counts: dict[str, int] = {}
    for name in _labels([_normal(path) for path in paths]):
        counts[name] = counts.get(name, 0) + 1
        names.append(name if counts[name] == 1 else f"{name} #{counts[name]}")
    return names


def _normal(path: Path) -> Path:
    return path if isinstance(path, RemotePath) else Path(os.path.normpath(path.absolute()))


def _labels(paths: Sequence[Path]) -> list[str]:
    stems = [log_name(path) for path in paths]
    parts = [[*path.parent.parts, stem] for path, stem in zip(paths, stems, strict=True)]
    if len(set(paths)) > 1 and len(set(stems)) == 1:
        parts = [[*path.parent.parts] for path in paths]  # all files have the same name, such as run.flog
    return ["/".join(end).removeprefix("/") for end in distinct_ends(parts)]  # the root, "/", needs only one slash


def log_name(path: Path) -> str:
    """The file's name without its suffixes."""
    return re.sub(r"(\.simion)?\.[A-Za-z]\w*$", "", path.name.removesuffix(".log")) or path.name


def _of_kind(name: str) -> tuple[Kind, str] | None:
    """The kind and the column of a metric such as ``creature:speed``; None for a name without a kind."""
    prefix, colon, key = name.partition(":")
    with suppress(ValueError):
        return (Kind.of(prefix), key) if colon else None
    return None


def _keys_of(only: Sequence[str]) -> frozenset[str]:
    """The columns of metrics with these names; empty if one of the names is a pattern."""
    if any(letter in name for name in only for letter in "*?"):
        return frozenset()
    return frozenset(re.sub(r"\[-?\d+\]$", "", key) for name in only for _, key in [_of_kind(name) or (None, name)])
