"""A drawing as pixels.

Pillow is loaded by the first picture, not before. Shapes are drawn as masks several times as fine as the picture and
then averaged, which smooths their edges. One mask covers a whole mark, so that its opacity is applied once, however
often the mark crosses itself.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
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
from trainlog.draw.paths import dashed
from trainlog.draw.text import MISSING_GLYPH, transliterate

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

__all__ = ["png", "rasterize"]

_MAX_SUBPIXELS = 8
# Glyphs that the font lacks and that are drawn as rectangles, with their widths.
_DRAWN_GLYPHS = {"−": 0.58, "–": 0.56, MISSING_GLYPH: 0.62}
_DRAWN_GLYPH = re.compile(f"([{''.join(_DRAWN_GLYPHS)}])")


def png(drawing: Drawing, scale: float = 2) -> bytes:
    """The drawing as a PNG of ``scale`` times its size.

    The same drawing is the same pixels everywhere, and the same bytes wherever Pillow is of the same version.

    Raises:
        ValueError: unless ``scale`` lies between 0.25 and 8.

    """
    file = io.BytesIO()
    rasterize(drawing, scale).save(file, "PNG", compress_level=4)
    return file.getvalue()


def rasterize(drawing: Drawing, scale: float = 1, subpixels: int | None = None) -> Image.Image:
    """The drawing as an RGB image of ``scale`` times its size, smoothed with ``subpixels`` per side of a pixel."""
    from PIL import Image

    if not 0.25 <= scale <= 8:
        raise ValueError(f"a picture can be scaled by 0.25 to 8, not by {scale!r}")
    size = (max(round(drawing.width * scale), 1), max(round(drawing.height * scale), 1))
    image = Image.new("RGB", size, rgb(drawing.background))
    canvas = _Canvas(image, scale, subpixels or max(2, round(_MAX_SUBPIXELS / scale)))
    canvas.draw(drawing.marks, Box(0, 0, drawing.width, drawing.height))
    return image


class _Mask:
    """A fine mask of a part of the image. Shapes are given in pixels of the drawing."""

    def __init__(self, area: tuple[int, int, int, int], scale: float, subpixels: int) -> None:
        from PIL import Image, ImageDraw

        left, top, right, bottom = area
        self.image = Image.new("L", ((right - left) * subpixels, (bottom - top) * subpixels))
        self._pen = ImageDraw.Draw(self.image)
        self._scale = scale * subpixels
        self._origin = np.array([left, top], dtype=np.float64) * subpixels

    def _to_mask(self, points: FloatArray) -> FloatArray:
        return points * self._scale - self._origin

    def lines(self, lines: Sequence[FloatArray], width: float, is_round: bool) -> None:
        thickness = max(round(width * self._scale), 1)
        for points in lines:
            if len(points) > 1:
                placed = np.floor(self._to_mask(points) + 1e-6)
                self._pen.line(placed.reshape(-1).tolist(), fill=255, width=thickness)
            if is_round and thickness > 2:
                self.discs(points, width / 2)

    def discs(self, points: FloatArray, radius: float) -> None:
        radius = max(radius * self._scale, 0.5)
        for x, y in np.floor(self._to_mask(points) + 1e-6).tolist():
            self._pen.ellipse((x - radius, y - radius, x + radius - 1, y + radius - 1), fill=255)

    def polygons(self, rings: Sequence[FloatArray]) -> None:
        for points in rings:
            self._pen.polygon((self._to_mask(points) - 0.5).reshape(-1).tolist(), fill=255)

    def rectangle(self, corners: FloatArray) -> None:
        (left, top), (right, bottom) = np.round(self._to_mask(corners)).tolist()
        self._pen.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), fill=255)


class _Canvas:
    """An image on which marks are drawn one after the other."""

    def __init__(self, image: Image.Image, scale: float, subpixels: int) -> None:
        self._image, self._scale, self._subpixels = image, scale, subpixels

    def draw(self, marks: Sequence[Mark], clip: Box) -> None:
        """Draw the parts of the marks that lie inside of ``clip``."""
        for mark in marks:
            match mark:
                case Polyline():
                    lines = pieces(mark)
                    if mark.dash:
                        lines = [dash for line in lines for dash in dashed(line, mark.dash)]
                    shape = partial(_Mask.lines, lines=lines, width=mark.width, is_round=not mark.dash)
                    self._blend(shape, mark.points, mark.width / 2 + 1, mark.color, mark.opacity, clip)
                case Polygon():
                    shape = partial(_Mask.polygons, rings=pieces(mark))
                    self._blend(shape, mark.points, 1, mark.color, mark.opacity, clip)
                case Rect():
                    self._rect(mark, clip)
                case Dots():
                    shape = partial(_Mask.discs, points=mark.points, radius=mark.radius)
                    self._blend(shape, mark.points, mark.radius + 1, mark.color, mark.opacity, clip)
                case Text():
                    self._text(mark)
                case Cells():
                    self._cells(mark)
                case Clip():
                    self.draw(mark.marks, mark.box.intersection(clip))

    def _blend(
        self, shape: Callable[[_Mask], None], points: FloatArray, margin: float, color: Color, opacity: float, clip: Box
    ) -> None:
        """Blend a shape, which lies within ``margin`` of its points, once."""
        if not len(points) or opacity <= 0:
            return
        low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
        box = Box(low[0], low[1], high[0] - low[0], high[1] - low[1]).intersection(clip)
        area = (
            max(math.floor(box.x * self._scale + 1e-6), 0),
            max(math.floor(box.y * self._scale + 1e-6), 0),
            min(math.ceil(box.right * self._scale - 1e-6), self._image.width),
            min(math.ceil(box.bottom * self._scale - 1e-6), self._image.height),
        )
        if area[2] <= area[0] or area[3] <= area[1]:
            return
        mask = _Mask(area, self._scale, self._subpixels)
        shape(mask)
        smooth = mask.image.reduce(self._subpixels)
        if opacity < 1:
            smooth = smooth.point([math.floor(level * opacity + 0.5) for level in range(256)])
        self._image.paste(rgb(color), area, smooth)

    def _rect(self, mark: Rect, clip: Box) -> None:
        box = Box(mark.x, mark.y, mark.width, mark.height).intersection(clip)
        corners = np.array([[box.x, box.y], [box.right, box.bottom]])
        edges = corners.reshape(-1) * self._scale
        if mark.opacity >= 1 and np.array_equal(edges, np.round(edges)):
            self._image.paste(rgb(mark.color), tuple(map(int, edges)))  # type: ignore[arg-type]
        else:
            self._blend(partial(_Mask.rectangle, corners=corners), corners, 0, mark.color, mark.opacity, clip)

    def _cells(self, mark: Cells) -> None:
        from PIL import Image

        colors = np.array([rgb(color) for color in mark.palette], dtype=np.uint8)
        box = mark.box
        left, top, right, bottom = (round(edge * self._scale) for edge in (box.x, box.y, box.right, box.bottom))
        size = (max(right - left, 1), max(bottom - top, 1))
        cells = Image.fromarray(colors[mark.index]).resize(size, Image.Resampling.NEAREST)
        self._image.paste(cells, (left, top))

    def _text(self, mark: Text) -> None:
        from PIL import Image, ImageDraw

        size = mark.size * self._scale
        font = _font(round(size, 2))
        runs = [run for run in _DRAWN_GLYPH.split(transliterate(mark.text)) if run]
        widths = [size * _DRAWN_GLYPHS[run] if run in _DRAWN_GLYPHS else font.getlength(run) for run in runs]
        length = sum(widths)
        offset = {"start": 0.0, "middle": length / 2, "end": length}[mark.anchor]
        x, y = mark.x * self._scale, mark.y * self._scale
        start = (-y if mark.vertical else x) - offset  # along the base line
        base = x if mark.vertical else y
        left, top = math.floor(start) - 2, math.floor(base - size * 1.1)
        mask = Image.new("L", (math.ceil(length) + 6, math.ceil(size * 1.5) + 2))
        pen = ImageDraw.Draw(mask)
        run_x, run_y = start - left, base - top
        for run, width in zip(runs, widths, strict=True):
            if run in _DRAWN_GLYPHS:
                _draw_glyph(pen, run, run_x, run_y, size)
            else:
                pen.text((run_x, run_y), run, fill=255, font=font, anchor="ls")
            run_x += width
        if mark.vertical:
            mask = mask.transpose(Image.Transpose.ROTATE_90)
            left, top = top, -left - mask.height
        self._image.paste(rgb(mark.color), (left, top), mask)


def _draw_glyph(pen: ImageDraw.ImageDraw, glyph: str, x: float, base: float, size: float) -> None:
    """Draw the minus sign, the dash, or the box for letters that cannot be transliterated."""
    thickness = max(round(size * 0.07), 1)
    if glyph == MISSING_GLYPH:
        box = (round(x + size * 0.06), round(base - size * 0.69), round(x + size * 0.54), round(base))
        pen.rectangle(box, outline=255, width=thickness)
    else:
        top = round(base - size * (0.34 if glyph == "−" else 0.28))
        pen.rectangle((round(x + size * 0.08), top, round(x + size * 0.48), top + thickness - 1), fill=255)


@lru_cache(maxsize=64)
def _font(size: float) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("this Pillow was built without FreeType, which the letters of a picture need")
    return font
