"""The rows of one kind of frame as growing columns, for charts: numbers, and texts with few distinct values."""

from __future__ import annotations

import itertools
import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.codec import Batch
from trainlog.conventions import Conventions
from trainlog.live_log.column_file import ColumnFile, StoredColumn, codes_of, no_numbers
from trainlog.table.column import VALUE, Column
from trainlog.table.table import Table
from trainlog.table.values import is_word, number

__all__ = ["MOST_TEXTS", "Columns", "Rows", "Series"]

MOST_KEYS: Final = 4096  # frames whose keys are data can have any number of keys
MOST_LEFT_OUT: Final = 1 << 14  # names of further keys
MOST_KEY_LETTERS: Final = 1 << 20  # total length of all keys
MOST_TEXTS: Final = 256  # distinct texts of one key; with more, they are not states that a strip could show
MOST_LETTERS: Final = 200

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]


class Series:
    """One key: its numbers, and its texts as indices into ``texts``.

    Attributes:
        values: numbers, or else the codes of texts. Bools are 1 and 0; a string that spells a number is that number.
        texts: the texts, in order of first appearance.
        last: the latest value that is not NaN.
        rises, falls: whether any finite number is higher (lower) than the one before it.
        has_lists: whether some values are lists or arrays; these are not kept.

    """

    __slots__ = ("_before", "_numbers", "_words", "falls", "has_lists", "last", "rises", "texts", "values")

    def __init__(self, file: ColumnFile, start: int) -> None:
        self.values = StoredColumn(file, start=start)
        self.texts: dict[str, int] = {}
        self.last: float | str | bool | None = None
        self.has_lists = False
        self.rises = self.falls = False
        self._before = math.nan  # the last finite number, until it has risen and fallen
        self._numbers = self._words = 0  # counts

    @property
    def shape(self) -> str:
        """How the values can be shown: ``number``, see `Conventions.is_numeric`, ``text`` or ``list``."""
        if self.texts and not Conventions.is_numeric(self._numbers, self._words, len(self.texts)):
            return "text"
        return "list" if self.has_lists and self.last is None else "number"

    @property
    def varies(self) -> bool:
        """Whether there are two different finite numbers."""
        return self.rises or self.falls

    @property
    def is_known(self) -> bool:
        """Whether there is a text or a finite number."""
        return bool(self.texts) or self._before == self._before

    def extend(self, first: int, column: Column) -> None:
        """Add the values of the rows from *first* on."""
        values, state = column
        if values.ndim > 1:
            self.has_lists = True
            return
        if values.dtype == object:
            numbers = self._parse(values)
        else:
            numbers = values.astype(np.float64, copy=state is not None)
        if state is not None:
            numbers[state != VALUE] = no_numbers(-1)
        self._numbers += int(np.count_nonzero(numbers == numbers))
        if not (self.rises and self.falls):
            self._compare(numbers)
        self.values.pad_to(first)
        self.values.extend(numbers)
        if values.dtype != object and len(known := np.flatnonzero(numbers == numbers)):
            self.last = values[known[-1]].item()

    def _compare(self, numbers: Floats) -> None:
        finite = np.concatenate(([self._before], numbers[np.isfinite(numbers)]))
        self.rises |= bool((finite[1:] > finite[:-1]).any())
        self.falls |= bool((finite[1:] < finite[:-1]).any())
        self._before = float(finite[-1])

    def numbers(self, start: int, stop: int) -> Floats:
        """Rows *start* to *stop*; NaN where there are no numbers, see `is_nan`."""
        values: Floats = self.values.read(start, stop)
        missing = stop - start - len(values)  # later frames no longer have this key
        return np.concatenate((values, no_numbers(np.full(missing, -1)))) if missing > 0 else values

    def plain(self, numbers: Floats) -> list[Any]:
        """*numbers* of this series as values for JSON: texts as such, and None for anything that is not finite."""
        good = np.isfinite(numbers)
        values: list[Any] = numbers.tolist()
        if not good.all():
            values = [value if fine else None for value, fine in zip(values, good.tolist(), strict=True)]
        if self.texts:
            texts, codes = list(self.texts), codes_of(numbers)
            for place in np.flatnonzero(codes >= 0).tolist():
                values[place] = texts[codes[place]]
        return values

    def _parse(self, values: npt.NDArray[np.object_]) -> Floats:
        """Python values of any type as numbers and codes of texts. Each distinct value is parsed once."""
        items = values.tolist()
        if not _SCALARS.issuperset(map(type, items)):
            self.has_lists |= any(isinstance(item, list | np.ndarray) for item in items)
            items = [_scalar(item) for item in items]
        distinct = list(dict.fromkeys(items))
        places = dict(zip(distinct, itertools.count(), strict=False))
        which = np.fromiter(map(places.__getitem__, items), np.intp, len(items))
        parsed = [_number(item) for item in distinct]
        codes = np.array(
            [self._code(item) if number is None else -1 for item, number in zip(distinct, parsed, strict=True)]
        )
        is_number = [number is not None for number in parsed]
        numbers = no_numbers(codes)
        numbers[is_number] = [number for number in parsed if number is not None]
        words = np.array([number is None and bool(item) for item, number in zip(distinct, parsed, strict=True)])
        self._words += int(np.count_nonzero(words[which]))
        known = np.flatnonzero(((numbers == numbers) | (codes >= 0))[which])
        if len(known):
            place = which[known[-1]]
            self.last = distinct[place][:MOST_LETTERS] if codes[place] >= 0 else parsed[place]
        return numbers[which]

    def _code(self, item: str | None) -> int:
        if not item:
            return -1
        text = item[:MOST_LETTERS]
        if text not in self.texts and len(self.texts) < MOST_TEXTS:
            self.texts[text] = len(self.texts)
        return self.texts.get(text, -1)


_SCALARS: Final = frozenset([str, float, int, bool, type(None)])


def _scalar(item: Any) -> Any:
    """*item* as a Python value that can be shown; None for lists, maps and bytes."""
    if isinstance(item, np.generic):
        item = item.item()
    return item if isinstance(item, str | float | int) else None


def _number(item: str | float | None) -> float | None:
    """The number that *item* is or spells, or None."""
    return None if item is None or item == "" or is_word(item) else number(item)


class Columns:
    """All series of one kind. One thread can extend it while others read rows below ``rows``.

    Attributes:
        rows: the number of frames.
        series: by key, nested ones as in `trainlog.table.table.Table`; at most ``MOST_KEYS``.
        left_out: the names of further keys, each of which is read on request; at most ``MOST_LEFT_OUT``.
        leaves_out: whether there are more than these.
        aside: the series of further keys that were read, with the number of rows at that time.

    """

    def __init__(self, file: ColumnFile) -> None:
        self._file = file
        self.rows = 0
        self.series: dict[str, Series] = {}
        self.left_out: dict[str, None] = {}
        self.leaves_out = False
        self.aside: dict[str, tuple[int, Series]] = {}
        self._letters = 0  # of all keys

    def __contains__(self, key: str) -> bool:
        return key in self.series or key in self.left_out

    def extend(self, table: Table) -> None:
        """Add the rows of *table*."""
        new: list[str] = []
        for key in table:
            if key in self.series or key in self.left_out:
                continue
            if self._letters + len(key) > MOST_KEY_LETTERS or len(self.left_out) == MOST_LEFT_OUT:
                self.leaves_out = True
                continue
            self._letters += len(key)
            if len(self.series) + len(new) < MOST_KEYS:
                new.append(key)
            else:
                self.left_out[key] = None
        if new:
            self.series = {**self.series, **{key: Series(self._file, self.rows) for key in new}}
        for key in table:
            if (series := self.series.get(key)) is not None:
                series.extend(self.rows, table.column(key))
        self.rows += table.rows

    def numbers(self, key: str, start: int, stop: int) -> Floats:
        """The numbers of *key* in rows *start* to *stop*; NaN where there are none, see `is_nan`."""
        return self.series[key].numbers(start, stop)

    def codes(self, key: str, start: int, stop: int) -> Codes:
        """The codes of the texts of *key* in rows *start* to *stop*; -1 where there is none."""
        return codes_of(self.numbers(key, start, stop))


class Rows:
    """The frames of one kind: the time and order of each, and its values as far as they were read.

    Attributes:
        time: the time of each frame, in seconds.
        order: the order of each among the frames of all kinds.
        is_in_time: whether no frame is earlier than the one before it.
        columns: the values; ``columns.rows`` lags behind ``len(rows)`` if only times and clocks were read.

    """

    def __init__(self, file: ColumnFile) -> None:
        self.time = StoredColumn(file)
        self.order = StoredColumn(file, np.int64)
        self.is_in_time = True
        self.columns = Columns(file)
        self._clocks = Columns(file)

    @property
    def clocks(self) -> Columns:
        """The columns for axes, and perhaps others; they were read as far as the times."""
        return self.columns if self.columns.rows >= self._clocks.rows else self._clocks

    def __len__(self) -> int:
        return len(self.order)

    def extend(self, batch: Batch, *, with_values: bool) -> None:
        """Add the rows of *batch*; with values, these can be rows whose times are known already."""
        known = len(self) - self.columns.rows if with_values else 0
        times = np.concatenate((self.time.read(max(len(self) - 1, 0)), batch.table.time[known:]))
        self.is_in_time &= bool((times[1:] >= times[:-1]).all())
        self.time.extend(batch.table.time[known:])
        self.order.extend(batch.order[known:])
        (self.columns if with_values else self._clocks).extend(batch.table)

    def at(self, moment: float) -> int:
        """The last frame that is not after *moment*; the first one if all are. Times may go backwards."""
        return max(self.time.search(moment) - 1, 0)
