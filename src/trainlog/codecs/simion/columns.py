"""Frames as columns. Steps go from blocks of the file to numpy arrays without a Python loop per step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainlog.codecs.simion.frames import FUNCTION_SAMPLE, keys_for
from trainlog.codecs.simion.layout import HEAD, HEAD_WORDS, SAMPLE, STEP_CLOCKS, STEP_INDEX, STEP_KEYS, WORD
from trainlog.codecs.simion.walk import Ints
from trainlog.model import Frame, Kind
from trainlog.table.builder import BATCH, TableBuilder, batched
from trainlog.table.table import Table

__all__ = ["FrameColumns", "StepColumns", "table_of_steps"]

Bools = npt.NDArray[np.bool_]

Rows = tuple[Table, Ints, int]
"""A table, where each row stands among the frames of the log, and how many bytes of the log the rows are."""


def table_of_steps(words: Ints, keys: Sequence[str]) -> Table:
    """Steps, shape (steps, 16 + variables), as a table of which the columns are views of them."""
    return _table(words, STEP_CLOCKS.start, _places(keys, words.shape[1] - HEAD_WORDS))


def _table(words: Ints, time: int, places: dict[str, int]) -> Table:
    """A table of the columns of *words* at *time* and at *places*."""
    doubles = words.view(np.float64)
    columns = {name: (words if name == "step" else doubles)[:, place] for name, place in places.items()}
    return Table(Kind.CREATURE, doubles[:, time], columns)


def _places(keys: Sequence[str], variables: int) -> dict[str, int]:
    """Which word of a step is which column."""
    places = {key: STEP_INDEX + i for i, key in enumerate(STEP_KEYS)}
    return places | {key: HEAD_WORDS + i for i, key in enumerate(keys_for(keys, variables))}


@dataclass(slots=True)
class _Part:
    """Rows of steps of as many variables: those that are filled of two arrays, shape (rows, columns) and (rows,)."""

    layout: _Layout
    values: Ints
    order: Ints
    rows: int = 0

    def finish(self) -> Rows:
        """The rows."""
        layout = self.layout
        self.values.resize((self.rows, layout.width), refcheck=False)
        self.order.resize(self.rows, refcheck=False)
        return _table(self.values, layout.time, layout.places), self.order, self.rows * layout.step_size


class _Layout:
    """Where the words of a step of so many variables stand in a row: all of them, or the time and those wanted."""

    def __init__(self, keys: Sequence[str], wanted: Sequence[str] | None, variables: int) -> None:
        places = _places(keys, variables)
        self.step_size = HEAD + WORD * variables
        if wanted is None:
            self.copied = [(slice(0, len(STEP_KEYS)), slice(STEP_INDEX, STEP_CLOCKS.stop))]
            self.copied.append((slice(len(STEP_KEYS), None), slice(HEAD_WORDS, None)))
            self.time, self.width = 1, len(places)
            self.places = {key: i for i, key in enumerate(places)}
        else:
            names = [name for name in wanted if name in places]
            words = [STEP_CLOCKS.start, *(places[name] for name in names)]
            self.copied = [(slice(i, i + 1), slice(word, word + 1)) for i, word in enumerate(words)]
            self.time, self.width = 0, len(words)
            self.places = {name: i for i, name in enumerate(names, 1)}


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

    def add(self, words: Ints, order: Ints, chosen: Bools | None, expected: Callable[[], int]) -> None:
        """Add steps, copied.

        Args:
            words: shape (episodes, steps, words of a step).
            order: where they stand among the frames of the log, shape (episodes, steps).
            chosen: which of them, of the same shape; None for all.
            expected: says how many rows there may be, these included.

        """
        count = order.size if chosen is None else int(np.count_nonzero(chosen))
        if self._last is not None and count > self._last:
            found = np.flatnonzero(np.ones(order.shape, np.bool_) if chosen is None else chosen)
            chosen = np.zeros(order.shape, np.bool_)
            chosen.reshape(-1)[found[count - self._last :]] = True
            count = self._last
        if not count:
            return
        part = self._parts[-1] if self._parts else None
        step_size = words.shape[2] * WORD
        if part is None or part.layout.step_size != step_size or part.rows + count > len(part.order):
            size = count if self._last is not None else max(count, expected())
            layout = _Layout(self._keys, self._wanted, words.shape[2] - HEAD_WORDS)
            part = _Part(layout, np.empty((size, layout.width), np.int64), np.empty(size, np.int64))
            self._parts.append(part)
        rows = slice(part.rows, part.rows + count)
        shape = order.shape if chosen is None else (count,)
        values = part.values[rows].reshape(*shape, -1)
        for target, source in part.layout.copied:
            values[..., target] = words[..., source] if chosen is None else words[..., source][chosen]
        part.order[rows] = order.reshape(-1) if chosen is None else order[chosen]
        part.rows += count
        self.rows += count
        while self._last is not None and self.rows - self._parts[0].rows >= self._last:
            self.rows -= self._parts.popleft().rows

    def finish(self) -> Rows:
        """The table of the rows so far; a new one begins."""
        tables, orders, sizes = zip(*(part.finish() for part in self._parts), strict=True)
        if self._last is not None and self.rows > self._last:  # of the first part
            excess = self.rows - self._last
            sizes = (sizes[0] - excess * self._parts[0].layout.step_size, *sizes[1:])
            tables = (tables[0].rows_where(slice(excess, None)), *tables[1:])
            orders = (orders[0][excess:], *orders[1:])
        self._parts.clear()
        self.rows = 0
        if len(tables) == 1:
            return tables[0], orders[0], sizes[0]
        builder = TableBuilder(Kind.CREATURE, self._wanted)
        for table in tables:
            builder.add_table(table)
        return builder.finish(), np.concatenate(orders), sum(sizes)


class FrameColumns:
    """The table of all other frames of one kind, as it grows."""

    def __init__(self, kind: Kind, wanted: Sequence[str] | None, last: int | None) -> None:
        """Begin a table of the columns that are *wanted*, of the *last* rows."""
        self._builder = TableBuilder(kind, wanted)
        self._last = last
        self._frames: deque[Frame] = deque(maxlen=last)
        self._rows: deque[tuple[int, int]] = deque(maxlen=last)  # order and size

    def add(self, order: int, frame: Frame) -> None:
        """Add a row."""
        self._frames.append(frame)
        self._rows.append((order, _size_of(frame)))
        if self._last is None and len(self._frames) == BATCH:
            self._build()

    def finish(self) -> Rows:
        """The table; this object is spent."""
        self._build()
        rows = np.array(self._rows, np.int64).reshape(-1, 2)
        return self._builder.finish(), rows[:, 0], int(rows[:, 1].sum())

    def _build(self) -> None:
        for some in batched(self._frames, BATCH):
            self._builder.add_frames([frame.time for frame in some], [frame.data for frame in some])
        self._frames.clear()


def _size_of(frame: Frame) -> int:
    """Bytes of the record that *frame* was; a summary is none."""
    if frame.kind != Kind.EVENT:
        return 0
    return SAMPLE.size + WORD * len(frame.data["values"]) if frame.data["type"] == FUNCTION_SAMPLE else HEAD
