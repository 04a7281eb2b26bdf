"""Many runs as a Spark data source, for batches and for streams: ``trainlog`` as a format.

By default, Spark pushes neither columns nor conditions down to a Python data source. Therefore ``keys``, ``time``,
``steps`` and ``filter`` select what is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Unpack

from trainlog.catalog.fragments import Fragment, OnError, arrow_module
from trainlog.catalog.plan import Plan, RowChoice
from trainlog.catalog.runs import Reached, Runs, Where, selected
from trainlog.errors import InvalidPosition, MissingExtra
from trainlog.model import Kind, KindLike
from trainlog.storage.location import location

try:
    from pyspark.sql.datasource import DataSource, DataSourceReader, DataSourceStreamReader, InputPartition
    from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
except ImportError as error:
    raise MissingExtra(f'Spark needs its extra: pip install "trainlog[spark]" ({error})') from error

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

__all__ = ["RunsDataSource", "read_runs", "read_stream"]

_BYTES: Final = 32 << 20  # size of the logs of a task
_BATCH: Final = 1 << 16  # rows that are passed to Spark at once


def read_runs(
    spark: SparkSession,
    where: Where | Iterable[Where],
    kind: KindLike = "stats",
    *,
    filter: str = "",
    on_error: OnError = "report",
    partition_bytes: int = _BYTES,
    **rows: Unpack[RowChoice],
) -> DataFrame:
    """The rows of all runs as a data frame: ``run``, ``task``, ``seed``, ``time``, then the columns of the logs.

    The columns are determined in this call. Each time that Spark reads the frame, it looks for the logs again; the
    tasks that read them must see them under the same paths.

    Args:
        spark: the session, in which the format ``trainlog`` is registered.
        where: folders, patterns and logs.
        kind: the kind of the frames.
        filter: which runs, see docs/runs.md.
        on_error: as for `trainlog.runs`.
        partition_bytes: the approximate size of the logs of a task, in bytes.
        rows: which rows and columns: ``keys``, ``time``, ``steps``, ``last``, as for `Runs.table`.

    Raises:
        MissingExtra: without pyarrow.
        LogNotFound, ExpressionError, DamagedLog: as `trainlog.runs` and `Runs.filter`.
        KeyError: when no run has one of *keys*.

    """
    reader = spark.read.option("partitionBytes", partition_bytes)
    found: DataFrame = _load(spark, reader, where, kind, filter, on_error, rows)
    return found


def read_stream(
    spark: SparkSession,
    where: Where | Iterable[Where],
    kind: KindLike = "stats",
    *,
    filter: str = "",
    on_error: OnError = "report",
    keys: Iterable[str] | None = None,
) -> DataFrame:
    """The same as a stream: the existing rows, then those that are logged later, each once.

    Its columns are those at the time of the call. A log that was replaced, or went back to a checkpoint, ends the
    stream with `InvalidPosition`, because rows cannot be taken back.

    Args:
        spark: the session.
        where: folders, patterns and logs.
        kind: the kind of the frames.
        filter: which runs; a run that no longer matches is skipped until it does.
        on_error: as for `trainlog.runs`.
        keys: only these columns of the logs.

    Raises:
        MissingExtra, LogNotFound, ExpressionError, DamagedLog, KeyError: as `read_runs`.

    """
    rows = RowChoice(keys=None if keys is None else list(keys))
    found: DataFrame = _load(spark, spark.readStream, where, kind, filter, on_error, rows)
    return found


def _load(
    spark: SparkSession,
    reader: Any,
    where: Where | Iterable[Where],
    kind: KindLike,
    filter: str,
    on_error: OnError,
    rows: RowChoice,
) -> Any:
    several = [where] if isinstance(where, str | os.PathLike) or hasattr(where, "as_uri") else list(where)
    paths = [str(location(one).absolute()) for one in several]
    schema = _schema_of(selected(paths, filter, on_error).plan(kind, **rows))  # raises errors here, unwrapped
    settings = {"paths": paths, "kind": int(Kind.of(kind)), "filter": filter, "onError": on_error, **rows}
    texts = {name: one if isinstance(one, str) else json.dumps(one, default=float) for name, one in settings.items()}
    spark.dataSource.register(RunsDataSource)
    return reader.format(RunsDataSource.name()).schema(schema).options(**texts).load()


class _Question:
    """The request in the options: text, as Spark requires, with lists and numbers as JSON."""

    def __init__(self, options: MutableMapping[str, str]) -> None:
        self._options = options

    def runs(self) -> Runs:
        """The runs, found again on each call."""
        options = self._options
        where = json.loads(options["paths"]) if "paths" in options else options.get("path", "")
        on_error: Any = options.get("onError", "report")
        return selected(where, options.get("filter", ""), on_error)

    @property
    def kind(self) -> KindLike:
        named = self._options.get("kind", "stats")
        return int(named) if named.isdecimal() else named

    @property
    def partition_bytes(self) -> int:
        return int(self._options.get("partitionBytes", _BYTES))

    def plan(self) -> Plan:
        rows: dict[str, Any] = {
            name: json.loads(self._options[name]) for name in ("keys", "time", "steps", "last") if name in self._options
        }
        return self.runs().plan(self.kind, **rows)


class RunsDataSource(DataSource):
    """``spark.read.format("trainlog").option("filter", "algo:sac").load("sweep/")``.

    Its options are those of `read_runs`, as text: ``path``, or ``paths`` as JSON, ``kind``, ``filter``, ``keys``,
    ``time``, ``steps`` and ``last`` as JSON, ``onError``, ``partitionBytes``.
    """

    @classmethod
    def name(cls) -> str:
        """The name of the format in Spark."""
        return "trainlog"

    def schema(self) -> StructType:
        """The columns of all runs."""
        return _schema_of(_Question(self.options).plan())

    def reader(self, schema: StructType) -> DataSourceReader:
        """A reader of the existing rows."""
        return _Reader(_Question(dict(self.options)), schema)

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:  # noqa: N802 - the name in Spark's API
        """A reader of new rows."""
        return _StreamReader(_Question(dict(self.options)), schema)


class _Reader(DataSourceReader):
    def __init__(self, question: _Question, schema: StructType) -> None:
        self._question = question
        self._schema = schema

    def partitions(self) -> list[InputPartition]:
        plan = self._question.plan()
        chosen = replace(plan, columns=self._schema.names)
        size = max(min(self._question.partition_bytes, plan.size // 2), 1)
        return [InputPartition(fragment) for fragment in chosen.fragments(size)]

    def read(self, partition: InputPartition) -> Iterator[pyarrow.RecordBatch]:
        if partition.value is not None:  # Spark passes None when there is nothing to read
            yield from _batches(partition.value.arrow(), self._schema)


class _Stretch(NamedTuple):
    """Rows of one run, between two offsets of a stream."""

    fragment: Fragment
    begin: Reached
    end: Reached

    def rows(self) -> pyarrow.Table:
        """The rows.

        Raises:
            InvalidPosition: when the log is no longer the same one.

        """
        table = self.fragment.arrow()
        skipped = 0 if self.begin.position else self.begin.rows
        count = self.end.rows - self.begin.rows
        before = table["time"][skipped - 1].as_py() if 0 < skipped <= table.num_rows else self.begin.time
        if count < 0 or table.num_rows < skipped + count or before != self.begin.time:
            text = (
                "the log was replaced, or went back to a checkpoint: its rows cannot be taken back; start a new stream"
            )
            raise InvalidPosition(text, path=self.fragment.members[0].path)
        return table.slice(skipped, count)


class _StreamReader(DataSourceStreamReader):
    """An offset has the position in each run, as JSON, by the name of the run."""

    def __init__(self, question: _Question, schema: StructType) -> None:
        self._question = question
        self._schema = schema

    def initialOffset(self) -> dict[str, str]:  # noqa: N802
        return {}

    def latestOffset(self, start: dict[str, str], limit: object) -> dict[str, str]:  # noqa: N802
        reached = self._question.runs().reached(self._question.kind)
        return {**start, **{run: json.dumps(one) for run, one in sorted(reached.items())}}

    def partitions(self, start: dict[str, str], end: dict[str, str]) -> list[InputPartition]:
        changed = {
            run: (_reached(start.get(run)), _reached(text)) for run, text in end.items() if start.get(run) != text
        }
        plan = replace(self._question.plan(), columns=self._schema.names)
        members = {member.run: member for member in plan.members}
        found = []
        for run, (begin, stop) in changed.items():
            if begin.rows != stop.rows and run in members:
                part = replace(plan, members=[members[run]], scan=replace(plan.scan, after=begin.position or None))
                found += [InputPartition(_Stretch(one, begin, stop)) for one in part.fragments(members[run].size + 1)]
        return found

    def read(self, partition: InputPartition) -> Iterator[pyarrow.RecordBatch]:
        return _batches(partition.value.rows(), self._schema)


def _reached(text: str | None) -> Reached:
    return Reached() if text is None else Reached(*json.loads(text))


def _batches(table: pyarrow.Table, schema: StructType) -> Iterator[pyarrow.RecordBatch]:
    yield from table.cast(to_arrow_schema(schema, timezone="UTC")).to_batches(max_chunksize=_BATCH)


def _schema_of(plan: Plan) -> StructType:
    pa = arrow_module()
    return from_arrow_schema(pa.schema([(field.name, _spark_type(pa, field.type)) for field in plan.arrow()]))


def _spark_type(pa: Any, one: pyarrow.DataType) -> pyarrow.DataType:
    """The nearest type that Spark has: lists of variable length, and no unsigned numbers."""
    if pa.types.is_fixed_size_list(one):
        return pa.list_(_spark_type(pa, one.value_type))
    return pa.decimal128(20, 0) if pa.types.is_uint64(one) else one
