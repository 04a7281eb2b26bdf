"""Reading a FLOG file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from trainlog.codec import Gap, Reader, Summary
from trainlog.codecs.flog.check import check
from trainlog.codecs.flog.columns import read_table
from trainlog.codecs.flog.header import take_header
from trainlog.codecs.flog.integrity import SEAL, is_seal
from trainlog.codecs.flog.layout import FRAME
from trainlog.codecs.flog.salvage import salvage
from trainlog.codecs.flog.scan import walk
from trainlog.errors import CorruptLog, DamagedLogWarning, TruncatedLog
from trainlog.files import Source, Wait, never
from trainlog.model import Frame, Kind, KindLike
from trainlog.table import Table
from trainlog.verdict import Repair, Verdict

__all__ = ["FlogReader"]

_KINDS: Final = tuple(map(Kind, range(256)))


class FlogReader(Reader):
    """A FLOG file; see `trainlog.codec.Reader` for what its methods do."""

    def __init__(self, path: Path) -> None:
        with Source(path) as source:
            header, _ = take_header(source)
        super().__init__(path, header)

    def frames(self, kind: KindLike | None = None, *, wait: Wait = never, strict: bool = False) -> Iterator[Frame]:
        """Yield the frames in the file's order; see `trainlog.codec.Reader.frames`.

        Checksums are no frames of the run; ``kind=67`` shows them.
        """
        wanted = None if kind is None else int(Kind.of(kind))
        with Source(self.path, wait) as source:
            _, start = take_header(source)
            on_gap = self._raise if strict else self._warn
            for record in walk(source, start, kind=wanted, on_gap=on_gap):
                if record.kind == SEAL and wanted is None and is_seal(record.data):
                    continue
                yield Frame(record.time, _KINDS[record.kind], record.data)

    def table(self, kind: KindLike, *, keys: Sequence[str] | None = None) -> Table:
        """All frames of one kind as numpy columns; see `trainlog.codec.Reader.table`."""
        with Source(self.path) as source:
            _, start = take_header(source)
            return read_table(source, start, Kind.of(kind), keys=keys, on_gap=self._warn)

    def blocks(self, on_gap: Callable[[Gap], object]) -> Iterator[Frame | Table]:
        """Yield the frames; see `trainlog.codec.Reader.blocks`."""
        with Source(self.path) as source:
            _, start = take_header(source)
            for record in walk(source, start, on_gap=on_gap):
                if record.kind == SEAL and is_seal(record.data):
                    continue
                yield Frame(record.time, _KINDS[record.kind], record.data)

    def summary(self, progress: Callable[[int], object] | None = None) -> Summary:
        """Decode every frame once and say what there is, what is damaged, and where."""
        with Source(self.path) as source:
            summary = Summary(size=source.size)
            _, start = take_header(source)
            for n, record in enumerate(walk(source, start, on_gap=summary.gaps.append)):
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
