"""Some logs and the query for each, as a value that another process can execute.

The engines (a pool of processes, Polars, Ray Data, Dask, Spark) get fragments, and nothing else of trainlog.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from trainlog import registry
from trainlog.catalog.digest import Digest
from trainlog.errors import (
    CodecError,
    CorruptLog,
    MissingExtra,
    TrainlogError,
    TrainlogWarning,
)
from trainlog.model import Kind, KindLike
from trainlog.scan import Gap, Scan
from trainlog.storage.location import RemotePath
from trainlog.strictjson import strict_json
from trainlog.table.arrow import as_lists, extra, lists, utf8
from trainlog.table.builder import is_sparse
from trainlog.table.column import Column
from trainlog.table.table import Table
from trainlog.table.values import column_name, unknown_key

if TYPE_CHECKING:
    import pyarrow

__all__ = [
    "LABELS",
    "arrow_module",
    "Fragment",
    "Member",
    "OnError",
    "Schema",
    "item_of",
    "labels_of",
    "seconds_to_read",
    "with_floats",
]

OnError = Literal["raise", "skip", "report"]
"""What to do about damaged logs. ``raise``: raise an error at the first one. ``skip``: leave them out. ``report``: read
their whole frames, and name the logs in a warning. `Runs.damaged` lists them in any case."""

_SMALL: Final = 1 << 20  # bytes; smaller logs in an object storage are fetched together
_LEAST_ARROW: Final = 26  # the first version that reads null fixed-size lists from Parquet

LABELS: Final = ("run", "task", "seed")
"""The first columns of each row, which describe its run; ``time`` follows."""


class Member(NamedTuple):
    """A log of a fragment.

    Attributes:
        path: the path of the log.
        run: its name among the runs.
        task: the task of its metadata, or None.
        seed: the seed, or None.
        size: the bytes of its files.

    """

    path: Path
    run: str
    task: str | None
    seed: Any
    size: int


class Schema(NamedTuple):
    """All columns that occur in the rows of many logs, in order.

    Attributes:
        keys: the column of the log for each column of the result.
        types: the types of its values in all logs, see `trainlog.catalog.digest.Metric`.
        seed: whether all seeds are whole numbers; otherwise they are text.
        rare: array columns that few rows have. In Arrow, a null in a fixed-size list takes as much space as a value, so
            they have lists of variable size.

    """

    keys: dict[str, str]
    types: dict[str, frozenset[str]]
    seed: bool = True
    rare: frozenset[str] = frozenset()

    @classmethod
    def of(cls, digests: Iterable[Digest], kind: Kind, members: Iterable[Member]) -> Schema:
        """The schema of the rows of *kind* in logs with these *digests*."""
        types: dict[str, set[str]] = {}
        held: Counter[str] = Counter()
        total = 0
        for digest in digests:
            total += int(digest.spans.get(int(kind), [0])[0])
            for key, metric in digest.kinds.get(int(kind), {}).items():
                types.setdefault(key, set()).update(metric.types)
                held[key] += metric.rows
        keys: dict[str, str] = {}
        reserved: dict[str, str] = dict.fromkeys((*LABELS, "time"), "")
        for key in types:
            name = column_name(utf8(key), reserved | keys)
            keys[name] = key
        whole = all(one.seed is None or (type(one.seed) is int and abs(one.seed) < 1 << 63) for one in members)
        rare = {
            name
            for name, key in keys.items()
            if (shape := _shape_of(types[key])) and is_sparse(held[key], total, 8 * math.prod(shape))
        }
        return cls(keys, {name: frozenset(types[key]) for name, key in keys.items()}, whole, frozenset(rare))

    def labels(self, member: Member) -> tuple[str | None, ...]:
        """The values of `LABELS` of a log."""
        seed = member.seed if self.seed or member.seed is None else utf8(str(member.seed))
        return utf8(member.run), None if member.task is None else utf8(member.task), seed

    def columns_of(self, keys: Sequence[str], kind: KindLike) -> list[str]:
        """The columns of a result with these *keys* of the logs.

        Raises:
            KeyError: if no run has one of them.

        """
        names = {key: name for name, key in self.keys.items()}
        if missing := [key for key in keys if key not in names]:
            raise KeyError(unknown_key(missing[0], names, Kind.of(kind)))
        return [*LABELS, "time", *(names[key] for key in keys)]

    def arrow(self, columns: Sequence[str] | None = None) -> pyarrow.Schema:
        """The Apache Arrow schema of all columns, or of *columns*."""
        pa = arrow_module()
        labels = {"run": pa.string(), "task": pa.string(), "seed": pa.int64() if self.seed else pa.string()}
        own = {name: _type(pa, one, is_rare=name in self.rare) for name, one in self.types.items()}
        types = {**labels, "time": pa.float64(), **own}
        return pa.schema([(name, types[name]) for name in (types if columns is None else columns)])


def _shape_of(types: Collection[str]) -> tuple[int, ...]:
    """The common shape of all these values; empty if there is none, and for numbers."""
    shapes = {one.partition("(")[2].rstrip(",)") for one in types}
    return tuple(map(int, filter(None, shapes.pop().split(",")))) if len(shapes) == 1 else ()


def _type(pa: Any, types: frozenset[str], *, is_rare: bool) -> pyarrow.DataType:
    """The type that holds all these values: numbers as `trainlog.Table` joins them, mixed values as JSON text."""
    if not types:
        return pa.null()
    if len(types) == 1 and (found := _PLAIN.get(next(iter(types)))):
        return getattr(pa, found)()
    if types <= {"i", "u", "f"}:
        return pa.float64()
    shape, bases = _shape_of(types), {one.partition("(")[0] for one in types}
    if shape and 0 not in shape and bases <= {"f4", "f8", "i8", "u8"}:
        item = pa.float32() if bases == {"f4"} else pa.int64() if bases == {"i8"} else pa.float64()
        for size in reversed(shape):
            item = pa.list_(item, -1 if is_rare else size)
        return item
    return pa.string()


_PLAIN: Final = {"b": "bool_", "i": "int64", "u": "uint64", "f": "float64", "U": "string", "S": "binary"}


@dataclass(frozen=True, slots=True)
class Fragment:
    """Some logs and the query for each. It can be pickled, and read wherever the files are.

    Attributes:
        members: the logs.
        scan: the query, of one kind.
        on_error: see `OnError`.
        schema: the schema of the result, for engines that must know it in advance.
        columns: the columns of the schema to read; None means all.

    """

    members: tuple[Member, ...]
    scan: Scan
    on_error: OnError = "report"
    schema: Schema | None = None
    columns: tuple[str, ...] | None = None

    @property
    def seconds(self) -> float:
        """The approximate time that one process takes to read it."""
        return seconds_to_read(len(self.members), self.size)

    @property
    def size(self) -> int:
        """The bytes of its logs."""
        return sum(member.size for member in self.members)

    def select(self, columns: Sequence[str]) -> Fragment:
        """The fragment with only these columns of the schema, in this order."""
        assert self.schema is not None
        keys = [self.schema.keys[name] for name in columns if name in self.schema.keys]
        return replace(self, scan=replace(self.scan, columns=keys), columns=tuple(columns))

    def tables(self) -> tuple[list[tuple[int, list[Table]]], dict[str, str]]:
        """The tables of each log, by its index among the members, and the problems by run.

        Raises:
            DamagedLog: with ``on_error="raise"``.

        """
        self._prefetch()
        return self._each(lambda member, gaps: [table for table in self._scanned(member, gaps) if table.rows])

    def episodes(self) -> tuple[list[tuple[int, list[Table]]], dict[str, str]]:
        """The table of the episodes of each log, and the problems by run; as `tables`."""
        from trainlog.episode import episode_table

        return self._each(lambda member, gaps: [episode_table(registry.open(member.path), on_damage=gaps.append)])

    def _each(
        self, read: Callable[[Member, list[Gap]], list[Table]]
    ) -> tuple[list[tuple[int, list[Table]]], dict[str, str]]:
        found, damaged = [], {}
        for place, member in enumerate(self.members):
            gaps: list[Gap] = []
            try:
                tables = read(member, gaps)
            except TrainlogError as error:
                if self.on_error == "raise":
                    raise
                damaged[member.run] = error.message
                continue
            if holes := [gap for gap in gaps if not gap.torn]:
                damaged[member.run] = "; ".join(map(str, holes[:3])) + ("; ..." if len(holes) > 3 else "")
                if self.on_error == "raise":
                    raise CorruptLog(damaged[member.run], path=member.path, offset=holes[0].offset)
                if self.on_error == "skip":
                    continue
            found.append((place, tables))
        return found, damaged

    def _prefetch(self) -> None:
        """Fetch the small logs in an object storage together."""
        small = [one.path for one in self.members if isinstance(one.path, RemotePath) and one.size < _SMALL]
        if len(small) > 1:
            from trainlog.storage.remote import prefetch

            prefetch(small)

    def _scanned(self, member: Member, gaps: list[Gap]) -> Iterator[Table]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrainlogWarning)
            reader = registry.open(member.path)
        for batch in reader.scan(replace(self.scan, on_damage=gaps.append)):
            yield batch.table

    def arrow(self) -> pyarrow.Table:
        """All rows as one table of the schema.

        Raises:
            DamagedLog: with ``on_error="raise"``.
            CodecError: if a log has other values than when the runs were looked at.

        """
        return self.read()[0]

    def read(self) -> tuple[pyarrow.Table, dict[str, int], dict[str, str]]:
        """`arrow`, with the number of rows of each run that was read, and the problems by run; raises the same."""
        found, damaged = self.tables()
        rows = {self.members[place].run: sum(table.rows for table in tables) for place, tables in found}
        return self.encoded(found), rows, damaged

    def encoded(self, found: Iterable[tuple[int, list[Table]]]) -> pyarrow.Table:
        """The result of `arrow` from the result of `tables`; raises CodecError likewise.

        This way, a process that only reads the tables need not load pyarrow.
        """
        assert self.schema is not None
        pa = arrow_module()
        schema = self.schema.arrow(self.columns)
        parts = [self._encoded(pa, schema, self.members[place], table) for place, tables in found for table in tables]
        return pa.concat_tables(parts) if parts else schema.empty_table()

    def _encoded(self, pa: Any, schema: pyarrow.Schema, member: Member, table: Table) -> pyarrow.Table:
        assert self.schema is not None
        arrays = []
        for field in schema:
            if field.name in LABELS:
                value = self.schema.labels(member)[LABELS.index(field.name)]
                arrays.append(pa.repeat(pa.scalar(value, field.type), table.rows))
            elif field.name == "time":
                arrays.append(pa.array(table.time))
            elif (key := self.schema.keys[field.name]) in table:
                try:
                    is_json = self.schema.types[field.name] != {"U"}
                    arrays.append(_array(pa, field.type, table.column(key), is_json=is_json))
                except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
                    raise CodecError(
                        f"its column {key!r} has other values than when the runs were looked at; create the runs again",
                        path=member.path,
                    ) from error
            else:
                arrays.append(pa.nulls(table.rows, field.type))
        return pa.Table.from_arrays(arrays, schema=schema)


def _array(pa: Any, wanted: Any, column: Column, *, is_json: bool) -> Any:
    """*column* as an array of the type *wanted*; with *is_json*, values become JSON where that type is text.

    Raises:
        pyarrow.ArrowException, ValueError, TypeError: if it has values that are not of that type.

    """
    values, state = column
    mask = None if state is None else ~column.valid
    if values.ndim > 1 and pa.types.is_fixed_size_list(wanted):
        return lists(values.astype(item_of(wanted).to_pandas_dtype(), copy=False), mask).cast(wanted)
    are_floats = pa.types.is_floating(item_of(wanted))
    if values.dtype != object and values.ndim == 1 and not pa.types.is_string(wanted):
        return pa.array(values, mask=mask).cast(wanted, safe=not are_floats)  # ints may lose digits, as in a table
    found = as_lists(values, mask)
    if are_floats:
        found = [*map(with_floats, found)]
    if pa.types.is_string(wanted):
        found = [None if value is None else strict_json(value) if is_json else utf8(value) for value in found]
    return pa.array(found, wanted)


def with_floats(value: Any) -> Any:
    """*value*, a list or a number, with floats in place of ints."""
    if isinstance(value, list):
        return [*map(with_floats, value)]
    return float(value) if type(value) is int else value


def item_of(one: Any) -> Any:
    """The type of the items of an Arrow type of lists, however deep; *one* itself for any other type."""
    while hasattr(one, "value_type"):
        one = one.value_type
    return one


def arrow_module() -> Any:
    """The pyarrow module.

    Raises:
        MissingExtra: if it is missing, or too old to read what is written here.

    """
    pa = extra("pyarrow", '"trainlog[arrow]"')
    if int(pa.__version__.partition(".")[0]) < _LEAST_ARROW:
        raise MissingExtra(
            f"pyarrow {pa.__version__} cannot read vectors that some rows lack; another package may hold it back: "
            f'pip install "pyarrow>={_LEAST_ARROW}"'
        )
    return pa


def seconds_to_read(logs: int, size: int) -> float:
    """The approximate time that one process takes for this many *logs* with *size* bytes in total."""
    return logs * 5e-4 + size / 200e6


def labels_of(members: Sequence[Member]) -> Mapping[str, list[Any]]:
    """The values of each of `LABELS`."""
    return {name: [getattr(member, name) for member in members] for name in LABELS}
