"""A drawing as pixels.

A picture is an array of pixels, into which marks are blended one after another. The share of each pixel that a mark
covers is computed (`trainlog.draw.coverage`) for the whole mark at once, so that its opacity is applied once, however
often the mark crosses itself. Pillow, which draws letters, is not loaded before the first text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainlog.draw.color import Color, rgb
from trainlog.draw.coverage import FULL, Tile, polygon_tiles, stroke_tiles
from trainlog.draw.drawing import (
    Box,
    Cells,
    Clip,
    Dots,
    Drawing,
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

_MAX_SLICES = 8  # of a column of pixels
_DPI = 96  # of a drawing: its pixels are CSS pixels
_STEPS = 4  # possible places of a letter within a pixel

Pixels = NDArray[np.uint8]
Weights = NDArray[np.uint16]


def png(drawing: Drawing, scale: float = 2) -> bytes:
    """The drawing as a PNG of ``scale`` times its size, with its resolution in pixels per inch.

    The same drawing gives the same pixels everywhere as long as all of its letters are in Arimo. Other letters depend
    on the fonts of the system; see `trainlog.draw.fonts`.

    Raises:
        ValueError: unless ``scale`` lies between 0.25 and 8.

    """
    return png_file(rasterize(drawing, scale), dpi=_DPI * scale)


def rasterize(drawing: Drawing, scale: float = 1) -> Pixels:
    """The drawing as RGB of ``scale`` times its size, uint8 of shape (height, width, 3)."""
    if not 0.25 <= scale <= 8:
        raise ValueError(f"a picture can be scaled by 0.25 to 8, not by {scale!r}")
    width, height = (max(round(side * scale), 1) for side in (drawing.width, drawing.height))
    rows = np.empty((height, 3 * width), np.uint8)
    rows[:] = _Canvas.paint(drawing.background, width)
    _Canvas(rows, scale).draw(drawing.marks, Box(0, 0, width, height))
    return rows.reshape(height, width, 3)


class _Canvas:
    """Pixels into which marks are drawn one after another, as flat rows of (3 * width,), which are fast."""

    def __init__(self, rows: Pixels, scale: float) -> None:
        self._rows, self._scale = rows, scale
        self._slices = min(max(2, round(_MAX_SLICES / scale)), _MAX_SLICES)

    def draw(self, marks: Sequence[Mark], clip: Box) -> None:
        """Draw the parts of the marks that lie inside ``clip``, in pixels."""
        scale, slices = self._scale, self._slices
        for mark in marks:
            match mark:
                case Polyline():
                    lines = [line * scale for line in pieces(mark)]
                    if mark.dash:
                        pattern = tuple(length * scale for length in mark.dash)
                        lines = [dash for line in lines for dash in dashed(line, pattern)]
                    # A line of zero width is visible as well.
                    width = max(mark.width * scale, 1 / slices)
                    self._fill(mark, stroke_tiles(lines, width, clip, slices, is_round=not mark.dash))
                case Polygon():
                    self._fill(mark, polygon_tiles([ring * scale for ring in pieces(mark)], clip, slices))
                case Dots():
                    dots = list((mark.points * scale)[:, None])
                    self._fill(mark, stroke_tiles(dots, max(2 * mark.radius * scale, 1.0), clip, slices))
                case Rect():
                    self._rect(mark, clip)
                case Text():
                    self._text(mark)
                case Cells():
                    self._cells(mark)
                case Clip():
                    box = Box(*(edge * scale for edge in mark.box))
                    self.draw(mark.marks, box.intersection(clip))

    @staticmethod
    @lru_cache(maxsize=64)
    def paint(color: Color, width: int) -> Pixels:
        """A row of one color."""
        return np.tile(np.array(rgb(color), np.uint8), width)

    def _fill(self, mark: Polyline | Polygon | Dots, tiles: Iterable[Tile]) -> None:
        paint = self.paint(mark.color, self._rows.shape[1] // 3)
        for x, y, coverage in tiles:
            self._blend(x, y, _of_channels(_faded(coverage, mark.opacity)), paint)

    def _blend(self, x: int, y: int, weight: Weights, paint: Pixels) -> None:
        """Blend *paint* into the pixels to the right of and below (x, y); a weight of `FULL` replaces them."""
        height, width = weight.shape
        top, left = max(-y, 0), max(-3 * x, 0)
        target = self._rows[y + top : max(y + height, 0), 3 * x + left : max(3 * x + width, 0)]
        if not target.size:
            return
        part = slice(left, left + target.shape[1])
        weight = weight[top : top + len(target), part]
        paint = paint[: target.shape[1]] if paint.ndim == 1 else paint[top : top + len(target), part]
        below = target.astype(np.uint16)
        below *= FULL - weight
        below += paint * weight
        below += FULL // 2  # the sum is at most 255 * 256 + 128
        below >>= 8
        target[...] = below

    def _rect(self, mark: Rect, clip: Box) -> None:
        scale = self._scale
        left, top = max(mark.x * scale, clip.x), max(mark.y * scale, clip.y)
        right, bottom = min((mark.x + mark.width) * scale, clip.right), min((mark.y + mark.height) * scale, clip.bottom)
        if right <= left or bottom <= top:
            return
        paint = self.paint(mark.color, self._rows.shape[1] // 3)
        edges = [round(edge * FULL) / FULL for edge in (left, top, right, bottom)]
        if mark.opacity >= 1 and all(map(float.is_integer, edges)):
            x, y, end, low = map(int, edges)
            self._rows[y:low, 3 * x : 3 * end] = paint[: 3 * (end - x)]
            return
        (x, across), (y, down) = (_cover(edges[n], edges[n + 2]) for n in (0, 1))
        coverage = _faded((np.outer(down, across) >> 8).astype(np.uint16), mark.opacity)
        self._blend(x, y, _of_channels(coverage), paint)

    def _cells(self, mark: Cells) -> None:
        colors = np.array([rgb(color) for color in mark.palette], dtype=np.uint8)
        box, (rows, columns) = mark.box, mark.color_index.shape
        left, top, right, bottom = (round(edge * self._scale) for edge in (box.x, box.y, box.right, box.bottom))
        width, height = max(right - left, 1), max(bottom - top, 1)
        row = ((np.arange(height) + 0.5) * rows / height).astype(int)
        column = ((np.arange(width) + 0.5) * columns / width).astype(int)
        cells = colors[mark.color_index[row[:, None], column]].reshape(height, -1)
        self._blend(left, top, np.full(cells.shape, FULL, np.uint16), cells)

    def _text(self, mark: Text) -> None:
        size = round(mark.size * self._scale, 2)
        x, y = mark.x * self._scale, mark.y * self._scale
        along, base = (-y, x) if mark.vertical else (x, y)
        # Quarters of a pixel, so that equal labels of several figures are rendered once.
        length = _text_length(mark.text, size)
        start = math.floor((along - {"start": 0.0, "middle": length / 2, "end": length}[mark.anchor]) * _STEPS + 0.5)
        left, part = divmod(start, _STEPS)
        top = math.floor(base)
        layers = _text_layers(mark.text, size, part / _STEPS, math.floor((base - top) * _STEPS) / _STEPS, mark.vertical)
        for weight, emoji in layers:
            paint = self.paint(mark.color, self._rows.shape[1] // 3) if emoji is None else emoji
            if mark.vertical:
                self._blend(top - _ascent(size), -left + _MARGIN - len(weight), weight, paint)
            else:
                self._blend(left - _MARGIN, top - _ascent(size), weight, paint)


def _of_channels(coverage: Weights) -> Weights:
    """The weight of each pixel for its red, green and blue, as flat rows."""
    height, width = coverage.shape
    weights = np.empty((height, width, 3), np.uint16)
    for channel in range(3):  # twice as fast as np.repeat
        weights[..., channel] = coverage
    return weights.reshape(height, -1)


def _faded(coverage: Weights, opacity: float) -> Weights:
    if opacity >= 1:
        return coverage
    return (coverage * np.uint32(max(opacity, 0.0) * FULL + 0.5) >> 8).astype(np.uint16)


def _cover(low: float, high: float) -> tuple[int, NDArray[np.uint32]]:
    """The first pixel of an interval on an axis, and the share of each pixel that the interval covers."""
    first = math.floor(low)
    edges = np.arange(first, math.ceil(high) + 1)
    return first, (np.diff(np.clip(edges, low, high)) * FULL).astype(np.uint32)


_EXACT_SIZE = 1000.0  # a font size in pixels at which advances are not rounded
_MARGIN = 2  # pixels to the left of a text, for letters that begin before their place


@lru_cache(maxsize=2048)
def _text_length(text: str, size: float) -> float:
    return sum(_advance(path, letter, size) for path, run in font_runs(text) for letter in run)


@lru_cache(maxsize=8192)
def _advance(path: Path, letter: str, size: float) -> float:
    # The advance in a small font is rounded to whole pixels: a line of text would not be as wide as its layout expects.
    large = EMOJI_SIZE if is_emoji_font(path) else _EXACT_SIZE
    return load_font(path, large).getlength(letter) * size / large


def _ascent(size: float) -> int:
    """The height of the mask of a text above its baseline."""
    return math.ceil(size * 1.15)


def _height(size: float) -> int:
    """The height of the mask of a text."""
    return _ascent(size) + math.ceil(size * 0.45)


def _overhang(size: float) -> int:
    """How far a letter may begin before its place and end after it, such as an accent on the previous letter."""
    return math.ceil(size * 0.75)


@lru_cache(maxsize=2048)
def _text_layers(text: str, size: float, x: float, y: float, vertical: bool) -> list[tuple[Weights, Pixels | None]]:
    """The weights of a line of text that begins at (x, y), given as fractions of a pixel, and its emoji with colors."""
    from PIL import Image

    height, margin = _height(size), _overhang(size)
    width = math.ceil(_text_length(text, size)) + 2 * _MARGIN + 2
    mask, emoji = np.zeros((height, width + 2 * margin), np.uint8), None
    x += _MARGIN
    for path, run in font_runs(text):
        for letter in run:
            left, part = divmod(math.floor(x * _STEPS + 0.5) / _STEPS, 1)
            if not is_emoji_font(path):
                glyph = _letter(path, letter, size, part, y)
                place = mask[:, int(left) : int(left) + glyph.shape[1]]
                np.maximum(place, glyph[:, : place.shape[1]], out=place)
            else:
                emoji = emoji or Image.new("RGBA", (width, height))
                emoji.paste(_emoji(path, letter, size), (round(x), round(_ascent(size) + y - size)))
            x += _advance(path, letter, size)
    turns = int(vertical)
    mask = np.rot90(mask[:, margin : margin + width], turns)
    layers: list[tuple[Weights, Pixels | None]] = [(_weights(mask), None)]
    if emoji is not None:
        colors = np.rot90(np.asarray(emoji), turns)
        layers.append((_weights(colors[..., 3]), colors[..., :3].reshape(len(colors), -1)))
    return layers


@lru_cache(maxsize=4096)
def _letter(path: Path, letter: str, size: float, x: float, y: float) -> Pixels:
    """The mask of a letter, which begins after an overhang of `_overhang` pixels and is as high as a line."""
    from PIL import Image, ImageDraw

    margin = _overhang(size)
    image = Image.new("L", (2 * margin + math.ceil(_advance(path, letter, size)) + 2, _height(size)))
    pen = ImageDraw.Draw(image)
    pen.text((margin + x, _ascent(size) + y), letter, fill=255, font=load_font(path, size), anchor="ls")
    return np.asarray(image)


@lru_cache(maxsize=256)
def _emoji(path: Path, letter: str, size: float) -> Image.Image:
    from PIL import Image, ImageDraw

    font, scale = load_font(path, size), size / EMOJI_SIZE
    large = Image.new("RGBA", (max(math.ceil(font.getlength(letter)), 1), EMOJI_SIZE * 3 // 2))
    ImageDraw.Draw(large).text((0, EMOJI_SIZE), letter, font=font, anchor="ls", embedded_color=True)
    return large.resize((max(round(large.width * scale), 1), max(round(large.height * scale), 1)))


def _weights(levels: Pixels) -> Weights:
    """Levels from 0 to 255 as weights in flat rows, from 0 to `FULL`."""
    weights = _of_channels(levels.astype(np.uint16))
    weights += weights >> 7
    return weights
