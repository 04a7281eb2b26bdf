"""The results of verify (Verdict, Problem) and of repair (Repair)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from trainlog.model import Kind

__all__ = ["Problem", "Repair", "Verdict", "What"]

What = Literal["header", "torn tail", "hole", "payload", "length", "checksum", "time", "end"]


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem in a log.

    Attributes:
        what: ``header``: a damaged header, or one with unreadable metadata. ``torn tail``: an unfinished record at the
            end. ``hole``: bytes that are not a record. ``payload``: a record that cannot be decoded. ``length``: an
            impossible length of a record or a file. ``checksum``: bytes that differ from those that were written.
            ``time``: times that step back. ``end``: the end mark of a closed log is missing.
        offset: the first byte.
        size: the number of bytes.
        text: one sentence for people.
        damage: False for a note.
        file: the name of the file, for a log of several files.

    """

    what: What
    offset: int
    size: int
    text: str
    damage: bool = True
    file: str = ""


@dataclass(slots=True)
class Verdict:
    """The result of `trainlog.verify`.

    Attributes:
        path: the path of the log.
        size: the size of its files in bytes.
        kinds: the number of whole frames of each kind.
        problems: in the order of the file.
        sealed: the number of bytes that a correct checksum covers; 0 for a log without checksums.
        closed: whether it ends with the end mark of a closed log; None for a log without such marks.

    """

    path: Path
    size: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    sealed: int = 0
    closed: bool | None = None

    @property
    def whole(self) -> bool:
        """Whether there is no damage."""
        return not self.damage

    @property
    def damage(self) -> list[Problem]:
        """The problems that are not only notes."""
        return [problem for problem in self.problems if problem.damage]


@dataclass(frozen=True, slots=True)
class Repair:
    """The result of `trainlog.repair`.

    Attributes:
        target: the repaired log.
        kept: the number of frames of each kind in it.
        lost: the number of lost frames by the name of their kind; ``unknown`` where the kind is not known, and
            ``header`` when the original header may have held more than the rebuilt one.
        lost_bytes: bytes of the source that are not part of a whole frame.
        doubtful: ranges of the source, (offset, size), with a wrong checksum; their frames are kept.
        header: why the header was rebuilt; empty when the header is the source's.

    """

    target: Path
    kept: Mapping[Kind, int]
    lost: Mapping[str, int]
    lost_bytes: int = 0
    doubtful: tuple[tuple[int, int], ...] = ()
    header: str = ""

    @property
    def complete(self) -> bool:
        """Whether no frame was lost, and no checksum was wrong."""
        return not self.lost and not self.doubtful
