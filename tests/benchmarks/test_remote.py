"""The benchmark of object storage runs on a tiny size, and compares what it reads. No time is asserted."""

from __future__ import annotations

import pytest

from benchmarks import remote

pytestmark = pytest.mark.nightly


@pytest.fixture(autouse=True)
def _installed() -> None:
    for package in ("s3fs", "moto", "flask", "flask_cors"):
        pytest.importorskip(package)


def test_a_large_log() -> None:
    (measured,) = (row for row in remote._rows(remote.large, size=3_000_000, repeats=1) if "trainlog" in row[0])
    assert float(measured[3]) <= 8


def test_small_logs_take_at_most_1_2_requests_each() -> None:
    rows = remote._rows(remote.small, count=20, repeats=1)
    assert [row[0] for row in rows] == ["the bytes, by s3fs", "open and table of each", "runs().config"]
    assert all(float(row[3]) <= 1.2 for row in rows)
