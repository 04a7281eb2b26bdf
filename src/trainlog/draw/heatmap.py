"""A heat map: a matrix of values as colours, with a colour bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainlog.draw.axes import Axes, AxesSpec, Axis
from trainlog.draw.chart import Panel
from trainlog.draw.chart_layout import fit_scale, no_data_marks
from trainlog.draw.color import Color, mix, parse_color
from trainlog.draw.data import as_column, caption_lines, split_series
from trainlog.draw.drawing import Box, Cells, Clip, FloatArray, Mark, Rect, Text
from trainlog.draw.scale import Range, Scale, check_range
from trainlog.draw.text import CAP_HEIGHT, clean, shorten, text_width
from trainlog.draw.theme import Theme
from trainlog.draw.ticks import axis_ticks

__all__ = ["Heatmap", "HeatmapLayout"]

_COLOR_MAPS = {
    "viridis": (
        ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"]
    ),
    "diverging": ["#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b"],
    "gray": ["#f5f5f5", "#1a1a1a"],
}
_LEVELS = 255  # the last of 256 colours is for cells without a value
_MAX_CELLS = 120_000
_BAR_WIDTH = 14.0
_BAR_GAP = 16.0


@dataclass(frozen=True, eq=False)
class Heatmap(Panel):
    """A matrix as colours.

    Cells without a finite value are grey, and counted below the caption. A matrix finer than the picture is averaged.

    Attributes:
        values: (rows, columns), with the first row at the low end of the y axis.
        x_range, y_range: the outer edges of the matrix; None numbers columns and rows from 0, at the middle of cells.
        label, unit: the label and the unit of the values.
        color_map: ``"viridis"``, ``"diverging"`` (its middle is zero), ``"gray"``, or colours from low to high.
        value_range: the values at the ends of the colour map.
        value_log: whether the values are spaced logarithmically.
        square: whether a unit has the same length on both axes.

    Raises:
        ValueError: when ``values`` is not a matrix of numbers, and for a wrong range, map or colour.

    """

    values: ArrayLike
    _: KW_ONLY
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    label: str = ""
    unit: str | None = None
    color_map: str | Sequence[Color] = "viridis"
    value_range: Range | None = None
    value_log: bool = False
    square: bool = False

    def __post_init__(self) -> None:
        shape = np.shape(self.values)
        if len(shape) != 2:
            raise ValueError(f"a heat map needs a matrix of values, not the shape {shape}")
        object.__setattr__(self, "values", as_column(np.ravel(self.values), "values").reshape(shape))
        for name in ("x_range", "y_range"):
            limits = check_range(getattr(self, name), name, False)
            if limits is not None and None in limits:
                raise ValueError(f"the {name} of a heat map must hold both ends")
            object.__setattr__(self, name, limits)
        check_range(self.value_range, "value_range", self.value_log)
        if isinstance(self.color_map, str) and self.color_map not in _COLOR_MAPS:
            raise ValueError(f"there is no colour map {self.color_map!r}: choose one of {', '.join(_COLOR_MAPS)}")
        if not isinstance(self.color_map, str):
            object.__setattr__(self, "color_map", tuple(parse_color(color) for color in self.color_map))
            if len(self.color_map) < 2:
                raise ValueError("a colour map needs at least two colours")


class HeatmapLayout:
    """A heat map whose data have been read, before it is placed."""

    def __init__(self, heatmap: Heatmap, theme: Theme) -> None:
        self._matrix: FloatArray = np.asarray(heatmap.values, dtype=np.float64)
        flat = self._matrix.reshape(-1)
        series = split_series(np.zeros(len(flat)), flat, y_log=heatmap.value_log)
        values = [series.y]
        if heatmap.color_map == "diverging" and heatmap.value_range is None and not heatmap.value_log:
            values.append(-series.y)  # zero is in the middle of the map
        self._scale = fit_scale(values, heatmap.value_range, heatmap.value_log)
        self._colors = _sample_colors(heatmap.color_map, theme)
        self._ticks = axis_ticks(self._scale, 6, heatmap.unit)
        label, offset = Axis(self._scale, heatmap.label, heatmap.unit).title(), self._ticks.offset
        self._label = clean(f"{label} (+{offset})" if offset else label)
        widest = max((text_width(label, theme.tick_size) for label in self._ticks.labels), default=0.0)
        bar_width = _BAR_GAP + _BAR_WIDTH + 6 + widest + (theme.font_size * 1.7 if self._label else 0)
        rows, columns = self._matrix.shape
        self._x = Scale(*(heatmap.x_range or (-0.5, max(columns, 1) - 0.5)))
        self._y = Scale(*(heatmap.y_range or (-0.5, max(rows, 1) - 0.5)))
        self.spec = AxesSpec(
            x=Axis(self._x, heatmap.x_label, heatmap.x_unit, grid=False, whole=heatmap.x_range is None),
            y=Axis(self._y, heatmap.y_label, heatmap.y_unit, grid=False, whole=heatmap.y_range is None),
            title=heatmap.title,
            caption=caption_lines(heatmap.caption, [series.skipped], "grey"),
            right_margin=bar_width if len(series.y) else 0.0,
            equal_aspect=heatmap.square,
        )

    def marks(self, axes: Axes) -> list[Mark]:
        """All marks, including those of the axes."""
        if not self._matrix.size:
            return [*axes.marks_below, *no_data_marks(axes), *axes.marks_above]
        left, right = axes.to_x(np.array([self._x.low, self._x.high])).tolist()
        bottom, top = axes.to_y(np.array([self._y.low, self._y.high])).tolist()
        box = Box(left, top, right - left, bottom - top)
        rows = min(self._matrix.shape[0], max(int(box.height), 1))
        columns = min(self._matrix.shape[1], max(int(box.width), 1))
        if rows * columns > _MAX_CELLS:
            factor = (_MAX_CELLS / (rows * columns)) ** 0.5
            rows, columns = max(int(rows * factor), 1), max(int(columns * factor), 1)
        cells = Cells(box, self._color_indices(_block_means(self._matrix, rows, columns)[::-1]), self._colors)
        if axes.spec.right_margin:
            self._add_color_bar(axes)
        return [*axes.marks_below, Clip(axes.plot, (cells,)), *axes.marks_above]

    def _color_indices(self, values: FloatArray) -> NDArray[np.uint8]:
        indices = np.full(values.shape, _LEVELS, dtype=np.uint8)
        known = np.isfinite(values) & ((values > 0) | (not self._scale.log))
        position = np.clip(self._scale.position(values[known]), 0.0, 1.0)
        indices[known] = np.minimum(np.floor(position * _LEVELS + 1e-9), _LEVELS - 1).astype(np.uint8)
        return indices

    def _add_color_bar(self, axes: Axes) -> None:
        plot, theme = axes.plot, axes.theme
        size, x = theme.tick_size, plot.right + _BAR_GAP
        column = np.arange(_LEVELS, dtype=np.uint8)[::-1].reshape(-1, 1)
        axes.marks_above.append(Cells(Box(x, plot.y, _BAR_WIDTH, plot.height), column, self._colors))
        for value, label in zip(self._ticks.values, self._ticks.labels, strict=True):
            y = plot.bottom - self._scale.position_of(value) * plot.height
            axes.marks_above.append(Rect(x + _BAR_WIDTH, float(np.floor(y + 1e-6)), 3.0, 1.0, theme.axis))
            axes.add_text(Text(x + _BAR_WIDTH + 6, y + CAP_HEIGHT * size / 2, label, size, theme.muted))
        text = shorten(self._label, theme.font_size, plot.height)
        right, middle = plot.right + axes.spec.right_margin - theme.font_size * 0.25, plot.y + plot.height / 2
        axes.add_text(Text(right, middle, text, theme.font_size, theme.text, "middle", vertical=True))


def _sample_colors(color_map: str | Sequence[Color], theme: Theme) -> tuple[Color, ...]:
    """256 colours: those of the map from low to high, and the colour of missing cells."""
    anchors = _COLOR_MAPS[color_map] if isinstance(color_map, str) else list(color_map)
    last = len(anchors) - 1
    colors = []
    for n in range(_LEVELS):
        place = n / (_LEVELS - 1) * last
        below = min(int(place), last - 1)
        colors.append(mix(anchors[below], anchors[below + 1], place - below))
    return (*colors, theme.missing)


def _block_means(matrix: FloatArray, rows: int, columns: int) -> FloatArray:
    """The matrix reduced to at most that many rows and columns; each cell is the mean of the finite cells in it."""
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
        return sums / counts / factor
