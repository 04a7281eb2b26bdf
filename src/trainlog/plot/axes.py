"""What a figure is drawn over."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.conventions import AxisName

__all__ = ["Axis", "Floats", "episode_progress", "without_restarts"]

Floats = npt.NDArray[np.float64]

_LABELS: Final = {"gen": "generation", "it": "iteration"}


class Axis(NamedTuple):
    """What a figure is drawn over.

    Attributes:
        name: one of `trainlog.conventions.AXES`.
        label: the text below the axis.
        unit: ``s`` for times.

    """

    name: AxisName
    label: str
    unit: str | None = None

    @classmethod
    def of(cls, name: AxisName, key: str) -> Axis:
        """The axis of that name, whose values are in the column *key*; empty when they are computed."""
        if name == "time":
            return cls(name, "time", "s")
        if name == "sim_time":
            return cls(name, "simulated time", "s")
        label = key.rpartition("/")[2] or name
        return cls(name, _LABELS.get(label, label).replace("_", " "))


def without_restarts(values: Floats) -> Floats:
    """A counter that restarts now and then, as one that only grows; NaN stays."""
    known = np.flatnonzero(np.isfinite(values))
    steps = np.diff(values[known])
    restarts = np.flatnonzero(steps < 0)
    if not len(restarts):
        return values
    offset = np.zeros(len(values))
    offset[known[restarts + 1]] = values[known[restarts]]
    total: Floats = values + np.cumsum(offset)
    return total


def episode_progress(number: Floats) -> Floats:
    """How far each frame is in its episode, from 0 to just below 1, by the number of its episode."""
    if not len(number):
        return number
    starts = np.flatnonzero(np.concatenate(([True], number[1:] != number[:-1])))
    lengths = np.diff(np.append(starts, len(number)))
    done: Floats = (np.arange(len(number)) - np.repeat(starts, lengths)) / np.repeat(lengths, lengths)
    return done
