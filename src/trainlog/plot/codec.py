"""Pictures as write-only formats: ``trainlog convert run.flog run.svg``.

They show the most important figures. All frames are kept in memory and drawn when the writer is closed.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterator, Sequence
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from trainlog.codec import Codec, OnDamage, Reader, Writer
from trainlog.draw import layout
from trainlog.errors import ClosedLog, LogExists
from trainlog.model import Frame, Header, Kind, KindLike
from trainlog.plot import Format, Picture, PlotOptions, Run, main_metric, pictures
from trainlog.plot.save import encode
from trainlog.storage.replace import NEVER_OVERWRITTEN, atomic_write
from trainlog.storage.source import Wait, never
from trainlog.table.builder import TableBuilder
from trainlog.table.table import Table
from trainlog.table.values import BATCH

__all__ = ["GifCodec", "PngCodec", "SvgCodec"]


class PictureCodec(Codec):
    """A format of pictures: the most important figures of a log on one sheet."""

    name: ClassVar[Format]

    def paint(self, run: Reader) -> bytes:
        """Draw *run* and return the bytes of the picture.

        Raises:
            PlotError: when it has nothing to draw.

        """
        picture = self._chosen([Run(run)])
        return encode(layout(picture.figure, *picture.size(960, 540), whole=True), self.name)

    def _chosen(self, runs: Sequence[Run]) -> Picture:
        return pictures(runs)[0]

    def write(self, path: Path, header: Header) -> Writer:
        """Start a picture; the file is written when the writer is closed.

        Raises:
            LogExists: when there is already a file at *path*.

        """
        if path.exists():
            raise LogExists(NEVER_OVERWRITTEN, path=path)
        return _PictureWriter(self, path, header)


class SvgCodec(PictureCodec):
    """A sheet as SVG."""

    name = "svg"
    suffixes = (".svg",)
    description = "picture of the most important curves, for papers and browsers"


class PngCodec(PictureCodec):
    """A sheet as PNG."""

    name = "png"
    suffixes = (".png",)
    description = "picture of the most important curves, as pixels"


class GifCodec(PictureCodec):
    """The curve of the main metric as an animation, on the axes of the whole curve."""

    name = "gif"
    suffixes = (".gif",)
    description = "the reward curve growing, as an animation"

    def _chosen(self, runs: Sequence[Run]) -> Picture:
        return pictures(runs, PlotOptions(y=(str(main_metric(runs)),)))[0]


class _MemoryReader(Reader):
    """A log in memory: frames and tables are added, and then read as tables."""

    def __init__(self, path: Path, header: Header) -> None:
        super().__init__(path, header)
        self._builders: dict[Kind, TableBuilder] = {}
        self._pending: dict[Kind, list[Frame]] = {}  # added to the builder in batches, which is faster
        self._places: dict[Kind, array[int]] = {}  # of each frame among all frames
        self._count = 0

    def add(self, frame: Frame) -> None:
        self._place(frame.kind, 1)
        frames = self._pending.setdefault(frame.kind, [])
        frames.append(frame)
        if len(frames) == BATCH:
            self._builder(frame.kind)

    def add_table(self, table: Table) -> None:
        self._place(table.kind, table.rows)
        self._builder(table.kind).add_table(table)

    def _place(self, kind: Kind, rows: int) -> None:
        self._places.setdefault(kind, array("q")).extend(range(self._count, self._count + rows))
        self._count += rows

    def _builder(self, kind: Kind) -> TableBuilder:
        """The builder of *kind* with all frames so far."""
        builder = self._builders.setdefault(kind, TableBuilder(kind))
        if frames := self._pending.pop(kind, []):
            builder.add_frames([frame.time for frame in frames], [frame.data for frame in frames])
        return builder

    @cached_property
    def _tables(self) -> dict[Kind, Table]:
        return {kind: self._builder(kind).finish() for kind in sorted({*self._builders, *self._pending})}

    def frames(
        self, kind: KindLike | None = None, *, wait: Wait = never, on_damage: OnDamage = "warn"
    ) -> Iterator[Frame]:
        chosen = [one for one in self._tables if kind is None or one == Kind.of(kind)]
        placed = [zip(self._places[one], self._tables[one].frames(), strict=True) for one in chosen]
        yield from (frame for _, frame in heapq.merge(*placed, key=itemgetter(0)))

    def table(self, kind: KindLike, *, keys: Sequence[str] | None = None, **ranges: Any) -> Table:
        if ranges:
            return super().table(kind, keys=keys, **ranges)
        kind = Kind.of(kind)
        return self._tables.get(kind, Table(kind, np.empty(0), {})).select(keys)


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
            with atomic_write(self._path, new=True) as file:
                file.write(picture)
