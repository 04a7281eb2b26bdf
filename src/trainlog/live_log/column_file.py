"""Columns of numbers that live on disk: what a server knows of a log of gigabytes must not fill its memory.

In a column of floats, what is no number is a NaN of its own bits, which carries the code of a text, or -1 for nothing.
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

ROWS: Final = 256  # that are written at once; only what is left over is in memory: thousands of logs may be open
_TAG: Final = 0x7FF8_6D69  # the upper half of these NaN

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]


def no_numbers(codes: Any) -> Floats:
    """Floats that carry *codes*, from -1 up, and are no numbers."""
    bits: Floats = (np.asarray(codes, np.int64) & 0xFFFF_FFFF | _TAG << 32).view(np.float64)
    return bits


def codes_of(values: Floats) -> Codes:
    """The codes that *values* carry; -1 for those that carry none."""
    bits = values.view(np.int64)
    return np.where(bits >> 32 == _TAG, bits, -1).astype(np.int32)


def is_nan(values: Floats) -> npt.NDArray[np.bool_]:
    """Which of *values* are numbers, and NaN."""
    found: npt.NDArray[np.bool_] = np.isnan(values) & (values.view(np.int64) >> 32 != _TAG)
    return found


class ColumnFile:
    """A file without a name, which is gone with this object; chunks are added to its end and never changed."""

    def __init__(self) -> None:
        self._fd = -1
        self._lock = threading.Lock()
        self.size = 0

    def put(self, chunk: Array) -> int:
        """Store *chunk*, and return where it is."""
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
    """One column, of one dtype of eight bytes, that only grows. One thread may extend it while others read.

    Attributes:
        start: rows before this one were there before the column was; they have no numbers.

    """

    __slots__ = ("_dtype", "_extents", "_file", "_state", "start")

    def __init__(self, file: ColumnFile, dtype: npt.DTypeLike = np.float64, start: int = 0) -> None:
        self._file = file
        self._dtype = np.dtype(dtype)
        self._extents: list[tuple[int, int]] = []  # from which row on, counted from start, and where in the file
        self._state = 0, 0, np.empty(0, dtype)  # how many extents there are, how many rows in them, the rows behind
        self.start = start

    def __len__(self) -> int:
        _, stored, tail = self._state
        return self.start + stored + len(tail)

    def extend(self, values: Array) -> None:
        """Add *values* at the end."""
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
        """Fill up with what is no number, so that the column has *length* rows."""
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
        """The values in *rows*, which rise; those beyond the end are left out."""
        if len(rows) and rows[-1] - rows[0] < 4 * len(rows):
            found: Array = self.read(int(rows[0]), int(rows[-1]) + 1)[rows[rows < len(self)] - rows[0]]
            return found
        return np.concatenate([self.read(row, row + 1) for row in rows.tolist()] or [self.read(0, 0)])

    def search(self, value: float) -> int:
        """How many rows, of a column that rises, are at most *value*."""
        low, high = self.start, len(self)
        middle = high - 1  # mostly it is the end that is looked for
        while low < high:
            if self.read(middle, middle + 1)[0] <= value:
                low = middle + 1
            else:
                high = middle
            middle = (low + high) // 2
        return low
