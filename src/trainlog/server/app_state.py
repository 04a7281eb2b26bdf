"""What all requests share: the catalog, the open logs, and the wake-up of waiting streams."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from trainlog.catalog.live import LiveCatalog, LiveRun
from trainlog.catalog.live_table import LiveTable
from trainlog.errors import LogNotFound, TrainlogError
from trainlog.live_log.log import Log
from trainlog.model import Kind
from trainlog.server.log_poller import LogPoller
from trainlog.server.replay_pages import ReplayPages
from trainlog.server.responses import ApiError

__all__ = ["Limits", "Signal", "State", "opened", "state_of"]

# Seconds that a request waits for a log that is being read for the first time: until it is read, if that cannot take
# long; otherwise until there is something to show. The answer says how much of the log it covers.
PATIENCE: Final = 10.0
PATIENCE_WITH_LARGE: Final = 0.2
LARGE: Final = 50_000_000  # bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits for the requests of a client."""

    points: int = 20_000  # of one curve
    values: int = 1_000_000  # in one answer
    streams: int = 100  # at the same time
    runs: int = 1000  # in one stream, in all groups, in one figure
    queries: int = 2  # that read at the same time, as each may load a whole column into memory


class Signal:
    """Wakes all coroutines that wait for news; can be notified from any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()

    def attach(self) -> None:
        """Use the running event loop, in which `wait` is called."""
        self._loop = asyncio.get_running_loop()

    def notify(self) -> None:
        """Wake everything that waits."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nothing waits any more
                self._loop.call_soon_threadsafe(self._pulse)

    def _pulse(self) -> None:
        old, self._news = self._news, asyncio.Event()
        old.set()

    async def wait(self, seconds: float) -> None:
        """Wait for news, at most *seconds*."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)


class State:
    """The state that all requests share; see the module.

    Attributes:
        table: the table of the runs.
        write_token: the token that the page needs to store notes.
        queries: held by requests that read; limits how many do so at a time.

    """

    def __init__(self, catalog: LiveCatalog, poller: LogPoller, limits: Limits, replay_pages: ReplayPages) -> None:
        self.catalog = catalog
        self.poller = poller
        self.replay_pages = replay_pages
        self.limits = limits
        self.signal = Signal()
        self.streams = 0
        self.stopping = False
        self.table = LiveTable(catalog)
        self.write_token = secrets.token_urlsafe(24)
        self.queries = threading.BoundedSemaphore(limits.queries)
        catalog.on_change = poller.on_change = self.signal.notify

    def stop(self) -> None:
        """End all streams, as a server that shuts down would wait for them."""
        self.stopping = True
        self.signal.notify()

    def check_count(self, runs: int) -> None:
        """Refuse to draw or follow more *runs* than allowed.

        Raises:
            ApiError: if there are more.

        """
        if runs > (most := self.limits.runs):
            raise ApiError(400, "runs", f"{runs:,} runs are too many: at most {most:,} at a time; narrow the filter")

    def entry(self, id: str) -> LiveRun:
        """The run with this id.

        Raises:
            ApiError: if there is none.

        """
        entry = self.catalog.entries.get(id)
        if entry is None:
            raise ApiError(404, "run", "there is no such run")
        return entry

    def log(self, entry: LiveRun) -> Log:
        """The open log of *entry*.

        Raises:
            ApiError: if it cannot be read.

        """
        log = self.poller.get(entry.id)
        if log is not None and not log.error:
            return log
        try:
            return self.poller.open(entry.id, entry.name, self.catalog.path_of(entry), entry.files)
        except LogNotFound as error:
            raise ApiError(404, "run", error.message) from error
        except (TrainlogError, OSError, ValueError) as error:
            raise ApiError(422, "damaged", self.redact(error)) from error

    def redact(self, error: Exception | str) -> str:
        """The message of *error*, without paths of this machine."""
        message = error if isinstance(error, str) else getattr(error, "message", None) or str(error)
        message = message or type(error).__name__
        for root in self.catalog.roots:
            message = message.replace(f"{root}/", "").replace(str(root), root.name)
        return message

    @contextmanager
    def reading(
        self, log: Log, kinds: Collection[Kind], *, times: Collection[Kind] = (), patience: float | None = None
    ) -> Iterator[None]:
        """Wait until *log* is read, at most *patience* seconds, then let only a few requests use it at a time.

        Args:
            log: the log.
            kinds: the kinds whose values are needed.
            times: the kinds of which only the times and the number of frames are needed.
            patience: seconds to wait.

        Raises:
            ApiError: if the log can no longer be read.

        """
        log.want(kinds)
        self.poller.wake()
        if patience is None:
            patience = PATIENCE if log.size < LARGE else PATIENCE_WITH_LARGE
        log.wait_for(kinds, patience, times=times)
        if log.error:
            raise ApiError(409, "replaced", f"the file changed while it was read: {self.redact(log.error)}; try again")
        began = time.monotonic()
        with self.queries:
            log.used = max(log.used, began)
            yield


def state_of(request: Request) -> State:
    """The state that all requests share."""
    state: State = request.app.state.shared
    return state


def opened(request: Request) -> tuple[State, LiveRun, Log]:
    """The shared state, and the run that the address names with its log."""
    state = state_of(request)
    entry = state.entry(request.path_params["id"])
    return state, entry, state.log(entry)
