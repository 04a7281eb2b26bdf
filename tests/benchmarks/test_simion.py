"""The benchmarks of RLSimion logs run on a tiny size, and all sides of them agree. No time is asserted."""

import dataclasses

import pytest
from benchmarks.measure import QUICK

from benchmarks import simion


@pytest.mark.parametrize("name", simion.READERS)
@pytest.mark.parametrize("length", [3, 200])
def test_each_reader_reads_all_steps(name, length, tmp_path):
    path = str(tmp_path / "a.simion.log")
    steps = simion.make(path, 200_000, length)
    assert steps > 500
    note = simion.read(name, path, steps, 1)["note"]
    assert note == ("the bytes alone" if name == "np.fromfile" else f"{steps:,} steps, {steps * 15:,} values")


@pytest.mark.parametrize("name", simion.CONVERTERS)
def test_each_converter_carries_all_values(name, tmp_path):
    path = str(tmp_path / "a.simion.log")
    steps = simion.make(path, 100_000, 100)
    for _ in range(2):
        assert simion.converted(name, path, str(tmp_path / "a.flog"), 2)["note"] == f"{steps * 15:,} values"


def test_values_that_differ_are_seen(tmp_path):
    path = str(tmp_path / "a.simion.log")
    steps = simion.make(path, 100_000, 100)
    with pytest.raises(AssertionError, match="read other values"):
        simion.read("trainlog", path, steps + 1, 1)


def test_the_tables(monkeypatch):
    monkeypatch.setattr(simion, "_QUICK_SIZE", 300_000)
    tables = list(simion.tables(dataclasses.replace(QUICK, repeats=1)))
    assert [len(table.rows) for table in tables] == [3, 3, 3]
    assert "failed" not in "".join(map(str, tables))
