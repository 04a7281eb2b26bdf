"""A heat map: a matrix of values as colours, with a bar that says what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainlog.draw.axes import AxesSpec, Axis, Frame
from trainlog.draw.color import Color, mix, parse_color
from trainlog.draw.drawing import Box, Cells, Clip, FloatArray, Mark, Rect, Text
from trainlog.draw.plot import extent, nothing_to_show
from trainlog.draw.scale import Range, Scale, check_range
from trainlog.draw.series import notes, split_series
from trainlog.draw.text import CAP_HEIGHT, clean, measure, shorten
from trainlog.draw.theme import Theme
from trainlog.draw.ticks import axis_ticks
from trainlog.draw.values import as_column

__all__ = ["Heatmap", "HeatmapPlan"]

_MAPS = {
    "viridis": (
        ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"]
    ),
    "diverging": ["#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b"],
    "gray": ["#f5f5f5", "#1a1a1a"],
}
_LEVELS = 255  # the last of 256 colours is for cells without a value
_MOST_CELLS = 120_000
_BAR_WIDTH = 14.0
_BAR_GAP = 16.0


@dataclass(frozen=True, eq=False)
class Heatmap:
    """A matrix as colours: ``values`` (rows, columns), the first row at the low end of the y axis.

    ``x_range`` and ``y_range`` are the outer edges of the matrix; without them the axes count columns and rows
    from 0, each in the middle of its cell. ``label`` and ``unit`` say what the values are. ``color_map`` is
    ``"viridis"``, ``"diverging"`` (its middle is zero), ``"gray"``, or colours from low to high.
    ``value_range`` fixes which values the ends of the map stand for, ``value_log`` spaces them
    logarithmically, and ``square`` makes a unit equally long on both axes. Cells without a finite value are
    grey, and counted below the ``caption``. A matrix finer than the picture is averaged.

    Raises `ValueError` when ``values`` are not a matrix of numbers, for a wrong range, map or colour.
    """

    values: ArrayLike
    _: KW_ONLY
    title: str = ""
    x_label: str = ""
    y_label: str = ""
    x_unit: str | None = None
    y_unit: str | None = None
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    label: str = ""
    unit: str | None = None
    color_map: str | Sequence[Color] = "viridis"
    value_range: Range | None = None
    value_log: bool = False
    square: bool = False
    caption: str = ""

    def __post_init__(self) -> None:
        matrix = np.ma.filled(np.ma.asanyarray(self.values), np.nan) if np.ma.isMA(self.values) else self.values
        shape = np.shape(matrix)
        if len(shape) != 2:
            raise ValueError(f"a heat map needs a matrix of values, not the shape {shape}")
        object.__setattr__(self, "values", as_column(np.asarray(matrix).reshape(-1), "values").reshape(shape))
        for name in ("x_range", "y_range"):
            ends = check_range(getattr(self, name), name, False)
            if ends is not None and None in ends:
                raise ValueError(f"the {name} of a heat map must hold both ends")
        check_range(self.value_range, "value_range", self.value_log)
        if isinstance(self.color_map, str) and self.color_map not in _MAPS:
            raise ValueError(f"there is no colour map {self.color_map!r}: choose one of {', '.join(_MAPS)}")
        if not isinstance(self.color_map, str):
            object.__setattr__(self, "color_map", tuple(parse_color(color) for color in self.color_map))
            if len(self.color_map) < 2:
                raise ValueError("a colour map needs at least two colours")


class HeatmapPlan:
    """A heat map that has been read and waits for its place."""

    def __init__(self, heatmap: Heatmap, theme: Theme) -> None:
        self.heatmap, self.theme = heatmap, theme
        self.matrix: FloatArray = np.asarray(heatmap.values, dtype=np.float64)
        flat = self.matrix.reshape(-1)
        known = split_series(np.zeros(len(flat)), flat, x_log=False, y_log=heatmap.value_log)
        self.scale = _value_scale(heatmap, known.y)
        self.colors = _levels(heatmap.color_map, theme)
        self.ticks = axis_ticks(self.scale, 6, heatmap.unit)
        label = Axis(self.scale, heatmap.label, heatmap.unit).title()
        self.label = _join(label, self.ticks.offset)
        widest = max((measure(text, theme.tick_size) for text in self.ticks.labels), default=0.0)
        gutter = _BAR_GAP + _BAR_WIDTH + 6 + widest + (theme.font_size * 1.7 if self.label else 0)
        rows, columns = self.matrix.shape
        self.x = Scale(*(heatmap.x_range or (-0.5, max(columns, 1) - 0.5)))
        self.y = Scale(*(heatmap.y_range or (-0.5, max(rows, 1) - 0.5)))
        self.around = AxesSpec(
            x=Axis(self.x, heatmap.x_label, heatmap.x_unit, grid=False, whole=heatmap.x_range is None),
            y=Axis(self.y, heatmap.y_label, heatmap.y_unit, grid=False, whole=heatmap.y_range is None),
            title=heatmap.title,
            notes=[text for text in (heatmap.caption, *notes([known.tally], "grey")) if text],
            gutter=gutter if len(known.y) else 0.0,
            square=heatmap.square,
        )

    def draw(self, frame: Frame) -> list[Mark]:
        """All marks, with those of the frame around them."""
        if not self.matrix.size:
            return [*frame.back, *nothing_to_show(frame.plot, self.theme), *frame.front]
        left, right = frame.to_x(np.array([self.x.low, self.x.high])).tolist()
        bottom, top = frame.to_y(np.array([self.y.low, self.y.high])).tolist()
        box = Box(left, top, right - left, bottom - top)
        rows = min(self.matrix.shape[0], max(int(box.height), 1))
        columns = min(self.matrix.shape[1], max(int(box.width), 1))
        if rows * columns > _MOST_CELLS:
            shrink = (_MOST_CELLS / (rows * columns)) ** 0.5
            rows, columns = max(int(rows * shrink), 1), max(int(columns * shrink), 1)
        cells = Cells(box, self._index(_averaged(self.matrix, rows, columns)[::-1]), self.colors)
        if frame.gutter:
            self._add_bar(frame)
        return [*frame.back, Clip(frame.plot, (cells,)), *frame.front]

    def _index(self, values: FloatArray) -> NDArray[np.uint8]:
        """Which colour each of the values has."""
        index = np.full(values.shape, _LEVELS, dtype=np.uint8)
        known = np.isfinite(values) & ((values > 0) | (not self.scale.log))
        place = np.clip(self.scale.position(values[known]), 0.0, 1.0)
        index[known] = np.minimum(np.floor(place * _LEVELS + 1e-9), _LEVELS - 1).astype(np.uint8)
        return index

    def _add_bar(self, frame: Frame) -> None:
        """Write to the right of the plot which colour stands for what."""
        plot, theme = frame.plot, self.theme
        size, x = theme.tick_size, plot.right + _BAR_GAP
        column = np.arange(_LEVELS, dtype=np.uint8)[::-1].reshape(-1, 1)
        frame.front.append(Cells(Box(x, plot.y, _BAR_WIDTH, plot.height), column, self.colors))
        for value, label in zip(self.ticks.values, self.ticks.labels, strict=True):
            y = plot.bottom - self.scale.place(value) * plot.height
            frame.front.append(Rect(x + _BAR_WIDTH, float(np.floor(y + 1e-6)), 3.0, 1.0, theme.axis))
            frame.write(Text(x + _BAR_WIDTH + 6, y + CAP_HEIGHT * size / 2, label, size, theme.muted))
        text = shorten(self.label, theme.font_size, plot.height)
        right, middle = plot.right + frame.gutter - theme.font_size * 0.25, plot.y + plot.height / 2
        frame.write(Text(right, middle, text, theme.font_size, theme.text, "middle", vertical=True))


def _join(label: str, offset: str) -> str:
    return clean(f"{label} (+{offset})" if offset else label)


def _value_scale(heatmap: Heatmap, values: FloatArray) -> Scale:
    if heatmap.color_map == "diverging" and heatmap.value_range is None and len(values) and not heatmap.value_log:
        reach = max(float(values.max()), -float(values.min()))
        return Scale.around(-reach, reach)
    return extent([values], heatmap.value_range, heatmap.value_log, 0.0)


def _levels(color_map: str | Sequence[Color], theme: Theme) -> tuple[Color, ...]:
    """256 colours: those of the map from low to high, and the one of missing cells."""
    anchors = _MAPS[color_map] if isinstance(color_map, str) else list(color_map)
    last = len(anchors) - 1
    levels = []
    for n in range(_LEVELS):
        place = n / (_LEVELS - 1) * last
        below = min(int(place), last - 1)
        levels.append(mix(anchors[below], anchors[below + 1], place - below))
    return (*levels, theme.missing)


def _averaged(matrix: FloatArray, rows: int, columns: int) -> FloatArray:
    """The matrix with at most that many rows and columns, each cell the mean of the finite ones that it covers."""
    if matrix.shape == (rows, columns):
        return matrix
    finite = np.isfinite(matrix)
    known = np.where(finite, matrix, 0.0)
    factor = 2.0**-64 if np.abs(known).max() > 1e280 else 1.0  # so that sums stay finite
    sums, counts = known * factor, finite.astype(np.float64)
    for axis, count in ((0, rows), (1, columns)):
        starts = np.arange(count) * matrix.shape[axis] // count
        sums, counts = np.add.reduceat(sums, starts, axis=axis), np.add.reduceat(counts, starts, axis=axis)
    with np.errstate(invalid="ignore"):
        means: FloatArray = sums / counts / factor
    return means
