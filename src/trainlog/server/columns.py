"""The rows of one kind of frame as columns that grow, for charts: numbers, and texts of which there are few."""

from __future__ import annotations

import itertools
import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.codec import Batch
from trainlog.server.column_file import MISSING, ColumnFile, StoredColumn
from trainlog.table.column import VALUE, Column
from trainlog.table.table import Table

__all__ = ["Columns", "Rows", "Series"]

MOST_KEYS: Final = 4096  # a frame whose keys are data would have no end of them
MOST_TEXTS: Final = 256  # different texts of one key; more of them are no states that a strip could show
MOST_LETTERS: Final = 200

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]


class Series:
    """One key: its numbers, and its texts as numbers of places in ``texts``.

    Attributes:
        numbers: `MISSING` where there is none. Bools are 1 and 0; a string that spells a number is that number.
        codes: which text; -1 where there is none, None when the key never had any.
        texts: the texts in the order of first sight.
        last: the newest value that is not NaN.
        size: how many numbers a frame has, where the values are lists; these are not kept.

    """

    def __init__(self, file: ColumnFile, start: int) -> None:
        self._file = file
        self.numbers = StoredColumn(file, start=start)
        self.codes: StoredColumn | None = None
        self.texts: dict[str, int] = {}
        self.last: float | str | bool | None = None
        self.size = 0

    @property
    def shape(self) -> str:
        """How the values can be shown: ``number``, ``text`` or ``list``."""
        if self.texts:
            return "text"
        return "list" if self.size and self.last is None else "number"

    def extend(self, first: int, column: Column) -> None:
        """Add the values of the rows from *first* on."""
        values, state = column
        if values.ndim > 1:
            self.size = max(self.size, math.prod(values.shape[1:]))
            return
        if values.dtype == object:
            numbers = self._parse(first, values)
        else:
            numbers = values.astype(np.float64, copy=state is not None)
        if state is not None:
            numbers[state != VALUE] = MISSING
        self.numbers.pad_to(first)
        self.numbers.extend(numbers)
        if values.dtype != object and (known := _last_number(numbers)) >= 0:
            self.last = values[known].item()

    def _parse(self, first: int, values: npt.NDArray[np.object_]) -> Floats:
        """The numbers among Python values of any type; texts become codes. Each distinct value is looked at once."""
        items = values.tolist()
        if not _SCALARS.issuperset(map(type, items)):
            self.size = max(self.size, *(len(item) for item in items if isinstance(item, list)), 0)
            items = [_scalar(item) for item in items]
        different = list(dict.fromkeys(items))
        places = dict(zip(different, itertools.count(), strict=False))
        which = np.fromiter(map(places.__getitem__, items), np.intp, len(items))
        parsed = [_number(item) for item in different]
        numbers = np.array([math.nan if number is None else number for number in parsed])
        numbers[[number is None for number in parsed]] = MISSING
        codes = np.full(len(parsed), -1, np.int32)
        for place, item in enumerate(different):
            if parsed[place] is None and isinstance(item, str):
                codes[place] = self._code(item)
        known = np.flatnonzero(((codes >= 0) | ~np.isnan(numbers))[which])
        if len(known):
            place = int(which[known[-1]])
            self.last = different[place][:MOST_LETTERS] if codes[place] >= 0 else parsed[place]
        if self.texts:
            if self.codes is None:
                self.codes = StoredColumn(self._file, np.int32, first)
            self.codes.pad_to(first)
            self.codes.extend(codes[which])
        return numbers[which]

    def _code(self, text: str) -> int:
        text = text[:MOST_LETTERS]
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
    if item is None:
        return None
    if isinstance(item, str):
        if item in ("True", "False"):
            return float(item == "True")
        if item[:1] not in tuple("+-.0123456789ni"):
            return None
    try:
        return float(item)
    except ValueError:
        return None
    except OverflowError:
        return math.inf if int(item) > 0 else -math.inf


def _last_number(numbers: Floats) -> int:
    """The last place that is not NaN; -1 when all are."""
    if len(numbers) and numbers[-1] == numbers[-1]:
        return len(numbers) - 1
    known = np.flatnonzero(~np.isnan(numbers))
    return int(known[-1]) if len(known) else -1


class Columns:
    """All series of one kind. One thread may extend it while others read rows below ``rows``.

    Attributes:
        rows: how many frames there are.
        series: by key, nested ones as in `trainlog.table.table.Table`; at most ``MOST_KEYS``.

    """

    def __init__(self, file: ColumnFile) -> None:
        self._file = file
        self.rows = 0
        self.series: dict[str, Series] = {}

    def extend(self, table: Table) -> None:
        """Add the rows of *table*."""
        new = [key for key in table if key not in self.series][: max(MOST_KEYS - len(self.series), 0)]
        if new:
            self.series = {**self.series, **{key: Series(self._file, self.rows) for key in new}}
        for key in table:
            if (series := self.series.get(key)) is not None:
                series.extend(self.rows, table.column(key))
        self.rows += table.rows

    def numbers(self, key: str, start: int, stop: int) -> Floats:
        """The numbers of *key* in rows *start* to *stop*; `MISSING` where there are none."""
        return _filled(self.series[key].numbers, start, stop)

    def codes(self, key: str, start: int, stop: int) -> Codes:
        """The texts of *key* by their numbers in rows *start* to *stop*; -1 where there is none."""
        codes = self.series[key].codes
        return np.full(stop - start, -1, np.int32) if codes is None else _filled(codes, start, stop)


def _filled(column: StoredColumn, start: int, stop: int) -> npt.NDArray[Any]:
    """Rows of a column that ends earlier when later frames do not have its key any more."""
    values = column.read(start, stop)
    more = np.full(stop - start - len(values), column.missing, values.dtype)
    return np.concatenate((values, more)) if len(more) else values


class Rows:
    """The frames of one kind: when each is, where it stands, and its values as far as they were read.

    Attributes:
        time: of each frame, seconds.
        order: where each stands among the frames of all kinds.
        columns: the values; ``columns.rows`` lags behind ``len(rows)`` where only times were read.

    """

    def __init__(self, file: ColumnFile) -> None:
        self.time = StoredColumn(file)
        self.order = StoredColumn(file, np.int64)
        self.columns = Columns(file)

    def __len__(self) -> int:
        return len(self.order)

    def extend(self, batch: Batch, *, with_values: bool) -> None:
        """Add the rows of *batch*; with values these may be rows that are known by their times already."""
        known = len(self) - self.columns.rows if with_values else 0
        self.time.extend(batch.table.time[known:])
        self.order.extend(batch.order[known:])
        if with_values:
            self.columns.extend(batch.table)

    def at(self, moment: float) -> int:
        """The last frame that is not after *moment*; the first one when all are. Times may step back."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self.time.read(middle, middle + 1)[0] <= moment:
                low = middle + 1
            else:
                high = middle
        return max(low - 1, 0)
