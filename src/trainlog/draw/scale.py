"""From values to positions on an axis, for any two finite floats as limits."""

from __future__ import annotations

import math
import sys
from typing import NamedTuple

import numpy as np

from trainlog.draw.drawing import FloatArray

__all__ = ["Range", "Scale", "check_range"]

Range = tuple[float | None, float | None]
"""The limits of an axis; ``None`` means a limit from the data."""

_MAX_FLOAT = sys.float_info.max
# Limits closer than this, relative to their size, leave no room for distinct ticks in floats.
_MIN_RELATIVE_SPAN = 1e-13
_MIN_SPAN = 1e-303
_MIN_LOG_SPAN = 1e-10
_MAX_POSITION = 1e9


def check_range(limits: object, name: str, log: bool) -> Range | None:
    """The pair of limits as floats.

    Raises:
        ValueError: unless they are finite, in order, and positive for ``log``; the message calls them ``name``.

    """
    if limits is None:
        return None
    try:
        low, high = (None if limit is None else float(limit) for limit in limits)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a pair (low, high) of numbers or None, not {limits!r}") from None
    given = [limit for limit in (low, high) if limit is not None]
    if not all(map(math.isfinite, given)) or (len(given) == 2 and not given[0] < given[1]):
        raise ValueError(f"{name} must hold two finite numbers, the lower first, not {limits!r}")
    if log and any(limit <= 0 for limit in given):
        raise ValueError(f"{name} must be positive on a log axis, not {limits!r}")
    return low, high


class Scale(NamedTuple):
    """An axis from ``low`` to ``high``: values if linear, their decimal logarithms if ``log``."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def fit(
        cls,
        low: float,
        high: float,
        *,
        log: bool = False,
        limits: Range | None = None,
        pad: float = 0.0,
        stop_at_zero: bool = False,
    ) -> Scale:
        """The scale that shows the values from ``low`` to ``high``, with ``pad`` of their span on both sides.

        ``limits`` that are not None are kept unchanged. Values that are all alike get space around them. With
        ``stop_at_zero``, values that are all at or above zero are not padded below it.
        """
        first, last = limits or (None, None)
        low = low if first is None else first
        high = high if last is None else last
        if log:
            low, high = math.log10(low), math.log10(high)
        if high < low:  # one limit was given, and all values are beyond it
            low, high = (low, low) if first is not None else (high, high)
        size = max(abs(low), abs(high))
        half = high / 2 - low / 2
        if half < (_MIN_LOG_SPAN if log else max(size * _MIN_RELATIVE_SPAN, _MIN_SPAN)):
            margin = 0.5 if log else max(size * 0.1, _MIN_SPAN * 1000) if size else 1.0
            first = last = None
        else:
            margin = 2 * pad * half
        bottom = low - margin if first is None else low
        top = high + margin if last is None else high
        if stop_at_zero and not log and low >= 0 > bottom and high > low:
            bottom = 0.0
        return cls(max(bottom, -_MAX_FLOAT), min(top, _MAX_FLOAT), log)

    def centered(self, half: float) -> Scale:
        """A linear scale with the same middle, from ``half`` below to ``half`` above it."""
        middle = self.low / 2 + self.high / 2
        return Scale(max(middle - half, -_MAX_FLOAT), min(middle + half, _MAX_FLOAT))

    def position(self, values: FloatArray) -> FloatArray:
        """The positions of finite values (n,): 0 at the low end, 1 at the high end, at most a billion spans beyond."""
        factor = self._factor()
        low, high = self.low * factor, self.high * factor
        with np.errstate(all="ignore"):
            if self.log:
                values = np.log10(values)
            position: FloatArray = (values if factor == 1.0 else values * factor) - low
            position /= high - low
            return np.clip(position, -_MAX_POSITION, _MAX_POSITION, out=position)

    def position_of(self, value: float) -> float:
        """`position` of one value."""
        if self.log:
            return float(self.position(np.array([value], dtype=np.float64))[0])
        factor = self._factor()
        low, high = self.low * factor, self.high * factor
        return min(max((value * factor - low) / (high - low), -_MAX_POSITION), _MAX_POSITION)

    def _factor(self) -> float:
        """A power of two by which limits and values are multiplied before subtraction."""
        if max(abs(self.low), abs(self.high)) > 1e300:
            return 2.0**-8  # the span itself would be infinite
        return 2.0**200 if self.high - self.low < 1e-290 else 1.0  # differences would be denormal
