"""Values of frames: flat names for nested values, conversion to numbers, ranges, and lists of values as arrays."""

from __future__ import annotations

import itertools
import math
from collections.abc import Container, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final
from zlib import crc32

import numpy as np
import numpy.typing as npt

from trainlog.model import Kind

__all__ = [
    "BATCH",
    "LONGEST_PREFIX",
    "STEP",
    "Range",
    "blocks_of",
    "check_range",
    "column_name",
    "flatten",
    "in_range",
    "is_word",
    "number",
    "objects",
    "prefix_of",
    "unknown_key",
]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]

Range = tuple[float | None, float | None]
"""A pair (from, to): *from* is included, *to* is not, and None leaves that end open."""

BATCH: Final = 4096
"""The number of frames that are converted to columns at once, or of rows converted to frames."""

STEP: Final = "step"
"""The key that ranges of steps use."""

LONGEST_PREFIX: Final = 512
"""The longest name of a map, in characters, that its values' names begin with; see `prefix_of`."""

_TEXT: Final = frozenset([str])
_FLAT: Final = frozenset([float, int, bool, str, bytes, list, type(None)])  # types whose values are one column


def flatten(data: Mapping[Any, Any]) -> dict[str, Any]:
    """One frame's data as a flat dict under the column names of `Table`; *data* itself if it is already flat."""
    if type(data) is dict and _TEXT.issuperset(map(type, data)):
        types = set(map(type, data.values()))
        if _FLAT.issuperset(types) or not any(issubclass(one, Mapping) for one in types):
            return data
    flat: dict[str, Any] = {}
    _flatten_into(flat, data, "", {})
    return flat


def _flatten_into(flat: dict[str, Any], data: Mapping[Any, Any], prefix: str, numbers: dict[str, int]) -> None:
    for key, value in data.items():
        name = prefix + key if type(key) is str else f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            _flatten_into(flat, value, prefix_of(name), numbers)
            continue
        if name in flat:
            name = column_name(name, flat, numbers=numbers)
        flat[name] = value


def prefix_of(name: str) -> str:
    """The prefix of the names of the values in the map *name*.

    A name longer than `LONGEST_PREFIX` is cut and gets a checksum, as each of a million values would repeat it.
    """
    if len(name) <= LONGEST_PREFIX:
        return f"{name}/"
    return f"{name[:LONGEST_PREFIX]}…{crc32(name.encode('utf-8', 'surrogatepass')):08x}/"


def column_name(key: str, *taken: Container[str], numbers: dict[str, int] | None = None) -> str:
    """The column name for *key*; numbered (``time#2``) if the name is taken.

    *numbers* remembers the number of each key: a hostile log has so many equal keys that to try all lower numbers again
    would take hours.
    """
    number, name = 1 if numbers is None else numbers.get(key, 1), key
    while any(name in names for names in taken):
        number += 1
        name = f"{key}#{number}"
    if numbers is not None:
        numbers[key] = number
    return name


def number(value: Any) -> float:
    """*value* as a number, by the rules of `Table.numbers`."""
    if isinstance(value, str) and value in ("True", "False"):
        return float(value == "True")
    try:
        return float(value)
    except OverflowError:  # an int beyond all floats
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        return float("nan")


def is_word(value: Any) -> bool:
    """Whether *value* is a string that does not spell a number; an empty string is not a word."""
    if not isinstance(value, str) or value in ("", "True", "False"):
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False


def check_range(name: str, limits: Any) -> None:
    """Refuse anything that is not a range.

    Raises:
        ValueError: when *limits* is neither None nor a pair of numbers or None.

    """
    if limits is not None and not (
        isinstance(limits, tuple | list)
        and len(limits) == 2
        and all(limit is None or _is_limit(limit) for limit in limits)
    ):
        raise ValueError(f"{name} is a pair (from, to) of numbers, None for an open end; not {limits!r:.80}")


def _is_limit(limit: Any) -> bool:
    if not isinstance(limit, int | float | np.integer | np.floating):
        return False
    try:
        return not math.isnan(limit)
    except OverflowError:  # an int beyond all floats
        return False


def in_range(values: Any, limits: Range | None) -> Bools:
    """Which of *values* (floats, any shape) are inside *limits*; NaN never is."""
    values = np.asarray(values, np.float64)
    found: Bools = ~np.isnan(values)
    low, high = (None, None) if limits is None else limits
    if low is not None:
        found &= values >= low
    if high is not None:
        found &= values < high
    return found


def unknown_key(key: object, known: Iterable[str], kind: Kind) -> str:
    """One sentence for a key that does not exist, with the most similar keys that do."""
    import difflib

    near = difflib.get_close_matches(key, list(known), 3, 0.5) if isinstance(key, str) else []
    return f"no {kind} frame has the key {key!r}" + (f"; near it: {', '.join(near)}" if near else "")


def objects(values: list[Any]) -> Array:
    """A 1-D object array of *values*, which may themselves be lists."""
    return np.fromiter(values, object, len(values))


_DTYPES: Final[dict[frozenset[type], tuple[type, ...]]] = {
    frozenset(): (np.float64,),
    frozenset([float]): (np.float64,),
    frozenset([int]): (np.int64, np.uint64),
    frozenset([int, float]): (np.float64,),
    frozenset([bool]): (np.bool_,),
}


def blocks_of(values: list[Any], one: type) -> list[tuple[list[int] | None, Array]]:
    """*values*, all of type *one*, as the tightest arrays that hold them, and which values each array holds.

    The array type of a value depends only on the value itself, not on its neighbors.
    """
    if one is float or one is bool:
        return [(None, np.fromiter(values, one, len(values)))]
    if one is int:
        with suppress(OverflowError):
            return [(None, np.fromiter(values, np.int64, len(values)))]
    elif one is not list and one is not np.ndarray:
        return [(None, objects(values))]
    elif one is list:
        types = frozenset(_leaf_types(values))
        if types in _DTYPES and len(types) < 2:
            try:
                return [(None, np.array(values, _DTYPES[types][0]))]
            except (ValueError, OverflowError):
                pass  # lists of different shapes, or with ints that are too large
    return _blocks_by_value(values)


def _blocks_by_value(values: list[Any]) -> list[tuple[list[int] | None, Array]]:
    alike: dict[tuple[np.dtype[Any], tuple[int, ...]], list[int]] = {}
    for i, value in enumerate(values):
        array = value if type(value) is np.ndarray else _tight(value)
        alike.setdefault((array.dtype, array.shape), []).append(i)
    blocks: list[tuple[list[int] | None, Array]] = []
    for (dtype, _), chosen in alike.items():
        some = [values[i] for i in chosen]
        blocks.append((chosen, objects(some) if dtype.hasobject else np.array(some, dtype)))
    return blocks


def _tight(value: Any) -> Array:
    """An int or a list as the tightest numeric array that holds it, or of dtype object when there is none."""
    types = frozenset([int]) if type(value) is int else frozenset(_leaf_types([value]))
    for dtype in _DTYPES.get(types, ()):
        try:
            return np.array(value, dtype)
        except OverflowError:
            continue
        except ValueError:
            break
    return np.empty((), object)


def _leaf_types(values: list[list[Any]]) -> set[type]:
    types = set(map(type, itertools.chain.from_iterable(values)))
    if types == {list}:
        return _leaf_types(list(itertools.chain.from_iterable(values)))
    return types
