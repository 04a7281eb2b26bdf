"""From what is to be shown to a drawing."""

from __future__ import annotations

from typing import TypeAlias

from trainlog.draw.axes import Plan, build_frame
from trainlog.draw.chart import Chart
from trainlog.draw.drawing import Box, Drawing
from trainlog.draw.grid import Grid, Panel, grid_marks, panel_theme
from trainlog.draw.heatmap import Heatmap, HeatmapPlan
from trainlog.draw.plot import ChartPlan
from trainlog.draw.scene import Scene, ScenePlan
from trainlog.draw.theme import Theme, find_theme

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
        plans = [_plan(panel, small) for panel in figure.figures]
        marks = grid_marks(figure, plans, box, look)
        said = [*(panel.title for panel in figure.figures), figure.caption]
    else:
        plan = _plan(figure, look)
        marks = plan.draw(build_frame(plan.around, box, look))
        said = [", ".join(entry.label for entry in plan.around.entries), *plan.around.notes]
    description = " – ".join(part for part in said if part)
    return Drawing(int(width), int(height), look.background, tuple(marks), figure.title, description)


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
