"""Groups of runs, which share the values of some keys or differ in nothing but the seed; and the order of runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from trainlog.catalog.filter import FACTS, PREFIXES
from trainlog.catalog.notes import PREFIX
from trainlog.conventions import SEED_KEYS, WALL
from trainlog.strictjson import lenient_json, strict_json
from trainlog.table.values import number

__all__ = ["all_but_seed", "grouped", "label_of", "sorted_by", "varying"]

T = TypeVar("T")

_NO_METADATA: Final = frozenset(["run", "state", "reason", "error", WALL, *FACTS])


def varying(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The metadata keys whose values differ among *rows* (of `Runs.config`), in order of first appearance.

    The time when a run began is not among them.
    """
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
    """The keys that group runs which differ only in the seed."""
    return [key for key in varying(rows) if key not in SEED_KEYS]


def grouped(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[list[int]]:
    """The row numbers of each group, in order of first appearance; a missing key counts as a value of its own."""
    members: dict[str, list[int]] = {}
    for n, row in enumerate(rows):
        members.setdefault(lenient_json([row.get(key) for key in keys]), []).append(n)
    return list(members.values())


def sorted_by(values: Iterable[Any], runs: Iterable[T], *, backwards: bool) -> list[T]:
    """*runs* by their *values*: numbers come before text; those without a value come last, in either direction."""
    pairs = list(zip(values, runs, strict=True))
    having = [pair for pair in pairs if pair[0] is not None and pair[0] == pair[0]]
    lacking = [run for value, run in pairs if value is None or value != value]

    def order(pair: tuple[Any, T]) -> tuple[bool, float, str]:
        is_number = isinstance(pair[0], int | float)
        return not is_number, number(pair[0]) if is_number else 0.0, "" if is_number else str(pair[0])

    having.sort(key=order, reverse=backwards)
    return [run for _, run in having] + lacking


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
