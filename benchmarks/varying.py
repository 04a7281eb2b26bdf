"""Stats whose keys change from row to row, small logs, and few chosen keys: the logs that trainers actually write."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import trainlog
from benchmarks.measure import Scale, Unmeasured, in_child, median_time, scratch, settle
from benchmarks.report import Table, ratio

__all__ = ["READERS", "make", "measured", "small", "tables"]

_KEYS = [f"train/metric_{i:03d}" if i % 3 else f"loss_{i}" for i in range(130)]
_TWO = ["step", "loss_0"]
_CHOSEN = {"two keys": _TWO, "60 keys": _KEYS[:60], "all keys": ["step", *_KEYS]}
_PLAIN = "plain msgpack loop"

Columns = dict[str, np.ndarray]


def _rows(count: int) -> Iterator[dict[str, Any]]:
    """Stats, each with 62 of 130 keys, the same in every process."""
    rng = np.random.default_rng(0)
    for step in range(count):
        chosen = rng.permutation(len(_KEYS))[:61]
        yield {"step": step, **{_KEYS[i]: value for i, value in zip(chosen, rng.standard_normal(61), strict=True)}}


def make(path: str, count: int) -> int:
    """Write the rows as FLOG, as JSON lines and as Parquet; return the bytes of the first."""
    import msgpack
    import polars

    with open(path, "wb") as file, open(f"{path}.jsonl", "w") as lines:
        file.write(struct.pack("<4sHBI", b"FLOG", 1, 0, 2) + b"{}")
        for row in _rows(count):
            data = {key: float(value) if key != "step" else value for key, value in row.items()}
            payload = msgpack.packb(data)
            file.write(struct.pack("<dBI", data["step"] / 10, 2, len(payload)) + payload)
            lines.write(json.dumps(data) + "\n")
        settle(file)
        size = file.tell()
    polars.read_ndjson(f"{path}.jsonl", infer_schema_length=None).write_parquet(f"{path}.parquet")
    return size


def _payloads(path: str) -> Iterator[memoryview]:
    raw = memoryview(Path(path).read_bytes())
    at, unpack = 13, struct.Struct("<dBI").unpack_from
    while at < len(raw):
        _, kind, size = unpack(raw, at)
        if kind == 2:
            yield raw[at + 13 : at + 13 + size]
        at += 13 + size


def _trainlog(path: str, keys: list[str]) -> Callable[[], Columns]:
    return lambda: dict(trainlog.open(path).table("stats", keys=keys))


def _plain(path: str, keys: list[str]) -> Callable[[], Columns]:
    import msgpack

    def read() -> Columns:
        rows: list[list[Any]] = [[] for _ in keys]
        for payload in _payloads(path):
            data = msgpack.unpackb(payload)
            for values, key in zip(rows, keys, strict=True):
                values.append(data.get(key))
        return {key: np.array(values, np.float64) for key, values in zip(keys, rows, strict=True)}

    return read


def _msgspec(path: str, keys: list[str]) -> Callable[[], Columns]:
    import msgspec

    fields = [(f"f{i}", Any, msgspec.field(name=key, default=None)) for i, key in enumerate(keys)]
    decode = msgspec.msgpack.Decoder(msgspec.defstruct("Row", fields)).decode

    def read() -> Columns:
        rows = list(map(msgspec.structs.astuple, map(decode, _payloads(path))))
        return {key: np.array(values, np.float64) for key, values in zip(keys, zip(*rows, strict=True), strict=True)}

    return read


def _ndjson(path: str, keys: list[str]) -> Callable[[], Columns]:
    import polars

    schema = dict.fromkeys(keys, polars.Float64)

    def read() -> Columns:
        table = polars.scan_ndjson(f"{path}.jsonl", schema=schema).select(keys).collect()
        return {key: table[key].to_numpy() for key in keys}

    return read


def _parquet(path: str, keys: list[str]) -> Callable[[], Columns]:
    import pyarrow.parquet

    def read() -> Columns:
        table = pyarrow.parquet.read_table(f"{path}.parquet", columns=keys)
        return {key: table[key].to_numpy() for key in keys}

    return read


READERS: dict[str, Callable[[str, list[str]], Callable[[], Columns]]] = {
    "trainlog": _trainlog,
    _PLAIN: _plain,
    "msgspec Struct of the keys": _msgspec,
    "polars, JSON lines": _ndjson,
    "pyarrow, Parquet": _parquet,
}


def measured(name: str, path: str, chosen: str, count: int, repeats: int) -> float:
    """Seconds that the reader *name* takes, after its values were compared with the rows."""
    keys = _CHOSEN[chosen]
    read = READERS[name](path, keys)
    found = read()
    rows = list(_rows(count))
    for key in keys:
        truth = np.array([row.get(key, np.nan) for row in rows], np.float64)
        if not np.array_equal(np.asarray(found[key], np.float64), truth, equal_nan=True):
            raise ValueError(f"{name} read other values of {key}")
    return median_time(read, repeats)


def small(path: str, repeats: int) -> dict[str, float]:
    """Seconds that a log of a few hundred kilobytes takes, opened again each time."""
    rng = np.random.default_rng(1)
    with trainlog.TrainingRecorder(path, sync_every=None) as log:
        for step in range(700):
            state = {"step": step, "pos": rng.standard_normal(19), "vel": rng.standard_normal(18), "x": step / 2}
            log.record_creature_frame(step / 100, state)
            if step % 100 == 99:
                log.record_stats_frame(step / 100, {"step": step, **dict.fromkeys(_KEYS, step / 3)})

    import msgpack

    def loop() -> list[Any]:
        return [msgpack.unpackb(payload) for payload in _payloads_of(path, 4)]

    works: dict[str, Callable[[], Any]] = {
        "msgpack loop over the creature frames": loop,
        "table of creatures": lambda: trainlog.open(path).table("creature"),
        "table of stats": lambda: trainlog.open(path).table("stats"),
        "two keys of stats": lambda: trainlog.open(path).table("stats", keys=_TWO),
        "`last=1`": lambda: trainlog.open(path).table("creature", last=1),
        "`time=` of half a second": lambda: trainlog.open(path).table("creature", time=(3.0, 3.5)),
        "the first frame": lambda: next(trainlog.open(path).frames()),
        "`summary`": lambda: trainlog.open(path).summary(),
    }
    assert works["table of creatures"]()["x"].tolist() == [step / 2 for step in range(700)]
    assert works["`last=1`"]()["step"].tolist() == [699]
    assert works["`time=` of half a second"]()["step"].tolist() == list(range(300, 350))
    return {name: median_time(work, 50 * repeats, 1.0) for name, work in works.items()}


def _payloads_of(path: str, wanted: int) -> Iterator[memoryview]:
    raw = memoryview(Path(path).read_bytes())
    at, unpack = 11 + struct.unpack_from("<I", raw, 7)[0], struct.Struct("<dBI").unpack_from
    while at < len(raw):
        _, kind, size = unpack(raw, at)
        if kind == wanted:
            yield raw[at + 13 : at + 13 + size]
        at += 13 + size


def tables(scale: Scale) -> Iterator[Table]:
    """Chosen keys of varying stats by each reader, and the cost of a small log."""
    with scratch() as folder:
        path = str(folder / "varying.flog")
        size = make(path, scale.rows)
        about = (
            f"{scale.rows:,} rows of stats ({size / 1e6:.0f} MB as FLOG), each with 62 of 130 keys at random. Each "
            "reader makes numpy columns, with NaN for keys that a row does not have, in its own process; the median of "
            "several runs. JSON lines and Parquet were written beforehand; for a live log neither is available."
        )
        table = Table("Keys that change from row to row", about, ["reader", *_CHOSEN, "to the plain loop, two keys"])
        loop = 0.0
        for name in (_PLAIN, *(name for name in READERS if name != _PLAIN)):
            times = []
            for chosen in _CHOSEN:
                try:
                    arguments = {"path": path, "chosen": chosen, "count": scale.rows, "repeats": scale.repeats}
                    times.append(in_child(measured, name=name, **arguments))
                except Unmeasured as error:
                    times.append(str(error))
            loop = loop or times[0]
            cells = [f"failed: {one}" if isinstance(one, str) else f"{one * 1e3:.1f} ms" for one in times]
            first = times[0]
            table.rows.append([name, *cells, "" if isinstance(first, str) else ratio(loop, first)])
        yield table
        path = str(folder / "small.flog")
        found = in_child(small, path=path, repeats=scale.repeats)
        size = Path(path).stat().st_size
    about = f"A log of {size / 1e3:.0f} kB: 700 creature frames, 7 rows of stats. Opened anew each time; the median."
    base = next(iter(found.values()))
    rows = [[name, f"{taken * 1e3:.2f} ms", ratio(taken, base)] for name, taken in found.items()]
    yield Table("A small log", about, ["what", "time", "to the loop"], rows)
