"""Tables of several logs as one, as if it had been made of their frames, one by one in the order of time.

Each log's table is read by itself. That does not tell all: NaN may be a value, or none; a number in a column of floats
may be an int that stands beside a gap. Where this matters, `Unsettled` is raised, and the frames have to tell.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codec import Reader
from trainlog.model import Kind
from trainlog.table.rows import STEP, Rows, inside
from trainlog.table.table import Table, flatten, joined

__all__ = ["RANK", "Part", "Unsettled", "merged"]

RANK: Final = "rank"

Floats = npt.NDArray[np.float64]
Read = Callable[..., Table]


class Unsettled(Exception):
    """The tables do not tell what the table of all is."""


class Part(NamedTuple):
    """One of the logs.

    Attributes:
        reader: its reader.
        rank: a key of frames that bring none of that name.
        shift: by how much its times are moved, seconds.

    """

    reader: Reader
    rank: Any
    shift: float


class _Chosen(NamedTuple):
    """The rows of one log that are chosen.

    Attributes:
        time: of each, as the log has it.
        latest: the latest time of the log until each, moved. The logs are merged by that.

    """

    time: Floats
    latest: Floats


def merged(parts: Sequence[Part], kind: Kind, rows: Rows, keys: Sequence[str] | None) -> Table:
    """The *rows* of one kind of all *parts* as one table.

    Raises:
        Unsettled: when the tables of the parts do not tell.

    """
    limits = [_as_logged(rows, part.shift) for part in parts]
    if rows.steps is None and rows.last is None and (rows.time is None or rows.time[1] is None):
        # No row that is left out comes before one that is chosen and is later, so that one look tells all.
        tables = [_read(part, kind, ours, keys) for part, ours in zip(parts, limits, strict=True)]
        chosen = [_Chosen(table.time, _latest(table.time, part)) for part, table in zip(parts, tables, strict=True)]
        order = np.argsort(np.concatenate([one.latest for one in chosen]), kind="stable")
    else:
        chosen = [_choose(part, kind, ours) for part, ours in zip(parts, limits, strict=True)]
        order = np.argsort(np.concatenate([one.latest for one in chosen]), kind="stable")
        if rows.last is not None:
            order = order[max(len(order) - rows.last, 0) :]
        order, counts = _counted(order, [len(one.time) for one in chosen])
        tables = []
        for part, ours, one, count in zip(parts, limits, chosen, counts, strict=True):
            last = None if rows.last is None else count
            tables.append(_read(part, kind, replace(ours, last=last), keys) if count else _nothing(kind))
            if not np.array_equal(tables[-1].time, one.time[len(one.time) - count :], equal_nan=True):
                raise Unsettled  # it has grown since
    some = [n for n, table in enumerate(tables) if table.rows]
    if not some:
        return _nothing(kind, keys or ())
    names = list(tables[some[0]])
    if keys is not None:
        names = list(dict.fromkeys(keys))
        if any(all(key not in tables[n] for n in some) for key in names):
            raise Unsettled  # there is no such key; the frames tell which are near
    elif any(list(tables[n]) != names for n in some):
        raise Unsettled
    else:
        first = int(np.searchsorted(np.cumsum([table.rows for table in tables]), order[0], side="right"))
        place = _keys_of_first(parts[first], kind, limits[first], chosen[first].time, tables[first])
        names.insert(place, names.pop())  # the rank, which stands last
    moved = [Table(kind, tables[n].time + parts[n].shift, tables[n]) for n in some]
    table = joined(kind, moved)
    for name in names:
        if not _is_settled(table[name], [one[name] for one in moved if name in one]):
            raise Unsettled
    return Table(kind, table.time, {name: table[name] for name in names}).rows_where(order)


def _nothing(kind: Kind, keys: Sequence[str] = ()) -> Table:
    return Table(kind, np.empty(0), {key: np.empty(0) for key in keys})


def _as_logged(rows: Rows, shift: float) -> Rows:
    """*rows* without the last ones, by times that are not moved yet."""
    if rows.time is None or shift == 0:
        return replace(rows, last=None)
    low, high = (None if limit is None else _least(float(limit), shift) for limit in rows.time)
    return Rows((low, high), rows.steps)


def _least(limit: float, shift: float) -> float:
    """The least time that is *limit* or more once it is moved by *shift*, exactly: sums are rounded."""
    if not math.isfinite(shift):
        raise Unsettled
    if not math.isfinite(limit):
        return limit
    around = 4 * math.ulp(max(abs(limit), abs(shift)))
    low, high = limit - shift - around, limit - shift + around
    while low < (middle := low + (high - low) / 2) < high:
        low, high = (low, middle) if middle + shift >= limit else (middle, high)
    return high


def _latest(time: Floats, part: Part) -> Floats:
    moved = time + part.shift
    return np.maximum.accumulate(np.where(np.isnan(moved), -np.inf, moved))


def _choose(part: Part, kind: Kind, rows: Rows) -> _Chosen:
    """Which rows are in the ranges of *rows*, and what of the log they are merged by."""
    low = None if rows.time is None else rows.time[0]
    read = partial(part.reader.table, kind, time=None if low is None else (low, None))
    # Rows before the lower limit are earlier than all that are chosen; those behind the upper one may come before.
    seen = _found(read, [] if rows.steps is None else [STEP])
    wanted = np.ones(seen.rows, np.bool_)
    if rows.time is not None:
        wanted &= inside(seen.time, rows.time)
    if rows.steps is not None:
        told = STEP in seen and seen[STEP].ndim == 1
        wanted &= inside(seen.numbers(STEP) if told else np.full(seen.rows, np.nan), rows.steps)
    return _Chosen(seen.time[wanted], _latest(seen.time, part)[wanted])


def _counted(order: npt.NDArray[np.intp], rows: Sequence[int]) -> tuple[npt.NDArray[np.intp], list[int]]:
    """How many rows of each log are left in *order*, always its last ones; and the order of those alone."""
    ends = np.cumsum(rows)
    which = np.searchsorted(ends, order, side="right")
    counts = np.bincount(which, minlength=len(rows))
    return order - np.cumsum(np.array(rows) - counts)[which], counts.tolist()


def _read(part: Part, kind: Kind, rows: Rows, keys: Sequence[str] | None) -> Table:
    """The table of one log, with times as it has them, and with the rank of its frames, as the last column."""
    read = partial(part.reader.table, kind, time=rows.time, steps=rows.steps, last=rows.last)
    table = read() if keys is None else _found(read, [key for key in dict.fromkeys(keys) if key != RANK])
    if keys is not None and RANK not in keys:
        return table
    # Where all columns are not read, a frame whose own rank is a map goes unnoticed.
    own = table if keys is None else _found(read, [RANK])
    if type(part.rank) is not int or any(key == RANK or key.startswith(f"{RANK}/") for key in own):
        raise Unsettled
    return Table(kind, table.time, {**table, RANK: np.full(table.rows, part.rank)})


def _found(read: Read, keys: Sequence[str]) -> Table:
    """The table of those of *keys* that there are."""
    try:
        return read(keys=keys)
    except KeyError:
        if len(keys) == 1:
            return read(keys=[])
    first, second = (_found(read, half) for half in (keys[: len(keys) // 2], keys[len(keys) // 2 :]))
    if first.rows != second.rows:
        raise Unsettled  # it has grown since
    return Table(first.kind, first.time, {**first, **second})


def _keys_of_first(part: Part, kind: Kind, rows: Rows, time: Floats, table: Table) -> int:
    """How many keys the first frame of *table* has: the last rows of those that are chosen, at *time*."""
    columns = [column[0] for name, column in table.items() if name != RANK]
    if not any(np.any(value != value) for value in columns):
        return len(columns)
    skipped = len(time) - table.rows
    at = time[skipped]
    if np.isnan(at):
        raise Unsettled
    frames = Rows(None, rows.steps).of(part.reader.slice(at, np.nextafter(at, np.inf), kind))
    frame = next(itertools.islice(frames, int(np.count_nonzero(time[:skipped] == at)), None), None)
    if frame is None:
        raise Unsettled
    return len(flatten(frame.data))


def _is_settled(column: npt.NDArray[Any], blocks: Sequence[npt.NDArray[Any]]) -> bool:
    """Whether *column*, made of those *blocks*, is what it would be if it had been made of their values."""
    kinds = {block.dtype.kind for block in blocks}
    if kinds <= {"O", "b"} or kinds <= {"i", "u"}:
        return True
    # Floats may have been ints: such as are objects among others, or beside ints above 2**63.
    return kinds <= {"i", "u", "f"} and column.dtype != object and not ((column >= 2**63) & (column <= 2**64)).any()
