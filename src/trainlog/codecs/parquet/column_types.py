"""The types of the file's columns: which type fits the values of a key, and which values a column can hold."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.table.arrow import lists
from trainlog.table.builder import is_sparse
from trainlog.table.column import VALUE, Column

if TYPE_CHECKING:
    import pyarrow

__all__ = ["ColumnType", "common_type", "count_types", "is_text"]

Bools = npt.NDArray[np.bool_]

_DTYPES: Final = {"double": np.float64, "float": np.float32, "int64": np.int64, "bool": np.bool_}
_BY_DTYPE: Final = {np.dtype(dtype): leaf for leaf, dtype in _DTYPES.items()}
_BY_TYPE: Final = {float: "double", int: "int64", bool: "bool", str: "string", bytes: "binary"}
_FLOATS: Final = frozenset(["double", "float"])


class ColumnType(NamedTuple):
    """The type of a value, or of a column.

    Attributes:
        leaf: Arrow's name of the type, or of the type of the items if it is a list.
        shape: the lengths of the lists, from the outermost to the innermost; None for a length that varies.

    """

    leaf: str
    shape: tuple[int | None, ...] = ()

    @classmethod
    def of(cls, arrow: pyarrow.DataType) -> ColumnType:
        """The type of a column in the file."""
        shape: list[int | None] = []
        while arrow.num_fields:
            shape.append(getattr(arrow, "list_size", None))
            arrow = arrow.value_type
        return cls(str(arrow), tuple(shape))

    def arrow(self, pa: Any) -> pyarrow.DataType:
        """The same as an Arrow type."""
        found = pa.type_for_alias(self.leaf)
        for size in reversed(self.shape):
            found = pa.list_(found, -1 if size is None else size)
        return found

    def holds(self, value: Any) -> bool:
        """Whether a column of this type holds *value* exactly."""
        found = _type_of(value)
        return (
            found is not None
            and len(found.shape) == len(self.shape)
            and (found.shape == self.shape or None in self.shape)
            and (found.leaf == self.leaf or {found.leaf, self.leaf} == _FLOATS)
        )

    def encode(self, pa: Any, column: Column) -> tuple[pyarrow.Array, Bools]:
        """*column* as this type, null where no value fits, and which values may have been ints.

        A table turns ints among floats into floats, so that only the frame can show whether 2.0 was 2.
        """
        values, state = column
        gaps = np.zeros(len(values), np.bool_) if state is None else state != VALUE
        may_be_int = np.zeros(len(values), np.bool_)
        leaf = _BY_DTYPE.get(values.dtype)
        if values.shape[1:] == self.shape and (leaf == self.leaf or (leaf, self.leaf) == ("float", "double")):
            if leaf == "double":
                integral = np.isfinite(values) & (np.trunc(values) == values)
                may_be_int = ~gaps & integral.any(axis=tuple(range(1, values.ndim)))
        elif (leaf, values.ndim, self) == ("int64", 1, _DOUBLE):
            may_be_int = ~gaps
        else:
            return self._encode_objects(pa, values, gaps, may_be_int), may_be_int
        values = values.astype(_DTYPES[self.leaf], copy=False)
        return (lists(values, gaps) if self.shape else pa.array(values, mask=gaps)), may_be_int

    def _encode_objects(self, pa: Any, values: npt.NDArray[Any], gaps: Bools, may_be_int: Bools) -> pyarrow.Array:
        """Encode *values* of any types as `encode` does; sets *may_be_int*."""
        held: list[Any] = [None if gap else value for value, gap in zip(values.tolist(), gaps.tolist(), strict=True)]
        if not self.shape and {_BY_TYPE.get(one) for one in {*map(type, held)} - {type(None)}} == {self.leaf}:
            try:
                return pa.array(held, self.arrow(pa))
            except (UnicodeEncodeError, OverflowError, pa.ArrowInvalid):
                pass  # one of them does not fit
        for row, value in enumerate(held):
            fits = value is not None and self.holds(value)
            may_be_int[row] = self.leaf == "double" and ((fits and self.shape != ()) or _type_of(value) == _INT)
            if isinstance(value, np.ndarray):
                held[row] = value.tolist()
            if not fits:
                held[row] = float(value) if may_be_int[row] and not self.shape else None
        return pa.array(held, self.arrow(pa))


_DOUBLE: Final = ColumnType("double")
_INT: Final = ColumnType("int64")


def _type_of(value: Any) -> ColumnType | None:
    """The type of *value*; None when no column can hold it exactly."""
    one = type(value)
    if one is np.ndarray:
        leaf = _BY_DTYPE.get(value.dtype)
        return None if leaf is None or 0 in value.shape else ColumnType(leaf, value.shape)
    if one is list:
        types = set(map(type, value))
        items = set(map(_type_of, value if types != {float} else value[:1]))
        item = items.pop() if len(items) == 1 else None
        return None if item is None or item.leaf not in _DTYPES else ColumnType(item.leaf, (len(value), *item.shape))
    if one not in _BY_TYPE or (one is int and not -(2**63) <= value < 2**63) or (one is str and not is_text(value)):
        return None
    return ColumnType(_BY_TYPE[one])


def is_text(value: str) -> bool:
    """Whether UTF-8 can encode *value*."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def count_types(counts: Counter[ColumnType], column: Column) -> None:
    """Add the types of the values of *column* to *counts*."""
    values = column.values if column.state is None else column.values[column.state == VALUE]
    leaf = _BY_DTYPE.get(values.dtype)
    if leaf is None:
        counts.update(found for found in map(_type_of, values.tolist()) if found is not None)
    elif len(values) and 0 not in values.shape:
        counts[ColumnType(leaf, values.shape[1:])] += len(values)


def common_type(counts: Counter[ColumnType], total: int) -> ColumnType | None:
    """The most common type of the values of a column of *total* rows; None when it has no values.

    Ints and floats together are floats. All values share the type of their items and the depth of their lists. Lists
    that only few rows have get no fixed size: in Arrow a null takes as much memory as a list of fixed size.
    """
    wider = {"float": "double"} if any(one.leaf == "double" for one in counts) else {}
    ranks: Counter[tuple[str, int]] = Counter()
    shapes: dict[tuple[str, int], set[tuple[int | None, ...]]] = {}
    for (leaf, shape), count in counts.items():
        rank = wider.get(leaf, leaf), len(shape)
        ranks[rank] += count
        shapes.setdefault(rank, set()).add(shape)
    if not ranks:
        return None
    rank = ("double", 0) if ranks.keys() == {("double", 0), ("int64", 0)} else ranks.most_common(1)[0][0]
    shape, *others = shapes[rank]
    size = 8 * math.prod(one or 0 for one in shape)
    if others or is_sparse(ranks[rank], total, size):
        shape = (None,) * rank[1]
    return ColumnType(rank[0], shape)
