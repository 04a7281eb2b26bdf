"""What the list of runs tells of each: frames, duration, last reward; found again from where the last look ended."""

from __future__ import annotations

import math
import time
import warnings
from abc import ABC, abstractmethod
from collections import Counter
from pathlib import Path
from typing import Any, Final

from trainlog import registry
from trainlog.codec import Reader
from trainlog.codecs.flog.reader import FlogReader
from trainlog.errors import TrainlogWarning
from trainlog.model import Kind
from trainlog.server.flog_feed import Headers, read_frame
from trainlog.storage.source import Source

__all__ = ["Digest", "digest_of"]

_REWARDS: Final = ("reward", "return", "episode_return", "reward_mean", "best")


class Digest(ABC):
    """What is known of a log without keeping any of it.

    Attributes:
        size: of the file when it was last looked at.
        frames: by kind.
        duration: time of the last frame.
        reward: of the last stats frame (of the last generation, where there are no stats); None where it has none.
        step: of the last stats frame.

    """

    def __init__(self) -> None:
        self.size = -1
        self.frames: Counter[int] = Counter()
        self.duration = 0.0
        self.reward: float | None = None
        self.step: float | None = None

    @property
    def total(self) -> int:
        """Frames of all kinds."""
        return sum(self.frames.values())

    @abstractmethod
    def update(self, size: int) -> None:
        """Take account of a file that has *size* bytes now."""

    def close(self) -> None:
        """Nothing is held open between two looks."""
        return

    def _take(self, data: dict[Any, Any]) -> None:
        reward = next((number for key in _REWARDS if (number := _number(data.get(key))) is not None), None)
        if reward is not None:
            self.reward = reward
        step = _number(data.get("step"))
        if step is not None:
            self.step = step


def _number(value: Any) -> float | None:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return None
        return number if math.isfinite(number) else None
    return None


class _FlogDigest(Digest):
    """Hops from header to header, on from where it stopped."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._at = 0
        self._cuts: tuple[tuple[int, int], ...] = ()

    def update(self, size: int) -> None:
        headers = Headers(self._path)
        try:
            if headers.cuts != self._cuts:  # training went back: what was counted is superseded
                self._at, self._cuts = 0, headers.cuts
                self.frames.clear()
            headers.at = max(self._at, headers.at)
            stats = generation = -1
            for heads in headers.next():
                kinds = heads.kind
                for kind in set(kinds.tolist()):
                    self.frames[kind] += int((kinds == kind).sum())
                if len(heads.time):
                    self.duration = float(heads.time[-1])
                stats = _last(heads.offset[kinds == Kind.STATS], stats)
                generation = _last(heads.offset[kinds == Kind.EVOLUTION], generation)
                time.sleep(0)  # others wait for this interpreter
            self._at = headers.at
        finally:
            headers.close()
        last = stats if stats >= 0 or self.frames[Kind.STATS] else generation
        if last >= 0:
            with Source(self._path) as source:
                self._take(read_frame(source, last))
        self.size = size


def _last(offsets: Any, before: int) -> int:
    return int(offsets[-1]) if len(offsets) else before


class _AnyDigest(Digest):
    """Reads all of the log; one that grows is not read again until ten times as long as that takes has passed."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self._reader = reader
        self._not_before = 0.0

    def update(self, size: int) -> None:
        began = time.monotonic()
        if began < self._not_before:
            return
        self.frames.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrainlogWarning)
            last: dict[Any, Any] = {}
            for frame in self._reader.frames():
                self.frames[frame.kind] += 1
                self.duration = frame.time
                if frame.kind == Kind.STATS:
                    last = dict(frame.data)
            self._take(last)
        self._not_before = time.monotonic() + 10 * (time.monotonic() - began)
        self.size = size


def digest_of(path: Path) -> Digest:
    """The digest of the log at *path*, still empty.

    Raises:
        TrainlogError: as `trainlog.open`.

    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainlogWarning)
        reader = registry.open(path)
    return _FlogDigest(path) if isinstance(reader, FlogReader) else _AnyDigest(reader)
