"""A categorical strip in its lane."""

from __future__ import annotations

import numpy as np

from trainlog.draw.axes import Frame
from trainlog.draw.chart import Strip
from trainlog.draw.color import Color, contrasting, mix
from trainlog.draw.drawing import Box, FloatArray, IntArray, Mark, Rect, Text
from trainlog.draw.legend import Entry
from trainlog.draw.text import CAP_HEIGHT, clean, measure
from trainlog.draw.theme import Theme

__all__ = ["strip_colors", "strip_entries", "strip_extent", "strip_marks"]


def strip_colors(strip: Strip, taken: int, theme: Theme) -> list[Color]:
    """A colour for every name: its own, or the next of the theme after those that are taken, softened."""
    colors = []
    for color in strip.colors:
        if color is None:
            turn, place = divmod(taken, len(theme.palette))
            color = mix(theme.palette[place], theme.background, min(0.25 + 0.25 * turn, 0.75))
            taken += 1
        colors.append(color)
    return colors


def strip_entries(strip: Strip, colors: list[Color]) -> list[Entry]:
    """One entry of the legend for every name."""
    return [Entry(name, "block", color) for name, color in zip(strip.names, colors, strict=True)]


def strip_extent(strip: Strip, log: bool) -> FloatArray:
    """The x that the axis is to show."""
    return strip.x[strip.x > 0] if log else strip.x


def strip_marks(strip: Strip, colors: list[Color], lane: Box, frame: Frame, theme: Theme) -> list[Mark]:
    """The stretches of the strip as rectangles; their names are written in the frame where they fit."""
    scale = frame.x
    marks: list[Mark] = [Rect(lane.x, lane.y, lane.width, lane.height, theme.grid, 0.6)]
    if not len(strip.category):
        return marks
    with np.errstate(divide="ignore", invalid="ignore"):
        places = np.where(strip.x > 0, strip.x, 5e-324) if scale.log else strip.x
        edges = np.append(scale.position(places[:-1]), 1.0) * lane.width
    edges = np.clip(edges, 0.0, lane.width)
    edges, category = _as_seen(edges, strip.category, int(lane.width))
    for left, right, kind in zip(edges[:-1].tolist(), edges[1:].tolist(), category.tolist(), strict=True):
        if kind < 0 or right <= left:
            continue
        marks.append(Rect(lane.x + left, lane.y, right - left, lane.height, colors[kind]))
        name, size = clean(strip.names[kind]), theme.tick_size
        if measure(name, size) + 10 <= right - left:
            middle = lane.y + lane.height / 2 + CAP_HEIGHT * size / 2
            frame.write(Text(lane.x + (left + right) / 2, middle, name, size, contrasting(colors[kind]), "middle"))
    return marks


def _as_seen(edges: FloatArray, category: IntArray, columns: int) -> tuple[FloatArray, IntArray]:
    """Edges (n + 1,) and categories (n,) of at most ``columns`` stretches.

    Where stretches are narrower than a pixel, each pixel column has the category that holds for most of it.
    """
    if len(category) <= columns:
        return edges, category
    grid = np.arange(columns + 1, dtype=np.float64)
    kinds = np.unique(category)
    lengths = np.diff(edges)
    cover = np.empty((len(kinds), columns))
    for row, kind in enumerate(kinds):
        run_up = np.concatenate(([0.0], np.cumsum(lengths * (category == kind))))
        cover[row] = np.diff(np.interp(grid, edges, run_up))
    seen = kinds[(cover - 1e-9 * np.arange(len(kinds))[:, np.newaxis]).argmax(axis=0)]
    begins = np.flatnonzero(np.concatenate(([True], seen[1:] != seen[:-1])))
    return np.append(grid[begins], float(columns)), seen[begins]
