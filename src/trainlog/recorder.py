"""TrainingRecorder: the interface for training loops."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Literal, Unpack, get_args

from trainlog.codecs.frame_payload import encode, storable
from trainlog.codecs.plain_object import plain_metadata
from trainlog.conventions import REWIND, RUN_STATE, SUMMARY
from trainlog.environments import Autoreset, Settings, VectorRecorder, whole_number
from trainlog.errors import FORKED, ClosedLog, LogWriteWarning, UnsupportedFrame
from trainlog.model import End, EndState, Frame, Header, Kind, KindLike
from trainlog.opening import (
    OpenedLog,
    RecordingPlace,
    begin,
    is_switched_off,
    rank_of,
    recording_place,
)
from trainlog.provenance import Provenance, facts, provenance_wanted
from trainlog.run_end import ClosedByBlock, Ending, all_open, close_first, ending_of, open_logs, stay_informed
from trainlog.writers.background import Background, Policy, check_queue
from trainlog.writers.combine import Nowhere
from trainlog.writers.keep_last import KeepLast
from trainlog.writers.retrying import RetryingWriter
from trainlog.writers.ticker import Ticker, check_interval, interrupts

__all__ = ["OnError", "TrainingRecorder"]

OnError = Literal["warn", "raise"]


# Module constants, because the lookup of an enum member costs more than packing a frame header.
_CREATURE, _STATS, _EVENT, _EVOLUTION = Kind.CREATURE, Kind.STATS, Kind.EVENT, Kind.EVOLUTION


class TrainingRecorder(ClosedByBlock):
    """Records a training run, frame by frame; no recorded frame is lost when the process dies.

    A power cut loses at most the last seconds, and a full or missing disk does not end the training; see
    docs/durability.md.

    Every ``record_`` method takes the time of the frame in seconds since the run began, ``None`` for now (by a
    monotonic clock). Values may be Python or numpy numbers, arrays, strings, bytes, lists and maps.

    A recorder can be used from several threads, and from signal handlers. It closes itself when the interpreter exits
    (or, with a `ResourceWarning`, when it is dropped), and refuses to write in a forked child process.

    The log records when, where and with which command the run was started, from which commit, and how it ended; see
    docs/provenance.md. ``TRAINLOG_MODE=off`` turns every call into a no-op. ``TRAINLOG_DIR`` is the folder that
    relative paths are resolved against.

    Attributes:
        path: where the log is written; for a log at a URL, the local file.
        uploader: uploads a log at a URL; ``uploader.wait(60)`` waits until everything is uploaded. None otherwise.
        is_recording: False when ``TRAINLOG_MODE`` turns recording off.

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
        provenance: bool | Provenance = True,
        local: str | os.PathLike[str] | None = None,
    ) -> None:
        """Create the log at *path*.

        Args:
            path: the suffix decides the format: ``.flog`` or ``.bin`` is FLOG. Missing parent folders are created. A
                URL (``s3://bucket/run.flog``) is written to a local file and uploaded by a thread; see docs/remote.md.
            creature_name: ``creature`` in the metadata.
            task: ``task`` in the metadata.
            phase: a tag for the training phase, 0 to 255.
            metadata: more metadata of the run: seed, arguments, versions, ...
            overwrite: replace an existing log, which stays as it is until the new one is created. A recorder in this
                process that has it open is closed. Without this, an existing log is an error. With *shard*, only the
                file of that rank is replaced.
            resume: resume an existing log, as `trainlog.resume` does. Metadata that differ from the old ones replace
                them, and are listed in the ``resume`` event. The clock continues from the last frame; that of a shard
                continues from its start, by the wall clock. A log whose header is damaged (a power cut before it
                reached the disk) is renamed, with a warning, and a new one is started.
            shard: the rank of this process among several that log one run: *path* is a folder with one file per
                process, which `trainlog.open` reads as one log.
            on_error: what happens to a frame that cannot be written (a full disk, a deleted folder).
                ``warn``: a warning is issued, and the frame waits in memory, see
                `trainlog.writers.retrying.RetryingWriter`.
                ``raise``: the call raises `LogWriteError`, and the frame is not in the log. Errors in this
                constructor are always raised.
            sync_every: a thread syncs the log to the disk at this interval in seconds, to protect it from a power cut.
                None leaves that to the operating system.
            background: write in a thread, with a queue of this many frames; see
                `trainlog.writers.background.Background`. For slow file systems: queued frames are lost when the
                process is killed. None, the default, writes every frame before the call returns.
            when_full: what happens to a frame when the queue is full: ``block``, ``drop_oldest`` or ``spill``.
            provenance: whether to find out where the run comes from; ``"no-patch"`` leaves out the differences from
                the commit. The variable ``TRAINLOG_PROVENANCE`` (``off``, ``no-patch``) does so for all recorders.
            local: the local file, when *path* is a URL. By default it is in the folder that the environment variable
                ``TRAINLOG_DIR`` names, or in ``trainlog-runs``; see the attribute ``path``.

        Raises:
            LogExists: when a file at *path* already exists.
            LogInUse: when another process is writing the log that would be replaced or resumed.
            LogWriteError: when the file cannot be created, or the bucket cannot be reached.
            MissingExtra: when the file system of a URL is not installed.
            UnknownFormat: when the file to be resumed is not a log, or cannot be read.
            UnsupportedFrame: when the metadata cannot be stored.
            TypeError: when *creature_name* or *task* is not a string, or *shard* is not an integer.
            ValueError: when *path* is a URL that cannot be written to, or a URL that was turned into a `Path`, or
                another argument is invalid.

        """
        if not all(isinstance(name, str) for name in (creature_name, task)):
            raise TypeError(
                f"creature_name and task are text; a map of facts is given as metadata={{...}}, for {path} (scripts of "
                "MH-FLOCKE import from trainlog.mhflocke)"
            )
        place = recording_place(path, local, shard)
        wanted = provenance_wanted(provenance)
        meta: dict[str, Any] = {"creature": creature_name, "task": task, **(metadata or {})}
        if on_error not in ("warn", "raise"):
            raise ValueError(f"on_error is 'warn' or 'raise', not {on_error!r}")
        if resume and overwrite:
            raise ValueError("a log is either resumed or replaced: give resume or overwrite, not both")
        if sync_every is not None:
            check_interval(sync_every)
        if background is not None:
            check_queue(background, when_full)
        if shard is not None:
            meta["shard"] = {"rank": rank_of(shard), "began": time.time()}
        self.path = place.path
        self._warns = on_error == "warn"
        self._sync_error: Exception | None = None  # of the thread; the next call raises it
        self._last_warning = ""
        self._ticker: Ticker | None = None
        self._pid = os.getpid()
        self._merging = threading.RLock()
        self._noted: tuple[Ending, int | None] | None = None
        self._ending: Ending | None = None
        self._has_told = False
        self._error_before = sys.exc_info()[1]  # being handled already, so that it does not end this run
        self.is_recording = not is_switched_off()
        began = time.monotonic()  # with the wall clock of the header; git may take a while
        header = Header(meta, phase, run=facts(wanted if shard in (None, 0) else "off") if self.is_recording else {})
        opened = self._opened(place, header, overwrite=overwrite, resume=resume)
        self._writer, self.uploader = opened.writer, opened.uploader
        self._start = began if opened.meta is None else time.monotonic() - opened.elapsed
        # Metadata added since the header was written, and the end of the run. Each is replaced as a whole, by a
        # statement that calls nothing.
        self._changes: Mapping[str, Any] = {}
        self._summary: Mapping[str, Any] = {}
        self._end: Mapping[str, Any] = {}
        self._given: Mapping[str, Any] = meta if opened.meta is None else opened.meta
        if self._warns:
            self._writer = RetryingWriter(self._writer)
        if background is not None:
            self._writer = Background(self._writer, background, when_full)
            close_first()
        self._put = self._writer.put
        if sync_every is not None and self.is_recording:
            self._ticker = Ticker(sync_every, self._sync, "trainlog sync")
        self._is_open = True
        open_logs[id(self)] = self
        stay_informed()
        if opened.meta is not None:
            # An old value that no frame can hold stays in the header.
            self._changes = {key: one for key, one in opened.meta.items() if storable(one) == one}
            if opened.changed:
                self.update_metadata(opened.changed)

    def _opened(self, place: RecordingPlace, header: Header, *, overwrite: bool, resume: bool) -> OpenedLog:
        """Create the log; with *overwrite*, first close another recorder of this process that has it open."""
        if not self.is_recording:
            return OpenedLog(Nowhere())
        if overwrite:
            for other in all_open():
                if os.path.abspath(other.path) == os.path.abspath(self.path):  # noqa: PTH100 - resolves ``..``, not links
                    other.close("interrupted", "another recorder took its place")
        return begin(place, header, overwrite=overwrite, resume=resume)

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
            TypeError: when *event_type* is not a string, or *data* is neither a map nor a string.
            UnsupportedFrame: when *data* has another ``type``.
            As ``record_creature_frame``.

        """
        if not isinstance(event_type, str):
            raise TypeError(
                f"the type of an event is text, not {type(event_type).__name__}: record_event(None, 'fall', {{...}})"
            )
        if not (data is None or isinstance(data, str | Mapping)):
            raise TypeError(f"the data of an event are a map or a text, not {type(data).__name__}")
        event: dict[str, Any] = {"type": event_type}
        event |= {"msg": data} if isinstance(data, str) else data or {}
        if not isinstance(event["type"], str) or event["type"] != event_type:
            error = UnsupportedFrame(
                f"the type of the event is {event_type!r}, but its data also have the key 'type', {event['type']!r}: "
                "store one of them under another key"
            )
            error.key = "type"
            raise error
        self._put(self.now() if timestamp is None else timestamp, _EVENT, event)

    def record_evolution_frame(self, timestamp: float | None, data: Mapping[str, Any]) -> None:
        """Record a generation: gen, best, avg, pop, dist, stage, diversity; raises as ``record_creature_frame``."""
        self._put(self.now() if timestamp is None else timestamp, _EVOLUTION, data)

    def stats(self, values: Mapping[str, Any], *, time: float | None = None) -> None:
        """``record_stats_frame`` for now: ``log.stats({"step": step, "loss": loss})``; for any kind of training."""
        self._put(self.now() if time is None else time, _STATS, values)

    def state(self, values: Mapping[str, Any], *, time: float | None = None) -> None:
        """``record_creature_frame`` for now: the state of a robot, a simulation, or whatever learns."""
        self._put(self.now() if time is None else time, _CREATURE, values)

    def event(self, event_type: str, data: Mapping[str, Any] | str | None = None, *, time: float | None = None) -> None:
        """``record_event`` for now: ``log.event("checkpoint", {"step": step})``."""
        self.record_event(time, event_type, data)

    def record(self, timestamp: float | None, kind: Kind, data: Mapping[str, Any]) -> None:
        """Record a frame of any kind, including your own (``Kind(100)``); raises as ``record_creature_frame``."""
        self._put(self.now() if timestamp is None else timestamp, kind, data)

    def record_many(self, frames: Iterable[tuple[float | None, Kind, Mapping[str, Any]]]) -> None:
        """Record many small frames with one system call, for example those of all environments at a step.

        When this returns, the operating system has all of them, as after ``record_creature_frame`` for each. In FLOG
        it is all or nothing: when one frame cannot be stored, or not all can be written, none is.

        Args:
            frames: time in seconds (None for now, the same for all of them), kind and data of each frame.

        Raises:
            As ``record_creature_frame``.

        """
        self._noted = None
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

            with log.keep_last(seconds=2) as dense:     # an exception in the block writes the buffer
                ...
                dense.record(None, {"qpos": data.qpos, "qvel": data.qvel})      # so does a NaN
                if fell:
                    dense.write("fall")

        Args:
            seconds: keep the frames of the last N seconds.
            frames: keep the last N frames; at least one of the two limits is required.
            kind: the kind of the frames.
            on_nan: whether the first frame with a NaN or an infinity writes the buffer.

        Raises:
            ValueError: when neither limit is given, or one is not greater than 0.

        """
        return KeepLast(self._writer, self.now, seconds=seconds, frames=frames, kind=kind, on_nan=on_nan)

    def vector(self, num_envs: int, autoreset: Autoreset = "next_step", **settings: Unpack[Settings]) -> VectorRecorder:
        """A recorder for *num_envs* environments that step together; see `trainlog.environments.VectorRecorder`."""
        return VectorRecorder(self, num_envs, autoreset, **settings)

    def update_metadata(self, values: Mapping[str, Any]) -> None:
        """Add *values* that become known during the run to the metadata, or replace those of the same keys.

        Readers show them in ``header.meta``, as if they had been there from the beginning. Formats that have no place
        for them (all but FLOG and Parquet) store them as an event ``metadata``.

        Raises:
            UnsupportedFrame: for a value that cannot be stored; nothing is changed.
            TypeError: for a key that is not a string, and for *values* that are not a map.
            As ``record_creature_frame``.

        """
        values = _checked(values)
        with self._lock():
            self._changes = {**self._changes, **values}
            if SUMMARY in values:
                self._summary = {}
        self._put_changes(values)

    def update_summary(self, values: Mapping[str, Any]) -> None:
        """Add *values* to the results of the run, ``summary`` in the metadata; raises as ``update_metadata``."""
        values = _checked(values)
        with self._lock():
            self._summary = {**self._summary, **values}
        self._put_changes({SUMMARY: values})

    def _put_changes(self, values: Mapping[str, Any]) -> None:
        """Record *values*, which are already merged into the earlier ones."""
        if not self._writer.keeps_run_state:
            self.record_event(None, "metadata", {"metadata": values})
        else:
            self._put_state()

    def _put_state(self) -> None:
        """Record everything added to the metadata since the header was written, and the end; the last frame counts."""
        with self._lock():  # so that the last frame has everything that any thread has added
            while True:  # what a signal handler adds meanwhile must not be lost
                changes, summary, end = self._changes, self._summary, self._end
                meta = changes
                if summary:
                    before = changes.get(SUMMARY, self._given.get(SUMMARY))
                    meta = {**changes, SUMMARY: {**(before if isinstance(before, Mapping) else {}), **summary}}
                self._put(self.now(), RUN_STATE, {"trainlog": 1, "meta": meta, **end})
                if self._changes is changes and self._summary is summary and self._end is end:
                    return

    def _lock(self) -> contextlib.AbstractContextManager[object]:
        """The lock for late metadata; none for a signal handler that must not wait.

        Raises:
            ClosedLog: in a forked child, where a thread that it does not have may hold the lock.

        """
        if self.is_recording and self._pid != os.getpid():
            raise ClosedLog(FORKED, path=self.path)
        return contextlib.nullcontext() if self._interrupts_writer() else self._merging

    def _interrupts_writer(self) -> bool:
        """Whether this code runs in a signal handler that interrupted a call of the writer, see `interrupts`."""
        writer = self._writer
        return writer.interrupts() if isinstance(writer, Background) else interrupts(writer.lock)

    def rewind(self, step: int) -> None:
        """Record that training went back to the checkpoint of *step*; raises as ``record_creature_frame``.

        The earlier frames are superseded from the first one with a larger ``step`` on: readers, tables, curves and
        pictures leave them out. They stay in the file; `trainlog.Reader.with_superseded` shows them. ``step`` must
        count the same thing in all frames that have one.

        Raises:
            TypeError: when *step* is not a whole number.
            As ``record_creature_frame``.

        """
        step = whole_number(step, -(2**63), "step is that of the checkpoint")
        self._put(self.now(), _EVENT, {**REWIND, "step": step})

    def now(self) -> float:
        """Seconds since the run began; for a resumed log, the time of its last frame plus seconds since the restart."""
        return time.monotonic() - self._start

    def flush(self) -> None:
        """Write all frames that wait in memory or in a queue. Without a queue, every frame is already written."""
        self._writer.flush()

    def sync(self) -> None:
        """Wait until all recorded frames are on the disk, for example after a checkpoint.

        Raises:
            LogWriteError: with ``on_error="raise"``, when the disk fails.

        """
        self._sync()
        self._raise_sync_error()

    def _sync(self) -> None:
        """Sync. Runs in the thread, so an error, or a warning turned into an error, is raised by the next call."""
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
        """Record the first frame after an error in the thread, or after something that may have ended the run."""
        self._noted = None
        self._raise_sync_error()
        self._put(time, kind, data)

    def _raise_sync_error(self) -> None:
        error, self._sync_error = self._sync_error, None
        self._put = self._writer.put
        if error is not None:
            raise error

    def close(self, state: EndState | None = None, reason: str = "") -> None:
        """Record how the run ended, sync all frames to the disk, and close the log.

        Args:
            state: how it ended; by default ``finished`` or, while an exception propagates, the state it stands for.
            reason: what ended it, in words.

        Can be called again. Nothing is lost when an exception (KeyboardInterrupt) interrupts the call: the next call,
        the end of ``with``, or the end of the process continues it.

        Raises:
            LogWriteError: with ``on_error="raise"``, when that fails, or when the thread failed before.
            ValueError: for another *state*.

        """
        if state is not None and state not in get_args(EndState):
            raise ValueError(f"a run is {', '.join(get_args(EndState))}, not {state!r}")
        failed = self._tell_end(None if state is None else (state, reason))
        if self._ticker is not None:
            self._ticker.stop(wait=not self._interrupts_writer())
            with contextlib.suppress(ClosedLog):  # in a forked child, whose log it is not
                self._sync()  # what is written from here on is synced by the writer's close
            self._ticker = None
        self._writer.close()
        self._is_open = False
        open_logs.pop(id(self), None)
        self._raise_sync_error()
        if isinstance(failed, Warning):
            raise failed
        if failed is not None:  # no frame is lost
            warnings.warn(LogWriteWarning(f"{failed}; the log does not say how the run ended"), stacklevel=2)

    def _tell_end(self, ending: Ending | None) -> OSError | Warning | None:
        """Record the end, once; the first call decides what it is. Returns why it could not be recorded."""
        if self._has_told or self._pid != os.getpid():
            return None
        if self._ending is None:
            error = sys.exc_info()[1]
            self._ending = ending or ending_of(None if error is self._error_before else error)
        try:
            self._end = {"end": asdict(End(*self._ending, self.now(), time.time()))}
            if self._writer.keeps_run_state:
                self._put_state()
        except ClosedLog:
            pass
        except (OSError, Warning) as error:  # reported when the log is closed
            return error
        self._has_told = True
        return None

    def note(self, ending: Ending) -> None:
        """Remember a possible end of the run, for `trainlog.run_end`: it counts if nothing is recorded after it."""
        self._noted = ending, self._writer.size()  # frames of `keep_last` change the size, too
        self._put = self._raise_then_put

    def close_at_exit(self, ending: Ending | None) -> None:
        """Close at the end of the process, with *ending*, or else with the one that was noted."""
        if ending is None and self._noted is not None and self._noted[1] == self._writer.size():
            ending = self._noted[0]
        self.close(*(ending or ending_of(None)))

    def __del__(self) -> None:
        if getattr(self, "_is_open", False):  # weak references may be gone already
            try:
                self.close("interrupted", "the recorder was dropped without close()")
            finally:
                warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=2)

    def __reduce__(self) -> Any:
        raise TypeError(
            f"{self!r} cannot be pickled: each process needs its own log, TrainingRecorder(path, shard=rank)"
        )

    def __repr__(self) -> str:
        local = os.fspath(self.path)
        return f"TrainingRecorder({self.uploader.url!r}, {local=})" if self.uploader else f"TrainingRecorder({local!r})"


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as they would be read back from a header.

    Raises:
        UnsupportedFrame, TypeError: when they are not valid metadata.

    """
    if not isinstance(values, Mapping):
        raise TypeError(f"metadata are a map, not {type(values).__name__}")
    keys: list[object] = list(values)
    if wrong := [key for key in keys if not isinstance(key, str)]:
        raise TypeError(f"keys of the metadata are text, not {wrong[0]!r}")
    plain = plain_metadata(values)
    encode(plain)  # for the name of the key in the error
    encode({"meta": {SUMMARY: plain}})  # as deeply nested as they can be
    return plain
