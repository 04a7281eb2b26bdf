"""From what is to be shown to a drawing."""

from __future__ import annotations

from typing import TypeAlias

from .chart import Chart
from .drawing import Box, Drawing
from .frame import build_frame
from .plot import ChartPlan
from .theme import Theme, find_theme

__all__ = ["Figure", "layout"]

Figure: TypeAlias = Chart


def layout(figure: Figure, width: int = 960, height: int = 540, theme: str | Theme = "light") -> Drawing:
    """Arrange a figure on ``width`` by ``height`` pixels.

    ``theme`` is ``"light"``, ``"dark"`` or a `Theme`. Raises `ValueError` for an unknown theme and for a size
    that is not between 120 x 80 and 16384 x 16384, `TypeError` for something that is no figure.
    """
    look = find_theme(theme)
    if not (120 <= width <= 16384 and 80 <= height <= 16384):
        raise ValueError(f"a picture is 120 x 80 to 16384 x 16384 pixels large, not {width} x {height}")
    box = Box(0.0, 0.0, float(int(width)), float(int(height)))
    plan = ChartPlan(figure, look)
    marks = plan.draw(build_frame(plan.around, box, look))
    return Drawing(int(width), int(height), look.background, tuple(marks), figure.title, figure.caption)
