"""Frames as columns. Steps go from blocks of the file to numpy arrays without a Python loop per step."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trainlog.codecs.simion.frames import FUNCTION_SAMPLE, keys_for
from trainlog.codecs.simion.layout import HEAD, HEAD_WORDS, SAMPLE, STEP_CLOCKS, STEP_INDEX, STEP_KEYS, WORD
from trainlog.codecs.simion.walk import Ints
from trainlog.model import Frame, Kind
from trainlog.table.builder import TableBuilder, batched
from trainlog.table.table import Table
from trainlog.table.values import BATCH

__all__ = ["FrameColumns", "StepColumns", "table_of_steps"]

Bools = npt.NDArray[np.bool_]

Rows = tuple[Table, Ints, int]
"""A table, the number of each row's frame in the log, and how many bytes of the log the rows take."""


def table_of_steps(words: Ints, keys: Sequence[str]) -> Table:
    """Steps, shape (steps, 16 + variables), as a table whose columns are views of them."""
    return _table(words, STEP_CLOCKS.start, _places(keys, words.shape[1] - HEAD_WORDS))


def _table(words: Ints, time: int, places: dict[str, int]) -> Table:
    """A table of the columns at *time* and at *places* of *words*."""
    doubles = words.view(np.float64)
    columns = {name: (words if name == "step" else doubles)[:, place] for name, place in places.items()}
    return Table(Kind.CREATURE, doubles[:, time], columns)


def _places(keys: Sequence[str], variables: int) -> dict[str, int]:
    """The place of each column among the words of a step."""
    places = {key: STEP_INDEX + i for i, key in enumerate(STEP_KEYS)}
    return places | {key: HEAD_WORDS + i for i, key in enumerate(keys_for(keys, variables))}


class _Part:
    """Rows of steps with the same number of variables, in a preallocated array of all words or of the wanted ones."""

    def __init__(self, keys: Sequence[str], wanted: Sequence[str] | None, variables: int, size: int) -> None:
        places = _places(keys, variables)
        self.step_size = HEAD + WORD * variables
        self.rows = 0
        if wanted is None:
            head = len(STEP_KEYS)
            self._copied = [(slice(0, head), slice(STEP_INDEX, STEP_CLOCKS.stop))]
            self._copied.append((slice(head, None), slice(HEAD_WORDS, None)))
            self._time, self._places = 1, {key: i for i, key in enumerate(places)}
            width = len(places)
        else:
            names = [name for name in wanted if name in places]
            words = [STEP_CLOCKS.start, *(places[name] for name in names)]
            self._copied = [(slice(i, i + 1), slice(word, word + 1)) for i, word in enumerate(words)]
            self._time, self._places = 0, {name: i for i, name in enumerate(names, 1)}
            width = len(words)
        self._values = np.empty((size, width), np.int64)
        self.order = np.empty(size, np.int64)

    def add(self, count: int, words: Ints, order: Ints, chosen: Bools | None) -> None:
        """Add *count* steps; see `StepColumns.add`."""
        rows = slice(self.rows, self.rows + count)
        values = self._values[rows].reshape(*(order.shape if chosen is None else (count,)), -1)
        for target, source in self._copied:
            values[..., target] = words[..., source] if chosen is None else words[..., source][chosen]
        self.order[rows] = order.reshape(-1) if chosen is None else order[chosen]
        self.rows += count

    def finish(self, excess: int) -> Rows:
        """The rows without the first *excess* ones."""
        self._values.resize((self.rows, self._values.shape[1]), refcheck=False)
        self.order.resize(self.rows, refcheck=False)
        table = _table(self._values[excess:], self._time, self._places)
        return table, self.order[excess:], table.rows * self.step_size


class StepColumns:
    """The table of steps as it grows.

    Steps with the same number of variables go into one array, and the columns are views of it. The array's size is
    bounded by the size of the file, never by what the file claims, and the system commits only the filled part.

    Attributes:
        rows: the number of rows so far.

    """

    def __init__(self, keys: Sequence[str], wanted: Sequence[str] | None, last: int | None) -> None:
        """Begin a table of the *wanted* columns and of the *last* rows."""
        self.rows = 0
        self._keys = keys
        self._wanted = None if wanted is None else list(dict.fromkeys(wanted))
        self._last = last
        self._parts: deque[_Part] = deque()

    def add(self, words: Ints, order: Ints, chosen: Bools | None, expected: int) -> None:
        """Add a copy of the steps.

        Args:
            words: shape (episodes, steps, words of a step).
            order: their frame numbers in the log, shape (episodes, steps).
            chosen: which of the steps to add, of the same shape; None means all.
            expected: how many rows there may be, including these.

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
        if part is None or part.step_size != words.shape[2] * WORD or part.rows + count > len(part.order):
            size = count if self._last is not None else max(count, expected)
            part = _Part(self._keys, self._wanted, words.shape[2] - HEAD_WORDS, size)
            self._parts.append(part)
        part.add(count, words, order, chosen)
        self.rows += count
        while self._last is not None and self.rows - self._parts[0].rows >= self._last:
            self.rows -= self._parts.popleft().rows

    def finish(self) -> Rows:
        """The table of the rows so far; a new table begins."""
        excess = 0 if self._last is None else max(self.rows - self._last, 0)
        found = [part.finish(0 if i else excess) for i, part in enumerate(self._parts)]
        self._parts.clear()
        self.rows = 0
        if len(found) == 1:
            return found[0]
        builder = TableBuilder(Kind.CREATURE, self._wanted)
        for table, _, _ in found:
            builder.add_table(table)
        return builder.finish(), np.concatenate([order for _, order, _ in found]), sum(size for *_, size in found)


class FrameColumns:
    """The table of frames of one kind other than steps, as it grows."""

    def __init__(self, kind: Kind, wanted: Sequence[str] | None, last: int | None) -> None:
        """Begin a table of the *wanted* columns and of the *last* rows."""
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
        """The table; the object cannot be used afterwards."""
        self._build()
        rows = np.array(self._rows, np.int64).reshape(-1, 2)
        return self._builder.finish(), rows[:, 0], int(rows[:, 1].sum())

    def _build(self) -> None:
        for some in batched(self._frames, BATCH):
            self._builder.add_frames([frame.time for frame in some], [frame.data for frame in some])
        self._frames.clear()


def _size_of(frame: Frame) -> int:
    """Bytes of the record that *frame* was read from; a summary has no record."""
    if frame.kind != Kind.EVENT:
        return 0
    return SAMPLE.size + WORD * len(frame.data["values"]) if frame.data["type"] == FUNCTION_SAMPLE else HEAD
