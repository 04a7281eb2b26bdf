"""Finds damage in a FLOG file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from isal.isal_zlib import crc32

from trainlog.codec import Gap
from trainlog.codecs.flog.integrity.find_header import FoundHeader, find_header
from trainlog.codecs.flog.integrity.seals import SEAL_SIZE, checksum, is_end_mark, is_seal, resembles_seal
from trainlog.codecs.flog.scanning.walk import Record, is_likely, walk
from trainlog.codecs.flog.wire.layout import FIRST_BYTES, FRAME
from trainlog.codecs.flog.wire.run_state import is_about_run
from trainlog.model import Kind
from trainlog.storage.source import Source
from trainlog.verify_report import Problem, Verdict

__all__ = ["PROVEN", "check", "lost_in"]

PROVEN: Final = "its checksum shows that it was rebuilt correctly"
_HEAD = FRAME.size


def check(source: Source, progress: Callable[[int], object] | None = None) -> Verdict:
    """Read the whole file and report its problems.

    Raises:
        DamagedLog: when it has no whole header.

    """
    verdict = Verdict(source.path, source.size)
    found = find_header(source)
    seals = _Seals(source, verdict, found)
    times = _Times(verdict)
    gaps: list[Gap] = []
    for n, record in enumerate(walk(source, found.start, on_gap=gaps.append)):
        if is_seal(record.kind, record.data, record.size):
            seals.look_at(record)
        elif not is_about_run(record.kind, record.data):
            verdict.kinds[Kind(record.kind)] += 1
            times.look_at(record)
        if progress is not None and n % 1024 == 0:
            progress(record.offset)
    verdict.problems += [_problem(source, gap) for gap in gaps]
    seals.end()
    if found.problem:
        text = f"{found.problem}; {PROVEN}" if seals.proves_header else found.problem
        verdict.problems.append(Problem("header", 0, found.start, text, damage=found.is_rebuilt))
    times.end()
    verdict.kinds = Counter(dict(sorted(verdict.kinds.items())))
    verdict.problems.sort(key=lambda problem: problem.offset)
    return verdict


class _Seals:
    """Checks every seal, and that each begins where the one before it ended.

    Attributes:
        proves_header: whether a checksum shows that a rebuilt header is the one that was written.

    """

    def __init__(self, source: Source, verdict: Verdict, header: FoundHeader) -> None:
        self._header = header
        self.proves_header = False
        self._source = source
        self._verdict = verdict
        self._sealed_to = 0
        self._any = False
        self._ended_at = 0  # the end of the end mark

    def look_at(self, record: Record) -> None:
        self._any = True
        end = record.offset + record.size
        start, to, crc = (record.data.get(key) for key in ("from", "to", "crc32"))
        problem = self._why(start, to, crc, end)
        if problem:
            self._complain(problem, min(self._sealed_to, record.offset), end)
        else:
            self._verdict.sealed += end - self._sealed_to
            if is_end_mark(record.data):
                self._ended_at = end
        self._sealed_to = end

    def _why(self, start: Any, to: Any, crc: Any, end: int) -> str:
        if type(start) is not int or type(to) is not int or type(crc) is not int or to != end - 4:
            return "the checksum at their end cannot be read"
        if start != self._sealed_to:
            return f"the checksum at their end covers the bytes from {start:,} on"
        if not self._is_sound(start, to, crc):
            return "they differ from those that were written: their checksum does not match"
        return ""

    def _is_sound(self, start: int, to: int, crc: int) -> bool:
        header = self._header
        if not start and header.is_rebuilt and len(header.raw) == header.start:
            self.proves_header = checksum(self._source, header.start, to, crc32(header.raw)) == crc
            return self.proves_header
        return checksum(self._source, start, to) == crc

    def _complain(self, why: str, start: int, end: int) -> None:
        text = f"{end - start:,} bytes from byte {start:,} to {end:,}: {why}"
        self._verdict.problems.append(Problem("checksum", start, end - start, text))

    def end(self) -> None:
        left = self._verdict.size - self._sealed_to
        if not self._any:
            return
        self._verdict.closed = self._ended_at == self._verdict.size
        if left:
            text = f"no checksum covers the last {left:,} bytes yet: the writer was killed, or is still writing"
            self._verdict.problems.append(Problem("checksum", self._sealed_to, left, text, damage=False))
        elif not self._verdict.closed:
            text = "the end mark is missing: the log was not closed, or its end was cut off"
            self._verdict.problems.append(Problem("end", self._sealed_to, 0, text, damage=False))


class _Times:
    """Notes where times step back: a wall clock was set, or several threads wrote. This is not damage."""

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict
        self._latest = float("-inf")
        self._count = self._first = self._size = 0
        self._most = 0.0

    def look_at(self, record: Record) -> None:
        if record.time < self._latest:
            if not self._count:
                self._first, self._size = record.offset, record.size
            self._count += 1
            self._most = max(self._most, self._latest - record.time)
        self._latest = record.time

    def end(self) -> None:
        if self._count:
            where = f"first at byte {self._first:,}, by {self._most:.3g} s at most"
            text = f"the time steps back {self._count:,} times, {where}"
            self._verdict.problems.append(Problem("time", self._first, self._size, text, damage=False))


def _problem(source: Source, gap: Gap) -> Problem:
    if gap.torn:
        return Problem("torn tail", gap.offset, gap.size, str(gap))
    end = gap.offset + gap.size
    if not source.is_readable(gap.offset, end):
        return Problem("hole", gap.offset, gap.size, f"the disk cannot read all bytes from {gap.offset:,} to {end:,}")
    if gap.size > _HEAD:
        time, number, size = FRAME.unpack_from(source.block(gap.offset, _HEAD))
        if is_likely(time, number):
            what = f"a {Kind(number)} frame from byte {gap.offset:,} to {end:,}"
            if gap.offset + _HEAD + size == end:
                return Problem("payload", gap.offset, gap.size, f"{what} cannot be decoded")
            if source.block(gap.offset + _HEAD)[0] in FIRST_BYTES:
                text = f"{what} claims {size:,} bytes of payload, which is impossible"
                return Problem("length", gap.offset, gap.size, text)
    return Problem("hole", gap.offset, gap.size, str(gap))


def lost_in(source: Source, gap: Gap) -> Counter[str]:
    """The number of frames lost in *gap*, by the names of their kinds, as far as their headers show it."""
    lost: Counter[str] = Counter()
    at, end = gap.offset, gap.offset + gap.size
    while end - at >= _HEAD:
        head = source.block(at)[:SEAL_SIZE]
        if resembles_seal(head) and at + SEAL_SIZE <= end:
            at += SEAL_SIZE  # a damaged checksum, which is not a lost frame
            continue
        time, number, size = FRAME.unpack_from(head)
        if not is_likely(time, number) or number > max(Kind):
            break
        lost[str(Kind(number))] += 1
        at += _HEAD
        if len(head) > _HEAD and at < end and head[_HEAD] in FIRST_BYTES:
            at += size  # otherwise it is a header without its payload
    if at < end:
        lost["unknown"] += 1
    return lost
