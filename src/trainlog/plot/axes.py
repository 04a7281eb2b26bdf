"""The x axes of figures."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.conventions import AxisName

__all__ = ["Axis", "Floats", "episode_progress", "without_restarts"]

Floats = npt.NDArray[np.float64]

_LABELS: Final = {"gen": "generation", "it": "iteration"}


class Axis(NamedTuple):
    """The x axis of a figure.

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
        """Make the axis *name* with the values of the column *key*, which is empty for computed values."""
        if name == "time":
            return cls(name, "time", "s")
        if name == "sim_time":
            return cls(name, "simulated time", "s")
        label = key.rpartition("/")[2] or name
        return cls(name, _LABELS.get(label, label).replace("_", " "))


def without_restarts(values: Floats) -> Floats:
    """Make a counter with restarts monotonic; NaN is not changed."""
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
    """The progress of each frame in its episode, in [0, 1), from the episode number of each frame."""
    if not len(number):
        return number
    starts = np.flatnonzero(np.concatenate(([True], number[1:] != number[:-1])))
    lengths = np.diff(np.append(starts, len(number)))
    done: Floats = (np.arange(len(number)) - np.repeat(starts, lengths)) / np.repeat(lengths, lengths)
    return done
