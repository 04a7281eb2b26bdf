"""Reading a FLOG file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import Final

from trainlog.codec import Reader
from trainlog.codecs.flog.columns.sorter import Sorter
from trainlog.codecs.flog.index.index import Index
from trainlog.codecs.flog.integrity.check import check
from trainlog.codecs.flog.integrity.rewinds import FilteredSource, History, placed
from trainlog.codecs.flog.integrity.salvage import salvage
from trainlog.codecs.flog.integrity.seals import SEAL, is_seal
from trainlog.codecs.flog.scanning.walk import walk
from trainlog.codecs.flog.wire.header import take_header
from trainlog.model import Frame, Kind, KindLike
from trainlog.scan import OnDamage, damage_handler
from trainlog.storage.source import Source, Wait, never
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

    def frames(
        self, kind: KindLike | None = None, *, wait: Wait = never, on_damage: OnDamage = "warn"
    ) -> Iterator[Frame]:
        """Yield the frames in the file's order; see `trainlog.codec.Reader.frames`.

        Checksums are no frames of the run; ``kind=67`` shows them.
        """
        wanted = None if kind is None else int(Kind.of(kind))
        source, start = self._open(wait)
        with source:
            on_gap = placed(source, damage_handler(on_damage, self.path))
            for record in walk(source, start, kind=wanted, on_gap=on_gap):
                if record.kind == SEAL and wanted is None and is_seal(record.data):
                    continue
                yield Frame(record.time, _KINDS[record.kind], record.data)

    def verify(self, progress: Callable[[int], object] | None = None) -> Verdict:
        """Read all of the file, with its checksums, and say what is wrong with it."""
        with Source(self.path) as source:
            return check(source, progress)

    def salvage(self, target: Path) -> Repair:
        """Write every whole frame into the new FLOG file *target*, as it is."""
        with Source(self.path) as source:
            return salvage(source, target)
