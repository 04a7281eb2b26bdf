"""What is wrong with a log (Verdict, Problem), and what became of it (Repair)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from trainlog.model import Kind

__all__ = ["Problem", "Repair", "Verdict", "What"]

What = Literal["torn tail", "hole", "payload", "length", "checksum", "time"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a log that is not as it should be.

    Attributes:
        what: ``torn tail``: an unfinished record at the end. ``hole``: bytes that are no record. ``payload``: a record
            whose content cannot be decoded. ``length``: a record, or a file, whose length cannot be right.
            ``checksum``: bytes that are not those that were written. ``time``: times that step back.
        offset: the byte where it begins.
        size: of how many bytes it speaks.
        text: one sentence for people.
        damage: False for what is worth a note, but no damage.
        file: the name of the file, where a log has several.

    """

    what: What
    offset: int
    size: int
    text: str
    damage: bool = True
    file: str = ""


@dataclass(slots=True)
class Verdict:
    """What `trainlog.verify` found.

    Attributes:
        path: the log.
        size: bytes of its files.
        kinds: how many whole frames of each kind there are.
        problems: in the order of the file.
        sealed: how many bytes are under a checksum that is right; 0 for a log without checksums.

    """

    path: Path
    size: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    sealed: int = 0

    @property
    def whole(self) -> bool:
        """Whether there is no damage."""
        return not any(problem.damage for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Repair:
    """What `trainlog.repair` did.

    Attributes:
        target: the log that holds what could be kept.
        kept: how many frames of each kind it holds.
        lost: how many were lost, by the name of their kind; ``unknown`` for bytes that do not tell.
        lost_bytes: bytes of the source that are no whole frame.
        doubtful: ranges of the source, (offset, size), whose bytes are not those that were written; their frames are
            kept.

    """

    target: Path
    kept: Mapping[Kind, int]
    lost: Mapping[str, int]
    lost_bytes: int = 0
    doubtful: tuple[tuple[int, int], ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing was lost, and nothing is in doubt."""
        return not self.lost and not self.doubtful
