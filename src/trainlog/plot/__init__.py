"""Figures of logs: the metrics of one run or of several seeds over steps, episodes or time.

::

    from trainlog.plot import PlotOptions, pictures, runs_of, save_picture

    for picture in pictures(runs_of([trainlog.open("run.flog")]), PlotOptions(x="episode")):
        save_picture(picture, "figures", formats=["svg"])
"""

from __future__ import annotations

from trainlog.conventions import AXES, AxisName
from trainlog.plot.figures import main_metric, metrics_of, pictures
from trainlog.plot.options import Group, PlotOptions, groups_of
from trainlog.plot.picture import Block, Picture
from trainlog.plot.run import Metric, Run, runs_of
from trainlog.plot.save import PRESETS, Format, Style, paged, save_figure, save_picture, save_pictures
from trainlog.plot.seeds import BANDS, BandName
from trainlog.statistics import CENTERS, CenterName

__all__ = [
    "AXES",
    "BANDS",
    "CENTERS",
    "PRESETS",
    "AxisName",
    "BandName",
    "Block",
    "CenterName",
    "Format",
    "Group",
    "Metric",
    "Picture",
    "Run",
    "PlotOptions",
    "Style",
    "groups_of",
    "main_metric",
    "metrics_of",
    "paged",
    "pictures",
    "runs_of",
    "save_figure",
    "save_picture",
    "save_pictures",
]
