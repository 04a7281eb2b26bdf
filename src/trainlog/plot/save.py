"""Writing figures to files."""

from __future__ import annotations

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
from trainlog.errors import MissingExtra, TrainlogError, TrainlogWarning
from trainlog.plot.animation import growing
from trainlog.storage.replace import atomic_write

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from trainlog.draw import Drawing, Figure, Theme
    from trainlog.plot.picture import Picture

__all__ = ["PRESETS", "Format", "Preset", "Style", "encode", "save_figure", "save_picture", "save_pictures"]

Format = Literal["svg", "png", "pdf", "gif"]

_GIF_FPS: Final = 20
_DPI: Final = 96  # pixels of a drawing for an inch
_POINT: Final = _DPI / 72
_FEWEST_SHARED: Final = 12  # pictures; fewer are drawn before another process begins
_MOST_PROCESSES: Final = 8


class Preset(NamedTuple):
    """The size of a figure in print or on a screen.

    Attributes:
        width, height: in inches.
        points: the font size of labels.
        dpi: pixels of a PNG for an inch.

    """

    width: float
    height: float
    points: float
    dpi: int


PRESETS: Final[Mapping[str, Preset]] = {
    "column": Preset(3.25, 2.4, 8, 300),  # one of the two columns of ICML, IEEE, ACL
    "text": Preset(5.5, 2.75, 8, 300),  # the width of the text of NeurIPS and ICLR
    "slide": Preset(10, 5.625, 16, 192),
}


class Style(NamedTuple):
    """How figures are written.

    Attributes:
        width, height: pixels of a single figure; 96 are an inch.
        theme: of the figures.
        scale: pixels of a PNG for a pixel of the figure.
        outlines: whether letters of an SVG are shapes.

    """

    width: int = 960
    height: int = 540
    theme: str | Theme = "light"
    scale: float = 2
    outlines: bool = False

    @classmethod
    def of(
        cls,
        theme: str = "light",
        preset: str | None = None,
        size: tuple[int, int] | None = None,
        dpi: int | None = None,
        outlines: bool = False,
    ) -> Style:
        """The style of a preset, or of a *size* in pixels and the usual letters."""
        from trainlog.draw.theme import find_theme

        if preset is None:
            return cls(*(size or (960, 540)), theme, (dpi or 2 * _DPI) / _DPI, outlines)
        width, height, points, usual = PRESETS[preset]
        pixels = size or (round(width * _DPI), round(height * _DPI))
        letters = replace(find_theme(theme), font_size=points * _POINT)
        return cls(*pixels, letters, (dpi or usual) / _DPI, outlines)


def save_figure(
    figure: Figure,
    stem: str | os.PathLike[str],
    *,
    formats: Sequence[Format] = ("svg", "png"),
    width: int = 960,
    height: int = 540,
    theme: str | Theme = "light",
    scale: float = 2,
    outlines: bool = False,
) -> list[Path]:
    """Write *figure* as ``stem.svg``, ``stem.png`` and so on; each file is complete or absent.

    A `TrainlogWarning` names the kind of letters that no font has.

    Args:
        figure: a chart, scene, heat map or grid.
        stem: the path without its suffix; missing folders are created.
        formats: of the files; a ``gif`` is an animation of growing curves, a ``pdf`` needs the extra ``paper``.
        width: in pixels; 96 are an inch.
        height: in pixels; a figure is higher where its title, legend and caption need it.
        theme: ``"light"``, ``"dark"`` or a `trainlog.draw.Theme`.
        scale: pixels of the PNG for a pixel of the SVG.
        outlines: whether letters of the SVG are shapes, which look the same in every viewer; needs ``paper``.

    Raises:
        LogWriteError: when a file cannot be written.
        MissingExtra: for a PDF or outlines without ``trainlog[paper]``.
        ValueError: as `trainlog.draw.layout`.

    """
    from trainlog.draw import layout

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
    from trainlog.draw.drawing import Text
    from trainlog.draw.fonts import font_folders, missing_kinds

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
    """Encode *drawing*; *scale* and *outlines* are those of `save_figure`.

    Raises:
        MissingExtra: as `save_figure`.

    """
    from trainlog.draw import gif, png, svg

    if format != "svg" or outlines:
        _warn_of_boxes(drawing)
    try:
        match format:
            case "svg":
                return svg(drawing, outlines=outlines).encode()
            case "png":
                return png(drawing, scale)
            case "pdf":
                from trainlog.draw.pdf import pdf

                return pdf(drawing)
            case "gif":
                return gif(growing(drawing), fps=_GIF_FPS)
    except ModuleNotFoundError as error:
        if error.name not in ("fpdf", "fontTools"):
            raise
        what = "a PDF needs fpdf2" if format == "pdf" else "outlines of letters need fontTools"
        raise MissingExtra(f"{what}: pip install 'trainlog[paper]'") from None


def save_picture(
    picture: Picture,
    folder: str | os.PathLike[str],
    *,
    formats: Sequence[Format] = ("svg", "png"),
    width: int = 960,
    height: int = 540,
    theme: str | Theme = "light",
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


def save_pictures(
    pictures: Sequence[Picture],
    folder: str | os.PathLike[str],
    *,
    formats: Sequence[Format] = ("svg", "png"),
    style: Style | None = None,
) -> Iterator[list[Path]]:
    """Write *pictures* as `save_picture` does, many in several processes; yields the files of each in order."""
    style = style or Style()
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
    # A copy of a process with threads would keep their locks for ever.
    can_fork = sys.platform == "linux" and threading.active_count() == 1
    if can_fork and processes > 1 and len(pictures) >= _FEWEST_SHARED:
        yield from _shared(write, pictures, processes)
    else:
        yield from map(write, pictures)


def _shared(
    write: Callable[[Picture], list[Path]], pictures: Sequence[Picture], processes: int
) -> Iterator[list[Path]]:
    """Write each picture in one of several processes: threads of Python would take as long as one."""
    import multiprocessing

    context = multiprocessing.get_context("fork")  # whose copies have the pictures already
    workers, results = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy's own threads are made for a fork
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
            for message in caught:  # as if this process had written it: each once
                warnings.warn(message, stacklevel=2)
            yield paths
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _work(write: Callable[[Picture], list[Path]], pictures: Sequence[Picture], sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that waits for this one ends it
    for picture in pictures:
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                paths = write(picture)
            sender.send((paths, [one.message for one in caught]))
        except (TrainlogError, ValueError, MemoryError) as error:
            sender.send(error)
            return
