"""A path through a plane, seen from above: a trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np
from numpy.typing import ArrayLike

from trainlog.draw.axes import AxesSpec, Axis, Frame
from trainlog.draw.chart import Line, Scatter
from trainlog.draw.color import Color
from trainlog.draw.drawing import Clip, Dots, FloatArray, Mark
from trainlog.draw.edges import edge_marks
from trainlog.draw.layers import Points, starts_of, stroke
from trainlog.draw.legend import Entry, ring, unique_entries
from trainlog.draw.plot import extent, nothing_to_show
from trainlog.draw.scale import Range, check_range
from trainlog.draw.series import Series, notes, split_series
from trainlog.draw.theme import Theme
from trainlog.draw.thin import path_corners

__all__ = ["Scene", "ScenePlan"]

_PAD = 0.1
_FAINT = 0.3
_END_RADIUS = 4.5
_RING_RADIUS = 7.0


@dataclass(frozen=True, eq=False)
class Scene:
    """The path (x, y) on axes with one and the same scale, with its start (a ring) and its end (a disc).

    ``x`` and ``y`` are (n,) of any numeric type; NaN is a gap. ``highlight`` is the index of the point to show
    as the present one: the path is faint after it, as an animation wants it. ``marks`` are further paths
    (`Line`) and places (`Scatter`), drawn below the path.

    Raises `ValueError` for what `Line` refuses, for ranges that are none, and for a ``highlight`` that is no
    index of the path.
    """

    x: ArrayLike
    y: ArrayLike
    _: KW_ONLY
    title: str = ""
    x_label: str = "x"
    y_label: str = "y"
    x_unit: str | None = None
    y_unit: str | None = None
    x_range: Range | None = None
    y_range: Range | None = None
    label: str = ""
    color: Color | None = None
    width: float = 2.0
    highlight: int | None = None
    marks: Sequence[Line | Scatter] = ()
    caption: str = ""

    def __post_init__(self) -> None:
        path = Line(self.x, self.y, self.label, self.color, self.width)
        object.__setattr__(self, "_path", path)
        object.__setattr__(self, "marks", tuple(self.marks))
        object.__setattr__(self, "x_range", check_range(self.x_range, "x_range", False))
        object.__setattr__(self, "y_range", check_range(self.y_range, "y_range", False))
        for mark in self.marks:
            if not isinstance(mark, Line | Scatter):
                raise ValueError(f"a scene can hold Line and Scatter, not {type(mark).__name__}")
        if self.highlight is not None and not -len(path.x) <= self.highlight < len(path.x):
            raise ValueError(f"highlight {self.highlight} is no index of a path of {len(path.x)} points")

    @property
    def path(self) -> Line:
        """The path as a line."""
        path: Line = self.__dict__["_path"]
        return path


class ScenePlan:
    """A scene that has been read and waits for its place."""

    def __init__(self, scene: Scene, theme: Theme) -> None:
        self.scene, self.theme = scene, theme
        self.paths: list[tuple[Line, Series, Color]] = []
        self.places: list[Points] = []
        colors = iter(theme.palette * (len(scene.marks) + 1))
        own = scene.path.color or next(colors)
        for mark in scene.marks:
            color = mark.color or next(colors)
            if isinstance(mark, Line):
                self.paths.append((mark, split_series(mark.x, mark.y, x_log=False, y_log=False), color))
            else:
                self.places.append(Points(mark, color, x_log=False, y_log=False))
        path = scene.path
        self.paths.append((path, split_series(path.x, path.y, x_log=False, y_log=False), own))
        self.around = self._surroundings()

    def _surroundings(self) -> AxesSpec:
        scene, own = self.scene, self.paths[-1][2]
        series = [part for _, part, _ in self.paths] + [points.series for points in self.places]
        x = extent([part.x for part in series], scene.x_range, False, _PAD)
        y = extent([part.y for part in series], scene.y_range, False, _PAD)
        entries = [
            Entry(line.label, "line", color, line.width, line.opacity) for line, _, color in reversed(self.paths)
        ]
        entries += [entry for points in self.places for entry in points.entries()]
        if len(self.paths[-1][1].x) > 1:
            entries += [Entry("start", "ring", own), Entry("end", "dot", own, 2 * _END_RADIUS)]
        counted = notes(part.tally for part in series)
        return AxesSpec(
            x=Axis(x, scene.x_label, scene.x_unit),
            y=Axis(y, scene.y_label, scene.y_unit),
            title=scene.title,
            entries=unique_entries(entries),
            notes=[text for text in (scene.caption, *counted) if text],
            square=True,
        )

    def draw(self, frame: Frame) -> list[Mark]:
        """All marks, with those of the frame around them."""
        inside: list[Mark] = []
        for line, series, color in self.paths[:-1]:
            inside += _path(line, series, color, frame)
        for points in self.places:
            inside += points.draw(frame)
        inside += self._main_path(frame)
        for _, series, color in self.paths:
            inside += edge_marks(series, color, frame)
        shown: list[Mark] = [Clip(frame.plot.grown(4.0), tuple(inside))] if inside else []
        return [*frame.back, *(shown or nothing_to_show(frame.plot, self.theme)), *frame.front]

    def _main_path(self, frame: Frame) -> list[Mark]:
        line, series, color = self.paths[-1]
        if not len(series.x):
            return []
        present = self.scene.highlight
        if present is None:
            marks = _path(line, series, color, frame)
        else:
            present %= len(line.x)
            past = split_series(line.x[: present + 1], line.y[: present + 1], x_log=False, y_log=False)
            marks = _path(line, series, color, frame, _FAINT) + _path(line, past, color, frame)
        ends = _pixels(frame, series.x[[0, -1]], series.y[[0, -1]])
        if len(series.x) > 1:
            marks += ring(ends[:1], _END_RADIUS, color, self.theme.background)
        marks.append(Dots(ends[1:], _END_RADIUS, color))
        if present is not None and np.isfinite(line.x[present]) and np.isfinite(line.y[present]):
            here = _pixels(frame, line.x[[present]], line.y[[present]])
            marks += [Dots(here, _RING_RADIUS + 1.5, self.theme.background)]
            marks += [*ring(here, _RING_RADIUS, color, self.theme.background), Dots(here, 2.5, color)]
        return marks


def _pixels(frame: Frame, x: FloatArray, y: FloatArray) -> FloatArray:
    return np.stack((frame.to_x(x), frame.to_y(y)), axis=1)


def _path(line: Line, series: Series, color: Color, frame: Frame, faint: float = 1.0) -> list[Mark]:
    points = _pixels(frame, series.x, series.y)
    if not len(points):
        return []
    keep = path_corners(points)
    starts = None if series.begins is None else starts_of(series.begins, keep)
    return stroke(points[keep], starts, frame.plot, color, line.width, line.opacity * faint, line.dash or ())
