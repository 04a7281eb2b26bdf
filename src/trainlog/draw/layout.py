"""From what is to be shown to a drawing."""

from __future__ import annotations

from typing import TypeAlias

from .chart import Chart
from .drawing import Box, Drawing
from .frame import Plan, build_frame
from .grid import Grid, Panel, grid_marks, panel_theme
from .heatmap import Heatmap, HeatmapPlan
from .plot import ChartPlan
from .scene import Scene, ScenePlan
from .theme import Theme, find_theme

__all__ = ["Figure", "layout"]

Figure: TypeAlias = Chart | Scene | Heatmap | Grid


def layout(figure: Figure, width: int = 960, height: int = 540, theme: str | Theme = "light") -> Drawing:
    """Arrange a figure on ``width`` by ``height`` pixels.

    ``theme`` is ``"light"``, ``"dark"`` or a `Theme`. Raises `ValueError` for an unknown theme and for a size
    that is not between 120 x 80 and 16384 x 16384, and `TypeError` for something that is no figure.
    """
    look = find_theme(theme)
    if not (120 <= width <= 16384 and 80 <= height <= 16384):
        raise ValueError(f"a picture is 120 x 80 to 16384 x 16384 pixels large, not {width} x {height}")
    box = Box(0.0, 0.0, float(int(width)), float(int(height)))
    if isinstance(figure, Grid):
        small = panel_theme(figure, box.width, look)
        marks = grid_marks(figure, [_plan(panel, small) for panel in figure.figures], box, look)
    else:
        plan = _plan(figure, look)
        marks = plan.draw(build_frame(plan.around, box, look))
    return Drawing(int(width), int(height), look.background, tuple(marks), figure.title, figure.caption)


def _plan(figure: Panel, theme: Theme) -> Plan:
    match figure:
        case Chart():
            return ChartPlan(figure, theme)
        case Scene():
            return ScenePlan(figure, theme)
        case Heatmap():
            return HeatmapPlan(figure, theme)
        case _:
            raise TypeError(f"{type(figure).__name__} is no figure: give a Chart, Scene, Heatmap or Grid")
