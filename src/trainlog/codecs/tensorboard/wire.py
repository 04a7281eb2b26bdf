"""The bytes of an event file: records with checksums (TFRecord), each of which is a protobuf message.

A record is its length (u64), a checksum of the length, the message, and a checksum of the message. A checksum is a
CRC-32C, rotated and shifted by a constant ("masked"). All numbers are little-endian. The fields of the messages are
those of TensorFlow's event.proto, summary.proto and tensor.proto, and of TensorBoard's plugin_data.proto for hparams.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np

from trainlog.errors import MissingExtra
from trainlog.scan import Gap
from trainlog.storage.source import Source

__all__ = ["VERSION", "Records", "field", "fields", "is_event_file", "numbers", "packed_record", "varint", "varint_at"]

VERSION: Final = b"brain.Event:2"

_HEAD: Final = struct.Struct("<QI")
_TAIL: Final = 4
_LEAST: Final = _HEAD.size + _TAIL
_LARGEST: Final = 1 << 30  # bytes of a message
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5  # protobuf's wire types
_unpack_head = _HEAD.unpack_from


def _crc32c() -> Callable[[bytes | memoryview], int]:
    try:
        import crc32c
    except ImportError as error:
        message = f'event files of TensorBoard need an extra: pip install "trainlog[tensorboard]" ({error})'
        raise MissingExtra(message) from error
    plain: Callable[[bytes | memoryview], int] = crc32c.crc32c
    return plain


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def is_event_file(head: bytes) -> bool:
    """Whether a file that begins with *head* is an event file: its first message names the version."""
    return len(head) > _HEAD.size and head[_HEAD.size] == 0x09 and VERSION in head[_HEAD.size + 9 : _HEAD.size + 40]


def packed_record(message: bytes) -> bytes:
    """*message* as a record."""
    crc32c = _crc32c()
    length = struct.pack("<Q", len(message))
    return b"".join(
        (length, _masked(crc32c(length)).to_bytes(4, "little"), message, _masked(crc32c(message)).to_bytes(4, "little"))
    )


class Records:
    """The records of an event file that may be damaged, and may still be growing."""

    def __init__(self, source: Source, on_gap: Callable[[Gap], object], name: str = "") -> None:
        """Begin at byte 0; *name* is the file's name in a log of several files."""
        self._source = source
        self._name = name
        self._on_gap = on_gap
        self._crc32c = _crc32c()
        self._lengths: dict[int, int] = {}  # with the checksum of each
        self.at = 0
        """Where the next record should begin."""

    def read(self) -> Iterator[tuple[int, bytes]]:
        """Yield the complete records from ``at`` on: where each begins, and its message.

        It stops at the end of the file, and can be called again when the file has grown. Bytes that are not a record
        are reported.
        """
        source, crc32c = self._source, self._crc32c
        while source.size - self.at >= _LEAST:
            base, block = self.at, source.block(self.at)
            while (at := self.at - base) + _HEAD.size <= len(block):
                length, crc = _unpack_head(block, at)
                if crc != self._crc_of(length):
                    break
                end = at + _LEAST + length
                if end > len(block):
                    if base + end > source.size:
                        return
                    base, block = self.at, source.block(self.at, _LEAST + length)
                    continue
                message = block[at + _HEAD.size : end - _TAIL]
                if _masked(crc32c(message)) != int.from_bytes(block[end - _TAIL : end], "little"):
                    break
                start, self.at = self.at, base + end
                yield start, message
            else:
                if self.at > base:
                    continue  # only the block ended
                return
            found = self._search(self.at + 1)
            if found is None:
                return
            self._on_gap(Gap(self.at, found - self.at, file=self._name))
            self.at = found

    def finish(self) -> None:
        """Report the bytes after the last record."""
        if (left := self._source.size - self.at) > 0:
            self._on_gap(Gap(self.at, left, torn=True, file=self._name))

    def size_at(self, at: int) -> int:
        """The size of the record whose head is at byte *at*; 0 if there is none."""
        head = self._source.read(at, _HEAD.size)
        if len(head) < _HEAD.size:
            return 0
        length, crc = _unpack_head(head)
        return _LEAST + length if crc == self._crc_of(length) else 0

    def _crc_of(self, length: int) -> int:
        """The checksum of a length; -1 for a length that no message has."""
        crc = self._lengths.get(length)
        if crc is None:
            if length > _LARGEST:
                return -1
            if len(self._lengths) > 1 << 12:
                self._lengths.clear()
            crc = self._lengths[length] = _masked(self._crc32c(struct.pack("<Q", length)))
        return crc

    def _search(self, start: int) -> int | None:
        """Where the next complete record begins, from byte *start* on."""
        source, size = self._source, self._source.size
        while size - start >= _LEAST:
            block = source.block(start)
            words: Any = np.ndarray((len(block) - 7,), "<u8", block, 0, (1,)) if len(block) > 7 else np.empty(0, "<u8")
            for i in np.flatnonzero((words > 0) & (words <= _LARGEST)).tolist():
                length = int(words[i])
                if i + _HEAD.size > len(block) or start + i + _LEAST + length > size:
                    continue
                if _unpack_head(block, i)[1] == self._crc_of(length):
                    whole = source.read(start + i, _LEAST + length)
                    if _masked(self._crc32c(whole[_HEAD.size : -_TAIL])) == int.from_bytes(whole[-_TAIL:], "little"):
                        return start + i
            start += max(len(block) - _HEAD.size, 1)
        return None


def fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the fields of a protobuf message, as number and value.

    A varint is an unsigned 64-bit int; eight or four bytes are a float; everything else is bytes.

    Raises:
        ValueError: when *message* is not a protobuf message.

    """
    at, end = 0, len(message)
    while at < end:
        key, at = varint_at(message, at)
        number, wire = key >> 3, key & 7
        value: Any
        if wire == _VARINT:
            value, at = varint_at(message, at)
        elif wire == _BYTES:
            size, at = varint_at(message, at)
            value, at = message[at : at + size], at + size
        elif wire == _DOUBLE and at + 8 <= end:
            value, at = struct.unpack_from("<d", message, at)[0], at + 8
        elif wire == _FLOAT and at + 4 <= end:
            value, at = struct.unpack_from("<f", message, at)[0], at + 4
        else:
            raise ValueError(f"a field of wire type {wire}, or one that is cut off")
        if at > end:
            raise ValueError("a field is cut off")
        yield number, value


def varint_at(message: bytes, at: int) -> tuple[int, int]:
    """The varint at byte *at*, as an unsigned 64-bit int, and the byte after it.

    Raises:
        ValueError: when it is cut off.

    """
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("a varint is cut off, or too long")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7


def varint(value: int) -> bytes:
    """*value* as a varint; negative ones take ten bytes."""
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: float | bytes | str | Iterable[float]) -> bytes:
    """A field: ints as varints, eight-byte floats, strings, messages, or packed eight-byte floats."""
    if isinstance(value, int):
        return varint(number << 3 | _VARINT) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | _DOUBLE) + struct.pack("<d", value)
    if isinstance(value, str):
        value = _text(value)
    elif not isinstance(value, bytes):
        value = np.asarray(list(value), "<f8").tobytes()
    return varint(number << 3 | _BYTES) + varint(len(value)) + value


def _text(value: str) -> bytes:
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate, which JSON can hold
        return value.encode("utf-8", "backslashreplace")


def numbers(values: Iterable[Any], dtype: str) -> list[Any]:
    """Repeated numbers; each may be a separate field, or packed with others in bytes of *dtype*.

    Packed varints have the dtype ``varint``.
    """
    found: list[Any] = []
    for value in values:
        if not isinstance(value, bytes):
            found.append(value)
        elif dtype == "varint":
            at = 0
            while at < len(value):
                one, at = varint_at(value, at)
                found.append(one)
        else:
            found += np.frombuffer(value[: len(value) - len(value) % np.dtype(dtype).itemsize], dtype).tolist()
    return found
