"""The benchmark of many runs: every way gives the answer of the plain loop, on a tiny size. No time is asserted."""

import dataclasses
from pathlib import Path

import pytest
from benchmarks.measure import QUICK
from benchmarks.runs import WAYS, asked, make, tables

LIGHT = [
    way for way, (_, module) in WAYS.items() if module not in ("ray", "dask", "pyspark") and "compacted" not in way
]


@pytest.mark.parametrize("way", LIGHT)
def test_every_way_gives_the_answer_of_the_plain_loop(way: str, tmp_path: Path) -> None:
    if WAYS[way][1]:
        pytest.importorskip(WAYS[way][1])
    make(str(tmp_path / "runs"), 6, 30)
    means = asked(way, str(tmp_path))["means"]
    assert means == pytest.approx(asked("the plain loop", str(tmp_path))["means"])
    assert len(means) == 6


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_the_tables_are_whole() -> None:
    scale = dataclasses.replace(QUICK, rows=160, passes=1)
    question, catalog = tables(scale)
    assert [row[0] for row in question.rows] == [*WAYS]
    assert not [cell for row in question.rows for cell in row if "failed" in cell]
    assert [row[0] for row in catalog.rows] == ["80", "160"]
