"""The peers: each logs the same rows in its own natural way, and reads them back with its own reader.

All have the same verbs. ``creature`` and ``scalars`` log one row, ``read`` gives the columns, ``survivors`` the number
of rows that the peer's own reader finds in a log whose writer was killed. A peer's library is imported by ``load``, so
that the import is nobody's cost but its own.
"""

from __future__ import annotations

import importlib
import json
import os
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from benchmarks.frames import SCALARS, WIDTHS, Columns, Kind

__all__ = ["PEERS", "Peer", "peer"]

Row = dict[str, Any]


class Peer(ABC):
    """One library in one usage.

    Attributes:
        name: as the tables call it.
        modules: what it imports, by the name of the distribution that brings it.
        usage: how it is used, where there is a choice.
        promise: what it promises of rows whose call has returned when the process is killed.
        writes, reads: the kinds of rows that it is measured on.
        precision: of the numbers that it keeps.
        folder: where it logs.

    """

    name: ClassVar[str]
    modules: ClassVar[dict[str, str]] = {}
    usage: ClassVar[str] = ""
    promise: ClassVar[str] = ""
    writes: ClassVar[tuple[Kind, ...]] = ("creature", "scalars")
    reads: ClassVar[tuple[Kind, ...]] = ("creature", "scalars")
    precision: ClassVar[type] = np.float64

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "log"

    @classmethod
    def missing(cls) -> str:
        """The distributions that are not installed, as words; empty when all are."""
        return ", ".join(name for name, module in cls.modules.items() if find_spec(module) is None)

    def load(self) -> None:
        """Import what the peer needs."""
        for module in self.modules.values():
            importlib.import_module(module)

    @abstractmethod
    def open(self, kind: Kind) -> None:
        """Begin a log for rows of *kind*."""

    def creature(self, now: float, row: Row) -> None:
        """Log one creature frame."""
        self.scalars(now, row)

    @abstractmethod
    def scalars(self, now: float, row: Row) -> None:
        """Log one step of scalars."""

    @abstractmethod
    def close(self) -> None:
        """Finish the log."""

    @abstractmethod
    def read(self, kind: Kind) -> Columns:
        """All rows of the log as columns."""

    def survivors(self, kind: Kind) -> int:
        """How many rows can be read of a log whose writer was killed."""
        return len(self.read(kind)["step"])

    def size(self) -> int:
        """Bytes of all files of the log."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def _lists(row: Row) -> Row:
    """*row* in terms of what msgpack and JSON know."""
    return {key: value.tolist() if type(value) is np.ndarray else value for key, value in row.items()}


def _columns(rows: list[Row]) -> Columns:
    return {key: np.array([row[key] for row in rows]) for key in (rows[0] if rows else ())}


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


class PlainFlog(Peer):
    """The loop that the format's note amounts to."""

    name = "plain FLOG loop"
    usage = "buffered file, `struct` and `msgpack.packb`; read by the loop that undoes it, then `np.array`"
    promise = "what the buffer of 8 KB has passed on"
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
        payload = self._pack(_lists(row))
        self._file.write(self._FRAME.pack(now, kind, len(payload)))
        self._file.write(payload)

    def close(self) -> None:
        self._file.close()

    def read(self, kind: Kind) -> Columns:
        return _columns(list(self.frames(self.path)))

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


class OriginalRecorder(PlainFlog):
    """What the trainer that the format comes from does with a frame: a check of each value's type, a clock, a flush for
    every hundred frames."""

    name = "original FLOG recorder"
    usage = "as the plain loop, a check of each value's type, a flush every 100 rows"
    promise = "all but the last 100 rows"
    reads = ()

    _KNOWN = (list, tuple, int, float, str, bool, type(None))

    def open(self, kind: Kind) -> None:
        super().open(kind)
        self._began = time.time()
        self._count = 0

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
        self._file.write(self._FRAME.pack(time.time() - self._began, kind, len(payload)))
        self._file.write(payload)
        self._count += 1
        if self._count % 100 == 0:
            self._file.flush()


class FlushedFlog(PlainFlog):
    """The plain loop with trainlog's promise."""

    name = "plain FLOG loop, flushed"
    usage = "as the plain loop, a flush after each row"
    promise = "every row"
    reads = ()

    def _put(self, now: float, kind: int, row: Row) -> None:
        super()._put(now, kind, row)
        self._file.flush()


class Mpacklog(Peer):
    name = "mpacklog"
    usage = "`SyncLogger.put`, and `write` every 100 rows; read by `read_log`"
    promise = "all but the last 100 rows"
    modules: ClassVar = {"mpacklog": "mpacklog"}

    _every = 100

    def open(self, kind: Kind) -> None:
        import mpacklog

        self._logger = mpacklog.SyncLogger(str(self.path))
        self._count = 0

    def scalars(self, now: float, row: Row) -> None:
        self._count += 1
        self._logger.put({"time": now, **row}, write=self._count % self._every == 0)

    def close(self) -> None:
        self._logger.write()

    def read(self, kind: Kind) -> Columns:
        import mpacklog

        return _columns(list(mpacklog.read_log(str(self.path))))


class MpacklogEach(Mpacklog):
    name = "mpacklog, each written"
    usage = "`SyncLogger.put(row, write=True)`"
    promise = "every row"
    reads = ()

    _every = 1


class Mcap(Peer):
    name = "MCAP"
    usage = "defaults (chunks of 1 MB, zstd); one channel, `json` by orjson; read by `make_reader`"
    promise = "the chunks that are full"
    modules: ClassVar = {"mcap": "mcap.writer", "zstandard": "zstandard", "orjson": "orjson"}

    def open(self, kind: Kind) -> None:
        import orjson
        from mcap.writer import Writer

        self._dumps: Callable[..., bytes] = orjson.dumps
        self._option = orjson.OPT_SERIALIZE_NUMPY
        self._file = self.path.open("wb")
        self._writer = Writer(self._file)
        self._writer.start()
        schema = self._writer.register_schema(kind, "jsonschema", b'{"type": "object"}')
        self._channel = self._writer.register_channel(kind, "json", schema)

    def scalars(self, now: float, row: Row) -> None:
        nanoseconds = int(now * 1e9)
        self._writer.add_message(
            self._channel, nanoseconds, self._dumps(row, option=self._option), publish_time=nanoseconds
        )

    def close(self) -> None:
        self._writer.finish()
        self._file.close()

    def read(self, kind: Kind) -> Columns:
        import orjson
        from mcap.reader import make_reader

        with self.path.open("rb") as file:
            return _columns([orjson.loads(message.data) for _, _, message in make_reader(file).iter_messages()])

    def survivors(self, kind: Kind) -> int:
        from mcap.reader import NonSeekingReader

        count = 0
        with self.path.open("rb") as file, suppress(Exception):
            for _ in NonSeekingReader(file).iter_messages(log_time_order=False):
                count += 1
        return count


class TensorboardX(Peer):
    name = "tensorboardX"
    usage = "`add_scalar` for each number; read by tbparse, pivoted by pandas"
    promise = "what was flushed, every 2 minutes"
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
        """Whole rows: steps of which each number is there."""
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
        self._run.log(_lists(row))

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
    """The records of a LevelDB log from byte *at* on: parts that do not cross the border of a block of 32 KB."""
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
        row = _lists(row)
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
        return _columns(rows)

    def survivors(self, kind: Kind) -> int:
        from trackio.sqlite_storage import SQLiteStorage

        return len(SQLiteStorage.get_logs("benchmark", "run"))


class Hdf5(Peer):
    name = "h5py"
    usage = "a chunked compound dataset in SWMR mode, grown and flushed by blocks of 100 rows"
    promise = "all but the last 100 rows"
    modules: ClassVar = {"h5py": "h5py"}

    def open(self, kind: Kind) -> None:
        import h5py

        if kind == "creature":
            fields = [(name, "i8" if name == "step" else "f8", (width,)[: width > 1]) for name, width in WIDTHS.items()]
        else:
            fields = [(name, "i8" if name == "step" else "f8") for name in SCALARS]
        self._file = h5py.File(self.path, "w", libver="latest")
        self._block = np.zeros(100, [("time", "f8"), *fields])
        self._filled = 0
        self._data = self._file.create_dataset("rows", (0,), self._block.dtype, maxshape=(None,), chunks=(100,))
        self._file.swmr_mode = True

    def scalars(self, now: float, row: Row) -> None:
        self._block[self._filled] = (now, *row.values())
        self._filled += 1
        if self._filled == len(self._block):
            self._append()

    def _append(self) -> None:
        start = len(self._data)
        self._data.resize(start + self._filled, axis=0)
        self._data[start:] = self._block[: self._filled]
        self._data.flush()
        self._filled = 0

    def close(self) -> None:
        self._append()
        self._file.close()

    def read(self, kind: Kind) -> Columns:
        import h5py

        with h5py.File(self.path, "r", libver="latest", swmr=True) as file:
            rows = file["rows"][:]
        return {name: rows[name] for name in rows.dtype.names}


class JsonLines(Peer):
    name = "JSON lines, json"
    usage = "buffered file, `json.dumps`; read by `json.loads`"
    promise = "what the buffer of 8 KB has passed on"

    def open(self, kind: Kind) -> None:
        self._file = self.path.open("w", encoding="utf-8")

    def creature(self, now: float, row: Row) -> None:
        self.scalars(now, _lists(row))

    def scalars(self, now: float, row: Row) -> None:
        self._file.write(json.dumps({"time": now, **row}) + "\n")

    def close(self) -> None:
        self._file.close()

    def read(self, kind: Kind) -> Columns:
        with self.path.open(encoding="utf-8") as file:
            return _columns([json.loads(line) for line in file])

    def survivors(self, kind: Kind) -> int:
        return self.path.read_bytes().count(b"\n")


class OrjsonLines(JsonLines):
    name = "JSON lines, orjson"
    usage = "buffered file, `orjson.dumps`; read by polars"
    modules: ClassVar = {"orjson": "orjson", "polars": "polars"}

    def load(self) -> None:
        import orjson  # noqa: F401

    def open(self, kind: Kind) -> None:
        import orjson

        self._dumps: Callable[..., bytes] = orjson.dumps
        self._option = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
        self._bytes = self.path.open("wb")

    def creature(self, now: float, row: Row) -> None:
        self.scalars(now, row)

    def scalars(self, now: float, row: Row) -> None:
        self._bytes.write(self._dumps({"time": now, **row}, option=self._option))

    def close(self) -> None:
        self._bytes.close()

    def read(self, kind: Kind) -> Columns:
        import polars

        frame = polars.read_ndjson(self.path)
        return {
            name: frame[name].list.to_array(width).to_numpy() if width > 1 else frame[name].to_numpy()
            for name, width in _widths(kind).items()
        }


class OrjsonLinesFlushed(OrjsonLines):
    name = "JSON lines, orjson, flushed"
    usage = "as JSON lines by orjson, a flush after each row"
    promise = "every row"
    reads = ()

    def scalars(self, now: float, row: Row) -> None:
        super().scalars(now, row)
        self._bytes.flush()


class Parquet(Peer):
    """No logger: the file is written at once, when all rows are there. Its reader is the one to be measured by."""

    name = "Parquet, pyarrow"
    usage = "one file of all rows, defaults (snappy, dictionaries); read by `read_table`"
    modules: ClassVar = {"pyarrow": "pyarrow.parquet"}
    writes = ()

    def open(self, kind: Kind) -> None:
        self._rows: list[Row] = []

    def scalars(self, now: float, row: Row) -> None:
        self._rows.append({"time": now, **row})

    def close(self) -> None:
        import pyarrow
        import pyarrow.parquet

        columns = _columns(self._rows)
        arrays = {
            name: pyarrow.FixedSizeListArray.from_arrays(column.ravel(), column.shape[1])
            if column.ndim > 1
            else pyarrow.array(column)
            for name, column in columns.items()
        }
        pyarrow.parquet.write_table(pyarrow.table(arrays), self.path)

    def read(self, kind: Kind) -> Columns:
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(self.path)
        return {
            name: table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
            if width > 1
            else table[name].to_numpy()
            for name, width in _widths(kind).items()
        }


class ParquetPolars(Parquet):
    name = "Parquet, polars"
    usage = "the same; read by `polars.read_parquet`"
    modules: ClassVar = {"pyarrow": "pyarrow.parquet", "polars": "polars"}

    def read(self, kind: Kind) -> Columns:
        import polars

        frame = polars.read_parquet(self.path)
        return {name: frame[name].to_numpy() for name in _widths(kind)}


def _widths(kind: Kind) -> dict[str, int]:
    return WIDTHS if kind == "creature" else dict.fromkeys(SCALARS, 1)


PEERS: dict[str, type[Peer]] = {
    one.name: one
    for one in (
        *(Trainlog, PlainFlog, FlushedFlog, OriginalRecorder, Mpacklog, MpacklogEach, Mcap, TensorboardX, Wandb),
        *(Trackio, Hdf5, JsonLines, OrjsonLines, OrjsonLinesFlushed, Parquet, ParquetPolars),
    )
}


def peer(name: str, folder: str) -> Peer:
    """The peer of that name, ready to log into *folder* or to read what it logged there."""
    one = PEERS[name](Path(folder))
    one.load()
    return one
