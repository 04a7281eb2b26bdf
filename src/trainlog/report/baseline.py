"""The comparison of new logs with older ones by a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from trainlog.errors import ExpressionError
from trainlog.plot.axes import Floats
from trainlog.plot.seeds import CenterName, bootstrap, center_of

__all__ = ["Comparison", "Tolerance", "compare"]

_QUANTILES: Final = (0.025, 0.975)


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


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of new logs with older ones; a higher score is better.

    Attributes:
        score: the expression.
        center: how the scores of several logs are combined.
        tolerance: the accepted loss, as the user wrote it.
        new_scores, old_scores: by name of the log.
        new, old: the center of the scores.
        low, high: the 95 % interval of new minus old; NaN with one log on each side.
        allowed: the accepted loss in points.
        outcome: ``worse`` when the whole interval is below the accepted loss, ``unclear`` when a part of it is.

    """

    score: str
    center: CenterName
    tolerance: str
    new_scores: dict[str, float]
    old_scores: dict[str, float]
    new: float
    old: float
    low: float
    high: float
    allowed: float
    outcome: Literal["as good", "unclear", "worse"]

    @property
    def passed(self) -> bool:
        """Whether the outcome is not ``worse``; a NaN score is."""
        return self.outcome != "worse"

    @property
    def difference(self) -> float:
        """New minus old."""
        return self.new - self.old


def compare(
    score: str,
    new_scores: dict[str, float],
    old_scores: dict[str, float],
    tolerance: Tolerance,
    center: CenterName = "mean",
) -> Comparison:
    """Compare scores, one for each log (seed).

    The interval is the 95 % percentile bootstrap interval of the difference. The random numbers are always the same.
    """
    new, old = (_column(scores) for scores in (new_scores, old_scores))
    center_new, center_old = float(center_of(new, center)[0]), float(center_of(old, center)[0])
    allowed = tolerance.points(center_old)
    low = high = float("nan")
    if max(len(new), len(old)) > 1:
        differences = _bootstrap(new, center, 0) - _bootstrap(old, center, 1)
        low, high = (float(end) for end in np.quantile(differences, _QUANTILES))
    difference = center_new - center_old
    lowest, highest = (difference, difference) if np.isnan(low) else (low, high)
    outcome: Literal["as good", "unclear", "worse"] = "unclear"
    if not np.isfinite(difference) or highest < -allowed:
        outcome = "worse"
    elif lowest >= -allowed:
        outcome = "as good"
    scores = (new_scores, old_scores, center_new, center_old)
    return Comparison(score, center, str(tolerance), *scores, low, high, allowed, outcome)


def _column(scores: dict[str, float]) -> Floats:
    return np.array(list(scores.values()), np.float64).reshape(-1, 1)


def _bootstrap(scores: Floats, center: CenterName, seed: int) -> Floats:
    return bootstrap(scores, lambda some: center_of(some, center), seed=seed)[:, 0]
