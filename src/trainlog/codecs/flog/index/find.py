"""Finding frames by time, by step, and from the end, through the index of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from trainlog.codec import Gap
from trainlog.codecs.flog.columns.read import Choose, Unsound, read_table
from trainlog.codecs.flog.columns.sorter import Sorter
from trainlog.codecs.flog.columns.values import overlapping
from trainlog.codecs.flog.index.index import Index, Known, Survey
from trainlog.codecs.flog.index.index_file import save, surveyed
from trainlog.codecs.flog.scanning.chain import SLACK, Chain
from trainlog.codecs.flog.scanning.walk import Record, walk
from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.codecs.flog.wire.payload import decode
from trainlog.model import Kind
from trainlog.storage.source import Source
from trainlog.table.rows import STEP, Range, Rows, inside
from trainlog.table.table import Table

__all__ = ["last_before", "records_between", "table_of_rows"]

Mask = npt.NDArray[np.bool_]
OnGap = Callable[[Gap], object]

_NOTHING: Final = Known()


def table_of_rows(
    source: Source,
    start: int,
    kind: Kind,
    rows: Rows,
    *,
    keys: Sequence[str] | None,
    index: Index | None,
    sorter: Sorter,
    on_gap: OnGap,
) -> tuple[Table, Index | None]:
    """The table of the *rows* that are wanted, and the index, which may know more than before."""
    if index is not None:
        try:
            return _found(source, kind, rows, keys, index, sorter, on_gap)
        except Unsound:
            pass
    return _read(source, start, kind, rows, keys, sorter, on_gap=on_gap), None


def _found(
    source: Source,
    kind: Kind,
    rows: Rows,
    keys: Sequence[str] | None,
    index: Index,
    sorter: Sorter,
    on_gap: OnGap,
) -> tuple[Table, Index | None]:
    """The same by what is known of the file; what comes behind that is made known, where it is read."""
    if rows.steps is not None and len(index.steps.get(kind, ((), ()))[0]) < index.parts:
        index = _with_steps(source, kind, index)
    known = index.known(kind, time=rows.time, steps=rows.steps, last=rows.last)
    survey = Survey(index) if rows.all else None
    table = _read(source, index.end, kind, rows, keys, sorter, known=known, survey=survey, on_gap=on_gap)
    return table, index if survey is None else surveyed(source, index, survey)


def _read(
    source: Source,
    start: int,
    kind: Kind,
    rows: Rows,
    keys: Sequence[str] | None,
    sorter: Sorter,
    *,
    known: Known = _NOTHING,
    survey: Survey | None = None,
    on_gap: OnGap,
) -> Table:
    """The rows that are wanted of those that are *known*, and of those from byte *start* on."""
    read = partial(read_table, source, start, kind, known=known, sorter=sorter)
    if rows.all:
        return read(keys=keys, survey=survey, on_gap=on_gap)
    if rows.steps is None and rows.last is None:
        assert rows.time is not None
        limits = rows.time

        def choose(time: npt.NDArray[np.float64]) -> Mask:
            return inside(time, limits)

        return read(keys=keys, choose=choose, on_gap=on_gap)
    wanted = _wanted(_with_step(read, rows, on_gap), rows)
    return read(keys=keys, choose=_in_turn(wanted), on_gap=_ignore)


def _with_step(read: Callable[..., Table], rows: Rows, on_gap: OnGap) -> Table:
    """All rows that *read* reads, with their step if *rows* ask for it and there is one."""
    if rows.steps is not None:
        try:
            return read(keys=[STEP], on_gap=on_gap)
        except KeyError:
            pass
    return read(keys=[], on_gap=on_gap)


def _wanted(table: Table, rows: Rows) -> Mask:
    """Which rows of *table* are wanted."""
    found = np.ones(table.rows, np.bool_)
    if rows.time is not None:
        found &= inside(table.time, rows.time)
    if rows.steps is not None:
        found &= inside(_steps(table), rows.steps)
    if rows.last is not None:
        places = np.flatnonzero(found)
        found[places[: max(0, len(places) - rows.last)]] = False
    return found


def _steps(table: Table) -> npt.NDArray[np.float64]:
    if STEP in table and table[STEP].ndim == 1:
        return table.numbers(STEP)
    return np.full(table.rows, np.nan)


def _in_turn(wanted: Mask) -> Choose:
    """Chooses by row number; rows that came later, of a log that is being written, are not wanted."""
    seen = 0

    def choose(time: npt.NDArray[np.float64]) -> Mask:
        nonlocal seen
        found = wanted[seen : seen + len(time)]
        seen += len(time)
        return np.concatenate([found, np.zeros(len(time) - len(found), np.bool_)])

    return choose


def _with_steps(source: Source, kind: Kind, index: Index) -> Index:
    """*index*, with the ranges of steps of *kind*, which takes reading them once."""
    everywhere = index.known(kind, time=None, steps=None, last=None)
    read = partial(read_table, source, index.end, kind, known=everywhere)
    table = _with_step(read, Rows(steps=(None, None)), _ignore)
    count = index.count(kind)
    if table.rows < count:
        raise Unsound
    found = index.with_steps(kind, _steps(table)[:count])
    save(source, found)
    return found


def records_between(
    source: Source, start: int, kind: Kind | None, time: Range, *, index: Index | None, on_gap: OnGap
) -> Iterator[Record]:
    """The frames of *kind*, or of any, in that range of time, in the file's order."""
    spans = [] if index is None else index.spans(index.having(kind, time=time))
    tail = start if index is None else index.end
    for begin, end in [*spans, (tail, None)]:
        for record in walk(source, begin, kind=kind, on_gap=on_gap):
            if end is not None and record.offset >= end:
                break
            if inside(record.time, time):
                yield record


def last_before(source: Source, start: int, kind: Kind, time: float, *, index: Index | None) -> Record | None:
    """The last frame of *kind* in the file whose time is not after *time*."""
    if index is not None:
        behind = _last_of(walk(source, index.end, kind=kind, on_gap=_ignore), time)
        if behind is not None:
            return behind
        parts = np.flatnonzero(index.column(index.frames, kind))
        early = parts[index.column(index.low, kind)[parts] <= time]
        if not len(early):
            return None
        part = int(early[-1])
        try:
            return _last_in(source, int(index.offset[part]), int(index.offset[part + 1]), kind, time)
        except Unsound:
            pass
    return _last_of(walk(source, start, kind=kind, on_gap=_ignore), time)


def _ignore(gap: Gap) -> None:
    """Damage elsewhere in the file says nothing about the frame that is looked for."""


def _last_of(records: Iterable[Record], time: float) -> Record | None:
    found = None
    for record in records:
        if record.time <= time:
            found = record
    return found


def _last_in(source: Source, begin: int, end: int, kind: Kind, time: float) -> Record:
    """The same, between two bytes; only that frame is decoded."""
    block = np.empty(end - begin + SLACK, np.uint8)
    links = Chain().follow(block, source.fill(block.data[: end - begin], begin))
    times = overlapping(block, "<f8")[links.offset]
    rows = np.flatnonzero((links.kind == kind) & (times <= time))
    if not len(rows):
        raise Unsound
    offset, length = int(links.offset[rows[-1]]), int(links.length[rows[-1]])
    try:
        data = decode(block[offset + FRAME.size : offset + length].data)
    except ValueError:
        raise Unsound from None
    return Record(begin + offset, length, float(times[rows[-1]]), int(kind), data)
