"""The benchmarks of FLOG columns run on a tiny size, and all ways to read it agree. No time is asserted."""

import dataclasses

import pytest
from benchmarks.measure import QUICK, Unmeasured

import trainlog
from benchmarks import columns

TINY = dataclasses.replace(QUICK, rows=250, repeats=1)


def test_every_work_gives_the_values_that_were_logged(tmp_path):
    path = str(tmp_path / "run.flog")
    columns.make(path, 2500)
    notes = columns.checked(path, 2500)
    assert list(notes) == list(columns.works(2500))
    assert notes["plain loop, dicts kept"] == "2,525 dicts"
    assert notes["creature, opened anew"] == "145,000 values"
    assert notes["stats, two keys, index known"] == "50 values"
    assert notes["last 1,000, opened anew"] == "58,000 values"
    assert notes["one second, index known"] == "5,800 values"


def test_the_file_is_one_that_others_read(tmp_path):
    path = tmp_path / "run.flog"
    assert columns.make(str(path), 200) == path.stat().st_size
    assert trainlog.open(path).summary().gaps == []


@pytest.mark.parametrize("work", ["creature, opened anew", "plain loop, dicts kept", "state at a time, index known"])
def test_values_that_differ_are_seen(work, tmp_path, monkeypatch):
    path = str(tmp_path / "run.flog")
    columns.make(path, 200)
    few = {work: columns.works(200)[work]}
    monkeypatch.setattr(columns, "works", lambda frames: few)
    truth = list(columns._rows(200))
    for _, _, data in truth:
        data |= {"pos": [*data["pos"][:-1], 0.0]} if "pos" in data else {}
    monkeypatch.setattr(columns, "_rows", lambda frames: truth)
    with pytest.raises(AssertionError, match=f"{work}: .* instead of "):
        columns.checked(path, 200)


def test_no_function_is_called_once_for_each_frame(tmp_path):
    path = str(tmp_path / "run.flog")
    columns.make(path, 10_000)
    assert columns.profiled("creature, opened anew", path, 10_000)["times"] < 5_000
    loop = columns.profiled("plain loop, dicts dropped", path, 10_000)
    assert loop["times"] >= 10_000
    assert loop["calls"] >= 4 * 10_000


def test_the_tables(monkeypatch):
    few = dict(list(columns.works(2500).items())[:4])  # in this process; those that measure know all
    monkeypatch.setattr(columns, "works", lambda frames: few)
    times, calls = columns.tables(TINY)
    assert [row[0] for row in times.rows] == list(few)
    assert len(calls.rows) == 2
    assert "failed" not in f"{times}{calls}"
    assert all(len(row) == len(table.columns) for table in (times, calls) for row in table.rows)


def test_no_figure_is_given_where_values_differ(monkeypatch):
    monkeypatch.setattr(columns, "in_child", _fails)
    times, calls = columns.tables(TINY)
    assert [row[-1] for row in times.rows] == ["failed: other values"]
    assert all("failed: " in row[3] for row in calls.rows)


def _fails(function, **arguments):
    if function is columns.make:
        return 1
    raise Unmeasured("other values")
