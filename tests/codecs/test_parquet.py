from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.handmade import Flog
from tests.strategies import frame_data

import trainlog
from trainlog import Frame, Header, Kind, Variable
from trainlog.codec import Batch, Position, Reader, Scan
from trainlog.codecs.flog import FlogCodec
from trainlog.codecs.parquet import ParquetCodec, row_groups, writer
from trainlog.codecs.parquet.reader import ParquetReader
from trainlog.errors import CorruptLog, InvalidPosition, LogExists, LogWriteError, MissingExtra, UnknownFormat
from trainlog.simple_codec import SimpleCodec
from trainlog.storage.source import Source
from trainlog.table.builder import table_of
from trainlog.table.column import ABSENT, NULL, VALUE, Column
from trainlog.table.table import Table
from trainlog.testing import CodecContract, assert_same_table, same

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


class TestParquet(CodecContract):
    codec = ParquetCodec(FlogCodec())
    header = Header({"creature": "go2", "nested": {"a": [1, None]}}, 3, (Variable("v", "state", "m/s", -1.0, 1.0),))
    max_cuts = 60
    live = False  # the file appears when the writer is closed

    def test_follows_a_growing_log(self, tmp_path: Path) -> None:
        """There is nothing to follow: the file appears when the writer is closed."""
        path = tmp_path / "log.parquet"
        with self.codec.write(path, self.header) as writer:
            writer.write_all(self.frames)
            assert not path.exists()
            (spool,) = tmp_path.glob(".log.parquet.*.flog")
            assert len(list(trainlog.open(spool))) == len(self.frames)
        assert list(tmp_path.iterdir()) == [path]


def round_trip(folder: Path, frames: list[Frame]) -> Any:
    path = folder / "log.parquet"
    with trainlog.create(path, overwrite=True) as log:
        log.write_all(frames)
    back = list(trainlog.open(path))
    assert [(frame.time, frame.kind) for frame in back] == [(frame.time, frame.kind) for frame in frames]
    for frame, expected in zip(back, frames, strict=True):
        assert exactly(dict(frame.data), dict(expected.data)), (frame, expected)
    return pq.read_table(path)


def exactly(one: Any, other: Any) -> bool:
    """The same values of the same types; in whatever order the keys are."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(exactly, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(exactly(one[key], other[key]) for key in one)
    return bool(one == other or (one != one and other != other))


def stats(*data: dict[Any, Any]) -> list[Frame]:
    return [Frame(float(i), Kind.STATS, one) for i, one in enumerate(data)]


def test_layout(tmp_path: Path) -> None:
    frames = [
        Frame(0.0, Kind.EVENT, {"type": "start"}),
        Frame(0.5, Kind.CREATURE, {"step": 1, "pos": [1.0, 2.0], "on": True}),
        Frame(1.0, Kind.STATS, {"step": 1, "reward": 0.5, "inner": {"a": 1.5}, "spikes": [1, 2, 3]}),
        Frame(1.5, Kind.CREATURE, {"step": 2, "pos": [3.0, 4.0], "on": False}),
        Frame(2.0, Kind.STATS, {"step": 2, "reward": 1, "spikes": [4]}),
        Frame(2.5, Kind(9), {"raw": b"\xff"}),
    ]
    table = round_trip(tmp_path, frames)
    assert table.schema.names == [
        *["time", "kind", "stats/step", "stats/reward", "stats/inner/a", "stats/spikes", "event/type"],
        *["creature/step", "creature/pos", "creature/on", "kind_9/raw", "frame"],
    ]
    assert table["time"].to_pylist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert table["kind"].to_pylist() == ["event", "creature", "stats", "creature", "stats", "kind_9"]
    assert table["stats/reward"].to_pylist() == [None, None, 0.5, None, 1.0, None]
    assert table["stats/inner/a"].to_pylist() == [None, None, 1.5, None, None, None]
    assert table["creature/pos"].type == pa.list_(pa.float64(), 2)
    assert table["creature/pos"].to_pylist() == [None, [1.0, 2.0], None, [3.0, 4.0], None, None]
    assert table["stats/spikes"].type == pa.list_(pa.int64())
    # Only where the columns do not tell all: a nested map, an int among floats.
    assert [None if one is None else msgpack.unpackb(one) for one in table["frame"].to_pylist()] == [
        *[None, None, frames[2].data, None, {"step": 2, "reward": 1, "spikes": [4]}, None]
    ]


@pytest.mark.parametrize(
    "values",
    [
        [1, 2.5, 3],
        [1, None, "a", True, b"x", 2**63, -(2**63), [1], {}],
        [[1.0, 2.0], [1, 2], [1.0, 2], [True, False], [], [[1.0]], [1.0]],
        [[[1.0, 2.0]], [[3.0, 4.0]]],
        [[[1.0], [2.0, 3.0]], [[1.0]]],
        [[], []],
        [["a"], ["b"]],
        ["\udcff", "ok"],
        [float("nan"), float("inf"), -0.0],
        [{"a": 1}, {"a": {"b": 2}}],
        [msgpack.ExtType(3, b"x"), msgpack.Timestamp(1, 2)],
        ["", "a" * 70_000],
    ],
)
def test_any_values(tmp_path: Path, values: list[Any]) -> None:
    round_trip(tmp_path, stats(*({"x": value, "y": 1.0} for value in values)))
    round_trip(tmp_path, stats(*({"x": value} if i % 2 else {"y": i} for i, value in enumerate(values))))


def test_keys_that_are_no_text(tmp_path: Path) -> None:
    for value in (1.5, "text"):
        keys = [1, b"k", None, True, 1.5, math.inf, (1, 2), "\udcff", "a/b", ""]
        round_trip(tmp_path, stats(*({key: value} for key in keys), *({str(key): value} for key in keys)))
        round_trip(tmp_path, stats(*({key: value, str(key): value} for key in keys), {"a": {"b": value}, "x": {}}))


@given(rows=frame_data.flatmap(lambda first: frame_data.map(lambda second: [first, second, first])))
@settings(max_examples=100)
def test_any_frames(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    frames = [Frame(float(i), Kind(2 + i % 2 * 2), data) for i, data in enumerate(rows * 2)]
    round_trip(tmp_path_factory.mktemp("any"), frames)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "GROUP", 2)
        round_trip(tmp_path_factory.mktemp("any"), frames)


def test_types_that_a_column_has_in_one_row_group_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ints and floats stand together they are floats to a table, whatever the column holds elsewhere."""
    monkeypatch.setattr(writer, "GROUP", 2)
    ints, floats = [[1, 2]] * 8, [[1.5, 2.5]] * 8
    for some in (ints, floats, [*ints, "a"], [*floats, [1.0]]):
        for odd in ([[1, 2], [3.5, 4.5]], [[1.0, 2.0], [3.5, 4.5]], [1, 2.5], [[1], [2, 3]], [True, 1]):
            round_trip(tmp_path, stats(*({"x": value} for value in [*some, *odd, *some])))


def test_an_int_among_floats_in_a_column_of_unlike_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "GROUP", 2)
    round_trip(tmp_path, stats(*({"x": value} for value in [0.5, 2, 1.5, 2.5, "a", "b"])))
    for keys in (None, ["x"]):
        assert list(map(repr, trainlog.open(tmp_path / "log.parquet").table("stats", keys=keys)["x"].tolist())) == [
            *["0.5", "2", "1.5", "2.5", "'a'", "'b'"]
        ]


def test_nested_frames_are_not_decoded_for_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = [{"step": i, "gait": {"phase": i / 4, "name": "trot"}} for i in range(50)]
    round_trip(tmp_path, [*stats(*data), Frame(1.0, Kind.EVENT, {"x": None})])
    reader = trainlog.open(tmp_path / "log.parquet")
    expected = reader.table("stats")
    metadata = pq.read_table(reader.path)
    other = tmp_path / "other.parquet"  # an older file does not say which columns tell all
    pq.write_table(metadata.replace_schema_metadata({b"trainlog": metadata.schema.metadata[b"trainlog"]}), other)
    assert_same_table(trainlog.open(other).table("stats"), expected)
    monkeypatch.setattr(row_groups, "decode", None)
    assert_same_table(reader.table("stats"), expected)
    with pytest.raises(TypeError):
        reader.table("event")


def test_several_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "GROUP", 16)
    frames = [Frame(i / 10, Kind.CREATURE, {"step": i, "pos": [i / 3] * 3}) for i in range(100)]
    frames += stats(*({"late": str(i)} for i in range(40)))
    table = round_trip(tmp_path, frames)
    assert table.num_rows == 140
    reader = trainlog.open(tmp_path / "log.parquet")
    assert reader.table("creature")["pos"].shape == (100, 3)
    assert [frame.data["late"] for frame in reader.frames("stats")] == [str(i) for i in range(40)]
    assert reader.table("creature", steps=(5, 8))["step"].tolist() == [5, 6, 7]


STEPS = st.sampled_from([0, 1, 2, 3, 2.5, 2.0, -1, 2**53 + 1, 2**63, "2", "x", None, True, [1.0], {"a": 1}, math.nan])
VALUES = st.sampled_from([1, 2.0, 0.5, -1, 2**63, None, "a", True, [1.0, 2.0], [3.0, 4.0], [1], {"a": 0.5}, math.nan])
TIMES = st.sampled_from([0.0, 0.5, 1.0, 2.5, -1.0, math.nan, math.inf])
LIMITS = st.none() | st.tuples(*[st.none() | st.sampled_from([-1.0, 0, 0.5, 1, 2.5, 3, 2**53 + 1, math.inf])] * 2)
KEYS = st.none() | st.lists(st.sampled_from(["step", "x", "y", "z", "z/a", "y/a"]), max_size=3)


@st.composite
def logs(draw: st.DrawFn) -> list[Frame]:
    """Columns that mostly hold values of one type, in frames that step back in time."""
    some = [draw(st.sampled_from([VALUES, st.floats(), st.integers(-5, 5), st.just({"a": 1.5})])) for _ in range(3)]
    steps = draw(st.sampled_from([STEPS, st.integers(0, 5), st.floats(0, 5)]))
    data = st.fixed_dictionaries({"step": steps, "x": some[0]}, optional={"y": some[1], "z": some[2]})
    rows = draw(st.lists(data | data | st.fixed_dictionaries({}, optional={"y": VALUES, "x": some[0]}), max_size=24))
    return [Frame(draw(TIMES), Kind(draw(st.sampled_from([2, 2, 4]))), row) for row in rows]


class ByFrames(ParquetReader):
    """The same log, read by nothing but its frames."""

    scan = Reader.scan
    take = Reader.take


def in_order(table: Table, keys: Any) -> Table:
    """Columns that were not asked for by their names come in the file's order, which is not that of every frame."""
    return table.select(sorted(table)) if keys is None else table


@given(frames=logs(), choices=st.lists(st.tuples(LIMITS, LIMITS, st.none() | st.integers(0, 9), KEYS), min_size=5))
@settings(max_examples=100)
def test_any_rows_and_columns(
    frames: list[Frame], choices: list[tuple[Any, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Tables are those that are made of the frames, of whatever row groups and columns they are read."""
    path = tmp_path_factory.mktemp("any") / "log.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "GROUP", 5)
        with trainlog.create(path) as log:
            log.write_all(frames)
    reader, by_frames = trainlog.open(path), ByFrames(path)
    for time, steps, last, keys in [(None, None, None, None), *choices]:
        which = {"time": time, "steps": steps, "last": last, "keys": keys}
        try:
            expected = by_frames.table("stats", **which)
        except KeyError:
            with pytest.raises(KeyError):
                reader.table("stats", **which)
        else:
            assert_same_table(in_order(reader.table("stats", **which), keys), in_order(expected, keys))
        if time is not None:
            assert [repr(frame) for frame in reader.slice(*time)] == [repr(frame) for frame in by_frames.slice(*time)]


def test_only_what_is_wanted_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "GROUP", 100)
    path = tmp_path / "log.parquet"
    with trainlog.create(path) as log:
        for i in range(1000):
            log.write(Frame(i / 10, Kind.STATS, {"step": i, "x": i / 3, "on": True, "nested": {"a": i}}))
    read: list[tuple[int, list[str]]] = []
    plain = pq.ParquetFile.read_row_group

    def read_row_group(self: Any, n: int, columns: list[str]) -> Any:
        read.append((n, columns))
        return plain(self, n, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", read_row_group)
    reader = trainlog.open(path)
    assert reader.table("stats", keys=["x"], time=(25, 35))["x"].tolist() == [i / 3 for i in range(250, 350)]
    assert read == [(n, ["time", "kind", "stats/x"]) for n in (2, 3)]
    read.clear()
    assert reader.table("stats", keys=["nested/a", "on"], last=2)["nested/a"].tolist() == [998, 999]
    assert read == [(9, ["time", "kind", "stats/on", "stats/nested/a"])]
    read.clear()
    assert reader.table("stats", keys=["nested/a"], steps=(0, 2))["nested/a"].dtype == np.int64
    assert {name for _, columns in read for name in columns} == {"time", "kind", "stats/step", "stats/nested/a"}


def test_ints_in_a_column_of_floats(tmp_path: Path) -> None:
    """Where all that are chosen were ints, they are ints."""
    round_trip(tmp_path, stats({"x": 1}, {"x": 2}, {"x": 3.0}, {"x": 0.5}))
    reader = trainlog.open(tmp_path / "log.parquet")
    for time, dtype in (((0, 2), np.int64), ((1, 3), np.float64), ((2, 3), np.float64), ((0, 4), np.float64)):
        assert reader.table("stats", keys=["x"], time=time)["x"].dtype == dtype


def test_convert_there_and_back(tmp_path: Path, real_logs: Path) -> None:
    # One has ints of more than 64 bits, in JSON, that msgpack cannot hold.
    for log in sorted(set((real_logs / "flog").glob("*.bin")) - {real_logs / "flog" / "recorder_json.bin"}):
        there, back = tmp_path / f"{log.stem}.parquet", tmp_path / f"{log.stem}.flog"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            conversion = trainlog.convert(log, there)
            trainlog.convert(there, back)
            before, after = list(trainlog.open(log)), list(trainlog.open(back))
        assert conversion.frames == len(before) == len(after) > 0
        for one, other in zip(before, after, strict=True):
            assert (one.time, one.kind) == (other.time, other.kind)
            assert same(dict(one.data), dict(other.data))
        assert dict(trainlog.open(back).header.meta) == dict(trainlog.open(log).header.meta)


def test_read_by_others(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    frames = [Frame(float(i), Kind.STATS, {"reward": i / 2, "mode": "run"}) for i in range(5)]
    round_trip(tmp_path, [*frames, Frame(9.0, Kind.EVENT, {"msg": "end"})])
    frame = polars.read_parquet(tmp_path / "log.parquet").filter(polars.col("kind") == "stats")
    assert frame["stats/reward"].to_list() == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_parquet_that_is_no_log(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"a": [1, 2]}), path)
    with pytest.raises(UnknownFormat, match="holds no log"):
        trainlog.open(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CorruptLog, match="not a complete Parquet file"):
        trainlog.open(path)


@pytest.mark.parametrize(
    ("metadata", "error", "why"),
    [
        ({b"trainlog": b'{"version": 2}'}, UnknownFormat, "has version 2; 1 is known"),
        ({b"trainlog": b"[" * 100_000}, CorruptLog, "cannot be understood"),
        ({b"trainlog": b'{"version": 1, "meta": [], "phase": 0, "variables": []}'}, CorruptLog, "cannot be understood"),
        ({b"trainlog": b'{"version": 1, "meta": {}, "phase": "x", "variables": []}'}, CorruptLog, "another type"),
        ({b"trainlog.inexact": b"7"}, CorruptLog, "is not a list"),
        ({b"trainlog.inexact": b"[" * 100_000}, CorruptLog, "or not a log"),
    ],
)
def test_metadata_of_another_kind(
    tmp_path: Path, metadata: dict[bytes, bytes], error: type[Exception], why: str
) -> None:
    path = tmp_path / "log.parquet"
    trainlog.create(path).close()
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, **metadata}), path)
    with pytest.raises(error, match=why):
        list(trainlog.open(path))


def test_a_time_that_is_null_is_nan(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    with trainlog.create(path) as log:
        log.write(Frame(1.0, Kind.STATS, {"x": 1.0}))
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, "time", pa.nulls(1, pa.float64())), path)
    (frame,) = trainlog.open(path)
    assert np.isnan([frame.time, *trainlog.open(path).table("stats").time]).all()


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.parquet"
    trainlog.create(path).close()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtra, match=r'pip install "trainlog\[arrow\]"'):
        trainlog.open(path)
    with pytest.raises(MissingExtra):
        trainlog.create(tmp_path / "new.parquet")
    assert list(tmp_path.iterdir()) == [path]


def table() -> Table:
    columns: dict[str, Any] = {
        "step": np.arange(4),
        "reward": np.array([0.5, np.nan, 1.5, 2.5]),
        "pos": np.arange(12.0).reshape(4, 3),
        "mat": np.arange(24).reshape(4, 2, 3),
        "on": np.array([True, False, True, True]),
        "mode": Column(np.array(["run", None, np.nan, "walk"], object), np.array([0, 1, 2, 0], np.uint8)),
        "odd": np.array([1, "a", None, b"x"], object),
        "ragged": np.array([[1.0], [], None, [2.0, 3.0]], object),
        "gaps": Column(np.array([1, 0, 0, 4]), np.array([0, 1, 2, 0], np.uint8)),
        "none": np.empty((4, 0)),
        "time": np.arange(4) * 10,
        "\udcff": np.arange(4),
    }
    return Table(Kind.STATS, np.arange(4) / 2, columns)


def test_to_arrow() -> None:
    given = table()
    arrow = given.to_arrow()
    assert arrow.schema.names[:3] == ["time", "step", "reward"]
    assert arrow["time"].to_pylist() == [0.0, 0.5, 1.0, 1.5]
    assert arrow["time#2"].to_pylist() == [0, 10, 20, 30]
    assert arrow["mode"].to_pylist() == ["run", None, None, "walk"]
    assert arrow["gaps"].to_pylist() == [1, None, None, 4]
    assert math.isnan(arrow["reward"][1].as_py())
    assert arrow["odd"].to_pylist() == ["1", '"a"', None, '"x"']
    assert arrow["ragged"].to_pylist() == [[1.0], [], None, [2.0, 3.0]]
    assert arrow["mat"].to_pylist() == given["mat"].tolist()
    assert arrow["none"].to_pylist() == [[]] * 4
    assert np.shares_memory(arrow["step"].chunk(0).to_numpy(), given["step"])
    flat = arrow["pos"].chunk(0).flatten().to_numpy()
    assert np.shares_memory(flat, given["pos"])


def test_to_polars() -> None:
    polars = pytest.importorskip("polars")
    frame = table().to_polars()
    assert frame["reward"][0] == 0.5
    assert frame["pos"].dtype == polars.Array(polars.Float64, 3)


def test_to_pandas() -> None:
    pytest.importorskip("pandas")
    given = table()
    frame = given.to_pandas()
    assert [name for name in frame.columns if name.startswith("pos")] == ["pos/0", "pos/1", "pos/2"]
    assert frame["pos/1"].tolist() == [1.0, 4.0, 7.0, 10.0]
    assert frame["mat/1/2"].tolist() == given["mat"][:, 1, 2].tolist()
    assert np.shares_memory(frame["reward"].to_numpy(), given["reward"])


def test_keys_and_text_that_json_and_utf8_refuse_are_exported() -> None:
    pytest.importorskip("pandas")
    given = table_of(Kind.STATS, [(0.0, {"list": [{(1, 2): b"b", True: 1}], "text": "a\udcff"})])
    arrow = given.to_arrow()
    assert arrow["list"].to_pylist() == ['[{"(1, 2)": "b", "true": 1}]']
    assert arrow["text"].to_pylist() == ['"a\\udcff"']
    assert given.to_pandas()["text"].tolist() == ["a\udcff"]


@pytest.mark.parametrize(
    ("method", "module"), [("to_arrow", "pyarrow"), ("to_polars", "polars"), ("to_pandas", "pandas")]
)
def test_exports_without_their_library(monkeypatch: pytest.MonkeyPatch, method: str, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=f"{module} is not installed: pip install"):
        getattr(table(), method)()


def test_every_column_is_exported_under_a_name_of_its_own() -> None:
    values = {"pos": [1.0, 2.0], "pos/0": 3, "time": 4, "time#2": 5, "\udcff": 6, "\\udcff": 7}
    one = table_of(Kind.STATS, [(0.5, values)])
    names = ["time", "pos", "pos/0", "time#3", "time#2", "\\udcff#2", "\\udcff"]
    assert one.to_arrow().to_pydict() == dict(zip(names, ([0.5], [[1, 2]], [3], [4], [5], [6], [7]), strict=True))
    names[1:2] = ["pos/0#2", "pos/1"]
    assert dict(one.to_pandas().iloc[0]) == dict(zip(names, (0.5, 1, 2, 3, 4, 5, 6, 7), strict=True))


def test_killed_run_leaves_its_frames(tmp_path: Path) -> None:
    """What was written is in a FLOG file beside the target, which a killed process leaves there."""
    writer = trainlog.create(tmp_path / "run.parquet", {"creature": "ant"})
    thread = threading.Thread(target=writer.write, args=(Frame(1.0, Kind.STATS, {"a": 1}),))
    thread.start()
    thread.join()
    (spool,) = tmp_path.iterdir()
    raw = spool.read_bytes()
    writer.close()
    meta, frames = Flog.read(raw)
    assert meta["creature"] == "ant"
    assert frames[0][2] == {"a": 1}


@pytest.mark.parametrize("name", ["run.parquet", "run.flog.zst"])
def test_a_log_that_was_created_meanwhile_is_not_replaced(tmp_path: Path, name: str) -> None:
    one, two = (trainlog.create(tmp_path / name, {"seed": seed}) for seed in (1, 2))
    for log in (one, two):
        log.write(Frame(1.0, Kind.STATS, {"a": 1}))
    one.close()
    with pytest.raises(LogExists, match=r"these frames are in \.run\..*\.flog") as refused:
        two.close()
    assert refused.value.path == tmp_path / name
    assert trainlog.open(tmp_path / name).header.meta == {"seed": 1}
    (spool,) = (path for path in tmp_path.iterdir() if path.name != name)
    assert trainlog.open(spool).header.meta == {"seed": 2}
    assert len(list(trainlog.open(spool))) == 1


def rows_of(batches: Iterable[Batch]) -> dict[Kind, list[tuple[Any, ...]]]:
    """The rows of each kind: where they stand, and what they are."""
    found: dict[Kind, list[tuple[Any, ...]]] = {}
    for table, _, order, *_ in batches:
        for row, frame in zip(order.tolist(), table.frames(), strict=True):
            found.setdefault(table.kind, []).append((row, frame.time, dict(frame.data)))
    return found


def small_groups(path: Path, frames: list[Frame]) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "GROUP", 5)
        with trainlog.create(path) as log:
            log.write_all(frames)
    return trainlog.open(path)


SCANS = st.builds(
    Scan,
    kinds=st.sampled_from([None, "stats", ("stats", "creature"), ("event",)]),
    columns=KEYS,
    time=LIMITS,
    steps=LIMITS,
    last=st.none() | st.integers(1, 9),
    batch_rows=st.sampled_from([1, 3, 7, None]),
)


@given(frames=logs(), scans=st.lists(SCANS, min_size=4, max_size=8))
@settings(max_examples=80)
def test_scan_is_what_the_frames_say(
    frames: list[Frame], scans: list[Scan], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Batch for batch: rows, columns in their order, dtypes, and which values are null or absent."""
    reader = small_groups(tmp_path_factory.mktemp("any") / "log.parquet", frames)
    for scan in scans:
        found, expected = list(reader.scan(scan)), list(ByFrames(reader.path).scan(scan))
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same_table(in_order(one.table, scan.columns), in_order(other.table, scan.columns))
            assert one.order.tolist() == other.order.tolist()
            assert one.more == other.more
            for key in one.table:
                np.testing.assert_array_equal(one.table.column(key).state, other.table.column(key).state)


@pytest.mark.parametrize("batch_rows", [1, 3, None])
@pytest.mark.parametrize("kinds", [None, "stats", ("stats", "creature")])
def test_a_scan_goes_on_after_any_position(tmp_path: Path, batch_rows: int | None, kinds: Any) -> None:
    odd = [{"a": 1}, None, 2, 2.0, "x", [1.0, 2.0]]
    frames = [
        Frame(i / 2, Kind.STATS if i % 3 else Kind.CREATURE, {"step": i, "x": odd[i % 6] if i % 4 else i / 4})
        for i in range(23)
    ]
    reader = small_groups(tmp_path / "log.parquet", [*frames, Frame(99.0, Kind.EVENT, {})])
    batches = list(reader.scan(Scan(kinds=kinds, batch_rows=batch_rows)))
    assert batch_rows is None or max(batch.table.rows for batch in batches) <= batch_rows
    whole = rows_of(batches)
    assert sum(map(len, whole.values())) == len([frame for frame in reader if Scan(kinds=kinds).wants(frame.kind)])
    for done in range(1, len(batches) + 1):
        before = rows_of(batches[:done])
        for rows in (1, 3, None):
            position = Position(str(batches[done - 1].position))
            rest = list(trainlog.open(reader.path).scan(Scan(kinds=kinds, batch_rows=rows, after=position)))
            after = rows_of(rest)
            for kind, expected in whole.items():
                assert before.get(kind, []) + after.get(kind, []) == expected
    end = list(reader.scan(Scan(kinds=kinds, after=batches[-1].position)))
    assert [batch.table.rows for batch in end] == [0]  # its position may lie behind rows of other kinds
    again = list(reader.scan(Scan(kinds=kinds, after=end[-1].position)))
    assert [(batch.table.rows, batch.position) for batch in again] == [(0, end[-1].position)]


def test_a_position_is_of_one_file(tmp_path: Path) -> None:
    path, other = tmp_path / "log.parquet", tmp_path / "other.parquet"
    for one, value in ((path, 1.5), (other, 2.5)):
        with trainlog.create(one) as log:
            log.write_all(stats({"x": value}, {"x": 0.5}))
    reader = trainlog.open(path)
    position = next(reader.scan(Scan(batch_rows=1))).position
    assert [batch.table["x"].tolist() for batch in reader.scan(Scan(after=position))] == [[0.5]]
    for wrong in ("", "x", "1", "3-" + position.partition("-")[2], "1-"):
        with pytest.raises(InvalidPosition):
            list(reader.scan(Scan(after=wrong)))
    other.replace(path)
    with pytest.raises(InvalidPosition, match="not the one that was read"):
        list(reader.scan(Scan(after=position)))


def test_take_reads_these_rows_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Frame(float(i), Kind(2 + i % 2 * 2), {"step": i, "x": None if i % 7 else 0.5}) for i in range(40)]
    reader = small_groups(tmp_path / "log.parquet", frames)
    read: list[int] = []
    plain = pq.ParquetFile.read_row_group

    def read_row_group(self: Any, n: int, columns: list[str]) -> Any:
        read.append(n)
        return plain(self, n, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", read_row_group)
    for orders in ([], [0], [39], [3, 4, 5, 6, 21], range(40), [38, 40, 1000]):
        assert list(map(repr, reader.take(iter(orders)))) == [repr(frames[i]) for i in orders if i < 40]
    read.clear()
    assert [frame.time for frame in reader.take([7, 8, 33])] == [7.0, 8.0, 33.0]
    assert set(read) == {1, 6}
    read.clear()
    assert reader.at(22.5, "creature").time == 21.0
    assert set(read) == {4}


def test_absent_null_and_nan(tmp_path: Path) -> None:
    data: list[dict[str, Any]] = [{"x": 1.5, "n": 1}, {"x": None, "n": 2}, {}, {"x": math.nan, "n": None}, {"x": 2.0}]
    reader = small_groups(tmp_path / "log.parquet", stats(*data))
    table = reader.table("stats")
    assert table.column("x").state.tolist() == [VALUE, NULL, ABSENT, VALUE, VALUE]
    assert table.column("n").state.tolist() == [VALUE, VALUE, ABSENT, NULL, ABSENT]
    assert table.column("n").values.dtype == np.int64
    assert same(table["x"].tolist(), [1.5, math.nan, math.nan, math.nan, 2.0])
    assert reader.table("stats", keys=["x"], last=4).column("x").state.tolist() == [NULL, ABSENT, VALUE, VALUE]


def test_the_mean_of_a_column_with_gaps(tmp_path: Path) -> None:
    """The file itself, and its table in polars, say the same."""
    polars = pytest.importorskip("polars")
    data: list[dict[str, Any]] = [{"x": i / 3} if i % 3 else {"x": None} if i % 2 else {} for i in range(100)]
    path = tmp_path / "log.parquet"
    round_trip(tmp_path, [*stats(*data), Frame(0.0, Kind.EVENT, {"y": 1})])
    frame = polars.read_parquet(path).filter(polars.col("kind") == "stats")
    exported = trainlog.open(path).table("stats").to_polars()
    assert exported["x"].null_count() == frame["stats/x"].null_count() == sum(one.get("x") is None for one in data)
    assert (
        exported["x"].mean() == frame["stats/x"].mean() == pytest.approx(np.mean([i / 3 for i in range(100) if i % 3]))
    )


class PickleCodec(SimpleCodec):
    """Keeps frames as they are, arrays of single precision too."""

    name = "pickled"
    suffixes = (".pickled",)

    def decode(self, source: Source) -> Iterator[Header | Frame]:
        while size := source.take(4):
            yield pickle.loads(source.take(int.from_bytes(size)))

    def encode(self, record: Header | Frame) -> bytes:
        packed = pickle.dumps(record)
        return len(packed).to_bytes(4) + packed


def test_single_precision(tmp_path: Path) -> None:
    """Arrays that were logged as float32 are float32 in the file, and in tables; what a frame yields is lists."""
    path = tmp_path / "log.parquet"
    rng = np.random.default_rng(0)
    frames = [
        Frame(float(i), Kind.CREATURE, {"pos": rng.random(3, np.float32), "mat": np.eye(2, dtype=np.float32) * i})
        for i in range(12)
    ]
    frames[5] = frames[5]._replace(data={**frames[5].data, "odd": None})
    frames[6] = frames[6]._replace(data={"pos": frames[6].data["pos"], "mat": None})
    with ParquetCodec(PickleCodec()).write(path, Header()) as log:
        log.write_all(frames)
    assert list(tmp_path.iterdir()) == [path]
    assert pq.read_schema(path).field("creature/pos").type == pa.list_(pa.float32(), 3)
    assert pq.read_schema(path).field("creature/mat").type == pa.list_(pa.list_(pa.float32(), 2), 2)
    reader = trainlog.open(path)
    for keys in (None, ["mat", "pos"]):
        table = reader.table("creature", keys=keys)
        assert [str(table[key].dtype) for key in ("pos", "mat")] == ["float32", "float32"]
        assert table["pos"].tolist() == [frame.data["pos"].tolist() for frame in frames]
        assert table["mat"].shape == (12, 2, 2)
        assert np.flatnonzero(~table.valid("mat")).tolist() == [6]
    assert [same(frame.data, one.data) for frame, one in zip(reader, frames, strict=True)] == [True] * 12


def test_parquet_keeps_the_dtypes_of_the_spool(tmp_path: Path) -> None:
    data = [{"pos": np.arange(3, dtype=np.float32) / 8 + i, "vel": [0.5, i / 3], "n": i} for i in range(5)]
    tables = []
    for name in ("log.flog", "log.parquet"):
        with trainlog.create(tmp_path / name) as log:
            log.write_all(stats(*data))
        tables.append(trainlog.open(tmp_path / name).table("stats"))
    flog, parquet = ({key: column.dtype for key, column in table.items()} for table in tables)
    assert parquet == flog


def test_a_frame_that_cannot_be_decoded(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    table = round_trip(tmp_path, stats({"x": None}, {"x": 1.0}))
    broken = pa.array([b"\xc1", None], pa.binary())
    pq.write_table(table.set_column(table.schema.get_field_index("frame"), "frame", broken), path)
    for read in (list, lambda reader: reader.table("stats")):
        with pytest.raises(CorruptLog, match="msgpack"):
            read(trainlog.open(path))


def test_no_format_is_imported_by_another() -> None:
    code = "import sys, trainlog.codecs.parquet; print([name for name in sys.modules if 'codecs.flog' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.parquet")
    try:
        path.touch()
    except OSError:
        pytest.skip("this file system has no such names")
    path.unlink()
    with trainlog.create(path) as writer:
        writer.write_all(stats({"reward": 1.0}))
    assert trainlog.open(path).table("stats")["reward"].tolist() == [1.0]


def test_a_log_with_the_longest_name_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / f"{'x' * 247}.parquet"
    for reward in (1.0, 2.0):
        with trainlog.create(path, overwrite=True) as writer:
            writer.write_all(stats({"reward": reward}))
    assert trainlog.open(path).table("stats")["reward"].tolist() == [2.0]
    assert [*tmp_path.iterdir()] == [path]


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(LogWriteError, match="name too long"):
        trainlog.create(tmp_path / f"{'x' * 250}.parquet")
    assert not [*tmp_path.iterdir()]
