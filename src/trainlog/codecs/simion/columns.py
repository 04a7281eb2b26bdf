"""Frames as columns. Steps go from blocks of the file to numpy arrays without a Python loop per step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from trainlog.codecs.simion.frames import FUNCTION_SAMPLE, keys_for
from trainlog.codecs.simion.layout import (
    HEAD,
    HEAD_WORDS,
    SAMPLE,
    STEP_CLOCKS,
    STEP_INDEX,
    STEP_KEYS,
    WORD,
)
from trainlog.codecs.simion.walk import Steps
from trainlog.model import Frame, Kind
from trainlog.table.builder import BATCH, TableBuilder
from trainlog.table.table import Table

__all__ = ["FrameColumns", "StepColumns", "table_of_steps"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

Rows = tuple[Table, Ints, int]
"""A table, where each row stands among the frames of the log, and how many bytes of the log the rows are."""


def table_of_steps(steps: Steps, keys: Sequence[str]) -> Table:
    """The steps of one run as a table; its columns are views of the run."""
    columns = {
        name: (steps.words if name == "step" else steps.doubles)[:, place]
        for name, place in _places(keys, steps.words.shape[1] - HEAD_WORDS).items()
    }
    return Table(Kind.CREATURE, steps.doubles[:, STEP_CLOCKS.start], columns)


def _places(keys: Sequence[str], variables: int) -> dict[str, int]:
    """Which word of a step is which column."""
    places = {key: STEP_INDEX + i for i, key in enumerate(STEP_KEYS)}
    return places | {key: HEAD_WORDS + i for i, key in enumerate(keys_for(keys, variables))}


@dataclass(slots=True)
class _Part:
    """Rows of steps that have as many variables: those that are filled of two arrays."""

    variables: int
    values: Ints  # shape (rows, columns)
    order: Ints
    rows: int = 0


class StepColumns:
    """The table of steps as it grows.

    Steps of as many variables come into one array, of which the columns are views. Memory is asked for according to
    the size of the file, never to what the file says, and the system gives only the part that is filled.

    Attributes:
        rows: how many there are by now.

    """

    def __init__(self, keys: Sequence[str], wanted: Sequence[str] | None, last: int | None) -> None:
        """Begin a table of the columns that are *wanted*, of the *last* rows."""
        self.rows = 0
        self._keys = keys
        self._wanted = None if wanted is None else list(dict.fromkeys(wanted))
        self._last = last
        self._parts: deque[_Part] = deque()
        self._copied: dict[int, list[tuple[slice, slice]]] = {}

    def add(self, words: npt.NDArray[Any], order: Ints, chosen: Bools | None, expected: Callable[[], int]) -> None:
        """Add steps, copied.

        Args:
            words: int64, shape (..., words of a step).
            order: where they stand among the frames of the log, shape (...).
            chosen: which of them, shape (...); None for all.
            expected: says how many rows there may be, these included.

        """
        count = order.size if chosen is None else int(np.count_nonzero(chosen))
        if self._last is not None and count > self._last:
            chosen, count = _last_of(chosen, order.shape, self._last), self._last
        if not count:
            return
        variables = words.shape[-1] - HEAD_WORDS
        part = self._parts[-1] if self._parts else None
        if part is None or part.variables != variables or part.rows + count > len(part.order):
            size = count if self._last is not None else max(count, expected())
            width = self._slices(variables)[-1][0].stop
            part = _Part(variables, np.empty((size, width), np.int64), np.empty(size, np.int64))
            self._parts.append(part)
        rows = slice(part.rows, part.rows + count)
        shape = order.shape if chosen is None else (count,)
        values = part.values[rows].reshape(*shape, -1)
        for target, source in self._slices(variables):
            values[..., target] = words[..., source] if chosen is None else words[..., source][chosen]
        part.order[rows] = order.reshape(-1) if chosen is None else order[chosen]
        part.rows += count
        self.rows += count
        while self._last is not None and self.rows - self._parts[0].rows >= self._last:
            self.rows -= self._parts.popleft().rows

    def finish(self) -> Rows:
        """The table of the rows so far; a new one begins."""
        builder = TableBuilder(Kind.CREATURE, self._wanted)
        tables, orders, size = [], [], 0
        excess = 0 if self._last is None else max(self.rows - self._last, 0)
        for variables, parts in groupby(self._parts, lambda part: part.variables):
            group = list(parts)
            for part in group:
                part.values.resize((part.rows, part.values.shape[1]), refcheck=False)
                part.order.resize(part.rows, refcheck=False)
            first = group[0]
            if len(group) > 1:
                first.values = np.concatenate([part.values for part in group])
                first.order = np.concatenate([part.order for part in group])
            if excess:  # only the first part has any; the others are not to be kept
                first.values, first.order, excess = first.values[excess:].copy(), first.order[excess:], 0
            tables.append(self._table(first.values, variables))
            orders.append(first.order)
            size += len(first.order) * (HEAD + WORD * variables)
        self._parts.clear()
        self.rows = 0
        if len(tables) == 1:
            return tables[0], orders[0], size
        for table in tables:
            builder.add_table(table)
        return builder.finish(), np.concatenate(orders), size

    def _slices(self, variables: int) -> list[tuple[slice, slice]]:
        """Which columns of the array are which words of a step; without all columns, the time is the first."""
        if variables not in self._copied:
            if self._wanted is None:
                all_of_head = slice(0, len(STEP_KEYS)), slice(STEP_INDEX, STEP_CLOCKS.stop)
                behind = slice(len(STEP_KEYS), len(STEP_KEYS) + variables), slice(HEAD_WORDS, None)
                self._copied[variables] = [all_of_head, behind]
            else:
                places = _places(self._keys, variables)
                words = [STEP_CLOCKS.start, *(places[name] for name in self._wanted if name in places)]
                self._copied[variables] = [(slice(i, i + 1), slice(word, word + 1)) for i, word in enumerate(words)]
        return self._copied[variables]

    def _table(self, values: Ints, variables: int) -> Table:
        doubles = values.view(np.float64)
        places = _places(self._keys, variables)
        names = list(places) if self._wanted is None else [name for name in self._wanted if name in places]
        first = 0 if self._wanted is None else 1
        columns = {name: (values if name == "step" else doubles)[:, first + i] for i, name in enumerate(names)}
        return Table(Kind.CREATURE, doubles[:, 1 - first], columns)


def _last_of(chosen: Bools | None, shape: tuple[int, ...], last: int) -> Bools:
    """The *last* of those that are *chosen*."""
    found = np.ones(shape, np.bool_) if chosen is None else chosen.copy()
    rows = np.flatnonzero(found)
    found.reshape(-1)[rows[: len(rows) - last]] = False
    return found


class FrameColumns:
    """The table of all other frames of one kind, as it grows."""

    def __init__(self, kind: Kind, wanted: Sequence[str] | None, last: int | None) -> None:
        """Begin a table of the columns that are *wanted*, of the *last* rows."""
        self._builder = TableBuilder(kind, wanted)
        self._last = last
        self._frames: deque[Frame] = deque(maxlen=last)
        self._order: deque[int] = deque(maxlen=last)
        self._sizes: deque[int] = deque(maxlen=last)

    def add(self, order: int, frame: Frame) -> None:
        """Add a row."""
        self._frames.append(frame)
        self._order.append(order)
        self._sizes.append(_size_of(frame))
        if self._last is None and len(self._frames) == BATCH:
            self._build()

    def finish(self) -> Rows:
        """The table; this object is spent."""
        self._build()
        return self._builder.finish(), np.array(self._order, np.int64), sum(self._sizes)

    def _build(self) -> None:
        frames = list(self._frames)
        self._frames.clear()
        for some in (frames[i : i + BATCH] for i in range(0, len(frames), BATCH)):
            self._builder.add_frames([frame.time for frame in some], [frame.data for frame in some])


def _size_of(frame: Frame) -> int:
    """Bytes of the record that *frame* was; a summary is none."""
    if frame.kind != Kind.EVENT:
        return 0
    if frame.data["type"] == FUNCTION_SAMPLE:
        return SAMPLE.size + WORD * len(frame.data["values"])
    return HEAD
