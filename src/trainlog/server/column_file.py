"""Columns of numbers that live on disk: what a server knows of a log of gigabytes must not fill its memory."""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from bisect import bisect_right
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["MISSING", "ColumnFile", "StoredColumn", "is_nan"]

ROWS: Final = 4096  # of a chunk; only the last one, which is not full, is in memory
_FIRST: Final = 64  # rows that a column has room for at first

Array = npt.NDArray[Any]

_MISSING_BITS: Final = 0x7FF8_0000_6D69_7373
MISSING: Final = np.array([_MISSING_BITS], np.int64).view(np.float64)[0]
"""Stands in a column of floats where a frame has no number: a NaN of its own bits, which `is_nan` tells from others."""


def is_nan(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which of *values* are NaN in the log; those that are `MISSING` are not."""
    found: npt.NDArray[np.bool_] = np.isnan(values) & (values.view(np.int64) != _MISSING_BITS)
    return found


class ColumnFile:
    """A file without a name, which is gone with this object; chunks are added to its end and never changed."""

    def __init__(self) -> None:
        self._fd = -1
        self._size = 0
        self._lock = threading.Lock()

    def put(self, chunk: Array) -> int:
        """Store *chunk*, and return where it is."""
        with self._lock:
            if self._fd < 0:
                with tempfile.TemporaryFile(prefix="trainlog-") as file:
                    self._fd = os.dup(file.fileno())
                weakref.finalize(self, os.close, self._fd)
            at = self._size
            data = np.ascontiguousarray(chunk).view(np.uint8).data
            while data:
                done = os.pwrite(self._fd, data, self._size)
                self._size += done
                data = data[done:]
            return at

    def get(self, at: int, out: Array) -> None:
        """Fill *out* with what was stored at *at*."""
        os.preadv(self._fd, [out.view(np.uint8).data], at)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._size


class StoredColumn:
    """One column, of one dtype, that only grows. One thread may extend it while others read.

    Attributes:
        start: rows before this one were there before the column was; reading yields `MISSING` (or -1) for them.

    """

    def __init__(self, file: ColumnFile, dtype: npt.DTypeLike = np.float64, start: int = 0) -> None:
        self._file = file
        self._chunks: list[int] = []
        self._firsts: list[float] = []
        self._tail = np.empty(_FIRST, dtype)
        self._length = 0
        self.missing = MISSING if self._tail.dtype.kind == "f" else np.array(-1, dtype)[()]
        self._lock = threading.Lock()
        self.start = start

    def __len__(self) -> int:
        return self.start + self._length

    def extend(self, values: Array) -> None:
        """Add *values* at the end."""
        done = 0
        while done < len(values):
            used = self._length % ROWS
            whole = 0 if used else (len(values) - done) // ROWS
            if whole:
                chunks = np.ascontiguousarray(values[done : done + whole * ROWS], self._tail.dtype)
                at = self._file.put(chunks)
                with self._lock:
                    self._chunks += range(at, at + chunks.nbytes, ROWS * chunks.itemsize)
                    self._firsts += chunks[::ROWS].tolist()
                    self._length += len(chunks)
                done += len(chunks)
                continue
            count = min(ROWS - used, len(values) - done)
            if used + count > len(self._tail):
                grown = np.empty(min(ROWS, max(2 * len(self._tail), used + count)), self._tail.dtype)
                grown[:used] = self._tail[:used]
                self._tail = grown
            self._tail[used : used + count] = values[done : done + count]
            done += count
            with self._lock:
                if used + count == ROWS:
                    self._chunks.append(self._file.put(self._tail))
                    self._firsts.append(float(self._tail[0]))
                    self._tail = np.empty(ROWS, self._tail.dtype)
                self._length += count

    def pad_to(self, length: int) -> None:
        """Fill up with missing values, so that the column has *length* rows."""
        count = length - len(self)
        if count > 0:
            self.extend(np.full(count, self.missing, self._tail.dtype))

    def read(self, start: int = 0, stop: int | None = None) -> Array:
        """Rows *start* to *stop*, as far as there are any."""
        stop = len(self) if stop is None else min(stop, len(self))
        start = min(max(start, 0), max(stop, 0))
        out = np.full(stop - start, self.missing, self._tail.dtype)
        first, last = max(start - self.start, 0), stop - self.start
        at = max(self.start - start, 0)
        while first < last:
            chunk, used = divmod(first, ROWS)
            count = min(ROWS - used, last - first)
            with self._lock:
                tail = self._tail if chunk == len(self._chunks) else None
                if tail is not None:
                    out[at : at + count] = tail[used : used + count]
            if tail is None:
                if used or count < ROWS:
                    whole = np.empty(ROWS, self._tail.dtype)
                    self._file.get(self._chunks[chunk], whole)
                    out[at : at + count] = whole[used : used + count]
                else:
                    self._file.get(self._chunks[chunk], out[at : at + count])
            first += count
            at += count
        return out

    def pick(self, rows: npt.NDArray[np.integer[Any]]) -> Array:
        """The values in *rows*, which rise; those beyond the end are left out."""
        rows = rows[rows < len(self)]
        out = np.empty(len(rows), self._tail.dtype)
        chunks = np.asarray(rows) // ROWS
        for chunk in np.unique(chunks).tolist():
            chosen = chunks == chunk
            out[chosen] = self.read(chunk * ROWS, (chunk + 1) * ROWS)[rows[chosen] - chunk * ROWS]
        return out

    def search(self, value: float) -> int:
        """How many rows, of a column that never falls, are at most *value*."""
        with self._lock:
            chunk = max(bisect_right(self._firsts, value) - 1, 0) if self._firsts else 0
            full = len(self._chunks)
        while True:
            low = self.start + chunk * ROWS
            rows = self.read(low, low + ROWS)
            inside = int(np.searchsorted(rows, value, "right"))
            if inside < len(rows) or chunk >= full:
                return low + inside
            chunk += 1
