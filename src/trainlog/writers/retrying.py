"""RetryingWriter: a writer in front of another one that keeps frames in memory while the other cannot write them."""

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
from trainlog.errors import ClosedLog, LogWriteWarning, UnsupportedFrame
from trainlog.model import Frame, Kind
from trainlog.writers.combine import snapshot

__all__ = ["RetryingWriter"]

# Seconds until it is tried again, twice as long after each failure.
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0

# How many waiting frames one call of `write` may write beside its own, so that none takes long.
_AT_ONCE: Final = 100

_PER_FRAME: Final = 500  # bytes that a frame takes in memory beside its values


class RetryingWriter(Writer):
    """Writes to another writer; while that one fails, frames wait in memory, and no error is raised.

    When there is room again the frames are written in their order, by the next ``write``, ``flush``, ``sync`` or
    ``close``. What exceeds the limit is dropped, the oldest first, and an event in the log says what and when: its
    ``type`` is ``dropped``, and it has ``frames`` (how many of each kind), ``from`` and ``to`` (their times, s) and
    ``why``. The beginning and the end of such a time are told by a `LogWriteWarning`.

    Errors that are the caller's own are raised all the same: `UnsupportedFrame`, `ClosedLog`.

    Attributes:
        lost: how many frames were dropped, by kind.

    """

    def __init__(self, writer: Writer, limit_bytes: int = 64 << 20) -> None:
        """Begin.

        Args:
            writer: where to.
            limit_bytes: how much memory the waiting frames may take.

        """
        self._writer = writer
        self._put = writer.put
        self._limit = limit_bytes
        self._troubled = False
        self._why = ""
        self._waiting: deque[tuple[Frame, int]] = deque()
        self._held = 0
        self._dropped: list[Frame] = []  # the first and the last of them, without data
        self._dropped_kinds: Counter[Kind] = Counter()
        self.lost: Counter[Kind] = Counter()
        self._pause = _FIRST_PAUSE
        self._try_again = 0.0
        self._lock = threading.RLock()
        self._pid = os.getpid()

    def write(self, frame: Frame) -> None:
        """Write *frame*, or keep a copy of it until it can be written."""
        self.put(*frame)

    def put(self, time: float, kind: Kind, data: Mapping[Any, Any]) -> None:
        """Write this frame, or keep a copy of it until it can be written."""
        if not self._troubled:
            try:
                self._put(time, kind, data)
            except OSError as error:
                self._keep(Frame(time, kind, data), error)
        else:
            self._keep(Frame(time, kind, data), None)

    def _keep(self, frame: Frame, error: OSError | None) -> None:
        self._must_be_ours()
        began = ended = False
        with self._lock:
            if error is None and not self._troubled:  # the trouble ended while this call waited for the lock
                try:
                    self._put(*frame)
                except OSError as another:
                    error = another
                else:
                    return
            if error is not None:
                began = not self._troubled
                self._trouble(error)
            size = _PER_FRAME + _size(frame.data)
            self._waiting.append((Frame(frame.time, frame.kind, snapshot(frame.data)), size))
            self._held += size
            while self._held > self._limit:
                self._drop(*self._waiting.popleft())
            if time.monotonic() >= self._try_again:
                ended = self._drain(_AT_ONCE)
        if began:
            _warn(f"{self._why}; frames wait in memory, at most {self._limit / 1e6:.0f} MB of them")
        if ended:
            self._tell_the_end()

    def _trouble(self, error: OSError) -> None:
        self._why = str(error)
        self._try_again = time.monotonic() + (self._pause if self._troubled else _FIRST_PAUSE)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE) if self._troubled else _FIRST_PAUSE
        self._troubled = True

    def _drop(self, frame: Frame, size: int) -> None:
        self._held -= size
        self._dropped_kinds[frame.kind] += 1
        self.lost[frame.kind] += 1
        self._dropped[1:] = [Frame(frame.time, frame.kind, {})]

    def _drain(self, most: int) -> bool:
        """Write what waits, at most so many frames of it, and say whether that was all; the lock is held."""
        try:
            for _ in range(most):
                if self._dropped_kinds:
                    self._put(*self._account())
                    self._dropped.clear()
                    self._dropped_kinds.clear()
                if not self._waiting:
                    self._troubled = False
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
            self._trouble(error)
        return False

    def _account(self) -> Frame:
        first, last = self._dropped[0], self._dropped[-1]
        kinds = {str(kind): count for kind, count in self._dropped_kinds.items()}
        what = {"frames": kinds, "from": first.time, "to": last.time, "why": self._why}
        return Frame(last.time, Kind.EVENT, {"type": "dropped", "by": "trainlog", **what})

    def retry(self) -> None:
        """Write what waits, if it can be written by now."""
        if not self._troubled:
            return
        self._must_be_ours()
        done = False
        while not done:
            with self._lock:  # which is let go between, for the training loop
                before = len(self._waiting)
                done = self._drain(_AT_ONCE)
                if not done and len(self._waiting) >= before:
                    return
        self._tell_the_end()

    def _tell_the_end(self) -> None:
        lost = self.lost.total()
        _warn("the log can be written again" + (f"; {lost:,} frames were dropped" if lost else "; nothing was lost"))

    def flush(self) -> None:
        """Write what waits, and flush the writer beneath."""
        self.retry()
        self._writer.flush()

    def sync(self) -> None:
        """Write what waits, and sync the writer beneath."""
        self.retry()
        self._writer.sync()

    def close(self) -> None:
        """Write what waits, warn of what could not be written, and close the writer beneath; may be called again."""
        if self._pid == os.getpid():
            self.retry()
            with self._lock:
                count, self._troubled = len(self._waiting), False
                for frame, _ in self._waiting:
                    self.lost[frame.kind] += 1
                self._waiting.clear()
            if count:
                _warn(f"{count:,} frames could not be written and are lost: {self._why}")
        try:
            self._writer.close()
        except OSError as error:
            _warn(f"the log is closed, but not as it should be: {error}")

    def _must_be_ours(self) -> None:
        # In a forked child the lock may be held for ever, by a thread that the child does not have.
        if self._pid != os.getpid():
            raise ClosedLog("this log belongs to the process that this one was forked from; open one of its own")


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
