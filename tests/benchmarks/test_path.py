"""The way of one call is measured step by step on a tiny size, and every log on it holds what was logged."""

import dataclasses

import pytest
from benchmarks.measure import QUICK, Unmeasured, in_child

from benchmarks import path

TINY = dataclasses.replace(QUICK, rows=400, repeats=1)


def test_the_table():
    (table,) = path.tables(TINY)
    notes = {row[0]: row[-1] for row in table.rows}
    whole = [name for name, note in notes.items() if note == "11,200 values"]
    assert len(whole) == 10
    assert "`TrainingRecorder.record_creature_frame`" in whole
    assert set(notes.values()) == {"11,200 values", "a part of the way"}


def test_a_log_that_lacks_something_is_no_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(path.FlogWriter, "put", lambda *frame: None)
    with pytest.raises(AssertionError, match="did not come back"):
        path.timed(str(tmp_path), 100, 2)


def test_a_step_that_fails_is_told(tmp_path):
    with pytest.raises(Unmeasured):
        in_child(path.timed, folder=str(tmp_path / "nowhere"), count=100, turns=1)
