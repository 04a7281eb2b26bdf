"""JSON that every parser accepts: RFC 8259 without Python's extensions."""

from __future__ import annotations

import binascii
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from trainlog.printable import UNPRINTABLE

__all__ = ["strict_json"]


def strict_json(value: Any, *, indent: int | None = None) -> str:
    """Encode *value*: NaN and infinities become null, bytes become base64, keys become strings.

    What a terminal would obey is escaped, see `trainlog.printable`.
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
        return value.encode("utf-8", "replace").decode() if not value.isascii() else value
    if isinstance(value, np.generic | np.ndarray):
        return _strict(value.tolist())
    if isinstance(value, Mapping):
        return {_strict(key) if isinstance(key, str) else str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return binascii.b2a_base64(value, newline=False).decode()
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return str(value)
