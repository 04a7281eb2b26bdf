"""Pictures as data: a figure is laid out as marks, and three back ends write marks as SVG, PNG or GIF.

::

    chart = Chart(title="HalfCheetah-v5", x_label="step", y_label="reward", marks=[Line(steps, rewards)])
    drawing = layout(chart, width=960, height=540, theme="light")
    Path("reward.svg").write_text(svg(drawing), encoding="utf-8")
    Path("reward.png").write_bytes(png(drawing, scale=2))

The same data give the same picture on every machine. Pillow is not loaded before the first `png`, `gif` or name of
a colour.
"""

from __future__ import annotations

from trainlog.draw.animation import gif
from trainlog.draw.chart import Band, Chart, HLine, Line, Scatter, StateTimeline, VLine
from trainlog.draw.downsample import downsample
from trainlog.draw.drawing import Drawing
from trainlog.draw.grid import Grid
from trainlog.draw.heatmap import Heatmap
from trainlog.draw.layout import Figure, layout
from trainlog.draw.raster import png
from trainlog.draw.scene import Scene
from trainlog.draw.smooth import centered_average, ema, moving_average
from trainlog.draw.theme import DARK, LIGHT, Theme
from trainlog.draw.vector import svg

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
    "StateTimeline",
    "Theme",
    "VLine",
    "centered_average",
    "downsample",
    "ema",
    "gif",
    "layout",
    "moving_average",
    "png",
    "svg",
]
