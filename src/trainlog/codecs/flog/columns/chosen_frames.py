"""The values of a few columns of frames that share no shape, extracted from each frame by `codecs.chosen_values`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.codecs.chosen_values import chooser
from trainlog.codecs.flog.columns.values import overlapping
from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.table.builder import Rows, TableBuilder, pick_rows
from trainlog.table.values import number

__all__ = ["ChosenFrames"]

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Columns = dict[str, tuple[Ints, list[Any]]]

_HEAD: Final = FRAME.size


class ChosenFrames:
    """Some columns of some frames."""

    def __init__(self, time: npt.NDArray[np.float64], columns: Columns) -> None:
        """Hold frames with the times *time*; *columns* has by name the ascending numbers of its frames, and values."""
        self._time = time
        self._columns = columns

    @classmethod
    def find(
        cls, block: npt.NDArray[np.uint8], offset: Ints, length: Ints, wanted: frozenset[str]
    ) -> tuple[ChosenFrames, Mask]:
        """The *wanted* columns of the frames that begin at *offset* of *block*, and a mask of the frames they are from.

        The mask is all False when the columns cannot be chosen this way.
        """
        found = np.zeros(len(offset), np.bool_)
        choose = chooser(wanted)
        if choose is None:
            return cls(np.empty(0), {}), found
        view = block.data
        spans = zip((offset + _HEAD).tolist(), (offset + length).tolist(), strict=True)
        taken, columns = choose.columns([view[start:end] for start, end in spans])
        found[taken] = True
        rows = np.arange(len(taken))
        chosen = {name: (rows if which is None else rows[which], values) for name, (which, values) in columns.items()}
        return cls(overlapping(block, "<f8")[offset[found]], chosen), found

    def __len__(self) -> int:
        return len(self._time)

    @property
    def firsts(self) -> list[tuple[int, tuple[str, ...]]]:
        """Each column with the first frame that has it."""
        return [(int(rows[0]), (name,)) for name, (rows, _) in self._columns.items()]

    def take(self, chosen: Mask) -> ChosenFrames:
        """Only the *chosen* frames."""
        place = np.cumsum(chosen) - 1
        columns: Columns = {}
        for name, (rows, values) in self._columns.items():
            keep = chosen[rows]
            if keep.any():
                columns[name] = place[rows[keep]], [values[i] for i in np.flatnonzero(keep).tolist()]
        return ChosenFrames(self._time[chosen], columns)

    def add_to(self, builder: TableBuilder, rows: Rows) -> None:
        """Set *rows* of a table to the frames' values."""
        builder.time.put(rows, self._time)
        for name in builder.names(self._columns):
            which, values = self._columns[name]
            builder.columns[name].extend(pick_rows(rows, which), values)

    def numbers(self, key: str) -> npt.NDArray[np.float64]:
        """The number that each frame has under *key*; NaN for none."""
        found = np.full(len(self), np.nan)
        if key in self._columns:
            rows, values = self._columns[key]
            found[rows] = [number(value) for value in values]
        return found
