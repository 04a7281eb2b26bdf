"""Everything around the data: title, legend, axes with their ticks and labels, caption.

Space is assigned from the outside inwards, so that no two texts overlap: first the heights, then the ticks of the y
axis, whose labels determine the width of the plot, then the ticks of the x axis.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from trainlog.draw.data import distinct
from trainlog.draw.drawing import Box, FloatArray, Mark, Rect, Text
from trainlog.draw.legend import LegendEntry, LegendRow, legend_marks, legend_rows
from trainlog.draw.scale import Scale
from trainlog.draw.text import CAP_HEIGHT, clean, shorten, text_width, wrap
from trainlog.draw.theme import Theme
from trainlog.draw.ticks import Ticks, axis_ticks

__all__ = ["MOST_LINES", "Axes", "AxesSpec", "Axis", "PanelLayout", "build_axes"]

_MAX_LEGEND_HEIGHT = 0.2  # of the picture's height
_CAPTION_LINES = 4
_MIN_PLOT_HEIGHT = 0.3  # of the picture's height
_MIN_PLOT_EMS = 6.0  # the same as a number of font sizes, if the picture may be higher

MOST_LINES = 24
"""The limit for a title, a legend or a caption of which nothing may be left out."""
_TIMELINE_GAP = 4.0
_TICK_LENGTH = 4.0


class Axis(NamedTuple):
    """One axis before it is placed.

    ``whole`` says that its values are whole numbers, with no ticks between them; ``ticks`` are values with labels.
    """

    scale: Scale
    label: str = ""
    unit: str | None = None
    grid: bool = True
    whole: bool = False
    ticks: Sequence[tuple[float, str]] | None = None

    def title(self) -> str:
        """The label and the unit. The tick labels of times have their own units."""
        label, unit = clean(self.label), clean(self.unit or "")
        return f"{label} ({unit})".strip() if unit and unit != "s" else label


class AxesSpec(NamedTuple):
    """What to draw around a plot.

    Attributes:
        x, y: the axes; ``y`` is None for a picture of timelines only, without a plot.
        title: the text above the plot.
        legend: the entries below the title.
        strip_legend: the entries of the timelines, in separate rows.
        caption: the lines at the bottom.
        timelines: the labels of the timelines below the plot.
        right_margin: the space to the right of the plot.
        equal_aspect: whether a unit has the same length on both axes.
        min_left: the smallest distance of the plot from the left, which aligns plots below each other.
        whole: whether title, legend and caption are kept in full even if the plot gets too little height;
            `Axes.lacking` then says how much is missing.

    """

    x: Axis
    y: Axis | None
    title: str = ""
    legend: Sequence[LegendEntry] = ()
    strip_legend: Sequence[LegendEntry] = ()
    caption: Sequence[str] = ()
    timelines: Sequence[str] = ()
    right_margin: float = 0.0
    equal_aspect: bool = False
    min_left: float = 0.0
    whole: bool = False

    @property
    def has_names(self) -> bool:
        """Whether the y axis has names instead of numbers, which leave little width for the plot."""
        return self.y is not None and self.y.ticks is not None


@dataclass(slots=True)
class Axes:
    """A plot with its place in the picture, its scales, and the marks behind and around the data.

    Attributes:
        box: the place of the plot and everything around it.
        plot: the place of the data.
        x, y: the scales of the axes.
        spec: what is drawn around the data; without a right margin if the picture is too narrow for it.
        theme: the theme of the picture.
        timelines: the places of the timelines.
        marks_below: the marks below the data.
        marks_above: the marks above the data.
        text_boxes: the places of all texts.
        lacking: how many pixels higher the box must be to hold all texts and the plot.

    """

    box: Box
    plot: Box
    x: Scale
    y: Scale
    spec: AxesSpec
    theme: Theme
    timelines: list[Box] = field(default_factory=list)
    marks_below: list[Mark] = field(default_factory=list)
    marks_above: list[Mark] = field(default_factory=list)
    text_boxes: list[Box] = field(default_factory=list)
    lacking: float = 0.0

    def add_text(self, text: Text) -> None:
        """Add a text, unless it would leave the box or overlap an earlier text; important texts come first.

        Texts are only left out of pictures that are too small for all of them.
        """
        width, height = text_width(text.text, text.size), CAP_HEIGHT * text.size
        offset = {"start": 0.0, "middle": width / 2, "end": width}[text.anchor]
        if text.vertical:
            extent = Box(text.x - height, text.y + offset - width, height, width)
        else:
            extent = Box(text.x - offset, text.y - height, width, height)
        inside = self.box.x <= extent.x and extent.right <= self.box.right
        inside = inside and self.box.y <= extent.y and extent.bottom <= self.box.bottom
        if text.text and inside and not any(map(extent.overlaps, self.text_boxes)):
            self.text_boxes.append(extent)
            self.marks_above.append(text)

    def to_x(self, values: FloatArray) -> FloatArray:
        """The x (n,) in pixels of finite values (n,)."""
        return self.plot.x + self.x.position(values) * self.plot.width

    def to_y(self, values: FloatArray) -> FloatArray:
        """The y (n,) in pixels of finite values (n,)."""
        return self.plot.bottom - self.y.position(values) * self.plot.height

    def to_points(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """The points (n, 2) in pixels of finite values (n,)."""
        return np.stack((self.to_x(x), self.to_y(y)), axis=1)

    def pixel_columns(self, values: FloatArray) -> FloatArray:
        """The middles of the pixel columns of finite x values, each once, without those outside the plot."""
        x = distinct(np.floor(self.to_x(values) + 1e-6)) + 0.5
        return x[(x >= self.plot.x - 1) & (x <= self.plot.right + 1)]


class PanelLayout(Protocol):
    """A chart, scene or heat map whose data have been read, before it is placed."""

    spec: AxesSpec

    def marks(self, axes: Axes) -> list[Mark]:
        """All marks, including those of the axes, which were built from ``spec``."""


class _Heights(NamedTuple):
    """The parts from top to bottom, the upper and lower end of the plot between them, and the height that it lacks."""

    title: list[str]
    legend: list[LegendRow]
    caption: list[str]
    x_title: str
    top: float
    bottom: float
    lacking: float


def _timeline_height(theme: Theme) -> float:
    return round(theme.tick_size * 1.5)


def _assign_heights(spec: AxesSpec, box: Box, left: float, offsets: tuple[bool, bool], theme: Theme) -> _Heights:
    """Assign the heights. If the plot would get too little, caption, legend and labels shrink, in this order."""
    width = box.right - theme.padding - left
    title = wrap(clean(spec.title), theme.title_size, width, MOST_LINES if spec.whole else 2)
    limit = max(int(box.height * _MAX_LEGEND_HEIGHT / theme.legend_row_height), 1)
    # An extra row is better than a curve without its name.
    legend, strip_legend = (
        legend_rows(entries, width, MOST_LINES if spec.whole else limit, theme, more=1, whole=spec.whole)
        for entries in (spec.legend, spec.strip_legend)
    )
    below = width if not spec.has_names else box.width - 2 * theme.padding
    lines = MOST_LINES if spec.whole else _CAPTION_LINES
    caption = [line for text in spec.caption for line in wrap(clean(text), theme.tick_size, below, lines)]
    x_title = spec.x.title()
    timelines = len(spec.timelines) * (_timeline_height(theme) + _TIMELINE_GAP)
    min_height = box.height * _MIN_PLOT_HEIGHT if spec.y else timelines
    if spec.whole and spec.y:
        min_height = max(min_height, _MIN_PLOT_EMS * theme.font_size)
    while True:
        top = box.y + theme.padding
        top += len(title) * round(theme.title_size * 1.3) + (4 if title else 0)
        count = len(legend) + len(strip_legend)
        top += count * theme.legend_row_height + (6 if count else 0)
        top += round(theme.tick_size * 1.5) if offsets[1] else 0
        bottom = box.bottom - theme.padding - len(caption) * round(theme.tick_size * 1.4) - (4 if caption else 0)
        bottom -= round(theme.font_size * 1.5) if x_title or offsets[0] else 0
        bottom -= round(theme.tick_size * 1.5) + _TICK_LENGTH + (timelines if spec.y else 0)
        if spec.whole or bottom - top >= min_height:
            break
        if len(caption) > 1:
            caption = wrap(" ".join(map(clean, spec.caption)), theme.tick_size, below, len(caption) - 1)
        elif len(title) > 1:
            title = wrap(clean(spec.title), theme.title_size, width, 1)
        elif len(legend) > 1:
            legend = legend_rows(spec.legend, width, len(legend) - 1, theme)
        elif len(strip_legend) > 1:
            strip_legend = legend_rows(spec.strip_legend, width, len(strip_legend) - 1, theme)
        elif caption:
            caption = []
        elif legend or strip_legend:
            legend = strip_legend = []
        elif x_title:
            x_title = ""
        elif title:
            title = []
        else:
            break
    # A higher box gives a share of its height to the plot; that share is part of the lacking height.
    lacking = max(min_height - (bottom - top), 0.0) / (1 - _MIN_PLOT_HEIGHT)
    rows = [*legend, *strip_legend]
    return _Heights(title, rows, caption, x_title, round(top), round(max(bottom, top + 2)), lacking)


def build_axes(spec: AxesSpec, box: Box, theme: Theme) -> Axes:
    """Build the axes that fit into the box, with their marks."""
    if spec.right_margin > box.width / 3:
        spec = spec._replace(right_margin=0.0)
    left, right = box.x + max(spec.min_left, 40.0), box.right - theme.padding - spec.right_margin
    offsets, size = (False, False), theme.tick_size
    # Widths depend on heights through tick labels, and heights on widths through wrapped lines. Each round uses the
    # results of the previous one.
    for _ in range(3):
        heights = _assign_heights(spec, box, left, offsets, theme)
        plot = Box(left, heights.top, max(right - left, 2.0), heights.bottom - heights.top if spec.y else 0.0)
        x_scale, y_scale = spec.x.scale, spec.y.scale if spec.y else Scale(0.0, 1.0)
        if spec.equal_aspect:
            x_scale, y_scale = _equal_aspect(x_scale, y_scale, plot)
        y_ticks = Ticks()
        if spec.y:
            y_ticks = _fitting_ticks(y_scale, spec.y, plot.height, size * 2.6, lambda label: size * 1.2)
        x_ticks = _fitting_ticks(
            x_scale, spec.x, plot.width, size * 5, lambda label: text_width(label, size) + 1.5 * size
        )
        offsets = (bool(x_ticks.offset), bool(y_ticks.offset))
        left, right = _plot_sides(spec, box, plot, x_scale, x_ticks, y_ticks, theme)
    axes = Axes(box, plot, x_scale, y_scale, spec, theme, lacking=heights.lacking)
    base = _place_timelines(axes, heights.bottom)
    _add_heading(axes, heights)
    if spec.y:
        _add_y_axis(axes, spec.y, y_ticks)
    _add_x_axis(axes, spec.x, x_ticks, base)
    _add_labels(axes, heights, x_ticks.offset, y_ticks.offset, base)
    return axes


def _plot_sides(
    spec: AxesSpec, box: Box, plot: Box, x_scale: Scale, x_ticks: Ticks, y_ticks: Ticks, theme: Theme
) -> tuple[float, float]:
    """The left and right edges of the plot that leave space for labels."""
    size = theme.tick_size
    labels = [text_width(label, size) for label in y_ticks.labels]
    longest = box.width * (0.3 if spec.whole else 0.2)
    labels += [min(text_width(clean(label), size), longest) for label in spec.timelines]
    title = round(theme.font_size * 1.6) if spec.y and spec.y.title() else 0
    left = theme.padding + title + max(labels, default=0.0) + (8 if labels else 0)
    right = theme.padding + spec.right_margin
    if x_ticks.values:
        first, last = (x_scale.position_of(x_ticks.values[n]) for n in (0, -1))
        widths = [text_width(x_ticks.labels[n], size) / 2 + 4 for n in (0, -1)]
        left = max(left, title + widths[0] - first * plot.width)
        right = max(right, widths[1] - (1 - last) * plot.width)
    left = min(max(left, spec.min_left), box.width * 0.45)
    right = min(right, box.width * 0.45)
    return box.x + float(math.ceil(left)), box.right - float(math.ceil(right))


def _equal_aspect(x: Scale, y: Scale, plot: Box) -> tuple[Scale, Scale]:
    """Both scales with the same length per unit: the scale with space to spare shows more."""
    half_x, half_y = x.high / 2 - x.low / 2, y.high / 2 - y.low / 2
    unit = max(half_x / plot.width, half_y / max(plot.height, 1.0))
    return x.centered(unit * plot.width), y.centered(unit * plot.height)


def _fitting_ticks(scale: Scale, axis: Axis, length: float, distance: float, space: Callable[[str], float]) -> Ticks:
    """As many ticks, about ``distance`` pixels apart, as fit without overlapping labels.

    ``length`` is the length of the axis in pixels, and ``space`` returns the pixels along it that a label needs.
    """
    if axis.ticks is not None:
        kept_ticks = [(value, clean(label)) for value, label in axis.ticks]
        return Ticks(tuple(value for value, _ in kept_ticks), tuple(label for _, label in kept_ticks))
    for count in range(min(max(int(length / distance), 2), 8), 1, -1):
        ticks = axis_ticks(scale, count, axis.unit, whole=axis.whole)
        places = [scale.position_of(value) * length for value in ticks.values]
        spaces = list(map(space, ticks.labels))
        if all(places[n] - places[n - 1] >= (spaces[n - 1] + spaces[n]) / 2 for n in range(1, len(places))):
            break
    kept: list[int] = []
    for n, place in enumerate(places):
        if not kept or place - places[kept[-1]] >= (spaces[n] + spaces[kept[-1]]) / 2:
            kept.append(n)
    return ticks._replace(values=tuple(ticks.values[n] for n in kept), labels=tuple(ticks.labels[n] for n in kept))


def _pixel_edge(place: float) -> float:
    """The left or upper edge of the pixel that holds the place."""
    return float(math.floor(place + 1e-6))


def _place_timelines(axes: Axes, bottom: float) -> float:
    """Place the timelines below the plot, and return the y of the x axis."""
    spec, base, height = axes.spec, axes.plot.bottom, _timeline_height(axes.theme)
    if spec.y is None:  # the timelines fill the whole picture
        height = max(height, min(3 * height, round((bottom - base) / len(spec.timelines) - _TIMELINE_GAP)))
    for _ in spec.timelines:
        axes.timelines.append(Box(axes.plot.x, base + _TIMELINE_GAP, axes.plot.width, height))
        base = axes.timelines[-1].bottom
    return base


def _add_heading(axes: Axes, heights: _Heights) -> None:
    theme = axes.theme
    x, y = axes.plot.x, axes.box.y + theme.padding
    for line in heights.title:
        axes.add_text(Text(x, y + theme.title_size * 0.85, line, theme.title_size, theme.text))
        y += round(theme.title_size * 1.3)
    y += 4 if heights.title else 0
    for mark in legend_marks(heights.legend, x, y, theme):
        if isinstance(mark, Text):
            axes.add_text(mark)
        else:
            axes.marks_above.append(mark)


def _add_y_axis(axes: Axes, axis: Axis, ticks: Ticks) -> None:
    plot, theme, size = axes.plot, axes.theme, axes.theme.tick_size
    if axis.grid:
        for value in (*ticks.values, *ticks.minor):
            y = _pixel_edge(plot.bottom - axes.y.position_of(value) * plot.height)
            axes.marks_below.append(Rect(plot.x, y, plot.width, 1.0, theme.grid, 0.5 if value in ticks.minor else 1.0))
    title = round(theme.font_size * 1.6) if axis.title() else 0
    width = plot.x - 8 - axes.box.x - theme.padding / 2 - title
    places = [plot.bottom - axes.y.position_of(value) * plot.height for value in ticks.values]
    distance = min((abs(a - b) for a, b in itertools.pairwise(places)), default=plot.height)
    for place, label in zip(places, ticks.labels, strict=True):
        # A long name is shown in part rather than not at all.
        lines = wrap(label, size, width, 2 if distance > 2.2 * size else 1) if axis.ticks is not None else [label]
        for number, line in enumerate(lines):
            y = place + CAP_HEIGHT * size / 2 + (number - (len(lines) - 1) / 2) * size * 1.1
            axes.add_text(Text(plot.x - 8, y, line, size, theme.muted, "end"))


def _add_x_axis(axes: Axes, axis: Axis, ticks: Ticks, base: float) -> None:
    plot, theme, size = axes.plot, axes.theme, axes.theme.tick_size
    if axis.grid and plot.height:
        for value in (*ticks.values, *ticks.minor):
            x = _pixel_edge(plot.x + axes.x.position_of(value) * plot.width)
            axes.marks_below.append(Rect(x, plot.y, 1.0, plot.height, theme.grid, 0.5 if value in ticks.minor else 1.0))
    axes.marks_above.append(Rect(plot.x, base, plot.width, 1.0, theme.axis))
    for value, label in zip(ticks.values, ticks.labels, strict=True):
        x = plot.x + axes.x.position_of(value) * plot.width
        axes.marks_above.append(Rect(_pixel_edge(x), base, 1.0, _TICK_LENGTH, theme.axis))
        axes.add_text(Text(x, base + _TICK_LENGTH + size * 1.1, label, size, theme.muted, "middle"))


def _add_labels(axes: Axes, heights: _Heights, x_offset: str, y_offset: str, base: float) -> None:
    """Add the labels of axes and timelines, the offsets of tick labels, and the caption."""
    box, plot, spec, theme = axes.box, axes.plot, axes.spec, axes.theme
    padding, size = theme.padding, theme.tick_size
    left, right = box.x + padding, box.right - padding
    for label, row in zip(spec.timelines, axes.timelines, strict=True):
        text = shorten(clean(label), size, plot.x - 8 - left)
        baseline = row.y + row.height / 2 + CAP_HEIGHT * size / 2
        axes.add_text(Text(row.x - 8, baseline, text, size, theme.muted, "end"))
    x_offset, y_offset = (
        f"+{one}" if one and one[0] != "−" and "UTC" not in one else one for one in (x_offset, y_offset)
    )
    axes.add_text(Text(plot.x, plot.y - size * 0.5, y_offset, size, theme.muted))
    if spec.y and (title := spec.y.title()):
        middle = plot.y + plot.height / 2
        lower_end = plot.bottom if spec.timelines else box.bottom - padding
        text = shorten(title, theme.font_size, 2 * min(middle - box.y - padding, lower_end - middle))
        x = left + theme.font_size * 0.75
        axes.add_text(Text(x, middle, text, theme.font_size, theme.text, "middle", vertical=True))
        left += theme.font_size * 1.25
    y = base + _TICK_LENGTH + round(size * 1.5)
    if x_offset:
        axes.add_text(Text(right, y + theme.font_size, x_offset, size, theme.muted, "end"))
        right -= text_width(x_offset, size) + padding
    if heights.x_title:
        middle = plot.x + plot.width / 2
        text = shorten(heights.x_title, theme.font_size, 2 * min(middle - left, right - middle))
        axes.add_text(Text(middle, y + theme.font_size, text, theme.font_size, theme.text, "middle"))
    if heights.x_title or x_offset:
        y += round(theme.font_size * 1.5)
    y += 4
    for line in heights.caption:
        y += round(size * 1.4)
        x = plot.x if not spec.has_names else box.x + padding
        axes.add_text(Text(x, y - size * 0.35, line, size, theme.muted))
