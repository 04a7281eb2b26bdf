"""Decoding of a few values of each frame without the others, by msgspec if it is installed (``trainlog[speed]``).

Decoding two of a frame's 130 keys takes an eighth of the time that all of them take. The other values are only skipped:
an invalid timestamp or lists nested too deep are not noticed in them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from trainlog.table.values import LONGEST_PREFIX, flatten

__all__ = ["ChosenColumns", "Chooser", "chooser"]

Payload = bytes | memoryview
_Decode = Callable[[Payload], tuple[Any, ...] | None]

_MOST: Final = 24  # keys: msgspec compares each key of a frame with them, one by one
_PLAIN: Final = frozenset([float, int, bool, str, type(None)])


class ChosenColumns(NamedTuple):
    """The values of some frames.

    Attributes:
        taken: the numbers of the frames, ascending.
        columns: for each column, by name, which of the taken frames have it (None means all), and the values.

    """

    taken: list[int]
    columns: dict[str, tuple[list[int] | None, list[Any]]]


class Chooser:
    """Extracts the values of some columns from payloads.

    It leaves the payloads that need full decoding: those that are not a msgpack map with text keys, those with a value
    that is not a number, text, bool or null, and those with two values that may have the name of one column.
    """

    def __init__(self, names: Sequence[str], maps: Sequence[str], decode: _Decode, unset: Any) -> None:
        """Prepare for the columns *names*, which may be values of the *maps*.

        *decode* returns the values of all these keys in this order, with *unset* for those that a payload lacks, or
        None if the payload needs full decoding.
        """
        self._names = names
        self._maps = maps
        self._decode = decode
        self._unset = unset
        self._types = _PLAIN | {type(unset)}

    def values(self, payload: Payload) -> dict[str, Any] | None:
        """The values that *payload* has, by their columns; None if it needs full decoding."""
        found = self._decode(payload)
        if found is None:
            return None
        chosen = {name: value for name, value in zip(self._names, found, strict=False) if value is not self._unset}
        for key, value in zip(self._maps, found[len(self._names) :], strict=True):
            if type(value) is dict:
                inner = flatten({key: value})
                if not (_PLAIN.issuperset(map(type, inner.values())) and chosen.keys().isdisjoint(inner)):
                    return None
                chosen.update((name, inner[name]) for name in self._names if name in inner)
        return chosen if _PLAIN.issuperset(map(type, chosen.values())) else None

    def columns(self, payloads: Sequence[Payload]) -> ChosenColumns:
        """The values in *payloads*, except those that need full decoding or have one of the maps.

        If the first one does, none are taken: the others are usually like it.
        """
        rows = [self._decode(payload) for payload in payloads[:1]]
        if not all(map(self._is_plain, rows)):
            return ChosenColumns([], {})
        rows += map(self._decode, payloads[1:])
        taken = list(range(len(rows)))
        if None in rows or not all(map(self._is_plain, zip(*rows, strict=True))):
            taken = [number for number, row in enumerate(rows) if self._is_plain(row)]
            rows = [rows[number] for number in taken]
        columns = zip(self._names, zip(*rows, strict=True), strict=False)
        present = {name: self._present(values) for name, values in columns}
        return ChosenColumns(taken, {name: found for name, found in present.items() if found[1]})

    def _is_plain(self, values: tuple[Any, ...] | None) -> bool:
        return values is not None and self._types.issuperset(map(type, values))

    def _present(self, values: Sequence[Any]) -> tuple[list[int] | None, list[Any]]:
        unset = self._unset
        if unset not in values:
            return None, list(values)
        which = [number for number, value in enumerate(values) if value is not unset]
        return which, [values[number] for number in which]


@lru_cache(maxsize=64)
def chooser(names: frozenset[str]) -> Chooser | None:
    """The chooser of the columns *names*; None when payloads need full decoding."""
    # A caller that wants no column counts frames. A name with "#" and a number is given to the second of two columns
    # that would have the same name.
    if not names or any("#" in name or len(name) > LONGEST_PREFIX for name in names):
        return None
    maps = {name[:end] for name in names for end, letter in enumerate(name) if letter == "/"} - names
    if len(names) + len(maps) > _MOST:
        return None
    try:
        import msgspec
    except ImportError:
        return None
    unset, ordered = msgspec.UNSET, [*sorted(names), *sorted(maps)]
    fields = [(f"_{place}", Any, msgspec.field(name=name, default=unset)) for place, name in enumerate(ordered)]
    try:
        decode = msgspec.msgpack.Decoder(msgspec.defstruct("Chosen", fields)).decode
    except ValueError:  # a name that is not UTF-8
        return None
    values_of = msgspec.structs.astuple

    def values(payload: Payload) -> tuple[Any, ...] | None:
        try:
            return values_of(decode(payload))
        except (msgspec.MsgspecError, ValueError, RecursionError):  # the first is a ValueError in newer versions only
            return None

    return Chooser(ordered[: len(names)], ordered[len(names) :], values, unset)
