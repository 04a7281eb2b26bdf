"""What goes back to a client: strict JSON, whatever the log holds; an error is JSON too."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from starlette.responses import Response

__all__ = ["Refused", "answer", "refusal", "strict"]


class Refused(Exception):
    """A request that cannot be answered; the client is told why.

    Attributes:
        status: the HTTP status, 4xx.
        code: one word for programs.
        message: one sentence for people.

    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class _Strict:
    """Turns values into those that every JSON parser knows, and counts what cannot be told."""

    def __init__(self) -> None:
        self.lost = 0

    def plain(self, value: Any) -> Any:
        if isinstance(value, float):
            if math.isfinite(value):
                return float(value)
            self.lost += 1
            return None
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, str):
            return value if value.isascii() else value.encode("utf-8", "replace").decode()
        if isinstance(value, np.generic | np.ndarray):
            return self.plain(value.tolist())
        if isinstance(value, Mapping):
            return {
                self.plain(key) if isinstance(key, str) else str(key): self.plain(item) for key, item in value.items()
            }
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        if isinstance(value, list | tuple):
            return [self.plain(item) for item in value]
        return str(value)


def strict(value: Any) -> tuple[str, int]:
    """*value* as strict JSON, and how many NaN and infinities became null."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        text.encode()
    except (ValueError, TypeError):
        maker = _Strict()
        return json.dumps(maker.plain(value), allow_nan=False, ensure_ascii=False, separators=(",", ":")), maker.lost
    return text, 0


def answer(value: Any, status: int = 200) -> Response:
    """*value* as a JSON answer; the header ``x-nulls`` counts the numbers that JSON cannot hold."""
    text, lost = strict(value)
    headers = {"x-nulls": str(lost)} if lost else {}
    return Response(text.encode(), status, headers, media_type="application/json")


def refusal(error: Refused) -> Response:
    """*error* as a JSON answer."""
    return answer({"error": {"code": error.code, "message": error.message}}, error.status)
