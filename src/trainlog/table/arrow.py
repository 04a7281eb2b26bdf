"""Columns as Apache Arrow, polars and pandas data, sharing memory where the layouts agree."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from trainlog.errors import MissingExtra
from trainlog.strictjson import lenient_json
from trainlog.table.column import VALUE, Column
from trainlog.table.values import column_name

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

__all__ = [
    *("arrow_column", "arrow_table", "as_lists", "extra", "lists", "pandas_frame", "polars_frame", "utf8", "with_time"),
]

Array = npt.NDArray[Any]


def extra(module: str, install: str) -> Any:
    """Import the optional *module*.

    Raises:
        MissingExtra: when it is not installed; the message says what to *install*.

    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(f"{module} is not installed: pip install {install} ({error})") from error


def with_time(time: Array, columns: Mapping[str, Column]) -> dict[str, Column]:
    """*columns* after a first column ``time``; a column that already has this name is numbered, ``time#2``.

    Names become valid UTF-8, as other libraries require it.
    """
    renamed = {"time": Column(time)}
    for name, column in columns.items():
        text = utf8(name)
        renamed[name if name == text != "time" else column_name(text, renamed, columns)] = column
    return renamed


def utf8(text: str) -> str:
    """*text*, with characters that UTF-8 cannot encode (from a key that was not text) as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def arrow_table(columns: Mapping[str, Column]) -> pyarrow.Table:
    """*columns*, each of shape (rows, ...), as one Arrow table.

    Numbers share their memory with the numpy arrays; arrays of more dimensions become fixed-size lists. Bools are
    packed. Absent and null values become null; NaN stays NaN. An object column of strings, bytes, bools or lists gets
    that Arrow type; an object column of mixed types becomes JSON text.
    """
    pa = extra("pyarrow", '"trainlog[arrow]"')
    return pa.table({name: arrow_column(column) for name, column in columns.items()})


def arrow_column(column: Column) -> pyarrow.Array:
    """One column of `arrow_table`."""
    pa = extra("pyarrow", '"trainlog[arrow]"')
    values, state = column
    mask = None if state is None else state != VALUE
    if values.dtype == object:
        return _objects(pa, values, mask)
    return pa.array(values, mask=mask) if values.ndim == 1 else lists(values, mask)


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


def _objects(pa: Any, column: Array, mask: Array | None) -> pyarrow.Array:
    values = as_lists(column, mask)
    held = column if mask is None else column[~mask]
    wanted = _list_type(pa, held) if all(isinstance(value, np.ndarray) for value in held) else None
    types = set(map(type, values)) - {type(None)}
    if len(types) < 2:
        try:
            return pa.array(values, wanted)
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):
            pass
    return pa.array([None if value is None else _json(value) for value in values], pa.string())


def as_lists(column: Array, mask: Array | None) -> list[Any]:
    """The values of *column*, arrays as lists; None where *mask* is True."""
    values = [value.tolist() if isinstance(value, np.ndarray) else value for value in column.tolist()]
    if mask is None:
        return values
    return [None if gap else value for value, gap in zip(values, mask.tolist(), strict=True)]


def _list_type(pa: Any, values: Iterable[Array]) -> pyarrow.DataType | None:
    """The Arrow type of *values* as lists, with numbers of the same width; None when the arrays differ in type."""
    kinds = {(value.dtype, value.ndim) for value in values}
    if len(kinds) != 1:
        return None
    dtype, ndim = kinds.pop()
    found = pa.from_numpy_dtype(dtype)
    for _ in range(ndim):
        found = pa.list_(found)
    return found


def _json(value: Any) -> str:
    return lenient_json(value, default=_text)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def polars_frame(columns: Mapping[str, Column]) -> polars.DataFrame:
    """*columns* as a polars frame."""
    frame: polars.DataFrame = extra("polars", 'polars "trainlog[arrow]"').from_arrow(arrow_table(columns))
    return frame


def pandas_frame(columns: Mapping[str, Column]) -> pandas.DataFrame:
    """*columns* as a pandas frame; arrays of more dimensions become one column per element, with a name of its own."""
    pd = extra("pandas", "pandas")
    masked = {"f": pd.arrays.FloatingArray, "i": pd.arrays.IntegerArray, "u": pd.arrays.IntegerArray}
    masked["b"] = pd.arrays.BooleanArray
    flat: dict[str, Any] = {}
    for name, (values, state) in columns.items():
        for place in np.ndindex(values.shape[1:]):
            array = values[(slice(None), *place)]
            if state is not None and array.dtype != object:
                array = masked[array.dtype.kind](array, state != VALUE)
            elif state is not None:
                array = np.where(state == VALUE, array, np.array(None, object))
            flat[column_name("/".join([name, *map(str, place)]), flat, columns) if place else name] = array
    try:
        return pd.DataFrame(flat, copy=False)
    except UnicodeEncodeError:  # pandas cannot hold text that is not UTF-8 in a string column
        return pd.DataFrame(
            {name: pd.Series(one, dtype=object) if one.dtype == object else one for name, one in flat.items()},
            copy=False,
        )
