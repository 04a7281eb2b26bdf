"""Drawings as an animation."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainlog.draw.color import Color, mix, rgb
from trainlog.draw.drawing import Cells, Clip, Drawing, Mark
from trainlog.draw.raster import rasterize

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["gif"]

_FINENESS = 4
_ROOM_BESIDE_MAP = 80
_LEVELS = 32  # of one channel, when colours are looked up


def gif(drawings: Iterable[Drawing], fps: float = 20, scale: float = 1) -> bytes:
    """The drawings one after the other, over and over, as a GIF of ``scale`` times their size.

    All frames share one palette, which is made from the colours of the drawings and of nothing else. The
    format counts in hundredths of a second and viewers slow down what is faster than 50 frames a second:
    ``fps`` is rounded accordingly.

    Raises `ValueError` when there is no drawing, their sizes differ, or ``fps`` is not positive.
    """
    from PIL import Image

    frames = list(drawings)
    if not frames:
        raise ValueError("an animation needs at least one drawing")
    if any((frame.width, frame.height) != (frames[0].width, frames[0].height) for frame in frames):
        raise ValueError("all drawings of an animation must be of one size")
    if not 0 < fps < float("inf"):
        raise ValueError(f"fps must be a positive number of frames per second, not {fps!r}")
    colors = _palette(frames)
    nearest = _nearest(colors)

    def images() -> Iterator[Image.Image]:
        for frame in frames:
            pixels = np.asarray(rasterize(frame, scale, _FINENESS)) >> 3
            codes = (pixels[..., 0].astype(np.uint16) << 10) | (pixels[..., 1].astype(np.uint16) << 5) | pixels[..., 2]
            image = Image.fromarray(nearest[codes])
            image.putpalette(colors.tobytes())
            yield image

    file = io.BytesIO()
    stream = images()
    first = next(stream)
    hundredths = max(round(100 / fps), 2)
    first.save(
        file,
        "GIF",
        save_all=True,
        append_images=stream,
        duration=10 * hundredths,
        loop=0,
        optimize=False,
        disposal=1,
    )
    return file.getvalue()


def _colors_of(marks: Iterable[Mark], of_cells: bool) -> Iterator[Color]:
    for mark in marks:
        match mark:
            case Clip():
                yield from _colors_of(mark.marks, of_cells)
            case Cells():
                yield from mark.palette if of_cells else ()
            case _ if not of_cells:
                yield mark.color


def _palette(frames: Sequence[Drawing]) -> NDArray[np.uint8]:
    """256 colours (256, 3): those of the drawings, and steps between them and the background for smooth edges.

    Where there is a colour map, its colours take most of the room.
    """
    background = frames[0].background
    marks = [mark for frame in frames for mark in frame.marks]
    plain = [color for color in dict.fromkeys(_colors_of(marks, of_cells=False)) if color != background]
    mapped = list(dict.fromkeys(_colors_of(marks, of_cells=True)))
    room = _ROOM_BESIDE_MAP if mapped else 255
    plain = plain[:: max(-(-len(plain) // room), 1)]
    steps = max(room // max(len(plain), 1), 1)
    chosen = [background, *(mix(background, color, (n + 1) / steps) for color in plain for n in range(steps))]
    chosen = list(dict.fromkeys(chosen))
    chosen += mapped[:: max(-(-len(mapped) // (256 - len(chosen))), 1)] if len(chosen) < 256 else []
    table = np.zeros((256, 3), dtype=np.uint8)
    table[:] = rgb(background)
    table[: len(chosen)] = [rgb(color) for color in chosen]
    return table


def _nearest(palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """For every colour of 5 bits a channel, the index of the nearest one of the palette (256, 3)."""
    level = (np.arange(_LEVELS) * 255 + _LEVELS // 2) // (_LEVELS - 1)
    red, green, blue = np.meshgrid(level, level, level, indexing="ij")
    colors = np.stack((red, green, blue), axis=-1).reshape(-1, 3).astype(np.int32)
    known = palette.astype(np.int32)
    # |c - p|² less the part that is the same for all of the palette.
    distance = (known**2).sum(axis=1) - 2 * (colors @ known.T)
    nearest: NDArray[np.uint8] = distance.argmin(axis=1).astype(np.uint8)
    return nearest
