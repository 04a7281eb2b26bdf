"""The benchmark of what a log costs beside its frames runs, and looks at what the log says. No time is asserted."""

import dataclasses

import pytest
from benchmarks.measure import QUICK

from benchmarks import begin


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(begin, "_FILES", 3)


def test_the_table():
    (table,) = begin.tables(dataclasses.replace(QUICK, passes=1))
    assert [row[-1] for row in table.rows] == ["equal"] * 3


def test_a_log_that_says_something_else_is_seen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAINLOG_PROVENANCE", "off")  # which it takes away
    with pytest.raises(AssertionError, match="of its commit"):
        begin.begun(str(tmp_path), "on")  # no repository
