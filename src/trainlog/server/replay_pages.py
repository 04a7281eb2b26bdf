"""The 3-D pages that the moment panel links to: a process for each log, as a model comes out of a file."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from typing import Final

from trainlog.errors import TrainlogError
from trainlog.served_process import start_serving
from trainlog.server.responses import ApiError

__all__ = ["ReplayPages"]

_MOST: Final = 4  # processes; the one that was opened first ends


class ReplayPages:
    """The processes that serve pages, by log. Each ends when its standard input does, at the latest with this one."""

    def __init__(self) -> None:
        self._pages: dict[str, tuple[subprocess.Popen[str], str]] = {}
        self._lock = threading.Lock()

    def open(self, id: str, path: Path, order: int) -> str:
        """The address of the page of the log *path*, which shows the state at *order*.

        Raises:
            ApiError: when the log cannot be shown.

        """
        with self._lock:
            page = self._pages.get(id)
            if page is None or page[0].poll() is not None:
                self._end(id)
                while len(self._pages) >= _MOST:
                    self._end(next(iter(self._pages)))
                page = self._pages[id] = _start(path)
            process, url = page
            assert process.stdin is not None
            try:
                process.stdin.write(f"{order}\n")
                process.stdin.flush()
            except OSError as error:
                raise ApiError(409, "replay", "the 3-D page ended; ask again") from error
            return url

    def _end(self, id: str) -> None:
        if id in self._pages:
            process, _ = self._pages.pop(id)
            process.terminate()
            process.communicate()

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            for id in list(self._pages):
                self._end(id)


def _start(path: Path) -> tuple[subprocess.Popen[str], str]:
    try:
        return start_serving(["replay", str(path), "--controlled"])
    except TrainlogError as error:
        raise ApiError(422, "replay", str(error).replace(f"{path}: ", "")) from None
