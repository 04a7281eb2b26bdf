"""What a figure can be drawn over."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["AXES", "Axis", "AxisName", "Floats", "added_up", "is_clock", "progress"]

AxisName = Literal["step", "episode", "time", "sim_time"]
Floats = npt.NDArray[np.float64]

# How trainers call it, the usual first. Time is that of the frames.
AXES: Final[dict[AxisName, tuple[str, ...]]] = {
    "step": ("step", "global_step", "env_step", "env_steps", "total_steps", "timesteps", "total_timesteps"),
    "episode": ("episode", "gen", "generation", "iteration", "epoch"),
    "time": (),
    "sim_time": ("sim_time", "simulation_time", "experiment_sim_time", "episode_sim_time"),
}
_SPELT: Final = {"gen": "generation"}
_KEYS: Final = frozenset(key for keys in AXES.values() for key in keys) | {"index", "sub_index"}


class Axis(NamedTuple):
    """What a figure is drawn over.

    Attributes:
        name: one of AXES.
        label: what stands below the axis.
        unit: ``s`` for times.

    """

    name: AxisName
    label: str
    unit: str | None = None

    @classmethod
    def of(cls, name: AxisName, key: str) -> Axis:
        """The axis of that name, which the column *key* holds."""
        if name == "time":
            return cls(name, "time", "s")
        if name == "sim_time":
            return cls(name, "simulated time", "s")
        return cls(name, _SPELT.get(key, key or name).replace("_", " "))


def is_clock(key: str) -> bool:
    """Whether other columns are drawn over that one."""
    return key in _KEYS or key.endswith(("real_time", "sim_time", "timestamp"))


def added_up(values: Floats) -> Floats:
    """A counter that begins anew now and then, as one that never does; NaN stays."""
    known = np.flatnonzero(np.isfinite(values))
    steps = np.diff(values[known])
    restarts = np.flatnonzero(steps < 0)
    if not len(restarts):
        return values
    offset = np.zeros(len(values))
    offset[known[restarts + 1]] = values[known[restarts]]
    total: Floats = values + np.cumsum(offset)
    return total


def progress(number: Floats) -> Floats:
    """How far each frame is in its episode, from 0 to just below 1, by the number of its episode."""
    if not len(number):
        return number
    starts = np.flatnonzero(np.concatenate(([True], number[1:] != number[:-1])))
    lengths = np.diff(np.append(starts, len(number)))
    done: Floats = (np.arange(len(number)) - np.repeat(starts, lengths)) / np.repeat(lengths, lengths)
    return done
