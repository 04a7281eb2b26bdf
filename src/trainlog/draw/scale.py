"""From values to places on an axis, for any two finite floats as ends."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np

from trainlog.draw.drawing import FloatArray

__all__ = ["Range", "Scale", "check_range"]

Range = tuple[float | None, float | None]
"""The ends of an axis; ``None`` is taken from the data."""

_LARGEST = sys.float_info.max
# Ends that are closer than this cannot hold ticks that differ, neither relative to their size nor in floats.
_FINEST_RELATIVE = 1e-13
_FINEST = 1e-303
_FINEST_LOG = 1e-10
_FARTHEST = 1e9


def check_range(ends: object, name: str, log: bool) -> Range | None:
    """The pair of ends as floats. Raises `ValueError` unless they are finite, in order, and positive for ``log``."""
    if ends is None:
        return None
    try:
        low, high = (None if end is None else float(end) for end in ends)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a pair (low, high) of numbers or None, not {ends!r}") from None
    given = [end for end in (low, high) if end is not None]
    if not all(map(math.isfinite, given)) or (len(given) == 2 and not given[0] < given[1]):
        raise ValueError(f"{name} must hold two finite numbers, the lower first, not {ends!r}")
    if log and any(end <= 0 for end in given):
        raise ValueError(f"{name} must be positive on a log axis, not {ends!r}")
    return low, high


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from ``low`` to ``high``: values when linear, their decimal logarithms when ``log``."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def around(
        cls,
        low: float,
        high: float,
        *,
        log: bool = False,
        ends: Range | None = None,
        pad: float = 0.0,
        to_zero: bool = False,
    ) -> Scale:
        """The scale that shows the values from ``low`` to ``high``, with ``pad`` of their span on both sides.

        ``ends`` that are given are kept as they are. Values that are all alike get room around them. With
        ``to_zero``, a span that begins at or above zero is not padded below it.
        """
        first, last = ends or (None, None)
        low = low if first is None else first
        high = high if last is None else last
        if log:
            low, high = math.log10(low), math.log10(high)
        if high < low:  # one end was given, and all values lie beyond it
            low, high = (low, low) if first is not None else (high, high)
        size = max(abs(low), abs(high))
        half = high / 2 - low / 2
        if half < (_FINEST_LOG if log else max(size * _FINEST_RELATIVE, _FINEST)):
            room = 0.5 if log else max(size * 0.1, _FINEST * 1000) if size else 1.0
            first = last = None
        else:
            room = 2 * pad * half
        bottom = low - room if first is None else low
        top = high + room if last is None else high
        if to_zero and not log and low >= 0 > bottom and high > low:
            bottom = 0.0
        return cls(max(bottom, -_LARGEST), min(top, _LARGEST), log)

    def position(self, values: FloatArray) -> FloatArray:
        """Where the finite values (n,) lie: 0 at the low end, 1 at the high end, at most a billion spans beyond."""
        low, high, factor = self.low, self.high, 1.0
        if max(abs(low), abs(high)) > 1e300:
            factor = 2.0**-8  # the span itself would be infinite
        elif high - low < 1e-290:
            factor = 2.0**200  # differences would be denormal
        with np.errstate(all="ignore"):
            if self.log:
                values = np.log10(values)
            if factor != 1.0:
                low, high, values = low * factor, high * factor, values * factor
            place: FloatArray = values - low
            place /= high - low
            return np.clip(place, -_FARTHEST, _FARTHEST, out=place)

    def place(self, value: float) -> float:
        """`position` of one value."""
        return float(self.position(np.array([value], dtype=np.float64))[0])
