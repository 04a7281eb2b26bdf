"""The content of a log, from one pass over all of it (Summary)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from trainlog.model import Kind
from trainlog.printable import counted
from trainlog.scan import Batch, Gap

__all__ = ["Span", "Summary"]


@dataclass(slots=True)
class Span:
    """The frames of one kind in a log.

    Attributes:
        frames: the number of frames.
        first, last: times of the first and the last frame in the log's order, in seconds.
        size: bytes of their payloads, 0 where the format does not record it.
        keys: every key that occurs, nested ones as in tables, in the order of first occurrence, with the number of
            frames that have it.

    """

    frames: int = 0
    first: float = 0.0
    last: float = 0.0
    size: int = 0
    keys: Counter[str] = field(default_factory=Counter)

    def add(self, batch: Batch) -> None:
        """Count the rows of *batch*."""
        table = batch.table
        if not self.frames:
            self.first = float(table.time[0])
        self.last = float(table.time[-1])
        self.frames += table.rows
        self.size += batch.size
        self.keys.update({key: table.stored(key).rows_present for key in table})


@dataclass(slots=True)
class Summary:
    """The content of a log, from one pass over all of it.

    Attributes:
        kinds: by kind of frame, in ascending order.
        gaps: bytes that are not a record, in the file's order.
        size: bytes of the file.
        duration: time of the last frame in the file, in seconds since the run began; 0.0 when there is none.
        superseded: bytes of frames that are hidden because training went back to a checkpoint before them.

    """

    kinds: dict[Kind, Span] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    size: int = 0
    duration: float = 0.0
    superseded: int = 0

    @property
    def frames(self) -> int:
        """The number of frames of all kinds."""
        return sum(span.frames for span in self.kinds.values())

    def _repr_html_(self) -> str:
        """The kinds of frames in a notebook."""
        from trainlog.table.html import rows_html  # a program that records does not need it

        kinds = list(self.kinds.items())

        def row(number: int) -> tuple[Any, ...]:
            kind, span = kinds[number]
            return str(kind), span.frames, len(span.keys), span.first, span.last, span.size

        damage = f", {counted(len(self.gaps), 'damaged place')}" if self.gaps else ""
        title = f"{self.frames:,} frames, {self.size:,} bytes, {self.duration:.6g} s{damage}; "
        return rows_html(title, ["kind", "frames", "keys", "from", "to", "bytes"], len(kinds), row)
