"""What all requests share: the catalog, the open logs, and who waits for news."""

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

# Seconds that a request waits for a log that is being read for the first time: until it is read, where that cannot
# take long; else until there is something to show. The answer says how much of the log it is made of.
PATIENCE: Final = 10.0
PATIENCE_WITH_LARGE: Final = 0.2
LARGE: Final = 50_000_000  # bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may ask for."""

    points: int = 20_000  # of one curve
    values: int = 1_000_000  # in one answer
    streams: int = 100  # at the same time
    runs: int = 1000  # in one stream, in all groups, in one figure
    queries: int = 2  # that read at the same time, as each may take a whole column into memory


class Signal:
    """Wakes everybody who waits for news; may be notified from any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()

    def attach(self) -> None:
        """Called in the loop where the waiting is done."""
        self._loop = asyncio.get_running_loop()

    def notify(self) -> None:
        """There is news."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._pulse)

    def _pulse(self) -> None:
        old, self._news = self._news, asyncio.Event()
        old.set()

    async def wait(self, seconds: float) -> None:
        """Until there is news, at most *seconds*."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)


class State:
    """See the module.

    Attributes:
        table: of the runs.
        write_token: what the page needs to keep notes.
        queries: held by requests that read: only some at a time do.

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
        """End all streams: a server that shuts down would wait for them."""
        self.stopping = True
        self.signal.notify()

    def check_count(self, runs: int) -> None:
        """Refuse to draw or to follow more *runs* than are allowed.

        Raises:
            ApiError: when there are more.

        """
        if runs > (most := self.limits.runs):
            raise ApiError(400, "runs", f"{runs:,} runs are too many: at most {most:,} at a time; narrow the filter")

    def entry(self, id: str) -> LiveRun:
        """The log of that id.

        Raises:
            ApiError: when there is none.

        """
        entry = self.catalog.entries.get(id)
        if entry is None:
            raise ApiError(404, "run", "there is no such run")
        return entry

    def log(self, entry: LiveRun) -> Log:
        """The log of *entry*, open.

        Raises:
            ApiError: when it cannot be read.

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
        """What is wrong, without the places of this machine."""
        message = error if isinstance(error, str) else getattr(error, "message", None) or str(error)
        message = message or type(error).__name__
        for root in self.catalog.roots:
            message = message.replace(f"{root}/", "").replace(str(root), root.name)
        return message

    @contextmanager
    def reading(
        self, log: Log, kinds: Collection[Kind], *, times: Collection[Kind] = (), patience: float | None = None
    ) -> Iterator[None]:
        """Read from *log*, only some requests at a time, when it is read itself, or when *patience* is over.

        Args:
            log: the log.
            kinds: those whose values are needed.
            times: those of which it is enough to know when they were, and how many.
            patience: seconds to wait.

        Raises:
            ApiError: when the log cannot be read any more.

        """
        log.want(kinds)
        self.poller.wake()
        if patience is None:
            patience = PATIENCE if log.size < LARGE else PATIENCE_WITH_LARGE
        log.wait_for(kinds, patience, times=times)
        if log.error:
            raise ApiError(409, "replaced", f"the file changed while it was read: {self.redact(log.error)}; ask again")
        began = time.monotonic()
        with self.queries:
            log.used = max(log.used, began)
            yield


def state_of(request: Request) -> State:
    """What all requests share."""
    state: State = request.app.state.shared
    return state


def opened(request: Request) -> tuple[State, LiveRun, Log]:
    """The run that the address names."""
    state = state_of(request)
    entry = state.entry(request.path_params["id"])
    return state, entry, state.log(entry)
