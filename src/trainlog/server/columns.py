"""The frames of one kind as columns that grow, for charts: numbers, and texts of which there are few."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.server.column_file import Column, ColumnFile
from trainlog.table.values import flatten

__all__ = ["Columns", "Series"]

MOST_KEYS: Final = 4096  # a frame whose keys are data would have no end of them
MOST_TEXTS: Final = 256  # different texts of one key; more of them are no states that a strip could show
MOST_LETTERS: Final = 200

Floats = npt.NDArray[np.float64]


class Series:
    """One key: its numbers, and its texts as numbers of places in ``texts``.

    Attributes:
        numbers: NaN where there is none. Bools are 1 and 0; a string that spells a number is that number.
        codes: which text; -1 where there is none, None when the key never had any.
        texts: the texts in the order of first sight.
        last: the newest value that is not NaN.
        size: how many numbers a frame has, where the values are lists; these are not kept.

    """

    def __init__(self, spool: ColumnFile, start: int) -> None:
        self._spool = spool
        self.numbers = Column(spool, start=start)
        self.codes: Column | None = None
        self.texts: dict[str, int] = {}
        self.last: float | str | bool | None = None
        self.size = 0
        self.bools = True
        self.integers = True

    @property
    def shape(self) -> str:
        """How the values can be shown: ``number``, ``text`` or ``list``."""
        if self.texts:
            return "text"
        return "list" if self.size and self.last is None else "number"

    def extend(self, first: int, values: list[Any]) -> None:
        """Add the values of the rows from *first* on; absent ones are None."""
        types = set(map(type, values))
        if types <= {float, int, bool}:
            self.bools &= types == {bool}
            self.integers &= float not in types
            numbers = np.fromiter(map(_float, values), np.float64, len(values))
            self.last = values[-1] if values[-1] == values[-1] else self.last
        else:
            numbers = np.fromiter(map(self._number, values), np.float64, len(values))
            if str in types:
                self._add_texts(first, values, numbers)
        self.numbers.pad_to(first)
        self.numbers.extend(numbers)

    def _number(self, value: Any) -> float:
        if value is None:
            return math.nan
        if isinstance(value, str):
            if value in ("True", "False"):
                number = float(value == "True")
            elif value[:1] in "+-.0123456789ni" and value:
                try:
                    number = float(value)
                except ValueError:
                    return math.nan
            else:
                return math.nan
        elif isinstance(value, int | float):
            number = _float(value)
        else:
            if isinstance(value, list):
                self.size = max(self.size, len(value))
            return math.nan
        self.bools &= isinstance(value, bool)
        self.integers &= isinstance(value, int)
        self.last = number
        return number

    def _add_texts(self, first: int, values: list[Any], numbers: Floats) -> None:
        if self.codes is None:
            self.codes = Column(self._spool, np.int32, first)
        codes = np.full(len(values), -1, np.int32)
        for i, value in enumerate(values):
            if isinstance(value, str) and numbers[i] != numbers[i]:
                text = value[:MOST_LETTERS]
                code = self.texts.get(text)
                if code is None and len(self.texts) < MOST_TEXTS:
                    code = self.texts[text] = len(self.texts)
                self.last = text
                codes[i] = -1 if code is None else code
        self.codes.pad_to(first)
        self.codes.extend(codes)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


class Columns:
    """All series of one kind. One thread may extend it while others read rows below ``rows``.

    Attributes:
        rows: how many frames there are.
        series: by key, nested ones as in `trainlog.table.table.Table`.
        left_out: keys beyond the first ``MOST_KEYS``.

    """

    def __init__(self, spool: ColumnFile) -> None:
        self._spool = spool
        self.rows = 0
        self.series: dict[str, Series] = {}
        self.left_out: set[str] = set()

    def extend(self, frames: Sequence[Mapping[Any, Any]]) -> None:
        """Add a row for each of *frames*."""
        rows = [flatten(frame) for frame in frames]
        keys = dict.fromkeys(key for row in rows for key in row)
        for key in keys:
            series = self.series.get(key)
            if series is None:
                if len(self.series) >= MOST_KEYS:
                    self.left_out.add(key) if len(self.left_out) < MOST_KEYS else None
                    continue
                series = Series(self._spool, self.rows)
                self.series = {**self.series, key: series}
            series.extend(self.rows, [row.get(key) for row in rows])
        self.rows += len(rows)

    def numbers(self, key: str, start: int, stop: int) -> Floats:
        """The numbers of *key* in rows *start* to *stop*; NaN where there are none."""
        return self._filled(self.series[key].numbers, start, stop, np.nan)

    def codes(self, key: str, start: int, stop: int) -> npt.NDArray[np.int32]:
        """The texts of *key* by their numbers in rows *start* to *stop*; -1 where there is none."""
        codes = self.series[key].codes
        if codes is None:
            return np.full(stop - start, -1, np.int32)
        return self._filled(codes, start, stop, -1)

    def _filled(self, column: Column, start: int, stop: int, absent: float) -> npt.NDArray[Any]:
        """A key that later frames do not have any more has a column that ends earlier."""
        values = column.read(start, stop)
        if len(values) < stop - start:
            more = np.full(stop - start - len(values), absent, values.dtype)
            values = np.concatenate((values, more))
        return values
