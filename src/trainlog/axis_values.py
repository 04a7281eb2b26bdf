"""The places of frames on an axis: which column has them, and how they are computed. For figures and dashboard."""

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
    "owners_of",
    "places_by_time",
    "places_of_events",
    "without_restarts",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

GUIDES: Final = (Kind.STATS, Kind.CREATURE, Kind.EVOLUTION)
"""Kinds whose frames determine the places of other kinds on an axis, in the order of trust."""

_SLACK: Final = 0.1  # share of the length of an axis by which events can be before or after it

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
        conventions: the conventions of the log.
        kind: the kind of the frames.
        name: the name of the axis.
        keys: the keys of the frames.
        is_usable: whether a column has only numbers, and two different finite ones or only one row.
        has_starts: whether events mark the starts of episodes. They determine the places of frames of all kinds, but
            statistics have a counter of their own.
        has_summaries: whether statistics are summaries of episodes, see `trainlog.episode_summary.is_summary`. Their
            axes continue from one episode to the next.

    """
    if has_summaries and kind == Kind.STATS:
        keys = [key for key in keys if not conventions.restarts(key)]
    by_starts = name == "episode" and has_starts and not has_summaries
    if name == "time" or (by_starts and kind != Kind.STATS):
        return COMPUTED
    found = conventions.axis(name, keys, is_usable)
    return COMPUTED if found is None and by_starts else found


def is_added_up(conventions: Conventions, kind: Kind, key: AxisKey) -> bool:
    """Whether the values of an axis can restart with each episode, and are made monotonic."""
    return key != COMPUTED and (kind == Kind.CREATURE or conventions.restarts(key.key))


def without_restarts(values: Floats, owners: Ints | None = None) -> Floats:
    """Make counters with restarts monotonic; what is not finite is not changed.

    Args:
        values: float64, shape (n,): the counters.
        owners: int64, shape (n,): the environment whose counter it is in each row; None if it is the same in all.

    """
    known = np.flatnonzero(np.isfinite(values))
    if owners is not None:
        known = known[np.argsort(owners[known], kind="stable")]
    counts = values[known]
    restarts = np.diff(counts, prepend=-np.inf) < 0
    if owners is not None:
        begins = np.flatnonzero(np.diff(owners[known], prepend=-1))
        restarts[begins] = False
    if not restarts.any():
        return values
    added = np.cumsum(np.where(restarts, np.concatenate(([0.0], counts[:-1])), 0.0))
    if owners is not None:  # what other environments have added does not count
        added -= np.repeat(added[begins], np.diff(np.append(begins, len(known))))
    total = values.copy()
    total[known] += added
    return total


def owners_of(columns: Iterable[Ints]) -> Ints | None:
    """Number the different rows of *columns*, each int64 of shape (n,); None if all rows are equal."""
    owners = None
    for column in columns:
        found, which = np.unique(column, return_inverse=True)
        if len(found) > 1:
            owners = which if owners is None else owners * len(found) + which
    return owners


def continued(order: Ints, ends_at: Ints, ends: Floats, value: Floats | None, length: Floats | None) -> Floats:
    """Places of frames in a log whose statistics are summaries of episodes: each episode continues after the last.

    An episode consists of the frames before its summary, whatever the clocks say. The values of its summary count, not
    the number of recorded steps. The last episode may be unfinished: it is assumed to be as long as the previous one.

    Args:
        order: int64, shape (n,): the orders of the frames among those of all kinds.
        ends_at: int64, shape (episodes,): the orders of the summaries; at least one.
        ends: float64, shape (episodes,): where on the axis each episode ends, according to its summary.
        value: float64, shape (n,): where in its episode each frame is: its step, or its simulated time; None for frames
            without it, which are placed between the ends of episodes.
        length: float64, shape (episodes,): steps of the episodes, for an axis whose unit is not that of *value*: that
            of episodes; None for other axes.

    """
    ends = np.concatenate(([0.0], ends))
    if value is None:
        return np.interp(order, np.concatenate(([-1], ends_at)), ends)
    which = np.searchsorted(ends_at, order)
    if length is None:
        return ends[which] + value
    length = np.maximum(np.append(length, length[-1]), 1)  # that of an unfinished episode is not known yet
    part: Floats = np.append(ends[1:] - 1, ends[-1])[which] + np.minimum(value / length[which], 1)
    return part


def places_by_time(time: Floats, known: Floats, values: Floats) -> Floats:
    """Places of moments on an axis, interpolated between one or more frames with times *known* and places *values*.

    A moment before the first frame or after the last one is at the place of that frame.
    """
    order = np.argsort(known, kind="stable")
    return np.interp(time, known[order], values[order])


def places_of_events(by_time: Floats, own: Iterable[Floats], axis: Floats) -> Floats:
    """Places of events on an axis: their own values, or else *by_time*.

    Their own values count if they do not go back, as steps of an episode do, and are about as large as the *axis* of
    the frames that they are drawn with.

    Args:
        by_time: float64, shape (events,).
        own: columns of the events that can be the axis, the best first; NaN if an event has no value.
        axis: finite values of the frames, one or more.

    """
    places = by_time
    slack = _SLACK * (axis.max() - axis.min())
    low, high = axis.min() - slack, axis.max() + slack
    for column in reversed([*own]):  # the best comes last, and so takes precedence
        said = column[np.isfinite(column)]
        if len(said) and (said[1:] >= said[:-1]).all() and low <= said[0] and said[-1] <= high:
            places = np.where(np.isfinite(column), column, places)
    return places


def episodes_by_starts(starts: Floats, time: Floats) -> Floats:
    """The number of the episode at each *time* plus its progress, from the times at which episodes start."""
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
