"""Values of many frames by the native extractor, where the distribution ``trainlog-speed`` is installed.

This is the one place that calls it: the bytes of a block, where frames begin and end, and the wanted names go in;
values and the frames that were not taken come out. Those are left to the generic path, which is the oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.columns.values import overlapping, put_numbers
from trainlog.table.builder import Rows, TableBuilder, pick_rows
from trainlog.table.values import objects

try:
    from trainlog_speed import extract as _native  # type: ignore[import-not-found, attr-defined, unused-ignore]
except ImportError:
    _native = None

__all__ = ["ExtractedValues", "extract"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Octets = npt.NDArray[np.uint8]

_Piece = tuple[str, str, int, bytearray, bytearray, Any]
_extract: Callable[[Octets, Ints, Ints, tuple[bytes, ...] | None], tuple[list[_Piece], bytearray]] | None = _native

_DTYPES: Final = {"f": "f8", "i": "i8", "u": "u8", "b": "?", "F": "f8", "G": "f4", "I": "i8", "B": "?"}


class _Values(NamedTuple):
    """Values of one type of one column; *block* is None for nulls.

    *row* says of which frames they are, *place* which column of its frame each is.
    """

    name: str
    row: Ints
    place: npt.NDArray[np.uint32]
    block: Array | None


class ExtractedValues:
    """The values of some frames, as `trainlog.codecs.flog.columns.value_walk.FoundValues`."""

    def __init__(self, time: npt.NDArray[np.float64], values: list[_Values]) -> None:
        self._time = time
        self._values = values

    def __len__(self) -> int:
        return len(self._time)

    @property
    def firsts(self) -> list[tuple[int, tuple[str, ...]]]:
        """Each key with the first frame that has it, in the order of the frames and their keys."""
        places = sorted((int(one.row[0]), int(one.place[0]), one.name) for one in self._values)
        return [(row, (name,)) for row, _, name in places]

    def take(self, chosen: Mask) -> ExtractedValues:
        """Only the *chosen* frames."""
        return ExtractedValues(self._time[chosen], list(_taken(self._values, chosen)))

    def add_to(self, builder: TableBuilder, rows: Rows) -> None:
        """Set *rows* of a table to the frames."""
        builder.time.put(rows, self._time)
        wanted = frozenset(builder.names([one.name for one in self._values]))
        for one in self._values:
            if one.name in wanted:
                these = rows if len(one.row) == len(self) else pick_rows(rows, one.row)
                builder.columns[one.name].put_pieces(these, [(None, one.block)])

    def numbers(self, key: str) -> npt.NDArray[np.float64]:
        """The number that each frame has under *key*; NaN for none."""
        found = np.full(len(self), np.nan)
        for one in self._values:
            if one.name == key and one.block is not None and one.block.ndim == 1:
                put_numbers(found, one.row, [(None, one.block)])
        return found


def extract(
    block: Octets, offset: Ints, length: Ints, wanted: Collection[str] | None = None
) -> tuple[ExtractedValues, Mask] | None:
    """The values of frames, and which of them were taken; None where no extractor is installed.

    Args:
        block: the bytes.
        offset: where each frame begins.
        length: how many bytes each has, with its header.
        wanted: only the values of these columns; None for all.

    """
    if _extract is None or not len(offset):
        return None
    names = None if wanted is None else tuple(_encoded(wanted))
    pieces, left = _extract(block, _int64(offset), _int64(length), names)
    taken = np.ones(len(offset), np.bool_)
    taken[np.frombuffer(left, np.int64)] = False
    values = list(_taken(_values(pieces), taken))
    return ExtractedValues(overlapping(block, "<f8")[offset[taken]], values), taken


def _encoded(names: Iterable[str]) -> Iterator[bytes]:
    for name in names:
        try:
            yield name.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            continue  # no frame can have it


def _values(pieces: Iterable[_Piece]) -> Iterator[_Values]:
    for name, tag, count, rows, places, raw in pieces:
        block: Array | None = None
        if tag in _DTYPES:
            block = np.frombuffer(raw, _DTYPES[tag])
            if count:
                block = block.reshape(-1, count)
        elif tag != "n":
            block = objects(raw)
        yield _Values(name, np.frombuffer(rows, np.int64), np.frombuffer(places, np.uint32), block)


def _taken(values: Iterable[_Values], chosen: Mask) -> Iterator[_Values]:
    """The values of *chosen* frames, which are numbered anew."""
    rows = np.cumsum(chosen) - 1
    for one in values:
        some = chosen[one.row]
        if some.all():
            yield one._replace(row=rows[one.row])
        elif some.any():
            block = None if one.block is None else one.block[some]
            yield _Values(one.name, rows[one.row[some]], one.place[some], block)


def _int64(values: Ints) -> Ints:
    return np.ascontiguousarray(values, np.int64)
