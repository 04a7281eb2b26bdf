"""The places of single frames on an axis, and the frame at a place there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trainlog.conventions import AxisName
from trainlog.live_log.log import Log
from trainlog.model import Kind
from trainlog.server.curves import axis_values, is_rising
from trainlog.server.responses import ApiError

__all__ = ["Places"]

_FEW = 64  # rows that are looked at without a further binary search

Floats = npt.NDArray[np.float64]


class Places:
    """The frames of one kind on an axis; with a span (a pair of times, such as an episode), only those within it."""

    def __init__(self, log: Log, kind: Kind, axis: AxisName, span: tuple[float, float] | None = None) -> None:
        self._log, self._kind, self._axis = log, kind, axis
        self._rows = log.rows[kind]
        self._is_episode = span is not None
        self._is_rising = span is None and is_rising(log, kind, axis)
        first, last = (0, len(self._rows) - 1) if span is None else map(self._rows.at, sorted(span))
        self._first, self._stop = first, last + 1

    def of(self, rows: Sequence[int]) -> Floats:
        """The places of the frames with these increasing numbers on the axis; NaN where they have none.

        Raises:
            ApiError: if the log has no such axis for them.

        """
        first, last = (rows[0], rows[-1] + 1) if len(rows) else (0, 0)
        return self._between(first, last)[np.asarray(rows, np.intp) - first]

    def nearest(self, at: float) -> int:
        """The number of the frame nearest to a place."""
        first, x = self._around(at)
        return first + int(np.nanargmin(np.abs(x - at)))

    def last_before(self, at: float) -> int:
        """The number of the last frame that is not after a place; the first one if all are."""
        if self._axis == "time" and self._rows.is_in_time:
            return self._rows.at(at)
        first, x = self._around(at)
        before = np.flatnonzero(x <= at)
        return first + (int(before[-1]) if len(before) else 0)

    def _between(self, start: int, stop: int) -> Floats:
        return axis_values(self._log, self._kind, self._axis, start, stop, within_episode=self._is_episode)

    def _around(self, at: float) -> tuple[int, Floats]:
        """The first candidate row, and the places of all candidates: few if rows are in the order of the axis."""
        low, high = self._first, self._stop - 1
        while self._is_rising and high - low > _FEW:
            middle = (low + high) // 2
            x = self._between(middle, middle + 1)[0]
            if np.isnan(x):
                break
            low, high = (middle, high) if x <= at else (low, middle)
        found = self._between(low, high + 1)
        if np.isnan(found).all():
            raise ApiError(400, "axis", f"these {self._kind} frames have no {self._axis}")
        return low, found
