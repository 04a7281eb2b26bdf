"""Sorts the frames of a block: first into shapes that many frames share, then the others by their keys.

The few that are left are decoded one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.columns.chosen_frames import ChosenFrames
from trainlog.codecs.flog.columns.record_layout import RecordBatch, RecordLayout
from trainlog.codecs.flog.columns.record_shape import parse
from trainlog.codecs.flog.columns.value_walk import FoundValues, ValueWalk, map_sizes
from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.codecs.frame_payload import decode_flat
from trainlog.table.builder import Rows, TableBuilder
from trainlog.table.values import number

__all__ = ["FrameSorter", "SortedFrames"]

Ints = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]
Decoded = list[tuple[int, float, dict[str, Any]]]
Matches = list[tuple[Ints, RecordBatch | FoundValues | ChosenFrames]]

_HEAD: Final = FRAME.size
_unpack = FRAME.unpack_from

_MANY = 32  # this many frames of one length are worth their own layout
_MANY_UNLIKE = 128  # the same where frames of one length often differ in their keys, so that layouts are made in vain
_MOST_IN_VAIN = 4
_FEW = 12  # fewer frames are decoded faster than a layout handles them
_WALKED = 160  # a `ValueWalk` handles this many frames faster than a decoder
_MOST_ALIKE = 8  # layouts for frames of one length
_MOST_LENGTHS = 256


class SortedFrames(NamedTuple):
    """The frames of a block, in no particular order.

    Attributes:
        matches: groups of frames whose values were found without decoding, each with their numbers in the block.
        decoded: the other frames: number in the block, time, values by column.
        broken: the first frame that cannot be decoded, or None. The frames after it are left out.

    """

    matches: Matches
    decoded: Decoded
    broken: int | None

    def add_to(self, builder: TableBuilder, chosen: npt.NDArray[np.bool_] | None = None) -> None:
        """Add the frames to a table in the file's order, or only the *chosen* ones."""
        matches, decoded = self.matches, self.decoded
        count = sum(len(rows) for rows, _ in matches) + len(decoded)
        first = builder.rows
        numbers = np.arange(first, first + count)
        if chosen is not None:
            numbers = first - 1 + np.cumsum(chosen)
            count = int(np.count_nonzero(chosen))
            matches = [(rows[some], match.take(some)) for rows, match in matches if (some := chosen[rows]).any()]
            decoded = [entry for entry in decoded if chosen[entry[0]]]
        builder.rows += count
        flat = [data for _, _, data in decoded]
        firsts: dict[tuple[str, ...], int] = {}
        for row, _, data in decoded:
            firsts.setdefault(tuple(data), row)
        found = ((int(rows[i]), names) for rows, match in matches for i, names in match.firsts)
        builder.meet([*found, *((row, names) for names, row in firsts.items())])
        for rows, match in matches:
            match.add_to(builder, slice(first, first + count) if len(rows) == count else _as_slice(numbers[rows]))
        if decoded:
            rows = numbers[[row for row, _, _ in decoded]]
            builder.time.put(rows, np.array([time for _, time, _ in decoded]))
            builder.put_frames(rows, flat, alike=len(firsts) == 1)

    def numbers(self, count: int, key: str) -> npt.NDArray[np.float64]:
        """The number that each of *count* frames has under *key*, as `Table.numbers` takes it; NaN for none."""
        found = np.full(count, np.nan)
        for rows, match in self.matches:
            found[rows] = match.numbers(key)
        for row, _, data in self.decoded:
            found[row] = number(data.get(key))
        return found


def _as_slice(rows: Ints) -> Rows:
    """Ascending row numbers as a slice, if they have no holes: a slice is faster and takes no memory."""
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows


def _have_many_keys(block: Octets, offset: Ints) -> bool:
    """Whether a `ValueWalk` handles all values of these frames faster than a decoder.

    Its time depends on the number of keys of the largest frame, and that of a decoder on the keys of all frames.
    """
    keys = np.maximum(map_sizes(block, offset + _HEAD)[0], 0)
    return int(keys.sum()) >= _WALKED * int(keys.max())


class FrameSorter:
    """Sorts frames, and remembers the shapes that it has seen."""

    def __init__(self) -> None:
        self._of_size: dict[int, list[RecordLayout]] = {}
        self._in_vain = 0  # tries to make a layout that failed or fitted few frames, less those that fitted many
        self._walk = ValueWalk()

    def __reduce__(self) -> tuple[type[FrameSorter], tuple[()]]:
        """A copy starts empty: the shapes are soon found again."""
        return FrameSorter, ()

    def sort(self, block: Octets, offset: Ints, length: Ints, wanted: frozenset[str] | None = None) -> SortedFrames:
        """Sort the frames that begin at *offset* of *block*, which has `SLACK` bytes after the last of them.

        Frames that fit no layout may leave out columns that are not *wanted*.
        """
        matches: Matches = []
        rest: list[Ints] = []
        layouts = self._of_size.get(int(length[0]))
        if layouts and (length == length[0]).all():  # nearly always true, and then this is all there is to do
            whole, fits = layouts[0].match(block, offset, length)
            if fits.all():
                return SortedFrames([(np.arange(len(length)), whole)], [], None)
        few = len(length) < _MANY and not self._of_size  # no layout is known, and none is worth creating
        for one in [np.arange(len(length))] if few else self._by_length(length):
            for rows, match in self._alike(block, offset, length, one):
                if match is None:
                    rest.append(rows)
                else:
                    matches.append((rows, match))
        single = np.sort(np.concatenate(rest)) if rest else np.empty(0, np.int64)
        if len(single) and wanted is not None:
            chosen, found = ChosenFrames.find(block, offset[single], length[single], wanted)
            matches += [(single[found], chosen)] if len(chosen) else []
            single = single[~found]
        if len(single) >= _WALKED and (wanted is not None or _have_many_keys(block, offset[single])):
            walked, found = self._walk.find(block, offset[single], length[single], wanted)
            matches += [(single[found], walked)] if len(walked) else []
            single = single[~found]
        decoded, broken = self._decoded(block, offset[single], length[single], single, wanted)
        if broken is not None:
            matches = [(rows[before], match.take(before)) for rows, match in matches if (before := rows < broken).any()]
        return SortedFrames(matches, decoded, broken)

    @staticmethod
    def _by_length(length: Ints) -> Iterator[Ints]:
        """The frames of each length."""
        if (length == length[0]).all():
            yield np.arange(len(length))
            return
        _, which, counts = np.unique(length, return_inverse=True, return_counts=True)
        order = np.argsort(which, kind="stable")
        yield from np.split(order, np.cumsum(counts)[:-1])

    def _alike(
        self, block: Octets, offset: Ints, length: Ints, rows: Ints
    ) -> Iterator[tuple[Ints, RecordBatch | None]]:
        """Yield the frames of one length: first those of shapes that many of them share, then the others."""
        layouts = self._of_size.get(int(length[rows[0]]), [])
        for layout in layouts if len(rows) >= _FEW else []:
            match, fits = layout.match(block, offset[rows], length[rows])
            if len(match):
                yield rows[fits], match
                rows = rows[~fits]
                if not len(rows):
                    return
        many = _MANY if self._in_vain < _MOST_IN_VAIN else _MANY_UNLIKE
        while len(rows) >= many and len(layouts) < _MOST_ALIKE:
            sample = int(rows[len(rows) // 2])
            start, end = int(offset[sample]) + _HEAD, int(offset[sample] + length[sample])
            shape = parse(block[start:end].tobytes())
            if shape is None:
                self._in_vain += 1
                break
            match, fits = RecordLayout(shape).match(block, offset[rows], length[rows])
            if len(match) < _FEW:
                self._in_vain += 1
                break
            self._in_vain = max(self._in_vain - 1, 0)
            layouts = [*layouts, match.layout]
            if len(self._of_size) >= _MOST_LENGTHS:
                self._of_size.clear()
            self._of_size[int(length[rows[0]])] = layouts
            yield rows[fits], match
            rows = rows[~fits]
        if len(rows):
            yield rows, None

    @staticmethod
    def _decoded(
        block: Octets, offset: Ints, length: Ints, rows: Ints, wanted: frozenset[str] | None
    ) -> tuple[Decoded, int | None]:
        view = block.data
        decoded: Decoded = []
        for row, start, size in zip(rows.tolist(), offset.tolist(), length.tolist(), strict=True):
            try:
                data = decode_flat(view[start + _HEAD : start + size], wanted)
            except ValueError:
                return decoded, row
            decoded.append((row, _unpack(view, start)[0], data))
        return decoded, None
