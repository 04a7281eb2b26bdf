"""From a chart to marks."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from trainlog.draw.axes import AxesSpec, Axis, Frame
from trainlog.draw.chart import Band, Chart, HLine, Line, Scatter, Strip, VLine
from trainlog.draw.color import Color
from trainlog.draw.drawing import Box, Clip, FloatArray, Mark, Text
from trainlog.draw.edges import edge_marks
from trainlog.draw.layers import Area, Curve, Events, Layer, Points, Threshold
from trainlog.draw.legend import unique_entries
from trainlog.draw.scale import Range, Scale
from trainlog.draw.series import notes
from trainlog.draw.strip import strip_colors, strip_entries, strip_extent, strip_marks
from trainlog.draw.text import measure
from trainlog.draw.theme import Theme

__all__ = ["ChartPlan", "extent", "nothing_to_show"]

_DASHES: tuple[tuple[float, ...], ...] = ((), (7.0, 4.0), (2.0, 4.0), (10.0, 3.0, 2.0, 3.0))
_PAINT_ORDER = (Area, Events, Threshold, Curve, Points)
_PAD = 0.05
_FEW = 100


class ChartPlan:
    """A chart that has been read and waits for its place."""

    def __init__(self, chart: Chart, theme: Theme) -> None:
        self.chart, self.theme = chart, theme
        self.layers, self.strips = _layers(chart, theme)
        self.around = self._surroundings()

    def _surroundings(self) -> AxesSpec:
        chart = self.chart
        drawn = [mark for mark in chart.marks if not isinstance(mark, Strip)]
        x = [values for layer in self.layers for values in layer.x_extent()]
        x += [strip_extent(strip, chart.x_log) for strip, _ in self.strips]
        # Curves reach from side to side; dots want room around them.
        pad = 0.03 if any(isinstance(layer, Points) for layer in self.layers) else 0.0
        x_scale = extent(x, chart.x_range, chart.x_log, pad)
        low, high = chart.x_range or (None, None)
        low, high = -np.inf if low is None else low, np.inf if high is None else high
        y = [values for layer in self.layers for values in layer.y_extent(low, high)]
        y_scale = extent(y, chart.y_range, chart.y_log, _PAD, to_zero=True)
        entries = [entry for layer in self.layers for entry in layer.entries()]
        named = unique_entries(entries)
        if len(named) == 1 and named[0].label in (chart.y_label, chart.title):
            named = []  # it would only repeat what is written beside it
        blocks = [entry for strip, colors in self.strips for entry in strip_entries(strip, colors)]
        return AxesSpec(
            x=Axis(x_scale, chart.x_label, chart.x_unit, whole=_counts(x)),
            y=Axis(y_scale, chart.y_label, chart.y_unit) if drawn or not self.strips else None,
            title=chart.title,
            entries=[*named, *unique_entries(blocks)],
            notes=[text for text in (chart.caption, *notes(layer.tally for layer in self.layers)) if text],
            lanes=[strip.label for strip, _ in self.strips],
        )

    def draw(self, frame: Frame) -> list[Mark]:
        """All marks, with those of the frame around them."""
        marks = list(frame.back)
        if frame.plot.height:
            inside = [
                mark
                for kind in _PAINT_ORDER
                for layer in self.layers
                if isinstance(layer, kind)
                for mark in layer.draw(frame)
            ]
            for layer in self.layers:
                if isinstance(layer, Curve | Points):
                    inside += edge_marks(layer.series, layer.color, frame)
            if any(len(values) for layer in self.layers for values in layer.x_extent()) and inside:
                marks.append(Clip(frame.plot.grown(2.0), tuple(inside)))
            else:
                marks += nothing_to_show(frame.plot, self.theme)
        for (strip, colors), lane in zip(self.strips, frame.lanes, strict=True):
            marks += strip_marks(strip, colors, lane, frame, self.theme)
        return marks + frame.front


def _layers(chart: Chart, theme: Theme) -> tuple[list[Layer], list[tuple[Strip, list[Color]]]]:
    """Marks with the colours and dashes that they get."""
    layers: list[Layer] = []
    strips: list[tuple[Strip, list[Color]]] = []
    taken = 0
    given: dict[int, tuple[Color, tuple[float, ...]]] = {}
    for n, mark in enumerate(chart.marks):
        if isinstance(mark, Line | Scatter):
            if mark.color is None:
                given[n] = _look(taken, theme)
                taken += 1
            else:
                given[n] = (mark.color, ())
    line_colors = [given[n][0] for n, mark in enumerate(chart.marks) if isinstance(mark, Line)]
    for n, mark in enumerate(chart.marks):
        match mark:
            case Line():
                layers.append(Curve(mark, *given[n], x_log=chart.x_log, y_log=chart.y_log))
            case Scatter():
                layers.append(Points(mark, given[n][0], x_log=chart.x_log, y_log=chart.y_log))
            case Band():
                color = mark.color
                if color is None and line_colors:
                    color = line_colors.pop(0)
                elif color is None:
                    color, taken = _look(taken, theme)[0], taken + 1
                layers.append(Area(mark, color, x_log=chart.x_log, y_log=chart.y_log))
            case HLine():
                layers.append(Threshold(mark, mark.color or theme.muted, chart.y_log))
            case VLine():
                layers.append(Events(mark, mark.color or theme.muted, chart.x_log))
            case Strip():
                colors = strip_colors(mark, taken, theme)
                taken += len(colors)
                strips.append((mark, colors))
    return layers, strips


def _look(turn: int, theme: Theme) -> tuple[Color, tuple[float, ...]]:
    """The colour and dash of the n-th mark that names none."""
    return theme.palette[turn % len(theme.palette)], _DASHES[turn // len(theme.palette) % len(_DASHES)]


def _counts(values: Iterable[FloatArray]) -> bool:
    """Whether the values are a few whole numbers, such as the indices of episodes."""
    return all(len(array) <= _FEW and bool((array == np.floor(array)).all()) for array in values)


def extent(values: Iterable[FloatArray], ends: Range | None, log: bool, pad: float, to_zero: bool = False) -> Scale:
    """The scale that shows all of the values; from 0 to 1 (1 to 10 when log) where there are none."""
    found = [array for array in values if len(array)]
    if not found:
        low, high = (1.0, 10.0) if log else (0.0, 1.0)
        return Scale.around(low, high, log=log, ends=ends)
    low = min(float(array.min()) for array in found)
    high = max(float(array.max()) for array in found)
    return Scale.around(low, high, log=log, ends=ends, pad=pad, to_zero=to_zero)


def nothing_to_show(plot: Box, theme: Theme) -> list[Mark]:
    """A word in the middle of an empty plot, if there is room for it."""
    text = "no data"
    if measure(text, theme.font_size) > plot.width or theme.font_size * 2 > plot.height:
        return []
    middle = plot.y + plot.height / 2 + theme.font_size * 0.35
    return [Text(plot.x + plot.width / 2, middle, text, theme.font_size, theme.muted, "middle")]
