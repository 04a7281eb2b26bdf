from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trainlog.draw import downsample
from trainlog.draw.downsample import column_extremes, merge_dots, simplify_path

RNG = np.random.default_rng(20)


def columns_of(x: np.ndarray, columns: int) -> np.ndarray:
    span = x.max() - x.min()
    return np.minimum((x - x.min()) / (span or 1) * columns, columns - 1).astype(int)


def check_honest(x: np.ndarray, y: np.ndarray, columns: int) -> None:
    """First, last, lowest and highest of every column are among the points that are left."""
    kept = set(zip(*downsample(x, y, columns), strict=True))
    where = columns_of(x, columns)
    for column in np.unique(where):
        inside = np.flatnonzero(where == column)
        assert (x[inside[0]], y[inside[0]]) in kept
        assert (x[inside[-1]], y[inside[-1]]) in kept
        heights = {height for place, height in kept if place in x[inside]}
        assert y[inside].min() in heights
        assert y[inside].max() in heights


@given(
    hnp.arrays(np.float64, st.integers(1, 300), elements=st.floats(-1e6, 1e6)),
    st.integers(1, 20),
    st.sampled_from(["index", "steps back", "random"]),
)
def test_extremes_of_every_column_survive(y: np.ndarray, columns: int, order: str) -> None:
    x = np.arange(len(y), dtype=float)
    if order == "steps back":
        x = x % 97
    elif order == "random":
        x = np.random.default_rng(len(y)).permutation(x)
    check_honest(x, y, columns)


def test_a_million_points_become_a_few_for_every_column() -> None:
    y = RNG.normal(0, 1, 1_000_000)
    x, kept = downsample(None, y, 800)
    assert len(x) <= 4 * 800
    assert kept.min() == y.min()
    assert kept.max() == y.max()
    assert (x[0], x[-1]) == (0, 999_999)
    assert (np.diff(x) > 0).all()


def test_unsorted_x_costs_nothing_and_loses_nothing() -> None:
    x, y = RNG.uniform(0, 1, 100_000), RNG.normal(0, 1, 100_000)
    places, kept = downsample(x, y, 100)
    assert len(places) <= 400
    assert (kept.min(), kept.max()) == (y.min(), y.max())


def test_runs_that_go_back_keep_their_order() -> None:
    x = np.tile(np.arange(10_000.0), 3)
    y = np.arange(30_000.0)
    _, kept = downsample(x, y, 50)
    assert (np.diff(kept) > 0).all()


def test_what_is_not_finite_is_dropped() -> None:
    x, y = downsample([0, 1, np.inf, 3], [np.nan, 1, 2, 3], 5)
    assert x.tolist() == [1, 3]
    assert y.tolist() == [1, 3]
    assert len(downsample([], [], 3)[0]) == 0


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="columns must be at least 1"):
        downsample(None, [1, 2], 0)
    with pytest.raises(ValueError, match="x has 1 values and y has 2"):
        downsample([1], [1, 2], 4)


@pytest.mark.parametrize("limit", [-1.7e308, 1.7e308, 5e-324])
def test_extreme_x(limit: float) -> None:
    x, _ = downsample(np.linspace(0, 1, 1000) * limit, np.arange(1000.0), 10)
    assert 2 <= len(x) <= 1000


def test_few_points_all_stay() -> None:
    assert column_extremes(np.zeros(6, dtype=int), np.arange(6.0), 3).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_path_keeps_its_ends_and_its_outermost_points() -> None:
    path = np.cumsum(RNG.normal(0, 0.4, (200_000, 2)), axis=0)
    keep = simplify_path(path, 2000)
    assert len(keep) <= 2010
    assert {0, 199_999, *path.argmin(axis=0), *path.argmax(axis=0)} <= set(keep.tolist())
    assert (np.diff(keep) > 0).all()


def test_a_short_path_is_left_as_it_is() -> None:
    path = np.array([[0.0, 0], [10, 0], [10, 10], [0, 10]])
    assert simplify_path(path).tolist() == [0, 1, 2, 3]


def test_a_cloud_of_dots_is_covered() -> None:
    points = RNG.normal(200, 40, (50_000, 2))
    strokes, radius = merge_dots(points, 2.0, 3000)
    assert len(strokes) <= 3000
    for x, y in points[::500]:
        beside = np.clip(x, strokes[:, 0, 0], strokes[:, 1, 0])
        distance = np.hypot(beside - x, strokes[:, 0, 1] - y)
        assert distance.min() <= radius


def test_few_dots_stay_where_they_are() -> None:
    points = RNG.normal(200, 40, (50, 2))
    strokes, radius = merge_dots(points, 2.0)
    assert np.array_equal(strokes[:, 0], points)
    assert np.array_equal(strokes[:, 1], points)
    assert radius == 2.0
