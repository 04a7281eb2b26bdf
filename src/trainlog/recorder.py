"""TrainingRecorder: the interface for training loops."""

from __future__ import annotations

import atexit
import contextlib
import os
import time
import warnings
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, Unpack

from trainlog import registry
from trainlog.codec import Writer
from trainlog.environments import Settings, VectorRecorder
from trainlog.errors import ClosedLog, DamagedLog, LogExists, LogNotFound, LogWriteWarning, UnknownFormat
from trainlog.model import Frame, Kind, KindLike
from trainlog.storage.append import set_aside
from trainlog.storage.location import local_path
from trainlog.writers.background import Background, Policy, check_queue
from trainlog.writers.keep_last import KeepLast
from trainlog.writers.retrying import RetryingWriter
from trainlog.writers.ticker import Ticker, check_interval, interrupts

__all__ = ["OnError", "TrainingRecorder"]

OnError = Literal["warn", "raise"]


# Module constants, because the lookup of an enum member costs more than packing a frame header.
_CREATURE, _STATS, _EVENT, _EVOLUTION = Kind.CREATURE, Kind.STATS, Kind.EVENT, Kind.EVOLUTION


class TrainingRecorder:
    """Records a training run, frame by frame; no recorded frame is lost when the process dies.

    A power cut loses at most the last seconds, and a full or missing disk does not end the training; see
    docs/durability.md.

    Every ``record_`` method takes the time of the frame in seconds since the run began, ``None`` for now (by a
    monotonic clock). Values may be Python or numpy numbers, arrays, strings, bytes, lists and maps.

    A recorder can be used from several threads, and from signal handlers. It closes itself when the interpreter exits
    (or, with a `ResourceWarning`, when it is dropped), and refuses to write in a forked child process.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        creature_name: str = "unknown",
        task: str = "",
        phase: int = 0,
        metadata: Mapping[str, Any] | None = None,
        *,
        overwrite: bool = False,
        resume: bool = False,
        shard: int | None = None,
        on_error: OnError = "warn",
        sync_every: float | None = 5.0,
        background: int | None = None,
        when_full: Policy = "block",
    ) -> None:
        """Begin the log at *path*.

        Args:
            path: the suffix decides the format: ``.flog`` or ``.bin`` is FLOG. Folders above it are made.
            creature_name: ``creature`` in the metadata.
            task: ``task`` in the metadata.
            phase: a tag of the training phase, 0 to 255.
            metadata: more metadata of the run: seed, arguments, versions, ...
            overwrite: replace an existing log, which stays as it is until the new one has begun. Otherwise an existing
                log is an error.
            resume: resume an existing log, as `trainlog.resume` does. Its header is not changed; metadata that differ
                from it are in the ``resume`` event. The clock continues from its last frame; that of a shard from
                when it began, by the wall clock. A log whose header is damaged (a power cut before it was on the disk)
                is renamed, with a warning, and begun anew.
            shard: the rank of this process among several that log one run: *path* is a folder with one file for each
                process, which `trainlog.open` reads as one log.
            on_error: what happens to a frame that cannot be written (a full disk, a deleted folder).
                ``warn``: a warning is issued, and the frame waits in memory, see
                `trainlog.writers.retrying.RetryingWriter`.
                ``raise``: the call raises `LogWriteError`, and the frame is not in the log. Errors of this
                constructor are always raised.
            sync_every: a thread syncs the log to the disk at this interval in seconds, against a power cut. None to
                leave that to the system.
            background: write in a thread, with a queue of this many frames; see
                `trainlog.writers.background.Background`. For slow file systems: queued frames are lost when the
                process is killed. None, the default, to write every frame before the call returns.
            when_full: what happens to a frame when the queue is full: ``block``, ``drop_oldest`` or ``spill``.

        Raises:
            LogExists: when there is a file at *path* already.
            LogInUse: when another process is writing the log that would be replaced or resumed.
            LogWriteError: when the file cannot be created.
            UnsupportedFrame: when the metadata cannot be stored.
            TypeError: when *creature_name* or *task* is no text.
            CodecError: when *path* is the URL of a bucket or a server.

        """
        if not all(isinstance(name, str) for name in (creature_name, task)):
            raise TypeError(f"creature_name and task are text; a map of facts is given as metadata={{...}}, for {path}")
        if "://" in str(path):
            path = local_path(path)
        meta = {"creature": creature_name, "task": task, **(metadata or {})}
        if on_error not in ("warn", "raise"):
            raise ValueError(f"on_error is 'warn' or 'raise', not {on_error!r}")
        if resume and overwrite:
            raise ValueError("a log is either resumed or replaced: give resume or overwrite, not both")
        if sync_every is not None:
            check_interval(sync_every)
        if background is not None:
            check_queue(background, when_full)
        if shard is not None:
            path = Path(path) / f"{shard}{Path(path).suffix}"
            meta["shard"] = {"rank": shard, "began": time.time()}
        self.path = path
        self._warns = on_error == "warn"
        self._sync_error: Exception | None = None  # of the thread; the next call raises it
        self._last_warning = ""
        self._ticker: Ticker | None = None
        self._writer, elapsed = _open(Path(path), meta, phase, overwrite=overwrite, resume=resume)
        self._start = time.monotonic() - elapsed
        if self._warns:
            self._writer = RetryingWriter(self._writer)
        if background is not None:
            self._writer = Background(self._writer, background, when_full)
        self._put = self._writer.put
        if sync_every is not None:
            self._ticker = Ticker(sync_every, self._sync, "trainlog sync")
        self._is_open = True
        _open_recorders.add(self)

    def record_creature_frame(self, timestamp: float | None, data: Mapping[str, Any]) -> None:
        """Record the physical state at a step.

        Keys that viewers know: step, pos (qpos), vel (qvel), com (m), heading (rad), speed (m/s), x, y (m), ball_pos.

        Raises:
            UnsupportedFrame: for a value that cannot be stored; the frame is not written.
            ClosedLog: after ``close``, and in a forked child.
            LogWriteError: with ``on_error="raise"``, when this frame cannot be written, or earlier ones could not be
                synced.

        """
        self._put(self.now() if timestamp is None else timestamp, _CREATURE, data)

    def record_stats_frame(self, timestamp: float | None, stats: Mapping[str, Any]) -> None:
        """Record training statistics: step, reward, distance, losses, ...; raises as ``record_creature_frame``."""
        self._put(self.now() if timestamp is None else timestamp, _STATS, stats)

    def record_event(
        self, timestamp: float | None, event_type: str, data: Mapping[str, Any] | str | None = None
    ) -> None:
        """Record something that happened: a fall, a new best, a change of curriculum.

        Args:
            timestamp: seconds since the run began, or None for now.
            event_type: becomes the key ``type``.
            data: more keys, or the text of the key ``msg``.

        Raises:
            TypeError: when *event_type* is no text.
            As ``record_creature_frame``.

        """
        if not isinstance(event_type, str):
            raise TypeError(
                f"the type of an event is text, not {type(event_type).__name__}: record_event(None, 'fall', {{...}})"
            )
        event: dict[str, Any] = {"type": event_type}
        event |= {"msg": data} if isinstance(data, str) else data or {}
        event["type"] = event_type
        self._put(self.now() if timestamp is None else timestamp, _EVENT, event)

    def record_evolution_frame(self, timestamp: float | None, data: Mapping[str, Any]) -> None:
        """Record a generation: gen, best, avg, pop, dist, stage, diversity; raises as ``record_creature_frame``."""
        self._put(self.now() if timestamp is None else timestamp, _EVOLUTION, data)

    def record(self, timestamp: float | None, kind: Kind, data: Mapping[str, Any]) -> None:
        """Record a frame of any kind, also one of your own (``Kind(100)``); raises as ``record_creature_frame``."""
        self._put(self.now() if timestamp is None else timestamp, kind, data)

    def record_many(self, frames: Iterable[tuple[float | None, Kind, Mapping[str, Any]]]) -> None:
        """Record many small frames at once, by one system call: those of all environments at a step, for example.

        When this returns, all of them are with the operating system, as after ``record_creature_frame`` for each. FLOG
        has all of them or none: when one cannot be stored, or not all can be written, none is.

        Args:
            frames: time in seconds (None for now, the same for all of them), kind and data of each.

        Raises:
            As ``record_creature_frame``.

        """
        if self._sync_error is not None:
            self._raise_sync_error()
        now = self.now()
        self._writer.put_many([Frame(now if at is None else at, Kind.of(kind), data) for at, kind, data in frames])

    def keep_last(
        self,
        *,
        seconds: float | None = None,
        frames: int | None = None,
        kind: KindLike = Kind.CREATURE,
        on_nan: bool = True,
    ) -> KeepLast:
        """A ring buffer for dense data (every physics step), which is written only when something happens.

        ::

            with log.keep_last(seconds=2) as dense:     # an exception in the block writes what is kept
                ...
                dense.record(None, {"qpos": data.qpos, "qvel": data.qvel})      # a NaN writes it, too
                if fell:
                    dense.write("fall")

        Args:
            seconds: keep the frames of the last so many seconds.
            frames: keep the last so many frames; one of the two is needed.
            kind: of the frames.
            on_nan: whether the first frame with a NaN or an infinity writes what is kept.

        Raises:
            ValueError: when neither limit is given, or one is not more than 0.

        """
        return KeepLast(self._writer, self.now, seconds=seconds, frames=frames, kind=kind, on_nan=on_nan)

    def vector(self, num_envs: int, autoreset: Any = "next_step", **settings: Unpack[Settings]) -> VectorRecorder:
        """A recorder of *num_envs* environments that go on together; see `trainlog.environments.VectorRecorder`."""
        return VectorRecorder(self, num_envs, autoreset, **settings)

    def rewind(self, step: int) -> None:
        """Record that training went back to the checkpoint of *step*; raises as ``record_creature_frame``.

        All earlier frames from the first one with a larger ``step`` on are superseded: readers, tables, curves and
        pictures leave them out. They stay in the file; `trainlog.Reader.with_superseded` shows them. ``step`` must
        count the same thing in all frames that have one.
        """
        self._put(self.now(), _EVENT, {"type": "rewind", "by": "trainlog", "step": int(step)})

    def now(self) -> float:
        """Seconds since the run began; of a resumed log, seconds since the restart plus the time of its last frame."""
        return time.monotonic() - self._start

    def flush(self) -> None:
        """Write all frames that wait in memory or in a queue. Without those, every frame is written already."""
        self._writer.flush()

    def sync(self) -> None:
        """Wait until all recorded frames are on the disk, for example after a checkpoint.

        Raises:
            LogWriteError: with ``on_error="raise"``, when the disk fails.

        """
        self._sync()
        self._raise_sync_error()

    def _sync(self) -> None:
        """Sync; runs in the thread, so that an error, or a warning that is one, is raised by the next call."""
        try:
            try:
                self._writer.sync()
            except OSError as error:
                if not self._warns:
                    raise
                if str(error) != self._last_warning:
                    self._last_warning = str(error)
                    warnings.warn(LogWriteWarning(self._last_warning), stacklevel=2)
        except (OSError, Warning) as error:
            self._sync_error = error
            self._put = self._raise_then_put

    def _raise_then_put(self, time: float, kind: Kind, data: Mapping[str, Any]) -> None:
        self._raise_sync_error()
        self._put(time, kind, data)

    def _raise_sync_error(self) -> None:
        error, self._sync_error = self._sync_error, None
        self._put = self._writer.put
        if error is not None:
            raise error

    def close(self) -> None:
        """Sync all frames to the disk, and close the log.

        May be called again. A call that is ended by an exception of the caller (KeyboardInterrupt) has lost nothing:
        the next one, the end of ``with``, or the end of the process goes on with it.

        Raises:
            LogWriteError: with ``on_error="raise"``, when that fails, or when the thread failed before.

        """
        if self._ticker is not None:
            self._ticker.stop(wait=not interrupts(self._writer.lock))
            with contextlib.suppress(ClosedLog):  # in a forked child, whose log it is not
                with contextlib.suppress(OSError):  # raised by the writer's close as well, or told in a warning
                    self._writer.flush()
                self._sync()
            self._ticker = None
        self._writer.close()
        self._is_open = False
        _open_recorders.discard(self)
        self._raise_sync_error()

    def __del__(self) -> None:
        if getattr(self, "_is_open", False):  # weak references may be gone already
            try:
                self.close()
            finally:
                warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=2)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"TrainingRecorder({os.fspath(self.path)!r})"


def _open(path: Path, meta: Mapping[str, Any], phase: int, *, overwrite: bool, resume: bool) -> tuple[Writer, float]:
    """The writer, and the seconds since the run began."""
    if not resume:
        return registry.create(path, meta, phase=phase, overwrite=overwrite), 0.0
    while True:  # other processes may create, replace or remove it meanwhile
        size = _size(path)
        try:
            if size:
                return _resumed(path, meta)
            return registry.create(path, meta, phase=phase, overwrite=size == 0), 0.0
        except LogExists:
            if size == 0 or not path.is_file():
                raise
        except LogNotFound:
            pass
        except (DamagedLog, UnknownFormat) as error:
            if isinstance(error, UnknownFormat) and any(_head(path)):
                raise
            aside = set_aside(path)
            text = f"{path}: {error.message}; the file is {aside.name} now, and the log was begun anew"
            warnings.warn(LogWriteWarning(text), stacklevel=4)
            writer = registry.create(path, meta, phase=phase)
            writer.write(Frame(0.0, Kind.EVENT, {"type": "begun_anew", "by": "trainlog", "msg": text}))
            return writer, 0.0


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _head(path: Path) -> bytes:
    """The bytes with which the file begins; all zero where a power cut came before they were on the disk."""
    with path.open("rb") as file:
        return file.read(8)


def _resumed(path: Path, meta: Mapping[str, Any]) -> tuple[Writer, float]:
    old = registry.open(path).header.meta
    changed = {key: value for key, value in meta.items() if key != "shard" and str(value) != str(old.get(key))}
    writer = registry.resume(path, note={"metadata": changed} if changed else None)
    shard = old.get("shard")
    began = shard.get("began") if isinstance(shard, dict) else None
    if "shard" in meta and isinstance(began, int | float):
        # The shards are merged by the time since each began: a pause counts, as it does for the others.
        return writer, max(writer.resumed_at, time.time() - began)
    return writer, writer.resumed_at


_open_recorders: weakref.WeakSet[TrainingRecorder] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for recorder in list(_open_recorders):
        recorder.close()
