"""Writing a log as Parquet: what types the values of a column have, and what of them it can hold."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codec import Reader, Writer
from trainlog.codecs.flog import FlogWriter
from trainlog.codecs.flog.reader import FlogReader
from trainlog.codecs.frame_payload import encode
from trainlog.codecs.parquet.layout import GROUP, METADATA, column_name, packed, pyarrow_modules
from trainlog.errors import LogExists
from trainlog.model import Frame, Header, Kind
from trainlog.storage.source import written_aside
from trainlog.table.arrow import lists
from trainlog.table.table import Table
from trainlog.table.values import flatten

if TYPE_CHECKING:
    import pyarrow

__all__ = ["ParquetWriter"]

Array = npt.NDArray[Any]

_MOST_COLUMNS: Final = 10_000

_SCALARS: Final = {float: "float64", int: "int64", bool: "bool_", str: "string", bytes: "binary"}
_LEAVES: Final = frozenset([float, int, bool])


class _Type(NamedTuple):
    """The type of a value as far as a column can tell it: what it is, or what its lists are of and how long."""

    of: type
    shape: tuple[int, ...] = ()

    @property
    def rank(self) -> tuple[type, int]:
        """What all values of a column have in common."""
        return self.of, len(self.shape)


def _type_of(value: Any) -> _Type | None:
    """The type of *value*; None when no column can hold it exactly."""
    one = type(value)
    if one is list:
        return _list_type(value)
    if one not in _SCALARS or (one is int and not -(2**63) <= value < 2**63) or (one is str and not _is_text(value)):
        return None
    return _Type(one)


def _list_type(value: list[Any]) -> _Type | None:
    types = set(map(type, value))
    if len(types) != 1:
        return None
    if types == {list}:
        inner = set(map(_list_type, value))
        found = inner.pop()
        return None if inner or found is None else _Type(found.of, (len(value), *found.shape))
    (one,) = types
    if one not in _LEAVES or (one is int and not -(2**63) <= min(value) <= max(value) < 2**63):
        return None
    return _Type(one, (len(value),))


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Column:
    """A column as its values are met: what types they have, and how many have each."""

    def __init__(self) -> None:
        self._types: Counter[_Type] = Counter()

    def meet(self, values: list[Any]) -> None:
        types = set(map(type, values))
        if types <= {float, bool, bytes}:  # which are always held exactly
            self._types.update({_Type(one): sum(type(value) is one for value in values) for one in types})
        elif types == {int} and -(2**63) <= min(values) <= max(values) < 2**63:
            self._types[_Type(int)] += len(values)
        else:
            self._types.update(found for value in values if (found := _type_of(value)) is not None)

    def kind(self) -> tuple[tuple[type, int], tuple[int, ...] | None] | None:
        """What the column holds, and the shape that all its values have, if they have one; None for nothing."""
        ranks: Counter[tuple[type, int]] = Counter()
        for found, count in self._types.items():
            ranks[found.rank] += count
        if not ranks:
            return None
        rank = (float, 0) if {(float, 0), (int, 0)} == ranks.keys() else ranks.most_common(1)[0][0]
        shapes = {found.shape for found in self._types if found.rank == rank}
        return rank, shapes.pop() if len(shapes) == 1 else None


class ColumnEncoder:
    """A column of the file: what of a value it can hold."""

    def __init__(self, rank: tuple[type, int], shape: tuple[int, ...] | None) -> None:
        self._of, self._depth = rank
        self._shape = shape if shape is not None and 0 not in shape else None

    def arrow_type(self, pa: Any) -> Any:
        found = getattr(pa, _SCALARS[self._of])()
        for size in reversed(self._shape) if self._shape is not None else [None] * self._depth:
            found = pa.list_(found) if size is None else pa.list_(found, size)
        return found

    def array(self, pa: Any, values: list[Any], inexact: set[int]) -> pyarrow.Array:
        """*values* as the column has them, null where it cannot; adds the rows where that is not all to *inexact*."""
        types = set(map(type, values))
        if types <= {self._of, _Absent} and self._depth == 0 and self._of in (float, bool, bytes):
            return pa.array([None if value is _ABSENT else value for value in values], self.arrow_type(pa))
        held: list[Any] = []
        for row, value in enumerate(values):
            if value is _ABSENT:
                held.append(None)
                continue
            found = _type_of(value)
            if found is not None and found.rank == (self._of, self._depth) and self._shape in (None, found.shape):
                held.append(value)
            else:
                inexact.add(row)
                held.append(float(value) if found == (int, ()) and (self._of, self._depth) == (float, 0) else None)
        if self._shape:
            return self._lists(held)
        return pa.array(held, self.arrow_type(pa))

    def _lists(self, held: list[Any]) -> pyarrow.Array:
        assert self._shape is not None
        empty = np.array([value is None for value in held])
        block: Array = np.zeros((len(held), *self._shape), {float: np.float64, int: np.int64, bool: np.bool_}[self._of])
        if not empty.all():
            block[~empty] = [value for value in held if value is not None]
        return lists(block, empty)


class _Absent:
    """The value of a key that a frame does not have."""


_ABSENT: Final = _Absent()


Columns = dict[tuple[Kind, str], ColumnEncoder]


class ParquetWriter(Writer):
    """A log that becomes Parquet when it is closed, and is a FLOG file beside the target until then."""

    def __init__(self, path: Path, header: Header) -> None:
        pyarrow_modules()
        if path.exists():
            raise LogExists("there is a file already, and a log is never overwritten unasked", path=path)
        self._path = path
        self._spool = path.with_name(f".{path.name}.{os.getpid()}.flog")
        self._writer = FlogWriter(self._spool, header)
        self._done = False

    def write(self, frame: Frame) -> None:
        """Write one frame, which a killed process leaves in the FLOG file."""
        self._writer.write(frame)

    def write_table(self, table: Table) -> None:
        """Write the rows of *table* as frames."""
        self._writer.write_table(table)

    def flush(self) -> None:
        """Make sure that what was written so far is in the FLOG file."""
        self._writer.flush()

    def close(self) -> None:
        """Make the Parquet file; may be called again."""
        self._writer.close()
        if not self._done:
            _write(FlogReader(self._spool), self._path)
            self._done = True
            self._spool.unlink()


def _write(log: Reader, path: Path) -> None:
    """Write the FLOG file *log* as Parquet."""
    pa, parquet = pyarrow_modules()
    columns = _columns_of(log)
    schema = pa.schema(
        [
            ("time", pa.float64()),
            ("kind", pa.dictionary(pa.int16(), pa.string())),
            *((column_name(*key), column.arrow_type(pa)) for key, column in columns.items()),
            ("frame", pa.binary()),
        ],
        {METADATA: packed(log.header)},
    )
    text = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_dictionary(field.type)]
    with (
        written_aside(path) as file,
        parquet.ParquetWriter(file, schema, compression="zstd", use_dictionary=text) as writer,
    ):
        for batch in _batches(log.frames()):
            writer.write_table(_group(pa, schema, columns, batch))


def _batches(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
    frames = iter(frames)
    while batch := list(itertools.islice(frames, GROUP)):
        yield batch


def _columns_of(log: Reader) -> Columns:
    """The columns that the file will have, in the order of first sight, those of one kind together."""
    met: dict[tuple[Kind, str], _Column] = {}
    for batch in _batches(log.frames()):
        for kind, rows in _by_kind(batch).items():
            for key, values in _transposed([flatten(batch[row].data) for row in rows]).items():
                if (kind, key) in met or (len(met) < _MOST_COLUMNS and _is_text(key)):
                    met.setdefault((kind, key), _Column()).meet([value for value in values if value is not _ABSENT])
    found = {key: column.kind() for key, column in met.items()}
    columns = {key: ColumnEncoder(*kind) for key, kind in found.items() if kind is not None}
    return dict(sorted(columns.items(), key=lambda item: item[0][0]))


def _by_kind(batch: list[Frame]) -> dict[Kind, list[int]]:
    rows: dict[Kind, list[int]] = {}
    for row, frame in enumerate(batch):
        rows.setdefault(frame.kind, []).append(row)
    return rows


def _transposed(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(itertools.chain.from_iterable(rows))
    return {name: [row.get(name, _ABSENT) for row in rows] for name in names}


def _group(pa: Any, schema: Any, columns: Columns, batch: list[Frame]) -> Any:
    """*batch* as a row group."""
    arrays: dict[str, Any] = {
        "time": pa.array([frame.time for frame in batch], pa.float64()),
        "kind": pa.array([str(frame.kind) for frame in batch]).dictionary_encode().cast(schema.field("kind").type),
    }
    raw: list[bytes | None] = [None] * len(batch)
    for kind, rows in _by_kind(batch).items():
        data = [batch[row].data for row in rows]
        flat = [flatten(one) for one in data]
        inexact = {i for i, (one, other) in enumerate(zip(data, flat, strict=True)) if one is not other}
        place = np.full(len(batch), -1)
        place[rows] = np.arange(len(rows))
        places = pa.array(place, mask=place < 0)
        for key, values in _transposed(flat).items():
            column = columns.get((kind, key))
            if column is None:
                inexact.update(i for i, value in enumerate(values) if value is not _ABSENT)
            else:
                arrays[column_name(kind, key)] = column.array(pa, values, inexact).take(places)
        for i in inexact:
            raw[rows[i]] = encode(data[i])
    arrays["frame"] = pa.array(raw, pa.binary())
    for field in schema:
        if field.name not in arrays:
            arrays[field.name] = pa.nulls(len(batch), field.type)
    return pa.table([arrays[field.name] for field in schema], schema=schema)
