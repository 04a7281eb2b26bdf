"""Drawings as an animation."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainlog.draw.color import Color, mix, rgb
from trainlog.draw.drawing import Cells, Clip, Drawing, Mark
from trainlog.draw.raster import rasterize

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["gif"]

_MAX_COLORS_BESIDE_MAP = 80
_LEVELS = 32  # of one channel, for the lookup of colours


def gif(drawings: Iterable[Drawing], fps: float = 20, scale: float = 1) -> bytes:
    """The drawings one after another, in an endless loop, as a GIF.

    All frames share one palette, which is made from the colours of the drawings.

    Args:
        drawings: the frames, all of the same size.
        fps: frames per second. It is rounded, because the format counts in hundredths of a second and viewers slow
            down animations of more than 50 frames a second.
        scale: the size of the GIF relative to the drawings.

    Raises:
        ValueError: when there is no drawing, the sizes differ, or ``fps`` is not positive.

    """
    from PIL import Image

    frames = list(drawings)
    if not frames:
        raise ValueError("an animation needs at least one drawing")
    if any((frame.width, frame.height) != (frames[0].width, frames[0].height) for frame in frames):
        raise ValueError("all drawings of an animation must have the same size")
    if not 0 < fps < float("inf"):
        raise ValueError(f"fps must be a positive number of frames per second, not {fps!r}")
    palette = _palette(frames)
    nearest = _nearest_colors(palette)

    def images() -> Iterator[Image.Image]:
        for frame in frames:
            image = Image.fromarray(nearest[_codes(rasterize(frame, scale))])
            image.putpalette(palette.tobytes())
            yield image

    file = io.BytesIO()
    stream = images()
    duration = 10 * max(round(100 / fps), 2)
    options = {"duration": duration, "loop": 0, "optimize": False, "disposal": 1}
    next(stream).save(file, "GIF", save_all=True, append_images=stream, **options)
    return file.getvalue()


def _colors(marks: Iterable[Mark], of_cells: bool) -> Iterator[Color]:
    for mark in marks:
        match mark:
            case Clip():
                yield from _colors(mark.marks, of_cells)
            case Cells():
                yield from mark.palette if of_cells else ()
            case _ if not of_cells:
                yield mark.color


def _palette(frames: Sequence[Drawing]) -> NDArray[np.uint8]:
    """256 colours, shape (256, 3): those of the drawings, and steps between them and the background for smooth edges.

    If there is a colour map, most of the colours are those of the map.
    """
    background = frames[0].background
    marks = [mark for frame in frames for mark in frame.marks]
    plain = [color for color in dict.fromkeys(_colors(marks, of_cells=False)) if color != background]
    mapped = list(dict.fromkeys(_colors(marks, of_cells=True)))
    limit = _MAX_COLORS_BESIDE_MAP if mapped else 255
    plain = plain[:: max(-(-len(plain) // limit), 1)]
    steps = max(limit // max(len(plain), 1), 1)
    mixed = (mix(background, color, (n + 1) / steps) for color in plain for n in range(steps))
    chosen = list(dict.fromkeys([background, *mixed]))
    if len(chosen) < 256:
        chosen += mapped[:: max(-(-len(mapped) // (256 - len(chosen))), 1)]
    table = np.empty((256, 3), dtype=np.uint8)
    table[:] = rgb(background)
    table[: len(chosen)] = [rgb(color) for color in chosen]
    return table


def _codes(pixels: NDArray[np.uint8]) -> NDArray[np.integer[Any]]:
    """Colours (..., 3) with 5 bits for each channel, as one number."""
    levels = (pixels >> 3).astype(np.uint16)
    return (levels[..., 0] << 10) | (levels[..., 1] << 5) | levels[..., 2]


def _nearest_colors(palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """For every colour of 5 bits per channel, the index of the nearest colour of the palette (256, 3)."""
    level = (np.arange(_LEVELS) * 255 + _LEVELS // 2) // (_LEVELS - 1)
    red, green, blue = np.meshgrid(level, level, level, indexing="ij")
    colors = np.stack((red, green, blue), axis=-1).reshape(-1, 3).astype(np.int32)
    known = palette.astype(np.int32)
    # |c - p|² without |c|², which is constant over the palette.
    distance = (known**2).sum(axis=1) - 2 * (colors @ known.T)
    nearest: NDArray[np.uint8] = distance.argmin(axis=1).astype(np.uint8)
    # A colour of the palette stays what it is: the middle of its cell can be nearer to another one. The first wins.
    nearest[_codes(palette[::-1])] = np.arange(len(palette) - 1, -1, -1)
    return nearest
