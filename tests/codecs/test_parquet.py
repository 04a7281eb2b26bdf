from __future__ import annotations

import math
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.codecs.flog.test_columns import rows
from tests.codecs.flog.test_columns import same as identical
from tests.handmade import Flog

import trainlog
from trainlog import CorruptLog, Frame, Header, Kind, MissingExtra, UnknownFormat, Variable
from trainlog.codecs.parquet import ParquetCodec, writer
from trainlog.table.table import Table
from trainlog.testing import CodecContract, FramesOnly, assert_same_table, same

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


class TestParquet(CodecContract):
    codec = ParquetCodec()
    header = Header({"creature": "go2", "nested": {"a": [1, None]}}, 3, (Variable("v", "state", "m/s", -1.0, 1.0),))
    max_cuts = 60

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
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(identical(one[key], other[key]) for key in one)
    return identical(one, other)


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
    round_trip(
        tmp_path, stats({1: 2.0, b"k": 3, None: 1}, {"1": 2.0}, {"\udcff": 1.0}, {"a/b": 1.0}, {"a": {"b": 1.0}})
    )


@given(rows=rows.flatmap(lambda first: rows.map(lambda second: [first, second, first])))
@settings(max_examples=100)
def test_any_frames(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    frames = [Frame(float(i), Kind(2 + i % 2 * 2), data) for i, data in enumerate(rows * 2)]
    round_trip(tmp_path_factory.mktemp("any"), frames)


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
    reader = trainlog.open(path)
    for time, steps, last, keys in [(None, None, None, None), *choices]:
        which = {"time": time, "steps": steps, "last": last, "keys": keys}
        try:
            expected = FramesOnly(reader).table("stats", **which)
        except KeyError:
            with pytest.raises(KeyError):
                reader.table("stats", **which)
        else:
            assert_same_table(reader.table("stats", **which), expected)
        if time is not None:
            assert [repr(frame) for frame in reader.slice(*time)] == [
                repr(frame) for frame in FramesOnly(reader).slice(*time)
            ]


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
    with pytest.raises(CorruptLog, match="no whole Parquet file"):
        trainlog.open(path)


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
    columns = {
        "step": np.arange(4),
        "reward": np.array([0.5, np.nan, 1.5, 2.5]),
        "pos": np.arange(12.0).reshape(4, 3),
        "mat": np.arange(24).reshape(4, 2, 3),
        "on": np.array([True, False, True, True]),
        "mode": np.array(["run", None, np.nan, "walk"], object),
        "odd": np.array([1, "a", None, b"x"], object),
        "ragged": np.array([[1.0], [], None, [2.0, 3.0]], object),
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


@pytest.mark.parametrize(
    ("method", "module"), [("to_arrow", "pyarrow"), ("to_polars", "polars"), ("to_pandas", "pandas")]
)
def test_exports_without_their_library(monkeypatch: pytest.MonkeyPatch, method: str, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=f"{module} is not installed: pip install"):
        getattr(table(), method)()


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
