"""KeepLast: the last seconds of dense data, which are written only when something happens."""

from __future__ import annotations

import cmath
import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from trainlog.codec import Writer
from trainlog.errors import ClosedLog, UnsupportedFrame
from trainlog.model import Frame, Kind, KindLike
from trainlog.writers.combine import snapshot

__all__ = ["KeepLast"]

_Clock = Callable[[], float]


class _Kept(NamedTuple):
    """A frame, its number among all recorded ones, from 1, and the seconds that had elapsed at that point."""

    number: int
    elapsed: float
    frame: Frame


class KeepLast:
    """A ring buffer of frames: every physics step costs a copy in memory, and nothing is written until `write`.

    `write` puts the kept frames into the log with one system call, followed by an event that says why, and empties the
    buffer. It is called automatically when a frame holds a NaN or an infinity, and when an exception ends the ``with``
    block. Frames that are not written are lost with the process, by design.
    """

    def __init__(
        self,
        writer: Writer,
        clock: _Clock,
        *,
        seconds: float | None = None,
        frames: int | None = None,
        kind: KindLike = Kind.CREATURE,
        on_nan: bool = True,
    ) -> None:
        """Create an empty buffer.

        Args:
            writer: the writer that the frames go to.
            clock: the time of frames without one, in seconds.
            seconds: keep the frames of the last N seconds, by their times. When the times step back, as simulated time
                does at a reset, counting continues from there.
            frames: keep the last N frames. At least one of the two limits is required.
            kind: the kind of the frames.
            on_nan: write when a frame holds a NaN or an infinity and the frame before it did not.

        Raises:
            ValueError: when neither limit is given, or one is not greater than 0.

        """
        if seconds is None and frames is None:
            raise ValueError("give the number of seconds or frames to keep")
        if (seconds is not None and not seconds > 0) or (frames is not None and frames < 1):
            raise ValueError(f"the limit is more than 0 seconds, or at least 1 frame, not {seconds!r} and {frames!r}")
        self._writer = writer
        self._clock = clock
        self._seconds = seconds
        self._kind = Kind.of(kind)
        self._on_nan = on_nan
        self._was_nan = False
        self._elapsed = 0.0  # seconds that have passed so far, by the times of the frames
        self._lock, self._pid = threading.RLock(), os.getpid()
        self._kept: deque[_Kept] = deque(maxlen=frames)
        self._recorded = 0
        self._written = 0  # frames up to this number are in the log; a number, because setting it is atomic

    @property
    def frames(self) -> list[Frame]:
        """The kept frames, the oldest first."""
        return [kept.frame for kept in self._unwritten()]

    def _alone(self) -> threading.RLock:
        """The lock of the kept frames; in a forked child a new one, as the old one may be held by a thread it lacks."""
        if self._pid != os.getpid():
            self._lock, self._pid = threading.RLock(), os.getpid()
        return self._lock

    def _unwritten(self) -> list[_Kept]:
        return [kept for kept in self._kept.copy() if kept.number > self._written]

    def record(self, timestamp: float | None, data: Mapping[str, Any]) -> None:
        """Keep a copy of *data*; a time of None is now.

        Raises:
            UnsupportedFrame: for a value that cannot be stored; the frame is not kept.
            ClosedLog, LogWriteError: as `write`, when it holds a NaN.

        """
        time = self._clock() if timestamp is None else timestamp
        frame = Frame(snapshot(time), self._kind, snapshot(data))
        self._writer.check(frame)
        with self._alone(), contextlib.suppress(IndexError):  # a signal handler may write what is kept
            if self._kept and self._seconds is not None:
                since = time - self._kept[-1].frame.time
                self._elapsed += min(max(0.0, since), 2 * self._seconds)  # also for NaN and infinity
            self._recorded += 1
            self._kept.append(_Kept(self._recorded, self._elapsed, frame))
            if self._seconds is not None:
                while self._kept[0].elapsed < self._elapsed - self._seconds:
                    self._kept.popleft()
        if self._on_nan:
            bad = [key for key, value in frame.data.items() if _is_bad(value)]
            if bad and not self._was_nan:
                self.write("nan", {"keys": bad})
            self._was_nan = bool(bad)

    def write(self, event_type: str, data: Mapping[str, Any] | None = None) -> int:
        """Write the kept frames, followed by an event; return the number of frames.

        Args:
            event_type: the reason, which becomes the event's ``type``. The event also has ``kept`` (the number of
                frames), ``from`` and ``to`` (their times, s).
            data: more keys for the event.

        Raises:
            TypeError: when *event_type* is not a string.
            ClosedLog: after the log was closed, and in a forked child.
            LogWriteError: with ``on_error="raise"``, when they cannot be written. They are still kept.

        """
        if not isinstance(event_type, str):
            raise TypeError(f"the type of an event is text, not {type(event_type).__name__}: write('fall', {{...}})")
        kept = self._unwritten()
        times = {"from": kept[0].frame.time, "to": kept[-1].frame.time} if kept else {}
        event = {**(data or {}), "type": event_type, "by": "keep_last", "kept": len(kept), **times}
        time = kept[-1].frame.time if kept else self._clock()
        written, before = kept[-1].number if kept else 0, self._writer.size()
        try:
            self._writer.put_many([*(one.frame for one in kept), Frame(time, Kind.EVENT, event)])
            self._written = max(self._written, written)
        except (OSError, UnsupportedFrame, ClosedLog):
            raise
        except BaseException:  # from a signal handler, or a warning; the frames may have been written before it
            if self._writer.size() != before:
                self._written = max(self._written, written)
            raise
        with self._alone(), contextlib.suppress(IndexError):
            while self._kept[0].number <= self._written:
                self._kept.popleft()
        return len(kept)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.write("exception", {"exception": kind.__name__, "msg": str(value)})


def _is_bad(value: Any) -> bool:
    if isinstance(value, float | complex):
        return not cmath.isfinite(value)
    if isinstance(value, Mapping):
        return any(map(_is_bad, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_is_bad, value))
    if isinstance(value, np.ndarray | np.floating) or hasattr(value, "__array__"):
        try:
            array = np.asarray(value.compressed() if isinstance(value, np.ma.MaskedArray) else value)
        except Exception:  # noqa: BLE001 - a tensor on a device, or of a type that numpy does not have
            return hasattr(value, "isfinite") and not bool(value.isfinite().all())
        if array.dtype.isbuiltin == 2:  # bfloat16 of JAX
            array = array.astype(np.float32)
        if array.dtype.kind in "OV":
            return _is_bad(array.tolist())
        return array.dtype.kind in "fc" and not np.isfinite(array).all()
    return False
