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
    "running": "a process of this machine holds the log open, or it says of no end and grew shortly ago",
    "stalled": "a process holds it open, and has written nothing for five minutes",
    "finished": "it came to its end, by its own word",
    "failed": "an exception, or an exit code, ended it",
    "interrupted": "Ctrl-C, or somebody else, ended it",
    "killed": "nobody writes it, and it says of no end, though its recorder would have; or it ends inside a record",
    "ended": "nobody writes it; how it ended, a log of its kind does not say",
    "unreadable": "its header cannot be read",
}
"""The states of a run."""

OPEN_STATES: Final = frozenset(["running", "stalled"])
"""Those that end without a change of any file."""

LIVE: Final = 20.0  # a log that grew within so many seconds is being written, by another machine perhaps
_LIVE_ELSEWHERE: Final = 600.0  # the same for one that says that another machine writes it: its locks are not seen here
_SILENT: Final = 300.0  # seconds after which the writer of a log that holds it open is said to be stalled
HERE: Final = socket.gethostname()


def state_of(facts: Facts, files: Iterable[Path]) -> State:
    """The state of a log now; what is not running can only become so by a change of its files."""
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
