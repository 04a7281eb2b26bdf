"""Writing figures to files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from trainlog.plot.animation import growing
from trainlog.storage.source import atomic_write

if TYPE_CHECKING:
    from trainlog.draw import Drawing, Figure, Theme
    from trainlog.plot.picture import Picture

__all__ = ["Format", "encode", "save_figure", "save_picture"]

Format = Literal["svg", "png", "gif"]

_GIF_FPS: Final = 20


def save_figure(
    figure: Figure,
    stem: str | os.PathLike[str],
    *,
    formats: Sequence[Format] = ("svg", "png"),
    width: int = 960,
    height: int = 540,
    theme: str | Theme = "light",
    scale: float = 2,
) -> list[Path]:
    """Write *figure* as ``stem.svg``, ``stem.png`` and so on; each file is complete or absent.

    Args:
        figure: a chart, scene, heat map or grid.
        stem: the path without its suffix; missing folders are created.
        formats: of the files; a ``gif`` is an animation of growing curves.
        width: in pixels.
        height: in pixels.
        theme: ``"light"``, ``"dark"`` or a `trainlog.draw.Theme`.
        scale: pixels of the PNG for a pixel of the SVG.

    Raises:
        LogWriteError: when a file cannot be written.
        ValueError: as `trainlog.draw.layout`.

    """
    from trainlog.draw import layout

    drawing = layout(figure, width=width, height=height, theme=theme)
    written = []
    for suffix in formats:
        path = Path(f"{os.fspath(stem)}.{suffix}")
        with atomic_write(path) as file:
            file.write(encode(drawing, suffix, scale))
        written.append(path)
    return written


def encode(drawing: Drawing, format: Format, scale: float = 2) -> bytes:
    """Encode *drawing*; *scale* is that of `save_figure`."""
    from trainlog.draw import gif, png, svg

    if format == "svg":
        return svg(drawing).encode()
    if format == "png":
        return png(drawing, scale)
    return gif(growing(drawing), fps=_GIF_FPS)


def save_picture(
    picture: Picture,
    folder: str | os.PathLike[str],
    *,
    formats: Sequence[Format] = ("svg", "png"),
    width: int = 960,
    height: int = 540,
    theme: str | Theme = "light",
    scale: float = 2,
) -> list[Path]:
    """Write *picture* into *folder* under its name; see `save_figure`. A sheet is larger than *width* by *height*."""
    across, down = picture.size(width, height)
    stem = Path(folder) / picture.name
    return save_figure(picture.figure, stem, formats=formats, width=across, height=down, theme=theme, scale=scale)
