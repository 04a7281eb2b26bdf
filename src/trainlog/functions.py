"""Learned functions of state and action, which the trainer sampled on a grid during the training.

They are events of the type ``function_sample``, in RLSimion logs and in logs converted from them.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from trainlog.codec import Reader
from trainlog.conventions import FUNCTION_SAMPLE
from trainlog.errors import DamagedLogWarning, EmptyLog
from trainlog.model import Kind, Variable
from trainlog.storage.file_names import file_safe
from trainlog.storage.replace import atomic_write
from trainlog.table.values import column_name

if TYPE_CHECKING:
    from trainlog.draw import Figure
    from trainlog.draw.theme import ThemeName

__all__ = ["LearnedFunction", "draw_function", "function_axes", "grid_of", "learned_functions"]


@dataclass(frozen=True, slots=True, eq=False)
class LearnedFunction:
    """The samples of one learned function.

    Attributes:
        name: for example ``V(angle,angular-velocity)``; numbered, ``name#2``, if the log has it twice.
        values: float64, shape (samples, y, x), or (samples, z, y, x) if there are several layers.
        episode: int64, shape (samples,): index of the evaluation before which each sample was taken; 0 when a run
            has only training episodes.
        step: int64, shape (samples,): step of that episode.
        experiment_step: int64, shape (samples,): steps of all episodes up to then.
        axes: the variables of x and y, as far as the name contains them, with the range that the log declares.

    """

    name: str
    values: npt.NDArray[np.float64]
    episode: npt.NDArray[np.int64]
    step: npt.NDArray[np.int64]
    experiment_step: npt.NDArray[np.int64]
    axes: tuple[Variable, ...] = ()

    @property
    def samples(self) -> int:
        """The number of samples."""
        return len(self.values)

    def figure(self, sample: int = -1) -> Figure:
        """The figure of one sample: a heat map, or a curve for a function of one variable.

        All samples of a function have the same color scale. Of several layers the first is drawn, and the caption says
        so.
        """
        from trainlog.draw import Chart, Heatmap, Line

        finite = self.values[np.isfinite(self.values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        is_signed = low < 0 < high
        if is_signed:
            low, high = min(low, -high), max(high, -low)  # zero is the middle of the diverging colors
        span = (low, high) if low < high else None
        number = range(self.samples)[sample]
        caption = f"sample {number + 1} of {self.samples}, after {int(self.experiment_step[number]) - 1:,} steps"
        layer = self.values[number]
        if layer.ndim == 3:
            depth = self.axes[2].name if len(self.axes) == 3 else "z"
            caption += f"; {depth}: layer 1 of {len(layer)}"
            layer = layer[0]
        rows, columns = layer.shape
        x, y = (*self.axes, Variable("x"), Variable("y"))[:2] if len(self.axes) != 1 else (*self.axes, Variable("y"))
        if rows == 1:
            return Chart(
                title=self.name,
                x_label=x.name,
                x_unit=x.unit or None,
                y_range=span,
                caption=caption,
                marks=[Line(_nodes(x, columns), layer[0])],
            )
        return Heatmap(
            layer,
            title=self.name,
            x_label=x.name,
            y_label=y.name,
            x_unit=x.unit or None,
            y_unit=y.unit or None,
            x_range=_edges(x, columns),
            y_range=_edges(y, rows),
            label=re.sub(r"\(.*", "", self.name),
            color_map="diverging" if is_signed else "viridis",
            value_range=span,
            caption=caption,
        )


def _nodes(axis: Variable, count: int) -> npt.NDArray[np.float64]:
    """The coordinates of the samples along *axis*, evenly over its range."""
    if axis.low is None or axis.high is None or not axis.low < axis.high:
        return np.arange(count, dtype=np.float64)
    return np.linspace(axis.low, axis.high, count)


def _edges(axis: Variable, count: int) -> tuple[float, float] | None:
    """The outer edges of the cells around the samples along *axis*."""
    nodes = _nodes(axis, count)
    if axis.low is None or count < 2:
        return None
    half = float(nodes[1] - nodes[0]) / 2
    return float(nodes[0]) - half, float(nodes[-1]) + half


def learned_functions(log: Reader) -> dict[str, LearnedFunction]:
    """Read the learned functions of *log*, by name; a repeated name is numbered, ``name#2``.

    A sample whose values do not fill its shape is left out, with a `DamagedLogWarning`.
    """
    samples: dict[tuple[Any, ...], list[tuple[npt.NDArray[np.float64], list[np.int64]]]] = {}
    for frame in log.frames(Kind.EVENT):
        data = frame.data
        if data.get("type") == FUNCTION_SAMPLE and {"function", "values", "shape"} <= data.keys():
            try:
                values = grid_of(data)
                counts = [np.int64(data.get(key, 0)) for key in ("episode", "step", "experiment_step")]
                samples.setdefault((data.get("id"), str(data["function"]), *values.shape), []).append((values, counts))
            except (TypeError, ValueError, OverflowError):
                what = f"the sample of a function at {frame.time} s has no grid of values; it is left out"
                warnings.warn(DamagedLogWarning(f"{log.path}: {what}"), stacklevel=2)
    functions: dict[str, LearnedFunction] = {}
    numbers: dict[str, int] = {}
    for (_, name, *shape), group in samples.items():
        if len(shape) == 3 and shape[0] == 1:
            shape = shape[1:]
        unique = column_name(name, functions, numbers=numbers)
        episode, step, experiment_step = np.array([counts for _, counts in group]).T
        functions[unique] = LearnedFunction(
            unique,
            np.array([values for values, _ in group]).reshape(len(group), *shape),
            episode,
            step,
            experiment_step,
            function_axes(name, log.header.variables),
        )
    return functions


def grid_of(data: Mapping[Any, Any]) -> npt.NDArray[np.float64]:
    """The values of a sample, in its declared shape: (z, y, x); a shape with fewer axes lacks the first ones.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: when it has no grid of values.

    """
    values = np.array(data["values"], np.float64).reshape(data["shape"])
    if values.ndim > 3:
        raise ValueError(f"a grid has at most three axes, not {values.ndim}")
    return values.reshape(*[1] * (3 - values.ndim), *values.shape)


def function_axes(name: str, variables: tuple[Variable, ...]) -> tuple[Variable, ...]:
    """The variables that the names in the parentheses of *name* refer to, states before actions."""
    inside = re.search(r"\(([^()]*(?:\([^()]*\)[^()]*)*)\)\s*$", name)
    declared = {variable.name: variable for variable in reversed(variables) if variable.role in ("state", "action")}
    names = inside[1].split(",") if inside else []
    return tuple(declared.get(part.strip(), Variable(part.strip())) for part in names)


def draw_function(
    function: LearnedFunction,
    folder: str | os.PathLike[str],
    *,
    width: int = 640,
    height: int = 520,
    fps: float = 4,
    theme: ThemeName = "light",
    name: str | None = None,
) -> list[Path]:
    """Write the last sample of *function* as SVG and PNG, and all samples as an animated GIF, into *folder*.

    The files are called *name*, by default after the function: ``V_angle_angular-velocity.svg``, ... Two functions may
    have the same default name; `trainlog.storage.file_names.file_names` chooses different ones.

    Returns:
        The files.

    Raises:
        EmptyLog: when it has no samples.
        LogWriteError: when a file cannot be written.

    """
    from trainlog.draw import gif, layout, png, svg

    if not function.samples or not function.values.size:
        raise EmptyLog(f"the function {function.name!r} has no values")
    stem = Path(folder) / (file_safe(function.name) if name is None else name)
    drawings = [layout(function.figure(i), width, height, theme) for i in range(function.samples)]
    contents = {".svg": svg(drawings[-1]).encode(), ".png": png(drawings[-1], 2), ".gif": gif(drawings, fps)}
    for suffix, content in contents.items():
        with atomic_write(f"{stem}{suffix}") as file:
            file.write(content)
    return [Path(f"{stem}{suffix}") for suffix in contents]
