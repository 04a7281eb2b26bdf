"""What the catalog stores about a log, without any of its frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from trainlog.printable import counted

__all__ = ["LAST", "Facts", "State"]

State = str
"""One of `trainlog.catalog.states.STATES`."""

LAST: Final = "last/"
"""The prefix of the columns of last values."""


@dataclass(slots=True)
class Facts:
    """What the catalog stores about a log.

    Attributes:
        files: the names of its files, relative to its own folder.
        format: the name of its codec; empty for a file that is not a log.
        rank: the rank of a shard; None for anything else.
        meta: the metadata, flattened.
        task: the task of the run, from its metadata; empty if they do not name one.
        run: the provenance, flattened, without the patch; see `trainlog.model.Header`.
        end: how the run ended, as the log records it; empty if it does not.
        reason: what ended it.
        phase: the phase in the header.
        state: see `State`.
        error: why it cannot be read.
        size: the bytes of all files.
        changed: when the newest of them was changed, in seconds since 1970.
        frames: the number of frames of all kinds; None before the log was read.
        duration: the time of the last frame, in seconds since the run began.
        torn: whether it ends inside a record.
        holes, damage: the number of places with bytes that are not a record, and the number of these bytes.
        last: the last finite number of each metric, by the name of the column: ``last/reward``. Bools are 1 and 0.
        reward, step: the names of these metrics, by the log's own conventions; empty for none.
        read: whether the whole log was read, so that frames, duration, damage and metrics are known.

    """

    files: list[str] = field(default_factory=list)
    format: str = ""
    rank: int | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    task: str = ""
    run: dict[str, Any] = field(default_factory=dict)
    end: str = ""
    reason: str = ""
    phase: int = 0
    state: State = "ended"
    error: str = ""
    size: int = 0
    changed: float = 0.0
    frames: int | None = None
    duration: float | None = None
    torn: bool = False
    holes: int = 0
    damage: int = 0
    last: dict[str, float] = field(default_factory=dict)
    reward: str = ""
    step: str = ""
    read: bool = False

    @property
    def problem(self) -> str:
        """What is wrong with the log; empty if nothing is. A torn end is not a problem: killed runs end like that."""
        if self.error:
            return self.error
        return f"{self.damage:,} bytes that are not a record, in {counted(self.holes, 'place')}" if self.holes else ""

    def last_of(self, metric: str) -> float | None:
        """The last finite number of a metric."""
        return self.last.get(f"{LAST}{metric}")

    def packed(self) -> list[Any]:
        """As plain values, in the order of the fields; short, as a catalog has many thousands of them."""
        return [getattr(self, name) for name in self.__slots__]
