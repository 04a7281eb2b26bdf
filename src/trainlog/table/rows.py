"""Which rows a table is made of: those of a range of time, of a range of steps, the last ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.model import Frame
from trainlog.table.table import number

__all__ = ["Range", "Rows"]

Range = tuple[float | None, float | None]

STEP: Final = "step"


@dataclass(frozen=True, slots=True)
class Rows:
    """A choice of rows. What is None does not restrict it.

    Attributes:
        time: from the first to before the second, in seconds; None in it for an open end.
        steps: the same for the frames' ``step``. A frame whose step is no number is in no range.
        last: only so many of the rows that are left, from the end of the file.

    Raises:
        ValueError: when a range is no pair of numbers, or *last* is below 0.

    """

    time: Range | None = None
    steps: Range | None = None
    last: int | None = None

    def __post_init__(self) -> None:
        for name in ("time", "steps"):
            limits = getattr(self, name)
            if limits is not None and not (
                isinstance(limits, tuple | list)
                and len(limits) == 2
                and all(limit is None or (isinstance(limit, int | float) and limit == limit) for limit in limits)
            ):
                raise ValueError(f"{name} is a pair (from, to) of numbers, None for an open end; not {limits!r}")
        if self.last is not None and self.last < 0:
            raise ValueError(f"last is how many rows, 0 or more, not {self.last}")

    @property
    def all(self) -> bool:
        """Whether there is no restriction."""
        return self.time is None and self.steps is None and self.last is None

    def of(self, frames: Iterable[Frame]) -> Iterable[Frame]:
        """Those of *frames* that are chosen."""
        chosen = (frame for frame in frames if self._has(frame))
        return chosen if self.last is None else deque(chosen, self.last)

    def _has(self, frame: Frame) -> bool:
        return (self.time is None or bool(inside(frame.time, self.time))) and (
            self.steps is None or bool(inside(number(frame.data.get(STEP)), self.steps))
        )


def inside(values: Any, limits: Range) -> npt.NDArray[np.bool_]:
    """Which of *values* (floats, any shape) are inside of *limits*; NaN never is."""
    low, high = limits
    values = np.asarray(values, np.float64)
    found: npt.NDArray[np.bool_] = ~np.isnan(values)
    if low is not None:
        found &= values >= low
    if high is not None:
        found &= values < high
    return found
