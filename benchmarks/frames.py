"""The data that the benchmarks log: creature frames and steps of scalars, and the columns that must come back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["SCALARS", "WIDTHS", "Columns", "Kind", "columns", "rows", "same", "times"]

Kind = Literal["creature", "scalars"]
Columns = dict[str, npt.NDArray[Any]]

# A creature frame from MuJoCo's state of a four-legged robot; 1 means a plain number.
WIDTHS = {"step": 1, "pos": 26, "vel": 24, "com": 3, "heading": 1, "speed": 1}

# One step of 20 scalars: the step, and what an actor-critic trainer reports about it.
SCALARS = (
    *("step", "reward", "return", "episode_length", "distance", "velocity", "upright"),
    *("loss/actor", "loss/critic", "loss/entropy", "kl", "clip_fraction", "explained_variance", "learning_rate"),
    *("grad_norm/actor", "grad_norm/critic", "value_mean", "advantage_std", "action_std", "steps_per_second"),
)


def columns(kind: Kind, count: int) -> Columns:
    """The truth: *count* rows as arrays, the same in every process."""
    random = np.random.default_rng(7)
    step = np.arange(count, dtype=np.int64) * 10
    if kind == "scalars":
        return {"step": step, **{name: random.normal(size=count) for name in SCALARS[1:]}}
    shapes = {name: (count,) if width == 1 else (count, width) for name, width in WIDTHS.items()}
    return {name: step if name == "step" else random.normal(size=shape) for name, shape in shapes.items()}


def times(count: int) -> list[float]:
    """Seconds since the run began, one per row."""
    return [i / 512 for i in range(count)]


def rows(truth: Mapping[str, npt.NDArray[Any]]) -> list[dict[str, Any]]:
    """The rows of *truth* as a trainer holds them: Python numbers, and numpy vectors."""
    parts = [list(column) if column.ndim > 1 else column.tolist() for column in truth.values()]
    return [dict(zip(truth, row, strict=True)) for row in zip(*parts, strict=True)]


def same(truth: Columns, got: Mapping[str, Any], precision: type = np.float64) -> str:
    """Raise unless *got* holds the columns of *truth*, each value as *precision* keeps it; return what was compared."""
    for name, column in truth.items():
        if name not in got:
            raise AssertionError(f"the column {name!r} did not come back")
        back = np.asarray(got[name])
        if back.shape != column.shape:
            raise AssertionError(f"{name!r} came back with the shape {back.shape} instead of {column.shape}")
        if not np.array_equal(column.astype(precision), back.astype(precision)):
            raise AssertionError(f"{name!r} came back with other values")
    values = sum(column.size for column in truth.values())
    return f"{values:,} values" + (" (as float32)" if precision is np.float32 else "")
