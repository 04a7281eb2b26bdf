"""How often a baseline and ``trainlog diff`` are wrong, and a 95 % interval holds: simulated runs, no timings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from benchmarks.measure import Scale
from benchmarks.report import Table
from trainlog import statistics
from trainlog.diff import _part_ways
from trainlog.report.baseline import Score, Tolerance, compare

__all__ = ["RETURNS", "tables"]

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]

_SEEDS = (3, 5, 10, 20)
_LOSS = 0.3
_LENGTHS = (4, 8, 20, 200, 1000)  # values of a curve
_PAIRS = 300  # of curves
_MEDIANS = 100  # simulations; each takes a bootstrap
_NORMAL = NormalDist()


def _bimodal(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Seven of ten seeds learn; the others do not."""
    learned = generator.random(shape) < 0.7
    return np.where(learned, 130.0, 30.0) + generator.normal(size=shape) * 10


def _autoregressive(correlation: float) -> Callable[[np.random.Generator, int], Floats]:
    def draw(generator: np.random.Generator, count: int) -> Floats:
        found = generator.normal(size=count)
        for i in range(1, count):
            found[i] += correlation * found[i - 1]
        return found

    return draw


# Noise of curves.
NOISES: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "normal": lambda generator, count: generator.normal(size=count),
    "lognormal, σ 1.5": lambda generator, count: generator.lognormal(0, 1.5, count),
    "Student t, 3 df": lambda generator, count: generator.standard_t(3, count),
    "0 or 1, 5 % are 1": lambda generator, count: (generator.random(count) < 0.05).astype(np.float64),
    "normal, falling to a fiftieth": lambda generator, count: (
        generator.normal(size=count) * np.exp(np.linspace(0, -math.log(50), count))
    ),
    "autoregressive, correlation 0.6": _autoregressive(0.6),
    "autoregressive, correlation 0.9": _autoregressive(0.9),
}

# Final returns with a mean of 100.
RETURNS: dict[str, Draw] = {
    "normal, σ 20": lambda generator, shape: 100 + 20 * generator.normal(size=shape),
    "lognormal, σ 0.5": lambda generator, shape: 100 * generator.lognormal(-(0.5**2) / 2, 0.5, shape),
    "lognormal, σ 1": lambda generator, shape: 100 * generator.lognormal(-(1**2) / 2, 1, shape),
    "bimodal, 30 % at 30": _bimodal,
    # Added after the intervals were finished: these two influenced no choice.
    "gamma, shape 2": lambda generator, shape: generator.gamma(2, 50, shape),
    "Student t, 3 df": lambda generator, shape: 100 + 20 * generator.standard_t(3, shape),
}


def tables(scale: Scale) -> Iterator[Table]:
    """The gate, the intervals of one group of runs and of scores over tasks, and alarms of ``trainlog diff``."""
    simulations = scale.rows * 3 // 40  # 1,500, which takes a minute; docs/ci.md has tables of 4,000
    yield _gate(simulations)
    yield _coverage(simulations)
    yield _scores(simulations)
    yield _alarms()


def _gate(simulations: int) -> Table:
    table = Table(
        "The gate: simulated",
        f"n new against n old runs, {simulations:,} times each; per cent. *A/A*: both sides are the same; an alarm is "
        "the outcome `worse` with `--tolerance 0` (at most 2.5 for normal returns, by design) or `5%`. *A/B*: the new "
        f"runs have lost {_LOSS * 100:.0f} %; found is the outcome `worse` with `--tolerance 5%`. *Coverage*: how "
        "often the 95 % interval of the difference holds the true one. *Percentile*: that of the percentile bootstrap.",
        ["returns", "n", "A/A, 0", "A/A, 5%", "coverage", "percentile", "A/B found", "unclear", "A/B coverage"],
    )
    for name, draw in RETURNS.items():
        for n in _SEEDS:
            generator = np.random.default_rng(n)
            new, old = draw(generator, (simulations, n)), draw(generator, (simulations, n))
            same = [_compared(one, two, "0") for one, two in zip(new, old, strict=True)]
            tolerant = [_compared(one, two, "5%") for one, two in zip(new, old, strict=True)]
            lost = [_compared(one * (1 - _LOSS), two, "5%") for one, two in zip(new, old, strict=True)]
            outcomes = [one.outcome for one in lost]
            low, high = _percentile([new.T, old.T], lambda tasks: tasks[0].mean(axis=0) - tasks[1].mean(axis=0))
            table.rows.append(
                [
                    *(name, str(n)),
                    _percent([one.outcome == "worse" for one in same]),
                    _percent([one.outcome == "worse" for one in tolerant]),
                    _percent([one.low <= 0 <= one.high for one in same]),
                    _percent((low <= 0) & (high >= 0)),
                    _percent([outcome == "worse" for outcome in outcomes]),
                    _percent([outcome == "unclear" for outcome in outcomes]),
                    _percent([one.low <= -100 * _LOSS <= one.high for one in lost]),
                ]
            )
    return table


def _compared(new: Floats, old: Floats, tolerance: str):
    sides = ([Score(str(number), float(value)) for number, value in enumerate(side)] for side in (new, old))
    return compare("return", *sides, Tolerance.of(tolerance))


def _coverage(simulations: int) -> Table:
    table = Table(
        "The 95 % interval of one group of runs: simulated",
        f"How often it holds what the center is on average, {simulations:,} groups of n runs each; per cent. "
        "*Percentile*: the percentile bootstrap interval of the mean.",
        ["returns", "n", "mean", "IQM", "median", "mean, percentile"],
    )
    for name, draw in RETURNS.items():
        for n in _SEEDS:
            generator = np.random.default_rng(100 + n)
            runs = draw(generator, (n, simulations))
            cells = []
            for center in statistics.CENTERS:
                truth = (
                    100.0
                    if center == "mean"
                    else float(statistics.center_of(draw(generator, (n, 250 * simulations)), center).mean())
                )
                found = statistics.interval(runs, center)
                cells.append(_percent((found.low <= truth) & (found.high >= truth)))
            low, high = _percentile([runs], statistics.mean)
            table.rows.append([name, str(n), *cells, _percent((low <= 100) & (high >= 100))])
    return table


def _scores(simulations: int) -> Table:
    table = Table(
        "The 95 % intervals of scores over tasks: simulated",
        f"How often they hold the true value, {simulations:,} times each ({_MEDIANS} for the median), for n normal "
        "scores of each task and group, with a standard deviation of 1; per cent.",
        ["95 % interval of", *(f"n={n}" for n in _SEEDS)],
    )
    for tasks in (1, 5):
        more = f", {tasks} tasks" if tasks > 1 else ""
        for ahead in (0.0, 0.5, 1.5):
            true = _NORMAL.cdf(ahead / math.sqrt(2))
            cells = [
                _held(statistics.improvement_interval(*_drawn(n, tasks, simulations, ahead)), true) for n in _SEEDS
            ]
            table.rows.append([f"improvement, P = {true:.2f}{more}", *cells])
        for share in (0.5, 0.8, 0.95):
            above = [-_NORMAL.inv_cdf(share)]
            found = [statistics.profile_interval(_drawn(n, tasks, simulations)[1], above) for n in _SEEDS]
            table.rows.append([f"profile, share {share}{more}", *(_held(one, share) for one in found)])
        for target in (0.2, -0.4, -1.0):
            true = target * _NORMAL.cdf(target) + _NORMAL.pdf(target)
            found = [statistics.gap_interval(_drawn(n, tasks, simulations)[1], target) for n in _SEEDS]
            table.rows.append([f"optimality gap {true:.2f}{more}", *(_held(one, true) for one in found)])
    for tasks in (2, 5, 26):
        for apart, name in ((0.0, "alike"), (10.0, "far apart")):
            true = apart * (tasks - 1) / 2
            drawn = [_drawn(n, tasks, _MEDIANS, apart=apart)[1] for n in _SEEDS]
            cells = [_held(statistics.interval(one, "median"), true) for one in drawn]
            table.rows.append([f"median of {tasks} tasks {name}", *cells])
    return table


def _drawn(
    n: int, tasks: int, simulations: int, ahead: float = 0.0, apart: float = 0.0
) -> tuple[list[Floats], list[Floats]]:
    """Scores of a group that is *ahead*, and of another group; the tasks are *apart* by that much."""
    generator = np.random.default_rng(n)
    return tuple(  # type: ignore[return-value]  # two of them
        [generator.normal(mean + apart * task, 1, (n, simulations)) for task in range(tasks)] for mean in (ahead, 0.0)
    )


def _held(found: statistics.Interval, true: float) -> str:
    return f"{100 * np.mean((found.low <= true) & (found.high >= true)):.0f}"


def _alarms() -> Table:
    table = Table(
        "`trainlog diff` of two curves of the same noise: simulated",
        f"How often they are said to differ, in per cent of {_PAIRS} pairs of n values; 5 by design for independent "
        "noise.",
        ["noise", *(f"n={n:,}" for n in _LENGTHS)],
    )
    for name, draw in NOISES.items():
        cells = []
        for n in _LENGTHS:
            generator, x = np.random.default_rng(n), np.arange(float(n))
            found = [_part_ways(x, draw(generator, n), x, draw(generator, n))[0] for _ in range(_PAIRS)]
            cells.append(f"{100 * np.mean([first is not None for first in found]):.0f}")
        table.rows.append([name, *cells])
    return table


def _percentile(tasks: list[Floats], statistic: statistics.Statistic) -> tuple[Floats, Floats]:
    low, high = np.quantile(statistics.bootstrap(tasks, statistic, resamples=1000), [0.025, 0.975], axis=0)
    return low, high


def _percent(hits: npt.ArrayLike) -> str:
    return f"{100 * np.mean(hits):.1f}"
