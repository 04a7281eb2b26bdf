"""The application: addresses, errors, the page's own files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from importlib import import_module, resources
from pathlib import Path
from typing import Any, Final

from anyio.to_thread import current_default_thread_limiter
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trainlog.catalog.live import LiveCatalog
from trainlog.errors import ExpressionError, TrainlogError
from trainlog.server import api, api_flog, api_runs, exports, moment_api, path_api
from trainlog.server.app_state import Limits, State, state_of
from trainlog.server.log_poller import LogPoller
from trainlog.server.replay_pages import ReplayPages
from trainlog.server.responses import ApiError, json_response, refusal
from trainlog.server.security import Guard
from trainlog.server.stream import stream
from trainlog.storage.location import location

__all__ = ["create_app"]

_THREADS: Final = 1000  # at most; requests that wait for their turn to read must not block all others
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


def create_app(
    roots: Sequence[Path],
    *,
    hosts: Collection[str] = ("127.0.0.1", "localhost", "::1"),
    token: str | None = None,
    limits: Limits | None = None,
    scan_every: float = 1.0,
    framed_by: Collection[str] = (),
    read_only: bool = False,
) -> Guard:
    """The dashboard of the logs in *roots* as an ASGI application.

    Args:
        roots: folders and files to serve; nothing outside of them is ever opened.
        hosts: host names of the server, without ports; a request for any other is refused. Empty accepts all.
        token: the token that a client must know; None gives access to everybody who can reach the server.
        limits: the limits for the requests of a client.
        scan_every: seconds between looks for new logs.
        framed_by: sites whose pages may show this one in a frame, as in a content security policy.
        read_only: whether to refuse to store names, tags, notes and views next to the logs.

    Returns:
        The application; its ``stop`` ends all live streams, so that the server can shut down at once.

    Raises:
        LogNotFound: if one of *roots* does not exist.

    """
    catalog = LiveCatalog([location(root) for root in roots], scan_every, read_only=read_only)
    state = State(catalog, LogPoller(), limits or Limits(), ReplayPages())

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        state.signal.attach()
        current_default_thread_limiter().total_tokens = _THREADS
        catalog.start()
        # Charts need it, but the first list must not wait for it. (In a thread, it would take more memory.)
        asyncio.get_running_loop().call_later(1.0, import_module, "trainlog.plot")
        yield
        state.poller.close()
        state.replay_pages.close()
        catalog.close()

    app = Starlette(
        routes=[
            *[Route(path, page, methods=["GET"]) for path, page in _ROUTES],
            Route("/api/v1/notes", api_runs.annotate, methods=["POST"]),
            Route("/api/v1/stream", stream, methods=["POST"]),
            *_pages(),
        ],
        exception_handlers=dict.fromkeys((ApiError, HTTPException, TrainlogError, OSError, Exception), _refused),
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.shared = state
    return Guard(app, hosts=hosts, token=token, framed_by=framed_by, stop=state.stop)


def _description(request: Request) -> Response:
    from trainlog.server.openapi import document

    return json_response(document(_ROUTES))


_ROUTES: Final[list[tuple[str, Callable[..., Any]]]] = [
    ("/api/flog/list", api_flog.list_logs),
    ("/api/flog/analyze", api_flog.analyze),
    ("/api/flog/watch", api_flog.watch),
    ("/api/flog/watch/reset", api_flog.reset),
    ("/api/v1/runs", api_runs.runs),
    ("/api/v1/ids", api_runs.ids),
    ("/api/v1/columns", api_runs.columns),
    ("/api/v1/groups", api_runs.groups),
    ("/api/v1/notes", api_runs.notes),
    ("/api/v1/runs/{id}", api.run),
    ("/api/v1/runs/{id}/series", api.series),
    ("/api/v1/runs/{id}/rows", api.rows),
    ("/api/v1/runs/{id}/rows.csv", api.csv_rows),
    ("/api/v1/runs/{id}/events", api.events),
    ("/api/v1/figure", exports.figure),
    ("/api/v1/runs/{id}/frame", moment_api.frame),
    ("/api/v1/runs/{id}/path", path_api.path),
    ("/api/v1/runs/{id}/functions", moment_api.functions),
    ("/api/v1/runs/{id}/function", moment_api.function),
    ("/api/v1/runs/{id}/replay", moment_api.replay),
    ("/api/v1/stream", stream),
    ("/api/v1/openapi.json", _description),
]


def _pages() -> list[Route]:
    """The page's own files, by name; an address is never turned into a path."""
    folder = resources.files("trainlog.server") / "static"
    routes = []
    for file in folder.iterdir():
        kind = _TYPES.get(Path(file.name).suffix)
        if kind is not None:
            place = "/" if file.name == "index.html" else f"/static/{file.name}"
            page = Response(file.read_bytes(), media_type=kind, headers={"cache-control": "no-cache"})
            routes.append(Route(place, page, methods=["GET"]))
    return routes


def _refused(request: Request, error: Exception) -> Response:
    """The answer to a client for an error."""
    if isinstance(error, HTTPException):
        error = ApiError(error.status_code, "address", "there is nothing at this address")
    elif isinstance(error, ExpressionError):  # of the filter, in any list of runs
        error = ApiError(400, "filter", str(error))
    elif isinstance(error, TrainlogError | OSError):  # a file that was readable a moment ago no longer is
        reason = state_of(request).redact(error)
        error = ApiError(409, "changed", f"the file changed while it was read ({reason}); try again")
    elif not isinstance(error, ApiError):
        error = ApiError(500, "internal", "internal error; see the terminal of the server")
    return refusal(error)
