"""The API of MH-FLOCKE, the program that FLOG comes from: its scripts need only a changed import.

::

    from trainlog.mhflocke import TrainingRecorder      # was: from src.brain.creature_store import TrainingRecorder
    from trainlog.mhflocke import FlogReplay            # was: from src.viz.flog_replay import FlogReplay

The import is the switch. These classes behave like the original, and unlike the rest of trainlog, in these points:

- an existing log is replaced;
- a value that a log cannot hold is stored as ``str(value)``, where `trainlog.TrainingRecorder` raises;
- frames after ``close`` are dropped, with a warning, where that raises;
- an export without data gives a warning and writes nothing, where `trainlog.FlogReplay` raises.

Data that the original loses are kept: numpy numbers and tensors are stored as numbers, not as text, and every frame is
in the file when its call returns.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from trainlog import recorder, registry, replay
from trainlog.codec import Reader
from trainlog.codecs.frame_payload import storable
from trainlog.codecs.plain_object import as_array
from trainlog.csv_rows import save_csv
from trainlog.errors import ClosedLog, TrainlogWarning, UnsupportedFrame
from trainlog.lazy_frames import LazyFrames
from trainlog.model import EndState, Frame, Kind
from trainlog.run_end import ClosedByBlock
from trainlog.storage.replace import atomic_write
from trainlog.strictjson import lenient_json

__all__ = ["FlogReplay", "TrainingLogReader", "TrainingRecorder", "flog_to_assemble"]

_SPIKES: Final = 200  # neurons of a step whose spikes are recorded
_DEPTH: Final = 64  # nesting of lists and maps that are searched for values that cannot be stored
_STEPS_OF_A_FRAME: Final = 10  # steps between two creature frames, if they have no step
_CSV: Final = (
    *("step", "timestamp", "distance", "max_distance", "best_episode", "avg_episode", "falls", "resets", "reward"),
    *("consciousness_level", "emotion", "valence", "skill", "grc_sparseness", "cf_magnitude", "pf_pkc_weight"),
    *("pf_pkc_weight_std", "ltd_applied", "ltp_applied", "dcn_activity", "correction_mag", "snn_mix", "golgi_rate"),
    *("upright", "episode"),
)


class TrainingRecorder(ClosedByBlock):
    """Records a run with the API of the original recorder; see the module for the differences from trainlog's own.

    Attributes:
        path: the path of the log.
        log: the underlying `trainlog.TrainingRecorder`, which has the rest: ``sync``, ``rewind``, ``keep_last``, ...

    """

    def __init__(self, path: str | os.PathLike[str], meta: Mapping[str, Any] | None = None) -> None:
        """Create the log at *path*, replacing an existing one.

        Args:
            path: the path of the log; missing parent folders are created.
            meta: metadata of the run: ``creature``, ``task``, ...

        Raises:
            LogInUse: when another process is writing that log.
            LogWriteError: when the file cannot be created.

        """
        meta = {str(key): value for key, value in (meta or {}).items()}
        try:
            self.log = recorder.TrainingRecorder(path, metadata=meta, overwrite=True)
        except UnsupportedFrame:
            self.log = recorder.TrainingRecorder(path, metadata=storable(meta), overwrite=True)
        self.path = Path(self.log.path)
        self._frames = 0
        self._said: set[str] = set()

    @property
    def frame_count(self) -> int:
        """How many frames were recorded."""
        return self._frames

    def record_evolution(
        self,
        generation: int,
        best_fitness: float,
        avg_fitness: float,
        population_size: int,
        best_distance: float = 0.0,
        curriculum_stage: str = "",
        best_genome: Mapping[str, Any] | None = None,
        population_diversity: float = 0.0,
        **extra: Any,
    ) -> None:
        """Record a generation."""
        data: dict[str, Any] = {"gen": generation, "best": best_fitness, "avg": avg_fitness, "pop": population_size}
        data |= {"dist": best_distance, "stage": curriculum_stage, "diversity": population_diversity, **extra}
        self._write(Kind.EVOLUTION, data | ({"genome": best_genome} if best_genome else {}))

    def record_training(
        self,
        step: int,
        spikes: Any = None,
        neuromod: Mapping[str, Any] | None = None,
        gwt_winner: str = "",
        emotions: Mapping[str, Any] | None = None,
        consciousness_level: int = 0,
        pci: float = 0.0,
        spike_count: int = 0,
        **extra: Any,
    ) -> None:
        """Record the statistics of a step, with at most 200 of the *spikes*, one per neuron, as the original does."""
        data = {"step": step, "gwt": gwt_winner, "c_level": consciousness_level, "pci": pci}
        data |= {"spike_count": spike_count, **extra}
        if spikes is not None:
            data["spikes"] = _spikes(spikes)
        data |= {"neuromod": neuromod} if neuromod else {}
        data |= {"emotions": emotions} if emotions else {}
        self._write(Kind.STATS, data)

    def record_creature(
        self,
        joint_positions: Any = None,
        joint_velocities: Any = None,
        contacts: Any = None,
        center_of_mass: Any = None,
        heading: float = 0.0,
        speed: float = 0.0,
        **extra: Any,
    ) -> None:
        """Record the physical state at a step."""
        data = {"heading": heading, "speed": speed, **extra}
        vectors = {"pos": joint_positions, "vel": joint_velocities, "contacts": contacts, "com": center_of_mass}
        for key, value in vectors.items():
            if value is not None and not (key == "contacts" and len(value) == 0):
                data[key] = value if hasattr(value, "__array__") else list(value)
        self._write(Kind.CREATURE, data)

    def record_event(self, event_type: str, message: str, **extra: Any) -> None:
        """Record an event."""
        self._write(Kind.EVENT, {"type": event_type, "msg": message, **extra})

    def record_training_stats(self, data: Mapping[str, Any]) -> None:
        """As `log_frame`."""
        self.log_frame(data)

    def log_frame(self, data: Mapping[str, Any]) -> None:
        """Record *data* according to its keys: as a generation, the statistics of a step, or else an event."""
        rest = dict(data)
        phase = rest.get("phase")
        if "gen" in rest or "generation" in rest or phase == "cpg_evolution":
            gen = rest.pop("gen", 0)
            best, average, distance = rest.pop("best", 0), rest.pop("avg", 0), rest.pop("dist", 0)
            size, stage = rest.pop("pop", 0), "curriculum_stage" if "curriculum_stage" in rest else "phase"
            self.record_evolution(
                rest.pop("generation", gen),
                rest.pop("best_fitness", best),
                rest.pop("avg_fitness", average),
                rest.pop("population_size", size),
                rest.pop("best_distance", distance),
                rest.pop(stage, ""),
                **rest,
            )
        elif "step" in rest or phase == "snn_training":
            self.record_training(rest.pop("step", 0), **rest)
        else:
            self._write(Kind.EVENT, rest)

    def _write(self, kind: Kind, data: Mapping[Any, Any]) -> None:
        data = {key: _text_keys(value) if isinstance(value, Mapping) else value for key, value in data.items()}
        for key, value in data.items():
            if _is_unreadable(key, _DEPTH) or _is_unreadable(value, _DEPTH) or not isinstance(key, str):
                self._say(f"the original program cannot read {key!r}: a key that is not text, or text not in UTF-8")
        try:
            try:
                self.log.record(None, kind, data)
            except UnsupportedFrame:
                self.log.record(None, kind, storable(data))
        except ClosedLog as error:
            self._say(f"{error.message}; what is recorded now is dropped")
        else:
            self._frames += 1

    def _say(self, what: str) -> None:
        if what not in self._said:
            self._said.add(what)
            warnings.warn(TrainlogWarning(f"{self.path}: {what}"), stacklevel=4)

    def close(self, state: EndState | None = None, reason: str = "") -> None:
        """Close the log, optionally with how the run ended; can be called again."""
        self.log.close(state, reason)


class FlogReplay(replay.FlogReplay):
    """Reads back a log with the API of the original reader; see the module for the differences from trainlog's own."""

    def __init__(self, flog_path: str | os.PathLike[str]) -> None:
        """Open the log at *flog_path*, of any format; raises as `trainlog.open`."""
        super().__init__(flog_path)

    @property
    def meta(self) -> dict[str, Any]:
        """The metadata of the run."""
        return dict(super().meta)

    def events(self) -> list[dict[str, Any]]:
        """The events, as a list that `json` can write."""
        return list(super().events())

    def evolution_frames(self) -> list[dict[str, Any]]:
        """The generations, as a list; ``best``, ``avg`` and ``dist`` have both of their spellings."""
        return list(super().evolution_frames())

    def iter_physics(self, fps: float = 30.0, clock: str | None = None, *, env: Any = None) -> Iterator[dict[str, Any]]:
        """Yield the physical state at a constant rate, as the original does: by the time of logging, from 0 on.

        Episodes and environments are not distinguished. With *clock* or *env* it behaves like `trainlog.FlogReplay`.
        """
        if clock is not None or env is not None:
            yield from super().iter_physics(fps, clock, env=env)
            return
        replay.check_fps(fps)
        frames = self.physics_frames()
        states = map(self._with_arrays, frames)
        before, after, now = next(states, None), next(states, None), 0.0
        while before is not None and now <= frames[-1]["timestamp"]:
            while after is not None and after["timestamp"] < now:
                before, after = after, next(states, None)
            if after is None:
                yield before
                return
            yield replay.interpolate(before, after, now, "timestamp")
            now += 1.0 / fps

    def export_physics_npz(self, output_path: str | os.PathLike[str]) -> None:
        """Write ``qpos``, ``qvel``, ``timestamps`` and ``steps`` (int32; ten times the frame's number if it has none).

        A coordinate that no frame has is zeros of width 1. Raises like `trainlog.FlogReplay`, except for `EmptyLog`.
        """
        arrays = self._physics_arrays()
        rows = len(arrays["timestamps"])
        if not rows:
            self._note(f"there are no physics frames, and {output_path} is not written")
            return
        for key in ("qpos", "qvel"):
            arrays[key] = arrays[key] if arrays[key].shape[1] else np.zeros((rows, 1))
        steps = arrays["steps"]
        arrays["steps"] = np.where(steps < 0, np.arange(rows) * _STEPS_OF_A_FRAME, steps).astype(np.int32)
        replay.save_npz(output_path, arrays)

    def export_stats_csv(self, output_path: str | os.PathLike[str], keys: Sequence[str] | None = None) -> None:
        """Write the statistics as CSV with the original's 25 columns, the time with three digits.

        With *keys* it behaves like `trainlog.FlogReplay`, which by default writes all columns and all digits.
        """
        if keys is not None:
            super().export_stats_csv(output_path, keys)
        elif not self.n_stats:
            self._note(f"there are no stats frames, and {output_path} is not written")
        else:
            frames = ({**frame, "timestamp": f"{frame['timestamp']:.3f}"} for frame in self.stats_frames())
            save_csv(output_path, _CSV, ([frame.get(key, "") for key in _CSV] for frame in frames))

    def _note(self, what: str) -> None:
        warnings.warn(TrainlogWarning(f"{self.path}: {what}"), stacklevel=3)


class TrainingLogReader:
    """Reads back a log as frames with ``timestamp`` (s), ``type`` (1 to 4, or another) and ``data``.

    Attributes:
        path: the path of the log.
        reader: its `trainlog.Reader`.

    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the log at *path*, of any format; raises as `trainlog.open`."""
        self.path = Path(path)
        self.reader: Reader = registry.open(path)
        self.frames: Sequence[dict[str, Any]] = LazyFrames(self.reader, None, _typed)

    @property
    def meta(self) -> dict[str, Any]:
        """The metadata of the run."""
        return dict(self.reader.header.meta)

    def evolution_frames(self) -> Sequence[dict[str, Any]]:
        """The generations."""
        return self._of(Kind.EVOLUTION)

    def training_frames(self) -> Sequence[dict[str, Any]]:
        """The statistics."""
        return self._of(Kind.STATS)

    def creature_frames(self) -> Sequence[dict[str, Any]]:
        """The physical states."""
        return self._of(Kind.CREATURE)

    def events(self) -> Sequence[dict[str, Any]]:
        """The events."""
        return self._of(Kind.EVENT)

    def _of(self, kind: Kind) -> LazyFrames:
        return LazyFrames(self.reader, {kind}, _typed)

    @property
    def duration_s(self) -> float:
        """Time of the last frame, in seconds since the run began; 0.0 when there is none."""
        return float(self.frames[-1]["timestamp"]) if self.frames else 0.0

    def __len__(self) -> int:
        return len(self.frames)


def flog_to_assemble(flog_path: str | os.PathLike[str], output_dir: str | os.PathLike[str]) -> dict[str, str]:
    """Write ``physics.npz``, ``stats.csv`` and ``events.json`` of a log into a folder, which is created.

    Returns:
        Their paths, as ``physics_npz``, ``stats_csv`` and ``events_json``; including files that are not written because
        there is no data, with a warning.

    """
    log, folder = FlogReplay(flog_path), Path(output_dir)
    log.export_physics_npz(folder / "physics.npz")
    log.export_stats_csv(folder / "stats.csv")
    with atomic_write(folder / "events.json") as file:
        file.write(lenient_json(log.events(), indent=2).encode())
    names = {"physics_npz": "physics.npz", "stats_csv": "stats.csv", "events_json": "events.json"}
    return {key: os.fspath(folder / name) for key, name in names.items()}


def _typed(frame: Frame) -> dict[str, Any]:
    return {"timestamp": frame.time, "type": int(frame.kind), "data": frame.data}


def _spikes(spikes: Any) -> list[Any]:
    """At most 200 of them: evenly spaced ones of an array, as ints; the first ones of anything else."""
    if not hasattr(spikes, "__array__"):
        return list(spikes)[:_SPIKES]
    found = as_array(spikes)
    if len(found) > _SPIKES:
        found = found[np.linspace(0, len(found) - 1, _SPIKES, dtype=int)]
    whole: list[Any] = found.astype(int).tolist()
    return whole


def _text_keys(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): one for key, one in value.items()}


def _is_unreadable(value: Any, left: int) -> bool:
    """Whether the original's reader raises for *value*: a key that is not text, or text that is not UTF-8."""
    if isinstance(value, str):
        try:
            return not value.isascii() and not value.encode()
        except UnicodeEncodeError:
            return True
    if not left or not isinstance(value, Mapping | list | tuple):
        return False
    if isinstance(value, Mapping):
        if not all(isinstance(key, str | bytes) for key in value):
            return True
        value = [*value, *value.values()]
    return any(_is_unreadable(one, left - 1) for one in value)
