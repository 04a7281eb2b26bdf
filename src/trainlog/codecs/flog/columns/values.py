"""The values of many frames: how they are stored, and how they become numpy blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.columns.record_shape import BOOL, FIXINT_NEGATIVE, FIXINT_POSITIVE, LENGTHS, NIL, UINT64
from trainlog.table.values import number

__all__ = ["NUMBERS", "Piece", "ints_apart", "overlapping", "put_numbers", "texts", "values_at"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]

# How a number is stored: its dtype, and its distance in bytes from its marker.
NUMBERS: Final = {
    FIXINT_POSITIVE: ("u1", 0),
    FIXINT_NEGATIVE: ("i1", 0),
    0xCA: (">f4", 1),
    0xCB: (">f8", 1),
    0xCC: ("u1", 1),
    0xCD: (">u2", 1),
    0xCE: (">u4", 1),
    UINT64: (">u8", 1),
    0xD0: ("i1", 1),
    0xD1: (">i2", 1),
    0xD2: (">i4", 1),
    0xD3: (">i8", 1),
}


_ALIKE: Final = np.arange(256, dtype=np.uint8)  # for each marker, the one that represents its type
_ALIKE[:0x80] = FIXINT_POSITIVE
_ALIKE[0xE0:] = FIXINT_NEGATIVE
_ALIKE[0xC3] = BOOL


class Piece(NamedTuple):
    """Some values of a column.

    Attributes:
        chosen: which rows of the match they belong to; None for all.
        block: the values; None when every value is nil.

    """

    chosen: Ints | None
    block: Array | None


def overlapping(block: Octets, dtype: str) -> Array:
    """A view of *block* with an item of *dtype* at every byte."""
    itemsize = np.dtype(dtype).itemsize
    return np.ndarray((len(block) - itemsize + 1,), dtype, block, 0, (1,))


def ints_apart(chosen: Ints | None, block: Array) -> Iterator[Piece]:
    """Yield *block* with ints that are too large for int64 as uint64, and all other ints as int64."""
    if block.dtype != np.dtype(">u8"):
        yield Piece(chosen, block)
        return
    large = block >= 2**63
    if not large.any():
        yield Piece(chosen, block.astype(np.int64))
        return
    for which, dtype in ((large, np.uint64), (~large, np.int64)):
        if which.any():
            some = np.flatnonzero(which)
            yield Piece(some if chosen is None else chosen[some], block[some].astype(dtype))


class _Known(dict[bytes, str]):
    """Strings by their bytes: most columns of strings repeat a few values."""

    def __missing__(self, text: bytes) -> str:
        value = self[text] = text.decode("utf-8", "surrogateescape")
        return value


def texts(block: Array | None, count: int, marker: int) -> Array:
    """The values of *block* as strings, or as bytes where the marker says so; *block* is None for empty values."""
    binary = marker in (0xC4, 0xC5, 0xC6)
    if block is None:
        return np.full(count, b"" if binary else "", object)
    raw = block.tolist()
    return np.fromiter(raw if binary else map(_Known().__getitem__, raw), object, count)


def values_at(block: Octets, place: Ints, marker: Octets) -> Iterator[Piece]:
    """Yield the single values, of any type, whose markers are at *place*."""
    alike = _ALIKE[marker]
    if not len(alike):
        return
    if (alike == alike[0]).all():
        yield from _values_of(block, int(alike[0]), None, place)
        return
    for one in np.unique(alike).tolist():
        chosen = np.flatnonzero(alike == one)
        yield from _values_of(block, one, chosen, place[chosen])


def _values_of(block: Octets, marker: int, chosen: Ints | None, place: Ints) -> Iterator[Piece]:
    if marker in NUMBERS:
        dtype, behind = NUMBERS[marker]
        yield from ints_apart(chosen, overlapping(block, dtype)[place + behind])
    elif marker == BOOL:
        yield Piece(chosen, block[place] == 0xC3)
    elif marker == NIL:
        yield Piece(chosen, None)
    elif marker in LENGTHS:
        head = 1 + LENGTHS[marker]
        size = overlapping(block, f">u{head - 1}")[place + 1]
        for one in np.unique(size).tolist():
            some = np.flatnonzero(size == one)
            found = _texts_at(block, place[some] + head, one, marker)
            yield Piece(some if chosen is None else chosen[some], found)
    else:
        yield Piece(chosen, _texts_at(block, place + 1, marker & 0x1F, marker))


def _texts_at(block: Octets, place: Ints, size: int, marker: int) -> Array:
    return texts(overlapping(block, f"V{size}")[place] if size else None, len(place), marker)


def put_numbers(
    out: npt.NDArray[np.float64], rows: Ints | None, pieces: Iterable[tuple[Ints | None, Array | None]]
) -> None:
    """Set *rows* of *out* (None for all) to the values of *pieces*, as `Table.numbers` takes them."""
    for chosen, block in pieces:
        these = rows if chosen is None else chosen if rows is None else rows[chosen]
        if block is not None:
            out[slice(None) if these is None else these] = (
                block if block.dtype != object else [number(value) for value in block.tolist()]
            )
