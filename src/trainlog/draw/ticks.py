"""Tick positions and their labels, which have as few digits as needed to distinguish them.

Ticks are whole numbers (mantissas) times a power of ten until they are written, so that rounding errors such as that
of 0.1 + 0.2 never show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from trainlog.draw.scale import Scale

__all__ = ["Ticks", "axis_ticks"]

_SUFFIXES = {3: "k", 6: "M", 9: "B", 12: "T"}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TIME_STEPS = [size * n for size in (1, _MINUTE) for n in (1, 2, 5, 10, 15, 30)]
_TIME_STEPS += [_HOUR * n for n in (1, 2, 3, 6, 12)] + [_DAY * n * 10**k for k in range(6) for n in (1, 2, 5)]
_EPOCH = (946_684_800.0, 4_102_444_800.0)  # the years 2000 to 2100, as seconds since 1970
_DAY_STEPS = (1, 2, 7, 14)
_MONTH_STEPS = (1, 2, 3, 6, 12, 24, 60, 120)
_DECADE_STEPS = [n * 10**k for k in range(3) for n in (1, 2, 3, 5)]  # a log axis has at most 633 decades
_MAX_DIGITS = 6
_MAX_MINOR = 40


class Ticks(NamedTuple):
    """Ticks of one axis.

    Attributes:
        values: the positions of the ticks.
        labels: the labels of the ticks.
        offset: a number to add to all labels, as in 1M + 0.0002; empty if there is none.
        minor: the positions of ticks without a label.

    """

    values: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    offset: str = ""
    minor: tuple[float, ...] = ()


def axis_ticks(scale: Scale, count: int, unit: str | None = None, *, whole: bool = False) -> Ticks:
    """About ``count`` ticks within the scale; with ``whole`` only at whole numbers.

    The unit ``"s"`` writes seconds as µs, ms, s, min, h and d. Seconds since 1970 that fall in the years 2000 to 2100
    are written as dates and times in UTC.
    """
    count = max(count, 2)
    if scale.log:
        return _log_ticks(scale, count)
    if unit == "s" and _EPOCH[0] <= scale.low and scale.high <= _EPOCH[1] and (ticks := _date_ticks(scale, count)):
        return ticks
    if unit == "s" and (ticks := _time_ticks(scale.low, scale.high, count)):
        return ticks
    mantissas, exponent = _linear_ticks(scale.low, scale.high, count, min_step=1.0 if whole else 0.0)
    return _labeled(mantissas, exponent, "s" if unit == "s" else "")


def _power(mantissa: int, exponent: int) -> float:
    return float(f"{mantissa}e{exponent}")  # rounded once, and correctly


def _multiples(step: int, exponent: int, low: float, high: float) -> list[int]:
    """Every multiple of ``step`` x 10^exponent between low and high, in units of 10^exponent."""
    size = _power(step, exponent)
    first, last = math.floor(low / size), math.ceil(high / size)
    candidates = (n * step for n in range(first, last + 1))
    return [n for n in candidates if low <= _power(n, exponent) <= high]


def _linear_ticks(low: float, high: float, count: int, min_step: float = 0.0) -> tuple[list[int], int]:
    """About ``count`` multiples of a round step that is not below ``min_step``: their mantissas and exponent."""
    ideal = max(high / count - low / count, min_step)
    if ideal <= 0:
        return [], 0
    top = math.floor(math.log10(ideal)) + 1
    mantissas: list[int] = []
    chosen = 0
    for step, exponent in ((n, top - down) for down in range(4) for n in (5, 2, 1)):
        # The finest step that is not too fine; a finer one only if that step has fewer than two multiples.
        size = _power(step, exponent)
        if (size < ideal * 0.75 and len(mantissas) >= 2) or size < min_step:
            break
        mantissas, chosen = _multiples(step, exponent, low, high), exponent
    return mantissas, chosen


def _labeled(mantissas: Sequence[int], exponent: int, suffix: str) -> Ticks:
    """Ticks with their labels; the suffix ``"s"`` becomes ms or µs for small values."""
    largest = _power(max(map(abs, mantissas), default=0), exponent)
    shift = 0
    if suffix == "s" and 1e-6 <= largest < 1:
        shift, suffix = (3, "ms") if largest >= 1e-3 else (6, "µs")
    labels, offset = _labels_and_offset(mantissas, exponent + shift)
    return Ticks(
        values=tuple(_power(mantissa, exponent) for mantissa in mantissas),
        labels=tuple(label + suffix if label != "0" else label for label in labels),
        offset=offset + suffix if offset else "",
    )


def _labels_and_offset(mantissas: Sequence[int], exponent: int) -> tuple[list[str], str]:
    """The labels, and the offset that they leave out if the numbers differ only in their last digits."""
    if len(mantissas) > 1:
        lowest, highest = min(mantissas), max(mantissas)
        digits = len(str(max(abs(lowest), abs(highest)))) - _common_zeros(mantissas)
        if (lowest > 0 or highest < 0) and digits > _MAX_DIGITS:
            unit = 10 ** len(str(highest - lowest))
            middle = (lowest + highest) // 2
            # A number near them with the shortest label: 1M rather than 999.999k.
            candidates = [lowest // unit * unit, (middle + unit // 2) // unit * unit]
            offset = max(candidates, key=lambda number: _common_zeros([number]))
            if offset:
                return _format([n - offset for n in mantissas], exponent), _format([offset], exponent)[0]
    return _format(mantissas, exponent), ""


def _common_zeros(mantissas: Sequence[int]) -> int:
    """How many zeros all of the numbers end in."""
    digits = str(math.gcd(*mantissas) or 1)
    return len(digits) - len(digits.rstrip("0"))


def _format(mantissas: Sequence[int], exponent: int) -> list[str]:
    """The numbers mantissa x 10^exponent, all with the same suffix and as few digits as possible."""
    largest = max(map(abs, mantissas), default=0)
    magnitude = len(str(largest)) - 1 + exponent
    if -3 <= magnitude < 4:
        unit, suffix = 0, ""
    elif 4 <= magnitude < 15:
        unit = magnitude // 3 * 3
        suffix = _SUFFIXES[unit]
    else:
        unit, suffix = magnitude, f"e{magnitude}".replace("-", "−")
    return [_decimal(n, exponent - unit) + suffix if n else "0" for n in mantissas]


def _decimal(mantissa: int, exponent: int) -> str:
    """Mantissa x 10^exponent in plain decimals."""
    text = f"{Decimal(f'{mantissa}e{exponent}'):f}".replace("-", "−")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _log_ticks(scale: Scale, count: int) -> Ticks:
    first, last = math.ceil(scale.low), math.floor(scale.high)
    decades = range(first, last + 1)
    minor: list[tuple[int, int]] = []
    if len(decades) >= 2:
        step = next(step for step in _DECADE_STEPS if len(decades) / step <= count)
        major = [(1, k) for k in decades if k % step == 0] or [(1, first)]
        if step > 1:
            minor = [(1, k) for k in decades if k % step] if len(decades) <= _MAX_MINOR else []
        elif len(decades) <= 8:
            minor = [(n, k) for k in range(first - 1, last + 1) for n in range(2, 10)]
        if len(major) < 3 and count >= 4:
            major = [(n, k) for k in range(first - 1, last + 1) for n in (1, 2, 5)]
    elif scale.low > -300:
        # The axis is too short for powers of ten: the ticks of a linear axis are clearer.
        return _labeled(*_linear_ticks(10.0**scale.low, 10.0 ** min(scale.high, 308.2), count), "")
    else:
        major = [(1, k) for k in decades]
    labels = {_power(n, k): _format([n], k)[0] for n, k in major if _within(_power(n, k), scale)}
    others = {_power(n, k) for n, k in minor if _within(_power(n, k), scale)} - labels.keys()
    return Ticks(tuple(labels), tuple(labels.values()), minor=tuple(sorted(others)))


def _within(value: float, scale: Scale) -> bool:
    return 0 < value < math.inf and scale.low - 1e-9 <= math.log10(value) <= scale.high + 1e-9


def _date_ticks(scale: Scale, count: int) -> Ticks | None:
    """Ticks at round times of day, days or months, in UTC; None if they are closer than a second."""
    low, high = (datetime.fromtimestamp(math.floor(end), UTC) for end in (scale.low, scale.high))
    ideal = (scale.high - scale.low) / count
    steps = [step for step in _TIME_STEPS if step < _DAY] + [days * _DAY for days in _DAY_STEPS]
    places: list[datetime] = []
    if (step := next((step for step in steps if step >= ideal * 0.75), None)) is not None:
        first = low.replace(hour=0, minute=0, second=0)
        if step > _DAY:
            first -= timedelta(days=first.weekday() if step > 2 * _DAY else first.toordinal() % 2)
        number = math.floor((low - first).total_seconds() / step)
        places = [first + timedelta(seconds=n * step) for n in range(number, number + 4 * count)]
    else:
        months = next(months for months in _MONTH_STEPS if months * 30.44 * _DAY >= ideal * 0.75 or months == 120)
        start = (low.year * 12 + low.month - 1) // months * months
        places = [
            datetime(n // 12, n % 12 + 1, 1, tzinfo=UTC) for n in range(start, start + 4 * count * months, months)
        ]
    values = [place.timestamp() for place in places if scale.low <= place.timestamp() <= scale.high]
    if len(values) < 2 or ideal < 0.5:
        return None
    shown = [datetime.fromtimestamp(value, UTC) for value in values]
    midnight = all(place.hour == place.minute == place.second == 0 for place in shown)
    clock = "%H:%M:%S" if any(place.second for place in shown) else "%H:%M"
    pattern = "%Y-%m" if step is None else "%Y-%m-%d" if midnight and low.year != high.year else "%m-%d"
    if midnight or step is None:
        labels = [place.strftime(pattern) for place in shown]
        offset = "" if step is None or low.year != high.year else f"{low.year}, UTC"
    elif low.date() == high.date():
        labels, offset = [place.strftime(clock) for place in shown], f"{low.date()}, UTC"
    else:
        labels = [place.strftime(f"%m-%d {clock}") for place in shown]
        offset = f"{low.year}, UTC" if low.year == high.year else "UTC"
    return Ticks(tuple(values), tuple(labels), offset)


def _time_ticks(low: float, high: float, count: int) -> Ticks | None:
    """Ticks at round times; None if a plain number of seconds is rounder or the times are too large."""
    ideal = (high - low) / count
    if ideal < 0.5 or max(abs(low), abs(high)) > 1e5 * _DAY:
        return None
    chosen = next(n for n, step in enumerate(_TIME_STEPS) if step >= ideal * 0.75)
    for step in reversed(_TIME_STEPS[: chosen + 1]):
        times = _multiples(step, 0, low, high)
        if len(times) >= 2:
            units = _time_units(max(map(abs, times)), min(b - a for a, b in pairwise(times)))
            return Ticks(tuple(map(float, times)), tuple(_format_time(seconds, units) for seconds in times))
    return None


def _time_units(largest: int, step: int) -> list[tuple[int, str]]:
    units = (
        (_DAY, "d", largest >= 2 * _DAY),
        (_HOUR, "h", largest >= 2 * _HOUR),
        (_MINUTE, "min", largest >= 2 * _MINUTE and (largest < 2 * _HOUR or step % _HOUR)),
        (1, "s", largest < 2 * _MINUTE or step % _MINUTE),
    )
    return [(size, name) for size, name, is_needed in units if is_needed]


def _format_time(seconds: int, units: Sequence[tuple[int, str]]) -> str:
    if not seconds:
        return "0"
    remaining = abs(seconds)
    text = "−" if seconds < 0 else ""
    for size, name in units:
        amount, remaining = divmod(remaining, size)
        if amount:
            text += f"{amount}{name}"
    return text
