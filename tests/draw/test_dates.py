"""Seconds since 1970 as dates."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from trainlog.draw.scale import Scale
from trainlog.draw.ticks import axis_ticks

START = datetime(2026, 5, 1, 8, tzinfo=UTC).timestamp()
DAY = 86400


@pytest.mark.parametrize(
    ("seconds", "first", "offset"),
    [
        (3600, "08:00", "2026-05-01, UTC"),
        (DAY, "05-01 09:00", "2026, UTC"),
        (7 * DAY, "05-02", "2026, UTC"),
        (200 * DAY, "2026-06", ""),
        (20 * 365 * DAY, "2030-01", ""),
    ],
)
def test_dates_are_round(seconds: float, first: str, offset: str) -> None:
    ticks = axis_ticks(Scale(START, START + seconds), 6, "s")
    assert (ticks.labels[0], ticks.offset) == (first, offset)
    assert 2 <= len(ticks.labels) <= 12
    assert list(ticks.values) == sorted(ticks.values)


def test_seconds_of_a_run_stay_seconds() -> None:
    assert axis_ticks(Scale(0, 7 * DAY), 6, "s").labels[1].endswith("d")
