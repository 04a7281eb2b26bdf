"""Sorted frames as rows of a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.columns.record_layout import RecordBatch
from trainlog.codecs.flog.columns.sorter import SortedFrames
from trainlog.codecs.flog.wire.payload import decode, float32_lists
from trainlog.table.builder import Rows, TableBuilder, pick_rows
from trainlog.table.values import flatten, number

__all__ = ["add_frames", "numbers_of"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def add_frames(builder: TableBuilder, frames: SortedFrames, chosen: npt.NDArray[np.bool_] | None = None) -> None:
    """Add *frames* to the table, in the file's order; only those that are *chosen*, when that is given."""
    matches, decoded = frames.matches, frames.decoded
    count = sum(len(rows) for rows, _ in matches) + len(decoded)
    numbers = np.arange(builder.rows, builder.rows + count)
    if chosen is not None:
        numbers = builder.rows - 1 + np.cumsum(chosen)
        count = int(np.count_nonzero(chosen))
        matches = [(rows[some], match.take(some)) for rows, match in matches if (some := chosen[rows]).any()]
        decoded = [entry for entry in decoded if chosen[entry[0]]]
    builder.rows += count
    flat = [(row, flatten(data)) for row, _, data in decoded]
    builder.meet([*((int(rows[0]), match.layout.names) for rows, match in matches), *flat])
    for rows, match in matches:
        _add_batch(builder, _as_slice(numbers[rows]), match)
    if decoded:
        rows = numbers[[row for row, _, _ in decoded]]
        builder.time.put(rows, np.array([time for _, time, _ in decoded]))
        builder.put_frames(rows, [data for _, data in flat])


def _add_batch(builder: TableBuilder, rows: Rows, batch: RecordBatch) -> None:
    builder.time.put(rows, batch.time)
    for name in builder.names(batch.layout.names):
        column = builder.columns[name]
        pieces = batch.pieces(batch.layout.fields[name])
        if pieces is None:
            column.extend(rows, [_value(batch.payload(i), name) for i in range(len(batch))])
            continue
        for some, block in pieces:
            these = rows if some is None else pick_rows(rows, some)
            if block is None:
                column.put_nulls(these)
            else:
                column.put(these, block)


def _value(payload: memoryview, name: str) -> Any:
    value = flatten(decode(payload))[name]
    return np.array(value, np.float32) if name in float32_lists(payload) else value


def numbers_of(frames: SortedFrames, count: int, key: str) -> Floats:
    """The number that each of *count* frames has under *key*, as `Table.numbers` takes it; NaN where there is none."""
    found = np.full(count, np.nan)
    for rows, match in frames.matches:
        field = match.layout.fields.get(key)
        if field is None or field.shape or field.empty is not None:
            continue
        for some, block in match.pieces(field) or ():
            these = rows if some is None else rows[some]
            if block is not None and block.dtype != object:
                found[these] = block
            elif block is not None:
                found[these] = [number(value) for value in block.tolist()]
    for row, _, data in frames.decoded:
        found[row] = number(data.get(key))
    return found


def _as_slice(rows: Ints) -> Rows:
    """Ascending row numbers as a slice, where they have no holes: that is faster, and takes no memory."""
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows
