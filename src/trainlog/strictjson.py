"""JSON that every parser accepts: RFC 8259 without Python's extensions; and JSON for anything that a frame holds."""

from __future__ import annotations

import binascii
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from trainlog.printable import UNPRINTABLE

__all__ = ["lenient_json", "strict_json"]


def strict_json(value: Any, *, indent: int | None = None) -> str:
    r"""Encode *value*: NaN and infinities become null, bytes become base64, keys become strings.

    Characters that a terminal would interpret are escaped, see `trainlog.printable`. Bytes of a name that are not UTF-8
    are text such as ``\udcff`` there, because some parsers refuse the escape of a lone surrogate.
    """
    text = json.dumps(_strict(value), allow_nan=False, ensure_ascii=False, indent=indent)
    if text.isascii() and "\x7f" not in text:
        return text
    return UNPRINTABLE.sub(lambda found: found[0] if found[0] == "\n" else json.dumps(found[0])[1:-1], text)


def _strict(value: Any) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode() if not value.isascii() else value
    if isinstance(value, np.generic | np.ndarray):
        return _strict(value.tolist())
    if isinstance(value, Mapping):
        return {_strict(key) if isinstance(key, str) else str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return binascii.b2a_base64(value, newline=False).decode()
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return str(value)


def _lenient(value: Any) -> Any:
    plain = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
    return str(plain) if plain is value or isinstance(plain, np.generic) else plain


def lenient_json(value: Any, *, default: Callable[[Any], Any] = _lenient, indent: int | None = None) -> str:
    """Encode *value* as `json` does, with NaN and infinities; keys that `json` refuses become text.

    Args:
        value: the value of a frame; its maps can have keys that are bytes or tuples.
        default: converts a value that is not valid in JSON into one that is; arrays become lists, and others text.
        indent: the indentation of nested lines.

    """
    try:
        return json.dumps(value, default=default, indent=indent)
    except TypeError:
        return json.dumps(_with_json_keys(value), default=default, indent=indent)


def _with_json_keys(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key if key is None or isinstance(key, str | int | float) else str(key): _with_json_keys(item)
            for key, item in value.items()
        }
    return [_with_json_keys(item) for item in value] if isinstance(value, list | tuple) else value
