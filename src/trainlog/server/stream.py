"""The live stream: server-sent events, each with the cursor that a client comes back with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from trainlog.model import Kind
from trainlog.server.api import state_of
from trainlog.server.app_state import State
from trainlog.server.cursor import Cursor
from trainlog.server.log import Log
from trainlog.server.query import LETTERS, Query
from trainlog.server.responses import ApiError, refusal, strict

__all__ = ["stream"]

HEARTBEAT: Final = 10.0
_VALUES: Final = 60_000  # in one message
_GATHER: Final = 0.05  # seconds: what comes within them is one message


async def stream(request: Request) -> Response:
    """New rows of some runs as they are written."""
    state = state_of(request)
    query = Query(request, ("runs", "cursors", "kinds", "keys"))
    names = query.names("runs") or []
    if len(names) > state.limits.runs:
        raise ApiError(400, "parameter", f"runs has more than {state.limits.runs} names")
    # A browser that lost the connection says itself where it was.
    text = request.headers.get("last-event-id") or query.text("cursors", "", most=LETTERS)
    cursors = _cursors(text)
    try:
        kinds = {Kind.of(name.lower()) for name in query.names("kinds") or ["stats", "evolution", "event"]}
    except ValueError as error:
        raise ApiError(400, "parameter", str(error)) from error
    keys = query.names("keys")
    followed: list[_Followed] = []
    for name in names:
        entry = state.entry(name)
        log = await run_in_threadpool(state.log, entry)
        log.want(kinds)
        followed.append(_Followed(state, name, kinds, keys, cursors.get(name)))
    return _Streaming(state, _messages(state, followed))


class _Streaming(StreamingResponse):
    """Takes one of the places for streams, and gives it back in the end, however that comes."""

    def __init__(self, state: State, messages: AsyncIterator[str]) -> None:
        super().__init__(messages, media_type="text/event-stream")
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = self._state
        if state.streams >= state.limits.streams:
            busy = ApiError(503, "busy", f"{state.limits.streams} streams are the most; close one")
            await refusal(busy)(scope, receive, send)
            return
        state.streams += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            state.streams -= 1


def _cursors(text: str) -> dict[str, Cursor]:
    found = {}
    for part in filter(None, text.split(",")):
        name, colon, cursor = part.partition(":")
        try:
            if not colon:
                raise ValueError("a cursor is a run, a colon and a place")
            found[name] = Cursor.parse(cursor)
        except ValueError as error:
            raise ApiError(400, "cursor", str(error)) from error
    return found


async def _messages(state: State, followed: list[_Followed]) -> AsyncIterator[str]:
    version = state.catalog.version
    yield "retry: 1000\n\n" + _message("hello", {"version": version})
    spoken = time.monotonic()
    while not state.stopping:
        for one in followed:
            async for part in one.news():
                yield part
                spoken = time.monotonic()
        if state.catalog.version != version:
            version = state.catalog.version
            yield _message("runs", {"version": version})
            spoken = time.monotonic()
        elif time.monotonic() - spoken > HEARTBEAT:
            yield ": still here\n\n"
            spoken = time.monotonic()
        await state.signal.wait(1.0)
        await asyncio.sleep(_GATHER)


def _message(event: str, data: Any, id: str = "") -> str:
    return (f"id: {id}\n" if id else "") + f"event: {event}\ndata: {strict(data)}\n\n"


class _Followed:
    """One run in one stream: where the client is in it."""

    def __init__(
        self,
        state: State,
        id: str,
        kinds: set[Kind],
        keys: list[str] | None,
        cursor: Cursor | None,
    ) -> None:
        self._state = state
        self._id = id
        self._kinds = kinds
        self._keys = keys
        self._cursor = cursor
        self._begin = cursor  # rows before it are not sent
        self._log: Log | None = None
        self._version = -1
        self._sent: dict[Kind, int] = {}
        self._gone = False

    async def news(self) -> AsyncIterator[str]:
        """What the client does not know yet."""
        log = self._state.poller.get(self._id)
        if log is None:
            entry = self._state.catalog.find(self._id)
            if entry is None:
                if not self._gone:
                    self._gone = True
                    yield _message("gone", {"run": self._id})
                return
            try:
                log = await run_in_threadpool(self._state.log, entry)
            except ApiError as error:
                if not self._gone:
                    self._gone = True
                    yield _message("gone", {"run": self._id, "reason": error.message})
                return
        self._gone = False
        if log is not self._log:
            if not log.version:
                return
            log.want(self._kinds)
            before, self._log, self._version = self._log, log, -1
            if self._cursor is None and before is None:
                self._cursor = self._begin = log.cursor()
            elif await self._is_another(log, before):
                self._cursor = self._begin = log.beginning()
                reason = "the file was replaced, cut or written anew, or training went back"
                yield _message("reset", {"run": self._id, "reason": reason})
            self._sent = {}
        if log.version == self._version or self._cursor is None or self._begin is None:
            return
        self._version = log.version
        settled = log.settled()
        for kind in sorted(self._kinds):
            rows = log.rows.get(kind)
            if rows is None:
                continue
            # A log that was opened a moment ago may not be read as far as the client has seen it.
            start = max(self._sent.get(kind, 0), log.row_after(kind, self._begin))
            stop = min(rows.columns.rows, log.row_after(kind, settled))
            width = len(self._keys or rows.columns.series) + 1
            step = max(_VALUES // width, 1)
            for first in range(start, stop, step):
                last = min(first + step, stop)
                yield _shared(log, kind, first, last, self._keys)
                self._sent[kind] = last
        before_cursor, self._cursor = self._cursor, self._cursor.advanced(settled)
        if self._cursor != before_cursor:
            yield _message(
                "cursor",
                {"run": self._id, "cursor": str(self._cursor), "duration": log.duration()},
                f"{self._id}:{self._cursor}",
            )

    async def _is_another(self, log: Log, before: Log | None) -> bool:
        """Whether *log* is not the one that the client knows, or not as it was."""
        if self._cursor is None or (before is not None and before.is_replaced):
            return True
        return not await run_in_threadpool(log.holds, self._cursor)


_made: WeakKeyDictionary[Log, dict[tuple[Any, ...], str]] = WeakKeyDictionary()


def _shared(log: Log, kind: Kind, first: int, last: int, keys: list[str] | None) -> str:
    """The message with these rows; the clients of one run all want the same, so it is made once."""
    made = _made.setdefault(log, {})
    which = (kind, first, last, tuple(keys) if keys is not None else None)
    message = made.get(which)
    if message is None:
        message = _rows_message(log, kind, first, last, keys)
        while len(made) >= 8:
            made.pop(next(iter(made)))
        made[which] = message
    return message


def _rows_message(log: Log, kind: Kind, first: int, last: int, keys: list[str] | None) -> str:
    rows = log.rows[kind]
    columns: dict[str, Any] = {}
    for key, series in rows.columns.series.items():
        if keys is not None and key not in keys:
            continue
        numbers = rows.columns.numbers(key, first, last)
        values: list[Any] = numbers.tolist()
        if not np.isfinite(numbers).all():
            values = [value if good else None for value, good in zip(values, np.isfinite(numbers), strict=True)]
        if series.texts:
            texts = list(series.texts)
            codes = rows.columns.codes(key, first, last).tolist()
            values = [texts[code] if code >= 0 else value for code, value in zip(codes, values, strict=True)]
        columns[key] = values
    data = {
        "run": log.id,
        "kind": str(kind),
        "from": first,
        "to": last,
        "time": rows.time.read(first, last).tolist(),
        "columns": columns,
    }
    return _message("rows", data)
