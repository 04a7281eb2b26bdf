"""What goes back to a client: strict JSON, whatever the log holds; an error is JSON too."""

from __future__ import annotations

import json
from typing import Any, Final

from starlette.responses import Response

from trainlog.strictjson import strict_json

__all__ = ["ApiError", "Room", "json_response", "refusal", "strict"]

_LETTERS: Final = 32 << 20  # of what a log says in words, in one answer
_NUMBER: Final = 20  # letters
_ITEMS: Final = 1000  # of one list


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


class Room:
    """How much of what a log says in words has room in one answer: metadata, events, whole frames."""

    def __init__(self) -> None:
        self._left = _LETTERS

    def short(self, value: Any, text: int = 4000, items: int = _ITEMS) -> Any:
        """*value* with texts of at most *text* letters and lists of at most *items*; what has no room is left out.

        A text that was cut ends in an ellipsis; a map of which entries were left out has one as a key.
        """
        if isinstance(value, str | bytes):
            self._left -= min(len(value), text)
            return f"{value[:text]}…" if isinstance(value, str) and len(value) > text else value[:text]
        if isinstance(value, dict):
            found: dict[str, Any] = {}
            for key, item in value.items():
                if self._left <= 0:
                    found["…"] = f"{len(value) - len(found):,} more"
                    break
                found[self.short(str(key), text)] = self.short(item, text, items)
            return found
        if isinstance(value, list | tuple):
            return [self.short(item, text, items) for item in value[:items] if self._left > 0]
        self._left -= _NUMBER
        return value


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
