"""A verb of the command line that serves a page, in a process of its own which ends with this one."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Final

from trainlog.errors import TrainlogError

__all__ = ["PATIENCE", "start_serving"]

PATIENCE: Final = 60.0  # seconds until the page has to be there


def start_serving(arguments: Sequence[str]) -> tuple[subprocess.Popen[str], str]:
    """Run the command line with *arguments* until it says its address.

    Returns:
        The process, which has to end with its standard input, and the address.

    Raises:
        TrainlogError: when it ends before, or says none for a minute: with what it said last.

    """
    command = [sys.executable, "-m", "trainlog", *arguments]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe, text=True)
    assert process.stderr is not None
    guard = threading.Timer(PATIENCE, process.kill)
    guard.start()
    said = ""
    for line in process.stderr:
        said = line.strip().removeprefix("trainlog: ")
        if said.startswith("http://"):
            guard.cancel()
            threading.Thread(target=_drain, args=(process,), daemon=True).start()
            return process, said
    guard.cancel()
    process.communicate()
    raise TrainlogError(said or "the page did not start")


def _drain(process: subprocess.Popen[str]) -> None:
    """Read what the process says, so that it never waits for a reader."""
    assert process.stderr is not None
    try:
        for _ in process.stderr:
            pass
    except ValueError:  # it was closed meanwhile
        return
