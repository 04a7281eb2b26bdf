"""One frame's data from msgpack, or from the JSON of the original recorder.

``decode`` uses ormsgpack for payloads that it decodes with no bytes left over, and msgpack, which supports the whole
format, for the others.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgpack
import numpy as np
import ormsgpack

from trainlog.codecs.chosen_values import chooser
from trainlog.codecs.frame_payload.depth import MAX_DEPTH, REFUSED, check_depth, not_too_deep
from trainlog.table.values import flatten, prefix_of

__all__ = ["decode", "decode_flat", "decode_list"]

_unpackb = msgpack.unpackb


def decode(payload: bytes | memoryview) -> dict[Any, Any]:
    """The data of one frame: a msgpack map, or a JSON object in UTF-8.

    Every msgpack value survives: strings that are not UTF-8 (by ``surrogateescape``), ext types
    (`msgpack.ExtType`), timestamps (`msgpack.Timestamp`), and keys that are lists (as tuples).

    Raises:
        ValueError: when *payload* is not exactly one such map, or is nested deeper than anything that `encode` writes.

    """
    if not payload:
        raise ValueError("the payload is empty")
    if payload[0] == _BRACE:
        return _decode_json(bytes(payload))
    try:
        data, end = _unpack_common(_TWO + payload + _PACKED_END)
        if end == _END and type(data) is dict:
            return not_too_deep(data, len(payload))
    except REFUSED:
        pass  # text that is not UTF-8, an ext type, a key that is not text, or not msgpack
    if len(payload) > _SMALL:
        _check_counts(payload)
    try:
        data = _unpackb(payload, strict_map_key=False, unicode_errors="surrogateescape", ext_hook=_any_ext)
    except TypeError:  # a key that is a list or a map
        data = _decode_odd_keys(payload)
    except (*_NO_MSGPACK, RecursionError, MemoryError) as error:
        raise ValueError(f"the payload is not msgpack ({error or type(error).__name__})") from error
    if type(data) is not dict:
        raise ValueError(f"the payload is a {type(data).__name__}, not a map")
    return not_too_deep(data, len(payload))


# ormsgpack overlooks bytes that are left over. So the payload is unpacked as the first element of a list whose second
# element is a value that no payload holds: if bytes are left over, the second element is something else.
_unpack_common = ormsgpack.unpackb
_TWO = b"\x92"
_END = os.urandom(16)
_PACKED_END = ormsgpack.packb(_END)


_FLOAT32 = 0xCA
# Finds lists that may begin with a four-byte float. A bare 0xca is in most frames, as a byte of some number.
_FLOAT32_LIST = re.compile(rb"\xca(?:(?<=[\x90-\x9f]\xca)|(?<=\xdc..\xca)|(?<=\xdd....\xca))", re.DOTALL)
_TEXT = frozenset([str])
_NOT_TEXT = frozenset(["None", "True", "False", "nan", "inf"])  # columns that may come from keys that are not strings


def decode_flat(payload: bytes | memoryview, wanted: frozenset[str] | None = None) -> dict[str, Any]:
    """The values of one frame by their columns; only the *wanted* ones, if given.

    Lists that hold only four-byte floats become float32 arrays if they have a shape, so that tables can distinguish
    them.

    Raises:
        ValueError: as for `decode`.

    """
    if wanted is not None and (choose := chooser(wanted)) and (chosen := choose.values(payload)) is not None:
        return chosen
    data = decode(payload)
    if wanted is not None and _are_top_level(wanted):
        data = {name: data[name] for name in wanted if name in data}
    types = set(map(type, data.values()))
    if not types.isdisjoint((list, dict)) and _FLOAT32_LIST.search(payload) and payload[0] != _BRACE:
        names = frozenset(_float32_lists(bytes(payload), ""))
        data = _with_float32(data, names) if names else data
    flat = data if dict not in types and _TEXT.issuperset(map(type, data)) else flatten(data)
    return flat if wanted is None else {name: flat[name] for name in wanted if name in flat}


@lru_cache(maxsize=64)
def _are_top_level(names: frozenset[str]) -> bool:
    """Whether columns of these names can only come from keys of the outermost map that are of type str."""
    return all(name.isidentifier() and name not in _NOT_TEXT for name in names)


def decode_list(raw: bytes) -> Any:
    """One value, a list or a map, as `decode_flat` returns it."""
    value = _unpackb(raw, strict_map_key=False, unicode_errors="surrogateescape", ext_hook=_any_ext)
    return _float32(value) if _end_of_floats(raw, 0) == len(raw) else value


def _float32(value: list[Any]) -> Any:
    """The list *value* as a float32 array; unchanged if it has no shape, is too deep for numpy, or holds other values.

    Lists with other values belong to another key that is spelled the same, such as 1 next to "1".
    """
    try:
        wide = np.array(value)
    except ValueError:
        return value
    if wide.dtype != np.float64:
        return value
    with np.errstate(over="ignore"):
        found = wide.astype(np.float32)
    return found if np.array_equal(found, wide, equal_nan=True) else value


def _with_float32(data: Mapping[Any, Any], names: frozenset[str], prefix: str = "") -> dict[Any, Any]:
    return {
        key: _with_float32(value, names, prefix_of(f"{prefix}{key}"))
        if isinstance(value, Mapping)
        else _float32(value)
        if type(value) is list and f"{prefix}{key}" in names
        else value
        for key, value in data.items()
    }


def _float32_lists(raw: bytes, prefix: str) -> Iterator[str]:
    unpacker = msgpack.Unpacker(strict_map_key=False, unicode_errors="surrogateescape", max_buffer_size=len(raw) + 1)
    unpacker.feed(raw)
    for _ in range(unpacker.read_map_header()):
        name = f"{prefix}{unpacker.unpack()}"
        start = unpacker.tell()
        unpacker.skip()
        value = raw[start : unpacker.tell()]
        if 0x80 <= value[0] < 0x90 or value[0] in (0xDE, 0xDF):
            yield from _float32_lists(value, prefix_of(name))
        elif _end_of_floats(value, 0) == len(value):
            yield name


def _end_of_floats(raw: bytes, at: int) -> int:
    """Where the list at byte *at* ends if it and its nested lists hold only four-byte floats; otherwise -1."""
    marker = raw[at]
    if 0x90 <= marker < 0xA0:
        count, at = marker & 0x0F, at + 1
    elif marker in (0xDC, 0xDD):
        width = 2 if marker == 0xDC else 4
        count, at = int.from_bytes(raw[at + 1 : at + 1 + width], "big"), at + 1 + width
    else:
        return -1
    if count and raw[at] == _FLOAT32:
        end = at + 5 * count
        return end if raw[at:end:5] == bytes([_FLOAT32]) * count else -1
    for _ in range(count):
        at = _end_of_floats(raw, at)
        if at < 0:
            return -1
    return at if count else -1


_BRACE = ord("{")
_NO_MSGPACK = (ValueError, msgpack.exceptions.UnpackException)


def _decode_json(payload: bytes) -> dict[Any, Any]:
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the payload begins like JSON but is not valid JSON ({error})") from error
    assert isinstance(data, dict)  # it began with a brace
    check_depth(data.values(), MAX_DEPTH)
    return data


def _decode_odd_keys(payload: bytes | memoryview) -> Any:
    try:
        return msgpack.unpackb(
            payload,
            strict_map_key=False,
            unicode_errors="surrogateescape",
            ext_hook=_any_ext,
            object_pairs_hook=_map,
        )
    except (*_NO_MSGPACK, TypeError, RecursionError) as error:
        raise ValueError(f"the payload is not msgpack ({error})") from error


# A decoder allocates as many elements as a list claims before it reads them. The decoder of msgpack rejects a list that
# claims more elements than the payload has bytes; but each of a thousand nested lists may claim that many. Up to this
# size that does no harm (half a gigabyte of address space, never touched); for larger payloads the claims are added up
# first.
_SMALL = 1 << 16


def _check_counts(payload: bytes | memoryview) -> None:
    """Refuse a payload whose lists and maps together claim more elements than the payload has bytes for.

    Raises:
        ValueError: when they do, or when the payload ends early.

    """
    view = memoryview(payload)
    end, at, due = len(view), 0, 1  # due: the elements that are still expected
    while due:
        due -= 1
        if at >= end or due > end - at:
            raise ValueError("the payload is not msgpack (it claims more elements than it has bytes)")
        first = view[at]
        at += 1
        if first < 0x80 or first >= 0xE0:
            continue
        if first < 0x90:
            due += 2 * (first & 0x0F)
        elif first < 0xA0:
            due += first & 0x0F
        elif first < 0xC0:
            at += first & 0x1F
        else:
            width, fixed, per_count = _SIZES[first - 0xC0]
            count = int.from_bytes(view[at : at + width], "big")
            at += width + fixed
            if per_count:
                due += per_count * count
            else:
                at += count


# For the markers from 0xc0 on: the bytes of the count that follows, further bytes of fixed size, and how many elements
# each unit of the count stands for (0: the count is of bytes).
_SIZES = (
    *[(0, 0, 0)] * 4,  # nil, never used, false, true
    *[(1, 0, 0), (2, 0, 0), (4, 0, 0)],  # bin
    *[(1, 1, 0), (2, 1, 0), (4, 1, 0)],  # ext, with its type
    *[(0, 4, 0), (0, 8, 0)],  # float
    *[(0, 1, 0), (0, 2, 0), (0, 4, 0), (0, 8, 0)] * 2,  # uint, int
    *[(0, 2, 0), (0, 3, 0), (0, 5, 0), (0, 9, 0), (0, 17, 0)],  # fixext, with its type
    *[(1, 0, 0), (2, 0, 0), (4, 0, 0)],  # str
    *[(2, 0, 1), (4, 0, 1)],  # array
    *[(2, 0, 2), (4, 0, 2)],  # map
)


def _any_ext(code: int, data: bytes) -> msgpack.ExtType:
    # ExtType refuses negative codes, which msgpack reserves; a file may hold them nevertheless.
    return tuple.__new__(msgpack.ExtType, (code, data))


def _map(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    return {_hashable(key): value for key, value in pairs}


def _hashable(key: Any) -> Any:
    if isinstance(key, list):
        return tuple(map(_hashable, key))
    if isinstance(key, dict):
        return tuple((_hashable(name), _hashable(value)) for name, value in key.items())
    return key
