"""Conversion of Python, PyTorch and JAX objects to what every format holds; the same in frames and in metadata."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import math
import os
import sys
import types
import uuid
from collections.abc import Mapping, Sequence, Set, ValuesView
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.errors import UnsupportedFrame

__all__ = ["as_array", "json_value", "plain_array", "plain_metadata", "plain_object"]

_WIDER: Final = (np.int8, np.float32, np.complex64)  # wider than the types of ml_dtypes
_MOST: Final = 1 << 24  # numbers that a range, or a sparse tensor with its zeros, may have


def as_array(value: Any) -> Any:
    """A tensor, or any other object with ``__array__``, as an array of numpy's own dtypes.

    Tensors on a device and those that require a gradient are copied. Sparse tensors become dense. Views of a conjugate
    or a negative become its numbers. bfloat16 and other types that numpy does not have become wider types. Numbers that
    are longer than a float, such as ``longdouble``, are rounded to a float.

    Raises:
        UnsupportedFrame: when there is no such array: for a tensor without data, a sparse one of more than 16 million
            numbers, ...; and for numbers that are too large for a float.

    """
    try:
        if hasattr(value, "detach"):  # of PyTorch
            value = _ready(value.detach())
        array = np.asarray(value)
    except Exception as error:  # whatever a foreign library raises
        why = str(error).partition("\n")[0]  # the message of JAX about a tracer has many lines
        raise UnsupportedFrame(f"a {type(value).__name__} gives no array ({why})") from error
    if array.dtype.isbuiltin == 2:  # a type of ml_dtypes, such as bfloat16 of JAX
        return array.astype(next((one for one in _WIDER if np.can_cast(array.dtype, one)), np.float32))
    return _rounded(array) if array.dtype.char in "gG" else array


def _rounded(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    with np.errstate(over="ignore"):
        found = array.astype(np.float64 if array.dtype.kind == "f" else np.complex128)
    if (np.isfinite(array) & ~np.isfinite(found)).any():
        raise UnsupportedFrame(f"a {array.dtype} is too large for a float")
    return found


def plain_array(value: Any) -> Any:
    """Convert a masked array, or anything that `as_array` accepts, to lists.

    Complex numbers become ``[re, im]``, records maps. ``datetime64`` and ``timedelta64`` become float seconds, with NaN
    for NaT; masked values become None. Objects stay as they are.

    Raises:
        UnsupportedFrame: as `as_array`, and for lengths of time that are not seconds, such as months.

    """
    if isinstance(value, np.ma.MaskedArray):
        return _masked(plain_array(value.data), np.ma.getmaskarray(value).tolist())
    array = as_array(value)
    match array.dtype.kind:
        case "c":
            array = np.stack([array.real, array.imag], axis=-1)
        case "M" | "m":
            array = _seconds(array)
        case "V" if array.dtype.names is not None and array.ndim == 0:
            return {name: plain_array(array[name]) for name in array.dtype.names}
        case "V" if array.dtype.names is not None:
            return [plain_array(row) for row in array]
    return array.tolist()


def _masked(plain: Any, mask: Any) -> Any:
    if isinstance(mask, bool | np.bool_):
        return None if mask else plain
    if isinstance(mask, tuple):  # of a record
        return {name: _masked(one, hidden) for (name, one), hidden in zip(plain.items(), mask, strict=True)}
    return [_masked(one, hidden) for one, hidden in zip(plain, mask, strict=True)]


def _seconds(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    since = array - np.datetime64(0, "s") if array.dtype.kind == "M" else array
    try:
        return np.where(np.isnat(array), np.nan, since / np.timedelta64(1, "s"))
    except TypeError as error:
        raise UnsupportedFrame(f"{array.dtype} is not a length of time in seconds") from error


def _ready(tensor: Any) -> Any:
    """The values of a PyTorch tensor, as a tensor that numpy accepts."""
    if str(getattr(tensor, "layout", "torch.strided")) != "torch.strided":
        if tensor.numel() > _MOST:
            raise ValueError(f"with its zeros it has {tensor.numel():,} numbers")
        tensor = tensor.to_dense()
    for step in ("cpu", "resolve_conj", "resolve_neg"):
        if hasattr(tensor, step):
            tensor = getattr(tensor, step)()
    dtype = str(getattr(tensor, "dtype", ""))
    return tensor.float() if dtype.startswith(("torch.bfloat", "torch.float8")) else tensor


def plain_object(value: Any) -> Any:
    """A plain replacement for *value*, which is not a number, text, list or array; its parts may be anything.

    Paths, UUIDs, dtypes and devices become text, dates and times become text in ISO 8601, and lengths of time become
    float seconds. Members of an enumeration become their values, complex numbers ``[re, im]``, and decimals and
    fractions the nearest float. Dataclasses, namespaces and other mappings become maps. Ranges, queues, views and other
    sequences become lists, and so do sets, sorted if possible.

    Raises:
        TypeError: for any other object.

    """
    match value:
        case enum.Enum():
            return value.value
        case os.PathLike():
            return os.fsdecode(value)
        case datetime.date() | datetime.time():  # a datetime is a date
            return value.isoformat()
        case datetime.timedelta():
            return value.total_seconds()
        case complex():
            return [value.real, value.imag]
        case uuid.UUID() | np.dtype():
            return str(value)
        case Mapping():
            return dict(value)
        case range():
            if (value.stop - value.start) // value.step > _MOST:  # its len() may not fit into a C int
                raise TypeError(f"{value} has too many numbers to be stored")
            return list(value)
        case Set():
            try:
                return sorted(value)
            except TypeError:
                return sorted(value, key=repr)
        case Sequence() | ValuesView() if not isinstance(value, str | bytes | bytearray | memoryview):
            return list(value)
        case types.SimpleNamespace():
            return dict(vars(value))
        case _ if (argparse := sys.modules.get("argparse")) and isinstance(value, argparse.Namespace):
            return dict(vars(value))
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            try:
                return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
            except AttributeError as error:
                raise TypeError(f"a field of it was never set ({error})") from error
        case _ if type(value).__module__ == "torch" and type(value).__name__ in ("dtype", "device", "layout"):
            return str(value)
        case _ if hasattr(value, "as_integer_ratio") and not isinstance(value, int | type):  # a decimal, or a fraction
            return _nearest(value)
    raise TypeError(f"a {type(value).__name__} cannot be stored; give numbers, strings, lists or maps")


def _nearest(value: Any) -> float:
    try:
        found = float(value)
    except (OverflowError, ValueError) as error:  # a fraction that is too large, or a signaling NaN
        raise TypeError(f"{value!r} is not a float ({error})") from error
    if math.isinf(found) and value != found:
        raise TypeError(f"{value!r} is too large for a float")
    return found


def json_value(value: Any) -> Any:
    """Convert metadata values that are not JSON's own: arguments of trainers hold paths, configurations hold dates."""
    return plain_array(value) if hasattr(value, "__array__") else plain_object(value)


def plain_metadata(values: Mapping[str, Any]) -> dict[str, Any]:
    """*values* as a header would return them: maps, lists, numbers and text.

    Raises:
        UnsupportedFrame: when they cannot be stored as JSON.

    """
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(values), default=json_value))
    except (TypeError, ValueError, RecursionError) as error:
        raise UnsupportedFrame(f"the metadata cannot be stored as JSON: {error}") from error
    return found
