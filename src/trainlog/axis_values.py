"""Where frames are on an axis: which column says so, and what is made of it. Figures and dashboard ask this."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from trainlog.conventions import AxisKey, AxisName, Conventions, Usable
from trainlog.model import Kind

__all__ = [
    "COMPUTED",
    "GUIDES",
    "axis_key",
    "continued",
    "episodes_by_starts",
    "is_added_up",
    "places_by_time",
    "places_of_events",
    "without_restarts",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

GUIDES: Final = (Kind.STATS, Kind.CREATURE, Kind.EVOLUTION)
"""Kinds whose frames tell where those of other kinds are on an axis, in the order of trust."""

_SLACK: Final = 0.1  # of the length of an axis, by which events may stand before or behind it

COMPUTED: Final = AxisKey("")
"""An axis without a column: the time of the frames, episodes by the events of their starts, or `continued`."""


def axis_key(
    conventions: Conventions,
    kind: Kind,
    name: AxisName,
    keys: Iterable[str],
    is_usable: Usable,
    *,
    has_starts: bool,
    has_summaries: bool = False,
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
        has_summaries: whether statistics are summaries of episodes, see `trainlog.episode_summary.is_summary`. Their
            axes go on from one episode to the next.

    """
    if has_summaries and kind == Kind.STATS:
        keys = [key for key in keys if not conventions.restarts(key)]
    by_starts = name == "episode" and has_starts and not has_summaries
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


def continued(order: Ints, ends_at: Ints, ends: Floats, value: Floats | None, length: Floats | None) -> Floats:
    """Where frames are in a log whose statistics are summaries of episodes: each episode goes on where one ended.

    An episode is what stands before its summary, whatever clocks say. What its summary says counts, not how many of its
    steps were recorded. The last one may not be finished: its parts are those of an episode as long as the one before.

    Args:
        order: int64, shape (n,): where the frames stand among those of all kinds.
        ends_at: int64, shape (episodes,): where the summaries stand; at least one.
        ends: float64, shape (episodes,): where on the axis each episode ends, by its summary.
        value: float64, shape (n,): where in its episode each frame is: its step, or its simulated time; None of frames
            that do not say so, which are placed between the ends of episodes.
        length: float64, shape (episodes,): steps of the episodes, for an axis of which a frame's *value* is no part:
            that of episodes; None for others.

    """
    ends = np.concatenate(([0.0], ends))
    if value is None:
        return np.interp(order, np.concatenate(([-1], ends_at)), ends)
    which = np.searchsorted(ends_at, order)
    if length is None:
        return ends[which] + value
    length = np.maximum(np.append(length, length[-1]), 1)  # of one that is not finished it is not known yet
    part: Floats = np.append(ends[1:] - 1, ends[-1])[which] + np.minimum(value / length[which], 1)
    return part


def places_by_time(time: Floats, known: Floats, values: Floats) -> Floats:
    """Where moments are on an axis, by frames of the times *known* that are at *values* of it, one or more.

    A moment between two frames is between their places, as far as it is between their times; one before the first or
    after the last frame is where that one is.
    """
    order = np.argsort(known, kind="stable")
    return np.interp(time, known[order], values[order])


def places_of_events(by_time: Floats, own: Iterable[Floats], axis: Floats) -> Floats:
    """Where events are: what they say themselves, or else *by_time*.

    What events say counts where it does not go back, as steps of an episode do, and is about as large as the *axis* of
    the frames that it is drawn with.

    Args:
        by_time: float64, shape (events,).
        own: columns of the events that may be the axis, the best first; NaN where an event does not say so.
        axis: finite values of the frames, one or more.

    """
    places = by_time
    slack = _SLACK * (axis.max() - axis.min())
    low, high = axis.min() - slack, axis.max() + slack
    for column in reversed([*own]):  # the best last: it wins
        said = column[np.isfinite(column)]
        if len(said) and (said[1:] >= said[:-1]).all() and low <= said[0] and said[-1] <= high:
            places = np.where(np.isfinite(column), column, places)
    return places


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
