"""Where frames are on an axis: which column says so, and what is made of it. Figures and dashboard ask this."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from trainlog.conventions import AxisKey, AxisName, Conventions, Usable
from trainlog.model import Kind

__all__ = ["COMPUTED", "axis_key", "episodes_by_starts", "is_added_up", "without_restarts"]

Floats = npt.NDArray[np.float64]

COMPUTED: Final = AxisKey("")
"""An axis without a column: the time of the frames, or episodes by the events of their starts."""


def axis_key(
    conventions: Conventions, kind: Kind, name: AxisName, keys: Iterable[str], is_usable: Usable, *, has_starts: bool
) -> AxisKey | None:
    """The column of an axis for frames of *kind*; None when they do not have that axis.

    Args:
        conventions: of the log.
        kind: of the frames.
        name: of the axis.
        keys: of the frames.
        is_usable: whether a column has nothing but numbers, and two different finite ones or only one row.
        has_starts: whether events say when episodes start. They tell where frames of all kinds are, but statistics
            have a counter of their own.

    """
    by_starts = name == "episode" and has_starts
    if name == "time" or (by_starts and kind != Kind.STATS):
        return COMPUTED
    found = conventions.axis(name, keys, is_usable)
    return COMPUTED if found is None and by_starts else found


def is_added_up(conventions: Conventions, kind: Kind, key: AxisKey) -> bool:
    """Whether the values of an axis may begin anew with each episode, and are made monotonic."""
    return key != COMPUTED and (kind == Kind.CREATURE or conventions.restarts(key.key))


def without_restarts(values: Floats) -> Floats:
    """Make a counter with restarts monotonic; NaN is not changed."""
    known = np.flatnonzero(np.isfinite(values))
    steps = np.diff(values[known])
    restarts = np.flatnonzero(steps < 0)
    if not len(restarts):
        return values
    offset = np.zeros(len(values))
    offset[known[restarts + 1]] = values[known[restarts]]
    total: Floats = values + np.cumsum(offset)
    return total


def episodes_by_starts(starts: Floats, time: Floats) -> Floats:
    """The number of the episode at each *time*, and its part that is done, from the times at which episodes start."""
    number = np.searchsorted(starts, time, side="right").astype(np.float64)
    return number + _episode_progress(number)


def _episode_progress(number: Floats) -> Floats:
    """The progress of each frame in its episode, in [0, 1), from the episode number of each frame."""
    if not len(number):
        return number
    starts = np.flatnonzero(np.concatenate(([True], number[1:] != number[:-1])))
    lengths = np.diff(np.append(starts, len(number)))
    done: Floats = (np.arange(len(number)) - np.repeat(starts, lengths)) / np.repeat(lengths, lengths)
    return done
