"""Reading a FLOG file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Final

from trainlog.codec import Gap, Reader, Summary
from trainlog.codecs.flog.columns.sorter import Sorter
from trainlog.codecs.flog.index.find import last_before, records_between, table_of_rows
from trainlog.codecs.flog.index.index import Index
from trainlog.codecs.flog.index.index_file import begun, indexed
from trainlog.codecs.flog.integrity.check import check
from trainlog.codecs.flog.integrity.rewinds import FilteredSource, History, placed
from trainlog.codecs.flog.integrity.salvage import salvage
from trainlog.codecs.flog.integrity.seals import SEAL, is_seal
from trainlog.codecs.flog.scanning.walk import walk
from trainlog.codecs.flog.wire.header import take_header
from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.errors import CorruptLog, DamagedLogWarning, TruncatedLog
from trainlog.model import Frame, Kind, KindLike
from trainlog.storage.source import Source, Wait, never
from trainlog.table.rows import Range, Rows
from trainlog.table.table import Table
from trainlog.verify_report import Repair, Verdict

__all__ = ["FlogReader"]

_KINDS: Final = tuple(map(Kind, range(256)))


class FlogReader(Reader):
    """A FLOG file; see `trainlog.codec.Reader` for what its methods do."""

    def __init__(self, path: Path) -> None:
        with Source(path) as source:
            header, _ = take_header(source)
        super().__init__(path, header)
        self._hides = True
        self._history = History()
        self._index: Index | None = None  # what was found out about the file so far
        self._sorter = Sorter()

    def with_superseded(self) -> FlogReader:
        """The same log with the frames that a rewind has superseded; see `trainlog.codec.Reader.with_superseded`."""
        other = copy(self)
        other._hides = False
        return other

    def _open(self, wait: Wait = never) -> tuple[Source, int]:
        """What is to be seen of the file, and the offset of its first frame."""
        source = Source(self.path, wait)
        try:
            _, start = take_header(source)
            if self._hides:
                unsealed = self.header.meta.get("checksums") is False
                self._history = self._history.updated(source, start, unsealed=unsealed)
        except BaseException:
            source.close()
            raise
        if not (self._hides and self._history.cuts):
            return source, start
        return FilteredSource(source, self._history.cuts), start

    def frames(self, kind: KindLike | None = None, *, wait: Wait = never, strict: bool = False) -> Iterator[Frame]:
        """Yield the frames in the file's order; see `trainlog.codec.Reader.frames`.

        Checksums are no frames of the run; ``kind=67`` shows them.
        """
        wanted = None if kind is None else int(Kind.of(kind))
        source, start = self._open(wait)
        with source:
            on_gap = placed(source, self._raise if strict else self._warn)
            for record in walk(source, start, kind=wanted, on_gap=on_gap):
                if record.kind == SEAL and wanted is None and is_seal(record.data):
                    continue
                yield Frame(record.time, _KINDS[record.kind], record.data)

    def table(
        self,
        kind: KindLike,
        *,
        keys: Sequence[str] | None = None,
        time: Range | None = None,
        steps: Range | None = None,
        last: int | None = None,
    ) -> Table:
        """Frames of one kind as numpy columns; see `trainlog.codec.Reader.table`.

        A range is found through an index of the file, without decoding what is before it. Logs above 256 MB keep
        that in a small hidden file beside them, where the folder can be written.
        """
        kind, rows = Kind.of(kind), Rows(time, steps, last)
        source, start = self._open()
        with source:
            # An index that is there spares the parts without such frames; who reads all of it makes one by the way.
            index = self._indexed(source, start, build=not rows.all)
            table, self._index = table_of_rows(
                source,
                start,
                kind,
                rows,
                keys=keys,
                index=index,
                sorter=self._sorter,
                on_gap=placed(source, self._warn),
            )
        return table

    def slice(
        self, start: float | None = None, stop: float | None = None, kind: KindLike | None = None
    ) -> Iterator[Frame]:
        """Yield the frames between two times; see `trainlog.codec.Reader.slice`. They are found through the index."""
        time = (start, stop)
        Rows(time)  # says what is wrong with them
        wanted = None if kind is None else Kind.of(kind)
        return self._between(time, wanted)

    def _between(self, time: Range, kind: Kind | None) -> Iterator[Frame]:
        source, start = self._open()
        with source:
            index = self._index = self._indexed(source, start)
            for record in records_between(source, start, kind, time, index=index, on_gap=placed(source, self._warn)):
                if not (kind is None and record.kind == SEAL and is_seal(record.data)):
                    yield Frame(record.time, _KINDS[record.kind], record.data)

    def _last_before(self, time: float, kind: Kind) -> Frame | None:
        source, start = self._open()
        with source:
            index = self._index = self._indexed(source, start)
            record = last_before(source, start, kind, time, index=index)
        return None if record is None else Frame(record.time, kind, record.data)

    def _indexed(self, source: Source, start: int, *, build: bool = True) -> Index | None:
        if isinstance(source, FilteredSource):
            return None  # it is an index of the whole file
        return indexed(source, start, self._index) if build else begun(source, start, self._index)

    def blocks(self, on_gap: Callable[[Gap], object]) -> Iterator[Frame | Table]:
        """Yield the frames; see `trainlog.codec.Reader.blocks`."""
        source, start = self._open()
        with source:
            for record in walk(source, start, on_gap=placed(source, on_gap)):
                if record.kind == SEAL and is_seal(record.data):
                    continue
                yield Frame(record.time, _KINDS[record.kind], record.data)

    def summary(self, progress: Callable[[int], object] | None = None) -> Summary:
        """Decode every frame once and say what there is, what is damaged, and where."""
        source, start = self._open()
        with source:
            cuts = self._history.cuts if self._hides else ()
            hidden = sum(stop - start for start, stop in cuts)
            summary = Summary(size=source.size + hidden, superseded=hidden)
            for n, record in enumerate(walk(source, start, on_gap=placed(source, summary.gaps.append))):
                if record.kind == SEAL and is_seal(record.data):
                    continue
                summary.add(Frame(record.time, _KINDS[record.kind], record.data), record.size - FRAME.size)
                if progress is not None and n % 1024 == 0:
                    progress(record.offset)
        return summary

    def verify(self, progress: Callable[[int], object] | None = None) -> Verdict:
        """Read all of the file, with its checksums, and say what is wrong with it."""
        with Source(self.path) as source:
            return check(source, progress)

    def salvage(self, target: Path) -> Repair:
        """Write every whole frame into the new FLOG file *target*, as it is."""
        with Source(self.path) as source:
            return salvage(source, target)

    def _warn(self, gap: Gap) -> None:
        if not gap.torn:
            warnings.warn(DamagedLogWarning(f"{self.path}: skipped {gap}"), stacklevel=4)

    def _raise(self, gap: Gap) -> None:
        if gap.torn:
            raise TruncatedLog(
                f"the last frame is not all there ({gap.size:,} bytes of it)",
                path=self.path,
                offset=gap.offset,
            )
        raise CorruptLog(f"{gap.size:,} bytes are no frame", path=self.path, offset=gap.offset)
