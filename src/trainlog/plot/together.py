"""Several metrics in one chart, and the words of several logs below each other."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence

import numpy as np

from trainlog.draw import Band, Chart, Line, Scatter, StateTimeline
from trainlog.draw.chart import ChartMark
from trainlog.model import Kind
from trainlog.plot.axes import Axis, Floats
from trainlog.plot.behavior import word_colors, words_over
from trainlog.plot.curve import MetricChart
from trainlog.plot.options import Group, PlotOptions
from trainlog.plot.picture import Block, Picture
from trainlog.plot.run import Metric, Run
from trainlog.plot.styles import Styles
from trainlog.storage.file_names import file_safe

__all__ = ["together_picture", "words_of", "words_picture"]


def together_picture(
    metrics: Sequence[Metric], groups: Sequence[Group], axis: Axis, options: PlotOptions, title: str
) -> Picture | None:
    """Draw all *metrics* of *groups* in one chart; None if no run has a value of any of them.

    With ``options.together == "normalised"`` each metric is drawn from its lowest to its highest value.
    """
    is_normalised = options.together == "normalised"
    if is_normalised:
        options = dataclasses.replace(options, log_y=False, lines=(), ylim=None)
    styles = Styles(options, groups, list(map(str, metrics)))
    marks: list[ChartMark] = []
    blocks: list[Block] = []
    notes: dict[str, None] = {}
    units: set[str | None] = set()
    for metric in metrics:
        curve = MetricChart(metric, groups, axis, options, styles, str(metric))
        if curve.is_empty:
            continue
        chart = curve.chart(title)
        scaled = chart.marks
        if is_normalised:
            low, high = _limits(curve.blocks)
            scaled = [_scaled(mark, low, high) for mark in chart.marks]
            notes[f"{metric}: {low:g} is 0, {high:g} is 1"] = None
        # Events and horizontal lines are the same in the chart of each metric.
        marks += [mark for mark in scaled if not marks or isinstance(mark, Line | Band | Scatter)]
        blocks += curve.blocks
        notes |= curve.notes
        units.add(chart.y_unit)
    if not blocks:
        return None
    figure = dataclasses.replace(
        chart,
        y_label="lowest to highest value" if is_normalised else "",
        y_unit=units.pop() if len(units) == 1 and not is_normalised else None,
        caption="; ".join(notes),
        marks=marks,
    )
    names = [str(metric) for metric in metrics]
    return Picture(file_safe("_".join(names)), ", ".join(names), figure, blocks=tuple(blocks))


def _limits(blocks: Sequence[Block]) -> tuple[float, float]:
    """The lowest and the highest finite number of the curves, not counting their x and the number of runs."""
    numbers = [values for block in blocks for name, values in [*block.columns.items()][1:] if name != "runs"]
    every = np.concatenate(numbers)
    every = every[np.isfinite(every)]
    low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 1.0)
    if low < high:
        return low, high
    around, most = max(0.5, abs(low) / 1000), float(np.finfo(np.float64).max)  # 1e18 ± 0.5 would be 1e18
    return max(low - around, -most), min(low + around, most)


def _scaled(mark: ChartMark, low: float, high: float) -> ChartMark:
    """A copy of *mark*, scaled so that the values *low* and *high* become 0 and 1."""

    def unit(values: Floats) -> Floats:
        return (values / 2 - low / 2) / (high / 2 - low / 2)  # halves, whose differences do not overflow

    mark = copy.copy(mark)
    if isinstance(mark, Line | Scatter):
        mark.y = unit(mark.y)
    elif isinstance(mark, Band):
        mark.low, mark.high = unit(mark.low), unit(mark.high)
    return mark


def words_of(runs: Sequence[Run], name: str) -> tuple[Kind, str] | None:
    """The column of words with that name, such as ``behavior`` or ``creature:mode``; None if there is none."""
    prefix, colon, key = name.partition(":")
    for kind in (Kind.STATS, Kind.EVOLUTION, Kind.CREATURE):
        own = key if colon and prefix == str(kind) else name
        for run in runs:
            if own in run.columns(kind).table:
                return (kind, own) if run.columns(kind).words(own) is not None else None
    return None


def words_picture(runs: Sequence[Run], kind: Kind, key: str, axis: Axis, options: PlotOptions, title: str) -> Picture:
    """Draw a column of words, one strip per run."""
    strips, blocks, notes = [], [], dict[str, None]()
    colors: dict[str, str] = {}
    for run in runs:
        columns = run.columns(kind)
        words = columns.words(key) if key in columns.table else None
        if words is None or not run.has_axis(kind, axis.name):
            continue
        colors = colors or word_colors(run, options.theme)
        name = run.label if len(runs) > 1 else key.replace("_", " ")
        x, states = words_over(run, kind, key, axis)
        # The last state holds to the end of its own run, not of the longest.
        strips.append(StateTimeline(np.append(x, x[-1:]), [*states.tolist(), *[None] * len(x[-1:])], colors, name))
        blocks.append(Block(name, {axis.name: x, "value": states}))
        notes |= {words.note: None} if words.note else {}
    figure = Chart(
        title=title,
        x_label=axis.label,
        x_unit=axis.unit,
        x_range=options.xlim,
        caption="; ".join(notes),
        marks=strips,
    )
    return Picture(file_safe(key), key, figure, blocks=tuple(blocks))
