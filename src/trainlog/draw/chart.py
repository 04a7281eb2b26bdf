"""What a chart says: curves and the like over two axes. Nothing in here knows of pixels but widths and sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainlog.draw.color import Color, parse_color
from trainlog.draw.drawing import FloatArray, IntArray
from trainlog.draw.scale import Range, check_range
from trainlog.draw.values import as_column, as_points

__all__ = ["Band", "Chart", "ChartMark", "HLine", "Line", "Scatter", "Strip", "VLine"]


def _optional_color(color: object) -> Color | None:
    return None if color is None else parse_color(color)


def _positive(value: float, name: str) -> float:
    if not 0 < value <= 1000:
        raise ValueError(f"{name} must be a positive number of pixels up to 1000, not {value!r}")
    return float(value)


def _share(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"opacity must lie between 0 and 1, not {value!r}")
    return float(value)


def _dash(dash: Iterable[float] | None) -> tuple[float, ...] | None:
    return None if dash is None else tuple(_positive(length, "a dash") for length in dash)


class Line:
    """A curve through the points (x, y); NaN is a gap in it.

    ``x`` and ``y`` are (n,) of any numeric type, ``x=None`` is the index 0 … n-1. ``width`` is in pixels,
    ``dash`` is lengths in pixels, drawn and left out in turn. Without a ``color`` it takes the next one of the
    theme.

    Raises `ValueError` when x and y differ in length or are no numbers, and for a wrong colour, width,
    opacity or dash.
    """

    __slots__ = ("color", "dash", "label", "opacity", "width", "x", "y")

    def __init__(
        self,
        x: ArrayLike | None,
        y: ArrayLike,
        label: str = "",
        color: Color | None = None,
        width: float = 1.75,
        opacity: float = 1.0,
        dash: Iterable[float] | None = None,
    ) -> None:
        self.x, self.y = as_points(x, y)
        self.label = label
        self.color = _optional_color(color)
        self.width = _positive(width, "width")
        self.opacity = _share(opacity)
        self.dash = _dash(dash)


class Band:
    """The area between ``low`` and ``high`` (n,) over ``x``, as of a spread over seeds; NaN is a gap in it.

    Without a ``color``, the n-th such band of a chart takes the colour of its n-th `Line`.
    """

    __slots__ = ("color", "high", "label", "low", "opacity", "x")

    def __init__(
        self,
        x: ArrayLike | None,
        low: ArrayLike,
        high: ArrayLike,
        label: str = "",
        color: Color | None = None,
        opacity: float = 0.2,
    ) -> None:
        self.x, self.low = as_points(x, low)
        self.high = as_column(high, "high")
        if len(self.high) != len(self.low):
            raise ValueError(
                f"low has {len(self.low)} values and high has {len(self.high)}: they must be of one length"
            )
        self.label = label
        self.color = _optional_color(color)
        self.opacity = _share(opacity)


class HLine:
    """A threshold: a dashed line all across the chart at ``value``."""

    __slots__ = ("color", "label", "value")

    def __init__(self, value: float, label: str = "", color: Color | None = None) -> None:
        self.value = float(value)
        self.label = label
        self.color = _optional_color(color)


class VLine:
    """An event: an upright line at ``x``, or at every one of several ``x`` (n,)."""

    __slots__ = ("color", "label", "x")

    def __init__(self, x: ArrayLike, label: str = "", color: Color | None = None) -> None:
        self.x = as_column(np.atleast_1d(np.asarray(x)), "x")
        self.label = label
        self.color = _optional_color(color)


class Scatter:
    """Dots at (x, y), ``size`` pixels across."""

    __slots__ = ("color", "label", "opacity", "size", "x", "y")

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
        self.size = _positive(size, "size")
        self.opacity = _share(opacity)


class Strip:
    """What was the case when: ``labels[i]`` holds from ``x[i]`` until the next ``x``, the last until the end.

    It gets a lane of its own below the chart, which ``label`` names. ``x`` (n,) are numbers (``None`` is the
    index) and ``labels`` (n,) anything that can be written; ``None`` and NaN leave the lane empty. ``colors``
    maps labels to colours, or is a sequence of colours for the labels in the order of their first appearance.

    Raises `ValueError` when x and labels differ in length, and for a wrong colour.
    """

    __slots__ = ("category", "colors", "label", "names", "x")

    x: FloatArray
    """Where each stretch begins, increasing."""
    category: IntArray
    """Which of the names holds there; -1 is none."""
    names: tuple[str, ...]

    def __init__(
        self,
        x: ArrayLike | None,
        labels: Sequence[Any] | NDArray[Any],
        colors: Mapping[Any, Color] | Sequence[Color] | None = None,
        label: str = "",
    ) -> None:
        words = np.asarray(labels)
        if words.ndim != 1 or words.dtype.kind not in "biuUSO":
            words = np.empty(len(labels), dtype=object)
            words[:] = list(labels)
        places, _ = as_points(x, np.zeros(len(words)))
        finite = np.isfinite(places)
        places, words = places[finite], words[finite]
        if (places[1:] < places[:-1]).any():
            order = np.argsort(places, kind="stable")
            places, words = places[order], words[order]
        begins = np.concatenate((np.ones(min(len(words), 1), dtype=bool), words[1:] != words[:-1]))
        # The last place is kept as well: it says how far the strip reaches.
        self.x = np.append(places[begins], places[-1:])
        found: dict[Any, int] = {None: -1}
        runs = [found.setdefault(word if word == word else None, len(found) - 1) for word in words[begins].tolist()]
        self.category = np.array(runs, dtype=np.intp)
        del found[None]
        self.names = tuple(word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word) for word in found)
        self.label = label
        if colors is None:
            self.colors: tuple[Color | None, ...] = (None,) * len(found)
        elif isinstance(colors, Mapping):
            self.colors = tuple(_optional_color(colors.get(word)) for word in found)
        else:
            given = [parse_color(color) for color in colors]
            self.colors = tuple(given[n] if n < len(given) else None for n in range(len(found)))


ChartMark: TypeAlias = Line | Band | HLine | VLine | Strip | Scatter


@dataclass(frozen=True, kw_only=True, eq=False)
class Chart:
    """Marks over two axes.

    ``x_unit`` and ``y_unit`` are added to the labels; the unit ``"s"`` names times as s, min, h and d. The
    ranges are ``(low, high)`` in values, with ``None`` for an end that the data decide. What the axis cannot
    show (NaN, infinities, values that are not positive on a log axis) is counted below the ``caption``.

    Raises `ValueError` for a range that is not two finite numbers in order, positive on a log axis, and for a
    mark that is none.
    """

    title: str = ""
    x_label: str = ""
    y_label: str = ""
    x_unit: str | None = None
    y_unit: str | None = None
    x_log: bool = False
    y_log: bool = False
    x_range: Range | None = None
    y_range: Range | None = None
    caption: str = ""
    marks: Sequence[ChartMark] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "marks", tuple(self.marks))
        object.__setattr__(self, "x_range", check_range(self.x_range, "x_range", self.x_log))
        object.__setattr__(self, "y_range", check_range(self.y_range, "y_range", self.y_log))
        for mark in self.marks:
            if not isinstance(mark, ChartMark):
                raise ValueError(
                    f"a chart is made of Line, Band, HLine, VLine, Strip and Scatter, not {type(mark).__name__}"
                )
