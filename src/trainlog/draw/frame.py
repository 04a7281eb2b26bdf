"""Everything around the data: title, legend, axes with their ticks and labels, caption.

Room is given out from the outside inwards, so that no two texts meet: heights first, then the ticks of the
y axis, whose labels decide how wide the plot is, then those of the x axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import numpy as np

from .drawing import Box, FloatArray, Mark, Rect, Text
from .legend import Entry, legend_marks, legend_rows, row_height
from .scale import Scale
from .text import CAP_HEIGHT, clean, measure, shorten, wrap
from .theme import Theme
from .ticks import Ticks, axis_ticks

__all__ = ["Axis", "Frame", "Plan", "Surroundings", "build_frame"]

_MOST_LEGEND = 0.4  # of the height
_LANE_GAP = 4.0
_TICK = 4.0


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis before it has its place."""

    scale: Scale
    label: str = ""
    unit: str | None = None
    grid: bool = True

    def title(self) -> str:
        """Label and unit. Times name their units at the ticks."""
        label, unit = clean(self.label), clean(self.unit or "")
        return f"{label} ({unit})".strip() if unit and unit != "s" else label


@dataclass(frozen=True, slots=True)
class Surroundings:
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
    """A plot's place, what lies behind the data, and what stands around it."""

    plot: Box
    x: Scale
    y: Scale
    lanes: list[Box] = field(default_factory=list)
    back: list[Mark] = field(default_factory=list)
    front: list[Mark] = field(default_factory=list)

    def to_x(self, values: FloatArray) -> FloatArray:
        """The x (n,) in pixels of finite values (n,)."""
        return self.plot.x + self.x.position(values) * self.plot.width

    def to_y(self, values: FloatArray) -> FloatArray:
        """The y (n,) in pixels of finite values (n,)."""
        return self.plot.bottom - self.y.position(values) * self.plot.height


class Plan(Protocol):
    """A figure that has been read and waits for its place."""

    around: Surroundings

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


def _heights(around: Surroundings, box: Box, left: float, offsets: tuple[bool, bool], theme: Theme) -> _Heights:
    """Give out the height. When the plot would get too little, caption, legend and labels give way, in this order."""
    width = box.right - _pad(theme) - left
    titles = wrap(clean(around.title), theme.title_size, width, 2)
    most = int(box.height * _MOST_LEGEND / row_height(theme))
    rows = legend_rows(around.entries, width, most, theme)
    notes = [line for note in around.notes for line in wrap(clean(note), theme.tick_size, width, 3)]
    x_title = around.x.title()
    lanes = len(around.lanes) * (_lane_height(theme) + _LANE_GAP)
    least = box.height * 0.3 if around.y is not None else 0.0
    while True:
        top = box.y + _pad(theme)
        top += len(titles) * round(theme.title_size * 1.3) + (4 if titles else 0)
        top += len(rows) * row_height(theme) + (6 if rows else 0)
        top += round(theme.tick_size * 1.5) if offsets[1] else 0
        bottom = box.bottom - _pad(theme) - len(notes) * round(theme.tick_size * 1.4) - (4 if notes else 0)
        bottom -= round(theme.font_size * 1.5) if x_title or offsets[0] else 0
        bottom -= round(theme.tick_size * 1.5) + _TICK + lanes
        if bottom - top >= least:
            break
        if len(notes) > 1:
            notes = notes[:1]
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


def build_frame(around: Surroundings, box: Box, theme: Theme) -> Frame:
    """Surroundings that fit into the box."""
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
    frame = Frame(plot, x_scale, y_scale)
    base = _lanes(frame, around, box, theme)
    _draw_x_axis(frame, around, x_ticks, base, theme)
    if around.y:
        _draw_y_axis(frame, around.y, y_ticks, box, theme)
    _draw_texts(frame, heights, x_ticks, box, base, theme)
    return frame


def _sides(
    around: Surroundings, box: Box, plot: Box, x_scale: Scale, x_ticks: Ticks, y_ticks: Ticks, theme: Theme
) -> tuple[float, float]:
    """The left and right edge of the plot that leave room for labels."""
    size = theme.tick_size
    labels = [measure(label, size) for label in y_ticks.labels]
    labels += [min(measure(clean(lane), size), box.width * 0.2) for lane in around.lanes]
    left = _pad(theme) + max(labels, default=0.0) + (8 if labels else 0)
    if around.y and around.y.title():
        left += round(theme.font_size * 1.6)
    right = _pad(theme) + around.gutter
    if x_ticks.values:
        first, last = (x_scale.place(x_ticks.values[n]) for n in (0, -1))
        widths = [measure(x_ticks.labels[n], size) / 2 + 4 for n in (0, -1)]
        left = max(left, widths[0] - first * plot.width)
        right = max(right, widths[1] - (1 - last) * plot.width)
    left = min(max(left, around.least_left), box.width * 0.45)
    right = min(right, box.width * 0.45)
    return box.x + float(np.ceil(left)), box.right - float(np.ceil(right))


def _equal(x: Scale, y: Scale, plot: Box) -> tuple[Scale, Scale]:
    """Both scales with one length for one unit: the one with room to spare shows more."""
    half_x, half_y = x.high / 2 - x.low / 2, y.high / 2 - y.low / 2
    unit = max(half_x / plot.width, half_y / max(plot.height, 1.0))
    middle_x, middle_y = x.low / 2 + x.high / 2, y.low / 2 + y.high / 2
    limit = np.finfo(np.float64).max
    new = [
        float(np.clip(np.float64(middle) + sign * min(unit * length, limit), -limit, limit))
        for middle, length in ((middle_x, plot.width), (middle_y, plot.height))
        for sign in (-1, 1)
    ]
    return Scale(new[0], new[1]), Scale(new[2], new[3])


def _y_ticks(scale: Scale, axis: Axis, plot: Box, theme: Theme) -> Ticks:
    most = int(plot.height / (theme.tick_size * 2.6))
    for count in range(min(max(most, 2), 8), 1, -1):
        ticks = axis_ticks(scale, count, axis.unit)
        places = [scale.place(value) * plot.height for value in ticks.values]
        if all(b - a > theme.tick_size * 1.2 for a, b in pairwise(places)):
            break
    return _without_crowding(ticks, places, [theme.tick_size * 1.2] * len(places))


def _x_ticks(scale: Scale, axis: Axis, plot: Box, theme: Theme) -> Ticks:
    most = int(plot.width / (theme.tick_size * 5))
    for count in range(min(max(most, 2), 10), 1, -1):
        ticks = axis_ticks(scale, count, axis.unit)
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


def _lanes(frame: Frame, around: Surroundings, box: Box, theme: Theme) -> float:
    """Make the lanes below the plot, and return where the x axis stands."""
    base, size = frame.plot.bottom, theme.tick_size
    for name in around.lanes:
        lane = Box(frame.plot.x, base + _LANE_GAP, frame.plot.width, _lane_height(theme))
        frame.lanes.append(lane)
        room = frame.plot.x - 8 - box.x - _pad(theme)
        text = shorten(clean(name), size, room)
        if text:
            middle = lane.y + lane.height / 2 + CAP_HEIGHT * size / 2
            frame.front.append(Text(lane.x - 8, middle, text, size, theme.muted, "end"))
        base = lane.bottom
    return base


def _draw_x_axis(frame: Frame, around: Surroundings, ticks: Ticks, base: float, theme: Theme) -> None:
    plot, size = frame.plot, theme.tick_size
    if around.x.grid and plot.height:
        for value in (*ticks.values, *ticks.minor):
            x = _crisp(plot.x + frame.x.place(value) * plot.width)
            faint = 0.5 if value in ticks.minor else 1.0
            frame.back.append(Rect(x, plot.y, 1.0, plot.height, theme.grid, faint))
    frame.front.append(Rect(plot.x, base, plot.width, 1.0, theme.axis))
    for value, label in zip(ticks.values, ticks.labels, strict=True):
        x = plot.x + frame.x.place(value) * plot.width
        frame.front.append(Rect(_crisp(x), base, 1.0, _TICK, theme.axis))
        frame.front.append(Text(x, base + _TICK + size * 1.1, label, size, theme.muted, "middle"))


def _draw_y_axis(frame: Frame, axis: Axis, ticks: Ticks, box: Box, theme: Theme) -> None:
    plot, size = frame.plot, theme.tick_size
    if axis.grid:
        for value in (*ticks.values, *ticks.minor):
            y = _crisp(plot.bottom - frame.y.place(value) * plot.height)
            faint = 0.5 if value in ticks.minor else 1.0
            frame.back.append(Rect(plot.x, y, plot.width, 1.0, theme.grid, faint))
    for value, label in zip(ticks.values, ticks.labels, strict=True):
        y = plot.bottom - frame.y.place(value) * plot.height
        frame.front.append(Text(plot.x - 8, y + CAP_HEIGHT * size / 2, label, size, theme.muted, "end"))
    if ticks.offset:
        frame.front.append(Text(plot.x, plot.y - size * 0.5, _signed(ticks.offset), size, theme.muted))
    if title := axis.title():
        middle = plot.y + plot.height / 2
        room = 2 * min(middle - box.y, box.bottom - middle) - 2 * _pad(theme)
        text = shorten(title, theme.font_size, room)
        x = box.x + _pad(theme) + theme.font_size * 0.75
        frame.front.append(Text(x, middle, text, theme.font_size, theme.text, "middle", vertical=True))


def _draw_texts(frame: Frame, heights: _Heights, ticks: Ticks, box: Box, base: float, theme: Theme) -> None:
    plot, pad = frame.plot, _pad(theme)
    y = box.y + pad
    for line in heights.titles:
        frame.front.append(Text(plot.x, y + theme.title_size * 0.85, line, theme.title_size, theme.text))
        y += round(theme.title_size * 1.3)
    y += 4 if heights.titles else 0
    frame.front += legend_marks(heights.rows, plot.x, y, theme)
    y = base + _TICK + round(theme.tick_size * 1.5)
    right = box.right - pad
    if ticks.offset:
        text = _signed(ticks.offset)
        frame.front.append(Text(right, y + theme.font_size, text, theme.tick_size, theme.muted, "end"))
        right -= measure(text, theme.tick_size) + pad
    if heights.x_title:
        middle = plot.x + plot.width / 2
        room = 2 * min(middle - box.x - pad, right - middle)
        text = shorten(heights.x_title, theme.font_size, room)
        frame.front.append(Text(middle, y + theme.font_size, text, theme.font_size, theme.text, "middle"))
    if heights.x_title or ticks.offset:
        y += round(theme.font_size * 1.5)
    y += 4
    for line in heights.notes:
        y += round(theme.tick_size * 1.4)
        frame.front.append(Text(plot.x, y - theme.tick_size * 0.35, line, theme.tick_size, theme.muted))
