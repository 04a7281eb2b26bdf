"""Several runs as one curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from made_logs import write_log
from trainlog.draw import Chart
from trainlog.plot import PlotOptions, pictures, runs_of
from trainlog.plot.seeds import BANDS, BandName, aggregate
from trainlog.statistics import center_of, interval

RISING = np.arange(5.0)


def test_runs_of_one_length_meet_at_their_own_points() -> None:
    one = aggregate([(RISING, RISING), (RISING, 3 * RISING)], "mean", "minmax")
    assert one.x.tolist() == RISING.tolist()
    assert one.center.tolist() == [0, 2, 4, 6, 8]
    assert one.low.tolist() == RISING.tolist()
    assert one.high.tolist() == [0, 3, 6, 9, 12]
    assert one.runs.tolist() == [2] * 5


def test_a_run_that_ended_early_is_not_made_up() -> None:
    short = (RISING[:3], np.full(3, 10.0))
    one = aggregate([(RISING, np.zeros(5)), (RISING, np.zeros(5)), short], "mean", "std")
    assert one.runs.tolist() == [3, 3, 3, 2, 2]
    assert one.center[2:].tolist() == pytest.approx([10 / 3, 0, 0])
    lone = aggregate([(RISING, RISING), short], "mean", "ci")
    assert np.isnan(lone.low[3:]).all()
    assert lone.center[3:].tolist() == [3, 4]


def test_runs_at_other_points_are_interpolated_between_their_own() -> None:
    one = aggregate(
        [(np.array([0.0, 4]), np.array([0.0, 8])), (np.array([1.0, 2]), np.array([0.0, 0]))], "mean", "none"
    )
    assert one.x.tolist() == [0, 1, 2, 4]
    assert one.center.tolist() == [0, 1, 2, 8]
    assert one.runs.tolist() == [1, 2, 2, 1]


def test_what_is_no_number_is_left_out() -> None:
    x, y = np.array([0.0, 1, 1, np.nan, 2, 3]), np.array([0.0, 9, 1, 5, np.nan, 3])
    one = aggregate([(x, y)], "mean", "ci")
    assert (one.x.tolist(), one.center.tolist()) == ([0, 1, 3], [0, 1, 3])
    assert len(aggregate([(x[3:4], y[3:4])], "mean", "ci").x) == 0


@pytest.mark.parametrize(("center", "expected"), [("mean", 22.0), ("median", 3.0), ("iqm", 3.0)])
def test_centers(center: str, expected: float) -> None:
    assert center_of(np.array([1.0, 2, 3, 4, 100])[:, None], center).tolist() == [expected]


def test_the_interval_is_that_of_the_statistics() -> None:
    values = np.random.default_rng(5).normal(size=(20, 3)) * 2 + 7
    x = np.arange(3.0)
    one = aggregate([(x, row) for row in values], "mean", "ci")
    expected = interval(values, "mean")
    assert (one.low.tolist(), one.high.tolist()) == (expected.low.tolist(), expected.high.tolist())


@pytest.mark.parametrize("band", ["ci", "std", "minmax"])
@pytest.mark.parametrize("power", [-1000, 1000])
def test_bands_are_in_any_units(band: BandName, power: int) -> None:
    curves = [(RISING, RISING + n**2) for n in range(4)]
    expected = aggregate(curves, "mean", band)
    found = aggregate([(x, np.ldexp(y, power)) for x, y in curves], "mean", band)
    for name in ("center", "low", "high"):
        assert np.ldexp(getattr(found, name), -power) == pytest.approx(getattr(expected, name))


def test_an_interval_of_three_seeds_covers_the_mean() -> None:
    """The percentile bootstrap interval of three seeds covers it in 75 % of all cases."""
    values = np.random.default_rng(6).normal(size=(3, 400))
    one = aggregate([(np.arange(400.0), row) for row in values], "mean", "ci")
    assert ((one.low <= 0) & (one.high >= 0)).mean() > 0.92


@pytest.mark.parametrize(("runs", "enough"), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 3), (6, 4), (10, 6), (11, 6)])
def test_an_interval_of_few_runs_may_leave_the_axis(runs: int, enough: int) -> None:
    curves = [(np.arange(10.0 + n), np.full(10 + n, float(n))) for n in range(runs)]
    assert aggregate(curves, "mean", "ci").enough == enough
    assert aggregate(curves, "mean", "std").enough == 0


def test_tasks_are_strata_and_nothing_is_drawn_where_one_of_them_has_no_run() -> None:
    generator = np.random.default_rng(7)
    runs = [(RISING, generator.normal(size=5) + level) for level in (0, 0, 0, 1000, 1000, 1000)]
    tasks = ["hopper"] * 3 + ["ant"] * 3
    pooled, stratified = aggregate(runs, "mean", "ci"), aggregate(runs, "mean", "ci", tasks)
    assert stratified.center == pytest.approx(pooled.center)
    assert (stratified.high - stratified.low).max() < (pooled.high - pooled.low).min() / 20
    short = [*runs[:3], *((x[:2], y[:2]) for x, y in runs[3:])]
    assert aggregate(short, "mean", "ci", tasks).x.tolist() == [0, 1]
    assert len(aggregate(runs[:3], "mean", "ci", ["hopper", "hopper", "ant"]).x) == 5
    nowhere = [(RISING, RISING), (RISING + 10, RISING)]
    assert len(aggregate(nowhere, "mean", "ci", ["hopper", "ant"]).x) == 0


@pytest.mark.parametrize("band", BANDS)
def test_tasks_without_a_common_point_are_said(tmp_path: Path, band: BandName) -> None:
    runs = runs_of(
        write_log(tmp_path / f"{task}.flog", [{"step": n + begin, "reward": n} for n in range(9)], {"task": task})
        for task, begin in (("ant", 0), ("hopper", 100))
    )
    (picture,) = pictures(runs, PlotOptions(facet="", center="mean", band=band, y=("reward",)))
    assert isinstance(picture.figure, Chart)
    assert picture.figure.caption == "not drawn: no point has runs of all tasks"


def test_long_runs_keep_their_ends() -> None:
    x = np.linspace(0, 1, 5000)
    one = aggregate([(x, x), (x[:3000], x[:3000])], "mean", "minmax")
    assert one.bins == len(one.x) == 500
    assert one.x[[0, -1]] == pytest.approx([0.001, 0.999])
    assert one.x[one.runs == 2].max() == pytest.approx(x[2999], abs=0.002)
    assert one.center == pytest.approx(one.x, abs=1e-3)


def test_the_band_from_lowest_to_highest_has_every_spike() -> None:
    rng = np.random.default_rng(0)
    x = np.arange(100_000.0)
    runs = [rng.normal(size=len(x)) for _ in range(5)]
    runs[1][12_345], runs[3][54_321] = 50, -40
    one = aggregate([(x, y) for y in runs], "mean", "minmax")
    assert (one.low.min(), one.high.max()) == (-40, 50)
    assert one.low.min() == min(y.min() for y in runs)
    every = np.stack(runs)
    assert one.high == pytest.approx(every.reshape(5, 500, -1).max(axis=(0, 2)))
    assert one.center == pytest.approx(every.reshape(5, 500, -1).mean(axis=(0, 2)), abs=0.02)
