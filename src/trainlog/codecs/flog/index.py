"""Where in a FLOG file which frames are: for each part of about a megabyte how many, and in what range of time.

It is built from the headers alone, block by block, and only for files whose chain of frames is unbroken from the
first to the last; a torn tail is left to the walk. Clocks may step back: a part is chosen by the range of its times,
not by their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.chain import SLACK, Chain
from trainlog.codecs.flog.layout import FRAME
from trainlog.codecs.flog.values import overlapping
from trainlog.files import Source
from trainlog.rows import Range

__all__ = ["Index", "likely"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Spans = list[tuple[int, int]]

_HEAD: Final = FRAME.size
_PART: Final = 1 << 20


def likely(time: Floats, kind: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which headers may be those of real frames; as the walk says it of one, see `trainlog.codecs.flog.scan`."""
    size = np.abs(time)
    found: npt.NDArray[np.bool_] = (kind > 0) & ((size == 0) | ((size > 2.0**-63) & (size < 2.0**41)))
    return found


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

    """

    offset: Ints
    kinds: tuple[int, ...] = ()
    frames: Ints = field(default_factory=lambda: np.empty((0, 0), np.int64))
    low: Floats = field(default_factory=lambda: np.empty((0, 0)))
    high: Floats = field(default_factory=lambda: np.empty((0, 0)))
    steps: Mapping[int, tuple[Floats, Floats]] = field(default_factory=dict)

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
        at, stop = self.end, source.size
        offset = [at]
        found: list[dict[int, tuple[int, float, float]]] = []
        chain = Chain()
        block = np.empty(_PART + SLACK, np.uint8)
        while at + _HEAD < stop:
            count = source.fill(block.data[: min(len(block) - SLACK, stop - at)], at)
            links = chain.follow(block, count)
            good, reached = len(links.kind), links.next
            if good and reached > count and at + reached > stop:
                good, reached = good - 1, int(links.offset[-1])  # torn
            if links.broken:
                return None
            if not good:
                break
            time = overlapping(block, "<f8")[links.offset[:good]]
            kind = links.kind[:good]
            if not likely(time, kind).all():
                return None
            found.append(
                {
                    one: (len(some), float(some.min()), float(some.max()))
                    for one in np.flatnonzero(np.bincount(kind)).tolist()
                    if len(some := time[kind == one])
                }
            )
            at += reached
            offset.append(at)
            if good < len(links.kind):
                break
        return self._with(np.array(offset[1:], np.int64), found)

    def _with(self, offset: Ints, found: list[dict[int, tuple[int, float, float]]]) -> Index:
        kinds = tuple(sorted({*self.kinds, *(kind for part in found for kind in part)}))
        shape = len(found), len(kinds)
        frames, low, high = np.zeros(shape, np.int64), np.full(shape, np.inf), np.full(shape, -np.inf)
        for i, part in enumerate(found):
            for kind, values in part.items():
                j = kinds.index(kind)
                frames[i, j], low[i, j], high[i, j] = values

        def grown(ours: Any, theirs: Any, missing: float) -> Any:
            wide = np.full((len(ours), len(kinds)), missing, ours.dtype)
            wide[:, [kinds.index(kind) for kind in self.kinds]] = ours
            return np.concatenate([wide, theirs])

        return replace(
            self,
            offset=np.concatenate([self.offset, offset]),
            kinds=kinds,
            frames=grown(self.frames, frames, 0),
            low=grown(self.low, low, np.inf),
            high=grown(self.high, high, -np.inf),
        )

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

    def spans(self, parts: npt.NDArray[np.bool_]) -> Spans:
        """The bytes of *parts*, those that are neighbours in one."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], parts, [False]]).astype(np.int8)))
        return [(int(self.offset[first]), int(self.offset[last])) for first, last in edges.reshape(-1, 2).tolist()]


def _overlaps(low: Floats, high: Floats, limits: Range) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = low <= high
    if limits[0] is not None:
        found &= high >= limits[0]
    if limits[1] is not None:
        found &= low < limits[1]
    return found
