"""From a figure to a drawing."""

from __future__ import annotations

import math
from typing import Final, TypeAlias

from trainlog.draw.axes import PanelLayout, build_axes
from trainlog.draw.chart import Chart, Panel
from trainlog.draw.chart_layout import ChartLayout
from trainlog.draw.drawing import Box, Drawing
from trainlog.draw.grid import Grid, grid_marks, panel_theme
from trainlog.draw.heatmap import Heatmap, HeatmapLayout
from trainlog.draw.scene import Scene, SceneLayout
from trainlog.draw.theme import Theme, ThemeName, find_theme

__all__ = ["Figure", "layout"]

_MOST: Final = 16384  # pixels

Figure: TypeAlias = Chart | Scene | Heatmap | Grid


def layout(
    figure: Figure, width: int = 960, height: int = 540, theme: ThemeName | Theme = "light", *, whole: bool = False
) -> Drawing:
    """Arrange a figure on ``width`` by ``height`` pixels; ``theme`` is ``"light"``, ``"dark"`` or a `Theme`.

    If the plot would get too little height, texts are left out; with ``whole`` the drawing is made higher instead.

    Raises:
        ValueError: for an unknown theme, and for a size that is not between 120 x 80 and 16384 x 16384.
        TypeError: for an object that is not a figure.

    """
    theme = find_theme(theme)
    if not (120 <= width <= _MOST and 80 <= height <= _MOST):
        raise ValueError(f"a picture must be 120 x 80 to {_MOST} x {_MOST} pixels large, not {width} x {height}")
    box = Box(0.0, 0.0, float(int(width)), float(int(height)))
    if isinstance(figure, Grid):
        small = panel_theme(figure, box.width, theme)
        layouts = [_panel_layout(panel, small) for panel in figure.figures]
        marks, needed = grid_marks(figure, layouts, box, theme, whole=whole)
        texts = [*(panel.title for panel in figure.figures), figure.caption]
    else:
        panel = _panel_layout(figure, theme)
        panel.spec = panel.spec._replace(whole=whole)
        axes = build_axes(panel.spec, box, theme)
        if whole and axes.lacking:
            axes = build_axes(panel.spec, box._replace(height=box.height + math.ceil(axes.lacking + 1)), theme)
        marks, needed = panel.marks(axes), axes.box.height
        texts = [
            ", ".join(entry.label for entry in (*panel.spec.legend, *panel.spec.strip_legend)),
            *panel.spec.caption,
        ]
    description = " – ".join(filter(None, texts))
    return Drawing(int(width), min(math.ceil(needed), _MOST), theme.background, tuple(marks), figure.title, description)


def _panel_layout(figure: Panel, theme: Theme) -> PanelLayout:
    match figure:
        case Chart():
            return ChartLayout(figure, theme)
        case Scene():
            return SceneLayout(figure, theme)
        case Heatmap():
            return HeatmapLayout(figure, theme)
        case _:
            raise TypeError(f"{type(figure).__name__} is not a figure: give a Chart, Scene, Heatmap or Grid")
