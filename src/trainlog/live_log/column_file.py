"""Columns of numbers on disk, so that a server can keep the values of a log of gigabytes without filling its memory.

In a column of floats, a value that is not a number is a NaN with special bits: the code of a text, or -1 for no value.
"""

from __future__ import annotations

import math
import os
import tempfile
import threading
import weakref
from bisect import bisect_right
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["ColumnFile", "StoredColumn", "codes_of", "is_nan", "no_numbers"]

ROWS: Final = 256  # written at a time; only the remainder is in memory, as thousands of logs can be open
_TAG: Final = 0x7FF8_6D69  # the upper half of these NaN

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]


def no_numbers(codes: Any) -> Floats:
    """NaNs that carry *codes*, from -1 up."""
    bits: Floats = (np.asarray(codes, np.int64) & 0xFFFF_FFFF | _TAG << 32).view(np.float64)
    return bits


def codes_of(values: Floats) -> Codes:
    """The codes that *values* carry; -1 for ordinary numbers."""
    bits = values.view(np.int64)
    return np.where(bits >> 32 == _TAG, bits, -1).astype(np.int32)


def is_nan(values: Floats) -> npt.NDArray[np.bool_]:
    """Which of *values* are ordinary NaNs, without a code."""
    found: npt.NDArray[np.bool_] = np.isnan(values) & (values.view(np.int64) >> 32 != _TAG)
    return found


class ColumnFile:
    """An unnamed file, deleted along with this object; chunks are appended and never changed."""

    def __init__(self) -> None:
        self._fd = -1
        self._lock = threading.Lock()
        self.size = 0

    def put(self, chunk: Array) -> int:
        """Store *chunk*, and return its offset."""
        with self._lock:
            if self._fd < 0:
                with tempfile.TemporaryFile(prefix="trainlog-") as file:
                    self._fd = os.dup(file.fileno())
                weakref.finalize(self, os.close, self._fd)
            at = self.size
            data = np.ascontiguousarray(chunk).view(np.uint8).data
            while data:
                done = os.pwrite(self._fd, data, self.size)
                self.size += done
                data = data[done:]
            return at

    def get(self, at: int, out: Array) -> None:
        """Fill *out* with what was stored at *at*."""
        os.preadv(self._fd, [out.view(np.uint8).data], at)


class StoredColumn:
    """One column of an eight-byte dtype that only grows. One thread can extend it while others read.

    Attributes:
        start: the first row of the column; rows before it existed before the column, and have no values.

    """

    __slots__ = ("_dtype", "_extents", "_file", "_state", "start")

    def __init__(self, file: ColumnFile, dtype: npt.DTypeLike = np.float64, start: int = 0) -> None:
        self._file = file
        self._dtype = np.dtype(dtype)
        self._extents: list[tuple[int, int]] = []  # the first row of each, counted from start, and its offset
        self._state = 0, 0, np.empty(0, dtype)  # number of extents, number of rows in them, the rows after them
        self.start = start

    def __len__(self) -> int:
        _, stored, tail = self._state
        return self.start + stored + len(tail)

    def extend(self, values: Array) -> None:
        """Append *values*."""
        _, stored, tail = self._state
        values = np.concatenate((tail, values)).astype(self._dtype, copy=False)
        whole = len(values) - len(values) % ROWS
        if whole:
            at = self._file.put(values[:whole])
            first, place = self._extents[-1] if self._extents else (0, -1)
            if place < 0 or at != place + 8 * (stored - first):  # another column was written in between
                self._extents.append((stored, at))
        self._state = len(self._extents), stored + whole, values[whole:].copy()

    def pad_to(self, length: int) -> None:
        """Fill up with missing values, so that the column has *length* rows."""
        if length > len(self):
            self.extend(no_numbers(np.full(length - len(self), -1)))

    def read(self, start: int = 0, stop: int | None = None) -> Array:
        """Rows *start* to *stop*, as far as there are any."""
        extents, stored, tail = self._state
        length = self.start + stored + len(tail)
        stop = length if stop is None else min(stop, length)
        start = min(start, stop)
        out = no_numbers(np.full(stop - start, -1)).view(self._dtype)
        low, high = max(start - self.start, 0), stop - self.start
        for number in range(max(bisect_right(self._extents, (low, math.inf), 0, extents) - 1, 0), extents):
            first, at = self._extents[number]
            low, end = max(low, first), self._extents[number + 1][0] if number + 1 < extents else stored
            if low >= min(end, high):
                break
            here = low + self.start - start
            self._file.get(at + 8 * (low - first), out[here : here + min(end, high) - low])
            low = min(end, high)
        if high > max(low, stored):
            out[len(out) - (high - max(low, stored)) :] = tail[max(low - stored, 0) : high - stored]
        return out

    def pick(self, rows: npt.NDArray[np.integer[Any]]) -> Array:
        """The values in *rows*, which must increase; rows beyond the end are left out."""
        if len(rows) and rows[-1] - rows[0] < 4 * len(rows):
            found: Array = self.read(int(rows[0]), int(rows[-1]) + 1)[rows[rows < len(self)] - rows[0]]
            return found
        return np.concatenate([self.read(row, row + 1) for row in rows.tolist()] or [self.read(0, 0)])

    def search(self, value: float) -> int:
        """The number of rows with at most *value*, in a column that increases."""
        low, high = self.start, len(self)
        middle = high - 1  # most searches are for the end
        while low < high:
            if self.read(middle, middle + 1)[0] <= value:
                low = middle + 1
            else:
                high = middle
            middle = (low + high) // 2
        return low
