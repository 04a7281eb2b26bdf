"""The server that ``trainlog serve`` runs: uvicorn, with time limits for its clients.

uvicorn closes a connection that is idle after an answer, but waits forever for a request that never ends, and for a
client that does not read.
"""

from __future__ import annotations

import asyncio
import socket
from types import FrameType
from typing import Any, Final

import uvicorn

from trainlog.server.security import Guard

__all__ = ["Server"]

PATIENCE: Final = 20.0  # seconds within which a request must arrive completely
STALLED: Final = 30.0  # seconds that a client may leave sent data unread
_ACCEPTED: Final = 0.05  # seconds, in which the event loop makes a connection of what it has accepted


class Server(uvicorn.Server):
    """A server of the dashboard.

    It ends the live streams before it waits for its clients, because those of a stream never disconnect.
    """

    def __init__(
        self, app: Guard, *, patience: float = PATIENCE, stalled: float = STALLED, log_level: str = "warning"
    ) -> None:
        """Serve *app*; both time limits are in seconds."""
        protocol = _limited_protocol(patience, stalled)
        options: dict[str, Any] = {"http": protocol, "server_header": False, "access_log": False}
        super().__init__(uvicorn.Config(app, log_level=log_level, timeout_graceful_shutdown=1, **options))
        self._stop_streams = app.stop

    def stop(self) -> None:
        """End the server soon; can be called from any thread."""
        self._stop_streams()
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End the server because of a signal."""
        self._stop_streams()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the connections, but first accept no more of them: uvicorn waits for one that it accepts meanwhile."""
        for listening in sockets or ():
            asyncio.get_running_loop().remove_reader(listening)
        await asyncio.sleep(_ACCEPTED)
        await super().shutdown(sockets)


def _limited_protocol(patience: float, stalled: float) -> type[asyncio.Protocol]:
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
