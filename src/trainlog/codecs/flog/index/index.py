"""The index of a FLOG file: how many frames each part of about half a megabyte has, and in what range of time.

It is built from the headers alone, block by block, and only for files whose chain of frames is unbroken from the
first to the last; a torn tail is left to the walk. Clocks may step back, so a part is chosen by the range of its times,
not by their order. For kinds that are few and far between, like stats among creatures, the index has every frame.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.integrity.seals import SEAL
from trainlog.codecs.flog.scanning.chain import SLACK, Chain, Links, Octets
from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.codecs.flog.wire.run_state import STATE
from trainlog.scan import Scan
from trainlog.storage.source import Source
from trainlog.table.values import Range, in_range

__all__ = ["Index", "Candidates", "FrameOffsets", "IndexBuilder", "likely"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Spans = list[tuple[int, int]]

_HEAD: Final = FRAME.size
_HIDDEN: Final = frozenset([SEAL, STATE])  # kinds that have frames that are not rows, so a count of frames is no help
_PART: Final = 1 << 19
_SHORTEST, _LONGEST = 2.0**-63, 2.0**41  # seconds
_APART: Final = 1 << 13  # bytes between frames from which on it is faster to read each frame separately
_TOGETHER: Final = 256  # so many frames of rare kinds, or of so many blocks, are counted together


def likely(time: Floats, kind: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which headers may be those of real frames, by the rule of the walk (`is_likely`)."""
    size = np.abs(time)
    found: npt.NDArray[np.bool_] = (kind > 0) & ((size == 0) | ((size > _SHORTEST) & (size < _LONGEST)))
    return found


class FrameOffsets(NamedTuple):
    """Frames, in the file's order.

    Attributes:
        offset: int64, where each frame begins.
        length: int64, bytes of each frame, including its header.
        time: float64.
        kind: uint8.

    """

    offset: Ints
    length: Ints
    time: Floats
    kind: Octets

    def take(self, which: npt.NDArray[Any] | slice) -> FrameOffsets:
        """Some of them."""
        return FrameOffsets(self.offset[which], self.length[which], self.time[which], self.kind[which])


class Candidates(NamedTuple):
    """The places where requested frames may be.

    Attributes:
        spans: ranges of bytes that are whole frames, among them the requested ones.
        offsets: or the requested frames themselves.
        begin: where the part of the file that they cover begins; -1 when they cover nothing.

    """

    spans: Spans = []  # noqa: RUF012 - it is never changed
    offsets: FrameOffsets | None = None
    begin: int = -1


class Part(NamedTuple):
    """A part of a file: where it ends, and for each kind the number of frames, and the lowest and highest time."""

    end: int
    ranges: dict[int, tuple[int, float, float]]

    def and_then(self, later: Part) -> Part:
        """Merge this part with the *later* one right after it."""
        ranges = dict(later.ranges)
        for kind, (frames, low, high) in self.ranges.items():
            more, lowest, highest = ranges.get(kind, (0, low, high))
            ranges[kind] = frames + more, min(low, lowest), max(high, highest)
        return Part(later.end, ranges)


@dataclass(frozen=True)
class Index:
    """The parts of a file, in its order.

    Attributes:
        offset: int64, shape (parts + 1,), ascending: where each part begins; the last value is where the index ends.
        kinds: the kinds that occur.
        frames: int64, shape (parts, kinds), the number of frames of each kind.
        low, high: float64, shape (parts, kinds), the range of their times; +inf and -inf where there are none.
        steps: for some kinds, the range of the frames' ``step``: two arrays like a column of ``low`` and ``high``,
            for the first parts.
        offsets: every frame of the kinds that are few and far between.
        content: checksums of samples of the file up to ``end``.

    """

    offset: Ints
    kinds: tuple[int, ...] = ()
    frames: Ints = field(default_factory=lambda: np.empty((0, 0), np.int64))
    low: Floats = field(default_factory=lambda: np.empty((0, 0)))
    high: Floats = field(default_factory=lambda: np.empty((0, 0)))
    steps: Mapping[int, tuple[Floats, Floats]] = field(default_factory=dict)
    offsets: Mapping[int, FrameOffsets] = field(default_factory=dict)
    content: bytes = b""

    @classmethod
    def beginning(cls, start: int) -> Index:
        """An empty index, for a file whose first frame begins at byte *start*."""
        return cls(np.array([start], np.int64))

    @property
    def end(self) -> int:
        """Where the index ends: after the last whole frame that the file had."""
        return int(self.offset[-1])

    @property
    def parts(self) -> int:
        """The number of parts."""
        return len(self.offset) - 1

    def extended(self, source: Source) -> Index | None:
        """The index of everything that *source* now holds; None when its frames are not an unbroken chain."""
        survey = IndexBuilder(self)
        at, stop = survey.end, source.size
        chain = Chain()
        block = np.empty(_PART + SLACK, np.uint8)
        while at + _HEAD < stop:
            count = source.fill(block.data[: min(len(block) - SLACK, stop - at)], at)
            links = chain.follow(block, count)
            good = len(links.kind)
            if good and links.next > count and at + links.next > stop:
                good -= 1  # torn
            survey.see(at, links, good)
            if survey.end == at:
                break
            at = survey.end
        return survey.index()

    def with_parts(self, parts: Sequence[Part], offsets: Mapping[int, FrameOffsets]) -> Index:
        """The same index with more *parts*, and with these *offsets*, of all parts."""
        if parts and self.parts and self.end - int(self.offset[-2]) < _PART // 2:
            # A log that grows slowly should not get a small part for each time that it is read.
            return self._without_last().with_parts([self._last_part().and_then(parts[0]), *parts[1:]], offsets)
        kinds = tuple(sorted({*self.kinds, *(kind for part in parts for kind in part.ranges)}))
        shape = len(parts), len(kinds)
        frames, low, high = np.zeros(shape, np.int64), np.full(shape, np.inf), np.full(shape, -np.inf)
        for i, part in enumerate(parts):
            for kind, values in part.ranges.items():
                j = kinds.index(kind)
                frames[i, j], low[i, j], high[i, j] = values

        def grown(old: Any, new: Any, missing: float) -> Any:
            wide = np.full((len(old), len(kinds)), missing, old.dtype)
            wide[:, [kinds.index(kind) for kind in self.kinds]] = old
            return np.concatenate([wide, new])

        return replace(
            self,
            offset=np.concatenate([self.offset, np.array([part.end for part in parts], np.int64)]),
            kinds=kinds,
            frames=grown(self.frames, frames, 0),
            low=grown(self.low, low, np.inf),
            high=grown(self.high, high, -np.inf),
            offsets=offsets,
        )

    def _last_part(self) -> Part:
        values = zip(self.frames[-1].tolist(), self.low[-1].tolist(), self.high[-1].tolist(), strict=True)
        return Part(self.end, {kind: found for kind, found in zip(self.kinds, values, strict=True) if found[0]})

    def _without_last(self) -> Index:
        most = self.parts - 1
        steps = {kind: (low[:most], high[:most]) for kind, (low, high) in self.steps.items()}
        arrays = {name: getattr(self, name)[:-1] for name in ("offset", "frames", "low", "high")}
        return replace(self, steps=steps, **arrays)

    def with_steps(self, kind: int, offset: Ints, steps: Floats) -> Index:
        """The same index with the ranges of *steps*.

        Args:
            kind: the kind of the frames.
            offset: where the frames of the kind begin; those in parts whose range is known may be left out.
            steps: the step of each frame; NaN for none.

        """
        low, high = np.full(self.parts, np.inf), np.full(self.parts, -np.inf)
        part = np.searchsorted(self.offset, offset, side="right") - 1
        inside = (part < self.parts) & ~np.isnan(steps)
        np.minimum.at(low, part[inside], steps[inside])
        np.maximum.at(high, part[inside], steps[inside])
        if kind in self.steps:
            known = len(self.steps[kind][0])
            low[:known], high[:known] = self.steps[kind]
        return replace(self, steps={**self.steps, kind: (low, high)})

    def column(self, values: npt.NDArray[Any], kind: int) -> npt.NDArray[Any]:
        """The column of *kind* in *frames*, *low* or *high*."""
        if kind in self.kinds:
            return values[:, self.kinds.index(kind)]
        return np.zeros(self.parts, np.int64)

    def count(self, kind: int) -> int:
        """The number of frames of *kind*."""
        return int(self.column(self.frames, kind).sum())

    def having(
        self, kind: int | None, *, time: Range | None = None, steps: Range | None = None
    ) -> npt.NDArray[np.bool_]:
        """Which parts may hold frames of *kind* (None for any) in these ranges."""
        if kind is None:
            found = np.ones(self.parts, np.bool_)
            if time is not None:
                found &= _overlaps(self.low.min(axis=1, initial=np.inf), self.high.max(axis=1, initial=-np.inf), time)
            return found
        found = self.column(self.frames, kind) > 0
        if time is not None:
            found &= _overlaps(self.column(self.low, kind), self.column(self.high, kind), time)
        if steps is not None and kind in self.steps:
            low, high = self.steps[kind]
            found[: len(low)] &= _overlaps(low, high, steps)
        return found

    def candidates(self, scan: Scan) -> Candidates:
        """The places of all frames that *scan* may select."""
        kinds = self.kinds if scan.wanted is None else [kind for kind in sorted(scan.wanted) if kind in self.kinds]
        begin = int(self.offset[0])
        if all(kind in self.offsets for kind in kinds):
            found = [self.offsets[kind] for kind in kinds]
            if scan.time is not None:
                found = [some.take(in_range(some.time, scan.time)) for some in found]
            if scan.last is not None and scan.steps is None:
                found = [
                    some if kind in _HIDDEN else some.take(slice(max(0, len(some.time) - scan.last), None))
                    for kind, some in zip(kinds, found, strict=True)
                ]
            if not found:
                return Candidates(begin=begin)
            frames = FrameOffsets(*map(np.concatenate, zip(*found, strict=True)))
            return Candidates([], frames.take(np.argsort(frames.offset)) if len(found) > 1 else frames, begin)
        parts = np.zeros(self.parts, np.bool_)
        for kind in kinds:
            parts |= self._having_rows(kind, scan)
        return Candidates(self.spans(parts), None, begin)

    def _having_rows(self, kind: int, scan: Scan) -> npt.NDArray[np.bool_]:
        """Which parts may hold frames of *kind* that *scan* selects."""
        parts = self.having(kind, time=scan.time, steps=scan.steps)
        if scan.last is None or scan.steps is not None or kind in _HIDDEN:
            return parts
        # A part whose frames are all in the range certainly has this many rows.
        rows = self.column(self.frames, kind)
        if scan.time is not None:
            inside = in_range(self.column(self.low, kind), scan.time) & in_range(
                self.column(self.high, kind), scan.time
            )
            rows = np.where(inside, rows, 0)
        behind = np.cumsum(rows[::-1])[::-1] - rows
        found: npt.NDArray[np.bool_] = parts & (behind < scan.last)
        return found

    def spans(self, parts: npt.NDArray[np.bool_]) -> Spans:
        """The ranges of bytes of *parts*; adjacent parts share one range."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], parts, [False]]).astype(np.int8)))
        return [(int(self.offset[first]), int(self.offset[last])) for first, last in edges.reshape(-1, 2).tolist()]


class IndexBuilder:
    """Builds an index from the frames of a reader that follows their chain.

    Attributes:
        end: how far it has come.

    """

    def __init__(self, known: Index) -> None:
        """Continue where *known* ends."""
        self._known = known
        self.end = known.end
        self._parts: list[Part] = []
        self._offsets = {kind: [some] for kind, some in known.offsets.items()}
        self._many = {kind for kind in known.kinds if kind not in known.offsets}
        self._rest: list[FrameOffsets] = []  # frames that their parts do not count yet
        self._counted = 0  # parts that count all of their frames
        self._broken = False

    def see(self, at: int, links: Links, good: int) -> None:
        """Add the first *good* frames of *links*, of the block that begins at byte *at* of the file."""
        if at != self.end or self._broken:
            return
        if links.broken:
            self._broken = True
        if self._broken or not good:
            return
        offset, length, time, kind = links.offset[:good], links.length[:good], links.time[:good], links.kind[:good]
        self.end = at + int(offset[-1] + length[-1])
        # A part begins with the first frame after each multiple of its size.
        starts = sorted(set(offset.searchsorted(np.arange(0, offset[-1] + 1, _PART)).tolist()))
        ends = [*(offset[starts[1:]] + at).tolist(), self.end]
        # Most frames of a block are of one kind: these are counted here, with few calls of numpy.
        most = int(kind[good // 2])
        rest: Any = np.flatnonzero(kind != most)
        if _are_few(good - len(rest), self.end - at):
            rest = slice(None)
            self._parts += [Part(end, {}) for end in ends]
        else:
            self._many.add(most)
            self._offsets.pop(most, None)
            begins = [*(starts - rest.searchsorted(starts)).tolist(), good - len(rest)]
            some = time.copy()
            some[rest] = np.inf
            low = np.minimum.reduceat(some, starts)
            some[rest] = -np.inf
            high = np.maximum.reduceat(some, starts)
            # Nearly always the range alone shows that all of them are likely.
            if not (most and low.min() > _SHORTEST and high.max() < _LONGEST) and not likely(time, kind).all():
                self._broken = True
                return
            counts = map(operator.sub, begins[1:], begins)
            ranges = zip(counts, low.tolist(), high.tolist(), strict=True)
            self._parts += [Part(end, {most: one} if one[0] else {}) for end, one in zip(ends, ranges, strict=True)]
        self._rest.append(FrameOffsets(offset[rest] + at, length[rest], time[rest], kind[rest]))
        if max(len(self._rest), len(self._rest[-1].time)) > _TOGETHER:
            self._count_rest()

    def _count_rest(self) -> None:
        """Count the frames that their parts do not count yet."""
        rest = FrameOffsets(*map(np.concatenate, zip(*self._rest, strict=True)))
        if not likely(rest.time, rest.kind).all():
            self._broken = True
            return
        parts = self._parts[self._counted :]
        begin = self._parts[self._counted - 1].end if self._counted else self._known.end
        part = np.searchsorted([one.end for one in parts], rest.offset, "right")
        for kind in np.unique(rest.kind).tolist():
            some = rest.take(rows := np.flatnonzero(rest.kind == kind))
            places, first, counts = np.unique(part[rows], return_index=True, return_counts=True)
            low, high = np.minimum.reduceat(some.time, first), np.maximum.reduceat(some.time, first)
            for i, *values in zip(*(found.tolist() for found in (places, counts, low, high)), strict=True):
                parts[i].ranges[kind] = tuple(values)
            if kind in self._many:
                continue
            if _are_few(len(rows), self.end - begin):
                self._offsets.setdefault(kind, []).append(some)
            else:
                self._many.add(kind)
                self._offsets.pop(kind, None)
        self._rest.clear()
        self._counted = len(self._parts)

    def break_at(self, at: int) -> None:
        """Report that the bytes at *at* are not a frame, as they cannot be decoded."""
        self._broken |= at < self.end

    def index(self) -> Index | None:
        """Return the index; None when the frames are not an unbroken chain."""
        if self._rest and not self._broken:
            self._count_rest()
        if self._broken:
            return None
        # A log that is looked at often grows by few frames of any kind, however many they are in the end.
        size = self.end - int(self._known.offset[0])
        few = {kind: some for kind, some in self._offsets.items() if _are_few(sum(len(one.time) for one in some), size)}
        offsets = {kind: FrameOffsets(*map(np.concatenate, zip(*some, strict=True))) for kind, some in few.items()}
        return self._known.with_parts(self._parts, offsets)


def _are_few(frames: int, size: int) -> bool:
    """Whether so many frames in *size* bytes are so far apart that it is faster to read each frame separately."""
    return frames * _APART <= max(size, _PART)


def _overlaps(low: Floats, high: Floats, limits: Range) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = low <= high
    if limits[0] is not None:
        found &= high >= limits[0]
    if limits[1] is not None:
        found &= low < limits[1]
    return found
