"""Groups of runs: runs that share the values of some keys, or that differ in nothing but the seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from trainlog.catalog.filter import FACTS, PREFIXES
from trainlog.catalog.notes import PREFIX
from trainlog.conventions import SEED_KEYS, WALL
from trainlog.strictjson import lenient_json, strict_json

__all__ = ["all_but_seed", "grouped", "label_of", "varying"]

_NO_METADATA: Final = frozenset(["run", "state", "reason", "error", *FACTS])
_OF_ONE_RUN: Final = frozenset([*SEED_KEYS, WALL])


def varying(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The metadata keys whose values differ among *rows* (of `Runs.config`), in order of first appearance."""
    known: dict[str, Any] = {}
    for row in rows:
        for key in row:
            known.setdefault(key, row[key])
    return [
        key
        for key, first in known.items()
        if key not in _NO_METADATA
        and key.partition("/")[0] not in (PREFIX, "run", *PREFIXES)
        and any((value := row.get(key)) != first and (value == value or first == first) for row in rows)  # not NaN
    ]


def all_but_seed(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys that group runs which differ only in the seed and in their start time."""
    return [key for key in varying(rows) if key not in _OF_ONE_RUN]


def grouped(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[list[int]]:
    """The row numbers of each group, in order of first appearance; a missing key counts as a value of its own."""
    members: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        members.setdefault(lenient_json([row.get(key) for key in keys]), []).append(number)
    return list(members.values())


def label_of(row: Mapping[str, Any], keys: Sequence[str]) -> str:
    """The name of the group of *row* in a legend: ``sac, lr 0.001``."""
    words = [
        value
        if isinstance(value, str)
        else f"{key.rpartition('/')[2]} {value if isinstance(value, float) else strict_json(value)}"
        for key in keys
        if (value := row.get(key)) is not None
    ]
    return ", ".join(words) or "all runs"
