"""Answers to a client: strict JSON, whatever the log holds; errors are JSON, too."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from trainlog.errors import TrainlogError
from trainlog.printable import printable
from trainlog.strictjson import strict_json

__all__ = ["ApiError", "Download", "Room", "json_pieces", "json_response", "one_line", "refusal", "strict"]

_LETTERS: Final = 32 << 20  # characters of texts from a log, in one answer
_NUMBER: Final = 20  # characters
_ITEMS: Final = 1000  # of one list
_PIECE: Final = 1 << 16  # characters or bytes that are sent at once
_MOST_DOWNLOADS: Final = 128  # at the same time: each holds some pieces that its client has not taken
_MOST_HELD: Final = 64 << 20  # bytes held by all of them


class ApiError(Exception):
    """A request that cannot be answered; the client gets the reason.

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


class _BrokenDownload(Exception):
    """A log could not be read further during its download. The connection is closed in the middle of the answer.

    So the client sees that the answer is incomplete: a chunked answer must end with the last chunk.
    """


def one_line(record: logging.LogRecord) -> bool:
    """A filter for the log of the server: an answer that ended early is one line there, without a traceback."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, _BrokenDownload):
        record.msg, record.args, record.exc_info = printable(str(error)), (), None
    elif isinstance(error, asyncio.CancelledError):
        record.msg, record.args, record.exc_info = "an answer was cut off, because the server exits", (), None
    return True


class Room:
    """The space for texts from a log in one answer: metadata, events, whole frames."""

    def __init__(self) -> None:
        self._left = _LETTERS

    def short(self, value: Any, text: int = 4000, items: int = _ITEMS) -> Any:
        """*value* with texts of at most *text* characters and lists of at most *items*; what does not fit is left out.

        A text that was cut ends with an ellipsis; a map with left-out entries has an ellipsis as a key.
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
    body = strict(value).encode()
    if len(body) <= _PIECE:
        return Response(body, status, media_type="application/json")
    parts = (body[at : at + _PIECE] for at in range(0, len(body), _PIECE))
    return Download(parts, held=len(body), status_code=status, media_type="application/json")


def refusal(error: ApiError) -> Response:
    """*error* as a JSON answer."""
    return json_response({"error": {"code": error.code, "message": error.message}}, error.status)


def json_pieces(value: Mapping[str, Any]) -> Iterator[str]:
    """*value* as pieces of JSON; iterators in it become lists, and are consumed as the client reads."""
    return _gathered(_tokens(value))


def _tokens(value: Mapping[str, Any]) -> Iterator[str]:
    mark = "{"
    for key, item in value.items():
        yield f"{mark}{strict(key)}:"
        mark = ","
        if isinstance(item, dict) and any(isinstance(one, Iterator) for one in item.values()):
            yield from _tokens(item)
        elif isinstance(item, Iterator):
            comma = "["
            for one in item:
                yield comma + strict(one)
                comma = ","
            yield "]" if comma == "," else "[]"
        else:
            yield strict(item)
    yield "}"


class Download(StreamingResponse):
    """A long answer, sent piece by piece as its client reads, so that a slow client uses little memory.

    The number of downloads at a time is limited.

    Args:
        pieces: the pieces of the answer.
        held: bytes that they occupy until the end.

    """

    _open: ClassVar[list[int]] = []  # the bytes held by each open download of this process

    def __init__(self, pieces: Iterable[str | bytes], *, held: int = 0, **options: Any) -> None:
        super().__init__(_unless_broken(pieces), **options)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, or an error if there are too many."""
        known = Download._open
        if len(known) >= _MOST_DOWNLOADS or (known and sum(known) + self._held > _MOST_HELD):
            await refusal(ApiError(503, "busy", "too many downloads at a time; try again"))(scope, receive, send)
            return
        known.append(self._held)
        try:
            await super().__call__(scope, receive, send)
        finally:
            known.remove(self._held)


def _unless_broken(pieces: Iterable[str | bytes]) -> Iterator[str | bytes]:
    try:
        yield from pieces
    except (TrainlogError, OSError) as error:
        raise _BrokenDownload(f"a download was ended early, as its log changed while it was sent: {error}") from error


def _gathered(pieces: Iterable[str]) -> Iterator[str]:
    """Join small pieces, as each one costs the server a turn."""
    parts: list[str] = []
    size = 0
    for piece in pieces:
        parts.append(piece)
        size += len(piece)
        if size >= _PIECE:
            yield "".join(parts)
            parts, size = [], 0
    yield "".join(parts)
