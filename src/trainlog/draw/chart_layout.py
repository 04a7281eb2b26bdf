"""From a chart to marks."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from trainlog.draw.axes import Axes, AxesSpec, Axis
from trainlog.draw.chart import Chart
from trainlog.draw.data import caption_lines
from trainlog.draw.drawing import Clip, FloatArray, Mark, Text
from trainlog.draw.layers import ScatterLayer, chart_layers
from trainlog.draw.legend import unique_entries
from trainlog.draw.scale import Range, Scale
from trainlog.draw.text import text_width
from trainlog.draw.theme import Theme

__all__ = ["ChartLayout", "fit_scale", "no_data_marks"]

_X_PAD_OF_DOTS = 0.03
_Y_PAD = 0.05
_MAX_COUNTED = 100


class ChartLayout:
    """A chart whose data have been read, before it is placed."""

    def __init__(self, chart: Chart, theme: Theme) -> None:
        self._layers, self._timelines = chart_layers(chart, theme)
        x = [values for layer in self._layers for values in layer.x_values]
        self._has_data = any(map(len, x))
        x += [timeline.x_values for timeline in self._timelines]
        # Lines extend from side to side; dots need space around them.
        x_pad = _X_PAD_OF_DOTS if any(isinstance(layer, ScatterLayer) for layer in self._layers) else 0.0
        low, high = chart.x_range or (None, None)
        low, high = -np.inf if low is None else low, np.inf if high is None else high
        y = [values for layer in self._layers for values in layer.y_values(low, high)]
        y_scale = fit_scale(y, chart.y_range, chart.y_log, _Y_PAD, stop_at_zero=True)
        entries = unique_entries([layer.entry for layer in self._layers])
        if len(entries) == 1 and entries[0].label in (chart.y_label, chart.title):
            entries = []  # the label is already shown
        strip_entries = unique_entries([entry for timeline in self._timelines for entry in timeline.entries])
        # A few whole numbers, such as the indices of episodes, have nothing between them.
        whole = all(len(values) <= _MAX_COUNTED and bool((values == np.floor(values)).all()) for values in x)
        self.spec = AxesSpec(
            x=Axis(fit_scale(x, chart.x_range, chart.x_log, x_pad), chart.x_label, chart.x_unit, whole=whole),
            y=Axis(y_scale, chart.y_label, chart.y_unit, ticks=chart.y_ticks)
            if self._layers or not self._timelines
            else None,
            title=chart.title,
            legend=entries,
            strip_legend=strip_entries,
            caption=caption_lines(chart.caption, (layer.skipped for layer in self._layers)),
            timelines=[timeline.label for timeline in self._timelines],
        )

    def marks(self, axes: Axes) -> list[Mark]:
        """All marks, including those of the axes."""
        marks = list(axes.marks_below)
        if axes.plot.height:
            inside = [
                mark for layer in sorted(self._layers, key=lambda layer: layer.zorder) for mark in layer.marks(axes)
            ]
            inside += [mark for layer in self._layers for mark in layer.edge_marks(axes)]
            if self._has_data and inside:
                marks.append(Clip(axes.plot.expanded(2.0), tuple(inside)))
            else:
                marks += no_data_marks(axes)
        for timeline, row in zip(self._timelines, axes.timelines, strict=True):
            marks += timeline.marks(row, axes)
        return marks + axes.marks_above


def fit_scale(
    values: Iterable[FloatArray], limits: Range | None, log: bool = False, pad: float = 0.0, stop_at_zero: bool = False
) -> Scale:
    """The scale that shows all values (see `Scale.fit`); without values from 0 to 1, or from 1 to 10 if logarithmic."""
    arrays = [array for array in values if len(array)]
    if not arrays:
        return Scale.fit(1.0 if log else 0.0, 10.0 if log else 1.0, log=log, limits=limits)
    low = min(float(array.min()) for array in arrays)
    high = max(float(array.max()) for array in arrays)
    return Scale.fit(low, high, log=log, limits=limits, pad=pad, stop_at_zero=stop_at_zero)


def no_data_marks(axes: Axes) -> list[Mark]:
    """The text of an empty plot, if there is space for it."""
    text, plot, size = "no data", axes.plot, axes.theme.font_size
    if text_width(text, size) > plot.width or size * 2 > plot.height:
        return []
    return [
        Text(plot.x + plot.width / 2, plot.y + plot.height / 2 + size * 0.35, text, size, axes.theme.muted, "middle")
    ]
