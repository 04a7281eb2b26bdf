from __future__ import annotations

import math
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainlog.draw.scale import Scale, check_range
from trainlog.draw.ticks import axis_ticks

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


def labels(low: float, high: float, count: int = 6, unit: str | None = None, *, log: bool = False) -> list[str]:
    return list(axis_ticks(Scale.fit(low, high, log=log), count, unit).labels)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, ["0", "2", "4", "6", "8", "10"]),
        (0, 1, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (0, 1e6, ["0", "0.2M", "0.4M", "0.6M", "0.8M", "1M"]),
        (0, 3_100_000, ["0", "0.5M", "1M", "1.5M", "2M", "2.5M", "3M"]),
        (0, 50_000, ["0", "10k", "20k", "30k", "40k", "50k"]),
        (0, 5000, ["0", "1000", "2000", "3000", "4000", "5000"]),
        (0, 5e9, ["0", "1B", "2B", "3B", "4B", "5B"]),
        (-300, 300, ["−300", "−200", "−100", "0", "100", "200", "300"]),
        (0, 3e-4, ["0", "0.5e−4", "1e−4", "1.5e−4", "2e−4", "2.5e−4", "3e−4"]),
        (0.1, 0.3, ["0.1", "0.15", "0.2", "0.25", "0.3"]),
    ],
)
def test_numbers_have_no_digit_too_many(low: float, high: float, expected: list[str]) -> None:
    assert labels(low, high) == expected


@pytest.mark.parametrize(
    ("high", "expected"),
    [
        (0.004, ["0", "1ms", "2ms", "3ms", "4ms"]),
        (90, ["0", "15s", "30s", "45s", "60s", "75s", "90s"]),
        (600, ["0", "2min", "4min", "6min", "8min", "10min"]),
        (3 * 3600, ["0", "30min", "1h", "1h30min", "2h", "2h30min", "3h"]),
        (24 * 3600, ["0", "3h", "6h", "9h", "12h", "15h", "18h", "21h", "24h"]),
        (10 * 86400, ["0", "2d", "4d", "6d", "8d", "10d"]),
    ],
)
def test_times_are_written_in_their_units(high: float, expected: list[str]) -> None:
    found = labels(0, high, 6, "s")
    assert found[0] == "0"
    assert set(found) >= set(expected[1:3]) or found == expected
    assert all(text == "0" or text.endswith(("s", "min", "h", "d")) for text in found)


def test_a_time_of_hours_names_hours_and_minutes() -> None:
    assert labels(0, 3 * 3600, 6, "s") == ["0", "30min", "1h", "1h30min", "2h", "2h30min", "3h"]


def test_a_tiny_range_far_from_zero_says_once_what_all_ticks_share() -> None:
    ticks = axis_ticks(Scale.fit(1e6 - 0.001, 1e6 + 0.001), 5)
    assert ticks.offset == "1M"
    assert ticks.labels == ("−0.001", "−0.0005", "0", "0.0005", "0.001")


def test_log_ticks_are_powers_of_ten() -> None:
    assert labels(1, 1e6, 8, log=True) == ["1", "10", "100", "1000", "10k", "100k", "1M"]
    assert labels(1e-3, 1, 8, log=True) == ["0.001", "0.01", "0.1", "1"]


def test_a_long_log_axis_skips_decades_evenly() -> None:
    ticks = axis_ticks(Scale.fit(1e-300, 1e300, log=True), 8)
    exponents = [round(math.log10(value)) for value in ticks.values]
    assert len({b - a for a, b in pairwise(exponents)}) == 1
    assert not ticks.minor


def test_whole_numbers_have_nothing_between_them() -> None:
    assert axis_ticks(Scale.fit(0, 3), 8, whole=True).labels == ("0", "1", "2", "3")
    assert axis_ticks(Scale.fit(-0.5, 0.5), 8, whole=True).labels == ("0",)


@given(FLOATS, FLOATS, st.integers(2, 12), st.sampled_from([None, "s"]), st.booleans())
def test_ticks_are_distinct_and_inside(low: float, high: float, count: int, unit: str | None, log: bool) -> None:
    low, high = sorted((low, high))
    if log:
        low, high = (max(value, 5e-324) for value in sorted((abs(low), abs(high))))
    scale = Scale.fit(low, high, log=log, pad=0.05)
    ticks = axis_ticks(scale, count, unit)
    assert len(ticks.values) == len(ticks.labels)
    assert list(ticks.values) == sorted(set(ticks.values))
    assert len(set(ticks.labels)) == len(ticks.labels)
    assert all(-1e-9 <= scale.position_of(value) <= 1 + 1e-9 for value in (*ticks.values, *ticks.minor))
    if not log:
        assert 2 <= len(ticks.values) <= 2 * count + 2


@given(FLOATS, FLOATS)
def test_every_range_has_room(low: float, high: float) -> None:
    low, high = sorted((low, high))
    scale = Scale.fit(low, high, pad=0.05)
    assert scale.low < scale.high
    assert 0 <= scale.position_of(low) <= scale.position_of(high) <= 1


def test_extreme_values_keep_their_places() -> None:
    largest = sys.float_info.max
    scale = Scale.fit(-largest, largest)
    assert [scale.position_of(value) for value in (-largest, 0.0, largest)] == [0.0, 0.5, 1.0]
    scale = Scale.fit(0, 4e-300)
    assert scale.position_of(1e-300) == pytest.approx(0.25)


def test_given_ends_are_kept_and_the_other_end_follows_the_data() -> None:
    scale = Scale.fit(3, 50, limits=(0, None), pad=0.1)
    assert scale.low == 0
    assert scale.high == 55
    beyond = Scale.fit(3, 5, limits=(10, None))
    assert beyond.low <= 10 < beyond.high


@pytest.mark.parametrize(
    ("ends", "log", "reason"),
    [
        ((1, 1), False, "the lower first"),
        ((2, 1), False, "the lower first"),
        ((math.nan, 1), False, "two finite numbers"),
        ((0, math.inf), False, "two finite numbers"),
        ((0, 1), True, "positive on a log axis"),
        ((1,), False, "a pair"),
        (("a", "b"), False, "a pair"),
        (5, False, "a pair"),
    ],
)
def test_a_wrong_range_is_refused(ends: object, log: bool, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_range(ends, "y_range", log)
