"""What goes back to a client: strict JSON, whatever the log holds; an error is JSON too."""

from __future__ import annotations

import json
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


def strict(value: Any) -> str:
    """*value* as strict JSON: NaN and infinities become null."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        text.encode()
    except (ValueError, TypeError):
        return strict_json(value)
    return text


def json_response(value: Any, status: int = 200) -> Response:
    """*value* as a JSON answer."""
    return Response(strict(value).encode(), status, media_type="application/json")


def refusal(error: ApiError) -> Response:
    """*error* as a JSON answer."""
    return json_response({"error": {"code": error.code, "message": error.message}}, error.status)
