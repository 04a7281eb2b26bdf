"""How deep the data of a frame may be nested, and what ormsgpack refuses."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import ormsgpack

__all__ = ["MAX_DEPTH", "NO_NUMPY", "REFUSED", "check_depth", "not_too_deep"]

# How many lists and maps may be nested below the map of the frame: the most that ormsgpack packs. Deeper data are taken
# for a mistake (a list that holds itself) or for malice, and are neither written nor read.
MAX_DEPTH: Final = 254

# Options that make ormsgpack refuse anything of numpy, and whatever it would store as text.
NO_NUMPY: Final = (
    ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_UUID
)

REFUSED: Final = (TypeError, ValueError, RecursionError)  # what ormsgpack raises

_CONTAINERS: Final = frozenset([dict, list, tuple])


def not_too_deep(data: dict[Any, Any], size: int) -> dict[Any, Any]:
    """Return *data*, decoded from a payload of *size* bytes, if they are not nested too deep.

    Raises:
        ValueError: when they are.

    """
    if size > MAX_DEPTH and not _CONTAINERS.isdisjoint(set(map(type, data.values()))):
        try:
            ormsgpack.packb(data, None, NO_NUMPY)  # the fastest check
        except REFUSED:
            check_depth(data.values(), MAX_DEPTH)
    return data


def check_depth(values: Collection[Any], left: int) -> None:
    """Refuse lists and maps among *values* that are nested more than *left* levels deep.

    Raises:
        ValueError: when there are any.

    """
    if _CONTAINERS.isdisjoint(set(map(type, values))):  # the set of types costs less than a lookup for each value
        return
    if not left:
        raise ValueError(f"the payload is nested deeper than {MAX_DEPTH}")
    for value in values:
        kind = type(value)
        if kind is dict:
            check_depth(value.values(), left - 1)
        elif kind is list or kind is tuple:
            check_depth(value, left - 1)
