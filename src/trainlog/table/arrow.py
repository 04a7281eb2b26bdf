"""numpy columns as Apache Arrow's, sharing their memory where the two lay values out alike."""

from __future__ import annotations

import importlib
import itertools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from trainlog.errors import MissingExtra

if TYPE_CHECKING:
    import pyarrow

__all__ = ["arrow_column", "arrow_table", "extra", "lists", "with_time"]

Array = npt.NDArray[Any]


def extra(module: str, install: str) -> Any:
    """The optional *module*.

    Raises:
        MissingExtra: when it is not installed; the message says how to *install* it.

    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(f"{module} is not installed: pip install {install} ({error})") from error


def with_time(time: Array, columns: Mapping[str, Array]) -> dict[str, Array]:
    """*columns* behind one called ``time``; a column that is called so itself is numbered, ``time#2``.

    Names are spelled in UTF-8, as others need them.
    """
    names = (f"time#{n}" for n in itertools.count(2) if f"time#{n}" not in columns)
    renamed = {next(names) if name == "time" else _utf8(name): column for name, column in columns.items()}
    return {"time": time, **renamed}


def arrow_table(columns: Mapping[str, Array]) -> pyarrow.Table:
    """*columns*, each of shape (rows, ...), as one Arrow table.

    Numbers share their memory with the numpy arrays; arrays of more dimensions become fixed-size lists. Bools are
    packed. In columns of objects, NaN and None are null; strings, bytes, bools, and lists become that type of
    Arrow, and what are unlike values becomes JSON text.
    """
    pa = extra("pyarrow", '"trainlog[arrow]"')
    return pa.table({name: arrow_column(column) for name, column in columns.items()})


def _utf8(name: str) -> str:
    """*name*, with what UTF-8 cannot spell (a key that was no text) written as an escape."""
    return name.encode("utf-8", "backslashreplace").decode()


def arrow_column(column: Array) -> pyarrow.Array:
    """One column of `arrow_table`."""
    pa = extra("pyarrow", '"trainlog[arrow]"')
    if column.dtype == object:
        return _objects(pa, column)
    return pa.array(column) if column.ndim == 1 else lists(column)


def lists(block: Array, mask: Array | None = None) -> pyarrow.Array:
    """An array of shape (rows, n, ...) as lists of fixed size; null where *mask* is True."""
    pa = extra("pyarrow", '"trainlog[arrow]"')
    if 0 in block.shape[1:]:
        return pa.array(block.tolist(), mask=mask)
    array = pa.array(np.ascontiguousarray(block).reshape(-1))
    for size in block.shape[:0:-1]:
        last = len(array) // size == len(block) and mask is not None
        array = pa.FixedSizeListArray.from_arrays(array, size, mask=pa.array(mask) if last else None)
    return array


def _objects(pa: Any, column: Array) -> pyarrow.Array:
    values = [None if isinstance(value, float) and value != value else value for value in column.tolist()]
    types = set(map(type, values)) - {type(None)}
    if len(types) < 2:
        try:
            return pa.array(values)
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):
            pass
    return pa.array([None if value is None else _json(value) for value in values], pa.string())


def _json(value: Any) -> str:
    return json.dumps(value, default=_text)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
