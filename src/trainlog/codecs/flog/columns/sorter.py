"""The frames of a block, sorted by shape: most of them into a few matches, the rest decoded one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.columns.native import ExtractedFrames, extract
from trainlog.codecs.flog.columns.record_layout import RecordBatch, RecordLayout
from trainlog.codecs.flog.columns.record_shape import Shape, parse
from trainlog.codecs.flog.integrity.seals import SEAL
from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.codecs.frame_payload import decode, float32_lists, with_float32
from trainlog.table.builder import TableBuilder, as_slice
from trainlog.table.values import flatten, number

__all__ = ["FrameSorter", "SortedFrames"]

Ints = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]
Matches = list[tuple[Ints, RecordBatch]]

_HEAD: Final = FRAME.size
_unpack = FRAME.unpack_from

_MANY = 128  # frames of one length that are worth a layout of their own
_FEW = 12  # frames that are decoded faster than a layout takes them
_SAMPLES = 3  # frames that are looked at before a layout is made
_MOST_ALIKE = 8  # layouts for frames of one length
_MOST_LAYOUTS = 64
_MOST_LENGTHS = 256


class SortedFrames(NamedTuple):
    """The frames of a block, in no order.

    Attributes:
        matches: frames of one shape, and which ones of the block they are.
        decoded: the others: which one, time, data.
        broken: the first frame that cannot be decoded, or None. Those behind it are left out.
        extracted: what the native extractor took.

    """

    matches: list[tuple[Ints, RecordBatch]]
    decoded: list[tuple[int, float, dict[Any, Any]]]
    broken: int | None
    extracted: ExtractedFrames | None = None

    def add_to(self, builder: TableBuilder, chosen: npt.NDArray[np.bool_] | None = None) -> None:
        """Add the frames to a table, in the file's order; only those that are *chosen*, when that is given."""
        matches, decoded, extracted = self.matches, self.decoded, self.extracted
        count = sum(len(rows) for rows, _ in matches) + len(decoded)
        count += 0 if extracted is None else len(extracted.frame)
        numbers = np.arange(builder.rows, builder.rows + count)
        if chosen is not None:
            numbers = builder.rows - 1 + np.cumsum(chosen)
            count = int(np.count_nonzero(chosen))
            matches = [(rows[some], match.take(some)) for rows, match in matches if (some := chosen[rows]).any()]
            decoded = [entry for entry in decoded if chosen[entry[0]]]
            extracted = None if extracted is None else extracted.take(chosen)
        builder.rows += count
        flat = [(row, flatten(data)) for row, _, data in decoded]
        columns = () if extracted is None else extracted.columns()
        builder.meet([*((int(rows[0]), match.layout.names) for rows, match in matches), *flat, *columns])
        for rows, match in matches:
            match.add_to(builder, as_slice(numbers[rows]))
        if decoded:
            rows = numbers[[row for row, _, _ in decoded]]
            builder.time.put(rows, np.array([time for _, time, _ in decoded]))
            builder.put_frames(rows, [data for _, data in flat])
        if extracted is not None and len(extracted.frame):
            extracted.add_to(builder, numbers)

    def numbers(self, count: int, key: str) -> npt.NDArray[np.float64]:
        """The number that each of *count* frames has under *key*, as `Table.numbers` takes it; NaN for none."""
        found = np.full(count, np.nan)
        for rows, match in self.matches:
            field = match.layout.fields.get(key)
            if field is None or field.shape or field.empty is not None:
                continue
            for some, block in match.pieces(field) or ():
                these = rows if some is None else rows[some]
                if block is not None and block.dtype != object:
                    found[these] = block
                elif block is not None:
                    found[these] = [number(value) for value in block.tolist()]
        for row, _, data in self.decoded:
            found[row] = number(data.get(key))
        for rows, values in () if self.extracted is None else self.extracted.numbers(key):
            found[rows] = values
        return found


class FrameSorter:
    """Sorts frames, and remembers the shapes that it saw."""

    def __init__(self) -> None:
        self._of_size: dict[int, list[RecordLayout]] = {}
        self._of_key: dict[object, RecordLayout] = {}
        self._in_vain = 0  # how often in a row no layout could be made

    def __reduce__(self) -> tuple[type[FrameSorter], tuple[()]]:
        """A copy begins anew: what is remembered is found again soon."""
        return FrameSorter, ()

    def sort(self, block: Octets, offset: Ints, length: Ints, names: Sequence[str] | None = None) -> SortedFrames:
        """Sort the frames that begin at *offset* of *block*, which holds at least 8 bytes behind the last of them.

        Columns other than *names* may be left out, where these are given.
        """
        matches: list[tuple[Ints, RecordBatch]] = []
        rest: list[Ints] = []
        layouts = self._of_size.get(int(length[0]))
        if layouts and (length == length[0]).all():  # nearly always, and then nothing else has to be done
            whole, fits = layouts[0].match(block, offset, length)
            if fits.all():
                return SortedFrames([(np.arange(len(length)), whole)], [], None)
        for one in self._by_length(length):
            for rows, match in self._alike(block, offset, length, one):
                if match is None:
                    rest.append(rows)
                else:
                    matches.append((rows, match))
        single = np.sort(np.concatenate(rest)) if rest else np.empty(0, np.int64)
        extracted = extract(block, offset, length, single[block[offset[single] + 8] != SEAL], names)
        if extracted is not None:
            single = np.setdiff1d(single, extracted.frame, assume_unique=True)
        single = self._mixed(block, offset, length, single, matches)
        decoded, broken = self._decoded(block, offset[single], length[single], single)
        if broken is not None:
            matches = [(rows[before], match.take(before)) for rows, match in matches if (before := rows < broken).any()]
            extracted = None if extracted is None else extracted.take(np.arange(len(offset)) < broken)
        return SortedFrames(matches, decoded, broken, extracted)

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
        """Frames of one length: those of shapes that many of them have, then the others."""
        layouts = self._of_size.get(int(length[rows[0]]), [])
        for layout in layouts if len(rows) >= _FEW else []:
            match, fits = layout.match(block, offset[rows], length[rows])
            if len(match):
                yield rows[fits], match
                rows = rows[~fits]
                if not len(rows):
                    return
        while len(rows) >= _MANY and len(layouts) < _MOST_ALIKE:
            shape = self._parsed(block, offset, length, int(rows[len(rows) // 2]))
            if shape is None:
                break
            match, fits = RecordLayout(shape).match(block, offset[rows], length[rows])
            if len(match) < _FEW:
                break
            layouts = [*layouts, match.layout]
            if len(self._of_size) >= _MOST_LENGTHS:
                self._of_size.clear()
            self._of_size[int(length[rows[0]])] = layouts
            yield rows[fits], match
            rows = rows[~fits]
        if len(rows):
            yield rows, None

    def _mixed(
        self, block: Octets, offset: Ints, length: Ints, rows: Ints, matches: list[tuple[Ints, RecordBatch]]
    ) -> Ints:
        """Frames of any length: adds to *matches*, and returns those that are left."""
        left: list[Ints] = []
        while len(rows) >= _FEW and self._in_vain < 4:
            layout = self._layout_for(block, offset, length, rows)
            match, fits = (None, None) if layout is None else layout.match(block, offset[rows], length[rows])
            if match is None or fits is None or len(match) < _FEW:
                self._in_vain += 1
                left.append(rows[:1])
                rows = rows[1:]
                continue
            self._in_vain = 0
            matches.append((rows[fits], match))
            rows = rows[~fits]
        # Frames that have no shape, or each its own: look again, but not at every block.
        self._in_vain = (self._in_vain + 1) % 32 if self._in_vain >= 4 else self._in_vain
        return np.sort(np.concatenate([rows, *left]))

    def _layout_for(self, block: Octets, offset: Ints, length: Ints, rows: Ints) -> RecordLayout | None:
        """A layout for as many of *rows* as a few samples can tell; None when these have no shape."""
        shapes: list[Shape] = []
        for row in rows[:: max(1, len(rows) // _SAMPLES)].tolist():
            shape = self._parsed(block, offset, length, row)
            if shape is not None and (known := self._of_key.get(shape.key)) is not None:
                layout = self._of_key[shape.key] = known.loosened(shape)
                return layout
            if shape is not None:
                shapes.append(shape)
        if not shapes:
            return None
        (key, _), *_ = Counter(shape.key for shape in shapes).most_common(1)
        alike = [shape for shape in shapes if shape.key == key]
        layout = RecordLayout(alike[0], alike[0].texts)
        for shape in alike:
            layout = layout.loosened(shape)
        if len(self._of_key) >= _MOST_LAYOUTS:
            self._of_key.clear()
        self._of_key[key] = layout
        return layout

    @staticmethod
    def _parsed(block: Octets, offset: Ints, length: Ints, row: int) -> Shape | None:
        start = int(offset[row])
        return parse(block[start + _HEAD : start + int(length[row])].tobytes())

    @staticmethod
    def _decoded(
        block: Octets, offset: Ints, length: Ints, rows: Ints
    ) -> tuple[list[tuple[int, float, dict[Any, Any]]], int | None]:
        view = block.data
        decoded: list[tuple[int, float, dict[Any, Any]]] = []
        for row, start, size in zip(rows.tolist(), offset.tolist(), length.tolist(), strict=True):
            try:
                data = decode(view[start + _HEAD : start + size])
            except ValueError:
                return decoded, row
            if names := float32_lists(view[start + _HEAD : start + size]):
                data = with_float32(data, names)
            decoded.append((row, _unpack(view, start)[0], data))
        return decoded, None
