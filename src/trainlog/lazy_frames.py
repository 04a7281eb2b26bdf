"""The frames of a log as a sequence that reads them on demand."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from typing import Any, Final, overload

import numpy as np
import numpy.typing as npt

from trainlog.codec import Reader
from trainlog.model import Frame, Kind
from trainlog.scan import Scan, stretches

__all__ = ["LazyFrames", "orders_of"]

_BLOCK: Final = 256  # frames that are read and kept when one is requested by its index


def orders_of(reader: Reader, kinds: Collection[Kind] | None) -> npt.NDArray[np.int64]:
    """The orders of the frames of *kinds* (None means all) in the log; no frame is decoded.

    Returns:
        Orders for `Reader.take`: int64, shape (frames,).

    """
    scan = Scan(kinds=None if kinds is None else frozenset(kinds), columns=())
    parts = [batch.order for batches in stretches(reader.scan(scan)) for batch in batches.values()]
    return np.sort(np.concatenate(parts)) if parts else np.zeros(0, np.int64)


class LazyFrames(Sequence[dict[str, Any]]):
    """Frames as dicts, which can be counted, indexed, sliced, and iterated any number of times.

    Iterating holds no frames in memory; an index holds some hundreds around it, a slice those that it selects. Frames
    that are written after the first of these calls are not included.
    """

    def __init__(self, reader: Reader, kinds: Collection[Kind] | None, made: Callable[[Frame], dict[str, Any]]) -> None:
        """Create a sequence of the frames of *kinds*, None means all; *made* returns the dict of a frame."""
        self._reader = reader
        self._kinds = kinds
        self._made = made
        self._kept: tuple[int, list[dict[str, Any]]] = 0, []  # the block that an index read last, and where it begins

    @cached_property
    def _orders(self) -> npt.NDArray[np.int64]:
        return orders_of(self._reader, self._kinds)

    def _taken(self, orders: npt.NDArray[np.int64]) -> Iterator[dict[str, Any]]:
        return map(self._made, self._reader.take(orders.tolist()))

    def __len__(self) -> int:
        return len(self._orders)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._taken(self._orders)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        """The frame at *index*, or a list of the frames in a slice.

        Raises:
            IndexError: for an index out of range.

        """
        if isinstance(index, slice):
            orders = self._orders[index]
            backwards = index.step is not None and index.step < 0
            found = list(self._taken(orders[::-1] if backwards else orders))
            return found[::-1] if backwards else found
        place = range(len(self))[index]
        start, block = self._kept  # read and replaced as a whole, because other threads do so, too
        if not start <= place < start + len(block):
            start = place - place % _BLOCK
            block = list(self._taken(self._orders[start : start + _BLOCK]))
            self._kept = start, block
        return block[place - start]

    def __repr__(self) -> str:
        kinds = "frames" if self._kinds is None else f"{', '.join(map(str, self._kinds))} frames"
        return f"<{len(self):,} {kinds} of {str(self._reader.path)!r}>"
