"""Which values an axis names, and how it writes them in as few digits as tell them apart.

Ticks are kept as whole numbers times a power of ten until they are written, so that 0.1 + 0.2 never shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from trainlog.draw.scale import Scale

__all__ = ["Ticks", "axis_ticks", "format_number"]

_SUFFIXES = {3: "k", 6: "M", 9: "B", 12: "T"}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TIME_STEPS = [size * n for size in (1, _MINUTE) for n in (1, 2, 5, 10, 15, 30)]
_TIME_STEPS += [_HOUR * n for n in (1, 2, 3, 6, 12)] + [_DAY * n * 10**k for k in range(6) for n in (1, 2, 5)]
_MOST_DIGITS = 6
_MOST_MINOR = 40


class Ticks(NamedTuple):
    """Ticks of one axis: their values, what is written at them, and what has to be added to that.

    ``offset`` is empty, or the number that all labels leave out (as in 1M + 0.0002). ``minor`` ticks have no
    label.
    """

    values: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    offset: str = ""
    minor: tuple[float, ...] = ()


def axis_ticks(scale: Scale, count: int, unit: str | None = None, *, whole: bool = False) -> Ticks:
    """About ``count`` ticks inside of the scale, at whole numbers only if so wished.

    The unit ``"s"`` writes seconds as µs, ms, s, min, h and d.
    """
    count = max(count, 2)
    if scale.log:
        return _log_ticks(scale, count)
    if unit == "s" and (ticks := _time_ticks(scale.low, scale.high, count)):
        return ticks
    least = 1.0 if whole else 0.0
    found, exponent = _linear_choice(scale.low, scale.high, count, least)
    return _named(found, exponent, "s" if unit == "s" else "")


def format_number(value: float, digits: int = 4) -> str:
    """A finite value with at most ``digits`` digits, as an axis would write it: 1234567 as 1.235M."""
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return _write([int(mantissa.replace(".", ""))], int(exponent) - digits + 1)[0]


def _power(mantissa: int, exponent: int) -> float:
    return float(f"{mantissa}e{exponent}")  # rounded once, and correctly


def _multiples(step: int, exponent: int, low: float, high: float) -> list[int]:
    """Every multiple of ``step`` x 10^exponent between low and high, in units of 10^exponent."""
    size = _power(step, exponent)
    first, last = math.floor(low / size), math.ceil(high / size)
    candidates = (n * step for n in range(first, last + 1))
    return [n for n in candidates if low <= _power(n, exponent) <= high]


def _linear_choice(low: float, high: float, count: int, least: float = 0.0) -> tuple[list[int], int]:
    """About ``count`` multiples of a round step, in units of a power of ten, and its exponent.

    No step is finer than ``least``.
    """
    raw = max(high / count - low / count, least)
    if raw <= 0:
        return [], 0
    top = math.floor(math.log10(raw)) + 1
    found: list[int] = []
    found_exponent = 0
    for step, exponent in ((n, top - down) for down in range(4) for n in (5, 2, 1)):
        # The finest of the steps that are not too fine; below it only where that has no two multiples here.
        size = _power(step, exponent)
        if (size < raw * 0.75 and len(found) >= 2) or size < least:
            break
        found, found_exponent = _multiples(step, exponent, low, high), exponent
    return found, found_exponent


def _named(found: Sequence[int], exponent: int, suffix: str) -> Ticks:
    """The numbers n x 10^exponent as ticks. Below a second, the suffix ``"s"`` becomes ``"ms"`` or ``"µs"``."""
    shift = 0
    largest = _power(max(map(abs, found), default=0), exponent)
    if suffix == "s" and 1e-6 <= largest < 1:
        shift, suffix = (3, "ms") if largest >= 1e-3 else (6, "µs")
    labels, offset = _write_distinct(found, exponent + shift)
    values = tuple(_power(n, exponent) for n in found)
    return Ticks(
        values,
        tuple(label + suffix if label != "0" else label for label in labels),
        offset + suffix if offset else "",
    )


def _write_distinct(mantissas: Sequence[int], exponent: int) -> tuple[list[str], str]:
    """Labels, and the number that they leave out because they all begin with it."""
    if len(mantissas) > 1:
        largest = max(map(abs, mantissas))
        zeros = _common_zeros(mantissas)
        one_sign = min(mantissas) > 0 or max(mantissas) < 0
        if one_sign and len(str(largest)) - zeros > _MOST_DIGITS:
            room = 10 ** len(str(max(mantissas) - min(mantissas)))
            middle = (min(mantissas) + max(mantissas)) // 2
            # The number next to them that is the shortest to write: 1M rather than 999.999k.
            bases = [min(mantissas) // room * room, (middle + room // 2) // room * room]
            base = max(bases, key=lambda number: _common_zeros([number]))
            if base:
                (offset,) = _write([base], exponent)
                return _write([n - base for n in mantissas], exponent), offset
    return _write(mantissas, exponent), ""


def _common_zeros(mantissas: Sequence[int]) -> int:
    zeros = 0
    while any(mantissas) and all(n % 10 ** (zeros + 1) == 0 for n in mantissas):
        zeros += 1
    return zeros


def _write(mantissas: Sequence[int], exponent: int) -> list[str]:
    """The numbers mantissa x 10^exponent, all with the same suffix, without a digit too many."""
    largest = max(map(abs, mantissas), default=0)
    if not largest:
        return ["0"] * len(mantissas)
    top = len(str(largest)) - 1 + exponent
    if -3 <= top < 4:
        unit, suffix = 0, ""
    elif 4 <= top < 15:
        unit = top // 3 * 3
        suffix = _SUFFIXES[unit]
    else:
        unit, suffix = top, f"e{top}".replace("-", "−")
    return [_fixed(n, exponent - unit) + suffix if n else "0" for n in mantissas]


def _fixed(mantissa: int, exponent: int) -> str:
    """Mantissa x 10^exponent in plain decimals."""
    sign = "−" if mantissa < 0 else ""
    digits = str(abs(mantissa))
    if exponent >= 0:
        return sign + digits + "0" * exponent
    digits = digits.rjust(1 - exponent, "0")
    whole, part = digits[:exponent], digits[exponent:].rstrip("0")
    return sign + whole + ("." + part if part else "")


def _log_ticks(scale: Scale, count: int) -> Ticks:
    first, last = math.ceil(scale.low), math.floor(scale.high)
    decades = range(first, last + 1)
    if len(decades) >= 2:
        stride = next(s for s in _strides() if len(decades) / s <= count)
        named = [(1, k) for k in decades if k % stride == 0] or [(1, first)]
        minor = [(n, k) for k in range(first - 1, last + 1) for n in range(2, 10)] if len(decades) <= 8 else []
        if stride > 1:
            minor = [(1, k) for k in decades if k % stride] if len(decades) <= _MOST_MINOR else []
        if len(named) < 3 and count >= 4:
            named = [(n, k) for k in range(first - 1, last + 1) for n in (1, 2, 5)]
    elif scale.low > -300:
        # The axis is too short for powers of ten: a linear choice of values is the clearer one.
        return _named(*_linear_choice(10.0**scale.low, 10.0 ** min(scale.high, 308.2), count), "")
    else:
        named, minor = [(1, k) for k in decades], []
    inside = [(v, n, k) for n, k in named for v in [_power(n, k)] if _within(v, scale)]
    labels = tuple(_write([n], k)[0] for _, n, k in inside)
    lesser = sorted({v for n, k in minor for v in [_power(n, k)] if _within(v, scale)} - {v for v, _, _ in inside})
    return Ticks(tuple(v for v, _, _ in inside), labels, minor=tuple(lesser))


def _strides() -> Iterator[int]:
    power = 1
    while True:
        yield from (power, 2 * power, 3 * power, 5 * power)
        power *= 10


def _within(value: float, scale: Scale) -> bool:
    return 0 < value < math.inf and scale.low - 1e-9 <= math.log10(value) <= scale.high + 1e-9


def _time_ticks(low: float, high: float, count: int) -> Ticks | None:
    """Ticks at round times, or None where a plain number of seconds is rounder or the times are beyond reason."""
    raw = (high - low) / count
    if raw < 0.5 or max(abs(low), abs(high)) > 1e5 * _DAY:
        return None
    turn = next(n for n, step in enumerate(_TIME_STEPS) if step >= raw * 0.75)
    found = _multiples(_TIME_STEPS[turn], 0, low, high)
    while len(found) < 2 and turn:
        turn -= 1
        found = _multiples(_TIME_STEPS[turn], 0, low, high)
    if len(found) < 2:
        return None
    units = _time_units(max(map(abs, found)), min(b - a for a, b in pairwise(found)))
    return Ticks(tuple(map(float, found)), tuple(_write_time(seconds, units) for seconds in found))


def _time_units(largest: int, step: int) -> list[tuple[int, str]]:
    units = []
    if largest >= 2 * _DAY:
        units.append((_DAY, "d"))
    if largest >= 2 * _HOUR:
        units.append((_HOUR, "h"))
    if largest >= 2 * _MINUTE and (largest < 2 * _HOUR or step % _HOUR):
        units.append((_MINUTE, "min"))
    if largest < 2 * _MINUTE or step % _MINUTE:
        units.append((1, "s"))
    return units


def _write_time(seconds: int, units: Sequence[tuple[int, str]]) -> str:
    if not seconds:
        return "0"
    left = abs(seconds)
    text = "−" if seconds < 0 else ""
    for size, name in units:
        amount, left = divmod(left, size)
        if amount:
            text += f"{amount}{name}"
    return text
