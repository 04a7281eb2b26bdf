"""Episodes: the steps between an episode's start and its end, and what they come to.

Works on every log whose events mark episodes: RLSimion logs, what was converted from them, and any log with events of
the types ``episode_start`` and ``episode_end``.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.codec import Reader
from trainlog.conventions import EPISODE_END as END
from trainlog.conventions import EPISODE_START as START
from trainlog.model import Header, Kind, Variable
from trainlog.scan import Batch, Scan, stretches
from trainlog.table.builder import TableBuilder
from trainlog.table.table import Table

__all__ = ["END", "MOST_STEPS", "START", "Episode", "EpisodeType", "Tally", "episodes", "is_averaged", "is_summary"]

# In the header's metadata: true when each record is the mean of the steps since the record before it.
AVERAGED: Final = "averaged"

# An episode's number of steps beyond this is none.
MOST_STEPS: Final = 2**48

Floats = npt.NDArray[np.float64]


class EpisodeType(enum.IntEnum):
    """What an episode is for. A number that is neither is kept as it is: ``EpisodeType(7).name == "TYPE_7"``."""

    EVALUATION = 0
    TRAINING = 1

    @classmethod
    def of(cls, value: int | str) -> EpisodeType:
        """The type of that number or name.

        Raises:
            ValueError: for a name that is not known.

        """
        if isinstance(value, int):
            return cls(value)
        name = value.upper()
        return cls[name] if name in cls.__members__ else cls(int(name.removeprefix("TYPE_")))

    @classmethod
    def _missing_(cls, value: object) -> EpisodeType | None:
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_ = f"TYPE_{value}"
        member._value_ = value
        return member

    def __str__(self) -> str:
        return self.name.lower()


def is_averaged(header: Header) -> bool:
    """Whether each record of the log is the mean of the steps since the record before it."""
    return header.meta.get(AVERAGED) is True


class Tally:
    """What the steps of an episode come to, gathered block by block.

    A record that is the mean of several steps weighs as much as they do; single samples all weigh the same.
    """

    def __init__(self, variables: Sequence[Variable], *, averaged: bool) -> None:
        self._variables = variables
        self._averaged = averaged
        self._sums = np.zeros(len(variables))
        self._counted = np.zeros(len(variables))
        self._circles = [(i, period_of(variable)) for i, variable in enumerate(variables) if variable.circular]
        self._turns = np.zeros(len(self._circles), np.complex128)
        self._first: int | None = None
        self._last = 0
        self.records = 0

    def add(self, step: npt.NDArray[Any], values: npt.NDArray[Any]) -> None:
        """Count a block of records.

        Args:
            step: int64, shape (records,): index of the last step that each record tells of.
            values: float64, shape (records, variables); may have fewer variables than the log declares.

        """
        if not len(step):
            return
        weights = weights_of(step, self._last) if self._averaged else np.ones(len(step))
        width = values.shape[1]
        with np.errstate(invalid="ignore", over="ignore"):
            self._sums[:width] += weights @ values
            self._counted[:width] += weights.sum()
            for n, (i, period) in enumerate(self._circles):
                if i < width:
                    self._turns[n] += (weights * np.exp(2j * math.pi / period * values[:, i])).sum()
        if self._first is None:
            self._first = int(step[0])
        self._last = int(step[-1])
        self.records += len(step)

    @property
    def length(self) -> int:
        """How many steps the records stand for."""
        if self._first is None:
            return 0
        length = self._last if self._averaged else self._last - self._first + 1
        return length if self.records <= length < MOST_STEPS else self.records

    def means(self, *, circular: bool = True) -> dict[str, float]:
        """The mean of each variable over the steps; NaN where there is none. Angles: see `Episode.means`."""
        with np.errstate(invalid="ignore", divide="ignore"):
            means = self._sums / self._counted
        if circular:
            for n, (i, period) in enumerate(self._circles):
                means[i] = _angle(self._turns[n], period, self._variables[i])
        return {variable.key: float(mean) for variable, mean in zip(self._variables, means, strict=True)}

    @property
    def reward(self) -> float:
        """Mean reward of a step: the sum of the reward variables' means, NaN when there are none."""
        rewards = [i for i, variable in enumerate(self._variables) if variable.role == "reward"]
        with np.errstate(invalid="ignore", divide="ignore"):
            return float((self._sums[rewards] / self._counted[rewards]).sum()) if rewards else math.nan

    def summary(self) -> dict[str, Any]:
        """``length``, ``records``, ``return`` and ``reward`` (mean of a step), and ``mean`` of each variable."""
        return {
            "length": self.length,
            "records": self.records,
            "return": self.reward * self.length,
            "reward": self.reward,
            "mean": self.means(),
        }


def weights_of(step: npt.NDArray[Any], before: int = 0) -> Floats:
    """How many steps each record tells of: the distance to the record before it, at least 1.

    Args:
        step: int64, shape (records,): index of the last step of each record, from 1.
        before: step of the record before the first of them.

    """
    weights = np.empty(len(step))
    if len(step):
        weights[0] = step[0] - before
        np.subtract(step[1:], step[:-1], out=weights[1:])
    return np.maximum(weights, 1, out=weights)


def period_of(variable: Variable) -> float:
    """The length of a full turn. RLSimion rounds limits to two digits: 3.14 stands for π."""
    if variable.low is None or variable.high is None or not variable.high > variable.low:
        return 2 * math.pi
    period = variable.high - variable.low
    return 2 * math.pi if abs(period - 2 * math.pi) < 0.011 else period


def _angle(turns: complex, period: float, variable: Variable) -> float:
    """The direction of a sum of turns, in the variable's range."""
    if turns == 0 or not np.isfinite(turns):
        return math.nan
    angle = float(np.angle(turns)) * period / (2 * math.pi)
    low = -period / 2 if variable.low is None else variable.low
    return angle + period * math.ceil((low - angle) / period - 1e-3)


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode of a log.

    Attributes:
        number: its place in the log, from 1.
        type: evaluation or training.
        index: its number among those of its type; of an evaluation, the number of the evaluation.
        sub_index: which of the episodes of one evaluation; 1 where there is only one.
        complete: False when the log ends, or is damaged, before the episode's end.
        steps: its records: ``step``, the clocks, every variable; ``time`` is seconds since the run began.
        variables: the declared columns.
        averaged: each record is the mean of the steps since the record before it, not a single sample.

    """

    number: int
    type: EpisodeType
    index: int
    sub_index: int
    complete: bool
    steps: Table
    variables: tuple[Variable, ...] = ()
    averaged: bool = False

    @property
    def weights(self) -> Floats:
        """How many steps each record tells of: float64, shape (records,); all 1 for single samples."""
        if not self.averaged or "step" not in self.steps:
            return np.ones(self.steps.rows)
        return weights_of(self.steps["step"])

    @property
    def length(self) -> int:
        """How many steps the records stand for."""
        return self._tally().length

    @property
    def reward(self) -> float:
        """Mean reward of a step, the reward variables added up."""
        return self._tally().reward

    @property
    def total_reward(self) -> float:
        """The return: what all steps together were rewarded."""
        tally = self._tally()
        return tally.reward * tally.length

    def means(self, *, circular: bool = True) -> dict[str, float]:
        """The mean of every variable over the steps, each record weighing as many as it tells of.

        Args:
            circular: angles have the mean of their directions. Otherwise that of their plain numbers, which is
                what RLSimion itself computes; also within a record, where nothing can be done about it.

        """
        return self._tally().means(circular=circular)

    def summary(self) -> dict[str, Any]:
        """What the episode comes to, as one flat record for tables and reports.

        Keys: ``episode``, ``episode_type``, ``index``, ``sub_index``, ``complete``, those of `Tally.summary`, and the
        clocks of the last record.
        """
        clocks = [key for key in self.steps if key.endswith("_time")] if self.steps.rows else []
        return {
            "episode": self.number,
            "episode_type": str(self.type),
            "index": self.index,
            "sub_index": self.sub_index,
            "complete": self.complete,
            **self._tally().summary(),
            **{key: float(self.steps[key][-1]) for key in clocks},
        }

    def _tally(self) -> Tally:
        tally = Tally(self.variables, averaged=self.averaged)
        rows = self.steps.rows
        step = self.steps["step"] if "step" in self.steps else np.arange(1, rows + 1)
        nothing = np.full(rows, np.nan)
        keys = [variable.key for variable in self.variables]
        columns = [self.steps.numbers(key) if key in self.steps else nothing for key in keys]
        tally.add(step, np.stack(columns, axis=1) if columns else np.empty((rows, 0)))
        return tally

    def __repr__(self) -> str:
        which = f"{self.type} {self.index}" + (f".{self.sub_index}" if self.sub_index > 1 else "")
        end = "" if self.complete else ", incomplete"
        return f"<Episode {self.number}: {which}, {self.steps.rows} records{end}>"


def is_summary(data: Mapping[Any, Any]) -> bool:
    """Whether a stats frame is an episode's summary, which can be had from its steps."""
    return {"episode", "episode_type", "index", "sub_index", "complete", "return", "length"} <= data.keys()


def episodes(log: Reader) -> Iterator[Episode]:
    """Yield the episodes of *log*, one at a time, in its order; one that has no end is marked incomplete.

    Frames of the kind ``creature`` between an event of type ``episode_start`` and one of type ``episode_end`` are
    its steps. The start's ``episode_type``, ``index`` and ``sub_index`` say which it is; where they are missing it
    is taken for a training episode, and counted. A log without such events has no episodes.

    Bytes that are no record are left out with a `DamagedLogWarning`, as by `Reader.frames`.
    """
    number = 0
    start: Mapping[Any, Any] | None = None
    parts: list[Table] = []
    for batches in stretches(log.scan(Scan(kinds={Kind.EVENT, Kind.CREATURE}))):
        steps, done = batches.get(Kind.CREATURE), 0
        for order, mark in _marks(batches.get(Kind.EVENT)):
            if start is not None:
                if steps is not None:
                    parts.append(steps.table.rows_where(slice(done, int(np.searchsorted(steps.order, order)))))
                yield _episode(number, start, parts, log.header, complete=mark["type"] == END)
            parts = []
            start = None
            if mark["type"] == START:
                start = mark
                number += 1
                done = 0 if steps is None else int(np.searchsorted(steps.order, order))
        if start is not None and steps is not None:
            parts.append(steps.table.rows_where(slice(done, None)))
    if start is not None:
        yield _episode(number, start, parts, log.header, complete=False)


def _marks(events: Batch | None) -> Iterator[tuple[int, Mapping[Any, Any]]]:
    """The events that begin or end an episode: where in the log they stand, and their data."""
    if events is None or "type" not in events.table:
        return
    rows = np.flatnonzero([what in (START, END) for what in events.table["type"].tolist()])
    for order, frame in zip(events.order[rows].tolist(), events.table.rows_where(rows).frames(), strict=True):
        yield order, frame.data


def _episode(
    number: int, start: Mapping[Any, Any], parts: Sequence[Table], header: Header, *, complete: bool
) -> Episode:
    builder = TableBuilder(Kind.CREATURE)  # which copies: a short episode must not keep a whole batch in memory
    for part in parts:
        builder.add_table(part)
    steps = builder.finish()
    steps = steps.select([key for key in steps if steps.column(key).present.any()])
    variables = header.variables or _undeclared(steps)
    return Episode(
        number,
        _type_of(start.get("episode_type")),
        int(start.get("index", number)),
        int(start.get("sub_index", 1)),
        complete,
        steps,
        variables,
        is_averaged(header),
    )


def _type_of(value: Any) -> EpisodeType:
    try:
        return EpisodeType.of(value)
    except (ValueError, AttributeError):  # what another program means by that key
        return EpisodeType.TRAINING


def _undeclared(steps: Table) -> tuple[Variable, ...]:
    """The columns of numbers of a log that declares none."""
    keys = [key for key, column in steps.items() if column.ndim == 1 and column.dtype.kind in "biuf" and key != "step"]
    return tuple(Variable(key, "reward" if key == "reward" else "stat") for key in keys)
