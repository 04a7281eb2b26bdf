"""FLOG, by trainlog and by the loops that people write themselves."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from benchmarks.frames import Columns, Kind
from benchmarks.peers.base import Peer, Row, gathered, plain

__all__ = ["FlushedFlog", "OriginalRecorder", "PlainFlog", "Trainlog", "TrainlogArchive", "TrainlogEvents"]


class Trainlog(Peer):
    name = "trainlog"
    usage = "`TrainingRecorder`; read by `table()`"
    promise = "every row"
    modules: ClassVar = {"trainlog": "trainlog"}

    def open(self, kind: Kind) -> None:
        import trainlog

        self._recorder = trainlog.TrainingRecorder(self.folder / "log.flog", "benchmark")

    def creature(self, now: float, row: Row) -> None:
        self._recorder.record_creature_frame(now, row)

    def scalars(self, now: float, row: Row) -> None:
        self._recorder.record_stats_frame(now, row)

    def close(self) -> None:
        self._recorder.close()

    def read(self, kind: Kind) -> Columns:
        import trainlog

        return dict(trainlog.open(self.folder / "log.flog").table("creature" if kind == "creature" else "stats"))


class TrainlogArchive(Trainlog):
    """Not a logger: a closed log, compressed by `trainlog compact`."""

    name = "trainlog, compacted"
    usage = "`.flog.zst`, by `trainlog compact`; read by `table()`"
    promise = ""
    modules: ClassVar = {"trainlog": "trainlog", "zstandard": "zstandard"}
    writes = ()

    def close(self) -> None:
        import trainlog

        super().close()
        log = self.folder / "log.flog"
        trainlog.convert(log, f"{log}.zst")
        log.unlink()

    def read(self, kind: Kind) -> Columns:
        import trainlog

        return dict(trainlog.open(self.folder / "log.flog.zst").table("creature" if kind == "creature" else "stats"))


class TrainlogEvents(Peer):
    """TensorBoard's event files, for comparison with tensorboardX and tbparse."""

    name = "trainlog, event files"
    usage = "a `.tfevents` file; read by `table()`"
    promise = ""
    modules: ClassVar = {"trainlog": "trainlog", "crc32c": "crc32c"}
    writes = ("scalars",)
    reads = ("scalars",)
    precision = np.float32

    def open(self, kind: Kind) -> None:
        import trainlog

        self._writer = trainlog.create(self.folder / "log.tfevents")
        self._stats = trainlog.Kind.STATS

    def scalars(self, now: float, row: Row) -> None:
        self._writer.put(now, self._stats, row)

    def close(self) -> None:
        self._writer.close()

    def read(self, kind: Kind) -> Columns:
        import trainlog

        return dict(trainlog.open(self.folder / "log.tfevents").table("stats"))


class PlainFlog(Peer):
    """The loop that the format's note amounts to."""

    name = "plain FLOG loop"
    usage = "buffered file, `struct` and `msgpack.packb`; read by the loop that undoes it, then `np.array`"
    promise = "all but the last 8 KB"
    modules: ClassVar = {"msgpack": "msgpack"}

    _FRAME = struct.Struct("<dBI")

    def open(self, kind: Kind) -> None:
        import msgpack

        self._pack = msgpack.packb
        meta = json.dumps({"creature": "benchmark", "task": ""}).encode()
        self._file = self.path.open("wb")
        self._file.write(struct.pack("<4sHBI", b"FLOG", 1, 0, len(meta)) + meta)

    def creature(self, now: float, row: Row) -> None:
        self._put(now, 4, row)

    def scalars(self, now: float, row: Row) -> None:
        self._put(now, 2, row)

    def _put(self, now: float, kind: int, row: Row) -> None:
        payload = self._pack(plain(row))
        self._file.write(self._FRAME.pack(now, kind, len(payload)))
        self._file.write(payload)

    def close(self) -> None:
        self._file.close()

    def read(self, kind: Kind) -> Columns:
        return gathered(list(self.frames(self.path)))

    @classmethod
    def frames(cls, path: Path) -> Iterator[Row]:
        """The data of every frame, one after another."""
        import msgpack

        with path.open("rb") as file:
            file.seek(struct.unpack("<4sHBI", file.read(11))[3], os.SEEK_CUR)
            while len(head := file.read(cls._FRAME.size)) == cls._FRAME.size:
                size = cls._FRAME.unpack(head)[2]
                payload = file.read(size)
                if len(payload) < size:
                    return
                yield msgpack.unpackb(payload)


class FlushedFlog(PlainFlog):
    """The plain loop with trainlog's promise."""

    name = "plain FLOG loop, flushed"
    usage = "as the plain loop, a flush after each row"
    promise = "every row"
    reads = ()

    def _put(self, now: float, kind: int, row: Row) -> None:
        super()._put(now, kind, row)
        self._file.flush()


class OriginalRecorder(PlainFlog):
    """What the original recorder of the trainer behind the format does for each frame: it gathers keyword arguments
    into a map, looks at each value's type and at the clock, and flushes every 100 frames."""

    name = "original FLOG recorder"
    usage = "as the plain loop, from keyword arguments, a look at each value's type, a flush every 100 rows"
    promise = "all but the last 8 KB, or 100 rows if that is less"
    reads = ()

    _KNOWN = (list, tuple, int, float, str, bool, type(None))

    def open(self, kind: Kind) -> None:
        super().open(kind)
        self._began = time.time()
        self._count = 0

    def creature(self, now: float, row: Row) -> None:
        self._creature(row["pos"], row["vel"], row["com"], row["heading"], row["speed"], step=row["step"])

    def _creature(self, pos: Any, vel: Any, com: Any, heading: float, speed: float, **more: Any) -> None:
        row = {"heading": heading, "speed": speed, **more}
        for key, values in (("pos", pos), ("vel", vel), ("com", com)):
            row[key] = values.tolist() if isinstance(values, np.ndarray) else list(values)
        self._put(0.0, 4, row)

    def scalars(self, now: float, row: Row) -> None:
        if "gen" in row or "generation" in row or row.get("phase") == "cpg_evolution":
            self._put(0.0, 1, row)
        else:
            named = ("step", "consciousness_level", "spike_count")
            self._stats(row.get("step", 0), **{key: value for key, value in row.items() if key not in named})

    def _stats(self, step: int, **more: Any) -> None:
        self._put(0.0, 2, {"step": step, **more})

    def _put(self, now: float, kind: int, row: Row) -> None:
        clean: Row = {}
        for key, value in row.items():
            if isinstance(value, np.ndarray):
                clean[key] = value.tolist()
            elif isinstance(value, self._KNOWN):
                clean[key] = value
            else:
                clean[key] = str(value)
        payload = self._pack(clean, use_bin_type=True)
        now = time.time() - self._began
        self._file.write(struct.pack("<dBI", now, kind, len(payload)))
        self._file.write(payload)
        self._count += 1
        if self._count % 100 == 0:
            self._file.flush()
