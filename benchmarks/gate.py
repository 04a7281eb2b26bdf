"""How often the baseline of a report is wrong, and how often a 95 % interval holds: simulated runs, no times."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from benchmarks.measure import Scale
from benchmarks.report import Table
from trainlog import statistics
from trainlog.report.baseline import Score, Tolerance, compare

__all__ = ["RETURNS", "tables"]

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]

_SEEDS = (3, 5, 10, 20)
_LOSS = 0.3


def _bimodal(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Seven of ten seeds learn; the others do not."""
    learned = generator.random(shape) < 0.7
    return np.where(learned, 130.0, 30.0) + generator.normal(size=shape) * 10


# Final returns with a mean of 100.
RETURNS: dict[str, Draw] = {
    "normal, σ 20": lambda generator, shape: 100 + 20 * generator.normal(size=shape),
    "lognormal, σ 0.5": lambda generator, shape: 100 * generator.lognormal(-(0.5**2) / 2, 0.5, shape),
    "lognormal, σ 1": lambda generator, shape: 100 * generator.lognormal(-(1**2) / 2, 1, shape),
    "bimodal, 30 % at 30": _bimodal,
    # Added when the intervals were finished: nothing was chosen by these two.
    "gamma, shape 2": lambda generator, shape: generator.gamma(2, 50, shape),
    "Student t, 3 df": lambda generator, shape: 100 + 20 * generator.standard_t(3, shape),
}


def tables(scale: Scale) -> Iterator[Table]:
    """The gate, and the intervals of one group of runs."""
    simulations = scale.rows * 3 // 40  # 1,500, which takes a minute; docs/ci.md has tables of 4,000
    yield _gate(simulations)
    yield _coverage(simulations)


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


def _percentile(tasks: list[Floats], statistic: statistics.Statistic) -> tuple[Floats, Floats]:
    low, high = np.quantile(statistics.bootstrap(tasks, statistic, resamples=1000), [0.025, 0.975], axis=0)
    return low, high


def _percent(hits: npt.ArrayLike) -> str:
    return f"{100 * np.mean(hits):.1f}"
