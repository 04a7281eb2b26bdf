"""Background: a writer in front of another one that takes long, with a queue between them."""

from __future__ import annotations

import atexit
import os
import pickle
import tempfile
import threading
import time
from array import array
from collections import Counter, deque
from typing import Any, Final, Literal, get_args

from trainlog.codec import Writer
from trainlog.errors import ClosedLog, UnsupportedFrame
from trainlog.model import Frame, Kind
from trainlog.writers.combine import snapshot

__all__ = ["Background", "Latencies", "Policy"]

Policy = Literal["block", "drop_oldest", "spill"]


class Background(Writer):
    """Writes in a thread of its own, for writers that take long; ``write`` only copies the frame into a queue.

    What is in the queue is lost when the process is killed: the FLOG writer needs no such help, and keeps its
    promise without it. An error of the thread is raised by the next call.

    At the end an event says how it went; ``trainlog info`` shows it. Its ``type`` is ``background``, and it has
    ``calls``, ``p50_us``, ``p99_us`` and ``max_us`` (how long a call of ``write`` took), ``dropped`` (frames of each
    kind) and ``spilled`` (how many frames).

    Attributes:
        dropped: frames that were dropped, by kind.
        spilled: how many frames went through the file.

    """

    def __init__(self, writer: Writer, size: int = 10_000, policy: Policy = "block") -> None:
        """Begin.

        Args:
            writer: where to.
            size: how many frames may wait.
            policy: what becomes of a frame when so many do. ``block``: the call waits for room. ``drop_oldest``: the
                frame that has waited longest is dropped, and counted. ``spill``: it goes through a temporary file,
                which holds as many as the disk does; one that even it cannot take is dropped, and counted.

        """
        if size < 1:
            raise ValueError(f"how many frames may wait? 1 at least, not {size}")
        if policy not in get_args(Policy):
            raise ValueError(f"policy is one of {', '.join(get_args(Policy))}; not {policy!r}")
        self._writer = writer
        self._size = size
        self._policy: Policy = policy
        self._queue: deque[Frame] = deque()
        self._spill = _Spill()
        self._busy = False  # with a frame that is in the queue no more
        self._changed = threading.Condition()
        self._error: Exception | None = None
        self._closed = False
        self._pid = os.getpid()
        self._last = 0.0
        self._latencies = Latencies()
        self.dropped: Counter[Kind] = Counter()
        self.spilled = 0
        self._thread = threading.Thread(target=self._run, name="trainlog writer", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def write(self, frame: Frame) -> None:
        """Put a copy of *frame* into the queue; raises what went wrong with an earlier one."""
        began = time.perf_counter_ns()
        if self._pid != os.getpid():  # where the thread is not, and the lock may be held for ever
            raise ClosedLog("this log belongs to the process that this one was forked from; open one of its own")
        self._raise()
        frame = Frame(frame.time, frame.kind, snapshot(frame.data))
        with self._changed:
            self._must_be_open()
            self._take(frame)
            self._last = frame.time
            self._changed.notify_all()
        self._latencies.add(time.perf_counter_ns() - began)

    def _take(self, frame: Frame) -> None:
        if self._spill.frames:  # those in the file came before this one
            self._to_file(frame)
            return
        while len(self._queue) >= self._size:
            if self._policy == "drop_oldest":
                self.dropped[self._queue.popleft().kind] += 1
            elif self._policy == "spill":
                self._to_file(frame)
                return
            else:
                self._changed.wait()
                self._must_be_open()
        self._queue.append(frame)

    def _must_be_open(self) -> None:
        if self._closed:
            raise ClosedLog("this log was closed")

    def _to_file(self, frame: Frame) -> None:
        try:
            self._spill.put(frame)
            self.spilled += 1
        except OSError:
            self.dropped[frame.kind] += 1

    def _run(self) -> None:
        while (frame := self._next()) is not None:
            try:
                self._writer.write(frame)
            except Exception as error:  # noqa: BLE001 - handed to the thread that logs
                self._error = error

    def _next(self) -> Frame | None:
        """The next frame, waiting for it; None when there will be no more."""
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            while not self._queue and not self._spill.frames:
                if self._closed:
                    return None
                self._changed.wait()
            self._busy = True
            return self._queue.popleft() if self._queue else self._spill.get()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def flush(self) -> None:
        """Wait until all that is in the queue is written."""
        with self._changed:
            while self._queue or self._spill.frames or self._busy:
                self._changed.wait()
        self._writer.flush()
        self._raise()

    def sync(self) -> None:
        """Sync the writer beneath; what is still in the queue is not waited for."""
        self._writer.sync()

    def close(self) -> None:
        """Write what is in the queue and how it went, and close the writer beneath; may be called again."""
        if not self._closed:
            self._closed = True
            atexit.unregister(self.close)
            if self._pid == os.getpid():
                with self._changed:
                    self._changed.notify_all()
                self._thread.join()
                self._tell()
            self._spill.close()
            self._writer.close()
        self._raise()

    def _tell(self) -> None:
        event = {
            "type": "background",
            "by": "trainlog",
            "policy": self._policy,
            "size": self._size,
            **self._latencies.facts(),
            "dropped": {str(kind): count for kind, count in self.dropped.items()},
            "spilled": self.spilled,
        }
        try:
            self._writer.write(Frame(self._last, Kind.EVENT, event))
        except Exception as error:  # noqa: BLE001 - raised by close, when the writer beneath is closed
            self._error = self._error or error


class _Spill:
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
            self._file = tempfile.TemporaryFile(prefix="trainlog-")  # noqa: SIM115 - open as long as this is
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


# A bucket for each eighth of a power of two: what a quantile says is right to 12 %.
_PARTS: Final = 8
_BITS: Final = 3


class Latencies:
    """How long calls took: a histogram of fixed size. Several threads may add, and may lose a count to each other."""

    def __init__(self) -> None:
        self._counts = array("Q", bytes(8 * 64 * _PARTS))
        self._most = 0

    def add(self, nanoseconds: int) -> None:
        """Count a call."""
        shift = max(nanoseconds.bit_length() - 1 - _BITS, 0)
        self._counts[min(shift * _PARTS + (nanoseconds >> shift), len(self._counts) - 1)] += 1
        if nanoseconds > self._most:
            self._most = nanoseconds

    def facts(self) -> dict[str, float]:
        """``calls``, and their median, 99th percentile and maximum in microseconds."""
        calls = sum(self._counts)
        return {
            "calls": calls,
            "p50_us": self._quantile(calls * 0.5) / 1e3,
            "p99_us": self._quantile(calls * 0.99) / 1e3,
            "max_us": self._most / 1e3,
        }

    def _quantile(self, rank: float) -> float:
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if count and seen >= rank:
                # The first sixteen buckets are a nanosecond wide each; then each eight double in width.
                shift = max(bucket // _PARTS - 1, 0)
                return min((bucket - shift * _PARTS + 1) << shift, self._most)
        return 0.0
