"""Where in a FLOG file which frames are: for each part of about a megabyte how many, and in what range of time.

It is built from the headers alone, block by block, and only for files whose chain of frames is unbroken from the
first to the last; a torn tail is left to the walk. Clocks may step back: a part is chosen by the range of its times,
not by their order. Of kinds that are few and far between, as stats among creatures are, it knows every frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.columns.values import overlapping
from trainlog.codecs.flog.scanning.chain import SLACK, Chain, Links, Octets
from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.storage.source import Source
from trainlog.table.values import Range, in_range

__all__ = ["Index", "Known", "Places", "Survey", "likely"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Spans = list[tuple[int, int]]

_HEAD: Final = FRAME.size
_PART: Final = 1 << 20
_SHORTEST, _LONGEST = 2.0**-63, 2.0**41  # seconds
_APART: Final = 1 << 13  # bytes from one frame to the next from which on it is faster to read each by itself


def likely(time: Floats, kind: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which headers may be those of real frames; as the walk says it of one."""
    size = np.abs(time)
    found: npt.NDArray[np.bool_] = (kind > 0) & ((size == 0) | ((size > _SHORTEST) & (size < _LONGEST)))
    return found


class Places(NamedTuple):
    """Frames of one kind, in the file's order.

    Attributes:
        offset: int64, where each begins.
        length: int64, bytes of each, its header among them.
        time: float64.

    """

    offset: Ints
    length: Ints
    time: Floats

    def take(self, which: npt.NDArray[np.bool_] | slice) -> Places:
        """Some of them."""
        return Places(self.offset[which], self.length[which], self.time[which])


class Known(NamedTuple):
    """Where frames are that are wanted.

    Attributes:
        spans: ranges of bytes that are whole frames, those that are wanted among them.
        places: or these frames themselves.

    """

    spans: Spans = []  # noqa: RUF012 - nobody changes it
    places: Places | None = None


class Part(NamedTuple):
    """A part of a file: where it ends, and of each kind how many frames it has, the lowest and the highest time."""

    end: int
    ranges: dict[int, tuple[int, float, float]]

    def and_then(self, later: Part) -> Part:
        """One of both, the *later* one right behind it."""
        ranges = dict(later.ranges)
        for kind, (frames, low, high) in self.ranges.items():
            more, lowest, highest = ranges.get(kind, (0, low, high))
            ranges[kind] = frames + more, min(low, lowest), max(high, highest)
        return Part(later.end, ranges)


@dataclass(frozen=True)
class Index:
    """The parts of a file, in its order.

    Attributes:
        offset: int64, shape (parts + 1,), ascending: where each part begins; the last one is where the index ends.
        kinds: those that occur.
        frames: int64, shape (parts, kinds), how many frames of each kind there are.
        low, high: float64, shape (parts, kinds), the range of their times; +inf and -inf where there are none.
        steps: for some kinds, the range of the frames' ``step``: two arrays like a column of ``low`` and ``high``,
            for the first parts.
        places: every frame of those kinds that are few and far between.
        content: checksums of samples of what the file holds until ``end``.

    """

    offset: Ints
    kinds: tuple[int, ...] = ()
    frames: Ints = field(default_factory=lambda: np.empty((0, 0), np.int64))
    low: Floats = field(default_factory=lambda: np.empty((0, 0)))
    high: Floats = field(default_factory=lambda: np.empty((0, 0)))
    steps: Mapping[int, tuple[Floats, Floats]] = field(default_factory=dict)
    places: Mapping[int, Places] = field(default_factory=dict)
    content: bytes = b""

    @classmethod
    def beginning(cls, start: int) -> Index:
        """The index of nothing, for a file whose first frame begins at byte *start*."""
        return cls(np.array([start], np.int64))

    @property
    def end(self) -> int:
        """Where the index ends: the end of the last whole frame that the file had."""
        return int(self.offset[-1])

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return len(self.offset) - 1

    def extended(self, source: Source) -> Index | None:
        """The index of all that *source* holds by now; None when its frames are no unbroken chain."""
        survey = Survey(self)
        at, stop = survey.end, source.size
        chain = Chain()
        block = np.empty(_PART + SLACK, np.uint8)
        while at + _HEAD < stop:
            count = source.fill(block.data[: min(len(block) - SLACK, stop - at)], at)
            links = chain.follow(block, count)
            good = len(links.kind)
            if good and links.next > count and at + links.next > stop:
                good -= 1  # torn
            survey.see(at, block, links, good)
            if survey.end == at:
                break
            at = survey.end
        return survey.index()

    def with_parts(self, parts: Sequence[Part], places: Mapping[int, Places]) -> Index:
        """The same with some more *parts*, and with these *places*, of all parts."""
        if parts and self.parts and self.end - int(self.offset[-2]) < _PART // 2:
            # A log that grows by little has no part for each time that it was looked at.
            return self._without_last().with_parts([self._last_part().and_then(parts[0]), *parts[1:]], places)
        kinds = tuple(sorted({*self.kinds, *(kind for part in parts for kind in part.ranges)}))
        shape = len(parts), len(kinds)
        frames, low, high = np.zeros(shape, np.int64), np.full(shape, np.inf), np.full(shape, -np.inf)
        for i, part in enumerate(parts):
            for kind, values in part.ranges.items():
                j = kinds.index(kind)
                frames[i, j], low[i, j], high[i, j] = values

        def grown(ours: Any, theirs: Any, missing: float) -> Any:
            wide = np.full((len(ours), len(kinds)), missing, ours.dtype)
            wide[:, [kinds.index(kind) for kind in self.kinds]] = ours
            return np.concatenate([wide, theirs])

        return replace(
            self,
            offset=np.concatenate([self.offset, np.array([part.end for part in parts], np.int64)]),
            kinds=kinds,
            frames=grown(self.frames, frames, 0),
            low=grown(self.low, low, np.inf),
            high=grown(self.high, high, -np.inf),
            places=places,
        )

    def _last_part(self) -> Part:
        values = zip(self.frames[-1].tolist(), self.low[-1].tolist(), self.high[-1].tolist(), strict=True)
        return Part(self.end, {kind: found for kind, found in zip(self.kinds, values, strict=True) if found[0]})

    def _without_last(self) -> Index:
        most = self.parts - 1
        steps = {kind: (low[:most], high[:most]) for kind, (low, high) in self.steps.items()}
        arrays = {name: getattr(self, name)[:-1] for name in ("offset", "frames", "low", "high")}
        return replace(self, steps=steps, **arrays)

    def with_steps(self, kind: int, steps: Floats) -> Index:
        """The index that also knows the ranges of *steps*: those of all the frames of *kind*, NaN for none."""
        counts = self.column(self.frames, kind)
        low, high = np.full(self.parts, np.inf), np.full(self.parts, -np.inf)
        some = np.flatnonzero(counts)
        if len(some):
            starts = (np.cumsum(counts) - counts)[some]
            low[some] = np.minimum.reduceat(np.where(np.isnan(steps), np.inf, steps), starts)
            high[some] = np.maximum.reduceat(np.where(np.isnan(steps), -np.inf, steps), starts)
        return replace(self, steps={**self.steps, kind: (low, high)})

    def column(self, values: npt.NDArray[Any], kind: int) -> npt.NDArray[Any]:
        """Of *frames*, *low* or *high*, what is said of *kind*."""
        if kind in self.kinds:
            return values[:, self.kinds.index(kind)]
        return np.zeros(self.parts, np.int64)

    def count(self, kind: int) -> int:
        """How many frames of *kind* there are."""
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

    def last(self, kind: int, rows: int) -> npt.NDArray[np.bool_]:
        """Which parts hold the last *rows* frames of *kind*, or all that there are."""
        counts = self.column(self.frames, kind)
        behind = np.cumsum(counts[::-1])[::-1] - counts
        found: npt.NDArray[np.bool_] = (counts > 0) & (behind < rows)
        return found

    def known(self, kind: int, *, time: Range | None, steps: Range | None, last: int | None) -> Known:
        """Where all frames of *kind* are that may be in these ranges, and among the *last*."""
        if time is not None or steps is not None:
            last = None  # they are counted from the end of what is in the ranges
        if kind in self.places:
            places = self.places[kind]
            if time is not None:
                places = places.take(in_range(places.time, time))
            if last is not None:
                places = places.take(slice(max(0, len(places.time) - last), None))
            return Known([], places)
        parts = self.having(kind, time=time, steps=steps) if last is None else self.last(kind, last)
        return Known(self.spans(parts))

    def spans(self, parts: npt.NDArray[np.bool_]) -> Spans:
        """The bytes of *parts*, those that are neighbours in one."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], parts, [False]]).astype(np.int8)))
        return [(int(self.offset[first]), int(self.offset[last])) for first, last in edges.reshape(-1, 2).tolist()]


class Survey:
    """An index in the making, by whoever follows the chain of frames.

    Attributes:
        end: how far it came.

    """

    def __init__(self, known: Index) -> None:
        """Go on where *known* ends."""
        self._known = known
        self.end = known.end
        self._parts: list[Part] = []
        self._places = {kind: [places] for kind, places in known.places.items()}
        self._many = {kind for kind in known.kinds if kind not in known.places}
        self._broken = False

    def see(self, at: int, block: Octets, links: Links, good: int) -> None:
        """Add the first *good* frames of *links*, of the block that begins at byte *at* of the file."""
        if at != self.end or self._broken:
            return
        offset, length, kind = links.offset[:good], links.length[:good], links.kind[:good]
        if links.broken:
            self._broken = True
        if self._broken or not good:
            return
        time = overlapping(block, "<f8")[offset]
        reached = int(offset[-1] + length[-1])
        ranges = {}
        for one in np.flatnonzero(np.bincount(kind)).tolist():
            rows = np.flatnonzero(kind == one)
            some = time[rows]
            low, high = float(some.min()), float(some.max())
            # Nearly always the range tells that all of them are likely.
            if not (one and low > _SHORTEST and high < _LONGEST) and not likely(some, kind[rows]).all():
                self._broken = True
                return
            ranges[one] = len(rows), low, high
            if one not in self._many:
                if len(rows) * _APART > max(reached, _PART):
                    self._many.add(one)
                    self._places.pop(one, None)
                else:
                    self._places.setdefault(one, []).append(Places(offset[rows] + at, length[rows], some))
        self.end = at + reached
        self._parts.append(Part(self.end, ranges))

    def index(self) -> Index | None:
        """What came of it; None when the frames are no unbroken chain."""
        if self._broken:
            return None
        # A log that is looked at often grows by few frames of any kind, however many they are in the end.
        most = max(self.end - int(self._known.offset[0]), _PART) // _APART
        few = {kind: some for kind, some in self._places.items() if sum(len(one.time) for one in some) <= most}
        places = {kind: Places(*map(np.concatenate, zip(*some, strict=True))) for kind, some in few.items()}
        return self._known.with_parts(self._parts, places)


def _overlaps(low: Floats, high: Floats, limits: Range) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = low <= high
    if limits[0] is not None:
        found &= high >= limits[0]
    if limits[1] is not None:
        found &= low < limits[1]
    return found
