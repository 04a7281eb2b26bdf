"""From frames of one shape to columns: a RecordLayout has the places of the values, a RecordBatch the frames that fit.

The frames are gathered as the rows of a matrix of bytes. One comparison of that matrix checks that all of them have the
layout's shape; a column is then a strided view of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.columns.record_shape import (
    BOOL,
    FIXINT_NEGATIVE,
    FIXINT_POSITIVE,
    LENGTHS,
    UINT64,
    Field,
    Leaf,
    Shape,
)
from trainlog.codecs.flog.columns.values import NUMBERS, Piece, ints_apart, overlapping, put_numbers, values_at
from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.codecs.frame_payload import decode_flat
from trainlog.table.builder import Rows, TableBuilder
from trainlog.table.values import objects

__all__ = ["RecordBatch", "RecordLayout"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]

_HEAD: Final = FRAME.size

_BITS: Final = {FIXINT_POSITIVE: 0x80, FIXINT_NEGATIVE: 0xE0, BOOL: 0xFE}  # the bits of a marker that give its type

_TIME: Final = np.dtype("<f8")
_OCTET: Final = np.dtype(np.uint8)

# This many rows are reduced as one: for a short row, starting numpy's inner loop takes longer than running it.
_FOLD = 8


class _Numbers(NamedTuple):
    """A view of the matrix, without its first axis."""

    dtype: np.dtype[Any]
    at: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class RecordLayout:
    """The places of the values in frames of one shape.

    Attributes:
        shape: the shape of the frame that the layout was made from.
        names: the columns, in the frames' order.
        fields: the columns' parts of the frame, by name.
        places: the place of each leaf's marker in a row of the matrix.
        numbers: by column, the places of its values in a row, if they are numbers of one type at even distances.

    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.fields = {field.name: field for field in shape.fields}
        self.names = tuple(self.fields)
        self.places: list[int] = []
        expected, bits = bytearray(_HEAD), bytearray(_HEAD)
        for fixed, leaf in zip(shape.fixed, shape.leaves, strict=False):
            expected += fixed
            bits += b"\xff" * len(fixed)
            self.places.append(len(bits))
            head = LENGTHS.get(leaf.marker, 0)
            free = leaf.width - 1 - head
            length = free.to_bytes(head, "big") if head else b""
            expected += (bytes([leaf.marker]) + length + bytes(free)) * leaf.values
            bits += (bytes([_BITS.get(leaf.marker, 0xFF)]) + b"\xff" * head + bytes(free)) * leaf.values
        expected += shape.fixed[-1]
        bits += b"\xff" * len(shape.fixed[-1])
        self._pitch = -(-len(bits) // 8) * 8
        padding = bytes(self._pitch - len(bits))
        self._expected = np.frombuffer(bytes(expected) + padding, np.uint64)
        self._bits = np.frombuffer(bytes(bits) + padding, np.uint64)
        self.numbers = {field.name: self._numbers_of(field) for field in shape.fields}

    def _numbers_of(self, field: Field) -> _Numbers | None:
        leaves = self.shape.leaves[field.first : field.last]
        if not leaves:
            return None
        first = leaves[0]
        if first.marker not in NUMBERS or first.marker == UINT64:
            return None
        if any((leaf.marker, leaf.values) != (first.marker, first.values) for leaf in leaves):
            return None
        dtype, behind = NUMBERS[first.marker]
        if not field.shape:
            return _Numbers(np.dtype(dtype), self.places[field.first] + behind, (), ())
        places = np.array(self.places[field.first : field.last])
        at = (places[:, None] + np.arange(first.values) * first.width).reshape(field.shape)
        strides = []
        for axis in range(at.ndim):
            steps = set(np.diff(at, axis=axis).flat)
            if len(steps) > 1:
                return None
            strides.append(int(steps.pop()) if steps else 0)
        return _Numbers(np.dtype(dtype), int(places[0]) + behind, field.shape, tuple(strides))

    def match(self, block: Octets, offset: Ints, length: Ints) -> tuple[RecordBatch, npt.NDArray[np.bool_]]:
        """The frames that have this shape, and which of those at *offset* they are.

        Args:
            block: holds the frames, and at least 8 bytes more.
            offset: where the header of each frame begins.
            length: bytes of each frame, including its header.

        """
        fits = length == self.shape.size + _HEAD
        if not fits.all():
            match, some = self.match(block, offset[fits], length[fits])
            fits[fits] = some
            return match, fits
        rows = overlapping(block, f"V{self._pitch}")[offset].view(np.uint64).reshape(len(offset), -1)
        match = RecordBatch(self, block, offset, length, rows)
        if not self._all_fit(rows):
            fits &= ~((rows ^ self._expected) & self._bits).any(axis=1)
        return (match if fits.all() else match.take(fits)), fits

    def _all_fit(self, rows: Array) -> bool:
        """Whether all rows have the expected bits, judged by the bitwise AND and OR of all rows."""
        folded = len(rows) // _FOLD * _FOLD
        for part in (rows[:folded].reshape(-1, _FOLD * rows.shape[1]), rows[folded:]):
            if len(part):
                both = np.bitwise_and.reduce(part, axis=0).reshape(-1, rows.shape[1]) ^ self._expected
                both |= np.bitwise_or.reduce(part, axis=0).reshape(-1, rows.shape[1]) ^ self._expected
                if (both & self._bits).any():
                    return False
        return True


class RecordBatch:
    """Frames that have the shape of a layout.

    Attributes:
        layout: the layout.
        offset, length: where in the block each frame begins, and its size in bytes.

    """

    def __init__(
        self,
        layout: RecordLayout,
        block: Octets,
        offset: Ints,
        length: Ints,
        rows: Array,
    ) -> None:
        self.layout = layout
        self.offset = offset
        self.length = length
        self._block = block
        self._rows = rows
        self._pitch = rows.shape[1] * 8

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, chosen: Array) -> RecordBatch:
        """Only the *chosen* frames."""
        return RecordBatch(self.layout, self._block, self.offset[chosen], self.length[chosen], self._rows[chosen])

    def payload(self, row: int) -> memoryview:
        """The payload of one frame."""
        start = int(self.offset[row])
        return self._block[start + _HEAD : start + int(self.length[row])].data

    def add_to(self, builder: TableBuilder, rows: Rows) -> None:
        """Set *rows* of a table to the frames' values."""
        builder.time.put(rows, self._view(_TIME, 0))
        for name in builder.names(self.layout.names):
            column = builder.columns[name]
            pieces = self.pieces(self.layout.fields[name])
            if pieces is None:
                column.extend(rows, [decode_flat(self.payload(i))[name] for i in range(len(self))])
                continue
            column.put_pieces(rows, pieces)

    def numbers(self, key: str) -> npt.NDArray[np.float64]:
        """The number that each frame has under *key*; NaN for none."""
        found = np.full(len(self), np.nan)
        field = self.layout.fields.get(key)
        if field is not None and not field.shape and field.empty is None:
            put_numbers(found, None, self.pieces(field) or ())
        return found

    @property
    def firsts(self) -> list[tuple[int, tuple[str, ...]]]:
        """The keys of the first frame."""
        return [(0, self.layout.names)]

    def pieces(self, field: Field) -> Iterable[Piece] | None:
        """The values of *field*; None when they are lists, some of which must be decoded."""
        numbers = self.layout.numbers[field.name]
        if numbers is not None:
            return (Piece(None, self._view(*numbers)),)
        if field.empty is not None:
            return (self._empty(field),)
        if not field.shape:
            return self._leaf(field.first, self.layout.shape.leaves[field.first])
        return self._mixed(field)

    def _view(self, dtype: np.dtype[Any], at: int, shape: tuple[int, ...] = (), strides: tuple[int, ...] = ()) -> Array:
        """The values of *dtype* at byte *at* of each row."""
        return np.ndarray((len(self._rows), *shape), dtype, self._rows, at, (self._pitch, *strides))

    def _empty(self, field: Field) -> Piece:
        if isinstance(field.empty, list):
            return Piece(None, np.empty((len(self), 0)))
        return Piece(None, objects([{} for _ in range(len(self))]))

    def _leaf(self, i: int, leaf: Leaf) -> Iterator[Piece]:
        if leaf.marker in NUMBERS:
            dtype, behind = NUMBERS[leaf.marker]
            return ints_apart(None, self._view(np.dtype(dtype), self.layout.places[i] + behind))
        if leaf.marker == BOOL:
            return iter((Piece(None, self._view(_OCTET, self.layout.places[i]) == 0xC3),))
        place = self.offset + (_HEAD + leaf.offset)
        return values_at(self._block, place, self._block[place])

    def _mixed(self, field: Field) -> list[Piece] | None:
        """Lists whose values differ in type or width, value by value."""
        leaves = self.layout.shape.leaves[field.first : field.last]
        if any(leaf.values > 1 for leaf in leaves):
            return None
        count = len(self)
        numbers = np.zeros((count, len(leaves)))
        ints = np.zeros((count, len(leaves)), np.int64)
        types = np.zeros((count, len(leaves)), "S1")
        for i, leaf in enumerate(leaves):
            for chosen, block in self._leaf(field.first + i, leaf):
                which = slice(None) if chosen is None else chosen
                if block is None or block.dtype.kind not in "iufb" or block.dtype == np.uint64:
                    return None
                kind: str = "i" if block.dtype.kind == "u" else block.dtype.kind
                if kind == "f" and block.dtype.itemsize == 4:
                    kind = "s"  # single precision
                types[which, i] = kind
                numbers[which, i] = block
                if kind == "i":
                    ints[which, i] = block
        all_ints = (types == b"i").all(axis=1)
        all_bools = (types == b"b").all(axis=1)
        all_single = (types == b"s").all(axis=1)
        floats = ~(all_ints | all_single) & ~(types == b"b").any(axis=1)
        if not (all_ints | all_bools | all_single | floats).all():
            return None
        dtypes = (
            *((all_ints, np.int64, ints), (all_bools, np.bool_, numbers)),
            *((all_single, np.float32, numbers), (floats, np.float64, numbers)),
        )
        return [
            Piece(np.flatnonzero(which), values[which].astype(dtype).reshape(-1, *field.shape))
            for which, dtype, values in dtypes
            if which.any()
        ]
