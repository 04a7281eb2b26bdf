"""A path through a plane, seen from above: a trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from trainlog.draw.axes import Axes, AxesSpec, Axis
from trainlog.draw.chart import Line, Panel, Scatter
from trainlog.draw.chart_layout import fit_scale, no_data_marks
from trainlog.draw.color import Color, is_light, with_contrast
from trainlog.draw.data import Series, caption_lines, split_series
from trainlog.draw.downsample import simplify_path
from trainlog.draw.drawing import Clip, Dots, FloatArray, Mark, Polygon
from trainlog.draw.layers import ScatterLayer, SeriesLayer, piece_starts
from trainlog.draw.legend import LegendEntry, ring_marks, unique_entries
from trainlog.draw.scale import check_range
from trainlog.draw.theme import Theme

__all__ = ["Scene", "SceneLayout"]

_PAD = 0.1
# From viridis, without its brightest colors, which are invisible on white.
_TIME_COLORS = ("#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#a5c800")
_ARROWS = 8
_ARROW_LENGTH = 9.0
_FUTURE_OPACITY = 0.3
_END_RADIUS = 4.5
_HIGHLIGHT_RADIUS = 7.0


@dataclass(frozen=True, eq=False)
class Scene(Panel):
    """The path (x, y) on axes of equal scale, with its start (a ring) and its end (a disc).

    Attributes:
        x, y: (n,) of any numeric type; NaN is a gap.
        label: the label of the path in the legend.
        color: the color of the path; None for the first one of the theme.
        width: the width of the path in pixels.
        highlight: index of the current point of an animation; the path is faint after it.
        by_time: whether the color of the path shows the time, from dark to bright, or from bright to dark on a dark
            background, and arrows its direction.
        marks: further paths (`Line`) and places (`Scatter`), drawn below the path.
        path: x and y as a line.

    Raises:
        ValueError: as for `Line`, for a wrong range, and for a ``highlight`` that is not an index of the path.

    """

    x: ArrayLike
    y: ArrayLike
    _: KW_ONLY
    x_label: str = "x"
    y_label: str = "y"
    label: str = ""
    color: Color | None = None
    width: float = 2.0
    highlight: int | None = None
    by_time: bool = False
    marks: Sequence[Line | Scatter] = ()
    path: Line = field(init=False, repr=False)

    def __post_init__(self) -> None:
        path = Line(self.x, self.y, self.label, self.color, self.width)
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "marks", tuple(self.marks))
        object.__setattr__(self, "x_range", check_range(self.x_range, "x_range", False))
        object.__setattr__(self, "y_range", check_range(self.y_range, "y_range", False))
        for mark in self.marks:
            if not isinstance(mark, Line | Scatter):
                raise ValueError(f"a scene can hold Line and Scatter, not {type(mark).__name__}")
        if self.highlight is not None and not -len(path.x) <= self.highlight < len(path.x):
            raise ValueError(f"highlight {self.highlight} is not an index of a path of {len(path.x)} points")


class _PathLayer(SeriesLayer):
    zorder = 0

    def __init__(self, line: Line, color: Color) -> None:
        entry = LegendEntry(line.label, "line", color, line.width, line.opacity, line.dash or ())
        super().__init__(split_series(line.x, line.y), entry)

    def marks(self, axes: Axes, series: Series | None = None, opacity: float = 1.0) -> list[Mark]:
        series = series or self.series
        points = axes.to_points(series.x, series.y)
        keep = simplify_path(points)
        starts = None if series.gap_before is None else piece_starts(series.gap_before, keep)
        return self.path_marks(points[keep], starts, axes.plot, opacity)


class SceneLayout:
    """A scene whose data have been read, before it is placed."""

    def __init__(self, scene: Scene, theme: Theme) -> None:
        self._scene = scene
        colors = iter(theme.palette * (len(scene.marks) + 1))
        self._path = _PathLayer(scene.path, scene.path.color or next(colors))
        self._other_paths: list[_PathLayer] = []
        self._places: list[ScatterLayer] = []
        for mark in scene.marks:
            color = mark.color or next(colors)
            if isinstance(mark, Line):
                self._other_paths.append(_PathLayer(mark, color))
            else:
                self._places.append(ScatterLayer(mark, color))
        layers = [*self._other_paths, self._path, *self._places]
        x_scale = fit_scale([layer.series.x for layer in layers], scene.x_range, pad=_PAD)
        y_scale = fit_scale([layer.series.y for layer in layers], scene.y_range, pad=_PAD)
        if scene.by_time:
            self._path.entry = self._path.entry._replace(color=_TIME_COLORS[len(_TIME_COLORS) // 2])
        entries = [layer.entry for layer in (self._path, *self._other_paths[::-1], *self._places)]
        if len(self._path.series.x) > 1:
            color = self._path.entry.color
            colors_of_time = _time_colors(theme.background)
            first, last = (colors_of_time[0], colors_of_time[-1]) if scene.by_time else (color, color)
            entries += [LegendEntry("start", "ring", first), LegendEntry("end", "dot", last, 2 * _END_RADIUS)]
        self.spec = AxesSpec(
            x=Axis(x_scale, scene.x_label, scene.x_unit),
            y=Axis(y_scale, scene.y_label, scene.y_unit),
            title=scene.title,
            legend=unique_entries(entries),
            caption=caption_lines(scene.caption, (layer.skipped for layer in layers)),
            equal_aspect=True,
        )

    def marks(self, axes: Axes) -> list[Mark]:
        """All marks, including those of the axes."""
        inside = [mark for layer in (*self._other_paths, *self._places) for mark in layer.marks(axes)]
        inside += self._main_path(axes)
        inside += [mark for layer in (*self._other_paths, self._path) for mark in layer.edge_marks(axes)]
        if not inside:
            return [*axes.marks_below, *no_data_marks(axes), *axes.marks_above]
        return [*axes.marks_below, Clip(axes.plot.expanded(4.0), tuple(inside)), *axes.marks_above]

    def _main_path(self, axes: Axes) -> list[Mark]:
        series, color, background = self._path.series, self._path.entry.color, axes.theme.background
        if not len(series.x):
            return []
        x, y = self._scene.path.x, self._scene.path.y
        highlight = self._scene.highlight
        ends_of = (color, color)
        if self._scene.by_time and len(series.x) > 1:
            colors = [with_contrast(one, background, 1.5) for one in _time_colors(background)]
            ends_of = colors[0], colors[-1]
            marks = self._timed_marks(axes, colors)
        elif highlight is None:
            marks = self._path.marks(axes)
        else:
            highlight %= len(x)
            past = split_series(x[: highlight + 1], y[: highlight + 1])
            marks = self._path.marks(axes, opacity=_FUTURE_OPACITY) + self._path.marks(axes, past)
        ends = axes.to_points(series.x[[0, -1]], series.y[[0, -1]])
        if len(series.x) > 1:
            marks += ring_marks(ends[:1], _END_RADIUS, ends_of[0], background)
        marks.append(Dots(ends[1:], _END_RADIUS, ends_of[1]))
        if highlight is not None and np.isfinite(x[highlight]) and np.isfinite(y[highlight]):
            current = axes.to_points(x[[highlight]], y[[highlight]])
            marks += [Dots(current, _HIGHLIGHT_RADIUS + 1.5, background)]
            marks += [*ring_marks(current, _HIGHLIGHT_RADIUS, color, background), Dots(current, 2.5, color)]
        return marks

    def _timed_marks(self, axes: Axes, colors: Sequence[Color]) -> list[Mark]:
        """The path with one color per part of its time, and with arrows."""
        series, count = self._path.series, len(colors)
        gaps = series.gap_before if series.gap_before is not None else np.zeros(len(series.x), np.bool_)
        bounds = np.linspace(0, len(series.x) - 1, count + 1).astype(int)
        marks: list[Mark] = []
        for color, first, last in zip(colors, bounds[:-1], bounds[1:], strict=True):
            part = slice(int(first), int(last) + 1)
            line = Line(series.x[part], series.y[part], width=self._path.entry.width)
            layer = _PathLayer(line, color)
            own = layer.series._replace(gap_before=gaps[part].copy())
            marks += layer.marks(axes, own)
        points = axes.to_points(series.x, series.y)
        moved = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))))
        for place in (np.arange(_ARROWS) + 0.5) / _ARROWS * moved[-1]:
            row = int(np.searchsorted(moved, place))
            back = int(np.searchsorted(moved, place - _ARROW_LENGTH))
            if moved[-1] > 3 * _ARROW_LENGTH * _ARROWS and not gaps[back + 1 : row + 1].any():
                color = colors[min(row * count // len(points), count - 1)]
                marks += _arrow(points[row], points[row] - points[back], color)
        return marks


def _time_colors(background: Color) -> Sequence[Color]:
    """The colors of a path from its start, the color with the most contrast, to its end."""
    return _TIME_COLORS if is_light(background) else _TIME_COLORS[::-1]


def _arrow(tip: FloatArray, direction: FloatArray, color: Color) -> list[Mark]:
    length = float(np.hypot(*direction))
    if length < _ARROW_LENGTH / 3:
        return []
    along = direction / length * _ARROW_LENGTH
    across = np.array([-along[1], along[0]]) * 0.45
    base = tip - along
    return [Polygon(np.array([tip, base + across, base - across, tip]), color)]
