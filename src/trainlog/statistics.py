"""Estimators and intervals for the scores of several runs, in numpy alone.

A *score* is one number per run, such as its mean return at the end. `Scores` are the scores of one task, an array
whose first axis is the runs; or a sequence of such arrays, one for each task, which can have different numbers of runs.
Further axes, such as the points of a curve, are kept: everything is computed for each point.

::

    from trainlog.statistics import compare, interval

    interval([812.0, 790.0, 845.0, 801.0, 833.0])           # the mean, and its 95 % interval
    interval([walker, hopper], center="iqm")                # over two tasks
    compare(new, old).low                                   # of the 95 % interval of the difference of the means

Tasks are strata: runs are never drawn from one task for another, and each task counts the same in a mean. Scores of
different tasks must be comparable, for example normalised, before they are averaged.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.errors import StatisticsError

__all__ = [
    *("CENTERS", "CenterName", "Difference", "Interval", "Scores", "Statistic", "WelchTest"),
    *("bootstrap", "bootstrap_interval", "center_of", "compare", "interval", "iqm", "mean", "median"),
    *("gap_interval", "improvement_interval", "optimality_gap", "performance_profile", "probability_of_improvement"),
    *("profile_interval", "sample_efficiency", "scaled", "student_quantile", "unscaled", "welch"),
]

Floats = npt.NDArray[np.float64]
Scores = Floats | Sequence[float] | Sequence[Floats] | Sequence[Sequence[float]]
Statistic = Callable[[list[Floats]], Floats]
CenterName = Literal["mean", "iqm", "median"]

CENTERS: Final[tuple[CenterName, ...]] = ("mean", "iqm", "median")

_RESAMPLES: Final = 2000
_FEWEST_CORRECTED: Final = 5  # runs of a task; the skewness of fewer is meaningless
# Chosen by simulation, so that intervals of normal and of lognormal scores have their nominal coverage (docs/ci.md):
# the weight of the skewness, which few scores underestimate, and the bounds of a side relative to Student's interval.
_SKEWNESS: Final[dict[CenterName, float]] = {"mean": 5.0, "iqm": 1.5}
_SHORTEST: Final = 0.9
_LONGEST: Final = 2.5
_OF_MEDIAN: Final = 2.0  # over n²: how much too long Student's is with the bootstrap's standard error of a median
_FEW: Final = 2.0  # degrees of freedom of a t distribution with heavy tails
_MANY: Final = 1000  # degrees of freedom of a t distribution that is nearly normal
_NORMAL: Final = 1e8  # degrees of freedom; more change nothing, and cost digits
_FAR: Final = 9.0  # beyond any quantile of a nearly normal distribution
_CHUNK: Final = 2_000_000  # numbers in memory while resampling


class Interval(NamedTuple):
    """An estimate and its interval; float64, with the shape of the scores without their first axis.

    Attributes:
        value: the estimate.
        low, high: the ends; NaN where a task has fewer than two runs.

    """

    value: Floats
    low: Floats
    high: Floats


class Difference(NamedTuple):
    """The difference of two groups of runs; float64 as in `Interval`.

    Attributes:
        new, old: the centers.
        difference: new minus old.
        low, high: the ends of its interval; NaN where a task has fewer than two runs.
        p: the two-sided probability of a difference at least as large, in units of its standard error, without a true
            one.

    """

    new: Floats
    old: Floats
    difference: Floats
    low: Floats
    high: Floats
    p: Floats


class WelchTest(NamedTuple):
    """The result of `welch`; float64.

    Attributes:
        t: the difference of the means in standard errors.
        df: the degrees of freedom.
        p: the two-sided p-value.

    """

    t: Floats
    df: Floats
    p: Floats


def mean(scores: Scores) -> Floats:
    """The mean over the runs, then over the tasks.

    Returns:
        float64, the shape of the scores without their first axis.

    Raises:
        StatisticsError: for a task without runs.

    """
    return center_of(scores, "mean")


def median(scores: Scores) -> Floats:
    """The median of the runs of one task; of several tasks, the median of the means of the tasks.

    Source: Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS 2021.
    """
    return center_of(scores, "median")


def iqm(scores: Scores) -> Floats:
    """The interquartile mean: the mean of the middle half of all runs of all tasks.

    A quarter is left out at each end, rounded down to whole scores: for fewer than four scores it is the mean.

    Source: Agarwal et al. 2021, section 4.3; ``scipy.stats.trim_mean(x, 0.25, axis=None)``.
    """
    return center_of(scores, "iqm")


def center_of(scores: Scores, center: CenterName) -> Floats:
    """The `mean`, the `iqm` or the `median`; NaN where a score is NaN.

    Raises:
        StatisticsError: for another center, and for a task without runs.

    """
    [tasks], exponent = scaled(_tasks(scores))
    return unscaled(_center(tasks, center), exponent)


def optimality_gap(scores: Scores, target: float = 1.0) -> Floats:
    """The mean amount by which scores fall short of *target*; what exceeds it does not count. Lower is better.

    Source: Agarwal et al. 2021, section 4.3.
    """
    return np.asarray(target - _center([np.minimum(task, target) for task in _tasks(scores)], "mean"))


def performance_profile(scores: Scores, thresholds: npt.ArrayLike) -> Floats:
    """The share of runs whose score is above each threshold, the mean over the tasks.

    Source: Dolan & Moré, "Benchmarking optimization software with performance profiles", 2002; with runs, Agarwal et
    al. 2021, section 4.2.

    Args:
        scores: the scores of one task or several.
        thresholds: float64, shape (k,).

    Returns:
        float64, shape (k, ...).

    """
    levels = np.asarray(thresholds, np.float64)
    above = [task[:, None] > levels.reshape(-1, *[1] * (task.ndim - 1)) for task in _tasks(scores)]
    return _center([shares.astype(np.float64) for shares in above], "mean")


def probability_of_improvement(new: Scores, old: Scores) -> Floats:
    """The probability that a run of *new* has a higher score than one of *old*, the mean over the tasks.

    Equal scores count one half. This is the Mann–Whitney statistic over the number of pairs.

    Source: Agarwal et al. 2021, section 4.3; Mann & Whitney 1947.

    Raises:
        StatisticsError: when the two have different numbers of tasks.

    """
    pairs = zip(*_sides(new, old), strict=True)
    shares = [((one[:, None] > two) + 0.5 * (one[:, None] == two)).mean(axis=(0, 1)) for one, two in pairs]
    return np.asarray(np.mean(shares, axis=0), np.float64)


def gap_interval(scores: Scores, target: float = 1.0, *, confidence: float = 0.95) -> Interval:
    """The `optimality_gap` and its interval: that of a mean, for the scores cut at *target*.

    It is too short for few runs of which most reach the target, because they show little of how far others fall short:
    when 84 % of normal scores reach it, the coverage is 38 % for 3 runs of one task, 54 % for 5, 76 % for 10 and 88 %
    for 20.
    """
    found = interval([np.minimum(task, target) for task in _tasks(scores)], "mean", confidence=confidence)
    return Interval(target - found.value, np.maximum(target - found.high, 0.0), target - found.low)


def profile_interval(scores: Scores, thresholds: npt.ArrayLike, *, confidence: float = 0.95) -> Interval:
    """The `performance_profile` and its interval at each threshold, which is not empty even if all runs are above.

    Sources: Wilson 1927, "Probable inference, the law of succession, and statistical inference"; for several tasks, Zou
    & Donner 2008, "Construction of confidence limits about effect measures" (MOVER).
    """
    z = _normal_quantile(confidence)
    ends = []
    for task in _tasks(scores):
        share, n = performance_profile(task, thresholds), len(task)
        half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        middle = share + z**2 / (2 * n)
        low, high = ((middle + side) / (1 + z**2 / n) for side in (-half, half))
        ends.append(Interval(share, low, high) if n > 1 else Interval(share, share * np.nan, share * np.nan))
    return _mean_interval(ends)


def improvement_interval(new: Scores, old: Scores, *, confidence: float = 0.95) -> Interval:
    """The `probability_of_improvement` and its interval, which is not empty even if all runs are better.

    Sources: Newcombe 2006, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic", its
    method 5; for several tasks, Zou & Donner 2008.
    """
    z = _normal_quantile(confidence)
    ends = []
    for one, two in zip(*_sides(new, old), strict=True):
        share = probability_of_improvement(one, two)
        m, n = len(one), len(two)
        sides = []
        for end in (0.0, 1.0):
            near, far = share, np.full_like(share, end)
            for _ in range(50):
                middle = (near + far) / 2
                spread = 1 + ((m + n) / 2 - 1) * ((1 - middle) / (2 - middle) + middle / (1 + middle))
                inside = np.abs(share - middle) < z * np.sqrt(middle * (1 - middle) / (m * n) * spread)
                near, far = np.where(inside, middle, near), np.where(inside, far, middle)
            sides.append(far if min(m, n) > 1 else np.full_like(share, np.nan))
        ends.append(Interval(share, *sides))
    return _mean_interval(ends)


def _mean_interval(tasks: Sequence[Interval]) -> Interval:
    """The mean of independent estimates, from the interval of each."""
    value = np.mean([one.value for one in tasks], axis=0)
    below, above = (
        np.sqrt(sum((one.value - end) ** 2 for one, end in zip(tasks, ends, strict=True))) / len(tasks)
        for ends in ([one.low for one in tasks], [one.high for one in tasks])
    )
    return Interval(value, value - below, value + above)


def sample_efficiency(curves: Scores, center: CenterName = "iqm", *, confidence: float = 0.95) -> Interval:
    """The center of the scores at each point of training, and its interval.

    Source: Agarwal et al. 2021, figure "sample efficiency".

    Args:
        curves: an array of shape (runs, points) for each task; all at the same points.
        center: the center of the runs.
        confidence: the confidence of the interval at each point; it does not hold for all points at once.

    """
    return interval(curves, center, confidence=confidence)


def bootstrap(scores: Scores, statistic: Statistic, *, resamples: int = _RESAMPLES, seed: int = 0) -> Floats:
    """The bootstrap distribution of a *statistic*, stratified by task: runs are drawn with replacement in each task.

    Source: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, section 8.3; Agarwal et al. 2021.

    Args:
        scores: the scores of one task or several.
        statistic: a function of a list of arrays, one for each task, of shape (runs, m, ...); it reduces the first
            axes, and keeps the others, as every function of this module does.
        resamples: how many samples are drawn.
        seed: the seed of the random numbers, which makes them reproducible.

    Returns:
        float64, shape (resamples, ...).

    """
    tasks = _tasks(scores)
    generator = np.random.default_rng(seed)
    chosen = [generator.integers(len(task), size=(len(task), resamples)) for task in tasks]
    rows = max(_CHUNK // max(sum(task.size for task in tasks), 1), 1)
    parts = [
        statistic([task[rows_of[:, start : start + rows]] for task, rows_of in zip(tasks, chosen, strict=True)])
        for start in range(0, resamples, rows)
    ]
    return np.concatenate([np.asarray(part, np.float64) for part in parts])


def bootstrap_interval(scores: Scores, statistic: Statistic, *, confidence: float = 0.95) -> Interval:
    """The BCa bootstrap interval (bias-corrected and accelerated) of any *statistic*, stratified by task.

    BCa intervals of fewer than 20 runs are too narrow, and empty if all scores are equal: use `interval` for a
    center, `gap_interval`, `profile_interval` and `improvement_interval`. For several groups, pass the tasks of all
    groups, and let the statistic separate them.

    Source: Efron 1987, "Better Bootstrap Confidence Intervals"; acceleration of several strata from Davison & Hinkley,
    "Bootstrap Methods and their Application", 1997, section 5.3.2.

    Args:
        scores: the scores of one task or several.
        statistic: see `bootstrap`.
        confidence: the confidence of the interval.

    """
    tasks = _tasks(scores)
    value = statistic([task[:, None] for task in tasks])[0]
    if min(map(len, tasks)) < 2:
        return Interval(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    distribution = bootstrap(tasks, statistic)
    influences = []
    for number, task in enumerate(tasks):
        n = len(task)
        # Column i is the sample without run i.
        without = np.array([[run for run in range(n) if run != left_out] for left_out in range(n)]).T
        jackknife = statistic(
            [one[without] if k == number else np.repeat(one[:, None], n, axis=1) for k, one in enumerate(tasks)]
        )
        influences.append((n - 1) * (jackknife.mean(axis=0) - jackknife) / n)
    skew = np.concatenate(influences)
    with np.errstate(all="ignore"):
        acceleration = np.nan_to_num((skew**3).sum(axis=0) / (6 * (skew**2).sum(axis=0) ** 1.5))
    below = ((distribution < value).mean(axis=0) + (distribution == value).mean(axis=0) / 2).clip(1e-4, 1 - 1e-4)
    from statistics import NormalDist

    normal = NormalDist()
    bias = np.vectorize(normal.inv_cdf, otypes=[np.float64])(below)
    ends = []
    for z in (normal.inv_cdf((1 - confidence) / 2), normal.inv_cdf((1 + confidence) / 2)):
        share = np.vectorize(normal.cdf, otypes=[np.float64])(bias + (bias + z) / (1 - acceleration * (bias + z)))
        ends.append(_quantile(distribution, np.nan_to_num(share)))
    return Interval(value, *ends)


def interval(scores: Scores, center: CenterName = "mean", *, confidence: float = 0.95) -> Interval:
    """The center of scores, and a confidence interval that is also valid for few runs.

    It is Student's t interval, which is too short on the long side of skewed scores. With at least five runs of each
    task, a side of the interval of the mean or the IQM is therefore lengthened or shortened by the first term of
    Edgeworth's expansion, within 0.9 to 2.5 times Student's: ``t + c g (2 t² + 1) / (6 √n)``, where g is the skewness
    of the n scores towards this side. The weight c compensates for few scores underestimating it: 5 for the mean, 1.5
    for the IQM. The standard error of the median is that of the bootstrap, and its interval is 1 - 2/n² times
    Student's. Over several tasks the middle task alone may decide: there are as many degrees of freedom as in the task
    with the fewest runs, and the bootstrap's variance is multiplied by n/(n - 1). docs/ci.md and docs/plot.md have the
    measured coverage.

    Sources: Johnson 1978, "Modified t tests and confidence intervals for asymmetrical populations"; Hall 1992, "The
    Bootstrap and Edgeworth Expansion", section 2.6. For the standard error of the IQM, Tukey & McLaughlin 1963
    (Winsorised variance); over several tasks, Satterthwaite 1946.

    Args:
        scores: the scores of one task or several.
        center: the center of all runs.
        confidence: the confidence of the interval.

    Raises:
        StatisticsError: for a task without runs, or a confidence that is not between 0 and 1.

    """
    [tasks], exponent = scaled(_tasks(scores))
    value, error, df = _standard_error(tasks, center)
    reach = student_quantile(df, _upper(confidence))
    low = high = reach
    fewest = min(map(len, tasks))
    if center == "median":
        if len(tasks) == 1 and fewest >= _FEWEST_CORRECTED:
            low = high = reach * (1 - _OF_MEDIAN / fewest**2)
    elif fewest >= _FEWEST_CORRECTED:
        shift = _SKEWNESS[center] * _skewness(tasks, center) * (2 * reach**2 + 1) / 6
        low, high = (np.clip(side, _SHORTEST * reach, _LONGEST * reach) for side in (reach - shift, reach + shift))
    ends = (value, value - low * error, value + high * error)
    return Interval(*(unscaled(end, exponent) for end in ends))


def compare(
    new: Scores, old: Scores, center: CenterName = "mean", *, confidence: float = 0.95, paired: bool = False
) -> Difference:
    """The difference of the centers of two groups of runs, and its confidence interval.

    For the mean of one task it is Welch's interval. For the IQM and the median, the standard errors are those of
    `interval`; for the IQM of one task it is Welch's interval with the variance of Tukey and McLaughlin, n s²/h² (s² of
    the Winsorised scores, h of n scores kept). Yuen's, (n - 1) s²/(h (h - 1)), is larger for few runs: her interval is
    8 % longer for 8 runs and 3 % for 20. docs/ci.md has the measured coverage. Several tasks are strata of both groups.

    Sources: Welch 1947; for the degrees of freedom with trimmed scores, Yuen 1974, "The two-sample trimmed t for
    unequal population variances".

    Args:
        new: the scores of one group.
        old: the scores of the other group, for the same tasks in the same order.
        center: the center of the runs.
        confidence: the confidence of the interval.
        paired: whether run i of both groups has the same seed, so that the differences of the pairs are compared.

    Raises:
        StatisticsError: for different numbers of tasks, or of paired runs.

    """
    [ones, twos], exponent = scaled(*_sides(new, old))
    center_new, center_old = _center(ones, center), _center(twos, center)
    if paired:
        if any(len(one) != len(two) for one, two in zip(ones, twos, strict=True)):
            raise StatisticsError("pairs need as many new runs as old ones in each task")
        with np.errstate(invalid="ignore"):  # infinities of one sign
            pairs = [one - two for one, two in zip(ones, twos, strict=True)]
        difference, error, df = _standard_error(pairs, center)
    else:
        difference, error, df = _difference(ones, twos, center)
    reach = student_quantile(df, _upper(confidence)) * error
    found = (center_new, center_old, difference, difference - reach, difference + reach)
    return Difference._make([*(unscaled(one, exponent) for one in found), _p_value(difference, error, df)])


def welch(new: Scores, old: Scores) -> WelchTest:
    """Welch's t-test: whether the means of two groups of runs differ; their variances can differ.

    Source: Welch 1947, "The generalization of 'Student's' problem when several different population variances are
    involved"; ``scipy.stats.ttest_ind(new, old, equal_var=False)``.
    """
    [ones, twos], _ = scaled(*_sides(new, old))
    difference, error, df = _difference(ones, twos, "mean")
    with np.errstate(all="ignore"):
        t = difference / error
    return WelchTest(t, df, _p_value(difference, error, df))


def student_quantile(df: npt.ArrayLike, share: float) -> Floats:
    """The *share* quantile of Student's t distribution with *df* degrees of freedom; NaN if *df* is not above 0.

    Source: the substitution ``t = sqrt(df) * tan(angle)`` makes the density a power of a cosine, which Gauss-Legendre
    quadrature integrates; regula falsi finds the angle.
    """
    degrees = np.asarray(df, np.float64)
    found = np.array([_student_quantile(float(one), share) for one in degrees.reshape(-1)])
    return found.reshape(degrees.shape)


@lru_cache(maxsize=4096)
def _student_quantile(df: float, share: float) -> float:
    if not df > 0:
        return math.nan
    upper = max(share, 1 - share)
    if df < _FEW:
        angle = _solved(lambda power: -_few_above(power, df), upper - 1, (math.pi / 2) ** df) ** (1 / df)
        quantile = math.sqrt(df) / math.tan(angle) if math.tan(angle) else math.inf
    else:
        df = min(df, _NORMAL)
        highest = math.pi / 2 if df < _MANY else math.atan(_FAR / math.sqrt(df))
        quantile = math.sqrt(df) * math.tan(_solved(lambda angle: 0.5 + _student_between(angle, df), upper, highest))
    return math.copysign(quantile, share - 0.5)


def _solved(function: Callable[[float], float], wanted: float, high: float) -> float:
    """Where a monotonic function has the value *wanted*, between 0 and *high*.

    Source: the "Illinois" variant of regula falsi; Dowell & Jarratt 1971, "A modified regula falsi method for computing
    the root of an equation".
    """
    before, at = 0.0, high
    error_before, error = function(before) - wanted, function(at) - wanted
    for _ in range(200):
        if error in (0, error_before):
            break
        step = error * (at - before) / (error - error_before)
        if abs(step) <= sys.float_info.epsilon * abs(at):
            break
        found = function(at - step) - wanted
        if (found < 0) is not (error < 0):
            before, error_before = at, error
        else:  # the same end twice: weigh the other one less, so that it moves as well
            error_before /= 2
        at, error = at - step, found
    return at


@cache
def _gauss_legendre() -> tuple[Floats, Floats]:
    """Nodes and weights; computed on first use, because numpy.polynomial takes long to import."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    return nodes, weights


def _student_between(angle: float, df: float) -> float:
    """The probability that t is between 0 and ``sqrt(df) * tan(angle)``."""
    nodes, weights = _gauss_legendre()
    if df > _MANY:  # the nodes must not miss a narrow peak
        angle = min(angle, math.atan(_FAR / math.sqrt(df)))
    powers = np.exp((df - 1) / 2 * np.log1p(-(np.sin(angle * (nodes + 1) / 2) ** 2)))  # of the cosine, with all digits
    return _student_scale(df) * float(weights @ powers) * angle / 2


def _few_above(power: float, df: float) -> float:
    """The probability that t is above ``sqrt(df) / tan(power ** (1 / df))``; for *df* below 2.

    The density, a power of a sine of the angle, has no polynomial there; it has one over ``angle ** df``.
    """
    nodes, weights = _gauss_legendre()
    angles = (power * (nodes + 1) / 2) ** (1 / df)
    return _student_scale(df) / df * float(weights @ np.sinc(angles / math.pi) ** (df - 1)) * power / 2


def _student_scale(df: float) -> float:
    if df > _MANY:  # the difference of two large numbers has few digits
        return math.sqrt(df / 2) * (1 - 1 / (4 * df) + 1 / (32 * df**2) + 5 / (128 * df**3)) / math.sqrt(math.pi)
    return math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(math.pi)


def _p_value(difference: Floats, error: Floats, df: Floats) -> Floats:
    """The two-sided p-value of a difference; 1 for none, 0 for one without any error."""
    with np.errstate(all="ignore"):
        t = np.abs(np.where(difference == 0, 0.0, difference / error))
    pairs = zip(t.reshape(-1).tolist(), np.broadcast_to(df, t.shape).reshape(-1).tolist(), strict=True)
    p = [
        math.nan if math.isnan(one + n) else max(1 - 2 * _student_between(math.atan(one / math.sqrt(n)), n), 0.0)
        for one, n in pairs
    ]
    return np.array(p).reshape(t.shape)


def _tasks(scores: Scores) -> list[Floats]:
    """The scores of each task as an array of shape (runs, ...)."""
    single = isinstance(scores, np.ndarray) or not len(scores) or np.ndim(scores[0]) == 0
    tasks = [np.asarray(task, np.float64) for task in ([scores] if single else scores)]
    if any(not task.ndim or not len(task) for task in tasks):
        raise StatisticsError("there is a task without runs")
    if len({task.shape[1:] for task in tasks}) > 1:
        raise StatisticsError("the tasks have curves of different lengths")
    return tasks


def _sides(new: Scores, old: Scores) -> tuple[list[Floats], list[Floats]]:
    """The scores of both groups for each task."""
    ones, twos = _tasks(new), _tasks(old)
    if len(ones) != len(twos):
        raise StatisticsError(f"there are {len(ones)} tasks to compare with {len(twos)}")
    return ones, twos


def scaled(*groups: Sequence[Floats]) -> tuple[list[list[Floats]], npt.NDArray[np.intp]]:
    """Groups of tasks with their scores divided by a power of two, so that sums and squares do not over- or underflow.

    Returns:
        The groups, and the exponent at each point: that of the largest finite score. The division is exact.

    """
    sizes = [np.abs(np.where(np.isfinite(task), task, 0.0)).max(axis=0) for tasks in groups for task in tasks]
    exponent = np.frexp(np.max(sizes, axis=0))[1] - 1
    with np.errstate(under="ignore"):
        return [[np.ldexp(task, -exponent) for task in tasks] for tasks in groups], exponent


def unscaled(values: npt.ArrayLike, exponent: npt.NDArray[np.intp]) -> Floats:
    """*values* times the power of two that `scaled` divided by; infinite where they are too large."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.ldexp(values, exponent))


def _normal_quantile(confidence: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(_upper(confidence))


def _upper(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise StatisticsError(f"a confidence is between 0 and 1, as 0.95, not {confidence}")
    return (1 + confidence) / 2


def _center(tasks: list[Floats], center: CenterName) -> Floats:
    """The center along the first axis of all tasks."""
    if center not in CENTERS:
        raise StatisticsError(f"there is no center {center!r}; there are {', '.join(CENTERS)}")
    if center == "iqm":
        pooled = np.concatenate(tasks)
        cut = len(pooled) // 4
        middle = _mean(np.sort(pooled, axis=0)[cut : len(pooled) - cut] if cut else pooled)
        return np.where(np.isnan(pooled).any(axis=0), np.nan, middle)  # NaN is sorted last
    if center == "median" and len(tasks) == 1:
        return np.asarray(np.median(tasks[0], axis=0))
    means = np.array([_mean(task) for task in tasks])
    return np.asarray(np.median(means, axis=0) if center == "median" else _mean(means))


def _mean(values: Floats) -> Floats:
    """The mean along the first axis, without the rounding error that would give equal scores a spread."""
    with np.errstate(invalid="ignore"):  # infinities of both signs
        return np.asarray(np.clip(values.mean(axis=0), values.min(axis=0), values.max(axis=0)))


def _variance(values: Floats) -> Floats:
    """The variance of the sample along the first axis."""
    with np.errstate(invalid="ignore"):
        return np.asarray(((values - _mean(values)) ** 2).sum(axis=0) / (len(values) - 1))


def _standard_error(tasks: list[Floats], center: CenterName) -> tuple[Floats, Floats, Floats]:
    """The center, its standard error, and the degrees of freedom of the error, which is NaN if a task has one run."""
    value = _center(tasks, center)
    counts = [len(task) for task in tasks]
    if min(counts) < 2:
        return value, np.full_like(value, np.nan), np.full_like(value, np.nan)
    if center == "median":
        drawn_medians = bootstrap(tasks, lambda drawn: _center(drawn, center))
        with np.errstate(invalid="ignore"):
            error = np.sqrt(((drawn_medians - _mean(drawn_medians)) ** 2).mean(axis=0))
        fewest = min(counts)
        if len(tasks) > 1:
            error = error * math.sqrt(fewest / (fewest - 1))
        return value, error, np.full_like(value, fewest - 1)
    total, kept, weights = sum(counts), 1.0, _weights(counts, center)
    if center == "iqm":
        cut = total // 4
        pooled = np.sort(np.concatenate(tasks), axis=0)
        tasks = [np.clip(task, pooled[cut], pooled[total - cut - 1]) for task in tasks]
        kept = (total - 2 * cut) / total
        weights = [weight / kept for weight in weights]
    parts = zip(tasks, counts, weights, strict=True)
    variances = [weight**2 * _variance(task) / count for task, count, weight in parts]
    error, df = _satterthwaite(variances, [np.asarray(max(count * kept - 1, 1.0)) for count in counts])
    return value, error, df


def _difference(new: list[Floats], old: list[Floats], center: CenterName) -> tuple[Floats, Floats, Floats]:
    """The difference of the centers of two groups, its standard error, and the degrees of freedom of the error."""
    (value_new, error_new, df_new), (value_old, error_old, df_old) = (_standard_error(s, center) for s in (new, old))
    with np.errstate(invalid="ignore"):  # infinities of one sign
        difference = value_new - value_old
    return difference, *_satterthwaite([error_new**2, error_old**2], [df_new, df_old])


def _weights(counts: Sequence[int], center: CenterName) -> list[float]:
    """The weight of each task in a center, computed from the numbers of runs."""
    return [1 / len(counts) if center == "mean" else count / sum(counts) for count in counts]


def _skewness(tasks: list[Floats], center: CenterName) -> Floats:
    """The skewness of a center: that of the scores over the square root of their number; 0 if undefined."""
    second, third = np.zeros(tasks[0].shape[1:]), np.zeros(tasks[0].shape[1:])
    with np.errstate(all="ignore"):
        for task, weight in zip(tasks, _weights([len(task) for task in tasks], center), strict=True):
            n, around = len(task), task - _mean(task)
            second += weight**2 * (around**2).sum(axis=0) / ((n - 1) * n)
            third += weight**3 * (around**3).sum(axis=0) / ((n - 1) * (n - 2) * n)
        return np.nan_to_num(third / second**1.5, posinf=0.0, neginf=0.0)


def _satterthwaite(variances: list[Floats], degrees: list[Floats]) -> tuple[Floats, Floats]:
    """The standard error of a sum of independent estimates, and its degrees of freedom."""
    total = np.asarray(sum(variances), np.float64)
    with np.errstate(all="ignore"):
        df = total**2 / sum(one**2 / own for one, own in zip(variances, degrees, strict=True))
    return np.sqrt(total), np.where(total == 0, min(np.min(own) for own in degrees), df)


def _quantile(values: Floats, share: Floats | float) -> Floats:
    """The quantile along the first axis, without NaN; *share* may differ for each point."""
    ordered = np.sort(values, axis=0)  # NaN is last
    places = np.asarray(share * np.maximum(np.isfinite(ordered).sum(axis=0) - 1, 0))
    under = np.floor(places).astype(np.int64)
    low, high = (
        np.take_along_axis(ordered, np.asarray(one)[None], axis=0)[0]
        for one in (under, np.ceil(places).astype(np.int64))
    )
    return np.asarray(low + (high - low) * (places - under), np.float64)
