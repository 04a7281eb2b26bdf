"""Experiment trackers: tensorboardX, Weights & Biases offline, Trackio."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from benchmarks.frames import SCALARS, WIDTHS, Columns, Kind
from benchmarks.peers.base import Peer, Row, gathered, plain

__all__ = ["TensorboardX", "Trackio", "Wandb"]


class TensorboardX(Peer):
    name = "tensorboardX"
    usage = "`add_scalar` for each number; read by tbparse, pivoted by pandas"
    promise = "all but its queue of 10 events and the last 8 KB"
    precision = np.float32
    modules: ClassVar = {"tensorboardX": "tensorboardX", "tbparse": "tbparse"}

    def load(self) -> None:
        import tensorboardX  # noqa: F401

    def open(self, kind: Kind) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(self.path))

    def creature(self, now: float, row: Row) -> None:
        step = row["step"]
        add = self._writer.add_scalar
        for key, value in row.items():
            if type(value) is np.ndarray:
                for i, number in enumerate(value.tolist()):
                    add(f"{key}/{i}", number, step, now)
            elif key != "step":
                add(key, value, step, now)

    def scalars(self, now: float, row: Row) -> None:
        step = row["step"]
        add = self._writer.add_scalar
        for key, value in row.items():
            if key != "step":
                add(key, value, step, now)

    def close(self) -> None:
        self._writer.close()

    def read(self, kind: Kind) -> Columns:
        from tbparse import SummaryReader

        long = SummaryReader(str(self.path), event_types={"scalars"}).scalars
        wide = long.pivot(index="step", columns="tag", values="value")
        columns = {"step": wide.index.to_numpy()}
        if kind == "scalars":
            return columns | {name: wide[name].to_numpy() for name in SCALARS[1:]}
        for name, width in WIDTHS.items():
            if width > 1:
                columns[name] = wide[[f"{name}/{i}" for i in range(width)]].to_numpy()
            elif name != "step":
                columns[name] = wide[name].to_numpy()
        return columns

    def survivors(self, kind: Kind) -> int:
        """The number of whole rows: steps with every number present."""
        from tbparse import SummaryReader

        long = SummaryReader(str(self.path), event_types={"scalars"}).scalars
        if long.empty:
            return 0
        numbers = len(SCALARS) - 1 if kind == "scalars" else sum(WIDTHS.values()) - 1
        return int((long.groupby("step").size() == numbers).sum())


class Wandb(Peer):
    name = "W&B offline"
    usage = "`run.log`; no metadata, system metrics or console; it has no reader of such files: by its protobuf classes"
    promise = "what its own process has received by then"
    modules: ClassVar = {"wandb": "wandb"}

    def load(self) -> None:
        for what in ("DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR"):
            os.environ[f"WANDB_{what}"] = str(self.folder)
        super().load()

    def open(self, kind: Kind) -> None:
        import wandb

        settings = wandb.Settings(silent=True, console="off", x_disable_stats=True, x_disable_meta=True)
        self._run = wandb.init(project="benchmark", mode="offline", dir=str(self.folder), settings=settings)

    def creature(self, now: float, row: Row) -> None:
        self._run.log(plain(row))

    def scalars(self, now: float, row: Row) -> None:
        self._run.log(row)

    def close(self) -> None:
        self._run.finish()

    def read(self, kind: Kind) -> Columns:
        names = WIDTHS if kind == "creature" else SCALARS
        rows = [{item.nested_key[0]: item.value_json for item in history} for history in self._histories()]
        return {name: np.array([json.loads(row[name]) for row in rows]) for name in names}

    def survivors(self, kind: Kind) -> int:
        return sum(1 for _ in self._histories())

    def _histories(self) -> Iterator[Any]:
        from wandb.proto.wandb_internal_pb2 import Record

        (path,) = self.folder.rglob("*.wandb")
        for record in _leveldb_records(path.read_bytes(), 7):
            parsed = Record.FromString(record)
            if parsed.WhichOneof("record_type") == "history":
                yield parsed.history.item


def _leveldb_records(log: bytes, at: int) -> Iterator[bytes]:
    """The records of a LevelDB log from byte *at* on: parts that do not cross the border of a 32 KB block."""
    parts = b""
    while at + 7 <= len(log):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, size, place = struct.unpack_from("<IHB", log, at)
        part = log[at + 7 : at + 7 + size]
        at += 7 + size
        if len(part) < size or not place:
            return
        parts += part
        if place in (1, 4):  # a whole record, or the last part of one
            yield parts
            parts = b""


class Trackio(Peer):
    name = "Trackio"
    usage = "`run.log` into its local SQLite file, no system metrics; read by `SQLiteStorage.get_logs`"
    promise = "what its thread has stored, every 0.5 s"
    modules: ClassVar = {"trackio": "trackio"}

    def load(self) -> None:
        os.environ["TRACKIO_DIR"] = os.environ["HF_HOME"] = str(self.folder)
        super().load()

    def open(self, kind: Kind) -> None:
        import trackio

        self._run = trackio.init("benchmark", name="run", embed=False, auto_log_gpu=False, auto_log_cpu=False)

    def creature(self, now: float, row: Row) -> None:
        row = plain(row)
        self._run.log(row, step=row.pop("step"))

    def scalars(self, now: float, row: Row) -> None:
        row = dict(row)
        self._run.log(row, step=row.pop("step"))

    def close(self) -> None:
        import trackio

        trackio.finish()

    def read(self, kind: Kind) -> Columns:
        from trackio.sqlite_storage import SQLiteStorage

        rows = SQLiteStorage.get_logs("benchmark", "run")
        for row in rows:
            row.pop("timestamp")
        return gathered(rows)

    def survivors(self, kind: Kind) -> int:
        from trackio.sqlite_storage import SQLiteStorage

        return len(SQLiteStorage.get_logs("benchmark", "run"))
