"""RetryingWriter: keeps frames in memory while another writer fails, and writes them later."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from trainlog.codec import Writer
from trainlog.conventions import RUN_STATE
from trainlog.errors import FORKED, ClosedLog, LogWriteWarning, UnsupportedFrame
from trainlog.model import Frame, Kind
from trainlog.writers.combine import WrappingWriter, first_to_drop, snapshot

__all__ = ["RetryingWriter"]

# Seconds until the next attempt, doubled after each failure.
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0

_MAX_DRAIN: Final = 100  # waiting frames that one call of `write` writes at most, so that no call takes long
_FRAME_OVERHEAD: Final = 500  # bytes of memory that a frame takes without its values


class RetryingWriter(WrappingWriter):
    """Writes to another writer; while that one raises `OSError`, frames wait in memory, and no error is raised.

    When it can write again, the next ``write``, ``flush``, ``sync`` or ``close`` writes the waiting frames in order.
    Above the memory limit the oldest frames are dropped, and an event is written: its ``type`` is ``dropped``, and it
    has ``frames`` (the number of each kind), ``from`` and ``to`` (their times, s) and ``why``. A `LogWriteWarning` is
    issued at the first failure, and when writing works again.

    Errors that are the caller's fault are still raised: `UnsupportedFrame`, `ClosedLog`.

    Attributes:
        lost: how many frames were dropped, by kind.

    """

    def __init__(self, writer: Writer, limit_bytes: int = 64 << 20) -> None:
        """Wrap *writer*.

        Args:
            writer: the writer that the frames go to.
            limit_bytes: memory limit for the waiting frames.

        """
        super().__init__(writer)
        self._put = writer.put
        self._limit = limit_bytes
        self._failing = False
        self._error = ""
        self._waiting: deque[tuple[Frame, int]] = deque()
        self._held = 0
        self._dropped: list[float] = []  # the times of the first and the last one
        self._dropped_kinds: Counter[Kind] = Counter()
        self.lost: Counter[Kind] = Counter()
        self._pause = _FIRST_PAUSE
        self._retry_at = 0.0
        self._lock = self.lock = writer.lock or threading.RLock()
        self._draining = False
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
        self._keep([Frame(time, kind, data)], error)

    def put_many(self, frames: Sequence[Frame]) -> None:
        """Write these frames, or keep copies of them until they can be written."""
        if not self._writer.writes_together:  # some of them may be written when it fails
            for frame in frames:
                self.put(*frame)
            return
        error = None
        if not self._failing:
            try:
                self._writer.put_many(frames)
                return
            except OSError as caught:
                error = caught
        self._keep(frames, error)

    def _keep(self, frames: Sequence[Frame], error: OSError | None) -> None:
        self._check_process()
        messages: list[str] = []
        copies = [self._copy(frame) for frame in frames]
        with self._lock:
            if error is None and not self._failing:  # another thread recovered while this one waited for the lock
                try:
                    self._writer.put_many(frames)
                    return
                except OSError as caught:
                    error = caught
            if error is not None:
                if not self._failing:
                    messages.append(f"{error}; frames wait in memory, at most {self._limit / 1e6:.0f} MB of them")
                self._fail(error)
            for entry in copies:
                self._waiting.append(entry)
                self._held += entry[1]
            if not self._draining:  # otherwise a signal handler interrupted the loop that writes them
                while self._held > self._limit and (place := self._first_to_drop()) is not None:
                    self._drop(place)
                if time.monotonic() >= self._retry_at:
                    self._drain(messages)
        for message in messages:
            _warn(message)

    def _copy(self, frame: Frame) -> tuple[Frame, int]:
        self._writer.check(frame)
        copy = Frame(float(frame.time), frame.kind, snapshot(frame.data))
        return copy, _FRAME_OVERHEAD + _size(copy.data)

    def _fail(self, error: OSError) -> None:
        self._error = str(error)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE) if self._failing else _FIRST_PAUSE
        self._retry_at = time.monotonic() + self._pause
        self._failing = True

    def _first_to_drop(self) -> int | None:
        return first_to_drop(len(self._waiting), lambda place: self._waiting[place][0])

    def _drop(self, place: int) -> None:
        frame, size = self._waiting[place]
        del self._waiting[place]
        self._held -= size
        if frame.kind == RUN_STATE:  # not a frame of the run; a later one repeats everything in it
            return
        self._dropped_kinds[frame.kind] += 1
        self.lost[frame.kind] += 1
        self._dropped[1:] = [frame.time]

    def _drain(self, messages: list[str]) -> bool:
        """Write some waiting frames, and return whether none are left; the caller holds the lock."""
        if self._draining:
            return True
        self._draining = True
        try:
            for _ in range(_MAX_DRAIN):
                if self._dropped_kinds:
                    none: tuple[list[float], Counter[Kind]] = [], Counter()
                    self._put(*self._dropped_event())
                    self._dropped, self._dropped_kinds = none
                if not self._waiting:
                    self._failing, self._held = False, 0
                    messages.append(self._recovered())
                    return True
                try:
                    self._write_oldest()
                except UnsupportedFrame as error:
                    self._drop(0)
                    messages.append(f"a frame that waited in memory cannot be stored, and is dropped: {error}")
        except OSError as error:
            self._fail(error)
        finally:
            self._draining = False
        return False

    def _write_oldest(self) -> None:
        entry = self._waiting[0]
        before = self._writer.size()
        try:
            self._put(*entry[0])
            self._waiting.popleft()
        except (OSError, UnsupportedFrame):
            raise
        except BaseException:  # from a signal handler, or a warning; the frame may have been written before it
            if self._waiting and self._waiting[0] is entry and self._writer.size() != before:
                self._waiting.popleft()
            raise
        self._held -= entry[1]

    def _dropped_event(self) -> Frame:
        first, last = self._dropped[0], self._dropped[-1]
        kinds = {str(kind): count for kind, count in self._dropped_kinds.items()}
        facts = {"frames": kinds, "from": first, "to": last, "why": self._error}
        return Frame(last, Kind.EVENT, {"type": "dropped", "by": "trainlog", **facts})

    def retry(self) -> None:
        """Write the waiting frames, if possible now."""
        if not self._failing:
            return
        self._check_process()
        messages: list[str] = []
        done = False
        while not done:
            with self._lock:  # released after each batch, for the training loop
                before = len(self._waiting), self._dropped_kinds.total()
                done = self._drain(messages) or before == (len(self._waiting), self._dropped_kinds.total())
        for message in messages:
            _warn(message)

    def _recovered(self) -> str:
        lost = self.lost.total()
        return "the log can be written again" + (f"; {lost:,} frames were dropped" if lost else "; nothing was lost")

    def flush(self) -> None:
        """Write the waiting frames, and flush the other writer."""
        self.retry()
        self._writer.flush()

    def sync(self) -> None:
        """Write the waiting frames, and sync the other writer."""
        self.retry()
        self._writer.sync()

    def close(self) -> None:
        """Write the waiting frames, warn about those that cannot be written, and close the other writer.

        Can be called again, and continues where an exception interrupted it.
        """
        if self._pid == os.getpid():
            with contextlib.suppress(ClosedLog):
                self.retry()
        try:
            self._writer.close()
        except OSError as error:
            _warn(f"the log is closed, but with an error: {error}")
        if self._pid == os.getpid() and self._waiting:
            count = sum(frame.kind != RUN_STATE for frame, _ in self._waiting)
            what = f"{count:,} frames" if count else "late metadata, and how the run ended,"
            try:
                _warn(f"{what} could not be written and are lost: {self._error}")
            except Warning:
                self._forget()
                raise
            self._forget()  # not if an exception kept the warning from being issued

    def _forget(self) -> None:
        self.lost.update(frame.kind for frame, _ in self._waiting if frame.kind != RUN_STATE)
        self._waiting.clear()
        self._failing = False

    def _check_process(self) -> None:
        # In a forked child the lock may stay locked forever, by a thread that the child does not have.
        if self._pid != os.getpid():
            raise ClosedLog(FORKED)


def _warn(message: str) -> None:
    warnings.warn(LogWriteWarning(message), stacklevel=4)


def _size(value: Any) -> int:
    """About how many bytes of memory *value* takes."""
    if isinstance(value, np.ndarray):
        return 120 + value.nbytes
    if isinstance(value, Mapping):
        names = sum(len(key) for key in value if isinstance(key, str | bytes))
        return 100 + names + sum(60 + _size(item) for item in value.values())
    if isinstance(value, list | tuple):
        return 60 + sum(8 + _size(item) for item in value)
    return sys.getsizeof(value, 64)
