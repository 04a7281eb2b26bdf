"""The values of one step out of a frame, whatever else that holds."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from trainlog.errors import UnsupportedFrame
from trainlog.model import Frame
from trainlog.table.values import flatten

__all__ = ["getter", "leaves", "number", "unsupported", "whole"]


def getter(keys: Sequence[str]) -> Callable[[Mapping[Any, Any]], Sequence[Any]]:
    """A function that takes the values of *keys* out of a mapping; it raises KeyError where one is not there."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda data: [data[key] for key in keys]


def leaves(data: Mapping[Any, Any]) -> dict[str, Any]:
    """*data* flat: maps as in tables (``gait/phase``), and lists likewise, by place (``pos/0``)."""
    flat: dict[str, Any] = {}
    for key, value in flatten(data).items():
        if isinstance(value, list | tuple | np.ndarray):
            flat |= leaves({f"{key}/{i}": item for i, item in enumerate(value)})
        else:
            flat[key] = value
    return flat


def number(value: Any) -> float | None:
    """*value* as a double, if it is a number or a bool."""
    if isinstance(value, int | float | np.number | np.bool_):
        try:
            return float(value)
        except (OverflowError, TypeError):
            return None
    return None


def whole(value: Any) -> int | None:
    """*value* as the number of a step, if it can be one."""
    as_number = number(value)
    return int(as_number) if as_number is not None and 0 < as_number < 2**63 and as_number % 1 == 0 else None


def unsupported(frame: Frame, keys: Sequence[str], kind: str = "double") -> UnsupportedFrame:
    """The error that says which of the values *keys* of *frame* it is that cannot be stored as such a number."""
    flat = leaves(frame.data)
    for key in keys:
        if key in flat:
            try:
                struct.pack("<d" if kind == "double" else "<q", flat[key])
            except (struct.error, TypeError, OverflowError):
                what = f"a {type(flat[key]).__name__} is no {kind}"
                error = UnsupportedFrame(f"the value of {key!r} cannot be stored: {what}")
                error.key = key
                return error
    error = UnsupportedFrame(f"{', '.join(keys)}: one of these is out of range in this {frame.kind} frame, or missing")
    error.key = keys[0]
    return error
