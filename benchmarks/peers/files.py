"""Files that a program writes and reads by itself: mpacklog, MCAP, HDF5, JSON lines, Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

import numpy as np

from benchmarks.frames import Columns, Kind
from benchmarks.peers.base import Peer, Row, gathered, plain, widths

__all__ = [
    *("Hdf5", "JsonLines", "Mcap", "Mpacklog", "MpacklogEach"),
    *("OrjsonLines", "OrjsonLinesFlushed", "Parquet", "ParquetPolars"),
]


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

        return gathered(list(mpacklog.read_log(str(self.path))))


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
            return gathered([orjson.loads(message.data) for _, _, message in make_reader(file).iter_messages()])

    def survivors(self, kind: Kind) -> int:
        from mcap.reader import NonSeekingReader

        count = 0
        with self.path.open("rb") as file, suppress(Exception):
            for _ in NonSeekingReader(file).iter_messages(log_time_order=False):
                count += 1
        return count


class Hdf5(Peer):
    name = "h5py"
    usage = "a chunked compound dataset in SWMR mode, grown and flushed by blocks of 100 rows"
    promise = "all but the last 100 rows"
    modules: ClassVar = {"h5py": "h5py"}

    def open(self, kind: Kind) -> None:
        import h5py

        fields = [
            (name, "i8" if name == "step" else "f8", (width,) if width > 1 else ())
            for name, width in widths(kind).items()
        ]
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
    promise = "all but the last 8 KB"

    def open(self, kind: Kind) -> None:
        self._file = self.path.open("w", encoding="utf-8")

    def creature(self, now: float, row: Row) -> None:
        self.scalars(now, plain(row))

    def scalars(self, now: float, row: Row) -> None:
        self._file.write(json.dumps({"time": now, **row}) + "\n")

    def close(self) -> None:
        self._file.close()

    def read(self, kind: Kind) -> Columns:
        with self.path.open(encoding="utf-8") as file:
            return gathered([json.loads(line) for line in file])

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
            for name, width in widths(kind).items()
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
    """Not a logger: the file is written at once, when all rows exist. Its reader is the reference for the others."""

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

        columns = gathered(self._rows)
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
            for name, width in widths(kind).items()
        }


class ParquetPolars(Parquet):
    name = "Parquet, polars"
    usage = "the same; read by `polars.read_parquet`"
    modules: ClassVar = {"pyarrow": "pyarrow.parquet", "polars": "polars"}

    def read(self, kind: Kind) -> Columns:
        import polars

        frame = polars.read_parquet(self.path)
        return {name: frame[name].to_numpy() for name in widths(kind)}
