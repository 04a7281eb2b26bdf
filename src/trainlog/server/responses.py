"""What goes back to a client: strict JSON, whatever the log holds; an error is JSON too."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from trainlog.strictjson import strict_json

__all__ = ["ApiError", "json_response", "refusal", "strict"]


class ApiError(Exception):
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


def _lost(value: Any) -> int:
    """How many numbers in *value* JSON cannot hold."""
    if isinstance(value, float):
        return int(not math.isfinite(value))
    if isinstance(value, Mapping):
        return sum(map(_lost, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_lost, value))
    return 0


def strict(value: Any) -> tuple[str, int]:
    """*value* as strict JSON, and how many NaN and infinities became null."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        text.encode()
    except (ValueError, TypeError):
        return strict_json(value), _lost(value)
    return text, 0


def json_response(value: Any, status: int = 200) -> Response:
    """*value* as a JSON answer; the header ``x-nulls`` counts the numbers that JSON cannot hold."""
    text, lost = strict(value)
    headers = {"x-nulls": str(lost)} if lost else {}
    return Response(text.encode(), status, headers, media_type="application/json")


def refusal(error: ApiError) -> Response:
    """*error* as a JSON answer."""
    return json_response({"error": {"code": error.code, "message": error.message}}, error.status)
