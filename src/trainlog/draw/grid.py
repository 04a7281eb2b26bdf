"""Small multiples: several figures in rows and columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace

from trainlog.draw.axes import MOST_LINES, PanelLayout, build_axes
from trainlog.draw.chart import Panel
from trainlog.draw.drawing import Box, Mark, Text
from trainlog.draw.legend import legend_marks, legend_rows
from trainlog.draw.text import clean, wrap
from trainlog.draw.theme import Theme

__all__ = ["Grid", "grid_marks", "panel_theme"]

_GAP = 6.0
_MIN_WIDTH_OF_FULL_FONT = 420.0
_MIN_EMS, _MIN_EMS_WITH_LEGEND = 13.0, 20.0  # width of a figure of which nothing may be left out


@dataclass(frozen=True, eq=False)
class Grid:
    """Figures in rows of ``columns``, below one title and above one caption.

    Plots below each other have equal widths. A legend that all figures share is shown once, above them; with
    ``one_legend``, this also holds for legends that differ.

    Raises:
        ValueError: when ``columns`` is not positive, or one of the figures is not a Chart, Scene or Heatmap.

    """

    figures: Sequence[Panel]
    columns: int = 2
    title: str = ""
    _: KW_ONLY
    caption: str = ""
    one_legend: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "figures", tuple(self.figures))
        if self.columns < 1:
            raise ValueError(f"a grid needs at least one column, not {self.columns}")
        for figure in self.figures:
            if not isinstance(figure, Panel):
                raise ValueError(f"a grid is made of Chart, Scene and Heatmap, not {type(figure).__name__}")


def panel_theme(grid: Grid, width: float, theme: Theme) -> Theme:
    """The theme of the figures in a grid: with a smaller font if they are narrow."""
    columns = min(grid.columns, max(len(grid.figures), 1))
    if width / columns >= _MIN_WIDTH_OF_FULL_FONT:
        return theme
    return replace(theme, font_size=max(round(theme.font_size * 0.85, 1), 4.0))


def grid_marks(
    grid: Grid, layouts: Sequence[PanelLayout], box: Box, theme: Theme, *, whole: bool = False
) -> tuple[list[Mark], float]:
    """The marks of a grid within the box, and the height of the box; ``layouts`` are the layouts of its figures.

    With ``whole`` no text is left out: if the figures need it, the box is higher and has fewer columns.
    """
    marks: list[Mark] = []
    padding = theme.padding
    top, inner_width = box.y + padding * 0.5, box.width - 2 * padding
    if box.height < 150 and not whole:
        grid = replace(grid, title="", caption="")  # the figures need the space
    size, most = round(theme.title_size * 1.1, 1), MOST_LINES if whole else 1
    for number, line in enumerate(wrap(clean(grid.title), theme.title_size * 1.1, inner_width, most)):
        top += 0.0 if number else padding * 0.5
        marks.append(Text(box.x + padding, top + size * 0.85, line, size, theme.text))
        top += round(size * 1.4)
    specs = [layout.spec._replace(whole=whole) for layout in layouts]
    shared = list(dict.fromkeys(entry for spec in specs for entry in spec.legend)) if len(specs) > 1 else []
    if shared and (grid.one_legend or all(list(spec.legend) == shared for spec in specs)):
        limit = MOST_LINES if whole else int(box.height * 0.2 / theme.legend_row_height)
        rows = legend_rows(shared, inner_width, limit, theme, whole=whole)
        marks += legend_marks(rows, box.x + padding, top + 4, theme)
        top += len(rows) * theme.legend_row_height + 4
        specs = [spec._replace(legend=()) for spec in specs]
    columns, height = max(min(grid.columns, len(specs)), 1), box.height
    small = panel_theme(grid, box.width, theme)
    if whole:
        ems = _MIN_EMS_WITH_LEGEND if any(spec.legend or spec.strip_legend for spec in specs) else _MIN_EMS
        columns = max(min(columns, int(box.width / (ems * theme.font_size))), 1)
        height *= -(-len(specs) // columns) / max(-(-len(specs) // grid.columns), 1)
    lines = wrap(clean(grid.caption), theme.tick_size, inner_width, MOST_LINES if whole else 4)
    below = len(lines) * round(theme.tick_size * 1.4)
    inside = Box(box.x, top, box.width, max(box.y + height - below - top, 1.0))
    boxes = _panel_boxes(inside, len(specs), columns)
    found = [build_axes(spec, panel, small) for spec, panel in zip(specs, boxes, strict=True)]
    if whole and (lacking := max((axes.lacking for axes in found), default=0.0)):
        more = math.ceil(lacking + 1) * -(-len(specs) // columns)
        height += more
        boxes = _panel_boxes(inside._replace(height=inside.height + more), len(specs), columns)
    for number, line in enumerate(lines):
        y = box.y + height - padding * 0.75 - (len(lines) - 1 - number) * round(theme.tick_size * 1.4)
        marks.append(Text(box.x + padding, y, line, theme.tick_size, theme.muted))
    lefts = [axes.plot.x - panel.x for axes, panel in zip(found, boxes, strict=True)]
    for column in range(columns):
        for n in range(column, len(specs), columns):
            axes = build_axes(specs[n]._replace(min_left=max(lefts[column::columns])), boxes[n], small)
            marks += layouts[n].marks(axes)
    return marks, height


def _panel_boxes(box: Box, count: int, columns: int) -> list[Box]:
    rows = max(-(-count // columns), 1)
    width = (box.width - _GAP * (columns - 1)) / columns
    height = (box.height - _GAP * (rows - 1)) / rows
    return [
        Box(round(box.x + column * (width + _GAP)), round(box.y + row * (height + _GAP)), int(width), int(height))
        for row, column in (divmod(n, columns) for n in range(count))
    ]
