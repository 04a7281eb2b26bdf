"""Where frames are on an axis in a log whose stats are summaries of episodes, and whose steps begin anew with each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainlog.conventions import AxisName
from trainlog.live_log.log import Log
from trainlog.model import Kind

__all__ = ["continued"]

Floats = npt.NDArray[np.float64]


def continued(log: Log, axis: AxisName, order: npt.NDArray[np.int64], value: Floats | None = None) -> Floats:
    """Go on from one episode to the next: steps and simulated time add up, of episodes there are parts.

    An episode is what stands before its summary, whatever clocks say. The last one may not be finished; parts of it are
    those of an episode as long as the one before.

    Args:
        log: of episodes.
        axis: step, episode or sim_time.
        order: int64, shape (n,): where the frames stand among those of all kinds.
        value: float64, shape (n,): where in its episode each is: its step, or its simulated time; None of frames that
            do not say so, which are placed between the ends of episodes.

    """
    rows = log.rows[Kind.STATS]
    count = rows.columns.rows
    ends_at = rows.order.read(0, count)
    which = np.searchsorted(ends_at, order)
    ends = np.concatenate(([0.0], _ends(log, axis, count)))
    if value is None:
        return np.interp(order, np.concatenate(([-1], ends_at)), ends)
    if axis != "episode":
        return ends[which] + value
    length = rows.columns.numbers("length", 0, count)
    length = np.maximum(np.append(length, length[-1]), 1)  # of one that is not finished it is not known yet
    part: Floats = np.append(ends[1:] - 1, ends[-1])[which] + np.minimum(value / length[which], 1)
    return part


def _ends(log: Log, axis: AxisName, count: int) -> Floats:
    """Where each episode ends."""
    columns = log.rows[Kind.STATS].columns
    own = log.conventions.axis(axis, (key for key in columns.series if not log.conventions.restarts(key)))
    return np.full(count, np.nan) if own is None else columns.numbers(own.key, 0, count) * own.factor
