"""A timeline of states, in its row below a chart."""

from __future__ import annotations

import numpy as np

from trainlog.draw.axes import Axes
from trainlog.draw.chart import StateTimeline
from trainlog.draw.color import contrasting, mix
from trainlog.draw.data import distinct
from trainlog.draw.drawing import Box, FloatArray, IntArray, Mark, Rect, Text
from trainlog.draw.legend import LegendEntry
from trainlog.draw.text import CAP_HEIGHT, clean, text_width
from trainlog.draw.theme import Theme

__all__ = ["TimelineRow"]


class TimelineRow:
    """A `StateTimeline` with its colours: its own, or softened ones of the theme after the first ``used_colors``.

    Attributes:
        label: the label of the row.
        entries: the entries of the legend, one for every name.
        x_values: the values that the x axis must show.

    """

    def __init__(self, timeline: StateTimeline, used_colors: int, x_log: bool, theme: Theme) -> None:
        self._timeline = timeline
        self.label = timeline.label
        self.entries: list[LegendEntry] = []
        for name, color in zip(timeline.names, timeline.colors, strict=True):
            if color is None:
                turn, place = divmod(used_colors, len(theme.palette))
                color = mix(theme.palette[place], theme.background, min(0.25 + 0.25 * turn, 0.75))
                used_colors += 1
            self.entries.append(LegendEntry(name, "block", color))
        self.x_values = timeline.x[timeline.x > 0] if x_log else timeline.x

    def marks(self, row: Box, axes: Axes) -> list[Mark]:
        """The runs of one state as rectangles in the row; their names are added to the axes where they fit."""
        timeline, size = self._timeline, axes.theme.tick_size
        marks: list[Mark] = [Rect(row.x, row.y, row.width, row.height, axes.theme.grid, 0.6)]
        if not len(timeline.category):
            return marks
        # On a log axis, values that are not positive are at the low end.
        places = np.maximum(timeline.x, 5e-324) if axes.x.log else timeline.x
        edges = np.clip(np.append(axes.x.position(places[:-1]), 1.0) * row.width, 0.0, row.width)
        edges, category = _merge_narrow_runs(edges, timeline.category, int(row.width))
        for left, right, index in zip(edges[:-1].tolist(), edges[1:].tolist(), category.tolist(), strict=True):
            if index < 0 or right <= left:
                continue
            color, name = self.entries[index].color, clean(timeline.names[index])
            marks.append(Rect(row.x + left, row.y, right - left, row.height, color))
            if text_width(name, size) + 10 <= right - left:
                baseline = row.y + row.height / 2 + CAP_HEIGHT * size / 2
                axes.add_text(Text(row.x + (left + right) / 2, baseline, name, size, contrasting(color), "middle"))
        return marks


def _merge_narrow_runs(edges: FloatArray, category: IntArray, columns: int) -> tuple[FloatArray, IntArray]:
    """Edges (n + 1,) and categories (n,) of at most ``columns`` runs.

    Where runs are narrower than a pixel, each pixel column gets one of the categories in it: the one that so far has
    covered most compared with the columns it got, so that each category gets as many columns as it covers. Always
    choosing the most frequent category of a column would give it nearly all columns.
    """
    if len(category) <= columns:
        return edges, category
    pixels = np.arange(columns + 1, dtype=np.float64)
    categories = distinct(category)
    lengths = np.diff(edges)
    cover = np.empty((len(categories), columns))
    for row, one in enumerate(categories):
        covered = np.concatenate(([0.0], np.cumsum(lengths * (category == one))))
        cover[row] = np.diff(np.interp(pixels, edges, covered))
    # Of categories that cover a column equally, the lower one wins despite rounding errors.
    due = -1e-9 * np.arange(len(categories))
    chosen = np.empty(columns, np.intp)
    for column, share in enumerate(cover.T):
        due += share
        chosen[column] = np.where(share > 1e-9, due, -np.inf).argmax()
        due[chosen[column]] -= 1.0
    shown = categories[chosen]
    begins = np.flatnonzero(np.concatenate(([True], shown[1:] != shown[:-1])))
    return np.append(pixels[begins], float(columns)), shown[begins]
