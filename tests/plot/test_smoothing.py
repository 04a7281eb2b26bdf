"""Smoothing, and when it is done unasked."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from trainlog.draw import centered_average
from trainlog.errors import PlotError
from trainlog.plot.smoothing import default_window, smoothed, window_extremes, window_std

FLOATS = arrays(np.float64, st.integers(0, 40), elements=st.one_of(st.floats(-100, 100), st.just(np.nan)))


@given(FLOATS, st.integers(1, 50))
def test_extremes_of_a_window(values: np.ndarray, window: int) -> None:
    low, high = window_extremes(values, window)
    for n in range(len(values)):
        half = window // 2
        part = values[max(n - half, 0) : n + half + 1]
        part = part[np.isfinite(part)]
        if len(part):
            assert (low[n], high[n]) == (part.min(), part.max())
        else:
            assert np.isnan(low[n])
            assert np.isnan(high[n])


@given(FLOATS, st.integers(1, 50))
def test_deviation_of_a_window(values: np.ndarray, window: int) -> None:
    found = window_std(values + 1e6, window)
    for n in range(len(values)):
        half = min(window // 2, (len(values) - 1) // 2)
        part = values[max(n - half, 0) : n + half + 1]
        part = part[np.isfinite(part)]
        if len(part):
            assert found[n] == pytest.approx(part.std(ddof=1) if len(part) > 1 else 0.0, abs=1e-3)


def test_a_band_of_a_window_is_as_wide_at_the_ends_as_between() -> None:
    """By the mean of its squares, over many curves of one noise, which is 1."""
    noise = np.random.default_rng(0).normal(size=(4000, 30))
    widths = np.sqrt((np.array([window_std(curve, 5) for curve in noise]) ** 2).mean(axis=0))
    np.testing.assert_allclose(widths, 1.0, atol=0.03)


@pytest.mark.parametrize(("window", "wider"), [(5, 2.0), (51, 2.7)])
def test_a_smoothed_curve_is_less_certain_at_its_ends(window: int, wider: float) -> None:
    """By as much as docs/plot.md says of the bands of several runs: a line through few values is."""
    noise = np.random.default_rng(0).normal(size=(2000, 120))
    spread = np.array([centered_average(curve, window) for curve in noise]).std(axis=0)
    half = window // 2
    np.testing.assert_allclose(spread[half:-half], window**-0.5, rtol=0.1)
    np.testing.assert_allclose(spread[[0, -1]], wider * window**-0.5, rtol=0.1)


def test_only_restless_curves_are_smoothed_unasked() -> None:
    noise = np.random.default_rng(0).normal(size=600)
    assert default_window(noise) == 21
    assert default_window(np.arange(600.0)) == 0
    assert default_window(np.sin(np.arange(600) / 100)) == 0
    assert default_window(noise[:99]) == 0
    assert default_window(np.sin(np.arange(600) / 2) + noise / 5) == 0  # periodic
    assert default_window((noise > 0) * 1.0) == 0  # a flag
    assert default_window(np.cumsum(noise > 0) * 1.0) == 0  # a counter
    assert default_window(np.full(600, np.nan)) == 0
    assert default_window(np.tile([1e308, -1e308], 50)) == 0  # its travel is beyond all floats


def test_windows_and_weights() -> None:
    values = np.array([0.0, 2, 4, 6])
    window = smoothed(values, 2)
    assert window is not None
    assert (window.values.tolist(), window.label) == ([0, 2, 4, 6], "centred mean of 3")
    weight = smoothed(values, 0.5)
    assert weight is not None
    assert weight.label == "exponential mean, 0.5, trailing"
    assert weight.values[0] == 0
    assert smoothed(values, 0) is smoothed(values, 1) is None
    for wrong in (-1, 2.5, float("nan")):
        with pytest.raises(PlotError, match="smoothing takes"):
            smoothed(values, wrong)


def test_a_default_mean_is_not_late() -> None:
    """A learning curve of ten seeds was drawn half as high as it is, and its peak later."""
    x = np.arange(0, 100_000, 200.0)
    rng = np.random.default_rng(0)
    truth = 4000 * (1 - np.exp(-x / 30_000)) + 1500 * np.exp(-(((x - 40_000) / 8000) ** 2))
    means = [smoothed(truth + rng.normal(0, 400, len(x)), None) for _ in range(10)]
    drawn = np.mean([one.values for one in means if one is not None], axis=0)
    assert abs(drawn - truth).max() < 250
    assert abs(x[drawn.argmax()] - x[truth.argmax()]) <= 1500


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(-100, 100)), st.integers(1, 80))
def test_a_centred_window_is_even_on_both_sides_and_a_line_at_the_ends(values: np.ndarray, window: int) -> None:
    found = centered_average(values, window)
    half = min(window // 2, (len(values) - 1) // 2)
    for n in range(len(values)):
        part = values[max(n - half, 0) : n + half + 1]
        expected = part.mean()
        if len(part) < 2 * half + 1:
            x = np.arange(len(values), dtype=float)[max(n - half, 0) : n + half + 1]
            line = np.polynomial.Polynomial.fit(x, part, 1)
            expected = np.clip(line(n), part.min(), part.max())
        assert found[n] == pytest.approx(expected, abs=1e-6)


@given(st.integers(1, 60), st.integers(1, 80), st.floats(-10, 10), st.sets(st.integers(0, 59)))
def test_a_straight_line_stays_what_it_is(count: int, window: int, slope: float, gaps: set[int]) -> None:
    """Also with gaps at its ends, beyond which nothing is made up."""
    line = 1e6 + slope * np.arange(float(count))
    edge = min(window // 2, (count - 1) // 2)
    line[[n for n in gaps if n < edge or count - edge <= n < count]] = np.nan
    found = centered_average(line, window)
    known = np.isfinite(line)
    assert not known.any() or np.isnan(found[: edge and known.argmax()]).all()
    inside = known & np.isfinite(found)
    inside[edge : count - edge] &= edge == 0  # whose windows may have a gap on one side
    assert np.isfinite(found[known]).all()
    np.testing.assert_allclose(found[inside], line[inside], rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize(("before", "after"), [(30, 0), (0, 30), (30, 30), (75, 0), (0, 75)])
def test_a_smoothed_curve_begins_and_ends_where_its_values_do(before: int, after: int) -> None:
    values = np.arange(80.0)
    values[:before] = values[80 - after :] = np.nan
    np.testing.assert_array_equal(np.isfinite(centered_average(values, 21)), np.isfinite(values))


def test_a_smoothed_curve_does_not_end_in_a_single_value() -> None:
    noise = np.random.default_rng(0).normal(size=(400, 600))
    ends = np.array([centered_average(row, 21)[[0, 300, -1]] for row in noise]).std(axis=0)
    assert ends[1] == pytest.approx(21**-0.5, rel=0.15)
    assert (ends[[0, 2]] < 0.65).all()  # it was 1
