"""Background: a writer with a queue and a thread, for another writer that is slow."""

from __future__ import annotations

import atexit
import os
import pickle
import tempfile
import threading
import time
from collections import Counter, deque
from typing import Any, Literal, get_args

from trainlog.codec import Writer
from trainlog.errors import FORKED, ClosedLog, UnsupportedFrame
from trainlog.model import Frame, Kind
from trainlog.writers.combine import snapshot

__all__ = ["Background", "Policy"]

Policy = Literal["block", "drop_oldest", "spill"]


class Background(Writer):
    """Writes in a thread of its own; ``write`` only copies the frame into a queue.

    Frames in the queue are lost when the process is killed. The FLOG writer is fast and durable without it. An error
    of the thread is raised by the next call.

    ``close`` writes an event, which ``trainlog info`` shows. Its ``type`` is ``background``; it has ``calls``,
    ``mean_us`` and ``max_us`` (the duration of a call of ``write``), ``dropped`` (frames of each kind) and ``spilled``
    (how many frames).

    Attributes:
        dropped: frames that were dropped, by kind.
        spilled: how many frames went through the temporary file.

    """

    def __init__(self, writer: Writer, size: int = 10_000, policy: Policy = "block") -> None:
        """Start the thread.

        Args:
            writer: where to.
            size: how many frames the queue holds.
            policy: what happens to a frame when the queue is full. ``block``: the call waits. ``drop_oldest``: the
                oldest frame of the queue is dropped, and counted. ``spill``: the frame goes through a temporary file;
                when that cannot be written either, the frame is dropped, and counted.

        Raises:
            ValueError: for a *size* below 1, or another policy.

        """
        if size < 1:
            raise ValueError(f"size is the number of frames in the queue, at least 1, not {size}")
        if policy not in get_args(Policy):
            raise ValueError(f"policy is one of {', '.join(get_args(Policy))}; not {policy!r}")
        self._writer = writer
        self._size = size
        self._policy: Policy = policy
        self._queue: deque[Frame] = deque()
        self._spill = _SpillFile()
        self._busy = False  # the thread is writing a frame that it took from the queue
        self._changed = threading.Condition()
        self._error: Exception | None = None
        self._closed = False
        self._pid = os.getpid()
        self._last_time = 0.0
        self._calls = self._total_ns = self._max_ns = 0
        self.dropped: Counter[Kind] = Counter()
        self.spilled = 0
        self._thread = threading.Thread(target=self._run, name="trainlog writer", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def write(self, frame: Frame) -> None:
        """Put a copy of *frame* into the queue; raises the error of an earlier frame."""
        start = time.perf_counter_ns()
        if self._pid != os.getpid():  # a forked child has no such thread, and its copy of the lock may stay locked
            raise ClosedLog(FORKED)
        self._raise_error()
        frame = Frame(frame.time, frame.kind, snapshot(frame.data))
        with self._changed:
            self._check_open()
            self._enqueue(frame)
            self._last_time = frame.time
            self._changed.notify_all()
            duration = time.perf_counter_ns() - start
            self._calls += 1
            self._total_ns += duration
            self._max_ns = max(self._max_ns, duration)

    def _enqueue(self, frame: Frame) -> None:
        if self._spill.frames:  # those in the file are older than this one
            self._write_to_spill(frame)
            return
        while len(self._queue) >= self._size:
            if self._policy == "drop_oldest":
                self.dropped[self._queue.popleft().kind] += 1
            elif self._policy == "spill":
                self._write_to_spill(frame)
                return
            else:
                self._changed.wait()
                self._check_open()
        self._queue.append(frame)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedLog("this log was closed")

    def _write_to_spill(self, frame: Frame) -> None:
        try:
            self._spill.put(frame)
            self.spilled += 1
        except OSError:
            self.dropped[frame.kind] += 1

    def _run(self) -> None:
        while (frame := self._next()) is not None:
            try:
                self._writer.write(frame)
            except Exception as error:  # noqa: BLE001 - raised by the next call
                self._error = error

    def _next(self) -> Frame | None:
        """Wait for the next frame; None when this writer is closed and all frames are written."""
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            while not self._queue and not self._spill.frames:
                if self._closed:
                    return None
                self._changed.wait()
            self._busy = True
            return self._queue.popleft() if self._queue else self._spill.get()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def flush(self) -> None:
        """Wait until the queue is empty, and flush the other writer."""
        with self._changed:
            while self._queue or self._spill.frames or self._busy:
                self._changed.wait()
        self._writer.flush()
        self._raise_error()

    def sync(self) -> None:
        """Sync the other writer, without the frames that are still in the queue."""
        self._writer.sync()

    def close(self) -> None:
        """Write the queue and the final event, and close the other writer; may be called again."""
        if not self._closed:
            self._closed = True
            atexit.unregister(self.close)
            if self._pid == os.getpid():
                with self._changed:
                    self._changed.notify_all()
                self._thread.join()
                self._write_final_event()
            self._spill.close()
            self._writer.close()
        self._raise_error()

    def _write_final_event(self) -> None:
        event = {
            "type": "background",
            "by": "trainlog",
            "policy": self._policy,
            "size": self._size,
            "calls": self._calls,
            "mean_us": self._total_ns / max(self._calls, 1) / 1e3,
            "max_us": self._max_ns / 1e3,
            "dropped": {str(kind): count for kind, count in self.dropped.items()},
            "spilled": self.spilled,
        }
        try:
            self._writer.write(Frame(self._last_time, Kind.EVENT, event))
        except Exception as error:  # noqa: BLE001 - raised by close, when the other writer is closed
            self._error = self._error or error


class _SpillFile:
    """Frames in a temporary file, first in, first out.

    Attributes:
        frames: how many.

    """

    def __init__(self) -> None:
        self.frames = 0
        self._file: Any = None
        self._read = 0

    def put(self, frame: Frame) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="trainlog-")  # noqa: SIM115 - close() closes it
        try:
            record = pickle.dumps((frame.time, int(frame.kind), frame.data), pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise UnsupportedFrame(f"cannot be stored: {error}") from error
        end = self._file.seek(0, os.SEEK_END)
        try:
            self._file.write(record)
            self._file.flush()
        except OSError:
            self._file.truncate(end)
            raise
        self.frames += 1

    def get(self) -> Frame:
        self._file.seek(self._read)
        seconds, kind, data = pickle.load(self._file)
        self._read = self._file.tell()
        self.frames -= 1
        if not self.frames:
            self._file.truncate(0)
            self._read = 0
        return Frame(seconds, Kind(kind), data)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
