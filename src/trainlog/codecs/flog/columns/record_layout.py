"""From frames of one shape to columns: a RecordLayout says where values stand, a RecordBatch is the frames that fit.

The frames are gathered as the rows of a matrix of bytes. That all of them have the layout's shape is one comparison of
that matrix; a column is then a strided view of it. Values whose width changes from frame to frame (strings, ints)
are left out of the matrix, so that all behind them still stands at one place, and are taken from the block itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.columns.record_shape import (
    BOOL,
    FIXINT_NEGATIVE,
    FIXINT_POSITIVE,
    LENGTHS,
    NIL,
    UINT64,
    WIDTHS,
    Field,
    Leaf,
    Shape,
)
from trainlog.codecs.flog.columns.values import NUMBERS, Piece, ints_apart, overlapping, texts
from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.codecs.frame_payload import decode, float32_lists
from trainlog.table.builder import Rows, TableBuilder, pick_rows
from trainlog.table.values import flatten, objects

__all__ = ["RecordBatch", "RecordLayout"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]

_HEAD: Final = FRAME.size

_BITS: Final = {FIXINT_POSITIVE: 0x80, FIXINT_NEGATIVE: 0xE0, BOOL: 0xFE}  # of a marker, that tell its type

_WIDTHS: Final = np.frombuffer(WIDTHS, np.uint8).astype(np.int64)
_MARKERS: Final = np.arange(256, dtype=np.uint8)
_MARKERS[:0x80] = FIXINT_POSITIVE
_MARKERS[0xE0:] = FIXINT_NEGATIVE
_MARKERS[0xC3] = BOOL

_TIME: Final = np.dtype("<f8")
_OCTET: Final = np.dtype(np.uint8)

# So many rows are taken as one where rows are reduced: numpy's inner loop over a short row takes longer to begin than
# to end.
_FOLD = 8


class _Segment(NamedTuple):
    """Bytes of a frame that stand at one place of the matrix, up to a loose leaf or the end of the frame."""

    at: int
    size: int


class _Numbers(NamedTuple):
    """A view of the matrix, but for its first axis."""

    dtype: np.dtype[Any]
    at: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class RecordLayout:
    """Where the values of frames of one shape stand.

    Attributes:
        shape: of the frame that it was made of.
        loose: which leaves have a type or width of their own in each frame.
        names: the columns, in the frames' order.
        fields: the same, by name.
        places: of each leaf's marker in a row of the matrix.

    """

    def __init__(self, shape: Shape, loose: Collection[int] = ()) -> None:
        self.shape = shape
        self.loose = frozenset(loose)
        self.fields = {field.name: field for field in shape.fields}
        self.names = tuple(self.fields)
        self._segments: list[_Segment] = []
        self.places: list[int] = []
        self._numbers: dict[str, _Numbers | None] = {}
        expected, bits = bytearray(_HEAD), bytearray(_HEAD)
        start = 0
        for i, (fixed, leaf) in enumerate(zip(shape.fixed, shape.leaves, strict=False)):
            expected += fixed
            bits += b"\xff" * len(fixed)
            self.places.append(len(bits))
            if i in self.loose:
                self._segments.append(_Segment(start, len(bits) - start))
                start = len(bits)
                continue
            head = LENGTHS.get(leaf.marker, 0)
            free = leaf.width - 1 - head
            length = free.to_bytes(head, "big") if head else b""
            expected += (bytes([leaf.marker]) + length + bytes(free)) * leaf.values
            bits += (bytes([_BITS.get(leaf.marker, 0xFF)]) + b"\xff" * head + bytes(free)) * leaf.values
        expected += shape.fixed[-1]
        bits += b"\xff" * len(shape.fixed[-1])
        self._segments.append(_Segment(start, len(bits) - start))
        self._pitch = -(-len(bits) // 8) * 8
        padding = bytes(self._pitch - len(bits))
        self._expected = np.frombuffer(bytes(expected) + padding, np.uint64)
        self._bits = np.frombuffer(bytes(bits) + padding, np.uint64)

    def loosened(self, shape: Shape) -> RecordLayout:
        """The layout itself, or one that also takes frames of *shape*, which has the same key."""
        changed = {
            i
            for i, (own, other) in enumerate(zip(self.shape.leaves, shape.leaves, strict=True))
            if (own.marker, own.width) != (other.marker, other.width)
        }
        return self if changed <= self.loose else RecordLayout(self.shape, self.loose | changed)

    def numbers(self, field: Field) -> _Numbers | None:
        """Where the values of *field* stand in a row, if they are numbers of one type at even distances."""
        if field.name not in self._numbers:
            self._numbers[field.name] = self._numbers_of(field)
        return self._numbers[field.name]

    def _numbers_of(self, field: Field) -> _Numbers | None:
        leaves = self.shape.leaves[field.first : field.last]
        if not leaves or not self.loose.isdisjoint(range(field.first, field.last)):
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
            offset: where each begins, its header.
            length: bytes of each, with the header.

        """
        found: list[tuple[Ints, Octets]] = []
        if self.loose:
            rows, found, fits = self._pull(block, offset, length)
        else:
            fits = length == self.shape.size + _HEAD
            if not fits.all():
                match, some = self.match(block, offset[fits], length[fits])
                fits[fits] = some
                return match, fits
            rows = overlapping(block, f"V{self._pitch}")[offset].view(np.uint64).reshape(len(offset), -1)
        match = RecordBatch(self, block, offset, length, rows, found)
        if not self._all_fit(rows):
            fits &= ~((rows ^ self._expected) & self._bits).any(axis=1)
        return (match if fits.all() else match.take(fits)), fits

    def _all_fit(self, rows: Array) -> bool:
        """Whether all rows have the expected bits: what they have in common, and what any of them has, tells it."""
        folded = len(rows) // _FOLD * _FOLD
        for part in (rows[:folded].reshape(-1, _FOLD * rows.shape[1]), rows[folded:]):
            if len(part):
                both = np.bitwise_and.reduce(part, axis=0).reshape(-1, rows.shape[1]) ^ self._expected
                both |= np.bitwise_or.reduce(part, axis=0).reshape(-1, rows.shape[1]) ^ self._expected
                if (both & self._bits).any():
                    return False
        return True

    def _pull(
        self, block: Octets, offset: Ints, length: Ints
    ) -> tuple[Array, list[tuple[Ints, Octets]], npt.NDArray[np.bool_]]:
        """The matrix without the loose leaves; place and marker of these; and which frames end where they should."""
        count = len(offset)
        matrix = np.zeros((count, self._pitch), np.uint8)
        good = np.ones(count, np.bool_)
        found: list[tuple[Ints, Octets]] = []
        place, end = offset, offset + length
        for i, segment in enumerate(self._segments):
            if segment.size:
                good &= place + segment.size <= end
                if not good.any():
                    found += [(place, block[offset])] * (len(self.loose) - len(found))
                    break
                source = overlapping(block, f"V{segment.size}")
                target: Array = np.ndarray((count,), source.dtype, matrix, segment.at, (self._pitch,))
                target[...] = source[np.minimum(place, len(source) - 1)]
                place = place + segment.size
            if i < len(self._segments) - 1:
                good &= place < end
                place = np.minimum(place, end)
                marker = block[place]
                width = _WIDTHS[marker]
                for long in np.unique(marker[width == 0]).tolist():
                    if long in LENGTHS:
                        which = marker == long
                        width[which] = _lengths(block, place[which], long, end[which]) + 1 + LENGTHS[long]
                good &= width > 0
                found.append((place, marker))
                place = place + width
        good &= place == end
        return matrix.view(np.uint64), found, good


def _lengths(block: Octets, place: Ints, marker: int, end: Ints) -> Ints:
    """The lengths that stand behind the markers at *place*; too large to fit where they are not all there."""
    width = LENGTHS[marker]
    source = overlapping(block, f">u{width}")
    lengths = source[np.minimum(place + 1, len(source) - 1)].astype(np.int64)
    lengths[place + 1 + width > end] = np.iinfo(np.uint32).max
    return lengths


class RecordBatch:
    """Frames of a layout's shape.

    Attributes:
        layout: the layout.
        offset, length: where in the block each frame begins, and how many bytes it has.

    """

    def __init__(
        self,
        layout: RecordLayout,
        block: Octets,
        offset: Ints,
        length: Ints,
        rows: Array,
        found: list[tuple[Ints, Octets]],
    ) -> None:
        self.layout = layout
        self.offset = offset
        self.length = length
        self._block = block
        self._rows = rows
        self._pitch = rows.shape[1] * 8
        self._found = dict(zip(sorted(layout.loose), found, strict=True))

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, chosen: Array) -> RecordBatch:
        """Only the *chosen* frames."""
        found = [(place[chosen], marker[chosen]) for place, marker in self._found.values()]
        return RecordBatch(
            self.layout, self._block, self.offset[chosen], self.length[chosen], self._rows[chosen], found
        )

    def payload(self, row: int) -> memoryview:
        """The payload of one frame."""
        start = int(self.offset[row])
        return self._block[start + _HEAD : start + int(self.length[row])].data

    @property
    def time(self) -> npt.NDArray[np.float64]:
        """The time of each frame."""
        return self._view(_TIME, 0)

    def add_to(self, builder: TableBuilder, rows: Rows) -> None:
        """Set *rows* of a table to the frames."""
        builder.time.put(rows, self.time)
        for name in builder.names(self.layout.names):
            column = builder.columns[name]
            pieces = self.pieces(self.layout.fields[name])
            if pieces is None:
                column.extend(rows, [_value(self.payload(i), name) for i in range(len(self))])
                continue
            for some, block in pieces:
                these = rows if some is None else pick_rows(rows, some)
                if block is None:
                    column.put_nulls(these)
                else:
                    column.put(these, block)

    def pieces(self, field: Field) -> Iterable[Piece] | None:
        """The values of *field*; None when they are lists of which some have to be decoded."""
        numbers = self.layout.numbers(field)
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
        if i in self._found:
            yield from self._loose(*self._found[i])
            return
        at = self.layout.places[i]
        if leaf.marker in NUMBERS:
            dtype, behind = NUMBERS[leaf.marker]
            yield from ints_apart(None, self._view(np.dtype(dtype), at + behind))
        elif leaf.marker == BOOL:
            yield Piece(None, self._view(_OCTET, at) == 0xC3)
        elif leaf.marker == NIL:
            yield Piece(None, None)
        else:
            head = 1 + LENGTHS.get(leaf.marker, 0)
            size = leaf.width - head
            yield Piece(
                None, texts(self._view(np.dtype(f"V{size}"), at + head) if size else None, len(self), leaf.marker)
            )

    def _loose(self, place: Ints, marker: Octets) -> Iterator[Piece]:
        """The values of a leaf that has a type and width of its own in each frame."""
        if not len(place):
            return
        alike = _MARKERS[marker]
        if (alike == alike[0]).all():
            yield from self._loose_of(int(alike[0]), None, place)
            return
        for one in np.unique(alike).tolist():
            chosen = np.flatnonzero(alike == one)
            yield from self._loose_of(one, chosen, place[chosen])

    def _loose_of(self, marker: int, chosen: Ints | None, place: Ints) -> Iterator[Piece]:
        if marker in NUMBERS:
            dtype, behind = NUMBERS[marker]
            yield from ints_apart(chosen, overlapping(self._block, dtype)[place + behind])
        elif marker == BOOL:
            yield Piece(chosen, self._block[place] == 0xC3)
        elif marker == NIL:
            yield Piece(chosen, None)
        elif marker in LENGTHS:
            head = 1 + LENGTHS[marker]
            size = overlapping(self._block, f">u{head - 1}")[place + 1]
            for one in np.unique(size).tolist():
                some = np.flatnonzero(size == one)
                found = self._texts_at(place[some] + head, one, marker)
                yield Piece(some if chosen is None else chosen[some], found)
        else:
            yield Piece(chosen, self._texts_at(place + 1, marker & 0x1F, marker))

    def _texts_at(self, place: Ints, size: int, marker: int) -> Array:
        return texts(overlapping(self._block, f"V{size}")[place] if size else None, len(place), marker)

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
                    kind = "s"  # of single precision
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


def _value(payload: memoryview, name: str) -> Any:
    value = flatten(decode(payload))[name]
    return np.array(value, np.float32) if name in float32_lists(payload) else value
