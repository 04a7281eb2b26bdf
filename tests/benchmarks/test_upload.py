"""The benchmark of uploads runs on a tiny size, and compares the bucket with the local logs."""

import dataclasses

import pytest
from benchmarks.measure import QUICK

from benchmarks import upload

TINY = dataclasses.replace(QUICK, rows=400, passes=1)


def test_the_table(monkeypatch):
    monkeypatch.setattr(upload, "missing", lambda: ["moto"])
    (table,) = upload.tables(TINY)
    (row,) = table.rows
    assert row[0] == "another folder"
    assert row[-1].endswith("parts, equal to the local files")


def test_a_bucket_that_lacks_something_is_no_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(upload, "_parts", lambda url: [b""])
    with pytest.raises(AssertionError, match="does not hold"):
        upload.recorded(str(tmp_path), 10, 1, f"file://{tmp_path}/away")
