"""A drawing as pixels.

Pillow is loaded by the first picture, not before. Shapes are drawn as masks several times as fine as the picture and
then averaged, which smooths their edges. One mask covers a whole mark, so that its opacity is applied once, however
often the mark crosses itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
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
from trainlog.draw.fonts import EMOJI_SIZE, font_runs, is_emoji_font, load_font
from trainlog.draw.paths import dashed
from trainlog.draw.pixels import png_file

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["png", "rasterize"]

_MAX_SUBPIXELS = 8
_DPI = 96  # of a drawing: a pixel is that of CSS
_STRIP = 48.0  # pixels of a drawing
_STEPS = 4  # places of a letter within a pixel


def png(drawing: Drawing, scale: float = 2) -> bytes:
    """The drawing as a PNG of ``scale`` times its size, which says how many pixels are an inch.

    The same drawing is the same pixels everywhere as long as all of its letters are in Arimo, and the same bytes with
    the same versions of Pillow and zlib. Other letters depend on the fonts of the system, see `trainlog.draw.fonts`.

    Raises:
        ValueError: unless ``scale`` lies between 0.25 and 8.

    """
    return png_file(np.asarray(rasterize(drawing, scale)), dpi=_DPI * scale)


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
        self.subpixels = subpixels
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


def _is_dense(lines: Sequence[FloatArray], width: float) -> bool:
    """Whether lines, laid side by side, cover more than the box around them."""
    points = np.concatenate(lines) if lines else np.zeros((1, 2))
    length = sum(float(np.abs(np.diff(line, axis=0)).sum()) for line in lines)
    return length * width > 2 * float(np.prod(np.ptp(points, axis=0)))


def _strips(lines: list[FloatArray], clip: Box, margin: float) -> Iterator[tuple[Box, list[FloatArray]]]:
    """Upright parts of *clip* with the parts of lines that can be seen there: the mask of each is small.

    A line whose x goes back and forth is not divided.
    """
    width = clip.width / max(int(clip.width / _STRIP), 1)
    if sum(map(len, lines)) < 2 * _STRIP or any((np.diff(line[:, 0]) < 0).any() for line in lines):
        if lines:
            yield clip, lines
        return
    for n in range(round(clip.width / width)):
        # On whole pixels, of which no two strips have one in common.
        left, right = (math.floor(clip.x + (n + side) * width) if n + side else clip.x for side in (0, 1))
        right = clip.right if n + 1 == round(clip.width / width) else right
        ends = (left - margin, right + margin)
        parts = []
        for line in lines:
            first, last = np.searchsorted(line[:, 0], ends)
            if len(part := line[max(first - 1, 0) : last + 1]):
                parts.append(part)
        if parts:
            yield Box(left, clip.y, right - left, clip.height), parts


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
                    # A line that fills most of its area has few edges, and many pixels.
                    coarse = 2 if self._scale >= 2 and _is_dense(lines, mark.width) else None
                    margin = mark.width / 2 + 1
                    for strip, parts in _strips(lines, clip, 2 * margin):
                        shape = partial(_Mask.lines, lines=parts, width=mark.width, is_round=not mark.dash)
                        points = np.concatenate(parts)
                        self._blend(shape, points, margin, mark.color, mark.opacity, strip, coarse)
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
        self,
        shape: Callable[[_Mask], None],
        points: FloatArray,
        margin: float,
        color: Color,
        opacity: float,
        clip: Box,
        subpixels: int | None = None,
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
        mask = _Mask(area, self._scale, subpixels or self._subpixels)
        shape(mask)
        smooth = mask.image.reduce(mask.subpixels)
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
        size = mark.size * self._scale
        x, y = mark.x * self._scale, mark.y * self._scale
        along, base = (-y, x) if mark.vertical else (x, y)
        # Quarters of a pixel, so that equal labels of several figures are drawn once.
        length = _text_length(mark.text, size)
        start = math.floor((along - {"start": 0.0, "middle": length / 2, "end": length}[mark.anchor]) * _STEPS + 0.5)
        left, part = divmod(start, _STEPS)
        top = math.floor(base)
        mask, emoji, ascent = _text_mask(mark.text, size, part / _STEPS, math.floor((base - top) * _STEPS) / _STEPS)
        layers = [(mask, None)] if emoji is None else [(mask, None), (emoji.getchannel("A"), emoji)]
        for alpha, picture in layers:
            place = left - _MARGIN, top - ascent
            if mark.vertical:
                from PIL import Image

                alpha = alpha.transpose(Image.Transpose.ROTATE_90)
                picture = picture and picture.transpose(Image.Transpose.ROTATE_90)
                place = top - ascent, -left + _MARGIN - alpha.height
            self._image.paste(picture.convert("RGB") if picture else rgb(mark.color), place, alpha)


_MARGIN = 2  # pixels left of a text, for letters that begin before their place


def _text_length(text: str, size: float) -> float:
    scale = size / EMOJI_SIZE
    return sum(
        load_font(path, round(size, 2)).getlength(run) * (scale if is_emoji_font(path) else 1.0)
        for path, run in font_runs(text)
    )


@lru_cache(maxsize=2048)
def _text_mask(text: str, size: float, x: float, y: float) -> tuple[Image.Image, Image.Image | None, int]:
    """A line of text as a mask, its emoji in colour or None, and the height of the mask above the base line.

    The text begins at (x, y), which are parts of a pixel.
    """
    from PIL import Image, ImageDraw

    ascent = math.ceil(size * 1.15)
    box = (math.ceil(_text_length(text, size)) + 2 * _MARGIN + 2, ascent + math.ceil(size * 0.45))
    mask, emoji = Image.new("L", box), None
    pen = ImageDraw.Draw(mask)
    x += _MARGIN
    for path, run in font_runs(text):
        font = load_font(path, round(size, 2))
        if not is_emoji_font(path):
            pen.text((x, ascent + y), run, fill=255, font=font, anchor="ls")
            x += font.getlength(run)
            continue
        scale = size / EMOJI_SIZE
        large = Image.new("RGBA", (max(math.ceil(font.getlength(run)), 1), EMOJI_SIZE * 3 // 2))
        ImageDraw.Draw(large).text((0, EMOJI_SIZE), run, font=font, anchor="ls", embedded_color=True)
        small = large.resize((max(round(large.width * scale), 1), max(round(large.height * scale), 1)))
        emoji = emoji or Image.new("RGBA", box)
        emoji.paste(small, (round(x), round(ascent + y - size)))
        x += font.getlength(run) * scale
    return mask, emoji, ascent
