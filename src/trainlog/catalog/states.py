"""Whether a run is being written, and how it ended."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from trainlog.catalog.facts import Facts, State
from trainlog.storage.locks import lock_owner

__all__ = ["HERE", "OPEN_STATES", "STATES", "state_of"]

STATES: Final[Mapping[State, str]] = {
    "running": "a process on this machine holds the log open, or it records no end and grew recently",
    "stalled": "a process holds it open, but has written nothing for five minutes",
    "finished": "it ran to its end, as the log records",
    "failed": "an exception or an exit code ended it",
    "interrupted": "Ctrl-C or someone else ended it",
    "killed": "nobody writes it, and it records no end although its recorder would have; or it ends inside a record",
    "ended": "nobody writes it, and logs of its format do not record how they ended",
    "unreadable": "its header cannot be read",
}
"""The states of a run."""

OPEN_STATES: Final = frozenset(["running", "stalled"])
"""The states that can end without any file changing."""

LIVE: Final = 20.0  # a log that grew within this many seconds is being written, perhaps by another machine
_LIVE_ELSEWHERE: Final = 600.0  # the same for a log recorded on another machine, whose locks are not visible here
_SILENT: Final = 300.0  # seconds without growth after which a writer that holds the log open counts as stalled
HERE: Final = socket.gethostname()


def state_of(facts: Facts, files: Iterable[Path]) -> State:
    """The current state of a log; a log that is not running can start running only by a change of its files."""
    if facts.state == "unreadable":
        return facts.state
    age = time.time() - facts.changed
    if any(map(lock_owner, files)):
        return "stalled" if age >= _SILENT else "running"
    if facts.end:
        return facts.end
    is_elsewhere = facts.run.get("host", HERE) != HERE
    if 0 <= age < (_LIVE_ELSEWHERE if is_elsewhere else LIVE):
        return "running"
    return "killed" if facts.torn or facts.run else "ended"
