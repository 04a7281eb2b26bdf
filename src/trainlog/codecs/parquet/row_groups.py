"""Row groups as columns: only the data that a scan asks for, without a Python loop per row.

Frames that the columns do not hold exactly are in the column ``frame`` as well. They are decoded one by one, but only
if one of the requested columns does not hold all of its values exactly.
"""

from __future__ import annotations

import functools
import itertools
import json
import zlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trainlog.codecs.frame_payload import decode
from trainlog.codecs.parquet.column_types import ColumnType
from trainlog.codecs.parquet.layout import FRAME, INEXACT, MOST_CELLS, pyarrow_modules
from trainlog.model import Kind
from trainlog.scan import Place, Scan
from trainlog.table.builder import TableBuilder
from trainlog.table.values import STEP, Range, flatten, in_range

__all__ = ["LogFile", "RowGroup", "split"]

Ints = npt.NDArray[np.int64]


class LogFile:
    """An open log in Parquet.

    Attributes:
        file: the `pyarrow.parquet.ParquetFile`.
        starts: the first row of each row group, and finally the number of rows.

    """

    def __init__(self, file: Any, source: Any) -> None:
        self.file = file
        self._source = source
        listed = file.metadata.metadata.get(INEXACT)
        self._inexact = None if listed is None else _names_in(listed)
        self._names = {name: name.partition("/") for name in file.schema_arrow.names}
        self._metadata = metadata = file.metadata
        sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        if max(sizes, default=0) * max(metadata.num_columns, 1) > MOST_CELLS or min(sizes, default=0) < 0:
            raise ValueError(
                f"a row group has {max(sizes):,} rows of {metadata.num_columns:,} columns, which is too many"
            )
        self.starts = list(itertools.accumulate(sizes, initial=0))
        # The metadata's own names of columns; for lists they differ from those in the schema.
        self._places = {metadata.schema.column(i).path: i for i in range(metadata.num_columns)}

    def checksum(self) -> str:
        """A checksum of the footer, which describes the place and the contents of each column of each row group."""
        end = self._source.size() - 8
        size = int.from_bytes(self._source.read_at(4, end), "little")
        return f"{zlib.crc32(self._source.read_at(size, end - size)):08x}"

    def columns(self, kinds: Collection[Kind] | None, keys: Collection[str] | None = None) -> list[str]:
        """The names of the columns of *kinds* with these *keys*; None means all."""
        texts = None if kinds is None else set(map(str, kinds))
        return [
            name
            for name, (kind, slash, key) in self._names.items()
            if slash and (texts is None or kind in texts) and (keys is None or key in keys)
        ]

    def is_inexact(self, name: str) -> bool:
        """Whether that column does not hold all its values exactly, or that kind of frame has keys without a column."""
        return self._inexact is None or name in self._inexact

    def groups(self, scan: Scan, place: Place) -> list[int]:
        """The row groups that may hold rows of *scan* from *place* on, by their statistics."""
        groups = [group for group, end in enumerate(self.starts[1:]) if end > place.start]
        groups = [group for group in groups if self._meets(group, "time", scan.time)]
        if scan.steps is None:
            return groups
        names = self.columns(scan.wanted, [STEP])
        return [  # a step that its column cannot hold is only in `frame`
            group
            for group in groups
            if not self.is_null(group, FRAME) or any(self._meets(group, name, scan.steps) for name in names)
        ]

    def _meets(self, group: int, name: str, limits: Range | None) -> bool:
        """Whether that column of a row group may have numbers within *limits*; its statistics leave NaN out."""
        if limits is None or name not in self._places:
            return True
        if self.is_null(group, name):
            return False
        statistics = self._metadata.row_group(group).column(self._places[name]).statistics
        if statistics is None or not statistics.has_min_max or not isinstance(statistics.min, int | float):
            return True
        low, high = limits
        return (low is None or float(statistics.max) >= low) and (high is None or float(statistics.min) < high)

    def is_null(self, group: int, name: str) -> bool:
        """Whether that column of a row group is known to be null in every row."""
        rows = self._metadata.row_group(group)
        statistics = rows.column(self._places[name]).statistics
        return bool(statistics is not None and statistics.has_null_count and statistics.null_count == rows.num_rows)


def _names_in(listed: bytes) -> frozenset[str]:
    """The names in a JSON list.

    Raises:
        ValueError: when it is something else.

    """
    try:
        names = json.loads(listed)
    except RecursionError as error:
        raise ValueError(str(error)) from error
    if not isinstance(names, list):
        raise ValueError(f"{INEXACT.decode()} is not a list")
    return frozenset(map(str, names))


class RowGroup:
    """The part of one row group that a scan asks for.

    Attributes:
        start, end: the number of its first row in the file, and of the first row after it.

    """

    def __init__(self, log: LogFile, group: int, scan: Scan) -> None:
        pa, _ = pyarrow_modules()
        self._log = log
        self._group = group
        self._scan = scan
        self.start, self.end = log.starts[group], log.starts[group + 1]
        keys = scan.columns if scan.columns is None or scan.steps is None else {*scan.columns, STEP}
        names = log.columns(scan.wanted, keys)
        table = log.file.read_row_group(group, columns=["time", "kind", *names])
        self._time: npt.NDArray[np.float64] = table["time"].to_numpy()
        kinds = table["kind"].combine_chunks()
        self._kinds = kinds if pa.types.is_dictionary(kinds.type) else kinds.dictionary_encode()
        self._arrays = {name: table[name].combine_chunks() for name in names}

    def select(self, place: Place) -> dict[Kind, Ints]:
        """The rows of the group that the scan asks for from *place* on, by their kind."""
        scan, codes = self._scan, self._kinds.indices.to_numpy()
        found = {}
        for code, text in enumerate(self._kinds.dictionary.to_pylist()):
            if not scan.wants(kind := Kind.of(text)):
                continue
            rows = np.flatnonzero(codes == code)
            rows = rows[np.searchsorted(rows, (place.ahead if kind in place.done else place.start) - self.start) :]
            if scan.time is not None:
                rows = rows[in_range(self._time[rows], scan.time)]
            if scan.steps is not None and len(rows):
                rows = rows[in_range(self._steps(kind, rows), scan.steps)]
            found[kind] = rows
        return found

    def put(self, builder: TableBuilder, rows: Ints, keys: Sequence[str] | None) -> None:
        """Add *rows*, which are of the builder's kind, to its table, with all columns or those of *keys*."""
        log, start, kind = self._log, builder.rows, builder.kind
        builder.rows += len(rows)
        builder.time.put(slice(start, builder.rows), self._time[rows])
        names = {name.partition("/")[2]: name for name in log.columns([kind], keys) if name in self._arrays}
        arrays = {key: self._arrays[name] for key, name in names.items()}
        if len(rows) < len(self._time):
            arrays = {key: array.take(rows) for key, array in arrays.items()}
        needed = [names.get(key, str(kind)) for key in keys] if keys is not None else [*names.values(), str(kind)]
        frames = self._frames(rows) if any(map(log.is_inexact, needed)) else {}
        plain = np.ones(len(rows), np.bool_)
        plain[list(frames)] = False
        met = {row: list(data) for row, data in frames.items()}
        held = {key: array.is_valid().to_numpy(zero_copy_only=False) for key, array in arrays.items()}
        for key, name in names.items():
            first = int(np.argmax(held[key] & plain))
            if plain[first] and held[key][first]:
                met.setdefault(first, []).append(key)
            if log.is_inexact(name) and ColumnType.of(arrays[key].type).leaf == "double":
                held[key] &= plain  # a 2.0 in the column may be 2 in the frame; all its other values are exact
        builder.meet(met.items())
        for key, array in arrays.items():
            if len(chosen := np.flatnonzero(held[key])):
                is_all, column = len(chosen) == len(rows), builder.column(key)
                places = slice(start, builder.rows) if is_all else chosen + start
                values = _values(array if is_all else array.take(chosen))
                if isinstance(values, list):
                    column.extend(places, values)
                else:
                    column.put(places, values)
        rest = [
            {key: value for key, value in data.items() if key not in held or not held[key][row]}
            for row, data in frames.items()
        ]
        numbers = np.fromiter(frames, np.intp, len(frames)) + start
        builder.put_frames(numbers, rest, alike=len(set(map(tuple, rest))) == 1)

    def _steps(self, kind: Kind, rows: Ints) -> npt.NDArray[np.float64]:
        """The step of each of *rows* as a number; NaN where the step is not a number."""
        builder = TableBuilder(kind, [STEP])
        self.put(builder, rows, [STEP])
        steps = table.numbers(STEP) if STEP in (table := builder.finish()) else np.empty(0)
        return steps if steps.shape == rows.shape else np.full(len(rows), np.nan)

    def _frames(self, rows: Ints) -> dict[int, dict[str, Any]]:
        """The flat data of those of *rows* that are in ``frame``, by their place among *rows*."""
        if self._log.is_null(self._group, FRAME):
            return {}
        packed = self._packed.take(rows).to_pylist()
        return {i: flatten(decode(one)) for i, one in enumerate(packed) if one is not None}

    @functools.cached_property
    def _packed(self) -> Any:
        return self._log.file.read_row_group(self._group, columns=[FRAME])[FRAME].combine_chunks()


def _values(array: Any) -> npt.NDArray[Any] | list[Any]:
    """The values of *array*, none of which is null; lists of any length as they are."""
    shape = ColumnType.of(array.type).shape
    if None in shape:
        return array.to_pylist()  # type: ignore[no-any-return]
    leaves = array
    for _ in shape:
        leaves = leaves.flatten()
    return leaves.to_numpy(zero_copy_only=False).reshape(len(array), *shape)  # type: ignore[no-any-return]


def split(rows: dict[Kind, Ints], first: int, size: int) -> Iterator[tuple[dict[Kind, Ints], int | None]]:
    """Yield *rows* in pieces: first *first* rows of all kinds, then *size* at a time, each with the row after its last.

    The last piece has fewer rows, perhaps none, and comes with None.
    """
    is_cut = sum(map(len, rows.values())) >= first
    order = np.sort(np.concatenate(list(rows.values()))) if is_cut else np.empty(0, np.int64)
    low = 0
    for end in [*(order[first - 1 :: size] + 1).tolist(), None]:
        limits = (low, 1 << 62 if end is None else end)
        yield {kind: some[slice(*np.searchsorted(some, limits))] for kind, some in rows.items()}, end
        low = limits[1]
