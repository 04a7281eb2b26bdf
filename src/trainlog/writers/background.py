"""Background: a writer with a queue and a thread, for another writer that is slow."""

from __future__ import annotations

import atexit
import contextlib
import operator
import os
import pickle
import struct
import threading
import time
import warnings
from collections import Counter, deque
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import BinaryIO, Final, Literal, SupportsIndex, get_args

from trainlog.codec import Writer
from trainlog.conventions import RUN_STATE
from trainlog.errors import FORKED, ClosedLog, LogWriteWarning, UnsupportedFrame
from trainlog.model import Frame, Kind
from trainlog.writers.combine import first_to_drop, snapshot
from trainlog.writers.ticker import interrupts, wait_until

__all__ = ["Background", "Policy", "check_queue"]

Policy = Literal["block", "drop_oldest", "spill"]

_PAUSE: Final = 0.001  # seconds between two checks for room in the queue
_LONGEST_PAUSE: Final = 1.0  # seconds between two attempts to write a frame that the system refuses

_LENGTH: Final = struct.Struct("<Q")  # the length of a frame in the temporary file


class Background(Writer):
    """Writes in a thread of its own; ``write`` only copies the frame into a queue.

    Frames in the queue are lost when the process is killed. The FLOG writer is fast and durable without it. An error
    in the thread is raised by the next call. A frame that the other writer refuses with an `OSError` stays in the queue
    and is retried; a frame that it cannot hold is left out, and counted. ``close`` warns about frames that were lost.

    ``close`` writes an event, which ``trainlog info`` shows. Its ``type`` is ``background``; it has ``calls``,
    ``mean_us`` and ``max_us`` (the duration of a call to ``write``), ``dropped`` and ``failed`` (frames of each kind)
    and ``spilled`` (the number of frames).

    Attributes:
        dropped: frames that were dropped, by kind.
        failed: frames that could not be written, by kind.
        spilled: how many frames went through the temporary file.

    """

    def __init__(self, writer: Writer, size: int = 10_000, policy: Policy = "block") -> None:
        """Start the thread.

        Args:
            writer: the writer that the frames go to.
            size: how many frames the queue holds.
            policy: what happens to a frame when the queue is full. ``block``: the call waits. ``drop_oldest``: the
                oldest frame of the queue is dropped, and counted. ``spill``: the frame goes through a temporary file;
                if that cannot be written either, the frame is dropped, and counted.

        Raises:
            ValueError: for a *size* below 1, or another policy.

        """
        check_queue(size, policy)
        self._writer = writer
        self.lock = writer.lock
        self.keeps_run_state = writer.keeps_run_state
        self._size = size
        self._policy: Policy = policy
        # Not a Condition: its methods are Python code, and an exception from a signal handler would leave it locked.
        self._lock = threading.RLock()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._ended = threading.Lock()  # locked by the thread when it ends
        self._queue: deque[Frame] = deque()
        self._spill = _SpillFile()
        self._late: deque[Frame] = deque()  # on their way to the temporary file
        self._is_changing = False
        self._busy = False  # the thread has a frame; set before the frame leaves the queue
        self._error: Exception | None = None
        self._closing = self._has_reported = self._closed = False
        self._pid = os.getpid()
        self._last_time = 0.0
        self._calls = self._total_ns = self._max_ns = 0
        self.dropped: Counter[Kind] = Counter()
        self.failed: Counter[Kind] = Counter()
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
        frame = Frame(snapshot(frame.time), frame.kind, snapshot(frame.data))
        while not self._enqueue(frame):
            time.sleep(_PAUSE)
            self._raise_error()
        self._wake.put(None)
        if frame.kind == RUN_STATE:  # not a call of the training loop
            return
        self._last_time = frame.time
        duration = time.perf_counter_ns() - start
        self._calls += 1
        self._total_ns += duration
        self._max_ns = max(self._max_ns, duration)

    def check(self, frame: Frame) -> None:
        """Raise what the other writer would raise for *frame*."""
        self._writer.check(frame)

    def _enqueue(self, frame: Frame) -> bool:
        """Put *frame* where the thread finds it; returns False when there is no room."""
        with self._lock:
            if self._closing:
                raise ClosedLog("this log was closed")
            if self._is_changing:  # called from a signal handler that interrupted this method, and cannot wait
                (self._late if self._late or self._spill.frames else self._queue).append(frame)
                return True
            self._is_changing = True
            try:
                return self._place(frame)
            finally:
                self._is_changing = False

    def _place(self, frame: Frame) -> bool:
        full = len(self._queue) >= self._size
        if self._late or self._spill.frames or (full and self._policy == "spill"):  # they are older than this one
            self._late.append(frame)
            self._write_to_spill()
            return True
        if full and self._policy == "block" and not interrupts(self.lock):
            return False
        if full and self._policy == "drop_oldest":
            place = first_to_drop(len(self._queue), self._queue.__getitem__)
            if place is not None:
                if self._queue[place].kind != RUN_STATE:
                    self.dropped[self._queue[place].kind] += 1
                del self._queue[place]
        self._queue.append(frame)
        return True

    def _write_to_spill(self) -> None:
        while self._late:
            try:
                self._spill.put(self._late[0])
                self.spilled += 1
            except OSError:
                self.dropped[self._late[0].kind] += 1
            except UnsupportedFrame:
                self._late.popleft()
                raise
            self._late.popleft()

    def _run(self) -> None:
        try:
            self._write_all()
        finally:
            self._ended.acquire()

    def _write_all(self) -> None:
        """Write the frames that are queued and those that follow, until this writer is closed."""
        while True:
            with self._lock:
                self._busy = True
                closing, frame = self._closing, self._take()
            if frame is not None:
                self._write(frame)
            self._busy = False
            if frame is None:
                if closing:
                    return
                self._pause(1.0)

    def _take(self) -> Frame | None:
        if self._queue:
            return self._queue.popleft()
        if self._spill.frames:
            return self._from_spill()
        return self._late.popleft() if self._late else None

    def _from_spill(self) -> Frame | None:
        try:
            return self._spill.get()
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            self.dropped[Kind(0)] += self._spill.frames  # their kinds are lost
            self._error = error
            self._spill.clear()
            return None

    def _write(self, frame: Frame) -> None:
        """Write *frame*, retrying while the system refuses it; once this writer is closed, only one more time."""
        pause = _PAUSE
        while True:
            closing = self._closing
            try:
                self._writer.put(*frame)
                return
            except OSError as error:
                self._error = error
                if closing:
                    self.failed[frame.kind] += 1
                    return
                self._pause(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except Exception as error:  # noqa: BLE001 - raised by the next call
                self._error = error
                if not isinstance(error, Warning):  # with a warning raised as an error, the frame is kept or written
                    self.failed[frame.kind] += 1
                return

    def _pause(self, seconds: float) -> None:
        """Wait until there is something to do, for at most *seconds*."""
        with contextlib.suppress(Empty):
            self._wake.get(timeout=seconds)

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def flush(self) -> None:
        """Wait until the queue is empty, and flush the other writer; raises the error of an earlier frame.

        A signal handler that interrupts a call to this writer does not wait.
        """
        if self._pid == os.getpid() and not self._closed and not self.interrupts():
            wait_until(self._is_idle)
        self._writer.flush()
        self._raise_error()

    def _is_idle(self) -> bool:
        self._raise_error()
        return not (self._queue or self._spill.frames or self._late or self._busy) or self._ended.locked()

    def _is_free(self) -> bool:
        """Whether no other thread, alive or ended, holds a lock that is needed to write."""
        for lock in (self._lock, self.lock):
            if lock is not None:
                if not lock.acquire(blocking=False):
                    return False
                lock.release()
        return True

    def interrupts(self) -> bool:
        """Whether this code runs in a signal handler or finalizer that interrupted a call of this writer."""
        return interrupts(self._lock) or interrupts(self.lock)

    def sync(self) -> None:
        """Sync the other writer, without the frames that are still in the queue."""
        self._writer.sync()

    def close(self) -> None:
        """Write the queue and the final event, and close the other writer.

        Can be called again, and continues where an exception interrupted it. When it is called by a signal handler that
        interrupts a call to this writer, the rest is left to the next ``close``, or to the exit of the interpreter.
        """
        if not self._closed:
            self._closing = True
            if self._pid == os.getpid():
                if self.interrupts():
                    return
                self._wake.put(None)
                if threading.current_thread() is self._thread:  # called by a finalizer that interrupted the thread
                    self._write_all()
                else:
                    wait_until(self._ended.locked)
                    if not self._ended.locked() and self._is_free():  # the interpreter has ended the thread
                        self._write_all()
                if not self._has_reported:
                    self._write_final_event()
            self._spill.close()
            self._writer.close()
            try:
                self._warn_of_lost()
            except Warning:
                self._closed = True
                raise
            self._closed = True
            atexit.unregister(self.close)
        self._raise_error()

    def _warn_of_lost(self) -> None:
        """Warn about lost frames; the final event says the same, but can be lost as well."""
        if self._pid != os.getpid():
            return
        for count, why in ((self.dropped.total(), "the queue was full"), (self.failed.total(), "of errors")):
            if count:
                text = f"{count:,} frames could not be written and were dropped, because {why}"
                warnings.warn(LogWriteWarning(text), stacklevel=3)

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
            "failed": {str(kind): count for kind, count in self.failed.items()},
            "spilled": self.spilled,
        }
        before = self._writer.size()
        try:
            self._writer.write(Frame(self._last_time, Kind.EVENT, event))
            self._has_reported = True
        except Exception as error:  # noqa: BLE001 - raised by close, after the other writer is closed
            self._has_reported = True
            self._error = self._error or error
        except BaseException:
            self._has_reported = self._writer.size() != before
            raise


def check_queue(size: int, policy: str) -> None:
    """Raise ValueError or TypeError for an invalid *size* or *policy*."""
    if not isinstance(size, SupportsIndex):
        raise TypeError(f"size is the number of frames in the queue, a whole number, not {size!r}")
    if operator.index(size) < 1:
        raise ValueError(f"size is the number of frames in the queue, at least 1, not {size}")
    if policy not in get_args(Policy):
        raise ValueError(f"policy is one of {', '.join(get_args(Policy))}; not {policy!r}")


class _SpillFile:
    """Frames in a temporary file, first in, first out.

    It keeps its own offsets, because a forked child shares the position of an open file.

    Attributes:
        frames: the number of frames in the file.

    """

    def __init__(self) -> None:
        self.frames = 0
        self._file: BinaryIO | None = None
        self._start = self._end = 0  # offsets of the frames in the file

    @property
    def _descriptor(self) -> int:
        if self._file is None:
            self._file = _temporary_file()
        return self._file.fileno()

    def put(self, frame: Frame) -> None:
        try:
            record = pickle.dumps((frame.time, int(frame.kind), frame.data), pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise UnsupportedFrame(f"cannot be stored: {error}") from error
        rest, at = memoryview(_LENGTH.pack(len(record)) + record), self._end
        while rest:
            written = os.pwrite(self._descriptor, rest, at)
            rest, at = rest[written:], at + written
        self._end = at
        self.frames += 1

    def get(self) -> Frame:
        (size,) = _LENGTH.unpack(self._read(self._start, _LENGTH.size))
        seconds, kind, data = pickle.loads(self._read(self._start + _LENGTH.size, size))
        self._start += _LENGTH.size + size
        self.frames -= 1
        if not self.frames:
            self.clear()
        return Frame(seconds, Kind(kind), data)

    def _read(self, start: int, size: int) -> bytes:
        parts = []
        while size and (part := os.pread(self._descriptor, size, start)):
            parts.append(part)
            start, size = start + len(part), size - len(part)
        if size:
            raise EOFError("the temporary file was cut")
        return b"".join(parts)

    def clear(self) -> None:
        self.frames = self._start = self._end = 0
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _temporary_file() -> BinaryIO:
    """A file without a name.

    `tempfile` looks for its folder under a lock, which stays locked when Ctrl-C comes at the wrong moment; the next
    call would wait forever.
    """
    folders = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")] + ["/tmp", "/var/tmp", "."]
    name = f"trainlog-{os.urandom(8).hex()}"
    refused: OSError | None = None
    for folder in filter(None, folders):
        path = Path(folder, name)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            refused = refused or error
            continue
        path.unlink()
        return os.fdopen(descriptor, "r+b", buffering=0)
    raise refused or FileNotFoundError("there is no folder for temporary files")
