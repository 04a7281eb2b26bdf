"""Smoothing, and when it is done unasked."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from trainlog.errors import PlotError
from trainlog.plot.smoothing import default_window, smoothed, window_extremes, window_std

FLOATS = arrays(np.float64, st.integers(0, 40), elements=st.one_of(st.floats(-100, 100), st.just(np.nan)))


@given(FLOATS, st.integers(1, 50))
def test_extremes_of_a_window(values: np.ndarray, window: int) -> None:
    low, high = window_extremes(values, window)
    for n in range(len(values)):
        part = values[max(n - window + 1, 0) : n + 1]
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
        part = values[max(n - window + 1, 0) : n + 1]
        part = part[np.isfinite(part)]
        if len(part):
            assert found[n] == pytest.approx(part.std(), abs=1e-3)


def test_only_restless_curves_are_smoothed_unasked() -> None:
    noise = np.random.default_rng(0).normal(size=600)
    assert default_window(noise) == 20
    assert default_window(np.arange(600.0)) == 0
    assert default_window(np.sin(np.arange(600) / 100)) == 0
    assert default_window(noise[:20]) == 0
    assert default_window(np.full(600, np.nan)) == 0
    assert default_window(np.tile([1e308, -1e308], 50)) == 0  # its travel is beyond all floats


def test_windows_and_weights() -> None:
    values = np.array([0.0, 2, 4, 6])
    window = smoothed(values, 2)
    assert window is not None
    assert (window.values.tolist(), window.label) == ([0, 1, 3, 5], "mean of 2")
    weight = smoothed(values, 0.5)
    assert weight is not None
    assert weight.label == "exponential mean, 0.5"
    assert weight.values[0] == 0
    assert smoothed(values, 0) is smoothed(values, 1) is None
    for wrong in (-1, 2.5, float("nan")):
        with pytest.raises(PlotError, match="smoothing takes"):
            smoothed(values, wrong)
