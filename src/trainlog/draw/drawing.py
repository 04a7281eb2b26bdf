"""The elements of a picture: a closed set of marks, in pixels, with y growing downwards.

Layout makes marks, and back ends walk through them. A back end needs to know only this module. Nothing here knows what
the marks mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trainlog.draw.color import Color

__all__ = [
    "Box",
    "Cells",
    "Clip",
    "Dots",
    "Drawing",
    "FloatArray",
    "IntArray",
    "Mark",
    "Polygon",
    "Polyline",
    "Rect",
    "Text",
    "pieces",
]

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.intp]
BoolArray: TypeAlias = NDArray[np.bool_]


class Box(NamedTuple):
    """A rectangle on the picture: left, top, width and height."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The x of the right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """The y of the lower edge."""
        return self.y + self.height

    def expanded(self, margin: float) -> Box:
        """The box enlarged by ``margin`` on each of the four sides."""
        return Box(self.x - margin, self.y - margin, self.width + 2 * margin, self.height + 2 * margin)

    def overlaps(self, other: Box) -> bool:
        """Whether the boxes have an area in common."""
        return self.x < other.right and other.x < self.right and self.y < other.bottom and other.y < self.bottom

    def intersection(self, other: Box) -> Box:
        """The area that the boxes have in common; with zero width or height if they have none."""
        left, top = max(self.x, other.x), max(self.y, other.y)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Box(left, top, max(right - left, 0.0), max(bottom - top, 0.0))


class Polyline(NamedTuple):
    """One stroke through ``points`` (n, 2), round at joints and ends, with a uniform opacity.

    ``starts`` holds the index of the first point of every piece; None means one piece. A piece of a single point is a
    dot as wide as the stroke.
    """

    points: FloatArray
    color: Color
    width: float = 1.5
    opacity: float = 1.0
    dash: tuple[float, ...] = ()
    starts: IntArray | None = None


class Polygon(NamedTuple):
    """A filled area. Every piece (see `Polyline`) is a ring that closes by itself."""

    points: FloatArray
    color: Color
    opacity: float = 1.0
    starts: IntArray | None = None


class Rect(NamedTuple):
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float
    color: Color
    opacity: float = 1.0


class Dots(NamedTuple):
    """Filled discs of one radius around ``points`` (n, 2); overlaps are not darker."""

    points: FloatArray
    radius: float
    color: Color
    opacity: float = 1.0


class Text(NamedTuple):
    """One line of text. The point (x, y) is the start, middle or end of its baseline, according to ``anchor``.

    ``vertical`` text is rotated by 90 degrees to the left and reads upwards.
    """

    x: float
    y: float
    text: str
    size: float
    color: Color
    anchor: Literal["start", "middle", "end"] = "start"
    vertical: bool = False


class Cells(NamedTuple):
    """A box of (rows, columns) equal cells; ``color_index`` (uint8) is the place of each colour in ``palette``."""

    box: Box
    color_index: NDArray[np.uint8]
    palette: tuple[Color, ...]


class Clip(NamedTuple):
    """Marks of which only the part inside the box is visible."""

    box: Box
    marks: tuple[Mark, ...]


Mark: TypeAlias = Polyline | Polygon | Rect | Dots | Text | Cells | Clip


@dataclass(frozen=True, slots=True)
class Drawing:
    """A finished picture, ``width`` by ``height`` pixels, that `svg`, `png` and `gif` can write.

    ``title`` and ``description`` are for people who cannot see the picture.
    """

    width: int
    height: int
    background: Color
    marks: tuple[Mark, ...]
    title: str = ""
    description: str = ""


def pieces(mark: Polyline | Polygon) -> list[FloatArray]:
    """The pieces of a mark, each (n, 2)."""
    if mark.starts is None:
        return [mark.points] if len(mark.points) else []
    return [piece for piece in np.split(mark.points, mark.starts) if len(piece)]
