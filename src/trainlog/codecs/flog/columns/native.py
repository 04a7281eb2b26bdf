"""Columns of many frames by the native extractor, where the distribution ``trainlog-speed`` is installed.

This is the one place that calls it: the bytes of a block, where frames begin and end, and the wanted names go in;
columns and the frames that were not taken come out. Those are left to the generic path, which is the oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.columns.values import overlapping
from trainlog.table.builder import TableBuilder, as_slice
from trainlog.table.values import number, objects

try:
    from trainlog_speed import extract as _native  # type: ignore[import-not-found, attr-defined, unused-ignore]
except ImportError:
    _native = None

__all__ = ["ExtractedFrames", "extract"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]

_Piece = tuple[str, str, int, bytearray, bytearray, Any]
_extract: Callable[[Octets, Ints, Ints, tuple[bytes, ...] | None], tuple[list[_Piece], bytearray]] | None = _native

_DTYPES: Final = {"f": "f8", "i": "i8", "u": "u8", "b": "?", "F": "f8", "G": "f4", "I": "i8", "B": "?"}


class _Values(NamedTuple):
    """Values of one type of one column; *block* is None for nulls.

    *frame* says of which frames they are, *place* the how manieth column of its frame each is.
    """

    name: str
    frame: Ints
    place: npt.NDArray[np.uint32]
    block: Array | None


class ExtractedFrames(NamedTuple):
    """Frames as columns.

    Attributes:
        frame: which frames of the block they are, ascending.
        time: the time of each, in seconds.
        values: what they hold.

    """

    frame: Ints
    time: npt.NDArray[np.float64]
    values: list[_Values]

    def take(self, chosen: npt.NDArray[np.bool_]) -> ExtractedFrames:
        """Only frames that are *chosen*, a mask of all frames of the block."""
        values = [
            _Values(one.name, one.frame[some], one.place[some], None if one.block is None else one.block[some])
            for one in self.values
            if (some := chosen[one.frame]).any()
        ]
        some = chosen[self.frame]
        return ExtractedFrames(self.frame[some], self.time[some], values)

    def columns(self) -> Iterator[tuple[int, list[str]]]:
        """The columns in the order of first sight, each with the frame that has it first."""
        for frame, _, name in sorted((int(one.frame[0]), int(one.place[0]), one.name) for one in self.values):
            yield frame, [name]

    def add_to(self, builder: TableBuilder, numbers: Ints) -> None:
        """Set rows of a table, which knows the columns; *numbers* says which row each frame of the block is."""
        builder.time.put(as_slice(numbers[self.frame]), self.time)
        wanted = frozenset(builder.names([one.name for one in self.values]))
        for one in self.values:
            if one.name not in wanted:
                continue
            rows = as_slice(numbers[one.frame])
            if one.block is None:
                builder.columns[one.name].put_nulls(rows)
            else:
                builder.columns[one.name].put(rows, one.block)

    def numbers(self, key: str) -> Iterator[tuple[Ints, Any]]:
        """Frames that have *key*, with what `trainlog.table.values.number` makes of it."""
        for one in self.values:
            if one.name == key and one.block is not None and one.block.ndim == 1:
                is_number = one.block.dtype != object
                yield one.frame, one.block if is_number else [number(value) for value in one.block.tolist()]


def extract(
    block: Octets, offset: Ints, length: Ints, frames: Ints, names: Iterable[str] | None
) -> ExtractedFrames | None:
    """The columns of those frames of a block that the extractor can take; None where it takes none.

    Args:
        block: the bytes.
        offset: where every frame of the block begins.
        length: how many bytes each has, with its header.
        frames: which of them to take, ascending.
        names: of the wanted columns; None for all.

    """
    if _extract is None or not len(frames):
        return None
    wanted = None if names is None else tuple(_encoded(names))
    pieces, left = _extract(block, _int64(offset[frames]), _int64(length[frames]), wanted)
    mine = np.delete(frames, np.frombuffer(left, np.int64))
    if not len(mine):
        return None
    return ExtractedFrames(mine, overlapping(block, "<f8")[offset[mine]], list(_values(pieces, frames)))


def _encoded(names: Iterable[str]) -> Iterator[bytes]:
    for name in names:
        try:
            yield name.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            continue  # no frame can have it


def _values(pieces: Iterable[_Piece], frames: Ints) -> Iterator[_Values]:
    for name, tag, count, rows, places, raw in pieces:
        frame = frames[np.frombuffer(rows, np.int64)]
        place = np.frombuffer(places, np.uint32)
        block: Array | None = None
        if tag in _DTYPES:
            block = np.frombuffer(raw, _DTYPES[tag])
            if count:
                block = block.reshape(-1, count)
        elif tag != "n":
            block = objects(raw)
        yield _Values(name, frame, place, block)


def _int64(values: Ints) -> Ints:
    return np.ascontiguousarray(values, np.int64)
