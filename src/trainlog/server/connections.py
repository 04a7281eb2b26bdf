"""What a client may cost that asks for nothing, or does not take its answer: time, and memory of the server.

uvicorn closes a connection that is idle after an answer. It waits for ever for a request that never ends, and for a
client that does not read; and what an answer of one piece holds, it keeps until then.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.types import Message, Receive, Scope, Send

from trainlog.server.responses import ApiError, refusal

__all__ = ["Outbox", "limited_protocol"]

PATIENCE: Final = 20.0  # seconds until a request must have come whole
STALLED: Final = 30.0  # seconds that a client may leave what is sent to it unread
_PIECE: Final = 1 << 16  # bytes that are handed on at once, as the next ones wait until the client has taken these
_MOST_HELD: Final = 64 << 20  # bytes of all answers that wait for their clients


def limited_protocol(patience: float = PATIENCE, stalled: float = STALLED) -> type[asyncio.Protocol]:
    """The HTTP protocol of uvicorn, which closes connections that only cost something."""
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    parent: Any = AutoHTTPProtocol

    class LimitedProtocol(parent):  # type: ignore[misc]  # which class it is depends on what is installed
        _request: asyncio.TimerHandle | None = None
        _answer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            for timer in (self._request, self._answer):
                if timer is not None:
                    timer.cancel()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._answer = self.loop.call_later(stalled, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._answer is not None:
                self._answer.cancel()

        def _watch(self) -> None:
            """Give the client some time for a request that has begun, and no more with each byte of it."""
            waits = self.cycle is None or self.cycle.response_complete
            if waits and self._request is None:
                self._request = self.loop.call_later(patience, self._close)
            elif not waits and self._request is not None:
                self._request.cancel()
                self._request = None

        def _close(self) -> None:
            self._request = None
            if self.cycle is None or self.cycle.response_complete:
                self.transport.abort()

    return LimitedProtocol


class Outbox:
    """Hands answers on in pieces, so that a client that does not read holds little; refuses where much is held."""

    def __init__(self) -> None:
        self._held = 0

    def sender(self, scope: Scope, receive: Receive, send: Send) -> Send:
        """What an application sends its answer to *scope* by."""
        start: Message | None = None
        is_refused = False

        async def sending(message: Message) -> None:
            nonlocal start, is_refused
            if message["type"] == "http.response.start":
                start = message
                return
            body = message.get("body", b"")
            if start is not None and len(body) > _PIECE and self._held + len(body) > _MOST_HELD:
                is_refused = True
                busy = ApiError(503, "busy", "too many clients leave their answers unread; ask again")
                await refusal(busy)(scope, receive, send)
            if is_refused:
                return
            if start is not None:
                first, start = start, None
                await send(first)
            if len(body) <= _PIECE:
                await send(message)
                return
            self._held += len(body)
            try:
                for at in range(0, len(body), _PIECE):
                    piece = body[at : at + _PIECE]
                    more = message.get("more_body", False) or at + _PIECE < len(body)
                    await send({"type": message["type"], "body": piece, "more_body": more})
            finally:
                self._held -= len(body)

        return sending
