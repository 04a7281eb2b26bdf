"""A chart as data: lines and other marks over two axes. The only pixels here are widths and sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainlog.draw.color import Color, parse_color
from trainlog.draw.data import as_column, as_points
from trainlog.draw.scale import Range, check_range

__all__ = ["Band", "Chart", "ChartMark", "HLine", "Line", "Panel", "Scatter", "StateTimeline", "VLine"]


def _optional_color(color: object) -> Color | None:
    return None if color is None else parse_color(color)


def _checked_length(value: float, name: str) -> float:
    if not 0 < value <= 1000:
        raise ValueError(f"{name} must be a positive number of pixels up to 1000, not {value!r}")
    return float(value)


def _checked_opacity(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"opacity must lie between 0 and 1, not {value!r}")
    return float(value)


class Line:
    """A line through the points (x, y).

    Args:
        x: (n,) of any numeric type; None for the index 0 … n-1.
        y: (n,) of any numeric type; NaN is a gap in the line.
        label: the label in the legend.
        color: the colour; None for the next one of the theme.
        width: the width in pixels.
        opacity: from 0 to 1.
        dash: lengths in pixels, alternately drawn and left out.
        stairs: whether each value holds until the next point, as for flags and counters.

    Raises:
        ValueError: when x and y differ in length or are not numbers, and for a wrong colour, width, opacity or dash.

    """

    def __init__(
        self,
        x: ArrayLike | None,
        y: ArrayLike,
        label: str = "",
        color: Color | None = None,
        width: float = 1.75,
        opacity: float = 1.0,
        dash: Iterable[float] | None = None,
        stairs: bool = False,
    ) -> None:
        self.x, self.y = as_points(x, y)
        self.stairs = stairs
        self.label = label
        self.color = _optional_color(color)
        self.width = _checked_length(width, "width")
        self.opacity = _checked_opacity(opacity)
        self.dash = None if dash is None else tuple(_checked_length(length, "a dash") for length in dash)


class Band:
    """The area between ``low`` and ``high`` (n,) over ``x``, such as a spread over seeds; NaN is a gap in it.

    Without a ``color``, the n-th such band of a chart has the colour of its n-th `Line`. The y axis shows the band at
    the points that are True in ``fit`` (n,), by default at all; elsewhere the edge of the chart may cut it off.
    """

    def __init__(
        self,
        x: ArrayLike | None,
        low: ArrayLike,
        high: ArrayLike,
        label: str = "",
        color: Color | None = None,
        opacity: float = 0.2,
        fit: ArrayLike | None = None,
    ) -> None:
        self.x, self.low = as_points(x, low)
        self.high = as_column(high, "high")
        self.fit = np.ones(len(self.low), np.bool_) if fit is None else np.asarray(fit, np.bool_)
        for name, values in (("high", self.high), ("fit", self.fit)):
            if values.shape != self.low.shape:
                raise ValueError(
                    f"low has {len(self.low)} values and {name} has {values.size}: they must have the same length"
                )
        self.label = label
        self.color = _optional_color(color)
        self.opacity = _checked_opacity(opacity)


class HLine:
    """A threshold: a dashed horizontal line across the whole chart at ``value``."""

    def __init__(self, value: float, label: str = "", color: Color | None = None) -> None:
        self.value = float(value)
        self.label = label
        self.color = _optional_color(color)


class VLine:
    """An event: a vertical line at ``x``, or at each of several ``x`` (n,); frequent ones are a rug of short ticks."""

    def __init__(self, x: ArrayLike, label: str = "", color: Color | None = None) -> None:
        self.x = as_column(np.atleast_1d(x), "x")
        self.label = label
        self.color = _optional_color(color)


class Scatter:
    """Dots at (x, y), ``size`` pixels across."""

    def __init__(
        self,
        x: ArrayLike | None,
        y: ArrayLike,
        label: str = "",
        color: Color | None = None,
        size: float = 5.0,
        opacity: float = 0.85,
    ) -> None:
        self.x, self.y = as_points(x, y)
        self.label = label
        self.color = _optional_color(color)
        self.size = _checked_length(size, "size")
        self.opacity = _checked_opacity(opacity)


class StateTimeline:
    """States over time: ``labels[i]`` holds from ``x[i]`` until the next ``x``, the last until the end of the axis.

    Every timeline is a separate row below the chart. ``x`` (n,) are numbers, or None for the index. ``labels`` (n,)
    have any type with a text form; None and NaN leave the row empty. ``colors`` maps labels to colours, or is a
    sequence of colours for the labels in the order of their first appearance.

    Attributes:
        x: where each run of one state begins, increasing, and finally the last place.
        category: the index of the name of each run; -1 for none.
        names: the texts of the labels.
        colors: the colours of the names; None for those of the theme.
        label: the label of the row.

    Raises:
        ValueError: when x and labels differ in length, and for a wrong colour.

    """

    def __init__(
        self,
        x: ArrayLike | None,
        labels: Sequence[Any] | NDArray[Any],
        colors: Mapping[Any, Color] | Sequence[Color] | None = None,
        label: str = "",
    ) -> None:
        states = np.asarray(labels)
        if states.ndim != 1 or states.dtype.kind not in "biuUSO":
            states = np.empty(len(labels), dtype=object)
            states[:] = list(labels)
        places, _ = as_points(x, np.zeros(len(states)))
        finite = np.isfinite(places)
        places, states = places[finite], states[finite]
        if (places[1:] < places[:-1]).any():
            order = np.argsort(places, kind="stable")
            places, states = places[order], states[order]
        begins = np.concatenate((np.ones(min(len(states), 1), dtype=bool), states[1:] != states[:-1]))
        # The axis must show the last place as well.
        self.x = np.append(places[begins], places[-1:])
        indices: dict[Any, int] = {None: -1}
        runs = states[begins].tolist()
        category = [indices.setdefault(state if state == state else None, len(indices) - 1) for state in runs]
        self.category = np.array(category, dtype=np.intp)
        del indices[None]
        self.names = tuple(
            state.decode("utf-8", "replace") if isinstance(state, bytes) else str(state) for state in indices
        )
        self.label = label
        self.colors: tuple[Color | None, ...]
        if isinstance(colors, Mapping):
            self.colors = tuple(_optional_color(colors.get(state)) for state in indices)
        else:
            given = [] if colors is None else [parse_color(color) for color in colors]
            self.colors = tuple(given[n] if n < len(given) else None for n in range(len(indices)))


ChartMark: TypeAlias = Line | Band | HLine | VLine | StateTimeline | Scatter


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """A figure with one pair of axes.

    Values that the axes cannot show (NaN, infinities, values that are not positive on a log axis) are counted below
    the caption.

    Attributes:
        title: the text above the plot.
        x_label, y_label: the labels of the axes.
        x_unit, y_unit: the units in brackets after the labels; ``"s"`` writes times as s, min, h and d instead.
        x_range, y_range: ``(low, high)`` in values; None for a limit that follows from the data.
        caption: the text below the plot.

    """

    title: str = ""
    x_label: str = ""
    y_label: str = ""
    x_unit: str | None = None
    y_unit: str | None = None
    x_range: Range | None = None
    y_range: Range | None = None
    caption: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Chart(Panel):
    """Marks over two axes.

    Attributes:
        x_log, y_log: whether the axes are logarithmic.
        y_ticks: values of the y axis with their labels, such as names; None for round numbers.
        marks: lines and other marks.

    Raises:
        ValueError: for a range that is not two finite numbers in order, positive on a log axis, and for an object that
            is not a mark.

    """

    x_log: bool = False
    y_log: bool = False
    y_ticks: Sequence[tuple[float, str]] | None = None
    marks: Sequence[ChartMark] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "marks", tuple(self.marks))
        object.__setattr__(self, "x_range", check_range(self.x_range, "x_range", self.x_log))
        object.__setattr__(self, "y_range", check_range(self.y_range, "y_range", self.y_log))
        for mark in self.marks:
            if not isinstance(mark, ChartMark):
                raise ValueError(
                    f"a chart is made of Line, Band, HLine, VLine, StateTimeline and Scatter, not {type(mark).__name__}"
                )
