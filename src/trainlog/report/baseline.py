"""Is it as good as it was? Scores of new logs against those of older ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from trainlog.errors import ExpressionError
from trainlog.plot.axes import Floats
from trainlog.plot.seeds import CenterName, bootstrap, center_of

__all__ = ["Comparison", "Tolerance", "compare"]

_SURE: Final = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much worse is still good enough.

    Attributes:
        amount: a share of the old score, or in the score's own unit.
        relative: which of the two.

    """

    amount: float
    relative: bool

    @classmethod
    def of(cls, text: str) -> Tolerance:
        """Read ``5%`` or ``12.5``.

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

    def around(self, old: float) -> float:
        """How many points that is for an old score of *old*."""
        return self.amount * abs(old) if self.relative else self.amount

    def __str__(self) -> str:
        return f"{self.amount * 100:g} %" if self.relative else f"{self.amount:g}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """New logs against older ones; a higher score is better.

    Attributes:
        score: the expression.
        center: how the scores of several logs are taken together.
        tolerance: what may be lost, as the user wrote it.
        new_scores: by name of the log.
        old_scores: by name of the log.
        new: of the new logs together.
        old: of the older ones together.
        low: lower end of the 95 % interval of new minus old; NaN where there is one log on each side, and no interval.
        high: its upper end.
        allowed: points that may be lost.
        outcome: ``worse`` when the loss is larger than allowed, for sure; ``unclear`` when it may be.

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
        """Whether it is not worse for sure. A score that is no number never passes."""
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

    The interval is the 95 % percentile bootstrap interval of the difference: new and old logs are drawn again and
    again, each with replacement. The random numbers are always the same.
    """
    new, old = (_column(scores) for scores in (new_scores, old_scores))
    middle_new, middle_old = float(center_of(new, center)[0]), float(center_of(old, center)[0])
    allowed = tolerance.around(middle_old)
    low = high = float("nan")
    if max(len(new), len(old)) > 1:
        differences = _bootstrap(new, center, 0) - _bootstrap(old, center, 1)
        low, high = (float(end) for end in np.quantile(differences, _SURE))
    difference = middle_new - middle_old
    lowest, highest = (difference, difference) if np.isnan(low) else (low, high)
    outcome: Literal["as good", "unclear", "worse"] = "unclear"
    if not np.isfinite(difference) or highest < -allowed:
        outcome = "worse"
    elif lowest >= -allowed:
        outcome = "as good"
    return Comparison(
        score,
        center,
        str(tolerance),
        new_scores,
        old_scores,
        middle_new,
        middle_old,
        low,
        high,
        allowed,
        outcome,
    )


def _column(scores: dict[str, float]) -> Floats:
    return np.array(list(scores.values()), np.float64).reshape(-1, 1)


def _bootstrap(scores: Floats, center: CenterName, seed: int) -> Floats:
    return bootstrap(scores, lambda some: center_of(some, center), seed=seed)[:, 0]
