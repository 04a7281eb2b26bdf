"""A verb of the command line that serves a page, in a process of its own which ends with this one."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from trainlog.errors import TrainlogError

__all__ = ["PATIENCE", "ServedPage"]

PATIENCE: Final = 60.0  # seconds within which the page must be available
_FAREWELL: Final = 10.0  # seconds that the process has to end by itself


class ServedPage:
    """A page served by another process, which ends when its standard input does: at the latest with this process.

    Attributes:
        url: the address of the page, for a browser on this machine.

    """

    def __init__(self, arguments: Sequence[str]) -> None:
        """Run the command line with *arguments*, and wait until it prints its address.

        Raises:
            TrainlogError: when it ends before that, or prints no address for a minute; with its last output.

        """
        command = [sys.executable, "-m", "trainlog", *arguments]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe, text=True)
        assert self._process.stdin is not None
        assert self._process.stderr is not None
        self._input, self._output = self._process.stdin, self._process.stderr
        guard = threading.Timer(PATIENCE, self._process.kill)
        guard.start()
        said = ""
        for line in self._output:
            said = line.strip().removeprefix("trainlog: ")
            if said.startswith("http://"):
                break
        guard.cancel()
        self.url = said
        if not said.startswith("http://"):
            self._process.communicate()
            raise TrainlogError(said or "the page did not start")
        threading.Thread(target=self._drain, daemon=True).start()

    @property
    def is_running(self) -> bool:
        """Whether its server is running."""
        return self._process.poll() is None

    def say(self, line: str) -> None:
        """Write a line to its standard input.

        Raises:
            OSError: when it has ended.

        """
        self._input.write(f"{line}\n")
        self._input.flush()

    def close(self) -> None:
        """End the server; an open page stays, and says that the server is gone."""
        with suppress(OSError):  # for a line that the process has not read
            self._input.close()
        try:
            self._process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def _drain(self) -> None:
        """Read the output of the process, so that it never waits for a reader."""
        with suppress(ValueError):  # it was closed meanwhile
            for _ in self._output:
                pass
