"""Writing a log as Parquet: it is first a log of another format, which becomes Parquet when it is closed."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from trainlog.codec import Codec, Reader
from trainlog.codecs.frame_payload import encode
from trainlog.codecs.parquet.column_types import ColumnType, common_type, count_types, is_text
from trainlog.codecs.parquet.layout import FRAME, GROUP, INEXACT, METADATA, column_name, packed, pyarrow_modules
from trainlog.codecs.spool import SpooledWriter
from trainlog.model import Header, Kind
from trainlog.scan import Batch, Scan, stretches
from trainlog.storage.replace import atomic_write
from trainlog.table.values import flatten

__all__ = ["open_writer"]

_MOST_COLUMNS: Final = 2_000  # pyarrow's writer takes a tenth of a megabyte for each; further keys are in `frame`
_MOST_CELLS: Final = 1 << 23  # of rows built at once: with very many columns, row groups have fewer rows

# Names of columns that may come from a nested map, or from a key that is not text: a number, bytes, a tuple.
_AMBIGUOUS: Final = re.compile(r".*/|[-(\d]|b['\"]|(nan|inf|None|True|False)(#|$)", re.DOTALL)

ColumnTypes = dict[tuple[Kind, str], ColumnType]


def open_writer(path: Path, header: Header, spool: Codec) -> SpooledWriter:
    """A writer of a log that is in the format *spool* next to *path*, and becomes Parquet when it is closed."""
    pyarrow_modules()
    # pyarrow imports pandas when it converts the first array, and pandas this module, which cannot be imported any more
    # while the interpreter ends; a recorder may be closed only then.
    import concurrent.futures.thread  # noqa: F401

    return SpooledWriter(path, header, spool, lambda log, target: _write(spool.read(log), target))


def _write(log: Reader, path: Path) -> None:
    """Write *log* as Parquet."""
    pa, parquet = pyarrow_modules()
    types = _column_types(log)
    schema = pa.schema(
        [
            ("time", pa.float64()),
            ("kind", pa.dictionary(pa.int16(), pa.string())),
            *((column_name(*key), one.arrow(pa)) for key, one in types.items()),
            (FRAME, pa.binary()),
        ],
        {METADATA: packed(log.header)},
    )
    text = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_dictionary(field.type)]
    with (
        atomic_write(path, new=True) as file,
        parquet.ParquetWriter(file, schema, compression="zstd", use_dictionary=text) as writer,
    ):
        inexact: set[str] = set()
        for batches in _stretches(log, min(GROUP, max(_MOST_CELLS // len(schema), 1))):
            table = _rows_of(pa, schema, types, log, batches, inexact)
            writer.write_table(table, math.ceil(len(table) / max(round(len(table) / GROUP), 1)))
        writer.add_key_value_metadata({INEXACT: json.dumps(sorted(inexact))})


def _stretches(log: Reader, rows: int = GROUP) -> Iterator[list[Batch]]:
    """Yield the whole *log*, about this many *rows* at a time, or a few times as many."""
    for batches in stretches(log.scan(Scan(batch_rows=rows))):
        if found := [batch for batch in batches.values() if batch.table.rows]:
            yield found


def _column_types(log: Reader) -> ColumnTypes:
    """The columns that the file will have, grouped by kind, in the order of their first occurrence."""
    met: dict[tuple[Kind, str], Counter[ColumnType]] = {}
    rows = 0
    for batches in _stretches(log):
        for table, *_ in batches:
            rows += table.rows
            for key in table:
                name = table.kind, key
                if name in met or (len(met) < _MOST_COLUMNS and is_text(key)):
                    count_types(met.setdefault(name, Counter()), table.column(key))
    found = ((name, common_type(counts, rows)) for name, counts in sorted(met.items(), key=lambda item: item[0][0]))
    return {name: one for name, one in found if one is not None}


def _rows_of(pa: Any, schema: Any, types: ColumnTypes, log: Reader, batches: list[Batch], inexact: set[str]) -> Any:
    """*batches*, which are one stretch of *log*, as rows of the file; adds to *inexact* (see `layout.INEXACT`)."""
    order = np.sort(np.concatenate([batch.order for batch in batches]))
    total = len(order)
    time, kinds = np.empty(total), np.empty(total, np.int16)
    lost, doubtful = np.zeros((2, total), np.bool_)
    arrays: dict[str, Any] = {}
    for i, batch in enumerate(batches):
        table, rows = batch.table, np.searchsorted(order, batch.order)
        time[rows], kinds[rows] = table.time, i
        place = np.full(total, -1)
        place[rows] = np.arange(table.rows)
        places = pa.array(place, mask=place < 0)
        for key in table:
            column, one, name = table.column(key), types.get((table.kind, key)), str(table.kind)
            missing = column.present
            if one is not None:
                name = column_name(table.kind, key)
                array, may_be_int = one.encode(pa, column)
                arrays[name] = array if table.rows == total else array.take(places)
                doubtful[rows] |= missing if _AMBIGUOUS.match(key) else may_be_int
                missing = missing & array.is_null().to_numpy(zero_copy_only=False)
            if missing.any():
                inexact.add(name)
                lost[rows] |= missing
    raw: list[bytes | None] = [None] * total
    found = np.flatnonzero(lost | doubtful)
    for row, (_, kind, data) in zip(found.tolist(), log.take(order[found].tolist()), strict=True):
        flat = flatten(data)
        unlike = [key for key, value in flat.items() if (one := types.get((kind, key))) and not one.holds(value)]
        inexact.update(column_name(kind, key) for key in unlike)
        if lost[row] or unlike or flat is not data:
            raw[row] = encode(data)
    arrays |= {"time": pa.array(time), FRAME: pa.array(raw, pa.binary())}
    arrays["kind"] = pa.DictionaryArray.from_arrays(pa.array(kinds), [str(batch.table.kind) for batch in batches])
    columns = [arrays[one.name] if one.name in arrays else pa.nulls(total, one.type) for one in schema]
    return pa.table(columns, schema=schema)
