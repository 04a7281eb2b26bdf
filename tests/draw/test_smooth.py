from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainlog.draw import ema, moving_average

VALUES = st.lists(st.one_of(st.floats(-1e6, 1e6), st.sampled_from([math.nan, math.inf, -math.inf])), max_size=60)


def plain_average(values: list[float], window: int) -> list[float]:
    found = []
    for end in range(1, len(values) + 1):
        part = [value for value in values[max(end - window, 0) : end] if math.isfinite(value)]
        found.append(math.fsum(part) / len(part) if part else math.nan)
    return found


def plain_ema(values: list[float], alpha: float) -> list[float]:
    found, total, weight = [], 0.0, 0.0
    for value in values:
        if math.isfinite(value):
            total, weight = total * (1 - alpha) + value * alpha, weight * (1 - alpha) + alpha
        found.append(total / weight if weight else math.nan)
    return found


@given(VALUES, st.integers(1, 80))
def test_the_moving_average_is_the_mean_of_the_window(values: list[float], window: int) -> None:
    found = moving_average(values, window)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, plain_average(values, window), rtol=1e-12, atol=1e-9)


@given(VALUES, st.floats(1e-3, 1))
def test_the_exponential_average_is_that_of_a_loop(values: list[float], alpha: float) -> None:
    np.testing.assert_allclose(ema(values, alpha), plain_ema(values, alpha), rtol=1e-9, atol=1e-9)


def test_a_huge_value_leaves_no_trace_once_the_window_has_passed_it() -> None:
    values = np.ones(1000)
    values[0] = 1e17
    assert (moving_average(values, 10)[10:] == 1).all()


@pytest.mark.parametrize("size", [1e308, 1e-308, 5e-324])
def test_extreme_values_stay_finite(size: float) -> None:
    values = np.full(500, size)
    np.testing.assert_allclose(moving_average(values, 100), values)
    np.testing.assert_allclose(ema(values, 0.01), values)


def test_the_first_value_begins_the_exponential_average() -> None:
    assert ema([5.0, 5.0, 5.0], 0.1).tolist() == pytest.approx([5, 5, 5])
    assert math.isnan(ema([math.nan, 3.0], 0.1)[0])
    assert ema([math.nan, 3.0, math.nan, math.inf], 0.1)[1:].tolist() == pytest.approx([3, 3, 3])


def test_any_numeric_type_is_taken() -> None:
    for kind in (bool, np.uint8, np.int64, np.float16, np.float32):
        assert moving_average(np.array([0, 1, 1], dtype=kind), 2).tolist() == [0, 0.5, 1]
    assert moving_average([None, 1, 3], 2).tolist()[1:] == [1, 2]


def test_nothing_is_smoothed_to_nothing() -> None:
    assert len(moving_average([], 5)) == len(ema([], 0.5)) == 0


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="window of a moving average"):
        moving_average([1], 0)
    for alpha in (0, -1, 1.5, math.nan):
        with pytest.raises(ValueError, match="alpha"):
            ema([1], alpha)
    with pytest.raises(ValueError, match="one-dimensional"):
        ema([[1]], 0.5)
    with pytest.raises(ValueError, match="real numbers"):
        moving_average(["a"], 2)
