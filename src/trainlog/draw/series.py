"""The points of a curve that can be drawn, and an account of those that cannot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainlog.draw.drawing import FloatArray

__all__ = ["Series", "Tally", "notes", "split_series"]


class Tally(NamedTuple):
    """How many values could not be drawn, by reason."""

    nan: int = 0
    up: int = 0
    down: int = 0
    placeless: int = 0
    not_positive: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """What can be drawn of (x, y), and where the rest was.

    ``begins`` (n,) is true for a point before which something was left out; ``None`` means that nothing was.
    ``nan_at``, ``up_at`` and ``down_at`` are the x of NaN, +inf and -inf.
    """

    x: FloatArray
    y: FloatArray
    begins: NDArray[np.bool_] | None
    nan_at: FloatArray
    up_at: FloatArray
    down_at: FloatArray
    tally: Tally

    def places(self) -> list[FloatArray]:
        """All x that have a place on the axis, whatever the y."""
        return [self.x, self.nan_at, self.up_at, self.down_at]

    def y_between(self, low: float, high: float) -> FloatArray:
        """The y of the points whose x lies between low and high."""
        if low == -np.inf and high == np.inf:
            return self.y
        return self.y[(self.x >= low) & (self.x <= high)]


_NOWHERE = np.zeros(0)


def split_series(x: FloatArray, y: FloatArray, *, x_log: bool, y_log: bool) -> Series:
    """Part the points (n,) into those that have a place on the axes and those that do not."""
    placed = np.isfinite(x)
    drawable = placed & np.isfinite(y)
    if x_log:
        drawable &= x > 0
    if y_log:
        drawable &= y > 0
    if drawable.all():
        return Series(x, y, None, _NOWHERE, _NOWHERE, _NOWHERE, Tally())
    placeless = int(np.count_nonzero(~placed))
    if x_log:
        placed &= x > 0
    nan_at, up_at, down_at = (x[placed & odd] for odd in (np.isnan(y), y == np.inf, y == -np.inf))
    left = np.count_nonzero(~drawable) - placeless - len(nan_at) - len(up_at) - len(down_at)
    kept = np.flatnonzero(drawable)
    begins = np.diff(kept, prepend=-1) > 1
    tally = Tally(len(nan_at), len(up_at), len(down_at), placeless, int(left))
    return Series(x[kept], y[kept], begins, nan_at, up_at, down_at, tally)


def notes(tallies: Iterable[Tally], where: str = "marked at the edge") -> list[str]:
    """What the caption says about the values that were not drawn; nothing when there are none."""
    nan, up, down, placeless, not_positive = (sum(counts) for counts in zip(Tally(), *tallies, strict=True))
    marked = [f"{count:,} {name}" for count, name in ((nan, "NaN"), (up, "+inf"), (down, "−inf")) if count]
    parts = [", ".join(marked) + f" ({where})"] if marked else []
    if not_positive:
        parts.append(f"{not_positive:,} not above zero (log axis)")
    if placeless:
        parts.append(f"{placeless:,} without a finite x")
    return ["Not drawn: " + "; ".join(parts) + "."] if parts else []
