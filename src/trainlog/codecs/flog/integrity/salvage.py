"""Copies the whole frames of a damaged FLOG file into a new one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from trainlog.codec import Gap
from trainlog.codecs.flog.integrity.check import PROVEN, check, lost_in
from trainlog.codecs.flog.integrity.find_header import find_header
from trainlog.codecs.flog.integrity.sealed_file import SealedFile
from trainlog.codecs.flog.integrity.seals import is_seal
from trainlog.codecs.flog.scanning.walk import walk
from trainlog.codecs.flog.wire.header import pack_header
from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.codecs.flog.wire.run_state import is_about_run, is_state
from trainlog.codecs.frame_payload import encode
from trainlog.model import Kind
from trainlog.storage.source import Source
from trainlog.verify_report import Repair

__all__ = ["salvage"]

_AT_ONCE = 1 << 18  # bytes


def salvage(source: Source, target: Path) -> Repair:
    """Copy every whole frame of *source*, byte by byte, into the new file *target*, with new checksums.

    If something was lost or is doubtful, an event of the type ``repaired`` at the end says so.

    Raises:
        DamagedLog: when the source has no whole header.
        LogExists, LogWriteError: for the target.

    """
    problems = check(source).problems
    doubtful = tuple(
        (problem.offset, problem.size) for problem in problems if problem.what == "checksum" and problem.damage
    )
    header = next((problem.text for problem in problems if problem.what == "header" and problem.damage), "")
    found = find_header(source)
    raw = found.raw
    if found.problem and not found.is_rebuilt:  # unreadable metadata would make the copy's header doubtful
        raw, header = pack_header(found.header), found.problem
    kept: Counter[Kind] = Counter()
    gaps: list[Gap] = []
    file = SealedFile(target, raw)
    try:
        copy = _Copy(source, file)
        time = 0.0
        for record in walk(source, found.start, on_gap=gaps.append):
            is_own = is_about_run(record.kind, record.data)
            if is_seal(record.kind, record.data, record.size) or (is_own and not is_state(record.kind, record.data)):
                continue  # the copy gets its own checksums and pointers
            copy.add(record.offset, record.size)
            kept[Kind(record.kind)] += not is_own
            time = record.time
        copy.end()
        lost: Counter[str] = Counter({"header": 1} if header and PROVEN not in header else {})
        for gap in gaps:
            lost += lost_in(source, gap)
        size = sum(gap.size for gap in gaps)
        if lost or doubtful:
            ranges = [list(pair) for pair in doubtful]
            event = {"type": "repaired", "by": "trainlog", "lost": dict(lost), "lost_bytes": size, "doubtful": ranges}
            event |= {"header": header} if header else {}
            payload = encode(event)
            file.append(FRAME.pack(time, Kind.EVENT, len(payload)) + payload)
        file.sync()
    finally:
        file.close()
    return Repair(target, dict(sorted((+kept).items())), dict(lost), size, doubtful, header)


class _Copy:
    """Copies ranges of a file, adjacent ranges together."""

    def __init__(self, source: Source, file: SealedFile) -> None:
        self._source = source
        self._file = file
        self._start = self._stop = self._last = 0

    def add(self, offset: int, size: int) -> None:
        """Copy *size* bytes from *offset* on."""
        if offset != self._stop or self._stop - self._start >= _AT_ONCE:
            self.end()
            self._start = offset
        self._stop, self._last = offset + size, offset

    def end(self) -> None:
        """Write the pending bytes."""
        size = self._stop - self._start
        if size:
            block = self._source.block(self._start, size)[:size]
            self._file.extend(block, self._last - self._start)
        self._start = self._stop
