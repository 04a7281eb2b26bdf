"""Pictures as data: a figure is laid out as marks, and three back ends write marks as SVG, PNG or GIF.

::

    chart = Chart(title="HalfCheetah-v5", x_label="step", y_label="reward", marks=[Line(steps, rewards)])
    drawing = layout(chart, width=960, height=540, theme="light")
    Path("reward.svg").write_text(svg(drawing), encoding="utf-8")
    Path("reward.png").write_bytes(png(drawing, scale=2))

The same data are the same picture on every machine. Pillow is loaded by the first `png` or `gif`, not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .chart import Band, Chart, HLine, Line, Scatter, Strip, VLine
from .drawing import Drawing
from .grid import Grid
from .heatmap import Heatmap
from .layout import Figure, layout
from .scene import Scene
from .smooth import ema, moving_average
from .theme import DARK, LIGHT, Theme
from .thin import thin
from .vector import svg

if TYPE_CHECKING:
    from .animation import gif
    from .raster import png

__all__ = [
    "DARK",
    "LIGHT",
    "Band",
    "Chart",
    "Drawing",
    "Figure",
    "Grid",
    "HLine",
    "Heatmap",
    "Line",
    "Scatter",
    "Scene",
    "Strip",
    "Theme",
    "VLine",
    "ema",
    "gif",
    "layout",
    "moving_average",
    "png",
    "svg",
    "thin",
]


def __getattr__(name: str) -> Any:
    if name == "png":
        from .raster import png

        return png
    if name == "gif":
        from .animation import gif

        return gif
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
