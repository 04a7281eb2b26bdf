"""Pictures as formats that can only be written: ``trainlog convert run.flog run.svg``.

They show the most important figures. All frames are kept in memory, and drawn when the writer is closed.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trainlog.codec import Codec, Reader, Writer
from trainlog.errors import ClosedLog, LogExists
from trainlog.model import Frame, Header, Kind, KindLike
from trainlog.storage.source import Wait, never, written_aside
from trainlog.table.rows import Range, Rows
from trainlog.table.table import Table, flatten, joined, table_of

if TYPE_CHECKING:
    from trainlog.draw import Drawing

__all__ = ["GifCodec", "PngCodec", "SvgCodec"]

_WIDTH: Final = 960
_HEIGHT: Final = 540
_BATCH: Final = 4096


class PictureCodec(Codec):
    """A format of pictures, from one method: ``paint`` a run as bytes."""

    @abstractmethod
    def paint(self, run: Reader) -> bytes:
        """The bytes of the picture.

        Raises:
            PlotError: when there is nothing in it that can be drawn.

        """

    def write(self, path: Path, header: Header) -> Writer:
        """Begin a picture, which will be at *path* when its writer is closed; there is no part of one before.

        Raises:
            LogExists: when there is a file at *path* already.

        """
        if path.exists():
            raise LogExists("there is a file already, and a log is never overwritten by default", path=path)
        return _PictureWriter(self, path, header)


class SvgCodec(PictureCodec):
    """The most important figures of a log on one sheet."""

    name = "svg"
    suffixes = (".svg",)
    description = "picture of the most important curves, for papers and browsers"

    def paint(self, run: Reader) -> bytes:
        """The bytes of the picture."""
        from trainlog.draw import svg

        return svg(_sheet(run)).encode()


class PngCodec(PictureCodec):
    """The most important figures of a log on one sheet, as pixels."""

    name = "png"
    suffixes = (".png",)
    description = "picture of the most important curves, as pixels"

    def paint(self, run: Reader) -> bytes:
        """The bytes of the picture."""
        from trainlog.draw import png

        return png(_sheet(run))


class GifCodec(PictureCodec):
    """The curve of the main metric as it grows, on the axes of the whole curve."""

    name = "gif"
    suffixes = (".gif",)
    description = "the reward curve growing, as an animation"

    def paint(self, run: Reader) -> bytes:
        """The bytes of the animation."""
        from trainlog.draw import gif, layout
        from trainlog.plot import PlotOptions, Run, main_metric, pictures
        from trainlog.plot.animation import growing
        from trainlog.plot.save import GIF_FPS

        one = Run(run)
        picture = pictures([one], PlotOptions(y=(str(main_metric([one])),)))[0]
        drawing = layout(picture.figure, _WIDTH, _HEIGHT)
        return gif(growing(drawing), fps=GIF_FPS)


def _sheet(run: Reader) -> Drawing:
    from trainlog.draw import layout
    from trainlog.plot import Run, pictures

    picture = pictures([Run(run)])[0]
    return layout(picture.figure, *picture.size(_WIDTH, _HEIGHT))


class _MemoryReader(Reader):
    """Frames in memory, as a log: tables of some thousand frames, with the rows that lack a key."""

    def __init__(self, path: Path, header: Header) -> None:
        super().__init__(path, header)
        self._frames: dict[Kind, list[Frame]] = {}
        self._parts: dict[Kind, list[tuple[Table, dict[str, set[int]]]]] = {}
        self._whole: dict[Kind, Table] = {}

    def add(self, frame: Frame) -> None:
        frames = self._frames.setdefault(frame.kind, [])
        frames.append(Frame(frame.time, frame.kind, flatten(frame.data)))
        if len(frames) == _BATCH:
            self._gather(frame.kind)

    def add_table(self, table: Table) -> None:
        self._gather(table.kind)
        self._add_part(table, {})

    def _gather(self, kind: Kind) -> None:
        frames = self._frames.pop(kind, [])
        if not frames:
            return
        keys = dict.fromkeys(key for frame in frames for key in frame.data)
        lacking = {key: {row for row, frame in enumerate(frames) if key not in frame.data} for key in keys}
        part = table_of(kind, ((frame.time, frame.data) for frame in frames))
        self._add_part(part, {key: rows for key, rows in lacking.items() if rows})

    def _add_part(self, part: Table, lacking: dict[str, set[int]]) -> None:
        self._parts.setdefault(part.kind, []).append((part, lacking))
        self._whole.pop(part.kind, None)

    def table(
        self,
        kind: KindLike,
        *,
        keys: Sequence[str] | None = None,
        time: Range | None = None,
        steps: Range | None = None,
        last: int | None = None,
    ) -> Table:
        if not Rows(time, steps, last).all:
            return super().table(kind, keys=keys, time=time, steps=steps, last=last)
        kind = Kind.of(kind)
        self._gather(kind)
        if kind not in self._whole:
            parts = [part for part, _ in self._parts.get(kind, [])]
            self._whole[kind] = joined(kind, parts) if parts else table_of(kind, ())
        whole = self._whole[kind]
        return whole if keys is None else Table(kind, whole.time, {key: whole[key] for key in keys})

    def frames(self, kind: KindLike | None = None, *, wait: Wait = never, strict: bool = False) -> Iterator[Frame]:
        kinds = sorted({*self._parts, *self._frames}) if kind is None else [Kind.of(kind)]
        for one in kinds:
            self._gather(one)
            for part, lacking in self._parts.get(one, []):
                for row, frame in enumerate(part.frames()):
                    here = {key: value for key, value in frame.data.items() if row not in lacking.get(key, ())}
                    yield Frame(frame.time, one, here)


class _PictureWriter(Writer):
    def __init__(self, codec: PictureCodec, path: Path, header: Header) -> None:
        self._codec = codec
        self._path = path
        self._run: _MemoryReader | None = _MemoryReader(path, header)

    def write(self, frame: Frame) -> None:
        self._open_run().add(frame)

    def write_table(self, table: Table) -> None:
        self._open_run().add_table(table)

    def _open_run(self) -> _MemoryReader:
        if self._run is None:
            raise ClosedLog("this picture is drawn already", path=self._path)
        return self._run

    def close(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            picture = self._codec.paint(run)
            with written_aside(self._path) as file:
                file.write(picture)
