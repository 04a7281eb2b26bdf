"""One frame's data to msgpack.

``encode`` accepts what training scripts hold: numpy scalars and arrays of any dtype become numbers and lists, never
text. ormsgpack handles the common cases in native code. Values that it refuses or would store as something else
(big-endian arrays come out wrong, datetime64 as text) go through ``_plain`` first.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgpack
import numpy as np
import ormsgpack

from trainlog.codecs.frame_payload.depth import MAX_DEPTH, NO_NUMPY, REFUSED, check_depth
from trainlog.codecs.plain_object import as_array, plain_array, plain_object
from trainlog.errors import UnsupportedFrame

__all__ = ["encode", "storable"]

_NUMPY = NO_NUMPY | ormsgpack.OPT_SERIALIZE_NUMPY
_packb = ormsgpack.packb

# Types that ormsgpack stores as the number, string or bytes that they are.
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

_MAX_DIMENSIONS = 64  # of a numpy array


def encode(data: Mapping[Any, Any]) -> bytes:
    """The msgpack map of one frame's *data*.

    It can hold Python and numpy numbers and bools, strings, bytes, ``None``, lists, tuples, maps, and arrays of any
    shape and memory layout. Complex numbers are stored as ``[re, im]``, ``datetime64`` and ``timedelta64`` as float
    seconds (NaN for NaT), records as maps, and any object with ``__array__`` (a tensor) as that array. Paths, dates,
    enumerations, dataclasses, sets, decimals and the like are stored as `trainlog.codecs.plain_object` converts them.

    Raises:
        UnsupportedFrame: for any other value, for an int that does not fit into 64 bits, and for endless nesting;
            ``key`` says where the value is.

    """
    if type(data) is dict:
        try:
            options = NO_NUMPY
            for value in data.values():  # runs for every frame: the most common types come first, and nothing is called
                kind = type(value)
                if kind is float or kind is int:
                    continue
                if kind is _ndarray and value.dtype is _FLOAT64:
                    options = _NUMPY
                elif kind not in _SIMPLE:
                    break
            else:
                return _packb(data, None, options)
            if options is NO_NUMPY and kind not in _OF_NUMPY:
                return _packb(data, None, NO_NUMPY)  # lists and maps, which need no check
        except REFUSED:
            pass  # something of numpy deeper inside, a key that is not a string, ...
        try:
            if _is_native(data.values()):
                return _packb(data, None, _NUMPY)
        except REFUSED:
            pass  # an array that is not contiguous, ...
    if not isinstance(data, Mapping):
        raise UnsupportedFrame(f"a frame's data is a mapping, not {type(data).__name__}")
    try:
        plain = _plain(data, ())
        check_depth(plain.values(), MAX_DEPTH)  # with arrays of many dimensions
    except RecursionError as error:
        raise UnsupportedFrame(f"its data are nested deeper than {MAX_DEPTH}") from error
    except ValueError as error:  # nested too deep, or raised by a value, such as a released memoryview
        if isinstance(error, UnsupportedFrame):
            raise
        raise UnsupportedFrame(f"cannot be stored: {error}") from error
    try:
        return bytes(msgpack.packb(plain, unicode_errors="surrogateescape"))
    except (TypeError, ValueError, OverflowError) as error:  # an ExtType made by hand may hold anything
        raise UnsupportedFrame(f"cannot be stored: {error}") from error


def storable(value: Any, text: Callable[[Any], str] = str, left: int = 64) -> Any:
    """*value* with *text* of it in place of anything that `encode` refuses, in lists and maps up to *left* deep."""
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


def _is_native(values: Iterable[Any], left: int = MAX_DEPTH) -> bool:
    """Whether ormsgpack stores *values*, some of them of numpy, faithfully, and they are not nested too deep."""
    for value in values:
        kind = type(value)
        if kind is float or kind is int:
            continue
        if kind is _ndarray:
            dtype = value.dtype
            if dtype is not _FLOAT64 and dtype not in _NATIVE_DTYPES:
                return False
            if left < _MAX_DIMENSIONS and value.ndim > left:
                return False  # ormsgpack would abort the process
        elif kind not in _SCALARS:
            if kind is dict:
                value = value.values()
            elif kind is not list and kind is not tuple:
                return False
            if not left or not _is_native(value, left - 1):
                return False
    return True


def _plain(value: Any, path: tuple[Any, ...]) -> Any:
    """*value* in types that msgpack itself knows; *path* is its place in the frame."""
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
    if len(path) > MAX_DEPTH:
        raise _unsupported(path[:3], f"it is nested deeper than {MAX_DEPTH}")
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
        array = value if isinstance(value, np.ma.MaskedArray) else as_array(value)
        plain = plain_array(array)
    except UnsupportedFrame as error:
        raise _unsupported(path, error.message) from error
    if array.dtype.kind in "OUTV":  # their elements can be anything, or text
        if plain is value:
            raise _unsupported(path, f"a {type(value).__name__} cannot be stored")
        return _plain(plain, path)
    return plain


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
        raise _unsupported(path, "the string holds a lone surrogate, which UTF-8 cannot encode") from error
    return value


def _unsupported(path: tuple[Any, ...], why: str) -> UnsupportedFrame:
    key = "/".join(map(str, path))
    error = UnsupportedFrame(f"the value of {key!r} cannot be stored: {why}" if path else why)
    error.key = key
    return error
