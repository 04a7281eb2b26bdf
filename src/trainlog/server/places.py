"""Where single frames are on an axis, and which frame is at a place there, without reading all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trainlog.conventions import AxisName
from trainlog.live_log.log import Log
from trainlog.model import Frame, Kind
from trainlog.server.curves import axis_values, has_episodes, own_axis
from trainlog.server.episode_axis import continued
from trainlog.server.responses import ApiError
from trainlog.table.values import flatten, number

__all__ = ["Places"]

_FEW = 64  # frames that are looked at one by one

Floats = npt.NDArray[np.float64]


class Places:
    """The frames of one kind on an axis; with a span, which is a pair of times, only those within it, an episode."""

    def __init__(self, log: Log, kind: Kind, axis: AxisName, span: tuple[float, float] | None = None) -> None:
        self._log, self._kind, self._axis, self._span = log, kind, axis, span
        self._rows = log.rows[kind]
        self._is_continued = has_episodes(log) and kind != Kind.STATS and span is None
        if axis != "time" and not any(own_axis(log, guide, axis) for guide in log.rows):
            self.of([0], log.frames(kind, [0]))  # raises where no frame says where it is

    def of(self, rows: Sequence[int], frames: Sequence[Frame]) -> Floats:
        """Where *frames*, whose numbers are *rows*, which rise, are on the axis; NaN where they do not say so.

        Raises:
            ApiError: when nothing in this log says so.

        """
        if self._axis == "time":
            return np.array([frame.time for frame in frames])
        is_part = self._axis == "episode" and self._kind != Kind.STATS and has_episodes(self._log)
        meaning: AxisName = "step" if is_part else self._axis
        values = np.full(len(frames), np.nan)
        for i, frame in enumerate(frames):
            data = flatten(frame.data)
            own = self._log.conventions.axis(meaning, data)
            if own is not None:
                values[i] = number(data[own.key]) * own.factor
        if self._is_continued and own_axis(self._log, Kind.STATS, self._axis):
            orders = self._rows.order.pick(np.asarray(rows, np.int64))
            return continued(self._log, self._axis, orders, values)
        if np.isnan(values).all():
            first, last = (rows[0], rows[-1] + 1) if len(rows) else (0, 0)
            return axis_values(self._log, self._kind, self._axis, first, last)[np.asarray(rows, np.intp) - first]
        return values

    def nearest(self, at: float) -> int:
        """The number of the frame that is nearest to a place."""
        rows, x = self._around(at)
        return rows[int(np.nanargmin(np.abs(x - at)))]

    def last_before(self, at: float) -> int:
        """The number of the last frame that is not after a place; of the first one when all are."""
        if self._axis == "time":
            return self._rows.at(at)
        rows, x = self._around(at)
        before = np.flatnonzero(x <= at)
        return rows[int(before[-1]) if len(before) else 0]

    def _around(self, at: float) -> tuple[list[int], Floats]:
        """Some rows near a place, and where each is."""
        low, high = self._bracket(at)
        while high - low > _FEW:
            middle = (low + high) // 2
            if self._x([middle])[0] <= at:
                low = middle
            else:
                high = middle
        rows = list(range(low, high + 1))
        x = self._x(rows)
        if np.isnan(x).all():
            raise ApiError(400, "axis", f"these {self._kind} frames do not say their {self._axis}")
        return rows, x

    def _x(self, rows: list[int]) -> Floats:
        frames = [] if self._axis == "time" else self._log.frames(self._kind, rows)
        return self.of(rows, frames) if frames else self._rows.time.read(rows[0], rows[-1] + 1)

    def _bracket(self, at: float) -> tuple[int, int]:
        """The first and the last row that can be meant: those between the stats before and after the place."""
        if self._span is not None:
            first, last = map(self._rows.at, sorted(self._span))
            return first, last
        low, high = 0, len(self._rows) - 1
        stats = self._log.rows.get(Kind.STATS)
        if self._axis == "time":
            row = self._rows.at(at)
            return row, min(row + 1, high)
        if self._kind == Kind.STATS or stats is None or not own_axis(self._log, Kind.STATS, self._axis):
            return low, high
        x = axis_values(self._log, Kind.STATS, self._axis, 0, stats.columns.rows)
        if np.isfinite(x).any():
            near = int(np.nanargmin(np.abs(x - at)))
            if near > 0:
                low = self._rows.order.search(int(stats.order.read(near - 1, near)[0])) - 1
            if near + 1 < len(x):
                high = self._rows.order.search(int(stats.order.read(near + 1, near + 2)[0]))
        return max(low, 0), max(min(high, len(self._rows) - 1), 0)
