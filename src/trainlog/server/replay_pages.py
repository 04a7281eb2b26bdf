"""The 3-D pages that the moment panel links to: a process for each log, as a model comes out of a file."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from trainlog.server.responses import ApiError

__all__ = ["ReplayPages"]

_MOST: Final = 4  # processes; the one that was opened first ends
_PATIENCE: Final = 60.0  # seconds until a page has to be there


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
    command = [sys.executable, "-m", "trainlog", "replay", str(path), "--controlled"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe, text=True)
    assert process.stderr is not None
    guard = threading.Timer(_PATIENCE, process.kill)
    guard.start()
    said = ""
    for line in process.stderr:
        said = line.strip().removeprefix("trainlog: ")
        if said.startswith("http://127.0.0.1:"):
            guard.cancel()
            threading.Thread(target=process.stderr.read, daemon=True).start()  # so that it never waits for a reader
            return process, said
    guard.cancel()
    process.communicate()
    raise ApiError(422, "replay", said.replace(f"{path}: ", "") or "the 3-D page did not start")
