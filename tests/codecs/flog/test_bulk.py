"""Whole tables as frames: the same as one by one, whatever the columns are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import trainlog
from handmade import Flog
from trainlog import Kind, Table
from trainlog.codecs.flog.columns.table_packer import TablePacker
from trainlog.testing import same


def written(path: Path, table: Table, *, bulk: bool) -> list[trainlog.Frame]:
    with trainlog.create(path, {"checksums": False}, overwrite=True) as log:
        if bulk:
            log.write_table(table)
        else:
            log.write_all(table.frames())
    return list(trainlog.open(path).frames(on_damage="raise"))


def check(folder: Path, table: Table, *, fixed: bool = True) -> None:
    assert TablePacker().pack(table, lambda frames: None) == fixed
    ours, plain = (written(folder / "a.flog", table, bulk=bulk) for bulk in (True, False))
    assert len(ours) == table.rows
    for one, other in zip(ours, plain, strict=True):
        assert same(one.time, other.time)
        assert one.kind == other.kind
        assert list(one.data) == list(other.data)
        assert same(dict(one.data), dict(other.data))


COLUMNS: dict[str, Any] = {
    "float": np.array([0.0, -0.0, np.nan, np.inf, 5e-324]),
    "float32": np.array([0.1, 1e30, np.nan, -np.inf, 0], np.float32),
    "float16": np.array([0.1, 6e4, 1, 2, 3], np.float16),
    "bool": np.array([True, False, True, True, False]),
    "small": np.arange(5, dtype=np.int8),
    "negative": np.array([-1, 0, 1, 2, -128]),
    "wide": np.array([-(2**63), 0, 2**63 - 1, 1, 2]),
    "unsigned": np.array([0, 2**64 - 1, 1, 2, 3], np.uint64),
    "byte": np.array([0, 255, 1, 2, 3], np.int64),
    "word": np.array([0, 65535, 1, 2, 3], np.int32),
    "big endian": np.array([1, 2, 3, 4, 5], ">i4"),
    "vector": np.arange(15.0).reshape(5, 3),
    "matrix": np.arange(30).reshape(5, 2, 3),
    "empty": np.empty((5, 0)),
    "strided": np.arange(50.0)[::10],
    "ключ ☂": np.arange(5.0),
    "a" * 300: np.arange(5.0),
}


@pytest.mark.parametrize("key", COLUMNS)
def test_each_kind_of_column(tmp_path: Path, key: str) -> None:
    check(tmp_path, Table(Kind.CREATURE, np.arange(5.0), {key: COLUMNS[key]}))


def test_all_of_them_and_none(tmp_path: Path) -> None:
    check(tmp_path, Table(Kind.STATS, np.arange(5.0), COLUMNS))
    check(tmp_path, Table(Kind(200), np.arange(5.0), {}))
    check(tmp_path, Table(Kind.CREATURE, np.empty(0), {"a": np.empty(0), "b": np.empty(0, np.int64)}))


def test_tables_of_one_layout_and_of_others(tmp_path: Path) -> None:
    tables = []
    for high in (10, 10, 300, 10):
        for kind in (Kind.CREATURE, Kind.STATS):
            step = np.arange(high)
            tables.append(Table(kind, step / 2, {"step": step, "x": step * 1.5, "y": np.stack([step, -step], axis=1)}))
    with trainlog.create(tmp_path / "a.flog") as log:
        for table in tables:
            log.write_table(table)
    expected = [frame for table in tables for frame in table.frames()]
    assert list(trainlog.open(tmp_path / "a.flog").frames(on_damage="raise")) == expected


@pytest.mark.parametrize("rows", [1, 3, 2000, 30_011])
def test_any_number_of_rows(tmp_path: Path, rows: int) -> None:
    table = Table(Kind.CREATURE, np.arange(rows) / 7, {"step": np.arange(rows), "x": np.arange(rows) ** 0.5})
    check(tmp_path, table)
    back = trainlog.open(tmp_path / "a.flog").table("creature")
    assert (back["step"] == table["step"]).all()
    assert (back["x"] == table["x"]).all()


@pytest.mark.parametrize(
    "column",
    [np.array(["a", "b"], object), np.array([None, 1.0], object), np.array([{"a": 1}, [1]], object)],
)
def test_columns_without_a_fixed_layout_are_written_one_by_one(tmp_path: Path, column: Any) -> None:
    check(tmp_path, Table(Kind.STATS, np.arange(2.0), {"a": np.arange(2), "b": column}), fixed=False)


def test_the_bytes_are_msgpack(tmp_path: Path) -> None:
    """Read by the format's plain loop and the reference library, not by us."""
    columns = {"step": np.array([1, 300]), "x": np.array([[1.0, 2.0], [3.0, 4.0]])}
    table = Table(Kind.CREATURE, np.array([0.5, 1.5]), columns)
    written(tmp_path / "a.flog", table, bulk=True)
    _, frames = Flog.read((tmp_path / "a.flog").read_bytes())
    assert frames == [(0.5, 4, {"step": 1, "x": [1.0, 2.0]}), (1.5, 4, {"step": 300, "x": [3.0, 4.0]})]


numbers = st.one_of(
    npst.integer_dtypes(endianness="?"),
    npst.unsigned_integer_dtypes(),
    npst.floating_dtypes(sizes=(16, 32, 64)),
    st.just(np.dtype("?")),
)


@given(st.data())
def test_any_table(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    rows = data.draw(st.integers(0, 5))
    shapes = st.lists(st.integers(0, 3), max_size=2).map(lambda inner: (rows, *inner))
    columns = data.draw(
        st.dictionaries(
            st.text(st.characters(blacklist_categories=["Cs"]), max_size=5),
            npst.arrays(numbers, shapes),
            max_size=4,
        )
    )
    time = data.draw(npst.arrays(np.float64, rows, elements=st.floats(allow_nan=False)))
    check(tmp_path_factory.mktemp("any"), Table(Kind.STATS, time, columns))
