"""TrainingRecorder: the face that a training loop sees."""

from __future__ import annotations

import atexit
import os
import time
import warnings
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from trainlog import registry
from trainlog.codec import Writer
from trainlog.errors import LogWriteWarning
from trainlog.model import Kind
from trainlog.writers.background import Background, Policy
from trainlog.writers.retrying import RetryingWriter
from trainlog.writers.ticker import Ticker

__all__ = ["OnError", "TrainingRecorder"]

OnError = Literal["warn", "raise"]


# Looked up here once: an attribute of an enum costs more than packing a header.
_CREATURE, _STATS, _EVENT, _EVOLUTION = Kind.CREATURE, Kind.STATS, Kind.EVENT, Kind.EVOLUTION


class TrainingRecorder:
    """Records a training run, frame by frame; nothing that was recorded is lost when the process dies.

    A power cut loses at most the last seconds, and a disk that is full or gone does not end the training; what exactly
    is promised stands in docs/durability.md.

    Every ``record_`` method takes the time of the frame in seconds since the run began, ``None`` for now (by a clock
    that never steps back). Values may be Python or numpy numbers, arrays, strings, bytes, lists and maps.

    It can be used from several threads, closes itself when the interpreter exits, and refuses to write in a child
    process that was forked from the one that made it.
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
            creature_name: what is trained; ``creature`` in the metadata.
            task: what it learns; ``task`` in the metadata.
            phase: a tag of the training phase, 0 to 255.
            metadata: more that is true of the whole run: seed, arguments, versions, ...
            overwrite: replace a log that is there. Otherwise that is an error.
            resume: go on with the log that is there, if there is one, as `trainlog.resume` does; its header stays as it
                is, and metadata that differ from it are in the event of the restart. The clock goes on from its last
                frame.
            shard: the number of this process among several that log one run: *path* becomes a folder in which each
                of them has a file of its own, and which `trainlog.open` reads as one log.
            on_error: what becomes of a frame that the system does not take (a full disk, a folder that is gone).
                ``warn``: it waits in memory until there is room again, see `trainlog.writers.retrying.RetryingWriter`,
                with a warning. ``raise``: the call raises `LogWriteError`, and the frame is not in the log. What goes
                wrong here, at the beginning, is raised in any case.
            sync_every: seconds after which frames are on the disk, safe from a power cut; a thread sees to it. None
                to leave that to the system.
            background: write in a thread, and let so many frames wait for it; see
                `trainlog.writers.background.Background`. For file systems that are slow: what waits is lost when the
                process is killed. None, the default, to write every frame before the call returns.
            when_full: what becomes of a frame when so many wait: ``block``, ``drop_oldest`` or ``spill``.

        Raises:
            LogExists: when there is a file at *path* already.
            LogInUse: when it is to be replaced while another process writes it.
            LogWriteError: when the file cannot be made.
            UnsupportedFrame: when the metadata cannot be stored.

        """
        meta = {"creature": creature_name, "task": task, **(metadata or {})}
        if shard is not None:
            path = Path(path) / f"{shard}{Path(path).suffix}"
            meta["shard"] = {"rank": shard, "began": time.time()}
        if on_error not in ("warn", "raise"):
            raise ValueError(f"on_error is 'warn' or 'raise', not {on_error!r}")
        self._warns = on_error == "warn"
        if resume and overwrite:
            raise ValueError("a log is either gone on with or replaced: resume or overwrite, not both")
        if resume and _is_there(path):
            self._writer: Writer = _resumed(path, meta)
        else:
            self._writer = registry.create(
                path, meta, phase=phase, overwrite=overwrite or (resume and Path(path).exists())
            )
        self._began = time.monotonic() - self._writer.resumed_at
        if self._warns:
            self._writer = RetryingWriter(self._writer)
        if background is not None:
            self._writer = Background(self._writer, background, when_full)
        self._put = self._writer.put
        self._unheard: OSError | None = None  # an error of the thread
        self._warned = ""
        self._ticker = None if sync_every is None else Ticker(sync_every, self._sync, "trainlog sync")
        self.path = path
        _open_recorders.add(self)

    def record_creature_frame(self, timestamp: float | None, data: Mapping[str, Any]) -> None:
        """Record the physical state at a step.

        Keys that viewers know: step, pos (qpos), vel (qvel), com (m), heading (rad), speed (m/s), x, y (m), ball_pos.

        Raises:
            UnsupportedFrame: for a value that cannot be stored; the log stays as it was, without this frame.
            ClosedLog: after ``close``, and in a forked child.
            LogWriteError: with ``on_error="raise"``, when the system does not take the bytes, or did not bring earlier
                ones to the disk.

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
            As ``record_creature_frame``.

        """
        event: dict[str, Any] = {"type": event_type}
        event |= {"msg": data} if isinstance(data, str) else data or {}
        event["type"] = event_type
        self._put(self.now() if timestamp is None else timestamp, _EVENT, event)

    def record_evolution_frame(self, timestamp: float | None, data: Mapping[str, Any]) -> None:
        """Record a generation: gen, best, avg, pop, dist, stage, diversity; raises as ``record_creature_frame``."""
        self._put(self.now() if timestamp is None else timestamp, _EVOLUTION, data)

    def rewind(self, step: int) -> None:
        """Declare that training went back to a checkpoint, the one of *step*; raises as ``record_creature_frame``.

        All frames so far, from the first one on whose ``step`` is above it, are superseded: readers, tables, curves
        and pictures leave them out. They stay in the file; `trainlog.Reader.with_superseded` shows them. ``step`` must
        count the same thing in all frames that have one.
        """
        self._put(self.now(), _EVENT, {"type": "rewind", "by": "trainlog", "step": int(step)})

    def now(self) -> float:
        """Seconds since the run began: since this recorder was made, or, of a log that is gone on with, beside that
        as long as its frames took.
        """
        return time.monotonic() - self._began

    def flush(self) -> None:
        """Nothing is held back; this is here for loops that call it."""
        self._writer.flush()

    def sync(self) -> None:
        """Wait until all that was recorded is on the disk; after a checkpoint, say. The thread does it by itself.

        Raises:
            LogWriteError: with ``on_error="raise"``, when the disk failed.

        """
        self._sync()
        self._raise_unheard()

    def _sync(self) -> None:
        """Of the thread: whatever goes wrong is told by a warning, or by the next call."""
        try:
            self._writer.sync()
        except OSError as error:
            if not self._warns:
                self._unheard = error
                self._put = self._raise_then_put
            elif str(error) != self._warned:
                self._warned = str(error)
                warnings.warn(LogWriteWarning(self._warned), stacklevel=2)

    def _raise_then_put(self, time: float, kind: Kind, data: Mapping[str, Any]) -> None:
        self._raise_unheard()
        self._put(time, kind, data)

    def _raise_unheard(self) -> None:
        error, self._unheard = self._unheard, None
        self._put = self._writer.put
        if error is not None:
            raise error

    def close(self) -> None:
        """Bring everything to the disk, and close the log; may be called again.

        Raises:
            LogWriteError: with ``on_error="raise"``, when something of it failed that no other call has raised.

        """
        _open_recorders.discard(self)
        if self._ticker is not None:
            self._ticker.stop()
            self._ticker = None
            self._sync()
        self._writer.close()
        self._raise_unheard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"TrainingRecorder({os.fspath(self.path)!r})"


def _is_there(path: str | os.PathLike[str]) -> bool:
    try:
        return Path(path).stat().st_size > 0
    except OSError:
        return False


def _resumed(path: str | os.PathLike[str], meta: Mapping[str, Any]) -> Writer:
    old = registry.open(path).header.meta
    other = {key: value for key, value in meta.items() if key != "shard" and str(value) != str(old.get(key))}
    return registry.resume(path, note={"metadata": other} if other else None)


_open_recorders: weakref.WeakSet[TrainingRecorder] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for recorder in list(_open_recorders):
        recorder.close()
