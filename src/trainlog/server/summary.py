"""What the list of runs tells of each: frames, duration, last reward; each look goes on where the last one ended."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, Final

from trainlog import registry
from trainlog.conventions import Conventions
from trainlog.errors import InvalidPosition, TrainlogWarning
from trainlog.model import Kind
from trainlog.scan import Scan
from trainlog.table.values import flatten, number

__all__ = ["Digest"]

_REST: Final = 10  # times as long as a look took, the next one waits


_LOOKED_AT: Final = 16  # of the last frames, as not every one has a reward


class Digest:
    """What is known of a log without keeping any of it.

    Attributes:
        size: of the files when they were last looked at; -1 before that.
        frames: by kind.
        duration: time of the last frame.
        reward: of the last stats frame that has one, of the last 16; of generations, where there are no stats; or None.
        step: likewise.

    """

    def __init__(self, path: Path) -> None:
        """Begin the digest of the log at *path*, still empty.

        Raises:
            TrainlogError: as `trainlog.open`.

        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrainlogWarning)
            self._reader = registry.open(path)
            self._conventions = Conventions.of(self._reader.header)
        self._not_before = 0.0
        self.size = -1
        self._forget()

    def _forget(self) -> None:
        self._position: str | None = None
        self._last: dict[Kind, list[int]] = {}  # where the last frames of each kind stand
        self._shown = -1
        self.frames: Counter[Kind] = Counter()
        self.duration = 0.0
        self.reward: float | None = None
        self.step: float | None = None

    @property
    def total(self) -> int:
        """Frames of all kinds."""
        return sum(self.frames.values())

    def update(self, size: int) -> bool:
        """Take account of files that have *size* bytes now; False when the last look was too costly to do it yet.

        Raises:
            TrainlogError: when the log cannot be read.

        """
        began = time.monotonic()
        if began < self._not_before:
            return False
        try:
            self._count()
        except InvalidPosition:  # it was replaced, or training went back: what was counted does not count any more
            self._forget()
            self._count()
        orders = self._last.get(Kind.STATS, self._last.get(Kind.EVOLUTION, []))
        for frame in self._reader.take([order for order in orders if order > self._shown]):
            self._look_at(flatten(frame.data))
        self._shown = max([self._shown, *orders])
        if self.size >= 0:  # the first look reads all of it; of the others some readers do, too
            self._not_before = time.monotonic() + _REST * (time.monotonic() - began)
        self.size = size
        return True

    def _count(self) -> None:
        end = max((orders[-1] for orders in self._last.values()), default=-1)
        for batch in self._reader.scan(Scan(columns=(), after=self._position, on_damage="ignore")):
            table = batch.table
            if table.rows:
                self.frames[table.kind] += table.rows
                self._last[table.kind] = batch.order[-_LOOKED_AT:].tolist()
                if batch.order[-1] > end:
                    end, self.duration = int(batch.order[-1]), float(table.time[-1])
            self._position = batch.position

    def _look_at(self, data: dict[str, Any]) -> None:
        numbers = {key: number(value) for key, value in data.items() if not isinstance(value, bool)}

        def is_finite(key: str) -> bool:
            return abs(numbers.get(key, float("nan"))) < float("inf")

        if (key := self._conventions.reward(data, is_finite)) is not None:
            self.reward = numbers[key]
        if (key := self._conventions.find("step", data, is_finite)) is not None:
            self.step = numbers[key]
