"""The 3-D pages that the moment panel links to: one process for each log, because its model comes from a file."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from trainlog.errors import TrainlogError
from trainlog.served_process import ServedPage
from trainlog.server.responses import ApiError

__all__ = ["ReplayPages"]

_MOST: Final = 4  # processes; when there are more, the one that was opened first ends


class ReplayPages:
    """The processes that serve pages, by log."""

    def __init__(self) -> None:
        self._pages: dict[str, ServedPage] = {}
        self._lock = threading.Lock()

    def open(self, id: str, path: Path, order: int) -> str:
        """The address of the page for the log *path*, which shows the state at *order*.

        Raises:
            ApiError: if the log cannot be shown.

        """
        with self._lock:
            if id in self._pages and not self._pages[id].is_running:
                self._pages.pop(id).close()
            try:
                if id not in self._pages:
                    while len(self._pages) >= _MOST:
                        self._pages.pop(next(iter(self._pages))).close()
                    self._pages[id] = ServedPage(["replay", str(path), "--controlled"])
                self._pages[id].say(str(order))
            except TrainlogError as error:
                raise ApiError(422, "replay", str(error).replace(f"{path}: ", "")) from None
            except OSError as error:
                raise ApiError(409, "replay", "the 3-D page ended; try again") from error
            return self._pages[id].url

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            while self._pages:
                self._pages.popitem()[1].close()
