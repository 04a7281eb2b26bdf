"""Everything around the data: title, legend, axes with their ticks and labels, caption.

Room is given out from the outside inwards, so that no two texts meet: heights first, then the ticks of the
y axis, whose labels decide how wide the plot is, then those of the x axis.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import numpy as np

from trainlog.draw.drawing import Box, FloatArray, Mark, Rect, Text
from trainlog.draw.legend import Entry, legend_marks, legend_rows, row_height
from trainlog.draw.scale import Scale
from trainlog.draw.text import CAP_HEIGHT, clean, measure, shorten, wrap
from trainlog.draw.theme import Theme
from trainlog.draw.ticks import Ticks, axis_ticks

__all__ = ["Axis", "Frame", "Plan", "AxesSpec", "build_frame"]

_MOST_LEGEND = 0.4  # of the height
_LANE_GAP = 4.0
_TICK = 4.0


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis before it has its place; ``whole`` if it counts, so that there is nothing between two numbers."""

    scale: Scale
    label: str = ""
    unit: str | None = None
    grid: bool = True
    whole: bool = False

    def title(self) -> str:
        """Label and unit. Times name their units at the ticks."""
        label, unit = clean(self.label), clean(self.unit or "")
        return f"{label} ({unit})".strip() if unit and unit != "s" else label


@dataclass(frozen=True, slots=True)
class AxesSpec:
    """What is to stand around a plot.

    ``y`` of ``None`` leaves no room for a plot, only for the ``lanes``. ``gutter`` is room kept free at the
    right, ``square`` makes a unit equally long on both axes, ``least_left`` aligns plots that stand below
    each other.
    """

    x: Axis
    y: Axis | None
    title: str = ""
    entries: Sequence[Entry] = ()
    notes: Sequence[str] = ()
    lanes: Sequence[str] = ()
    gutter: float = 0.0
    square: bool = False
    least_left: float = 0.0


@dataclass(slots=True)
class Frame:
    """A plot's place, what lies behind the data, and what stands around it.

    ``gutter`` is the room that was kept free at the right: none where the picture is too narrow for it.
    """

    box: Box
    plot: Box
    x: Scale
    y: Scale
    gutter: float = 0.0
    lanes: list[Box] = field(default_factory=list)
    back: list[Mark] = field(default_factory=list)
    front: list[Mark] = field(default_factory=list)
    written: list[Box] = field(default_factory=list)

    def write(self, text: Text) -> None:
        """Add a text, unless it would leave the box or run into one that is there.

        Room is given out so that neither happens, as long as there is any: this is for pictures of a size in
        which nothing else helps. What matters more is written first.
        """
        extent = _text_extent(text)
        inside = self.box.x <= extent.x and extent.right <= self.box.right
        inside = inside and self.box.y <= extent.y and extent.bottom <= self.box.bottom
        if text.text and inside and not any(_overlap(extent, other) for other in self.written):
            self.written.append(extent)
            self.front.append(text)

    def to_x(self, values: FloatArray) -> FloatArray:
        """The x (n,) in pixels of finite values (n,)."""
        return self.plot.x + self.x.position(values) * self.plot.width

    def to_y(self, values: FloatArray) -> FloatArray:
        """The y (n,) in pixels of finite values (n,)."""
        return self.plot.bottom - self.y.position(values) * self.plot.height


def _text_extent(text: Text) -> Box:
    """From the base line to the height of capitals, and from the first letter to the last."""
    width, height = measure(text.text, text.size), CAP_HEIGHT * text.size
    back = {"start": 0.0, "middle": width / 2, "end": width}[text.anchor]
    if text.vertical:
        return Box(text.x - height, text.y + back - width, height, width)
    return Box(text.x - back, text.y - height, width, height)


def _overlap(a: Box, b: Box) -> bool:
    return a.x < b.right and b.x < a.right and a.y < b.bottom and b.y < a.bottom


class Plan(Protocol):
    """A figure that has been read and waits for its place."""

    around: AxesSpec

    def draw(self, frame: Frame) -> list[Mark]:
        """All of its marks, with those of the frame that was built from ``around``."""


@dataclass(frozen=True, slots=True)
class _Heights:
    """Which parts there are, from top to bottom, and where the plot lies between them."""

    titles: list[str]
    rows: list[list[tuple[float, Entry]]]
    notes: list[str]
    x_title: str
    top: float
    bottom: float


def _pad(theme: Theme) -> float:
    return round(theme.font_size)


def _lane_height(theme: Theme) -> float:
    return round(theme.tick_size * 1.5)


def _heights(around: AxesSpec, box: Box, left: float, offsets: tuple[bool, bool], theme: Theme) -> _Heights:
    """Give out the height. When the plot would get too little, caption, legend and labels give way, in this order."""
    width = box.right - _pad(theme) - left
    titles = wrap(clean(around.title), theme.title_size, width, 2)
    most = int(box.height * _MOST_LEGEND / row_height(theme))
    rows = legend_rows(around.entries, width, most, theme)
    notes = [line for note in around.notes for line in wrap(clean(note), theme.tick_size, width, 3)]
    x_title = around.x.title()
    lanes = len(around.lanes) * (_lane_height(theme) + _LANE_GAP)
    least = box.height * 0.3 if around.y else lanes
    while True:
        top = box.y + _pad(theme)
        top += len(titles) * round(theme.title_size * 1.3) + (4 if titles else 0)
        top += len(rows) * row_height(theme) + (6 if rows else 0)
        top += round(theme.tick_size * 1.5) if offsets[1] else 0
        bottom = box.bottom - _pad(theme) - len(notes) * round(theme.tick_size * 1.4) - (4 if notes else 0)
        bottom -= round(theme.font_size * 1.5) if x_title or offsets[0] else 0
        bottom -= round(theme.tick_size * 1.5) + _TICK + (lanes if around.y else 0)
        if bottom - top >= least:
            break
        if len(notes) > 1:
            notes = wrap(" ".join(map(clean, around.notes)), theme.tick_size, width, len(notes) - 1)
        elif len(titles) > 1:
            titles = wrap(clean(around.title), theme.title_size, width, 1)
        elif len(rows) > 1:
            rows = legend_rows(around.entries, width, len(rows) - 1, theme)
        elif notes:
            notes = []
        elif rows:
            rows = []
        elif x_title:
            x_title = ""
        elif titles:
            titles = []
        else:
            break
    return _Heights(titles, rows, notes, x_title, round(top), round(max(bottom, top + 2)))


def build_frame(around: AxesSpec, box: Box, theme: Theme) -> Frame:
    """AxesSpec that fit into the box."""
    if around.gutter > box.width / 3:
        around = replace(around, gutter=0.0)
    left, right = box.x + max(around.least_left, 40.0), box.right - _pad(theme) - around.gutter
    offsets = (False, False)
    # Widths depend on heights by way of tick labels and the other way round by way of wrapped lines: what the
    # first rounds find, the last one uses.
    for _ in range(3):
        heights = _heights(around, box, left, offsets, theme)
        plot = Box(left, heights.top, max(right - left, 2.0), heights.bottom - heights.top)
        if around.y is None:
            plot = replace(plot, height=0.0)
        x_scale, y_scale = around.x.scale, around.y.scale if around.y else Scale(0.0, 1.0)
        if around.square:
            x_scale, y_scale = _equal(x_scale, y_scale, plot)
        y_ticks = _y_ticks(y_scale, around.y, plot, theme) if around.y else Ticks()
        x_ticks = _x_ticks(x_scale, around.x, plot, theme)
        offsets = (bool(x_ticks.offset), bool(y_ticks.offset))
        left, right = _sides(around, box, plot, x_scale, x_ticks, y_ticks, theme)
    frame = Frame(box, plot, x_scale, y_scale, around.gutter)
    base = _add_lanes(frame, around, heights.bottom, theme)
    _write_heading(frame, heights, theme)
    if around.y:
        _draw_y_axis(frame, around.y, y_ticks, theme)
    _draw_x_axis(frame, around.x, x_ticks, base, theme)
    _write_labels(frame, around, heights, (x_ticks, y_ticks), base, theme)
    return frame


def _sides(
    around: AxesSpec, box: Box, plot: Box, x_scale: Scale, x_ticks: Ticks, y_ticks: Ticks, theme: Theme
) -> tuple[float, float]:
    """The left and right edge of the plot that leave room for labels."""
    size = theme.tick_size
    labels = [measure(label, size) for label in y_ticks.labels]
    labels += [min(measure(clean(lane), size), box.width * 0.2) for lane in around.lanes]
    title = round(theme.font_size * 1.6) if around.y and around.y.title() else 0
    left = _pad(theme) + title + max(labels, default=0.0) + (8 if labels else 0)
    right = _pad(theme) + around.gutter
    if x_ticks.values:
        first, last = (x_scale.place(x_ticks.values[n]) for n in (0, -1))
        widths = [measure(x_ticks.labels[n], size) / 2 + 4 for n in (0, -1)]
        left = max(left, title + widths[0] - first * plot.width)
        right = max(right, widths[1] - (1 - last) * plot.width)
    left = min(max(left, around.least_left), box.width * 0.45)
    right = min(right, box.width * 0.45)
    return box.x + float(np.ceil(left)), box.right - float(np.ceil(right))


def _equal(x: Scale, y: Scale, plot: Box) -> tuple[Scale, Scale]:
    """Both scales with one length for one unit: the one with room to spare shows more."""
    half_x, half_y = x.high / 2 - x.low / 2, y.high / 2 - y.low / 2
    unit = max(half_x / plot.width, half_y / max(plot.height, 1.0))
    return _around_middle(x, unit * plot.width), _around_middle(y, unit * plot.height)


def _around_middle(scale: Scale, half: float) -> Scale:
    middle, limit = scale.low / 2 + scale.high / 2, sys.float_info.max
    return Scale(max(middle - half, -limit), min(middle + half, limit))


def _y_ticks(scale: Scale, axis: Axis, plot: Box, theme: Theme) -> Ticks:
    most = int(plot.height / (theme.tick_size * 2.6))
    for count in range(min(max(most, 2), 8), 1, -1):
        ticks = axis_ticks(scale, count, axis.unit, whole=axis.whole)
        places = [scale.place(value) * plot.height for value in ticks.values]
        if all(b - a > theme.tick_size * 1.2 for a, b in pairwise(places)):
            break
    return _without_crowding(ticks, places, [theme.tick_size * 1.2] * len(places))


def _x_ticks(scale: Scale, axis: Axis, plot: Box, theme: Theme) -> Ticks:
    most = int(plot.width / (theme.tick_size * 5))
    for count in range(min(max(most, 2), 8), 1, -1):
        ticks = axis_ticks(scale, count, axis.unit, whole=axis.whole)
        places = [scale.place(value) * plot.width for value in ticks.values]
        widths = [measure(label, theme.tick_size) + 1.5 * theme.tick_size for label in ticks.labels]
        needed = [(a + b) / 2 for a, b in pairwise(widths)]
        if all(b - a >= need for (a, b), need in zip(pairwise(places), needed, strict=True)):
            break
    return _without_crowding(ticks, places, widths)


def _without_crowding(ticks: Ticks, places: Sequence[float], room: Sequence[float]) -> Ticks:
    """The ticks whose labels do not run into the one before."""
    kept: list[int] = []
    for n, place in enumerate(places):
        if not kept or place - places[kept[-1]] >= (room[n] + room[kept[-1]]) / 2:
            kept.append(n)
    return ticks._replace(values=tuple(ticks.values[n] for n in kept), labels=tuple(ticks.labels[n] for n in kept))


def _signed(offset: str) -> str:
    return offset if offset.startswith("−") else "+" + offset


def _crisp(place: float) -> float:
    """The left or upper edge of a line of one pixel near the place."""
    return float(np.floor(place + 1e-6))


def _add_lanes(frame: Frame, around: AxesSpec, bottom: float, theme: Theme) -> float:
    """Make the lanes below the plot, and return where the x axis stands."""
    base, height = frame.plot.bottom, _lane_height(theme)
    if around.y is None:  # there is nothing else to see
        height = max(height, min(3 * height, round((bottom - base) / len(around.lanes) - _LANE_GAP)))
    for _ in around.lanes:
        lane = Box(frame.plot.x, base + _LANE_GAP, frame.plot.width, height)
        frame.lanes.append(lane)
        base = lane.bottom
    return base


def _write_heading(frame: Frame, heights: _Heights, theme: Theme) -> None:
    x, y = frame.plot.x, frame.box.y + _pad(theme)
    for line in heights.titles:
        frame.write(Text(x, y + theme.title_size * 0.85, line, theme.title_size, theme.text))
        y += round(theme.title_size * 1.3)
    y += 4 if heights.titles else 0
    for mark in legend_marks(heights.rows, x, y, theme):
        if isinstance(mark, Text):
            frame.write(mark)
        else:
            frame.front.append(mark)


def _draw_y_axis(frame: Frame, axis: Axis, ticks: Ticks, theme: Theme) -> None:
    plot, size = frame.plot, theme.tick_size
    if axis.grid:
        for value in (*ticks.values, *ticks.minor):
            y = _crisp(plot.bottom - frame.y.place(value) * plot.height)
            faint = 0.5 if value in ticks.minor else 1.0
            frame.back.append(Rect(plot.x, y, plot.width, 1.0, theme.grid, faint))
    for value, label in zip(ticks.values, ticks.labels, strict=True):
        y = plot.bottom - frame.y.place(value) * plot.height
        frame.write(Text(plot.x - 8, y + CAP_HEIGHT * size / 2, label, size, theme.muted, "end"))


def _draw_x_axis(frame: Frame, axis: Axis, ticks: Ticks, base: float, theme: Theme) -> None:
    plot, size = frame.plot, theme.tick_size
    if axis.grid and plot.height:
        for value in (*ticks.values, *ticks.minor):
            x = _crisp(plot.x + frame.x.place(value) * plot.width)
            faint = 0.5 if value in ticks.minor else 1.0
            frame.back.append(Rect(x, plot.y, 1.0, plot.height, theme.grid, faint))
    frame.front.append(Rect(plot.x, base, plot.width, 1.0, theme.axis))
    for value, label in zip(ticks.values, ticks.labels, strict=True):
        x = plot.x + frame.x.place(value) * plot.width
        frame.front.append(Rect(_crisp(x), base, 1.0, _TICK, theme.axis))
        frame.write(Text(x, base + _TICK + size * 1.1, label, size, theme.muted, "middle"))


def _write_labels(
    frame: Frame, around: AxesSpec, heights: _Heights, ticks: tuple[Ticks, Ticks], base: float, theme: Theme
) -> None:
    """The labels of axes and lanes, what the ticks leave out, and the caption."""
    box, plot, pad, size = frame.box, frame.plot, _pad(theme), theme.tick_size
    left, right = box.x + pad, box.right - pad
    for name, lane in zip(around.lanes, frame.lanes, strict=True):
        text = shorten(clean(name), size, plot.x - 8 - left)
        frame.write(Text(lane.x - 8, lane.y + lane.height / 2 + CAP_HEIGHT * size / 2, text, size, theme.muted, "end"))
    if ticks[1].offset:
        frame.write(Text(plot.x, plot.y - size * 0.5, _signed(ticks[1].offset), size, theme.muted))
    if around.y and (title := around.y.title()):
        middle = plot.y + plot.height / 2
        below = plot.bottom if around.lanes else box.bottom - pad
        text = shorten(title, theme.font_size, 2 * min(middle - box.y - pad, below - middle))
        x = left + theme.font_size * 0.75
        frame.write(Text(x, middle, text, theme.font_size, theme.text, "middle", vertical=True))
        left += theme.font_size * 1.25
    y = base + _TICK + round(size * 1.5)
    if ticks[0].offset:
        text = _signed(ticks[0].offset)
        frame.write(Text(right, y + theme.font_size, text, size, theme.muted, "end"))
        right -= measure(text, size) + pad
    if heights.x_title:
        middle = plot.x + plot.width / 2
        text = shorten(heights.x_title, theme.font_size, 2 * min(middle - left, right - middle))
        frame.write(Text(middle, y + theme.font_size, text, theme.font_size, theme.text, "middle"))
    if heights.x_title or ticks[0].offset:
        y += round(theme.font_size * 1.5)
    y += 4
    for line in heights.notes:
        y += round(size * 1.4)
        frame.write(Text(plot.x, y - size * 0.35, line, size, theme.muted))
