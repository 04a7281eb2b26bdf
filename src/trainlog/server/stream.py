"""The live stream: server-sent events, with cursors from which a client can resume."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakKeyDictionary

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from trainlog.live_log.cursor import Cursor
from trainlog.live_log.log import Log
from trainlog.model import Kind
from trainlog.server.app_state import State, state_of
from trainlog.server.query import LETTERS, Query, json_body, takes, wrong
from trainlog.server.responses import ApiError, refusal, strict

__all__ = ["stream"]

HEARTBEAT: Final = 10.0
_VALUES: Final = 60_000  # in one message
_GATHER: Final = 0.05  # seconds; what arrives within them is sent as one message


@takes("runs", "cursors", "kinds", "keys")
async def stream(request: Request) -> Response:
    """New rows as they are written: server-sent events hello, rows, cursor, reset, gone, runs.

    A rows message has the numbers of its rows (from, to), so that repeated rows can be recognized. A cursor that no
    longer belongs to the file is answered with reset, and then with all rows from the first; that of a run that no
    longer exists with gone. For many runs, use POST with the body {"runs": {id: cursor or null}}.
    """
    state = state_of(request)
    query = Query(request)
    body = await json_body(request) if request.method == "POST" else {}
    places = body.get("runs", {})
    if not isinstance(places, dict) or not all(isinstance(one, str | None) for one in places.values()):
        raise ApiError(400, "body", 'runs must be {"id": cursor or null, ...}')
    names = [*places] or query.names("runs", most=LETTERS) or []
    state.check_count(len(names))
    # A browser that lost the connection sends its last position in one run; those in the others are in the address.
    text = f"{query.text('cursors', most=LETTERS)},{request.headers.get('last-event-id', '')}"
    given = [f"{name}:{cursor}" for name, cursor in places.items() if cursor] or text.split(",")
    cursors = _parse_cursors(given)
    try:
        kinds = {Kind.of(name.lower()) for name in query.names("kinds") or ["stats", "evolution", "event"]}
    except ValueError as error:
        raise wrong(str(error)) from error
    keys = query.names("keys")
    followed: list[_RunFollower] = []
    for name in names:
        if name not in cursors:  # a run that the client has seen may be gone now, and the others are not
            state.entry(name)
        followed.append(_RunFollower(state, name, kinds, keys, cursors.get(name)))
    if request.method == "HEAD":
        return Response(media_type="text/event-stream")  # a stream would keep its place until the client leaves
    return _LimitedStream(state, _messages(state, followed))


class _LimitedStream(StreamingResponse):
    """Takes one of the limited places for streams, and frees it at the end, however that happens."""

    def __init__(self, state: State, messages: AsyncIterator[str]) -> None:
        super().__init__(messages, media_type="text/event-stream")
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = self._state
        if state.streams >= state.limits.streams:
            busy = ApiError(503, "busy", f"at most {state.limits.streams} streams are allowed; close one")
            await refusal(busy)(scope, receive, send)
            return
        state.streams += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            state.streams -= 1


def _parse_cursors(parts: Iterable[str]) -> dict[str, Cursor]:
    found = {}
    for part in filter(None, parts):
        name, colon, cursor = part.partition(":")
        try:
            if not colon:
                raise ValueError("a cursor must be a run, a colon and a place")
            found[name] = Cursor.parse(cursor)
        except ValueError as error:
            raise ApiError(400, "cursor", str(error)) from error
    return found


async def _messages(state: State, followed: list[_RunFollower]) -> AsyncIterator[str]:
    version = state.catalog.version
    yield "retry: 1000\n\n" + _message("hello", {"version": version})
    last_sent = time.monotonic()
    while not state.stopping:
        for one in followed:
            async for part in one.messages():
                yield part
                last_sent = time.monotonic()
        if state.catalog.version != version:
            version = state.catalog.version
            yield _message("runs", {"version": version})
            last_sent = time.monotonic()
        elif time.monotonic() - last_sent > HEARTBEAT:
            yield ": still here\n\n"
            last_sent = time.monotonic()
        await state.signal.wait(1.0)
        await asyncio.sleep(_GATHER)


def _message(event: str, data: Any, id: str = "") -> str:
    return (f"id: {id}\n" if id else "") + f"event: {event}\ndata: {strict(data)}\n\n"


@dataclass(slots=True)
class _RunFollower:
    """One run in one stream, and how much of it the client has."""

    state: State
    id: str
    kinds: set[Kind]
    keys: list[str] | None
    cursor: Cursor | None
    first: Cursor | None = None  # rows before it are not sent
    log: Log | None = None
    version: int = -1
    sent: dict[Kind, int] = field(default_factory=dict)
    is_gone: bool = False

    async def messages(self) -> AsyncIterator[str]:
        """The messages that the client does not have yet."""
        try:
            log = self.state.poller.get(self.id)
            if log is None:
                log = await run_in_threadpool(self._open)
        except ApiError as error:
            if not self.is_gone:
                self.is_gone = True
                yield _message("gone", {"run": self.id, "reason": error.message})
            return
        self.is_gone = False
        if log is not self.log:
            if not log.version:
                return
            log.want(self.kinds)
            before, self.log, self.version, self.sent = self.log, log, -1, {}
            if self.cursor is None and before is None:
                self.cursor = log.cursor()
            elif await self._is_another(log, before):
                self.cursor = log.beginning()
                reason = "the file was replaced, cut or rewritten, or training was rewound"
                yield _message("reset", {"run": self.id, "reason": reason})
            self.first = self.cursor
        if log.version == self.version or self.cursor is None or self.first is None:
            return
        self.version, settled = log.version, log.settled()
        for kind in sorted(self.kinds & log.rows.keys()):
            rows = log.rows[kind]
            # A log that was opened a moment ago may be read less far than the client has seen.
            start = self.sent.get(kind) or log.row_after(kind, self.first)
            stop = min(rows.columns.rows, log.row_after(kind, settled))
            step = max(_VALUES // (len(self.keys or rows.columns.series) + 1), 1)
            for first in range(start, stop, step):
                self.sent[kind] = min(first + step, stop)
                yield _cached_rows_message(log, kind, first, self.sent[kind], self.keys)
        known, self.cursor = self.cursor, self.cursor.advanced(settled)
        if self.cursor != known:
            data = {"run": self.id, "cursor": str(self.cursor), "duration": log.duration()}
            yield _message("cursor", data, f"{self.id}:{self.cursor}")

    def _open(self) -> Log:
        return self.state.log(self.state.entry(self.id))

    async def _is_another(self, log: Log, before: Log | None) -> bool:
        """Whether *log* is not the one that the client knows, or has changed before the client's position."""
        if self.cursor is None or (before is not None and before.is_replaced):
            return True
        return not await run_in_threadpool(log.holds, self.cursor)


_cache: WeakKeyDictionary[Log, dict[tuple[Any, ...], str]] = WeakKeyDictionary()


def _cached_rows_message(log: Log, kind: Kind, first: int, last: int, keys: list[str] | None) -> str:
    """The message with these rows; cached, as all clients of a run want the same ones."""
    known = _cache.setdefault(log, {})
    which = (kind, first, last, tuple(keys) if keys is not None else None)
    message = known.get(which)
    if message is None:
        message = _rows_message(log, kind, first, last, keys)
        while len(known) >= 8:
            known.pop(next(iter(known)))
        known[which] = message
    return message


def _rows_message(log: Log, kind: Kind, first: int, last: int, keys: list[str] | None) -> str:
    rows = log.rows[kind]
    data = {
        "run": log.id,
        "kind": str(kind),
        "from": first,
        "to": last,
        "time": rows.time.read(first, last).tolist(),
        "columns": {
            key: one.plain(one.numbers(first, last))
            for key, one in rows.columns.series.items()
            if keys is None or key in keys
        },
    }
    return _message("rows", data)
