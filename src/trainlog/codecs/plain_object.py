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

from trainlog.errors import UnsupportedFrame

__all__ = ["as_array", "json_value", "plain_metadata", "plain_object"]

_MOST: Final = 1 << 24  # numbers that a range, or a sparse tensor with its zeros, may have


def as_array(value: Any) -> Any:
    """A tensor, or any other object with ``__array__``, as an array of numpy's own dtypes.

    Tensors on a device and those that require a gradient are copied. Sparse tensors become dense. Views of a conjugate
    or a negative become its numbers. bfloat16 and other types that numpy does not have become wider floats.

    Raises:
        UnsupportedFrame: when there is no such array: for a tensor without data, a sparse one of more than 16 million
            numbers, ...

    """
    try:
        if hasattr(value, "detach"):  # of PyTorch
            value = _ready(value.detach())
        array = np.asarray(value)
    except Exception as error:  # whatever a foreign library raises
        raise UnsupportedFrame(f"a {type(value).__name__} gives no array ({error})") from error
    if array.dtype.kind == "V" and not issubclass(array.dtype.type, np.void):  # bfloat16 of JAX
        return array.astype(np.float32)
    return array


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
            return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
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
    return as_array(value).tolist() if hasattr(value, "__array__") else plain_object(value)


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
