"""Small multiples: several figures in rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import TypeAlias

from trainlog.draw.axes import Plan, build_frame
from trainlog.draw.chart import Chart
from trainlog.draw.drawing import Box, Mark, Text
from trainlog.draw.heatmap import Heatmap
from trainlog.draw.legend import legend_marks, legend_rows, row_height
from trainlog.draw.scene import Scene
from trainlog.draw.text import clean, shorten
from trainlog.draw.theme import Theme

__all__ = ["Grid", "Panel", "grid_marks", "panel_theme"]

Panel: TypeAlias = Chart | Scene | Heatmap

_GAP = 6.0
_NARROW = 420.0


@dataclass(frozen=True, eq=False)
class Grid:
    """Figures side by side, row after row, ``columns`` in each row, below one title.

    Plots that stand below each other are as wide as each other. A legend that all figures have in common is
    shown once, above them. Raises `ValueError` when ``columns`` is not positive or a figure is none.
    """

    figures: Sequence[Panel]
    columns: int = 2
    title: str = ""
    _: KW_ONLY
    caption: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "figures", tuple(self.figures))
        if self.columns < 1:
            raise ValueError(f"a grid needs at least one column, not {self.columns}")
        for figure in self.figures:
            if not isinstance(figure, Panel):
                raise ValueError(f"a grid is made of Chart, Scene and Heatmap, not {type(figure).__name__}")


def panel_theme(grid: Grid, width: float, theme: Theme) -> Theme:
    """The theme of the figures in a grid: with smaller letters where they are narrow."""
    columns = min(grid.columns, max(len(grid.figures), 1))
    if width / columns >= _NARROW:
        return theme
    return replace(theme, font_size=max(round(theme.font_size * 0.85, 1), 4.0))


def grid_marks(grid: Grid, plans: Sequence[Plan], box: Box, theme: Theme) -> list[Mark]:
    """The marks of a grid, whose figures have been read as ``plans``, within the box."""
    marks: list[Mark] = []
    pad = round(theme.font_size)
    top, bottom, inner = box.y + pad * 0.5, box.bottom, box.width - 2 * pad
    if box.height < 150:
        grid = replace(grid, title="", caption="")  # the figures need the room
    if title := shorten(clean(grid.title), theme.title_size * 1.1, inner):
        size = round(theme.title_size * 1.1, 1)
        marks.append(Text(box.x + pad, top + pad * 0.5 + size * 0.85, title, size, theme.text))
        top += pad * 0.5 + round(size * 1.4)
    if caption := shorten(clean(grid.caption), theme.tick_size, inner):
        marks.append(Text(box.x + pad, bottom - pad * 0.75, caption, theme.tick_size, theme.muted))
        bottom -= round(theme.tick_size * 1.4)
    shared = plans[0].around.entries if len(plans) > 1 else ()
    if shared and all(list(plan.around.entries) == list(shared) for plan in plans):
        rows = legend_rows(shared, inner, int(box.height * 0.2 / row_height(theme)), theme)
        marks += legend_marks(rows, box.x + pad, top + 4, theme)
        top += len(rows) * row_height(theme) + 4
        arounds = [replace(plan.around, entries=()) for plan in plans]
    else:
        arounds = [plan.around for plan in plans]
    columns = max(min(grid.columns, len(plans)), 1)
    boxes = _boxes(Box(box.x, top, box.width, max(bottom - top, 1.0)), len(plans), columns)
    small = panel_theme(grid, box.width, theme)
    frames = [build_frame(around, place, small) for around, place in zip(arounds, boxes, strict=True)]
    for column in range(min(columns, len(plans))):
        members = range(column, len(plans), columns)
        least = max(frames[n].plot.x - boxes[n].x for n in members)
        for n in members:
            frames[n] = build_frame(replace(arounds[n], least_left=least), boxes[n], small)
            marks += plans[n].draw(frames[n])
    return marks


def _boxes(box: Box, count: int, columns: int) -> list[Box]:
    rows = max(-(-count // columns), 1)
    width = (box.width - _GAP * (columns - 1)) / columns
    height = (box.height - _GAP * (rows - 1)) / rows
    return [
        Box(
            round(box.x + (n % columns) * (width + _GAP)),
            round(box.y + (n // columns) * (height + _GAP)),
            int(width),
            int(height),
        )
        for n in range(count)
    ]
