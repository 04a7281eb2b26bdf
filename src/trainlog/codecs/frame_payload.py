"""One frame's data to msgpack and back.

``encode`` takes what training scripts hold: numpy scalars and arrays of any dtype become numbers and lists, never
text. ormsgpack does the common cases in native code; what it does not take, or would store as something else
(big-endian arrays come out wrong, datetime64 as text), goes through ``_plain`` first. ``decode`` takes from it what it
decodes with nothing left over; msgpack, which knows all of the format, is asked for the rest.
"""

from __future__ import annotations

import enum
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgpack
import numpy as np
import ormsgpack

from trainlog.codecs.chosen_values import chooser
from trainlog.codecs.plain_object import as_array, plain_object
from trainlog.errors import UnsupportedFrame
from trainlog.table.values import flatten, prefix_of

__all__ = ["decode", "decode_flat", "decode_list", "encode", "storable"]

_NO_NUMPY = (  # refuses whatever is of numpy
    ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_UUID
)
_NUMPY = _NO_NUMPY | ormsgpack.OPT_SERIALIZE_NUMPY
_REFUSED = (TypeError, ValueError, RecursionError)
_packb = ormsgpack.packb
_unpackb = msgpack.unpackb

# What ormsgpack stores as the number, string or bytes that it is.
_NUMPY_SCALARS = frozenset(
    [
        *[np.bool_, np.float16, np.float32, np.float64],
        *[np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64],
    ]
)
_SIMPLE = frozenset([float, int, bool, str, bytes, type(None)])
_SCALARS = _NUMPY_SCALARS | _SIMPLE
_OF_NUMPY = _NUMPY_SCALARS | {np.ndarray}
_NATIVE_DTYPES = frozenset(np.dtype(code) for code in "?bBhHiIlLqQefd")
_FLOAT64 = np.dtype(np.float64)
_ndarray = np.ndarray

# So many lists and maps inside of one another below the map of the frame: what ormsgpack packs at most. Deeper data are
# taken for a mistake, a list that holds itself, or for malice: neither written nor read.
_MAX_DEPTH = 254
_MAX_DIMENSIONS = 64  # of an array of numpy


def encode(data: Mapping[Any, Any]) -> bytes:
    """The msgpack map of one frame's *data*.

    Python and numpy numbers and bools, strings, bytes, ``None``, lists, tuples, maps, and arrays of any shape and
    memory layout. Complex numbers are stored as ``[re, im]``, ``datetime64`` and ``timedelta64`` as float seconds
    (NaN for NaT), records as maps, and whatever offers ``__array__`` (tensors) as that array. Paths, dates,
    enumerations, dataclasses, sets, decimals and the like are stored as `trainlog.codecs.plain_object` has them.

    Raises:
        UnsupportedFrame: for any other value, an int outside of 64 bits, or what is nested without end; ``key`` says
            where it stands.

    """
    if type(data) is dict:
        try:
            options = _NO_NUMPY
            for value in data.values():  # for every frame: the commonest types come first, and nothing is called
                kind = type(value)
                if kind is float or kind is int:
                    continue
                if kind is _ndarray and value.dtype is _FLOAT64:
                    options = _NUMPY
                elif kind not in _SIMPLE:
                    break
            else:
                return _packb(data, None, options)
            if options is _NO_NUMPY and kind not in _OF_NUMPY:
                return _packb(data, None, _NO_NUMPY)  # lists and maps, of which nothing has to be asked
        except _REFUSED:
            pass  # something of numpy deeper inside, a key that is no string, ...
        try:
            if _is_native(data.values()):
                return _packb(data, None, _NUMPY)
        except _REFUSED:
            pass  # an array that is not contiguous, ...
    if not isinstance(data, Mapping):
        raise UnsupportedFrame(f"a frame's data is a mapping, not {type(data).__name__}")
    try:
        plain = _plain(data, ())
        _check_depth(plain.values(), _MAX_DEPTH)  # with arrays of many dimensions
    except (ValueError, RecursionError) as error:
        if isinstance(error, UnsupportedFrame):
            raise
        raise UnsupportedFrame(f"its data are nested deeper than {_MAX_DEPTH}") from error
    try:
        return bytes(msgpack.packb(plain, unicode_errors="surrogateescape"))
    except (TypeError, ValueError, OverflowError) as error:  # an ExtType that was made by hand may hold anything
        raise UnsupportedFrame(f"cannot be stored: {error}") from error


def storable(value: Any, text: Callable[[Any], str] = str, left: int = 64) -> Any:
    """*value* with its *text* in place of whatever `encode` refuses, in lists and maps *left* deep."""
    if left and isinstance(value, Mapping):
        return {storable(key, text, 0): storable(one, text, left - 1) for key, one in value.items()}
    if left and isinstance(value, list | tuple):
        return [storable(one, text, left - 1) for one in value]
    try:
        encode({"": value})
    except UnsupportedFrame:
        try:
            return storable(plain_object(value), text, left - 1) if left else text(value)
        except TypeError:
            return text(value).encode("utf-8", "backslashreplace").decode()
    return value


def _is_native(values: Iterable[Any], left: int = _MAX_DEPTH) -> bool:
    """Whether ormsgpack stores *values*, of which some are of numpy, as what they are, and no deeper than may be."""
    for value in values:
        kind = type(value)
        if kind is float or kind is int:
            continue
        if kind is _ndarray:
            dtype = value.dtype
            if dtype is not _FLOAT64 and dtype not in _NATIVE_DTYPES:
                return False
            if left < _MAX_DIMENSIONS and value.ndim > left:
                return False  # ormsgpack would end the process
        elif kind not in _SCALARS:
            if kind is dict:
                value = value.values()
            elif kind is not list and kind is not tuple:
                return False
            if not left or not _is_native(value, left - 1):
                return False
    return True


def _plain(value: Any, path: tuple[Any, ...]) -> Any:
    """*value* in terms of what msgpack itself knows; *path* is where it stands."""
    if value is None or isinstance(value, bool | float | bytes | msgpack.ExtType | msgpack.Timestamp):
        return value if type(value) is not np.float64 and not isinstance(value, np.bytes_) else value.item()
    if isinstance(value, enum.Enum):
        return _plain(value.value, path)
    if isinstance(value, str):
        return _text(str(value), path)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise _unsupported(path, f"an int of {value.bit_length()} bits does not fit into 64")
        return int(value)
    if len(path) > _MAX_DEPTH:
        raise _unsupported(path[:3], f"it is nested deeper than {_MAX_DEPTH}")
    if isinstance(value, Mapping):
        return {_key(key, path): _plain(item, (*path, key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, (*path, i)) for i, item in enumerate(value)]
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, np.ndarray | np.generic) or hasattr(value, "__array__"):
        return _plain_array(value, path)
    try:
        return _plain(plain_object(value), path)
    except TypeError as error:
        raise error if isinstance(error, UnsupportedFrame) else _unsupported(path, str(error)) from None


def _plain_array(value: Any, path: tuple[Any, ...]) -> Any:
    try:
        array = as_array(value)
    except UnsupportedFrame as error:
        raise _unsupported(path, error.message) from error
    if isinstance(value, np.ma.MaskedArray):
        return _plain(value.tolist(), path)
    match array.dtype.kind:
        case "c":
            array = np.stack([array.real, array.imag], axis=-1)
        case "M" | "m":
            array = _seconds(array, path)
        case "V" if array.dtype.names is not None:
            return _records(array, path)
        case "V":
            return _plain(array.tolist(), path)
        case "O":
            if array.ndim == 0 and array.item() is value:
                raise _unsupported(path, f"a {type(value).__name__} cannot be stored")
            return _plain(array.tolist(), path)
        case "U":
            return _plain(array.tolist(), path)
        case "f":
            # longdouble has no Python counterpart: tolist() would keep it as it is.
            array = array.astype(np.float64) if array.dtype.itemsize > 8 else array
    return array.tolist()


def _seconds(array: Any, path: tuple[Any, ...]) -> Any:
    since = array - np.datetime64(0, "s") if array.dtype.kind == "M" else array
    try:
        return np.where(np.isnat(array), np.nan, since / np.timedelta64(1, "s"))
    except TypeError as error:
        raise _unsupported(path, f"{array.dtype} is no length of time in seconds") from error


def _records(array: Any, path: tuple[Any, ...]) -> Any:
    names: Sequence[str] = array.dtype.names
    if array.ndim == 0:
        return {name: _plain(array[name], (*path, name)) for name in names}
    return [_records(row, (*path, i)) for i, row in enumerate(array)]


def _key(key: Any, path: tuple[Any, ...]) -> Any:
    if isinstance(key, np.generic):
        key = key.item()
    if isinstance(key, tuple):
        return tuple(_key(part, path) for part in key)
    if key is None or isinstance(key, str | bytes | bool | float | int):
        return _plain(key, (*path, key))
    raise _unsupported((*path, key), f"a {type(key).__name__} cannot be a key")


def _text(value: str, path: tuple[Any, ...]) -> str:
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise _unsupported(path, "the string holds a lone surrogate, which UTF-8 cannot spell") from error
    return value


def _unsupported(path: tuple[Any, ...], why: str) -> UnsupportedFrame:
    key = "/".join(map(str, path))
    error = UnsupportedFrame(f"the value of {key!r} cannot be stored: {why}" if path else why)
    error.key = key
    return error


def decode(payload: bytes | memoryview) -> dict[Any, Any]:
    """The data of one frame: a msgpack map, or a JSON object in UTF-8.

    Every msgpack value survives: strings that are not UTF-8 (by ``surrogateescape``), ext types
    (`msgpack.ExtType`), timestamps (`msgpack.Timestamp`), and keys that are lists (as tuples).

    Raises:
        ValueError: when *payload* is not exactly one such map, or nested deeper than `encode` writes any.

    """
    if not payload:
        raise ValueError("the payload is empty")
    if payload[0] == _BRACE:
        return _decode_json(bytes(payload))
    try:
        data, end = _unpack_common(_TWO + payload + _PACKED_END)
        if end == _END and type(data) is dict:
            return _not_too_deep(data, len(payload))
    except _REFUSED:
        pass  # text that is not UTF-8, an ext type, a key that is no text, or no msgpack
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
    return _not_too_deep(data, len(payload))


# ormsgpack overlooks bytes that are left over. So the payload is unpacked as the first element of a list, behind which
# stands what no payload holds: where bytes are left over, the second element is not that.
_unpack_common = ormsgpack.unpackb
_TWO = b"\x92"
_END = os.urandom(16)
_PACKED_END = _packb(_END)


def _not_too_deep(data: dict[Any, Any], size: int) -> dict[Any, Any]:
    """*data* of a payload of *size* bytes.

    Raises:
        ValueError: when they are nested too deep.

    """
    if size > _MAX_DEPTH and not _CONTAINERS.isdisjoint(set(map(type, data.values()))):
        try:
            _packb(data, None, _NO_NUMPY)  # the fastest way to know it
        except _REFUSED:
            _check_depth(data.values(), _MAX_DEPTH)
    return data


_CONTAINERS = frozenset([dict, list, tuple])


def _check_depth(values: Collection[Any], left: int) -> None:
    """Refuse lists and maps among *values* that are nested more than *left* deep.

    Raises:
        ValueError: when there are such.

    """
    if _CONTAINERS.isdisjoint(set(map(type, values))):  # the set, as it costs less than a look for each
        return
    if not left:
        raise ValueError(f"the payload is nested deeper than {_MAX_DEPTH}")
    for value in values:
        kind = type(value)
        if kind is dict:
            _check_depth(value.values(), left - 1)
        elif kind is list or kind is tuple:
            _check_depth(value, left - 1)


_FLOAT32 = 0xCA
# Where a list may begin with a float of four bytes. A bare 0xca is in most frames, as a byte of some number.
_FLOAT32_LIST = re.compile(rb"\xca(?:(?<=[\x90-\x9f]\xca)|(?<=\xdc..\xca)|(?<=\xdd....\xca))", re.DOTALL)
_TEXT = frozenset([str])
_NOT_TEXT = frozenset(["None", "True", "False", "nan", "inf"])  # columns that may come of keys that are no strings


def decode_flat(payload: bytes | memoryview, wanted: frozenset[str] | None = None) -> dict[str, Any]:
    """The values of one frame by their columns; only those *wanted*, when that is given.

    Lists of floats of four bytes alone are float32 arrays: a table tells them from others.

    Raises:
        ValueError: as `decode`.

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
    """Whether columns of these names can only be keys of the outermost map, of type str."""
    return all(name.isidentifier() and name not in _NOT_TEXT for name in names)


def decode_list(raw: bytes) -> Any:
    """One value, a list or a map, as `decode_flat` has it."""
    value = _unpackb(raw, strict_map_key=False, unicode_errors="surrogateescape", ext_hook=_any_ext)
    return np.array(value, np.float32) if _end_of_floats(raw, 0) == len(raw) else value


def _with_float32(data: Mapping[Any, Any], names: frozenset[str], prefix: str = "") -> dict[Any, Any]:
    return {
        key: _with_float32(value, names, prefix_of(f"{prefix}{key}"))
        if isinstance(value, Mapping)
        else np.array(value, np.float32)
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
    """Where the list at byte *at* ends, when it and its lists hold floats of four bytes alone; else -1."""
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
        raise ValueError(f"the payload begins like JSON but is none ({error})") from error
    assert isinstance(data, dict)  # it began with a brace
    _check_depth(data.values(), _MAX_DEPTH)
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


# A decoder makes room for as many elements as a list claims before it reads them. The one of msgpack believes no list
# of more elements than the payload has bytes; but each of a thousand nested lists may claim as many. Up to this size
# that does no harm (half a gigabyte of address space, never touched); beyond it the claims are added up first.
_SMALL = 1 << 16


def _check_counts(payload: bytes | memoryview) -> None:
    """Refuse a payload whose lists and maps claim more elements, all together, than there are bytes for.

    Raises:
        ValueError: when they do, or the payload ends early.

    """
    view = memoryview(payload)
    end, at, due = len(view), 0, 1  # due: elements that are still to come
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


# For the markers from 0xc0 on: bytes of the count that follows, further bytes of fixed size, and how many elements
# there are for each of that count (0: they are bytes).
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
    # ExtType refuses the codes below zero, which msgpack reserves; a file may hold them all the same.
    return tuple.__new__(msgpack.ExtType, (code, data))


def _map(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    return {_hashable(key): value for key, value in pairs}


def _hashable(key: Any) -> Any:
    if isinstance(key, list):
        return tuple(map(_hashable, key))
    if isinstance(key, dict):
        return tuple((_hashable(name), _hashable(value)) for name, value in key.items())
    return key
