"""Objects of Python, PyTorch and JAX as what every format holds; the same in frames and in metadata."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import os
import sys
import types
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np

from trainlog.errors import UnsupportedFrame

__all__ = ["as_array", "json_value", "plain_metadata", "plain_object"]


def as_array(value: Any) -> Any:
    """A tensor, or whatever else offers ``__array__``, as an array of numpy's own dtypes.

    Tensors on a device, and those that require a gradient, are copied; bfloat16 and other types that numpy has not
    become wider floats.

    Raises:
        Exception: whatever a foreign ``__array__`` raises.

    """
    if hasattr(value, "detach"):  # of PyTorch
        value = value.detach()
        value = value.cpu() if hasattr(value, "cpu") else value
        if str(getattr(value, "dtype", "")).startswith(("torch.bfloat", "torch.float8")):
            value = value.float()
    array = np.asarray(value)
    if array.dtype.kind == "V" and not issubclass(array.dtype.type, np.void):  # bfloat16 of JAX
        return array.astype(np.float32)
    return array


def plain_object(value: Any) -> Any:
    """What stands for *value*, which is neither a number, text, list, map nor array; its parts may be anything.

    Paths, UUIDs and dtypes are text, dates and times text by ISO 8601, lengths of time float seconds, members of an
    enumeration their values, dataclasses and namespaces maps, and sets lists, sorted where they can be.

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
        case uuid.UUID() | np.dtype():
            return str(value)
        case set() | frozenset():
            try:
                return sorted(value)
            except TypeError:
                return sorted(value, key=repr)
        case types.SimpleNamespace():
            return dict(vars(value))
        case _ if (argparse := sys.modules.get("argparse")) and isinstance(value, argparse.Namespace):
            return dict(vars(value))
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    raise TypeError(f"a {type(value).__name__} cannot be stored; give numbers, strings, lists or maps")


def json_value(value: Any) -> Any:
    """What trainers put into their metadata beside JSON's own values; arguments hold paths, configurations dates."""
    return as_array(value).tolist() if hasattr(value, "__array__") else plain_object(value)


def plain_metadata(values: Mapping[str, Any]) -> dict[str, Any]:
    """*values* as a header would give them back: maps, lists, numbers and text.

    Raises:
        UnsupportedFrame: when they cannot be stored as JSON.

    """
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(values), default=json_value))
    except (TypeError, ValueError, RecursionError) as error:
        raise UnsupportedFrame(f"the metadata cannot be stored as JSON: {error}") from error
    return found
