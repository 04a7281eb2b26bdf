"""FlogReplay: reads back a run, with the method names of the original FLOG reader."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np

from trainlog import registry
from trainlog.codec import Reader, Scan, Summary
from trainlog.conventions import EPISODE_END, EPISODE_START, EVOLUTION_NAMES, RANK, Conventions
from trainlog.csv_rows import cells_of, save_csv
from trainlog.environment_rows import by_environment
from trainlog.errors import EmptyLog
from trainlog.lazy_frames import LazyFrames, orders_of
from trainlog.model import Frame, Kind
from trainlog.storage.location import local_path
from trainlog.storage.replace import atomic_write

__all__ = ["FlogReplay", "check_fps", "interpolate", "save_npz"]

_COORDINATES: Final[tuple[Literal["qpos", "qvel"], ...]] = ("qpos", "qvel")
_DEFAULTS: Final[Mapping[str, Any]] = MappingProxyType({"speed": 0.0, "step": 0, "skill": ""})
_SHOWN: Final = 5  # events at the beginning and at the end that a summary shows


class FlogReplay:
    """A recorded run of any installed format.

    Methods that return frames return sequences of dicts: the frame's data, and its time as ``timestamp``. The sequences
    can be counted, indexed, sliced and iterated, and read the log as needed; see `trainlog.lazy_frames.LazyFrames`. The
    properties are read once.

    Attributes:
        path: the path of the log.
        reader: its `trainlog.Reader`, for tables and more.
        conventions: the meaning of its keys.

    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the log at *path*.

        Raises:
            LogNotFound, UnknownFormat, DamagedLog: as `trainlog.open`.

        """
        self.reader: Reader = registry.open(path)
        self.path = self.reader.path
        self.conventions = Conventions.of(self.reader.header)

    @property
    def meta(self) -> Mapping[str, Any]:
        """The metadata of the run."""
        return self.reader.header.meta

    @property
    def creature(self) -> str:
        """The creature that was trained; ``unknown`` without metadata."""
        return str(self.meta.get("creature", "unknown"))

    @property
    def task(self) -> str:
        """The task that the creature learned."""
        return str(self.meta.get("task", ""))

    @property
    def skill(self) -> str:
        """The skill that was trained, for trainers of several skills."""
        return str(self.meta.get("skill", ""))

    @cached_property
    def _summary(self) -> Summary:
        return self.reader.summary()

    def _count(self, kind: Kind) -> int:
        span = self._summary.kinds.get(kind)
        return span.frames if span else 0

    @property
    def duration_s(self) -> float:
        """Time of the last frame, in seconds since the run began; 0.0 when there is none."""
        return self._summary.duration

    @property
    def total_frames(self) -> int:
        """Frames of all kinds, including unknown kinds."""
        return self._summary.frames

    @property
    def n_physics(self) -> int:
        """Creature frames."""
        return self._count(Kind.CREATURE)

    @property
    def n_stats(self) -> int:
        """Stats frames."""
        return self._count(Kind.STATS)

    @property
    def n_events(self) -> int:
        """Events."""
        return self._count(Kind.EVENT)

    @property
    def n_evolution(self) -> int:
        """Evolution frames."""
        return self._count(Kind.EVOLUTION)

    def _frames(self, kind: Kind) -> LazyFrames:
        return LazyFrames(self.reader, {kind}, _dict)

    def stats_frames(self) -> Sequence[dict[str, Any]]:
        """The training statistics."""
        return self._frames(Kind.STATS)

    def creature_frames(self) -> Sequence[dict[str, Any]]:
        """The physical states."""
        return self._frames(Kind.CREATURE)

    physics_frames = creature_frames

    def events(self) -> Sequence[dict[str, Any]]:
        """The events."""
        return self._frames(Kind.EVENT)

    def evolution_frames(self) -> Sequence[dict[str, Any]]:
        """The generations. ``best``, ``avg`` and ``dist`` have both of their spellings."""
        return LazyFrames(self.reader, {Kind.EVOLUTION}, _generation)

    def iter_physics(self, fps: float = 30.0, clock: str | None = None, *, env: Any = None) -> Iterator[dict[str, Any]]:
        """Yield the physical state at a constant rate, for rendering.

        Each state is a dict: ``timestamp`` (s), ``qpos``, ``qvel`` and ``com`` (float64 arrays; the first two linearly
        interpolated between the logged frames; the caller must normalise quaternions, as MuJoCo does), and the other
        keys of the previous frame. Between two frames with vectors of different lengths, the previous one is repeated.
        As in the original reader, ``speed`` is 0.0, ``step`` is 0 and ``skill`` is empty if they were not logged.

        In a log with positions, frames without one, such as those of a vector recorder beside the states, are left out.

        Nothing is interpolated between two episodes or two environments. An episode ends at its event, when the key of
        the episode changes, or when a simulated time steps back. The states include the first and the last frame of
        each episode, even if the last one comes before its turn.

        Args:
            fps: states per second of *clock*.
            clock: the key of the time, ``timestamp`` for the time of logging. By default a simulated time (s), such as
                ``sim_time``, or else the step times the metadata's ``dt`` (as ``sim_time``), or else the time of
                logging.
            env: only the states of this environment.

        Raises:
            ValueError: when *fps* is not a positive number, or the *clock* of a frame is not a number.
            KeyError: when a creature frame lacks the key *clock*.

        """
        check_fps(fps)
        creature = self._summary.kinds.get(Kind.CREATURE)
        has_positions = creature is not None and self.conventions.find("qpos", creature.keys) is not None
        motions: dict[Any, _Motion] = {}  # the current episode of each process and environment
        for logged in self.reader.take(orders_of(self.reader, {Kind.CREATURE, Kind.EVENT}).tolist()):
            for one, data in by_environment(logged.data, self.conventions.find("env", logged.data)):
                key = data.get(RANK), one
                if env is not None and one != env:
                    continue
                if logged.kind == Kind.EVENT:
                    if self.conventions.event(data).type in (EPISODE_START, EPISODE_END) and key in motions:
                        yield from motions.pop(key).end()
                    continue
                if has_positions and self.conventions.find("qpos", data) is None:
                    continue
                frame = self._with_arrays({"timestamp": logged.time, **data})
                time = clock or self._clock_of(frame, alone=data is logged.data)
                if not isinstance(frame[time], int | float | np.number):
                    raise ValueError(f"{self.path}: {time!r} is not a number, which the time of a state must be")
                episode = self.conventions.find("episode", frame)
                segment = time, None if episode is None else frame[episode]
                motion = motions.get(key)
                if motion is not None and not motion.goes_on(segment, frame):
                    yield from motion.end()
                    motion = None
                if motion is None:
                    motion = motions[key] = _Motion(fps, time, segment, frame)
                else:
                    yield from motion.to(frame)
        for motion in motions.values():
            yield from motion.end()

    def _clock_of(self, frame: dict[str, Any], *, alone: bool) -> str:
        """The default clock of *frame*. One computed from the step, of one environment *alone*, is added to *frame*."""
        axis = self.conventions.axis("sim_time", frame)
        if axis is None or (axis.factor != 1 and not alone):
            return "timestamp"
        if axis.factor != 1:
            frame["sim_time"] = frame[axis.key] * axis.factor
            return "sim_time"
        return axis.key

    def export_physics_npz(self, output_path: str | os.PathLike[str]) -> None:
        """Write the physical states as a numpy archive; ``.npz`` is added to a name without it, as numpy does.

        The arrays are ``qpos`` (frames, nq) and ``qvel`` (frames, nv), float64, NaN for frames without one;
        ``timestamps`` (frames,), float64 seconds; ``steps`` (frames,), int64, -1 for frames without one.

        Raises:
            EmptyLog: when no creature frame has a position.
            ValueError: when the length of the position or the velocity changes within the log, or a frame has those of
                several environments.
            LogWriteError: when the file cannot be written.

        """
        arrays = self._physics_arrays()
        if not arrays["qpos"].shape[1]:
            raise EmptyLog("no creature frame has a position", path=self.path)
        save_npz(output_path, arrays)

    def _physics_arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """The arrays of `export_physics_npz`; a coordinate that no frame has is of width 0."""
        table = self.reader.table(Kind.CREATURE)
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        for name in _COORDINATES:
            key = self.conventions.find(name, table)
            arrays[name] = np.full((table.rows, 0), np.nan)
            if key is not None:
                if table[key].ndim == 1 and table[key].dtype == object:
                    raise ValueError(f"{self.path}: the length of {key!r} changes within the log: it is not an array")
                if table[key].ndim != 2:
                    found = f"{key!r} has the shape {table[key].shape}, not (frames, coordinates)"
                    raise ValueError(f"{self.path}: {found}; iter_physics(env=...) separates several environments")
                arrays[name] = table[key].astype(np.float64, copy=False)
        steps = np.full(table.rows, -1, np.int64)
        if (step := self.conventions.find("step", table)) is not None:
            known = np.isfinite(numbers := table.numbers(step))
            steps[known] = numbers[known].astype(np.int64)
        return {**arrays, "timestamps": table.time, "steps": steps}

    def export_stats_csv(self, output_path: str | os.PathLike[str], keys: Sequence[str] | None = None) -> None:
        """Write the training statistics as CSV in UTF-8: ``timestamp``, the step, then the other keys.

        Numbers keep all their digits, lists are JSON, and absent and null values are empty.

        Args:
            output_path: the path of the CSV file.
            keys: only these columns, in this order, after ``timestamp``.

        Raises:
            TypeError: when *keys* is one text, whose letters would be the columns.
            EmptyLog: when there are no stats frames.
            LogWriteError: when the file cannot be written.

        """
        if isinstance(keys, str):
            raise TypeError(f"keys is a list of names, such as [{keys!r}], not a text")
        if keys is None:
            batches = self.reader.scan(Scan(kinds=Kind.STATS))
            names = dict.fromkeys(name for batch in batches for name in batch.table)
            if not names:
                raise EmptyLog("there are no stats frames", path=self.path)
            names.pop("timestamp", None)
            step = self.conventions.find("step", names)
            keys = sorted(names, key=lambda name: name != step)
        # Frames have the values as they were logged; in a table, a column of ints and floats is float.
        save_csv(output_path, ["timestamp", *keys], cells_of(self.reader.frames(Kind.STATS), keys))

    def summary(self) -> str:
        """The content of the log as text: one line for each fact and each event."""
        facts = {
            "Creature": self.creature,
            "Task": self.task,
            "Duration": f"{self.duration_s:.1f} s",
            "Physics": f"{self.n_physics:,} frames",
            "Stats": f"{self.n_stats:,} frames",
            "Evolution": f"{self.n_evolution:,} frames",
            "Events": f"{self.n_events:,}",
            "Total": f"{self.total_frames:,} frames, {self._summary.size:,} bytes",
        }
        lines = [str(self.path), *(f"  {name + ':':<11}{value}" for name, value in facts.items())]
        lines += [f"  Damage:    {gap}" for gap in self._summary.gaps]
        events = [self._line(frame.time, frame.data) for frame in self.reader.frames(Kind.EVENT)]
        if len(events) > 2 * _SHOWN + 1:
            events[_SHOWN:-_SHOWN] = [f"         ...  and {len(events) - 2 * _SHOWN:,} more events ..."]
        return "\n".join(lines + events)

    def _line(self, time: float, data: Mapping[Any, Any]) -> str:
        event = self.conventions.event(data)
        return f"    {time:8.1f} s  [{event.type or '?'}] {event.message}".rstrip()

    def _with_arrays(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Return *frame* with its position and velocity as arrays, under MuJoCo's names, and defaults for the rest."""
        for name in _COORDINATES:
            if (key := self.conventions.find(name, frame)) is not None:
                frame[name] = np.asarray(frame.pop(key), np.float64)
        if "com" in frame:
            frame["com"] = np.asarray(frame["com"], np.float64)
        return {**_DEFAULTS, **frame}

    def __repr__(self) -> str:
        return f"FlogReplay({str(self.path)!r})"


def check_fps(fps: object) -> None:
    """Check a frame rate.

    Raises:
        ValueError: when *fps* is not a positive number.

    """
    if not (isinstance(fps, int | float | np.number) and fps > 0 and np.isfinite(fps)):
        raise ValueError(f"fps is a number of frames per second above 0, not {fps!r}")


def save_npz(path: str | os.PathLike[str], arrays: Mapping[str, Any]) -> None:
    """Write *arrays* as a compressed archive; ``.npz`` is added to a name without it, as numpy does."""
    path = local_path(path)
    with atomic_write(path if path.suffix == ".npz" else path.with_name(f"{path.name}.npz")) as file:
        np.savez_compressed(file, **arrays)


def _dict(frame: Frame) -> dict[str, Any]:
    return {"timestamp": frame.time, **frame.data}


def _generation(frame: Frame) -> dict[str, Any]:
    data = _dict(frame)
    return data | {short: data[long] for long, short in EVOLUTION_NAMES.items() if long in data and short not in data}


class _Motion:
    """The states of one episode at a constant rate."""

    def __init__(self, fps: float, clock: str, segment: tuple[Any, ...], frame: dict[str, Any]) -> None:
        self._fps = fps
        self._clock = clock
        self._segment = segment
        self._previous = frame
        self._start = self._now = frame[clock]
        self._count = 0
        self._given: float | None = None

    def goes_on(self, segment: tuple[Any, ...], frame: dict[str, Any]) -> bool:
        """Whether *frame* belongs to the episode."""
        return segment == self._segment and (
            self._clock == "timestamp" or frame[self._clock] >= self._previous[self._clock]
        )

    def to(self, frame: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the states before *frame*, which is the next one."""
        while self._now < frame[self._clock]:
            yield interpolate(self._previous, frame, self._now, self._clock)
            self._given = self._now
            self._count += 1
            self._now = self._start + self._count / self._fps
        self._previous = frame

    def end(self) -> Iterator[dict[str, Any]]:
        """Yield the last state."""
        last = self._previous[self._clock]
        if self._given is None or last - self._given > 1e-9:
            yield interpolate(self._previous, self._previous, last, self._clock)


def interpolate(previous: dict[str, Any], following: dict[str, Any], now: float, clock: str) -> dict[str, Any]:
    """The state at the time *now* of *clock* between two others; outside of them, the nearer one."""
    span = following[clock] - previous[clock]
    weight = min(max((now - previous[clock]) / span, 0.0), 1.0) if span > 0 else 0.0
    state = {**previous, clock: now}
    for name in _COORDINATES:
        if name in previous and name in following and previous[name].shape == following[name].shape:
            state[name] = (1 - weight) * previous[name] + weight * following[name]
    return state
