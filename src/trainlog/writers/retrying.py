"""RetryingWriter: keeps frames in memory while another writer fails, and writes them later."""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from trainlog.codec import Writer
from trainlog.errors import FORKED, ClosedLog, LogWriteWarning, UnsupportedFrame
from trainlog.model import Frame, Kind
from trainlog.writers.combine import snapshot

__all__ = ["RetryingWriter"]

# Seconds until the next attempt, doubled after each failure.
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0

_MAX_DRAIN: Final = 100  # waiting frames that one call of `write` writes at most, so that no call takes long
_FRAME_OVERHEAD: Final = 500  # bytes of memory for a frame without its values


class RetryingWriter(Writer):
    """Writes to another writer; while that one raises `OSError`, frames wait in memory, and no error is raised.

    When it can write again, the next ``write``, ``flush``, ``sync`` or ``close`` writes the waiting frames in their
    order. Above the memory limit the oldest frames are dropped, and an event is written: its ``type`` is ``dropped``,
    and it has ``frames`` (how many of each kind), ``from`` and ``to`` (their times, s) and ``why``. A
    `LogWriteWarning` is issued at the first failure, and when writing works again.

    Errors of the caller are raised: `UnsupportedFrame`, `ClosedLog`.

    Attributes:
        lost: how many frames were dropped, by kind.

    """

    def __init__(self, writer: Writer, limit_bytes: int = 64 << 20) -> None:
        """Begin.

        Args:
            writer: where to.
            limit_bytes: memory limit for the waiting frames.

        """
        self._writer = writer
        self._put = writer.put
        self._limit = limit_bytes
        self._failing = False
        self._error = ""
        self._waiting: deque[tuple[Frame, int]] = deque()
        self._held = 0
        self._dropped: list[Frame] = []  # the first and the last one, without data
        self._dropped_kinds: Counter[Kind] = Counter()
        self.lost: Counter[Kind] = Counter()
        self._pause = _FIRST_PAUSE
        self._retry_at = 0.0
        self._lock = threading.RLock()
        self._pid = os.getpid()

    def write(self, frame: Frame) -> None:
        """Write *frame*, or keep a copy of it until it can be written."""
        self.put(*frame)

    def put(self, time: float, kind: Kind, data: Mapping[Any, Any]) -> None:
        """Write this frame, or keep a copy of it until it can be written."""
        error = None
        if not self._failing:
            try:
                self._put(time, kind, data)
                return
            except OSError as caught:
                error = caught
        self._keep(Frame(time, kind, data), error)

    def _keep(self, frame: Frame, error: OSError | None) -> None:
        self._check_process()
        started = recovered = False
        with self._lock:
            if error is None and not self._failing:  # another thread recovered while this one waited for the lock
                try:
                    self._put(*frame)
                    return
                except OSError as caught:
                    error = caught
            if error is not None:
                started = not self._failing
                self._fail(error)
            size = _FRAME_OVERHEAD + _size(frame.data)
            self._waiting.append((Frame(frame.time, frame.kind, snapshot(frame.data)), size))
            self._held += size
            while self._held > self._limit:
                self._drop(*self._waiting.popleft())
            if time.monotonic() >= self._retry_at:
                recovered = self._drain()
        if started:
            _warn(f"{self._error}; frames wait in memory, at most {self._limit / 1e6:.0f} MB of them")
        if recovered:
            self._warn_recovered()

    def _fail(self, error: OSError) -> None:
        self._error = str(error)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE) if self._failing else _FIRST_PAUSE
        self._retry_at = time.monotonic() + self._pause
        self._failing = True

    def _drop(self, frame: Frame, size: int) -> None:
        self._held -= size
        self._dropped_kinds[frame.kind] += 1
        self.lost[frame.kind] += 1
        self._dropped[1:] = [Frame(frame.time, frame.kind, {})]

    def _drain(self) -> bool:
        """Write some waiting frames, and return whether those were all; the caller holds the lock."""
        try:
            for _ in range(_MAX_DRAIN):
                if self._dropped_kinds:
                    self._put(*self._dropped_event())
                    self._dropped.clear()
                    self._dropped_kinds.clear()
                if not self._waiting:
                    self._failing = False
                    return True
                try:
                    self._put(*self._waiting[0][0])
                except UnsupportedFrame as error:
                    _warn(f"a frame that waited in memory cannot be stored, and is dropped: {error}")
                    self._drop(*self._waiting.popleft())
                    continue
                _, size = self._waiting.popleft()
                self._held -= size
        except OSError as error:
            self._fail(error)
        return False

    def _dropped_event(self) -> Frame:
        first, last = self._dropped[0], self._dropped[-1]
        kinds = {str(kind): count for kind, count in self._dropped_kinds.items()}
        facts = {"frames": kinds, "from": first.time, "to": last.time, "why": self._error}
        return Frame(last.time, Kind.EVENT, {"type": "dropped", "by": "trainlog", **facts})

    def retry(self) -> None:
        """Write the waiting frames, if that is possible now."""
        if not self._failing:
            return
        self._check_process()
        done = False
        while not done:
            with self._lock:  # released after each batch, for the training loop
                before = len(self._waiting)
                done = self._drain()
                if not done and len(self._waiting) >= before:
                    return
        self._warn_recovered()

    def _warn_recovered(self) -> None:
        lost = self.lost.total()
        _warn("the log can be written again" + (f"; {lost:,} frames were dropped" if lost else "; nothing was lost"))

    def flush(self) -> None:
        """Write the waiting frames, and flush the other writer."""
        self.retry()
        self._writer.flush()

    def sync(self) -> None:
        """Write the waiting frames, and sync the other writer."""
        self.retry()
        self._writer.sync()

    def close(self) -> None:
        """Write the waiting frames, warn of those that cannot be written, and close the other writer.

        May be called again.
        """
        if self._pid == os.getpid():
            self.retry()
            with self._lock:
                count, self._failing = len(self._waiting), False
                self.lost.update(frame.kind for frame, _ in self._waiting)
                self._waiting.clear()
            if count:
                _warn(f"{count:,} frames could not be written and are lost: {self._error}")
        try:
            self._writer.close()
        except OSError as error:
            _warn(f"the log is closed, but with an error: {error}")

    def _check_process(self) -> None:
        # In a forked child the lock may be locked forever, by a thread that the child does not have.
        if self._pid != os.getpid():
            raise ClosedLog(FORKED)


def _warn(message: str) -> None:
    warnings.warn(LogWriteWarning(message), stacklevel=4)


def _size(value: Any) -> int:
    """About how many bytes of memory *value* takes."""
    if isinstance(value, np.ndarray):
        return 120 + value.nbytes
    if isinstance(value, Mapping):
        return 100 + sum(60 + len(key) * isinstance(key, str | bytes) + _size(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return 60 + sum(8 + _size(item) for item in value)
    return sys.getsizeof(value, 64)
