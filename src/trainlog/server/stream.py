"""The live stream: server-sent events, each with the cursor that a client comes back with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final

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
from trainlog.server.query import Query
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
    text = request.headers.get("last-event-id") or query.text("cursors", "", most=4096)
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
        for kind in kinds:
            log.want(kind)
        followed.append(_Followed(state, name, kinds, keys, cursors.get(name), followed))
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
    text, _ = strict(data)
    return (f"id: {id}\n" if id else "") + f"event: {event}\ndata: {text}\n\n"


class _Followed:
    """One run in one stream: where the client is in it."""

    def __init__(
        self,
        state: State,
        id: str,
        kinds: set[Kind],
        keys: list[str] | None,
        cursor: Cursor | None,
        peers: list[_Followed],
    ) -> None:
        self._state = state
        self._id = id
        self._kinds = kinds
        self._keys = keys
        self._cursor = cursor
        self._peers = peers
        self._log: Log | None = None
        self._version = -1
        self._rows: dict[Kind, int] = {}
        self._gone = False

    async def news(self) -> AsyncIterator[str]:
        """What the client does not know yet."""
        log = self._state.pump.get(self._id)
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
            for kind in self._kinds:
                log.want(kind)
            was_open, self._log = self._log is not None, log
            self._version = -1
            if self._cursor is None and not was_open:
                self._cursor = log.settled(self._kinds)
            elif self._cursor is None or not log.holds(self._cursor):
                self._cursor = log.cursor()._replace(offset=0)
                yield _message(
                    "reset",
                    {"run": self._id, "reason": "the file was replaced, cut or written anew, or training went back"},
                )
            self._rows = {kind: log.row_after(kind, self._cursor) for kind in self._kinds}
        if log.version == self._version:
            return
        self._version = log.version
        cursor = log.settled(self._kinds)
        for kind in sorted(self._kinds):
            rows = log.rows(kind)
            if rows is None:
                continue
            stop = min(rows.columns.rows, log.row_after(kind, cursor))
            width = len(self._keys or rows.columns.series) + 1
            step = max(_VALUES // width, 1)
            for first in range(self._rows.get(kind, 0), stop, step):
                last = min(first + step, stop)
                yield _shared(log, kind, first, last, self._keys)
                self._rows[kind] = last
        before, self._cursor = self._cursor, cursor
        if cursor != before:
            yield _message(
                "cursor", {"run": self._id, "cursor": str(cursor), "duration": log.duration()}, self._place()
            )

    def _place(self) -> str:
        return f"{self._id}:{self._cursor}"


_made: dict[tuple[Any, ...], str] = {}


def _shared(log: Log, kind: Kind, first: int, last: int, keys: list[str] | None) -> str:
    """The message with these rows; the clients of one run all want the same, so it is made once."""
    which = (id(log), log.id, kind, first, last, tuple(keys) if keys is not None else None)
    message = _made.get(which)
    if message is None:
        message = _rows_message(log, kind, first, last, keys)
        while len(_made) >= 32:
            _made.pop(next(iter(_made)))
        _made[which] = message
    return message


def _rows_message(log: Log, kind: Kind, first: int, last: int, keys: list[str] | None) -> str:
    rows = log.rows(kind)
    assert rows is not None
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
