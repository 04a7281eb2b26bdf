"""Figures of logs: which ones a person wants, over what, of one run or of several seeds.

::

    from trainlog.plot import Wish, pictures, runs_of, save_picture

    for picture in pictures(runs_of([trainlog.open("run.flog")]), Wish(x="episode")):
        save_picture(picture, "figures", formats=["svg"])
"""

from __future__ import annotations

from trainlog.plot.axes import AXES, AxisName
from trainlog.plot.choose import main_metric, metrics_of, pictures
from trainlog.plot.picture import Block, Picture
from trainlog.plot.run import Metric, Run, runs_of
from trainlog.plot.save import Format, save_figure, save_picture
from trainlog.plot.seeds import BANDS, CENTERS, BandName, CenterName
from trainlog.plot.wish import Group, Wish, groups_of

__all__ = [
    "AXES",
    "BANDS",
    "CENTERS",
    "AxisName",
    "BandName",
    "Block",
    "CenterName",
    "Format",
    "Group",
    "Metric",
    "Picture",
    "Run",
    "Wish",
    "groups_of",
    "main_metric",
    "metrics_of",
    "pictures",
    "runs_of",
    "save_figure",
    "save_picture",
]
