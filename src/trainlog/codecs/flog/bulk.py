"""Whole tables as FLOG frames: the bytes of many frames laid out by numpy, without a Python loop per frame.

Frames of one table all have the same keys, so that each byte of a key, and of what msgpack puts before a value, is at
the same place in every frame. The bytes of one frame are copied as often as there are rows, and the values written
over them, column by column.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgpack
import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.layout import FRAME, MAX_SIZE
from trainlog.table import Table

__all__ = ["pack_table"]

# Frames are laid out as many at a time as stay in the processor's cache.
_CHUNK: Final = 1 << 19

# msgpack's first byte of a number, by the dtype of the big-endian bytes that follow.
_FLOAT: Final = (b"\xcb", ">f8")
_UNSIGNED: Final = ((b"\xcc", ">u1"), (b"\xcd", ">u2"), (b"\xce", ">u4"), (b"\xcf", ">u8"))
_SIGNED: Final = ((b"\xd0", ">i1"), (b"\xd1", ">i2"), (b"\xd2", ">i4"), (b"\xd3", ">i8"))


class _Place(NamedTuple):
    """Where in a frame the values of a column go."""

    offset: int
    dtype: np.dtype[Any]
    column: npt.NDArray[Any]  # shape (rows,)


def pack_table(table: Table) -> Iterator[bytes] | None:
    """The rows of *table* as the bytes of frames, some thousand at a time; None when they have no fixed layout.

    Columns may be bools, ints and floats of any width, and arrays of them of any shape; ints are stored as wide as
    the largest of them needs.
    """
    frame = bytearray(FRAME.size)
    places: list[_Place] = [_Place(0, np.dtype("<f8"), table.time)]
    frame += _map_head(len(table))
    for key, column in table.items():
        try:
            frame += msgpack.packb(key, unicode_errors="surrogateescape")
        except UnicodeEncodeError:
            return None
        if not _place(frame, places, column):
            return None
    size = len(frame) - FRAME.size
    if size > MAX_SIZE:
        return None
    FRAME.pack_into(frame, 0, 0.0, int(table.kind), size)
    return _laid_out(bytes(frame), places, table.rows)


def _place(frame: bytearray, places: list[_Place], column: npt.NDArray[Any]) -> bool:
    """Add the values of *column* to *frame*, and to *places* where they go."""
    if column.dtype.kind not in "biuf" or column.dtype.itemsize > 8:
        return False
    if column.ndim > 1:
        frame += _array_head(column.shape[1])
        return all(_place(frame, places, column[:, i]) for i in range(column.shape[1]))
    if column.dtype.kind == "b":
        places.append(_Place(len(frame), np.dtype("u1"), column.view(np.uint8) + np.uint8(0xC2)))
        frame.append(0xC2)
        return True
    first, code = _FLOAT if column.dtype.kind == "f" else _narrowest(column)
    dtype = np.dtype(code)
    frame += first
    places.append(_Place(len(frame), dtype, column))
    frame += bytes(dtype.itemsize)
    return True


def _narrowest(column: npt.NDArray[Any]) -> tuple[bytes, str]:
    low, high = (int(column.min()), int(column.max())) if len(column) else (0, 0)
    for first, code in _UNSIGNED if low >= 0 else _SIGNED:
        limits = np.iinfo(code)
        if limits.min <= low and high <= limits.max:
            return first, code
    raise AssertionError("numpy has no wider ints")


def _map_head(count: int) -> bytes:
    packer = msgpack.Packer()
    return bytes(packer.pack_map_header(count))


def _array_head(count: int) -> bytes:
    packer = msgpack.Packer()
    return bytes(packer.pack_array_header(count))


def _laid_out(frame: bytes, places: list[_Place], rows: int) -> Iterator[bytes]:
    if not rows:
        return
    size = len(frame)
    many = min(max(_CHUNK // size, 1), rows)
    block = np.empty((many, size), np.uint8)
    block[:] = np.frombuffer(frame, np.uint8)
    targets = [np.ndarray((many,), place.dtype, block, place.offset, (size,)) for place in places]
    for start in range(0, rows, many):
        count = min(many, rows - start)
        for target, place in zip(targets, places, strict=True):
            target[:count] = place.column[start : start + count]
        yield block[:count].tobytes()
