"""Time limits for clients that send no complete request, or do not read the answer.

uvicorn closes a connection that is idle after an answer, but waits forever for a request that never ends, and for a
client that does not read.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

__all__ = ["limited_protocol"]

PATIENCE: Final = 20.0  # seconds within which a request must arrive completely
STALLED: Final = 30.0  # seconds that a client may leave sent data unread


def limited_protocol(patience: float = PATIENCE, stalled: float = STALLED) -> type[asyncio.Protocol]:
    """The HTTP protocol of uvicorn, with time limits that close useless connections."""
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    parent: Any = AutoHTTPProtocol

    class LimitedProtocol(parent):  # type: ignore[misc]  # the class depends on what is installed
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
            """Start the time limit of a request; further bytes of the request do not extend it."""
            waits = self._waits()
            if waits and self._request is None:
                self._request = self.loop.call_later(patience, self._close)
            elif not waits and self._request is not None:
                self._request.cancel()
                self._request = None

        def _close(self) -> None:
            self._request = None
            if self._waits():
                self.transport.abort()

        def _waits(self) -> bool:
            """Whether a request, or the rest of one, is expected from the client."""
            return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    return LimitedProtocol
