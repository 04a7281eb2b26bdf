"""Writing figures to files."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from trainlog.cores import core_count
from trainlog.draw import Drawing, Figure, Grid, Theme, gif, layout, png, svg
from trainlog.draw.drawing import Text
from trainlog.draw.fonts import font_folders, missing_kinds
from trainlog.draw.pdf import pdf
from trainlog.draw.theme import ThemeName, find_theme
from trainlog.errors import MissingExtra, TrainlogError, TrainlogWarning
from trainlog.plot.animation import growing
from trainlog.storage.replace import atomic_write

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from trainlog.plot.picture import Picture

__all__ = ["PRESETS", "Format", "Preset", "Style", "encode", "paged", "save_figure", "save_picture", "save_pictures"]

Format = Literal["svg", "png", "pdf", "gif"]

_GIF_FPS: Final = 20
_OF_PAGE: Final = (4, 2, 1)  # figures
_DPI: Final = 96  # pixels of a drawing per inch
_POINT: Final = _DPI / 72
_FEWEST_SHARED: Final = 12  # pictures; fewer are drawn before another process has started
_MOST_PROCESSES: Final = 8


class Preset(NamedTuple):
    """The size of a figure in print or on a screen.

    Attributes:
        width, height: in inches.
        points: the font size of labels.
        dpi: pixels of a PNG per inch.
        is_page: whether nothing may be larger; see `paged`.

    """

    width: float
    height: float
    points: float
    dpi: int
    is_page: bool = False


PRESETS: Final[Mapping[str, Preset]] = {
    "column": Preset(3.25, 2.4, 8, 300),  # one of the two columns of ICML, IEEE, ACL
    "text": Preset(5.5, 2.75, 8, 300),  # the width of the text of NeurIPS and ICLR
    "slide": Preset(10, 5.625, 16, 192, is_page=True),
}


class Style(NamedTuple):
    """How figures are written.

    Attributes:
        width, height: the size of a single figure in pixels, 96 to an inch.
        theme: the theme of the figures.
        scale: pixels of a PNG per pixel of the figure.
        outlines: whether letters of an SVG are shapes.
        is_page: whether no figure may be larger, so that a sheet of several figures becomes several pages; see `paged`.

    """

    width: int = 960
    height: int = 540
    theme: ThemeName | Theme = "light"
    scale: float = 2
    outlines: bool = False
    is_page: bool = False

    @classmethod
    def of(
        cls,
        theme: ThemeName = "light",
        preset: str | None = None,
        size: tuple[int, int] | None = None,
        dpi: int | None = None,
        outlines: bool = False,
    ) -> Style:
        """The style of a preset, or of a *size* in pixels with letters of the usual size."""
        if preset is None:
            return cls(*(size or (960, 540)), theme, (dpi or 2 * _DPI) / _DPI, outlines)
        chosen = PRESETS[preset]
        pixels = size or (round(chosen.width * _DPI), round(chosen.height * _DPI))
        letters = replace(find_theme(theme), font_size=chosen.points * _POINT)
        return cls(*pixels, letters, (dpi or chosen.dpi) / _DPI, outlines, chosen.is_page)


def save_figure(
    figure: Figure,
    stem: str | os.PathLike[str],
    *,
    formats: Sequence[Format] = ("svg", "png"),
    width: int = 960,
    height: int = 540,
    theme: ThemeName | Theme = "light",
    scale: float = 2,
    outlines: bool = False,
) -> list[Path]:
    """Write *figure* as ``stem.svg``, ``stem.png`` and so on; each file is complete or absent.

    A `TrainlogWarning` names the kinds of letters that no font has.

    Args:
        figure: a chart, scene, heat map or grid.
        stem: the path without its suffix; missing folders are created.
        formats: the formats of the files; a ``gif`` is an animation of growing curves, a ``pdf`` needs the extra
            ``paper``.
        width: the width in pixels, 96 to an inch.
        height: the height in pixels; a figure is higher if its title, legend and caption need it.
        theme: ``"light"``, ``"dark"`` or a `trainlog.draw.Theme`.
        scale: pixels of the PNG per pixel of the SVG.
        outlines: whether letters of the SVG are shapes, which look the same in every viewer; needs ``paper``.

    Raises:
        LogWriteError: when a file cannot be written.
        MissingExtra: for a PDF or outlines without ``trainlog[paper]``.
        ValueError: as for `trainlog.draw.layout`.

    """
    drawing = layout(figure, width=width, height=height, theme=theme, whole=True)
    written = []
    for suffix in formats:
        path = Path(f"{os.fspath(stem)}.{suffix}")
        content = encode(drawing, suffix, scale, outlines=outlines)
        with atomic_write(path, sync=False) as file:
            file.write(content)
        written.append(path)
    return written


def _warn_of_boxes(drawing: Drawing) -> None:
    """Warn of letters that no font has; the viewer of an SVG may have other fonts."""
    texts = (mark.text for mark in drawing.marks if isinstance(mark, Text))
    for kind, file in dict.fromkeys(kind for text in texts for kind in missing_kinds(text)):
        folder = font_folders()[0]
        warnings.warn(
            f"no font has the {kind} of a figure, which are boxes: install a font such as {file}, in {folder} or "
            "another folder of fonts",
            TrainlogWarning,
            stacklevel=3,
        )


def encode(drawing: Drawing, format: Format, scale: float = 2, *, outlines: bool = False) -> bytes:
    """Encode *drawing*; *scale* and *outlines* are as in `save_figure`.

    Raises:
        MissingExtra: as for `save_figure`.

    """
    if format != "svg" or outlines:
        _warn_of_boxes(drawing)
    try:
        match format:
            case "svg":
                return svg(drawing, outlines=outlines).encode()
            case "png":
                return png(drawing, scale)
            case "pdf":
                return pdf(drawing)
            case "gif":
                return gif(growing(drawing), fps=_GIF_FPS)
    except ModuleNotFoundError as error:
        if error.name not in ("fpdf", "fontTools"):
            raise
        what = "a PDF needs fpdf2" if format == "pdf" else "outlines of letters need fontTools"
        raise MissingExtra(f'{what}: pip install "trainlog[paper]" ({error})') from error


def save_picture(
    picture: Picture,
    folder: str | os.PathLike[str],
    *,
    formats: Sequence[Format] = ("svg", "png"),
    width: int = 960,
    height: int = 540,
    theme: ThemeName | Theme = "light",
    scale: float = 2,
    outlines: bool = False,
) -> list[Path]:
    """Write *picture* into *folder* under its name; see `save_figure`. A sheet is larger than *width* by *height*."""
    across, down = picture.size(width, height)
    stem = Path(folder) / picture.name
    return save_figure(
        picture.figure,
        stem,
        formats=formats,
        width=across,
        height=down,
        theme=theme,
        scale=scale,
        outlines=outlines,
    )


def paged(pictures: Sequence[Picture], style: Style) -> list[Picture]:
    """*pictures*, with sheets of several figures split into pages of the size of *style* if it asks for pages.

    A page has four figures, two, or one: as many as fit without losing text. The second page has the name of the first
    with ``-2`` appended.
    """
    found: list[Picture] = []
    names = {picture.name for picture in pictures}
    for picture in pictures:
        pages = _pages(picture, style) if style.is_page and picture.columns * picture.rows > 1 else [picture]
        for page in pages:
            free = (f"{picture.name}-{n}" for n in itertools.count(2))
            name = picture.name if page is pages[0] else next(name for name in free if name not in names)
            names.add(name)
            found.append(page._replace(name=name))
    return found


def _pages(picture: Picture, style: Style) -> list[Picture]:
    grid = picture.figure
    if not isinstance(grid, Grid):
        return [picture._replace(columns=1, rows=1)]
    for count in _OF_PAGE:
        parts = [grid.figures[n : n + count] for n in range(0, len(grid.figures), count)]
        of = f"of {len(parts)})"
        titles = [f"{grid.title} ({n + 1} {of}".strip() if len(parts) > 1 else grid.title for n in range(len(parts))]
        grids = [
            replace(grid, figures=part, columns=min(len(part), 2), title=title)
            for part, title in zip(parts, titles, strict=True)
        ]
        drawings = (layout(one, style.width, style.height, theme=style.theme, whole=True) for one in grids)
        if count == 1 or all(drawing.height <= style.height for drawing in drawings):
            break
    blocks = [picture.blocks, *[()] * len(grids)]
    return [
        picture._replace(figure=one, blocks=own, columns=1, rows=1) for one, own in zip(grids, blocks, strict=False)
    ]


def save_pictures(
    pictures: Sequence[Picture],
    folder: str | os.PathLike[str],
    *,
    formats: Sequence[Format] = ("svg", "png"),
    style: Style | None = None,
) -> Iterator[list[Path]]:
    """Write *pictures* as `save_picture` does, many of them in several processes; yields the files of each in order.

    Sheets become pages if *style* asks for them; see `paged`.
    """
    style = style or Style()
    pictures = paged(pictures, style)
    write = partial(
        save_picture,
        folder=folder,
        formats=formats,
        width=style.width,
        height=style.height,
        theme=style.theme,
        scale=style.scale,
        outlines=style.outlines,
    )
    processes = min(core_count(), _MOST_PROCESSES)
    # A fork of a process with threads would keep their locks forever.
    can_fork = sys.platform == "linux" and threading.active_count() == 1
    if can_fork and processes > 1 and len(pictures) >= _FEWEST_SHARED:
        yield from _shared(write, pictures, processes)
    else:
        yield from map(write, pictures)


def _shared(
    write: Callable[[Picture], list[Path]], pictures: Sequence[Picture], processes: int
) -> Iterator[list[Path]]:
    """Write each picture in one of several processes: Python threads would be no faster than one."""
    import multiprocessing

    context = multiprocessing.get_context("fork")  # forked processes have the pictures already
    workers, results = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy's own threads tolerate a fork
        for number in range(processes):
            result, sender = context.Pipe(duplex=False)
            worker = context.Process(target=_work, args=(write, pictures[number::processes], sender), daemon=True)
            worker.start()
            sender.close()
            workers.append(worker)
            results.append(result)
    try:
        for number, picture in enumerate(pictures):
            try:
                written = results[number % processes].recv()
            except EOFError:  # the process was killed
                written = write(picture), []
            if isinstance(written, Exception):
                raise written
            paths, caught = written
            for message in caught:  # as if this process had written it: each warning once
                warnings.warn(message, stacklevel=2)
            yield paths
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _work(write: Callable[[Picture], list[Path]], pictures: Sequence[Picture], sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process ends this one
    for picture in pictures:
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                paths = write(picture)
            sender.send((paths, [one.message for one in caught]))
        except (TrainlogError, ValueError, MemoryError) as error:
            sender.send(error)
            return
