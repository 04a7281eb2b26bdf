"""Keeps the logs that clients look at up to date, from one thread, one time slice after another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from trainlog.errors import InvalidPosition, TrainlogError
from trainlog.live_log.log import Log

__all__ = ["LogPoller"]

SLICE: Final = 0.05  # seconds
WATCHED: Final = 60.0  # seconds without a request after which a log is not read further ...
KEPT: Final = 600.0  # ... and after which it is forgotten
MOST: Final = 2000  # open logs; more than one stream can follow
CALM: Final = 20.0  # a log that has not grown for this many seconds ...
LONGEST: Final = 1.0  # ... is looked at once in this many seconds, others more often


class LogPoller:
    """The open logs.

    Attributes:
        on_change: called from the poller's thread when any log has new data.

    """

    def __init__(self, pause: float = 0.05) -> None:
        self._pause = pause
        self._logs: dict[str, Log] = {}
        self._news: WeakKeyDictionary[Log, float] = WeakKeyDictionary()  # when there was new data
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self.on_change: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._run, name="log poller", daemon=True)
        self._thread.start()

    def open(self, id: str, name: str, path: Path, files: Sequence[Path] = ()) -> Log:
        """The log with this *id*, which is opened if needed; it consists of *files*.

        Raises:
            TrainlogError: if it cannot be read.

        """
        with self._lock:
            log = self._logs.get(id)
            if log is None:
                log = self._logs[id] = Log(id, name, path, files)
                self._make_room()
            elif time.monotonic() - log.used > WATCHED:
                log.version = 0
            log.used = time.monotonic()
        self._wake.set()
        return log

    def get(self, id: str) -> Log | None:
        """The log with this *id* if it is open; this counts as a request for it."""
        log = self._logs.get(id)
        if log is not None:
            log.used = time.monotonic()
        return log

    def drop(self, id: str) -> None:
        """Forget a log, so that it is read again."""
        with self._lock:
            log = self._logs.pop(id, None)
        if log is not None:
            log.error = log.error or "it is being read again"

    def wake(self) -> None:
        """End the current pause, as there is work to do."""
        self._wake.set()

    def close(self) -> None:
        """End the thread, and forget all logs."""
        self._closed = True
        self._wake.set()
        self._thread.join(5)
        for id in list(self._logs):
            self.drop(id)

    def _make_room(self) -> None:
        if len(self._logs) > MOST:
            oldest = min(self._logs.values(), key=lambda log: log.used)
            del self._logs[oldest.id]
            oldest.error = "it was closed in favor of other logs"

    def _run(self) -> None:
        while not self._closed:
            more = changed = False
            now = time.monotonic()
            for log in list(self._logs.values()):
                if now - log.used > KEPT:
                    self.drop(log.id)
                elif now - log.used <= WATCHED and now >= log.due:
                    log.due = now + LONGEST * min((now - self._news.get(log, now)) / CALM, 1.0)
                    version = log.version
                    more |= self._advance(log)
                    if log.version != version or log.error:
                        changed, self._news[log], log.due = True, now, 0.0
            if changed:
                self.on_change()
            if not more:
                self._wake.wait(self._pause)
                self._wake.clear()

    def _advance(self, log: Log) -> bool:
        try:
            return log.advance(time.monotonic() + SLICE)
        except InvalidPosition as error:
            log.error, log.is_replaced = error.message, True
        except (TrainlogError, OSError, ValueError) as error:
            log.error = str(error) or type(error).__name__
        except Exception as error:  # noqa: BLE001 - a plug-in's reader can raise anything; the others continue
            log.error = f"{type(error).__name__}: {error}"
        log.version += 1
        self.drop(log.id)
        with log.changed:
            log.changed.notify_all()
        return False
