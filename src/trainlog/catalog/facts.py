"""What the catalog keeps of a log, without any of its frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["LAST", "Facts", "State"]

State = str
"""One of `trainlog.catalog.states.STATES`."""

LAST: Final = "last/"
"""What the columns of last values begin with."""


@dataclass(slots=True)
class Facts:
    """What the catalog keeps of a log.

    Attributes:
        files: names of its files, relative to its own folder.
        format: name of its codec; empty for what is no log.
        rank: of a shard; None for all else.
        meta: the metadata, flattened.
        task: what the run does, by its metadata; empty where they do not say.
        run: where it comes from, flattened, without the patch; see `trainlog.model.Header`.
        end: how it ended by its own word; empty where it does not say.
        reason: what ended it.
        phase: of the header.
        state: see `State`.
        error: why it cannot be read.
        size: bytes of all files.
        changed: when the last of them was, in seconds since 1970.
        frames: of all kinds; None before it was read.
        duration: time of the last frame, in seconds since the run began.
        torn: whether it ends inside a record.
        holes: places of bytes that are no record, and how many bytes that are.
        last: the last finite number of each metric, by the name of the column: ``last/reward``. Bools are 1 and 0.
        reward, step: the metrics that are these, by the log's own conventions; empty for none.
        read: whether all of it was read, so that frames, duration, damage and metrics are known.

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
        """What is wrong with it; empty for nothing. An unfinished record at the end is how a killed run ends."""
        if self.error:
            return self.error
        return f"{self.damage:,} bytes that are no record, in {self.holes} places" if self.holes else ""

    def last_of(self, metric: str) -> float | None:
        """The last finite number of a metric."""
        return self.last.get(f"{LAST}{metric}")

    def packed(self) -> list[Any]:
        """As plain values, in the order of the fields: there are many thousand of them."""
        return [getattr(self, name) for name in self.__slots__]
