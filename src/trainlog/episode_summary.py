"""The type of an episode, and a tally of its steps, computed block by block."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.model import Header, Variable

__all__ = ["AVERAGED", "MOST_STEPS", "EpisodeType", "Tally", "is_averaged", "is_summary", "period_of", "weights_of"]

# A key in the header's metadata: true when each record is the mean of the steps since the previous record.
AVERAGED: Final = "averaged"

# A larger number of steps in an episode is invalid.
MOST_STEPS: Final = 2**48

Floats = npt.NDArray[np.float64]


class EpisodeType(enum.IntEnum):
    """What an episode is for. Any other number is kept as it is: ``EpisodeType(7).name == "TYPE_7"``."""

    EVALUATION = 0
    TRAINING = 1

    @classmethod
    def of(cls, value: int | str) -> EpisodeType:
        """The type of that number or name.

        Raises:
            ValueError: for an unknown name.

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
    """Whether each record of the log is the mean of the steps since the previous record."""
    return header.meta.get(AVERAGED) is True


class Tally:
    """The length, return and means of an episode's steps, accumulated block by block.

    A record that is the mean of several steps weighs as much as they do; single samples all weigh the same.
    """

    def __init__(self, variables: Sequence[Variable], *, averaged: bool, before: int = 0) -> None:
        """Create a tally of *variables*; *before* is the step of the record before the first one that is added."""
        self._variables = variables
        self._averaged = averaged
        self._sums = np.zeros(len(variables))
        self._counted = np.zeros(len(variables))
        self._circles = [(i, period_of(variable)) for i, variable in enumerate(variables) if variable.circular]
        self._turns = np.zeros(len(self._circles), np.complex128)
        self._first: int | None = None
        self._last = before
        self.records = 0

    def add(
        self, step: npt.NDArray[Any], values: npt.NDArray[Any], present: npt.NDArray[np.bool_] | None = None
    ) -> None:
        """Count a block of records.

        Args:
            step: int64, shape (records,): index of the last step that each record stands for.
            values: float64, shape (records, variables); can have fewer variables than the log declares.
            present: which of the values are present, of the same shape; the others do not count. None means all.

        """
        if not len(step):
            return
        weights = weights_of(step, self._last) if self._averaged else np.ones(len(step))
        width = values.shape[1]
        with np.errstate(invalid="ignore", over="ignore"):
            self._sums[:width] += weights @ (values if present is None else np.where(present, values, 0.0))
            self._counted[:width] += weights.sum() if present is None else weights @ present
            for n, (i, period) in enumerate(self._circles):
                if i < width:
                    there = slice(None) if present is None else present[:, i]
                    self._turns[n] += (weights * np.exp(2j * math.pi / period * values[:, i]))[there].sum()
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
        """The mean of each variable over the steps; NaN if it has no values. For angles see `Episode.means`."""
        with np.errstate(invalid="ignore", divide="ignore"):
            means = self._sums / self._counted
        if circular:
            for n, (i, period) in enumerate(self._circles):
                means[i] = _angle(self._turns[n], period, self._variables[i])
        return {variable.key: float(mean) for variable, mean in zip(self._variables, means, strict=True)}

    @property
    def reward(self) -> float:
        """Mean reward per step: the sum of the reward variables' means, NaN when there are none."""
        rewards = [i for i, variable in enumerate(self._variables) if variable.role == "reward"]
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            return float((self._sums[rewards] / self._counted[rewards]).sum()) if rewards else math.nan

    def summary(self) -> dict[str, Any]:
        """``length``, ``records``, ``return`` and ``reward`` (mean per step), and ``mean`` of each variable."""
        return {
            "length": self.length,
            "records": self.records,
            "return": self.reward * self.length,
            "reward": self.reward,
            "mean": self.means(),
        }


def weights_of(step: npt.NDArray[Any], before: int = 0) -> Floats:
    """How many steps each record stands for: the distance to the previous record, at least 1.

    Args:
        step: int64, shape (records,): index of the last step of each record, from 1.
        before: step of the record before the first one.

    """
    weights = np.empty(len(step))
    if len(step):
        weights[0] = float(step[0]) - before
        np.subtract(step[1:], step[:-1], out=weights[1:], dtype=np.float64)  # ints may overflow
    return np.maximum(weights, 1, out=weights)


def period_of(variable: Variable) -> float:
    """The length of a full turn. RLSimion rounds limits to two digits: 3.14 stands for π."""
    if variable.low is None or variable.high is None or not variable.high > variable.low:
        return 2 * math.pi
    period = variable.high - variable.low
    return 2 * math.pi if abs(period - 2 * math.pi) < 0.011 or not math.isfinite(period) else period


def _angle(turns: complex, period: float, variable: Variable) -> float:
    """The direction of a sum of turns, in the variable's range."""
    if turns == 0 or not np.isfinite(turns):
        return math.nan
    angle = float(np.angle(turns)) * period / (2 * math.pi)
    low = variable.low
    if low is None or not math.isfinite((low if variable.high is None else variable.high) - low):
        low = -period / 2
    return angle + period * math.ceil((low - angle) / period - 1e-3)


def is_summary(data: Mapping[Any, Any]) -> bool:
    """Whether a stats frame is an episode's summary, which can be computed from its steps."""
    return {"episode", "episode_type", "index", "sub_index", "complete", "return", "length"} <= data.keys()
