"""The shape of a payload: which of its bytes are fixed (keys, and the heads of maps and lists) and which are values.

Frames of one trainer differ in little else than their values. So one frame is parsed byte by byte; to check that the
others have the same shape, numpy compares their fixed bytes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from trainlog.table.values import prefix_of

__all__ = ["Field", "Leaf", "Shape", "parse"]

# Lists of more numbers than this must be of one type and width to have a shape; this keeps parsing cheap.
_LONGEST_MIXED = 64
_DEEPEST = 32

FIXINT_POSITIVE: Final = 0x00  # stands for 0x00 to 0x7f
FIXINT_NEGATIVE: Final = 0xE0  # stands for 0xe0 to 0xff
NIL: Final = 0xC0
BOOL: Final = 0xC2  # stands for 0xc2 and 0xc3
UINT64: Final = 0xCF

# Bytes of a value, including its marker, by its marker; 0 where the marker does not determine the size.
WIDTHS: Final = bytes(
    [1] * 0x80  # positive fixint
    + [0] * 0x20  # fixmap, fixarray
    + [1 + n for n in range(32)]  # fixstr
    + [1, 0, 1, 1]  # nil, -, false, true
    + [0, 0, 0, 0, 0, 0]  # bin 8 to 32, ext 8 to 32
    + [5, 9]  # float 32, 64
    + [2, 3, 5, 9]  # uint 8 to 64
    + [2, 3, 5, 9]  # int 8 to 64
    + [0, 0, 0, 0, 0]  # fixext
    + [0, 0, 0, 0, 0, 0, 0]  # str, array, map 8 to 32
    + [1] * 0x20  # negative fixint
)

# The markers of maps and of lists: the first one with up to 15 entries, and the one with their number in 16 bits.
_MAP: Final = 0x80, 0xDE
_LIST: Final = 0x90, 0xDC

# Bytes of the length field, after the marker of a string or of bytes.
LENGTHS: Final = {0xD9: 1, 0xDA: 2, 0xDB: 4, 0xC4: 1, 0xC5: 2, 0xC6: 4}


Empty = list[object] | dict[object, object] | None


class Leaf(NamedTuple):
    """A value, or several adjacent values of one type.

    Attributes:
        offset: the place of its marker in the payload.
        marker: its marker; all positive fixints share one, and so do all negative fixints, and both bools.
        width: bytes of a value, including the marker.
        values: the number of values.

    """

    offset: int
    marker: int
    width: int
    values: int = 1


class Field(NamedTuple):
    """A column's part of a frame.

    Attributes:
        name: the column.
        shape: the shape of a list; empty for a single value.
        first, last: its leaves are ``leaves[first:last]``; an empty list or map has none.
        empty: the value when there are no leaves, ``[]`` or ``{}``; None when there are some.

    """

    name: str
    shape: tuple[int, ...]
    first: int
    last: int
    empty: Empty = None


class Shape(NamedTuple):
    """The shape of one payload.

    Attributes:
        fields: in the order of the payload.
        leaves: in the order of the payload.
        fixed: the bytes before each leaf, and after the last one.
        size: bytes of the payload.

    """

    fields: tuple[Field, ...]
    leaves: tuple[Leaf, ...]
    fixed: tuple[bytes, ...]
    size: int


class _NoShape(Exception):
    """The payload has no shape and must be decoded."""


def parse(payload: bytes) -> Shape | None:
    """The shape of *payload*; None when it is not a whole msgpack map, or holds something that a layout cannot handle.

    That is: lists of anything but numbers and bools, ext types, keys that are neither strings nor ints, or the same
    column twice.
    """
    try:
        return _Parser(payload).shape()
    except (_NoShape, IndexError):
        return None


class _Parser:
    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0
        self._leaves: list[Leaf] = []
        self._fields: dict[str, Field] = {}

    def shape(self) -> Shape:
        payload = self._payload
        size = self._size(_MAP)
        if size is None:
            raise _NoShape
        self._map(size, "", 0)
        if self._at != len(payload):
            raise _NoShape
        ends = [0, *(leaf.offset + leaf.width * leaf.values for leaf in self._leaves)]
        starts = [*(leaf.offset for leaf in self._leaves), len(payload)]
        fixed = tuple(payload[end:start] for end, start in zip(ends, starts, strict=True))
        return Shape(tuple(self._fields.values()), tuple(self._leaves), fixed, len(payload))

    def _map(self, size: int, prefix: str, depth: int) -> None:
        if depth > _DEEPEST:
            raise _NoShape
        keys = set()
        for _ in range(size):
            key = self._key()
            keys.add(key)
            name = f"{prefix}{key}"
            first = len(self._leaves)
            shape: tuple[int, ...] = ()
            empty: Empty = None
            if size_of_map := self._size(_MAP):
                self._map(size_of_map, prefix_of(name), depth + 1)
                continue
            if size_of_map is not None:
                empty = {}
            elif (size_of_list := self._size(_LIST)) is None:
                self._leaf()
            elif size_of_list:
                shape = self._list(size_of_list, 1)
            else:
                shape, empty = (0,), []
            if name in self._fields:
                raise _NoShape
            self._fields[name] = Field(name, shape, first, len(self._leaves), empty)
        if len(keys) != size:
            raise _NoShape

    def _list(self, size: int, depth: int) -> tuple[int, ...]:
        """The shape of a list of *size* values, which are numbers, or lists of numbers that have one shape."""
        if depth > _DEEPEST:
            raise _NoShape
        if size > _LONGEST_MIXED and self._is_number(self._payload[self._at]):
            self._many(size)
            return (size,)
        shapes: set[tuple[int, ...]] = set()
        for _ in range(size):
            inner = self._size(_LIST)
            if inner is None:
                if not self._is_number(self._payload[self._at]):
                    raise _NoShape
                self._leaf()
                shapes.add(())
            elif inner:
                shapes.add(self._list(inner, depth + 1))
            else:
                raise _NoShape
        if len(shapes) != 1:
            raise _NoShape
        return (size, *shapes.pop())

    def _many(self, count: int) -> None:
        """Skip *count* numbers of one width, or small ints."""
        at = self._at
        marker = self._payload[at]
        width = WIDTHS[marker]
        end = at + width * count
        markers = self._payload[at:end:width]
        alike = markers == bytes([marker]) * count if width > 1 else max(markers) < 0x80
        if not alike or end > len(self._payload):
            raise _NoShape
        self._leaves.append(Leaf(at, marker if width > 1 else FIXINT_POSITIVE, width, count))
        self._at = end

    @staticmethod
    def _is_number(marker: int) -> bool:
        return marker < 0x80 or marker >= 0xE0 or 0xCA <= marker <= 0xD3 or marker in (0xC2, 0xC3)

    def _leaf(self) -> None:
        marker = self._payload[self._at]
        width = WIDTHS[marker]
        if marker in LENGTHS:
            width = 1 + LENGTHS[marker] + self._number(self._at + 1, LENGTHS[marker])
        if not width or self._at + width > len(self._payload):
            raise _NoShape
        if marker < 0x80:
            marker = FIXINT_POSITIVE
        elif marker >= 0xE0:
            marker = FIXINT_NEGATIVE
        elif marker == 0xC3:
            marker = BOOL
        self._leaves.append(Leaf(self._at, marker, width))
        self._at += width

    def _key(self) -> str | int:
        at = self._at
        marker = self._payload[at]
        if marker < 0x80:
            self._at = at + 1
            return marker
        if marker >= 0xE0:
            self._at = at + 1
            return marker - 256
        if 0xCC <= marker <= 0xD3:
            self._at = at + WIDTHS[marker]
            return self._number(at + 1, WIDTHS[marker] - 1, signed=marker >= 0xD0)
        head, size = 1, WIDTHS[marker] - 1
        if marker in (0xD9, 0xDA, 0xDB):
            head = 1 + LENGTHS[marker]
            size = self._number(at + 1, head - 1)
        elif not 0xA0 <= marker <= 0xBF:
            raise _NoShape
        self._at = at + head + size
        if self._at > len(self._payload):
            raise _NoShape
        return self._payload[at + head : self._at].decode("utf-8", "surrogateescape")

    def _size(self, markers: tuple[int, int]) -> int | None:
        """Skip the head of the map or list here, and return its number of entries; None if there is none here."""
        marker, (fix, marker16) = self._payload[self._at], markers
        if marker & 0xF0 == fix:
            self._at += 1
            return marker & 0x0F
        if marker == marker16 or marker == marker16 + 1:
            width = 2 if marker == marker16 else 4
            size = self._number(self._at + 1, width)
            self._at += 1 + width
            return size
        return None

    def _number(self, at: int, width: int, *, signed: bool = False) -> int:
        digits = self._payload[at : at + width]
        if len(digits) < width:
            raise _NoShape
        return int.from_bytes(digits, "big", signed=signed)
