"""A drawing as pixels.

Pillow is loaded by the first picture, not before. Shapes are drawn as masks several times as fine as the
picture and then averaged, which smooths their edges. A mask covers all of a mark, so that its opacity is
applied once, however often the mark crosses itself.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from trainlog.draw.color import Color, rgb
from trainlog.draw.drawing import (
    Box,
    Cells,
    Clip,
    Dots,
    Drawing,
    FloatArray,
    Mark,
    Polygon,
    Polyline,
    Rect,
    Text,
    pieces,
)
from trainlog.draw.stroke import dashed
from trainlog.draw.text import MISSING, spell

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

__all__ = ["png", "rasterize"]

_FINEST = 8  # parts of one pixel of the drawing
_DRAWN = re.compile(f"([−–{MISSING}])")


def png(drawing: Drawing, scale: float = 2) -> bytes:
    """The drawing as a PNG of ``scale`` times its size.

    The same drawing is the same pixels everywhere, and the same bytes wherever Pillow is of the same version.
    Raises `ValueError` unless ``scale`` lies between 0.25 and 8.
    """
    file = io.BytesIO()
    rasterize(drawing, scale).save(file, "PNG", compress_level=4)
    return file.getvalue()


def rasterize(drawing: Drawing, scale: float = 1, fineness: int | None = None) -> Image.Image:
    """The drawing as an RGB image of ``scale`` times its size.

    ``fineness`` is the number of parts that a side of a pixel is cut into for smooth edges.
    """
    from PIL import Image

    if not 0.25 <= scale <= 8:
        raise ValueError(f"a picture can be scaled by 0.25 to 8, not by {scale!r}")
    size = (max(round(drawing.width * scale), 1), max(round(drawing.height * scale), 1))
    image = Image.new("RGB", size, rgb(drawing.background))
    canvas = _Canvas(image, scale, fineness or max(2, round(_FINEST / scale)))
    canvas.draw(drawing.marks, Box(0, 0, drawing.width, drawing.height))
    return image


_Shape = Callable[["_Mask"], None]


class _Mask:
    """A fine mask over a part of the picture, to draw shapes on that are given in units of the drawing."""

    def __init__(self, area: tuple[int, int, int, int], scale: float, fineness: int) -> None:
        from PIL import Image, ImageDraw

        left, top, right, bottom = area
        self.image = Image.new("L", ((right - left) * fineness, (bottom - top) * fineness))
        self.pen = ImageDraw.Draw(self.image)
        self.scale = scale * fineness
        self.origin = np.array([left, top], dtype=np.float64) * fineness

    def _place(self, points: FloatArray) -> FloatArray:
        return points * self.scale - self.origin

    def line(self, points: FloatArray, width: float, joints: bool) -> None:
        """A stroke, round at ends and joints unless it has none."""
        thick = max(round(width * self.scale), 1)
        placed = np.floor(self._place(points) + 1e-6)
        if len(points) > 1:
            self.pen.line(placed.reshape(-1).tolist(), fill=255, width=thick)
        if joints and thick > 2:
            self.discs(points, width / 2)

    def discs(self, points: FloatArray, radius: float) -> None:
        """Discs around points."""
        reach = max(radius * self.scale, 0.5)
        for x, y in np.floor(self._place(points) + 1e-6).tolist():
            self.pen.ellipse((x - reach, y - reach, x + reach - 1, y + reach - 1), fill=255)

    def ring(self, points: FloatArray) -> None:
        """A filled ring."""
        self.pen.polygon((self._place(points) - 0.5).reshape(-1).tolist(), fill=255)

    def box(self, x: float, y: float, width: float, height: float) -> None:
        """A filled rectangle."""
        corners = np.array([[x, y], [x + width, y + height]])
        (left, top), (right, bottom) = np.round(self._place(corners)).tolist()
        self.pen.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), fill=255)


class _Canvas:
    """An image on which marks are laid one after the other."""

    def __init__(self, image: Image.Image, scale: float, fineness: int) -> None:
        self.image, self.scale, self.fineness = image, scale, fineness

    def draw(self, marks: Sequence[Mark], clip: Box) -> None:
        """Lay all marks on the image, as far as they lie inside of ``clip``."""
        for mark in marks:
            match mark:
                case Polyline():
                    self._polyline(mark, clip)
                case Polygon():
                    rings = pieces(mark)
                    self._shape(mark.points, 1, mark.color, mark.opacity, clip, _each_ring(rings))
                case Rect():
                    self._rect(mark, clip)
                case Dots():
                    self._shape(
                        mark.points,
                        mark.radius + 1,
                        mark.color,
                        mark.opacity,
                        clip,
                        lambda mask, mark=mark: mask.discs(mark.points, mark.radius),  # type: ignore[misc]
                    )
                case Text():
                    self._text(mark)
                case Cells():
                    self._cells(mark, clip)
                case Clip():
                    self.draw(mark.marks, _overlap(mark.box, clip))

    def _shape(self, points: FloatArray, reach: float, color: Color, opacity: float, clip: Box, shape: _Shape) -> None:
        """Blend a shape that lies within ``reach`` of its points, once."""
        if not len(points) or opacity <= 0:
            return
        low, high = points.min(axis=0) - reach, points.max(axis=0) + reach
        box = _overlap(Box(low[0], low[1], high[0] - low[0], high[1] - low[1]), clip)
        area = (
            max(math.floor(box.x * self.scale + 1e-6), 0),
            max(math.floor(box.y * self.scale + 1e-6), 0),
            min(math.ceil(box.right * self.scale - 1e-6), self.image.width),
            min(math.ceil(box.bottom * self.scale - 1e-6), self.image.height),
        )
        if area[2] <= area[0] or area[3] <= area[1]:
            return
        mask = _Mask(area, self.scale, self.fineness)
        shape(mask)
        smooth = mask.image.reduce(self.fineness)
        if opacity < 1:
            smooth = smooth.point([math.floor(level * opacity + 0.5) for level in range(256)])
        self.image.paste(rgb(color), area, smooth)

    def _polyline(self, mark: Polyline, clip: Box) -> None:
        strokes = pieces(mark)
        if mark.dash:
            strokes = [part for stroke in strokes for part in dashed(stroke, mark.dash)]

        def shape(mask: _Mask) -> None:
            for stroke in strokes:
                mask.line(stroke, mark.width, joints=not mark.dash)

        self._shape(mark.points, mark.width / 2 + 1, mark.color, mark.opacity, clip, shape)

    def _rect(self, mark: Rect, clip: Box) -> None:
        box = _overlap(Box(mark.x, mark.y, mark.width, mark.height), clip)
        corners = np.array([[box.x, box.y], [box.right, box.bottom]])
        edges = corners.reshape(-1) * self.scale
        if mark.opacity >= 1 and np.array_equal(edges, np.round(edges)):
            self.image.paste(rgb(mark.color), tuple(map(int, edges)))  # type: ignore[arg-type]
            return
        self._shape(
            corners,
            0,
            mark.color,
            mark.opacity,
            clip,
            lambda mask: mask.box(box.x, box.y, box.width, box.height),
        )

    def _cells(self, mark: Cells, clip: Box) -> None:
        from PIL import Image

        colors = np.array([rgb(color) for color in mark.palette], dtype=np.uint8)
        box = mark.box
        left, top, right, bottom = (round(edge * self.scale) for edge in (box.x, box.y, box.right, box.bottom))
        size = (max(right - left, 1), max(bottom - top, 1))
        cells = Image.fromarray(colors[mark.index]).resize(size, Image.Resampling.NEAREST)
        self.image.paste(cells, (left, top))

    def _text(self, mark: Text) -> None:
        from PIL import Image, ImageDraw

        size = mark.size * self.scale
        font = _font(round(size, 2))
        runs = [run for run in _DRAWN.split(spell(mark.text)) if run]
        widths = [size * _DRAWN_WIDTH[run] if run in _DRAWN_WIDTH else font.getlength(run) for run in runs]
        length = sum(widths)
        back = {"start": 0.0, "middle": length / 2, "end": length}[mark.anchor]
        x, y = mark.x * self.scale, mark.y * self.scale
        start = (-y if mark.vertical else x) - back  # along the base line
        base = x if mark.vertical else y
        left, top = math.floor(start) - 2, math.floor(base - size * 1.1)
        mask = Image.new("L", (math.ceil(length) + 6, math.ceil(size * 1.5) + 2))
        pen = ImageDraw.Draw(mask)
        at, line = start - left, base - top
        for run, width in zip(runs, widths, strict=True):
            if run in _DRAWN_WIDTH:
                _draw_letter(pen, run, at, line, size)
            else:
                pen.text((at, line), run, fill=255, font=font, anchor="ls")
            at += width
        if mark.vertical:
            mask = mask.transpose(Image.Transpose.ROTATE_90)
            left, top = top, -left - mask.height
        self.image.paste(rgb(mark.color), (left, top), mask)


def _each_ring(rings: Sequence[FloatArray]) -> _Shape:
    def shape(mask: _Mask) -> None:
        for ring in rings:
            mask.ring(ring)

    return shape


def _overlap(box: Box, other: Box) -> Box:
    left, top = max(box.x, other.x), max(box.y, other.y)
    right, bottom = min(box.right, other.right), min(box.bottom, other.bottom)
    return Box(left, top, max(right - left, 0.0), max(bottom - top, 0.0))


_DRAWN_WIDTH = {"−": 0.58, "–": 0.56, MISSING: 0.62}


def _draw_letter(pen: ImageDraw.ImageDraw, letter: str, x: float, base: float, size: float) -> None:
    """A letter that the font lacks: the minus sign, the dash, or the box for what cannot be spelt."""
    thick = max(round(size * 0.07), 1)
    if letter in "−–":
        top = round(base - size * (0.34 if letter == "−" else 0.28))
        pen.rectangle((round(x + size * 0.08), top, round(x + size * 0.48), top + thick - 1), fill=255)
    else:
        box = (round(x + size * 0.06), round(base - size * 0.69), round(x + size * 0.54), round(base))
        pen.rectangle(box, outline=255, width=thick)


@lru_cache(maxsize=64)
def _font(size: float) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("this Pillow was built without FreeType, which the letters of a picture need")
    return font
