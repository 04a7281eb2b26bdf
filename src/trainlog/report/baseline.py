"""The comparison of new logs with older ones by a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog import statistics
from trainlog.errors import ExpressionError, StatisticsError
from trainlog.statistics import CenterName

__all__ = ["Comparison", "FailOn", "Score", "Tolerance", "compare"]

FailOn = Literal["worse", "unclear"]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The loss of score that is accepted.

    Attributes:
        amount: a share of the old score, or a number in the unit of the score.
        relative: whether it is a share.

    """

    amount: float
    relative: bool

    @classmethod
    def of(cls, text: str) -> Tolerance:
        """Parse ``5%`` or ``12.5``.

        Raises:
            ExpressionError: when it is neither, or negative.

        """
        number = text.strip().removesuffix("%")
        try:
            amount = float(number)
        except ValueError:
            amount = -1.0
        if not 0 <= amount < float("inf"):
            raise ExpressionError(
                f"a tolerance is a share of the old score, as 5%, or a number of points, not {text!r}"
            )
        return cls(amount / 100, True) if text.strip().endswith("%") else cls(amount, False)

    def points(self, old: float) -> float:
        """The accepted loss for an old score of *old*."""
        return self.amount * abs(old) if self.relative else self.amount

    def __str__(self) -> str:
        return f"{self.amount * 100:g} %" if self.relative else f"{self.amount:g}"


class Score(NamedTuple):
    """The score of a log.

    Attributes:
        log: its name.
        value: NaN if the log has no score, or if the score itself is NaN, as for a training that diverged.
        seed: the seed in its metadata, as text; empty if there is none.
        task: the task in its metadata; empty if there is none.
        error: why it has no score, such as a missing column; such a log is left out.

    """

    log: str
    value: float
    seed: str = ""
    task: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of new logs with older ones; a higher score is better.

    Attributes:
        score: the expression.
        center: how the scores of several logs are combined.
        tolerance: the accepted loss, as the user wrote it.
        new_scores, old_scores: the scores of the logs that have one.
        left_out: the scores of the other logs, new and old.
        tasks: the number of tasks in the logs; the center is over all of them.
        matched: whether both sides have the same seeds, with one log each.
        paired: whether the interval is over the differences of logs with the same seed.
        new, old: the center of the scores.
        low, high: the 95 % interval of new minus old; NaN with a single log of a task on one side.
        allowed: the accepted loss in points.
        outcome: ``worse`` when the whole interval is below the accepted loss, ``unclear`` when a part of it is, or when
            there is no interval.
        fail_on: the mildest outcome that fails.

    """

    score: str
    center: CenterName
    tolerance: str
    new_scores: tuple[Score, ...]
    old_scores: tuple[Score, ...]
    left_out: tuple[tuple[Score, ...], tuple[Score, ...]]
    tasks: int
    matched: bool
    paired: bool
    new: float
    old: float
    low: float
    high: float
    allowed: float
    outcome: Literal["as good", "unclear", "worse"]
    fail_on: FailOn

    @property
    def finite(self) -> bool:
        """Whether all scores are finite, and so their difference; otherwise the outcome is ``worse``."""
        return _finite(self.new_scores + self.old_scores, self.difference)

    @property
    def passed(self) -> bool:
        """Whether the outcome is milder than ``fail_on``."""
        return self.outcome == "as good" or (self.outcome == "unclear" and self.fail_on == "worse")

    @property
    def difference(self) -> float:
        """New minus old."""
        return self.new - self.old

    def percent(self, points: float) -> float:
        """A difference in percent of the old score; NaN when that is 0."""
        return 100 * points / abs(self.old) if self.old else float("nan")


def compare(
    score: str,
    new: Sequence[Score],
    old: Sequence[Score],
    tolerance: Tolerance,
    center: CenterName = "mean",
    *,
    paired: bool = False,
    fail_on: FailOn = "worse",
) -> Comparison:
    """Compare scores, one for each log (seed); see `trainlog.statistics.compare` for the interval.

    Raises:
        StatisticsError: when no log on a side has a score, when the two sides have different tasks, or when *paired* is
            set and the seeds do not match.

    """
    left_new, left_old = (tuple(one for one in side if one.error) for side in (new, old))
    new, old = ([one for one in side if not one.error] for side in (new, old))
    for name, used, left in (("new", new, left_new), ("older", old, left_old)):
        if left and not used:
            raise StatisticsError(f"no {name} log has a score: {left[0].error}")
    seeds = [sorted((one.task, one.seed) for one in side) for side in (new, old)]
    matched = seeds[0] == seeds[1] and len(set(seeds[0])) == len(seeds[0]) and all(seed for _, seed in seeds[0])
    if paired and not matched:
        raise StatisticsError("pairs need logs of the same seeds on both sides, one log for each seed")
    tasks = sorted({one.task for one in new})
    if tasks != sorted({one.task for one in old}):
        only = sorted({one.task or "no task" for one in new} ^ {one.task or "no task" for one in old})
        raise StatisticsError(f"the new logs and those of the baseline have different tasks: {', '.join(only)}")
    # Sorted by seed, for pairs.
    new_side, old_side = (sorted(side, key=lambda one: one.seed) for side in (new, old))
    found = statistics.compare(_by_task(new_side, tasks), _by_task(old_side, tasks), center, paired=paired)
    low, high, difference = float(found.low), float(found.high), float(found.difference)
    allowed = tolerance.points(float(found.old))
    outcome: Literal["as good", "unclear", "worse"] = "unclear"
    if not _finite([*new, *old], difference) or high < -allowed:
        outcome = "worse"
    elif low >= -allowed:
        outcome = "as good"
    return Comparison(
        score=score,
        center=center,
        tolerance=str(tolerance),
        new_scores=tuple(new),
        old_scores=tuple(old),
        left_out=(left_new, left_old),
        tasks=len(tasks),
        matched=matched,
        paired=paired,
        new=float(found.new),
        old=float(found.old),
        low=low,
        high=high,
        allowed=allowed,
        outcome=outcome,
        fail_on=fail_on,
    )


def _finite(scores: Sequence[Score], difference: float) -> bool:
    # A robust center is finite even with an infinite score.
    return bool(np.isfinite([*(one.value for one in scores), difference]).all())


def _by_task(scores: Sequence[Score], tasks: Sequence[str]) -> list[npt.NDArray[np.float64]]:
    return [np.array([one.value for one in scores if one.task == task]) for task in tasks]
