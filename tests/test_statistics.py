"""Estimators and intervals, against scipy, rliable and simulated runs."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from rliable import metrics

from trainlog import statistics
from trainlog.errors import StatisticsError
from trainlog.statistics import CENTERS, CenterName

Floats = npt.NDArray[np.float64]
RUNS = np.random.default_rng(3).lognormal(size=(10, 6))  # runs of six tasks, as rliable has them
TASKS = list(RUNS.T)
NEW, OLD = np.random.default_rng(4).normal(size=9) * 3 + 1, np.random.default_rng(5).normal(size=6)
SAMPLES = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=12)


def test_aggregates_are_those_of_rliable() -> None:
    assert statistics.mean(TASKS) == pytest.approx(metrics.aggregate_mean(RUNS))
    assert statistics.median(TASKS) == pytest.approx(metrics.aggregate_median(RUNS))
    assert statistics.iqm(TASKS) == pytest.approx(metrics.aggregate_iqm(RUNS))
    for target in (0.5, 1.0, 2.0):
        assert statistics.optimality_gap(TASKS, target) == pytest.approx(metrics.aggregate_optimality_gap(RUNS, target))
    others = RUNS[::-1, ::-1][:7] * 1.3
    others[0] = RUNS[0]  # ties count one half
    assert statistics.probability_of_improvement(TASKS, list(others.T)) == pytest.approx(
        metrics.probability_of_improvement(RUNS, others)
    )


@given(SAMPLES)
def test_the_iqm_is_scipys_trimmed_mean(values: list[float]) -> None:
    assert statistics.iqm(values) == pytest.approx(scipy.stats.trim_mean(values, 0.25), rel=1e-9, abs=1e-9)


def test_a_performance_profile_is_the_share_of_scores_above() -> None:
    thresholds = np.linspace(0, 5, 11)
    expected = [np.mean(threshold < RUNS) for threshold in thresholds]  # rliable's run_score_deviation
    assert statistics.performance_profile(TASKS, thresholds) == pytest.approx(expected)
    band = statistics.bootstrap_interval(TASKS, lambda tasks: _profiles(tasks, thresholds))
    assert (band.low <= band.value + 1e-12).all()
    assert (band.value <= band.high + 1e-12).all()


def _profiles(tasks: list[Floats], thresholds: Floats) -> Floats:
    return np.moveaxis(statistics.performance_profile(tasks, thresholds), 0, -1)


def test_points_of_a_curve_are_computed_one_by_one() -> None:
    curves = np.random.default_rng(1).normal(size=(7, 4)).cumsum(axis=1)
    for center in CENTERS:
        one = statistics.sample_efficiency([curves, curves[:5] * 2], center)
        for point in range(4):
            alone = statistics.interval([curves[:, point], curves[:5, point] * 2], center)
            assert [float(part[point]) for part in one] == pytest.approx([float(part) for part in alone])


def test_welch_is_scipys() -> None:
    found, expected = statistics.welch(NEW, OLD), scipy.stats.ttest_ind(NEW, OLD, equal_var=False)
    assert [float(part) for part in found] == pytest.approx([expected.statistic, expected.df, expected.pvalue])
    difference = statistics.compare(NEW, OLD, confidence=0.9)
    interval = expected.confidence_interval(0.9)
    assert (float(difference.low), float(difference.high)) == pytest.approx((interval.low, interval.high))
    assert float(difference.p) == pytest.approx(expected.pvalue)


def test_paired_runs_are_scipys_paired_t_test() -> None:
    one, two = NEW[:6], NEW[:6] * 0.9 + OLD * 0.1
    found, expected = statistics.compare(one, two, paired=True), scipy.stats.ttest_rel(one, two)
    interval = expected.confidence_interval()
    assert (float(found.low), float(found.high)) == pytest.approx((interval.low, interval.high))
    assert float(found.p) == pytest.approx(expected.pvalue)


def test_the_iqm_of_one_task_is_compared_as_yuen_and_tukey_have_it() -> None:
    parts = []
    for sample in (NEW, OLD):
        n, cut = len(sample), len(sample) // 4
        winsorised = scipy.stats.mstats.winsorize(sample, limits=(cut / n, cut / n)).data
        variance = winsorised.var(ddof=1) / n / (1 - 2 * cut / n) ** 2
        parts.append((scipy.stats.trim_mean(sample, 0.25), variance, n - 2 * cut - 1))
    (new, one, df_one), (old, two, df_two) = parts
    df = (one + two) ** 2 / (one**2 / df_one + two**2 / df_two)
    reach = scipy.stats.t.ppf(0.975, df) * math.sqrt(one + two)
    found = statistics.compare(NEW, OLD, "iqm")
    expected = (new - old, new - old - reach, new - old + reach)
    assert (float(found.difference), float(found.low), float(found.high)) == pytest.approx(expected)


@pytest.mark.parametrize("df", [0.05, 0.3, 0.99, 1, 1.5, 1.99, 2, 4.3, 30, 999, 1001, 1e4, 1e8, 1e13])
@pytest.mark.parametrize("share", [0.025, 0.5, 0.6, 0.975, 0.995, 0.999999])
def test_student_quantiles_are_scipys(df: float, share: float) -> None:
    expected = pytest.approx(scipy.stats.t.ppf(share, df), rel=1e-6, abs=1e-9)
    assert float(statistics.student_quantile(df, share)) == expected


def test_student_quantiles_end_in_those_of_the_normal_distribution() -> None:
    normal = scipy.stats.norm.ppf(0.975)
    assert float(statistics.student_quantile(math.inf, 0.975)) == pytest.approx(normal, rel=1e-6)
    assert np.isnan(statistics.student_quantile([0.0, -1.0, math.nan], 0.975)).all()


def test_one_run_has_no_interval() -> None:
    assert np.isnan(statistics.interval([3.0])[1:]).all()
    assert np.isnan(statistics.interval([np.array([1.0, 2.0]), np.array([3.0])], "iqm")[1:]).all()
    found = statistics.compare([3.0], [1.0, 2.0, 3.0])
    assert float(found.difference) == 1.0
    assert np.isnan([found.low, found.high, found.p]).all()


@pytest.mark.parametrize("center", CENTERS)
def test_equal_scores_have_an_interval_without_width(center: CenterName) -> None:
    assert [float(part) for part in statistics.interval([2.0] * 6, center)] == [2.0] * 3
    found = statistics.compare([2.0] * 6, [3.0] * 5, center)
    assert (float(found.low), float(found.high)) == (-1.0, -1.0)
    assert float(found.p) == pytest.approx(0, abs=1e-12)


@settings(max_examples=30)
@given(SAMPLES, st.floats(0.1, 100), st.floats(-1e3, 1e3), st.sampled_from(CENTERS))
def test_an_interval_moves_and_stretches_with_the_scores(
    values: list[float], scale: float, shift: float, center: CenterName
) -> None:
    one = np.array([float(part) for part in statistics.interval(np.round(values), center)])
    two = np.array([float(part) for part in statistics.interval(np.round(values) * scale + shift, center)])
    assert two == pytest.approx(one * scale + shift, rel=1e-6, abs=1e-6 * (1 + np.abs(two).max()))


def test_tasks_are_strata() -> None:
    """An interval over tasks knows that a task is the same task in each resample."""
    generator = np.random.default_rng(8)
    tasks = [generator.normal(size=8) * 50 + level for level in (0, 500, 1000, 2000, 4000)]
    over_tasks = statistics.interval(tasks)
    pooled = statistics.interval(np.concatenate(tasks))
    assert float(over_tasks.value) == pytest.approx(float(pooled.value))
    assert float(over_tasks.high - over_tasks.low) < float(pooled.high - pooled.low) / 10
    distribution = statistics.bootstrap(tasks, statistics.mean)
    low, high = np.quantile(distribution, [0.025, 0.975])
    assert (float(over_tasks.low), float(over_tasks.high)) == pytest.approx((low, high), abs=15)


def test_a_bca_interval_is_scipys() -> None:
    values = np.random.default_rng(2).lognormal(size=25)
    found = statistics.bootstrap_interval(values, statistics.mean)
    expected = scipy.stats.bootstrap((values,), np.mean, n_resamples=9999, rng=1).confidence_interval
    assert (float(found.low), float(found.high)) == pytest.approx((expected.low, expected.high), rel=0.05)
    both = [NEW, OLD]
    improvement = statistics.bootstrap_interval(
        both, lambda tasks: statistics.probability_of_improvement(tasks[0], tasks[1])
    )
    assert float(improvement.value) == pytest.approx(float(statistics.probability_of_improvement(NEW, OLD)))
    assert 0 <= improvement.low < improvement.value < improvement.high <= 1


@pytest.mark.parametrize("tasks", [1, 5])
@pytest.mark.parametrize(("n", "least"), [(3, 0.84), (5, 0.86), (10, 0.89)])
def test_intervals_of_few_scores_hold(tasks: int, n: int, least: float) -> None:
    """docs/plot.md has more of them."""
    generator = np.random.default_rng(n)
    new, old = ([generator.normal(mean, 1, (n, 1000)) for _ in range(tasks)] for mean in (0.5, 0.0))
    improvement, profile = statistics.improvement_interval(new, old), statistics.profile_interval(old, [-1.0])
    gap = statistics.gap_interval(old)
    assert improvement.value == pytest.approx(statistics.probability_of_improvement(new, old))
    assert profile.value == pytest.approx(statistics.performance_profile(old, [-1.0]))
    assert gap.value == pytest.approx(statistics.optimality_gap(old))
    short = scipy.stats.norm.cdf(1) + scipy.stats.norm.pdf(1)
    truths = (scipy.stats.norm.cdf(0.5 / math.sqrt(2)), scipy.stats.norm.cdf(1), short)
    for found, true in zip((improvement, profile, gap), truths, strict=True):
        assert ((found.low <= true) & (found.high >= true)).mean() >= least
    assert (improvement.low < improvement.high).all()
    assert (profile.low < profile.high).all()


def test_an_interval_is_not_empty_where_every_run_is_better() -> None:
    found = statistics.improvement_interval([3.0, 4.0, 5.0], [0.0, 1.0, 2.0])
    assert (float(found.value), float(found.high)) == (1.0, pytest.approx(1.0))
    assert 0.3 < float(found.low) < 0.7
    every = statistics.profile_interval([3.0, 4.0, 5.0], [0.0])
    # Wilson's interval of 3 of 3, by statsmodels' proportion_confint
    assert np.reshape(every[1:], -1).tolist() == pytest.approx([0.4385030, 1.0])
    assert np.isnan(statistics.improvement_interval([3.0], [1.0, 2.0]).low)
    assert np.isnan(statistics.profile_interval([3.0], [1.0]).low).all()


@pytest.mark.parametrize("n", [3, 5, 10])
def test_an_interval_of_the_median_of_tasks_holds(n: int) -> None:
    """Where one task decides it, as the others are far away."""
    tasks = [np.random.default_rng(level).normal(10 * level, 1, (n, 200)) for level in range(5)]
    found = statistics.interval(tasks, "median")
    assert ((found.low <= 20) & (found.high >= 20)).mean() >= 0.9


def test_the_random_numbers_are_always_the_same() -> None:
    one, two = (statistics.bootstrap(TASKS, statistics.iqm) for _ in range(2))
    assert one.tolist() == two.tolist()
    assert one.tolist() != statistics.bootstrap(TASKS, statistics.iqm, seed=1).tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.mean([]), "a task without runs"),
        (lambda: statistics.mean([np.array([1.0]), np.array([])]), "a task without runs"),
        (lambda: statistics.mean([np.zeros((2, 3)), np.zeros((2, 4))]), "curves of different lengths"),
        (lambda: statistics.compare(TASKS, TASKS[:2]), "there are 6 tasks to compare with 2"),
        (lambda: statistics.compare([1.0, 2], [1.0, 2, 3], paired=True), "as many new runs as old"),
        (lambda: statistics.interval([1.0, 2.0], confidence=95), "a confidence is between 0 and 1, as 0.95, not 95"),
    ],
)
def test_what_cannot_be_computed_is_said(call: object, message: str) -> None:
    with pytest.raises(StatisticsError, match=message):
        call()  # type: ignore[operator]


@pytest.mark.parametrize(("n", "least"), [(3, 0.92), (5, 0.93), (8, 0.93), (20, 0.93)])
@pytest.mark.parametrize("center", CENTERS)
def test_an_interval_covers_what_it_says(center: CenterName, n: int, least: float) -> None:
    """Of 2000 samples from a normal distribution; docs/ci.md has more of them, from benchmarks/gate.py."""
    values = np.random.default_rng(n).normal(size=(n, 2000))
    found = statistics.interval(values, center)
    share = ((found.low <= 0) & (found.high >= 0)).mean()
    assert least - 0.01 <= share <= 0.97 + 0.01
    new, old = values, np.random.default_rng(n + 1).normal(size=(n, 2000))
    difference = statistics.compare(new, old, center)
    assert least - 0.01 <= ((difference.low <= 0) & (difference.high >= 0)).mean() <= 0.99


@pytest.mark.parametrize("n", [5, 20])
@pytest.mark.parametrize("center", CENTERS)
def test_an_interval_of_skewed_scores_covers_nine_of_ten(center: CenterName, n: int) -> None:
    generator = np.random.default_rng(n)
    truth = statistics.center_of(generator.lognormal(0, 1, (n, 100_000)), center).mean()
    found = statistics.interval(generator.lognormal(0, 1, (n, 2000)), center)
    assert ((found.low <= truth) & (found.high >= truth)).mean() >= 0.9 - 0.01


def test_an_interval_of_few_runs_has_no_spikes() -> None:
    """No end is farther than three times that of Student's interval."""
    runs = np.random.default_rng(0).lognormal(0, 1, (5, 2000))
    found = statistics.interval(runs)
    student = scipy.stats.sem(runs, axis=0) * scipy.stats.t.ppf(0.975, 4)
    assert (np.maximum(found.high - found.value, found.value - found.low) <= 3 * student * (1 + 1e-9)).all()


@pytest.mark.parametrize("center", CENTERS)
@pytest.mark.parametrize("score", [0.1, 0.7, 1 / 3, 123.456])
def test_scores_that_are_all_alike_have_no_spread(center: CenterName, score: float) -> None:
    for new, old in ((2, 3), (3, 5), (7, 20), (20, 20)):
        found = statistics.compare([score] * new, [score] * old, center)
        assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
        assert statistics.interval([score] * new, center) == (score, score, score)


@pytest.mark.parametrize("center", CENTERS)
@pytest.mark.parametrize("power", [-1020, -600, -300, 300, 600, 1020])
def test_intervals_are_in_any_units(center: CenterName, power: int) -> None:
    unit = 2.0**power
    one, two = np.array([1.0, 2, 3, 4, 6]), np.array([2.0, 3, 3, 5, 7, 8])
    found = np.array(statistics.interval(one * unit, center)) / unit
    assert found == pytest.approx(np.array(statistics.interval(one, center)), abs=0)
    *found_ends, p = statistics.compare(one * unit, two * unit, center)
    *ends, expected_p = statistics.compare(one, two, center)
    assert np.array(found_ends) / unit == pytest.approx(np.array(ends), abs=0)
    assert p == pytest.approx(expected_p)


@pytest.mark.parametrize("power", [-600, 600])
def test_an_interval_is_in_any_units_next_to_an_infinite_score(power: int) -> None:
    scores = np.array([1.0, 2, 3, 4, 6, math.inf])
    found = np.array(statistics.interval(scores * 2.0**power, "iqm")) / 2.0**power
    assert found == pytest.approx(np.array(statistics.interval(scores, "iqm")), abs=0)


def test_welchs_test_is_in_any_units() -> None:
    for unit in (2.0**-1000, 2.0**1000):
        found = np.array(statistics.welch(NEW * unit, OLD * unit))
        assert found == pytest.approx(np.array(statistics.welch(NEW, OLD)))


@pytest.mark.parametrize("center", CENTERS)
def test_a_center_of_nan_is_nan(center: CenterName) -> None:
    scores = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, math.nan], [4.0, 4.0], [9.0, 9.0]])
    found = statistics.interval(scores, center)
    assert statistics.center_of(scores, center) == pytest.approx(found.value, nan_ok=True)
    for numbers in found:
        assert np.isnan(numbers).tolist() == [False, True]


@pytest.mark.parametrize("center", CENTERS)
def test_infinite_scores_are_no_warning(center: CenterName) -> None:
    for scores in ([1.0, 2, 3, 4, math.inf], [math.inf, -math.inf, 1, 2, 3], [-math.inf] * 5):
        statistics.interval(scores, center)
        statistics.compare(scores, [math.inf] * 5, center)
        statistics.compare(scores, scores, center, paired=True)


def test_welchs_test_of_infinite_scores_is_no_warning() -> None:
    for scores in ([1.0, 2, 3, 4, math.inf], [math.inf, -math.inf, 1, 2, 3], [-math.inf] * 5):
        assert math.isnan(statistics.welch(scores, [1.0, 2, math.inf]).p)


@pytest.mark.parametrize("count", [3, 8])
def test_an_unknown_center_is_not_the_mean(count: int) -> None:
    scores = np.arange(float(count))
    center: Any = "IQM"
    for function in (statistics.center_of, statistics.interval, partial(statistics.compare, scores)):
        with pytest.raises(StatisticsError, match="there is no center 'IQM'; there are mean, iqm, median"):
            function(scores, center)
