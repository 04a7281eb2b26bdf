"""Whole tables as FLOG frames: numpy lays out the bytes of many frames, without a Python loop iteration per frame.

The frames of a table all have the same keys, so that the bytes of each key, and of the marker before each value, are at
the same place in every frame. The bytes of one frame are copied once per row, and the values are written over the
copies, column by column. Tables of one layout share the copies.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgpack
import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.integrity.seals import AT_ONCE
from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.table.table import Table

__all__ = ["TablePacker"]

# Frames are laid out this many bytes at a time, so that they stay in the CPU cache.
_CHUNK: Final = AT_ONCE

# The msgpack marker of a number, by the dtype of the big-endian bytes that follow it.
_FIRST: Final = {
    ">f8": b"\xcb",
    ">u1": b"\xcc",
    ">u2": b"\xcd",
    ">u4": b"\xce",
    ">u8": b"\xcf",
    ">i1": b"\xd0",
    ">i2": b"\xd1",
    ">i4": b"\xd2",
    ">i8": b"\xd3",
}
_UNSIGNED: Final = (">u1", ">u2", ">u4", ">u8")
_SIGNED: Final = (">i1", ">i2", ">i4", ">i8")
_BOOL: Final = "?"
_FALSE: Final = 0xC2

_Column = npt.NDArray[Any]
# The kind of the frames; for each column its key, the form of its numbers, and the shape of a row.
_Shape = tuple[int, tuple[tuple[str, str, tuple[int, ...]], ...]]


class TablePacker:
    """Packs tables into frames. Keeps the layout of the last table, as the next one often has the same."""

    def __init__(self) -> None:
        self._layout: _Layout | None = None
        self._lock = threading.Lock()

    def pack(self, table: Table, put: Callable[[memoryview], object]) -> bool:
        """Pass the rows of *table* to *put*, as the bytes of a few thousand frames at a time.

        Columns may be bools, ints and floats of any width, and arrays of them of any shape; ints are stored as wide
        as the largest of them needs.

        Args:
            table: the rows.
            put: receives the bytes, which are overwritten after it returns.

        Returns:
            Whether it was done; False, with nothing passed, when the rows have no fixed layout.

        """
        forms = [_form(column) for column in table.values()]
        if None in forms:
            return False
        columns = zip(table, forms, table.values(), strict=True)
        shape: _Shape = (int(table.kind), tuple((key, form or "", column.shape[1:]) for key, form, column in columns))
        with self._lock:
            if self._layout is None or self._layout.shape != shape:
                try:
                    self._layout = _Layout(shape)
                except UnicodeEncodeError:
                    return False
            for chunk in self._layout.filled(table):
                put(chunk)
        return True


def _form(column: _Column) -> str | None:
    """How the numbers of *column* are stored; None when it has no numbers or bools."""
    match column.dtype.kind:
        case "f" if column.dtype.itemsize <= 8:
            return ">f8"
        case "b":
            return _BOOL
        case "i" | "u":
            low, high = (int(column.min()), int(column.max())) if column.size else (0, 0)
            codes = _UNSIGNED if low >= 0 else _SIGNED
            return next(code for code in codes if np.iinfo(code).min <= low and high <= np.iinfo(code).max)
    return None


class _Layout:
    """The bytes of frames of one shape, and the places of the values in them."""

    def __init__(self, shape: _Shape) -> None:
        self.shape = shape
        kind, columns = shape
        frame = bytearray(FRAME.size)
        places: list[tuple[int, str]] = [(0, "<f8")]
        packer = msgpack.Packer(unicode_errors="surrogateescape")
        frame += packer.pack_map_header(len(columns))
        for key, form, inner in columns:
            frame += packer.pack(key)
            _place(frame, places, form, inner, packer)
        FRAME.pack_into(frame, 0, 0.0, kind, len(frame) - FRAME.size)
        self._rows = max(_CHUNK // len(frame), 1)
        self._block = np.empty((self._rows, len(frame)), np.uint8)
        self._block[:] = np.frombuffer(bytes(frame), np.uint8)
        strides = (len(frame),)
        self._targets = [np.ndarray((self._rows,), code, self._block, at, strides) for at, code in places]

    def filled(self, table: Table) -> Iterator[memoryview]:
        """Yield the rows of *table*, which has this shape, as bytes."""
        columns: list[_Column] = [table.time]
        for column in table.values():
            numbers = column.view(np.uint8) + np.uint8(_FALSE) if column.dtype.kind == "b" else column
            columns.extend(numbers.reshape(table.rows, math.prod(column.shape[1:])).T)
        for start in range(0, table.rows, self._rows):
            count = min(self._rows, table.rows - start)
            for target, column in zip(self._targets, columns, strict=True):
                target[:count] = column[start : start + count]
            yield self._block[:count].data.cast("B")


def _place(
    frame: bytearray, places: list[tuple[int, str]], form: str, inner: tuple[int, ...], packer: msgpack.Packer
) -> None:
    """Add a value to *frame*, or an array of shape *inner*, and add the places of its numbers to *places*."""
    if inner:
        frame += packer.pack_array_header(inner[0])
        for _ in range(inner[0]):
            _place(frame, places, form, inner[1:], packer)
    elif form == _BOOL:
        places.append((len(frame), "u1"))
        frame.append(_FALSE)
    else:
        frame += _FIRST[form]
        places.append((len(frame), form))
        frame += bytes(np.dtype(form).itemsize)
